"""Calibrate what surrogates say about the probability of the top class, on images that they were not trained on."""

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Input, Output

EXAMPLE = "--predictions predictions-train.npz --counts train-estimation.npz --output belief.npz"
MAKES = "Calibrated belief"
QUICK = True


class Arguments(command.Arguments):
    predictions: Input = Field(description="predictions for held-out images")
    counts: Input = Field(description="counts of the base classifier, for these images and perhaps others")
    output: Output = Field(description="belief")


def run(arguments: Arguments) -> None:
    import numpy as np

    from accelerated_smoothing.certify import beliefs
    from accelerated_smoothing.counting import counts, predictions

    held_out, counted = predictions.read(arguments.predictions), counts.read(arguments.counts)
    rows = np.flatnonzero(np.isin(counted.idx, held_out.idx))
    beliefs.fit(held_out, counted.take(rows)).write(arguments.output)
