"""Make one table of a paper."""

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Output, Source
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.verbs._items import Item, find, settings

EXAMPLE = "3 cohen.tsv resnet20.tsv --output table3.csv"
MAKES = "Table"
QUICK = True
SHOWS = True


class Arguments(Item, config.Comparison):
    kind = "table"

    reported: Source | None = Field(None, description="the paper's table, to compare with")
    comparable: bool = Field(False, description="whether the paper's own experiment was run")
    output: Output = Field(description="CSV; a Markdown copy and *_vs_paper.csv are written beside it")


def run(arguments: Arguments) -> None:
    import pandas as pd

    from accelerated_smoothing import analysis
    from accelerated_smoothing.analysis import comparison
    from accelerated_smoothing.files import write_text

    item = find(arguments)
    data = item.load(arguments.inputs)
    table = item.make(data, settings(arguments))
    shares = {column for column in map(str, table) if item.is_share(column)}
    reported = table.iloc[:0]
    if arguments.reported:
        try:
            reported = pd.read_csv(arguments.reported)
            reported[item.keys]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{arguments.reported} must be the paper's table, got {error}") from error
    beside = comparison.compare(
        item,
        data,
        settings(arguments),
        reported,
        arguments.section(config.Comparison),
        arguments.comparable,
        arguments.caption,
    )
    heading = f"{item.title}. {arguments.caption}.\n\n"
    write_text(arguments.output, table.to_csv(index=False))
    write_text(arguments.output.with_suffix(".md"), heading + analysis.markdown(table, shares, item.keys))
    versus = arguments.output.with_name(f"{arguments.output.stem}_vs_paper.csv")
    write_text(versus, beside.to_csv(index=False))
