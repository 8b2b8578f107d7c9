"""Make a base classifier of others without training: an ensemble of several, or an edit of one."""

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Inputs, Output
from accelerated_smoothing.config.errors import EDIT

EXAMPLE = "a.safetensors b.safetensors --arch ensemble2-resnet20 --output base.safetensors"
MAKES = "Base classifier"


class Arguments(command.Arguments):
    positional = ("members",)

    members: Inputs = Field(min_length=1, description="weights of its members")
    arch: str | None = Field(None, description="its architecture, such as ensemble3-resnet20 or consensus2of3-resnet20")
    edit: str | None = Field(
        None, pattern=EDIT, description="what is done with one member instead: rounded, or such as pruned30"
    )
    output: Output = Field(description="weights")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import models
    from accelerated_smoothing.architectures import learns, parts
    from accelerated_smoothing.errors import InputError
    from accelerated_smoothing.models import editing

    arch, edit, members = arguments.arch, arguments.edit, arguments.members
    if (arch is None) == (edit is None):
        raise InputError(f"--arch or --edit must be set, but not both, got {'both' if arch else 'neither'}")
    first, about = models.load(members[0], "base")
    description = {key: about[key] for key in ("kind", "sigma", *models.INPUT)}
    if edit:
        if len(members) > 1:
            raise InputError(f"members must be one file, since --edit is {edit}, got {len(members)}")
        model, description["arch"] = first, about["arch"]
        editing.edit(model[1], edit)
    else:
        if not parts(str(arch)) or learns(str(arch)):
            raise InputError(f"--arch must be an ensemble, such as ensemble3-resnet20, got {arch!r}")
        model = models.build(str(arch), about["classes"], about["mean"], about["std"])
        description["arch"] = arch
        models.assemble(model, members, description)
    models.save(arguments.output, model, {**description, **models.sources(members=members)})
