"""Walk from files back to the images, and check each file against its record."""

from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Inputs
from accelerated_smoothing.errors import InputError

EXAMPLE = "results/table1.csv"


class Arguments(command.Arguments):
    positional = ("targets",)

    targets: Inputs = Field(min_length=1, description="built files")
    as_json: Annotated[bool, Parameter(name="--json")] = Field(False, description="print JSON, for programs")
    cell: str | None = Field(
        None, description="one number of a table, such as sigma=0.25,method=resnet20,r=0.5: down to its images"
    )
    rebuild: bool = Field(
        False,
        description="make tables and figures from certificates again, certificates from counts, counts from shards, "
        "and compare",
    )
    sample: int | None = Field(
        None, ge=1, description="count so many random images again, with the noise of the recorded seed, and compare"
    )


def run(arguments: Arguments) -> int:
    from accelerated_smoothing.provenance import audit

    roots = audit.audit(arguments.targets)
    lines: list[str] = []
    more: dict[str, Any] = {}
    if arguments.cell is not None:
        from accelerated_smoothing.provenance import cell

        if len(roots) > 1:
            raise InputError(f"--cell must be used with one table, got {len(roots)} targets")
        number = cell.cell(roots[0], arguments.cell)
        roots = [number.table]
        lines.append(cell.report(number))
        more["cell"] = {"name": number.name, "value": number.text, "again": number.again, **cell.facts(number)}
        more["cell"] |= {"images": number.idx.tolist(), "of": number.images}
    if arguments.rebuild or arguments.sample:
        import numpy as np

        from accelerated_smoothing.provenance import recompute

        recomputed = [recompute.rebuild(roots)] if arguments.rebuild else []
        if arguments.sample:
            recomputed += recompute.sample(roots, arguments.sample, np.random.default_rng())
        lines += recomputed
        more["recomputed"] = recomputed
    print(audit.as_json(roots, **more) if arguments.as_json else "\n".join([*lines, audit.tree(roots)]))
    return 0 if all(root.holds() for root in roots) else 1
