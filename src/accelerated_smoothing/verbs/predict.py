"""Predict class probabilities of images by the surrogates of one base classifier."""

from pydantic import Field

from accelerated_smoothing.command import Input as Images
from accelerated_smoothing.command import Inputs, Output
from accelerated_smoothing.verbs._flags import Sliced, Threaded

EXAMPLE = "resnet20.safetensors resnet56.safetensors --images test.npz --output predictions.npz"
MAKES = "Predictions of surrogates"
ARITHMETIC = True


class Arguments(Sliced, Threaded):
    positional = ("surrogates",)

    surrogates: Inputs = Field(min_length=1, description="weights of surrogates of one base classifier")
    images: Images = Field(description="images")
    held_out: bool = Field(False, description="only those images of the slice that no surrogate was trained on")
    output: Output = Field(description="predictions")


def run(arguments: Arguments) -> None:
    import torch

    from accelerated_smoothing import data
    from accelerated_smoothing.training import predicting

    torch.set_num_threads(arguments.threads)
    images = data.read(arguments.images, arguments.slice)
    predicting.predictions(arguments.surrogates, images, arguments.held_out).write(arguments.output)
