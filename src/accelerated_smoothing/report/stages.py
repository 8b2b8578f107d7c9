"""The stages of a run: what each of them made, how long it took and on what, and a drawing of how they follow."""

from dataclasses import dataclass
from graphlib import TopologicalSorter

from accelerated_smoothing import command
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import Record
from accelerated_smoothing.provenance.runs import identity

# Of the drawing, in its own units, which are pixels on a phone.
WIDTH, ROW, HEIGHT, BOX, GAP = 340, 76, 48, 158, 12


@dataclass(frozen=True)
class Stage:
    """All executions of one verb.

    Attributes:
        jobs: executions; one may have written several files.
        bytes: of the files.
        seconds: of all executions, one after another; `longest` is that of one.
        cpu, gpu: hours, by whether the machine's record names a GPU.
        after: the verbs of the stages that it reads from.
    """

    verb: str
    jobs: int
    files: int
    bytes: int
    seconds: float
    longest: float
    cpu: float
    gpu: float
    after: frozenset[str]

    @property
    def words(self) -> str:
        return command.verb(self.verb).makes


def executions(records: list[Record]) -> list[Record]:
    """One record of each execution, since several files may come from one."""
    return list({identity(record): record for record in records}.values())


def stages(nodes: list[Node]) -> list[list[Stage]]:
    """The stages of all files of an audit, in layers: each reads from layers before it alone."""
    records: dict[str, list[Record]] = {}
    after: dict[str, set[str]] = {}
    for node in nodes:
        if node.record:
            verb = node.record.verb
            records.setdefault(verb, []).append(node.record)
            read = {source.record.verb for source in node.inputs.values() if source.record}
            after.setdefault(verb, set()).update(read - {verb})
    sorter = TopologicalSorter(after)
    sorter.prepare()
    layers = []
    while sorter.is_active():
        layer = sorted(sorter.get_ready())
        layers.append([_stage(verb, records[verb], frozenset(after[verb])) for verb in layer])
        sorter.done(*layer)
    return layers


def _stage(verb: str, records: list[Record], after: frozenset[str]) -> Stage:
    ran = executions(records)
    gpu = sum(record.seconds for record in ran if "gpu" in record.machine) / 3600
    seconds = sum(record.seconds for record in ran)
    return Stage(
        verb=verb,
        jobs=len(ran),
        files=len(records),
        bytes=sum(record.bytes for record in records),
        seconds=seconds,
        longest=max(record.seconds for record in ran),
        cpu=seconds / 3600 - gpu,
        gpu=gpu,
        after=after,
    )


def graph(layers: list[list[Stage]]) -> dict[str, object]:
    """Where the boxes and arrows of the drawing are; an arrow that a longer way implies is left out."""
    places = {
        stage.verb: (WIDTH * (2 * column + 1) / (2 * len(layer)), row * ROW)
        for row, layer in enumerate(layers)
        for column, stage in enumerate(layer)
    }
    after = {stage.verb: stage.after for layer in layers for stage in layer}

    def before(verb: str) -> set[str]:
        return set(after[verb]).union(*(before(source) for source in after[verb]))

    arrows = []
    for verb, sources in after.items():
        for source in sorted(sources):
            if not any(source in before(other) for other in sources):
                (x, y), (to, end) = places[source], places[verb]
                middle, start = (y + HEIGHT + end) / 2, y + HEIGHT
                arrows.append(f"M{x:g},{start:g} C{x:g},{middle:g} {to:g},{middle:g} {to:g},{end - 5:g}")
    boxes = [
        {"stage": stage, "x": places[stage.verb][0], "y": places[stage.verb][1], "width": _width(len(layer))}
        for layer in layers
        for stage in layer
    ]
    return {"width": WIDTH, "height": len(layers) * ROW - ROW + HEIGHT, "box": HEIGHT, "boxes": boxes, "arrows": arrows}


def _width(boxes: int) -> float:
    return min(BOX, WIDTH / boxes - GAP)
