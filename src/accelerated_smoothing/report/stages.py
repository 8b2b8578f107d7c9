"""The stages of a run: what each of them made, how long it took and on what, and a drawing of how they follow."""

import textwrap
from dataclasses import dataclass
from typing import Any

from accelerated_smoothing import command
from accelerated_smoothing.provenance.audit import Node
from accelerated_smoothing.provenance.records import Record
from accelerated_smoothing.provenance.runs import identity, layers

# The drawing, in units of its own, which are about pixels on a phone.
WIDTH = 340
BOX, HEIGHT = 158, 60  # of a box
ROW = 88  # from the top of one row of boxes to that of the next
LINE = 17  # of text
COLUMNS = 2  # boxes beside one another: a third would be too narrow for the text
LETTERS = 20  # of a line in a box


@dataclass(frozen=True)
class Stage:
    """Executions of one verb that do not depend on one another through other verbs.

    Attributes:
        verb: the verb.
        turn: how often the verb occurs on the way up to these executions, themselves included.
        jobs: number of executions. One may have written several files.
        files: number of files.
        bytes: size of all files.
        seconds: sum of the times of all executions.
        longest: time of the longest execution, in seconds.
        cpu, gpu: hours without and with a GPU in the machine's record.
        after: names of the stages that made what this stage reads.
    """

    verb: str
    turn: int
    jobs: int
    files: int
    bytes: int
    seconds: float
    longest: float
    cpu: float
    gpu: float
    after: frozenset[str]

    @property
    def name(self) -> str:
        """Return a name that no other stage has."""
        return _name(self.verb, self.turn)

    @property
    def words(self) -> str:
        """Return what the stage makes, in words."""
        return command.verb(self.verb).makes + (f", turn {self.turn}" if self.turn > 1 else "")


def _name(verb: str, turn: int) -> str:
    return verb if turn == 1 else f"{verb}-{turn}"


def executions(records: list[Record]) -> list[Record]:
    """Return one record of each execution. Several files may come from one."""
    return list({identity(record): record for record in records}.values())


def stages(nodes: list[Node]) -> list[list[Stage]]:
    """Return the stages of all files of an audit in layers. Each layer reads from earlier layers only."""
    turns: dict[int, dict[str, int]] = {}

    def key(record: Record, node: Node) -> tuple[str, int]:
        return record.verb, _turns(node, turns)[record.verb]

    records: dict[tuple[str, int], list[Record]] = {}
    needs: dict[str, list[set[str]]] = {}
    for node in nodes:
        if node.record:
            stage = key(node.record, node)
            records.setdefault(stage, []).append(node.record)
            sources = {_name(*key(source.record, source)) for source in node.inputs.values() if source.record}
            needs.setdefault(_name(*stage), []).append(sources - {_name(*stage)})
    keys = {_name(*stage): stage for stage in records}
    earlier: set[str] = set()
    result = []
    for layer in layers(needs):
        after = {name: frozenset(set[str]().union(*needs[name]) & earlier) for name in layer}
        result.append([_stage(*keys[name], records[keys[name]], after[name]) for name in layer])
        earlier |= set(layer)
    return result


def _turns(node: Node, turns: dict[int, dict[str, int]]) -> dict[str, int]:
    """Return the latest turn of each verb among a file and all that it was made from.

    Args:
        turns: those that were computed before, by the identity of the file's node.
    """
    if id(node) not in turns:
        latest: dict[str, int] = {}
        turn = 1
        verb = node.record.verb if node.record else None
        for source in node.inputs.values():
            below = _turns(source, turns)
            latest = {name: max(latest.get(name, 0), below.get(name, 0)) for name in latest.keys() | below.keys()}
            if verb in below:
                turn = max(turn, below[verb] + (source.record is None or source.record.verb != verb))
        turns[id(node)] = latest | ({verb: turn} if verb else {})
    return turns[id(node)]


def _stage(verb: str, turn: int, records: list[Record], after: frozenset[str]) -> Stage:
    runs = executions(records)
    gpu = sum(record.seconds for record in runs if "gpu" in record.machine) / 3600
    seconds = sum(record.seconds for record in runs)
    return Stage(
        verb=verb,
        turn=turn,
        jobs=len(runs),
        files=len(records),
        bytes=sum(record.bytes for record in records),
        seconds=seconds,
        longest=max(record.seconds for record in runs),
        cpu=seconds / 3600 - gpu,
        gpu=gpu,
        after=after,
    )


def graph(stages: list[list[Stage]]) -> dict[str, Any]:
    """Return the places of boxes and arrows in the drawing. An arrow that follows from a longer path is left out."""
    rows = [layer[start : start + COLUMNS] for layer in stages for start in range(0, len(layer), COLUMNS)]
    places = {
        stage.name: (WIDTH * (2 * column + 1) / (2 * len(row)), line * ROW)
        for line, row in enumerate(rows)
        for column, stage in enumerate(row)
    }
    after = {stage.name: stage.after for row in rows for stage in row}

    def before(verb: str) -> set[str]:
        """Return all stages that a stage depends on."""
        return set(after[verb]).union(*(before(source) for source in after[verb]))

    arrows = []
    for verb, sources in after.items():
        for source in sorted(sources):
            if not any(source in before(other) for other in sources):
                (x, y), (to, end) = places[source], places[verb]
                middle, start = (y + HEIGHT + end) / 2, y + HEIGHT
                arrows.append(f"M{x:g},{start:g} C{x:g},{middle:g} {to:g},{middle:g} {to:g},{end - 5:g}")
    boxes = [_box(stage, *places[stage.name]) for row in rows for stage in row]
    return {"width": WIDTH, "height": len(rows) * ROW - ROW + HEIGHT, "boxes": boxes, "arrows": arrows}


def _box(stage: Stage, x: float, y: float) -> dict[str, Any]:
    """Return a box and its lines of text: what the stage makes, then its costs.

    Args:
        x: middle of the box.
        y: top of the box.
    """
    lines = textwrap.wrap(stage.words, LETTERS)
    first = y + (HEIGHT - LINE * (len(lines) + 1)) / 2 + 0.75 * LINE  # the baseline of the first line
    return {
        "stage": stage,
        "x": x,
        "y": y,
        "width": BOX,
        "height": HEIGHT,
        "lines": [(text, first + LINE * line) for line, text in enumerate(lines)],
        "costs": first + LINE * len(lines),
    }
