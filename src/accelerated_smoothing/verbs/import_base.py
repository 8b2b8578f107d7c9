"""Turn a checkpoint of locuslab/smoothing, an ONNX file or a .pt2 of torch.export into a base classifier."""

from pydantic import Field

from accelerated_smoothing import architectures, command, config
from accelerated_smoothing.command import Input, Output, Source
from accelerated_smoothing.errors import InputError

EXAMPLE = "checkpoint.pth.tar --arch resnet110 --images train.npz --sigma 0.25 --output base.safetensors"
MAKES = "Base classifier"


class Arguments(command.Arguments):
    positional = ("checkpoint",)

    checkpoint: Source = Field(description="the checkpoint, .onnx or .pt2")
    arch: str = Field(config.Base().arch, description="architecture of a checkpoint; a program's is its suffix")
    images: Input = Field(description="images of its data set, on two of which it is tried")
    sigma: config.Sigma = Field(description="scale of the noise that it was trained with, [0,1] pixels")
    output: Output = Field(description="weights")

    def facts(self) -> dict[str, list[str]]:
        return {"arch": [architectures.of_file(str(self.checkpoint)) or self.arch]}


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import data, models
    from accelerated_smoothing.counting import trial
    from accelerated_smoothing.models import importing

    images, program = data.read(arguments.images), architectures.of_file(str(arguments.checkpoint))
    read = importing.program if program else importing.weights
    model, description = read(arguments.checkpoint, program or arguments.arch, images.meta, arguments.sigma)
    try:
        trial.run(model, images, arguments.sigma, images.meta["classes"])
    except InputError as error:
        raise InputError(f"{arguments.checkpoint} {error}") from error
    models.save(arguments.output, model, description)
