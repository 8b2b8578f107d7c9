"""Turn a checkpoint of locuslab/smoothing into a base classifier."""

from pydantic import Field

from accelerated_smoothing import command, config
from accelerated_smoothing.command import Input, Output, Source

EXAMPLE = "checkpoint.pth.tar --images train.npz --sigma 0.25 --output base.safetensors"
MAKES = "Base classifier"


class Arguments(command.Arguments):
    positional = ("checkpoint",)

    checkpoint: Source = Field(description="the checkpoint")
    images: Input = Field(description="images of its data set")
    sigma: config.Sigma = Field(description="scale of the noise that it was trained with, [0,1] pixels")
    output: Output = Field(description="weights")

    def facts(self) -> dict[str, list[str]]:
        return {"family": ["resnet"]}  # of all checkpoints that can be imported


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.models import importing

    importing.convert(arguments.checkpoint, data.read(arguments.images).meta, arguments.sigma, arguments.output)
