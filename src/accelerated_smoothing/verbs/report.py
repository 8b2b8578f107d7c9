"""Make one HTML page of a run: its tables and figures, and where each came from."""

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Inputs, Output, Source

EXAMPLE = (
    "results/demo/table1.csv results/demo/table1.md results/demo/timing.tsv "
    "--template src/accelerated_smoothing/report/page.html.j2 --output report.html"
)
MAKES = "Page"
SHOWS = True


class Arguments(command.Arguments):
    positional = ("files",)

    files: Inputs = Field(min_length=1, description="tables, figures and notebooks, timing.tsv")
    template: Source = Field(description="Jinja template of the page")
    caption: str = Field("", description="what was run, in words")
    output: Output = Field(description="HTML")

    def facts(self) -> dict[str, list[str]]:
        """Return the tables and figures that the page shows."""
        from accelerated_smoothing.report import contents

        return {"item": [name for path in self.files if (name := contents.item(path))]}


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import report

    report.write(arguments.files, arguments.output, arguments.template, arguments.caption)
