"""Print which numbers differ between two results folders, or two files, and the first cause upstream."""

from pathlib import Path

from pydantic import Field

from accelerated_smoothing import command

EXAMPLE = "results/demo results/other"


class Arguments(command.Arguments):
    positional = ("a", "b")

    a: Path = Field(description="a results folder, or a file")
    b: Path = Field(description="another")


def run(arguments: Arguments) -> int:
    from accelerated_smoothing.provenance import differences

    text, differ = differences.report(arguments.a, arguments.b)
    print(text)
    return int(differ)
