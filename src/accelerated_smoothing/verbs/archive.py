"""Pack an RO-Crate, to be unpacked as the results folder."""

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Input, Output

EXAMPLE = "results/ro-crate-metadata.json --output results/crate.zip"
MAKES = "Archive"


class Arguments(command.Arguments):
    positional = ("metadata",)

    metadata: Input = Field(description="the crate's ro-crate-metadata.json")
    output: Output = Field(description=".zip")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.provenance import release

    release.archive(arguments.metadata, arguments.output)
