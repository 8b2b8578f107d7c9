"""Flags that tables and figures share."""

from typing import Any, ClassVar

from pydantic import Field

from accelerated_smoothing import command, config
from accelerated_smoothing.command import Inputs


class Item(command.Arguments):
    positional = ("number", "inputs")

    number: str = Field(description="number of the item: 3 in Accelerated Smoothing, such as fars/3 in another paper")
    inputs: Inputs = Field([], description="certificates, counts, timings or images")
    caption: str = Field("", description="what was run, in words")
    radii: list[config.Radius] = Field(config.Config().radii, description="radii of certified accuracy, [0,1] pixels")
    reference: str = Field("cohen", description="the method that estimates are compared with")
    error_radius: config.Radius = Field(0.25, description="the error analysis takes images with radii at least this")
    kind: ClassVar[str]

    @property
    def item(self) -> str:
        """Return the name of the table or figure, such as `fars/table3`."""
        paper, slash, number = self.number.rpartition("/")
        return f"{paper}{slash}{self.kind}{number}"

    def facts(self) -> dict[str, list[str]]:
        return {"item": [self.item]}


def find(arguments: Item) -> Any:
    """Return the table or figure, and check the number of its inputs.

    Raises:
        InputError: the name is unknown, or the number of inputs is wrong.
    """
    from accelerated_smoothing import papers

    lookup = {"table": papers.table, "figure": papers.figure}[arguments.kind]
    item = lookup(arguments.item)
    item.check(arguments.inputs)
    return item


def settings(arguments: Item) -> Any:
    """Return the settings of the analysis, with radii in pixels of [0, 1]."""
    from accelerated_smoothing import analysis

    return analysis.Settings(arguments.radii, arguments.reference, arguments.error_radius)
