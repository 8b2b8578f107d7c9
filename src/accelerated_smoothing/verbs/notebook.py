"""Execute a notebook, and write it and an HTML page of it."""

from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Inputs, Output, Source

EXAMPLE = "notebooks/table1.ipynb --parameters results=results/demo --output table1.ipynb"
MAKES = "Notebook"
SHOWS = True


def _assignment(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError("must be NAME=VALUE, such as sigma=0.25")
    try:
        yaml.safe_load(value)
    except yaml.YAMLError:
        raise ValueError("must be NAME=VALUE with a value in YAML, such as radii=[0.25, 0.5]") from None
    return text


class Arguments(command.Arguments):
    positional = ("source",)

    source: Source = Field(description="the notebook")
    parameters: list[Annotated[str, AfterValidator(_assignment)]] = Field([], description="NAME=VALUE, in YAML")
    reads: Inputs = Field([], description="files that it reads, for its record")
    output: Output = Field(description="executed notebook, .ipynb")

    def facts(self) -> dict[str, list[str]]:
        return {"notebook": [str(self.source)]}


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.report import notebook

    parameters: dict[str, Any] = {}
    for assignment in arguments.parameters:
        name, _, value = assignment.partition("=")
        parameters[name] = yaml.safe_load(value)
    notebook.execute(arguments.source, arguments.output, parameters)
