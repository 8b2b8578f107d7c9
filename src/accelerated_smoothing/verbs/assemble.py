"""Make a base classifier of others that need no further training: an ensemble."""

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Inputs, Output

EXAMPLE = "a.safetensors b.safetensors --arch ensemble2-resnet20 --output base.safetensors"
MAKES = "Base classifier"


class Arguments(command.Arguments):
    positional = ("members",)

    members: Inputs = Field(min_length=1, description="weights of its members")
    arch: str = Field(description="its architecture, such as ensemble3-resnet20 or consensus2of3-resnet20")
    output: Output = Field(description="weights")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import models
    from accelerated_smoothing.architectures import learns, parts
    from accelerated_smoothing.errors import InputError

    first = models.load(arguments.members[0], "base")[1]
    if not parts(arguments.arch) or learns(arguments.arch):
        raise InputError(f"--arch must be an ensemble, such as ensemble3-resnet20, got {arguments.arch!r}")
    description = {key: first[key] for key in ("kind", "sigma", *models.INPUT)}
    description |= {"arch": arguments.arch, **models.sources(members=arguments.members)}
    model = models.build(arguments.arch, first["classes"], first["mean"], first["std"])
    models.assemble(model, arguments.members, description)
    models.save(arguments.output, model, description)
