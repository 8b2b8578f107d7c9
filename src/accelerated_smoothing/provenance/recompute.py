"""Links of the chain, made again: cheap ones whole, counts for a few images."""

import contextlib
import io
import tempfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.counting import counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import records
from accelerated_smoothing.provenance.audit import Node, beside, find, walk
from accelerated_smoothing.provenance.differences import compare

CHEAP = ("gather", "certify", "table", "figure")  # verbs that need seconds
# Counts of another processor pass unless chance alone would part two samples of one distribution as far as this.
SIGNIFICANCE = 0.001


def rebuild(roots: list[Node]) -> str:
    """Make tables and figures from certificates again, certificates from counts, counts from shards, and compare.

    The recorded commands of these verbs are run on the inputs as they are now, and write to another place. What is not
    the same becomes a problem of its file; times that were measured may differ.

    Returns:
        What was done, in a line.
    """
    files = walk(roots)
    made: dict[Path, list[Node]] = {}
    for node in files:
        if node.record and node.path.is_file() and node.arguments and node.arguments.verb in CHEAP:
            made.setdefault(node.path.parent / node.arguments.output.name, []).append(node)
    differ = 0
    for output, group in made.items():
        with tempfile.TemporaryDirectory() as scratch:
            try:
                _again(group[0], Path(scratch) / output.name)
                for node in group:
                    if found := compare(node.path, Path(scratch) / node.path.name).numbers:
                        node.problems.append(f"made again, it is not the same: {'; '.join(found)}")
                        differ += 1
            except (InputError, ImportError, SyntaxError) as error:
                group[0].problems.append(f"cannot be made again: {error}")
                differ += 1
    again = sum(map(len, made.values()))
    return f"made again from their inputs: {again} files, {differ} differ; not made again: {len(files) - again}"


def _again(node: Node, output: Path) -> None:
    """Run the command of a record on the inputs as they are now, and write to another place."""
    record = node.record
    assert record is not None
    assert node.arguments is not None

    def placed(value: Any) -> Any:
        if isinstance(value, list):
            return [placed(item) for item in value]
        if isinstance(value, Path) and records.relative(value) in record.inputs:
            return find(node.path, record, records.relative(value)) or value
        return value

    arguments = Namespace(**{name: placed(value) for name, value in vars(node.arguments).items()})
    arguments.output = output
    with contextlib.redirect_stderr(io.StringIO()):
        arguments.run(arguments)


def sample(roots: list[Node], images: int, random: np.random.Generator) -> list[str]:
    """Count some images again from scratch, and hold the stored counts against what the recorded seed gives here.

    On the processor that counted them they must be equal. On another one the last bits of an arithmetic may differ and
    with them a prediction now and then, so there a chi-squared test of homogeneity decides, at a level of
    `SIGNIFICANCE` for all images together. It takes two samples for independent; these share their noise, so honest
    counts pass it all the more.

    Args:
        images: how many, chosen at random among all that were counted.

    Returns:
        What was found, a line an image. What does not hold becomes a problem of its file.

    Raises:
        InputError: no counts are behind these files.
    """
    there = []
    for node in walk(roots):
        if node.record and node.record.verb == "count" and node.path.is_file():
            try:
                there += [(node, row) for row in range(len(counts.read(node.path).idx))]
            except InputError as error:
                node.problems.append(str(error))
    if not there:
        raise InputError("--sample: no counts are behind these files; audit a table or a certificate")
    chosen = random.choice(len(there), size=min(images, len(there)), replace=False)
    engines: dict[tuple[Path, str], Any] = {}
    said = []
    for node, row in (there[number] for number in chosen):
        try:
            said.append(_sampled(node, row, engines, SIGNIFICANCE / len(chosen)))
        except InputError as error:
            node.problems.append(f"cannot be counted again: {error}")
    return [*said, f"counted again from scratch: {len(said)} of the {len(there)} images that were counted"]


def _sampled(node: Node, row: int, engines: dict[tuple[Path, str], Any], significance: float) -> str:
    """Count one image of a shard again.

    Raises:
        InputError: the classifier or the images are missing or broken.
    """
    import torch

    from accelerated_smoothing import data, models
    from accelerated_smoothing.cli import section
    from accelerated_smoothing.config import Sampling
    from accelerated_smoothing.counting import engines as library
    from accelerated_smoothing.counting import sampling
    from accelerated_smoothing.sigmas import chosen as sigmas

    record = node.record
    assert record is not None
    stored, told = counts.read(node.path), record.arguments

    def there(name: str) -> Path:
        return find(node.path, record, told[name]) or beside(node.path, record.file, told[name])

    base, split = there("base"), data.read(there("images"))
    image = split.take(stored.idx[row : row + 1])
    sigma = sigmas.read(there("sigmas")).of(image.idx, told["at"]) if told["sigmas"] else told["sigma"]
    settings = section(Sampling, Namespace(**told))
    if (base, settings.precision) not in engines:
        cuda = stored.meta["arithmetic"].startswith("cuda") and torch.cuda.is_available()
        engines[base, settings.precision] = library.build(
            models.load(base, "base")[0],
            split.images.shape[1:],
            device=torch.device("cuda" if cuda else "cpu"),
            precision=settings.precision,
            batch_size=settings.batch_size,
        )
    engine = engines[base, settings.precision]
    again, _ = sampling.count_predictions(
        engine,
        image.pixels(),
        sigma,
        settings.sizes,
        told["seed"],
        classes=stored.meta["classes"],
        idx=image.idx,
        purpose=told["purpose"],
        noise=told["noise"],
    )
    name = f"{records.relative(node.path)}, image {image.idx[0]}, {stored.sizes[-1]} draws"
    if np.array_equal(again[0], stored.counts[row]):
        return f"{name}: the stored counts are what seed {told['seed']} gives"
    here = records.machine()
    same = all(here.get(part) == record.machine.get(part) for part in ("processor", "gpu"))
    p = homogeneity(stored.counts[row, -1], again[0, -1])
    moved = np.abs(stored.counts[row, -1] - again[0, -1]).sum() // 2
    if (same and engine.arithmetic == stored.meta["arithmetic"]) or p < significance:
        found = f"stored {stored.counts[row, -1].tolist()}, seed {told['seed']} gives {again[0, -1].tolist()}"
        node.problems.append(f"image {image.idx[0]}, counted again: {found}")
        return f"{name}: not what seed {told['seed']} gives, p = {p:.2g}"
    return f"{name}: {moved} predictions differ, as they may on another processor; homogeneous, p = {p:.2g}"


def homogeneity(one: np.ndarray, two: np.ndarray) -> float:
    """The p-value of Pearson's chi-squared test that counts [classes] are of one distribution.

    Classes that were predicted less than ten times in both are taken as one, for which the test's approximation holds.
    """
    from scipy.stats import chi2_contingency

    table = np.array([one, two])
    rare = table.sum(axis=0) < 10
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    return float(chi2_contingency(table, correction=False).pvalue) if table.shape[1] > 1 else 1.0
