"""Recompute parts of the chain: quick steps whole, counts for a few images."""

import contextlib
import io
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing import command
from accelerated_smoothing.command import Call, Role
from accelerated_smoothing.config import Passes, Sampling
from accelerated_smoothing.counting import counts
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import records
from accelerated_smoothing.provenance.audit import Node, beside, find, walk
from accelerated_smoothing.provenance.differences import compare

# The level of the test that compares counts with those of another processor, for all images together.
SIGNIFICANCE = 0.001


def rebuild(roots: list[Node]) -> str:
    """Run the quick verbs again: tables and figures from certificates, certificates from counts, counts from shards.

    The recorded commands run on the inputs as they are now, and write to another place. A difference, other than in
    measured times, becomes a problem of its file.

    Returns:
        A summary in one line.
    """
    files = walk(roots)
    groups: dict[Path, list[Node]] = {}  # several files may come from one command
    for node in files:
        here = node.path.is_file() and all(source.path.is_file() for source in node.inputs.values())
        if here and node.call and command.verb(node.call.verb).quick:
            groups.setdefault(node.path.parent / node.call.arguments.paths(Role.OUTPUT)[0].name, []).append(node)
    differ = 0
    for output, group in groups.items():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                _again(group[0], Path(scratch) / output.name)
                for node in group:
                    if lines := compare(node.path, Path(scratch) / node.path.name).numbers:
                        node.problems.append(f"made again, it differs: {'; '.join(lines)}")
                        differ += 1
            except (InputError, ImportError, SyntaxError) as error:
                group[0].problems.append(f"cannot be made again: {error}")
                differ += 1
    again = sum(map(len, groups.values()))
    return f"made again from their inputs: {again} files, {differ} differ; not made again: {len(files) - again}"


def _again(node: Node, output: Path) -> None:
    """Run a recorded command on the inputs as they are now, with another output."""
    record = node.record
    assert record is not None
    assert node.call is not None

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(item) for item in value]
        if isinstance(value, Path) and records.relative(value) in record.inputs:
            return find(node.path, record, records.relative(value)) or value
        return value

    arguments = {name: placed(value) for name, value in node.call.arguments}
    changed = node.call.arguments.model_copy(update={**arguments, "output": output})
    with contextlib.redirect_stderr(io.StringIO()):
        Call(node.call.verb, changed).run()


def sample(roots: list[Node], images: int, random: np.random.Generator) -> list[str]:
    """Count some images again, and compare with the stored counts.

    Counts of an arithmetic that has the same bits everywhere must be equal, and so must others on the processor that
    counted them. Elsewhere the last bits may differ, and with them a few predictions. There a chi-squared test of
    homogeneity decides, at the level `SIGNIFICANCE` for all images together. The test assumes independent samples;
    these share their noise, so honest counts pass it more often than the level says.

    Args:
        images: number of images, chosen at random among all that were counted.

    Returns:
        One line for each image. A failure becomes a problem of its file.

    Raises:
        InputError: no counts are behind these files.
    """
    counted = [(node, part, row) for node, part in _shards(walk(roots)) for row in range(len(part.idx))]
    if not counted:
        raise InputError("--sample: no counts are behind these files; audit a table or a certificate")
    chosen = random.choice(len(counted), size=min(images, len(counted)), replace=False)
    engines: dict[tuple[Path, Passes], Any] = {}
    lines = []
    for node, part, row in (counted[number] for number in chosen):
        try:
            lines.append(_sampled(node, part, row, engines, SIGNIFICANCE / len(chosen)))
        except InputError as error:
            node.problems.append(f"cannot be counted again: {error}")
    return [*lines, f"counted again from scratch: {len(lines)} of the {len(counted)} images that were counted"]


def _shards(nodes: Iterable[Node]) -> Iterator[tuple[Node, Counts]]:
    """Yield the shards and their counts. If a shard is missing, its counts come from the gathered file.

    A file that cannot be read becomes a problem.
    """
    for node in nodes:
        verb = node.record.verb if node.record and node.path.is_file() else ""
        if verb not in ("count", "gather"):
            continue
        try:
            stored = counts.read(node.path)
        except InputError as error:
            node.problems.append(str(error))
            continue
        if verb == "count":
            yield node, stored
            continue
        for shard in node.inputs.values():
            if shard.record and not shard.path.is_file():
                position, number = map(int, shard.record.arguments["shard"].split("/"))
                yield shard, stored.take(np.array_split(np.arange(len(stored.idx)), number)[position])


def _sampled(node: Node, stored: Counts, row: int, engines: dict[tuple[Path, Passes], Any], significance: float) -> str:
    """Count one image of a shard again.

    Raises:
        InputError: the classifier or the images are missing or broken.
    """
    import torch

    from accelerated_smoothing import data, devices, models
    from accelerated_smoothing.counting import engines as library
    from accelerated_smoothing.counting import sampling
    from accelerated_smoothing.sigmas import chosen as sigmas

    record = node.record
    assert record is not None
    assert node.call is not None
    arguments = record.arguments

    def locate(name: str) -> Path:
        return find(node.path, record, arguments[name]) or beside(node.path, record.file, arguments[name])

    base, split = locate("base"), data.read(locate("images"))
    image = split.take(stored.idx[row : row + 1])
    sigma = arguments["sigma"]
    if arguments["sigmas"]:
        sigma = sigmas.read(locate("sigmas")).of(image.idx, arguments["at"])
    settings = node.call.arguments.section(Sampling)
    passes = node.call.arguments.section(Passes)
    if (base, passes) not in engines:
        cuda = stored.meta["arithmetic"].startswith("cuda") and torch.cuda.is_available()
        engines[base, passes] = library.build(
            models.load(base, "base")[0],
            split.images.shape[1:],
            device=devices.choose("cuda" if cuda else "cpu", "device"),
            precision=passes.precision,
            batch_size=passes.batch_size,
            kernels=node.call.arguments.kernels,  # type: ignore[attr-defined]
        )
    engine = engines[base, passes]
    again, _ = sampling.count_predictions(
        engine,
        image.pixels(),
        sigma,
        settings.sizes,
        arguments["seed"],
        classes=stored.counts.shape[2],
        idx=image.idx,
        purpose=arguments["purpose"],
        noise=arguments["noise"],
    )
    name = f"{records.relative(node.path)}, image {image.idx[0]}, {stored.sizes[-1]} draws"
    if np.array_equal(again[0], stored.counts[row]):
        return f"{name}: the stored counts are what seed {arguments['seed']} gives"
    here = records.machine()
    same = engine.arithmetic == stored.meta["arithmetic"] and (
        engine.arithmetic.endswith(library.PORTABLE)
        or all(here.get(part) == record.machine.get(part) for part in ("processor", "gpu"))
    )
    p = homogeneity(stored.counts[row, -1], again[0, -1])
    different = np.abs(stored.counts[row, -1] - again[0, -1]).sum() // 2
    if same or p < significance:
        difference = f"stored {stored.counts[row, -1].tolist()}, seed {arguments['seed']} gives {again[0, -1].tolist()}"
        node.problems.append(f"image {image.idx[0]}, counted again: {difference}")
        return f"{name}: not what seed {arguments['seed']} gives, p = {p:.2g}"
    return f"{name}: {different} predictions differ, as they may on another processor; homogeneous, p = {p:.2g}"


def homogeneity(one: np.ndarray, two: np.ndarray) -> float:
    """Return the p-value of Pearson's chi-squared test that two arrays of counts [classes] have one distribution.

    Classes with fewer than ten predictions in both are merged, so that the approximation of the test holds.
    """
    from scipy.stats import chi2_contingency

    table = np.array([one, two])
    rare = table.sum(axis=0) < 10
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0
