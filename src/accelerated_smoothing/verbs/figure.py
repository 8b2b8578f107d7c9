"""Make one figure of a paper."""

from pydantic import Field

from accelerated_smoothing.command import Output
from accelerated_smoothing.verbs._items import Item, find, settings

EXAMPLE = "3 cohen.tsv resnet20.tsv --output figure3.svg"
MAKES = "Figure"
QUICK = True
SHOWS = True


class Arguments(Item):
    kind = "figure"

    output: Output = Field(description="SVG; a PNG is written beside it")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.files import atomic

    item = find(arguments)
    figure = item.draw(item.load(arguments.inputs), settings(arguments), arguments.caption)
    with atomic(arguments.output) as svg:
        figure.savefig(svg, format="svg", metadata={"Date": None, "Title": item.title})
    with atomic(arguments.output.with_suffix(".png")) as png:
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
