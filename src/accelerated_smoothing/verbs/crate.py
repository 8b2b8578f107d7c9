"""Describe files and everything they were made from as an RO-Crate, in the folder of the metadata file."""

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Inputs, Output

EXAMPLE = "results/table1.csv --output results/ro-crate-metadata.json"
MAKES = "RO-Crate"


class Arguments(command.Arguments):
    positional = ("targets",)

    targets: Inputs = Field(min_length=1, description="built files")
    output: Output = Field(description="ro-crate-metadata.json in the results folder")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.provenance import crate

    crate.write(arguments.targets, arguments.output)
