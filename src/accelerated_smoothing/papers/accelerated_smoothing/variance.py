"""Tables IV and V: variance of the class counts when the same images are sampled repeatedly (appendix IX-A)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting import counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import captions
from accelerated_smoothing.papers.accelerated_smoothing import comparable

Repeats = dict[float, np.ndarray]  # counts [images, repeats, classes] by sigma


def inputs(run: Run) -> list[str]:
    """Return the repeated counts at every noise level."""
    return [run.counts("", sigma, "train", "variance") for sigma in run.config().sigmas]


def caption(run: Run) -> str:
    """Return what was run, in words."""
    config = run.config()
    images = min(config.variance.images, config.images().get("train", config.variance.images))
    repeated = f"{images} training images, {config.variance.repeats} repeats"
    return captions.join(config, captions.base(config), captions.samples(config), repeated)


def load(paths: Sequence[Path]) -> Repeats:
    """Read counts whose nested sizes are the ends of the repeats."""
    repeats = {}
    for path in paths:
        cumulative = counts.read(path)
        if cumulative.meta["purpose"] != "variance":
            raise InputError(
                f"{path} must hold draws for the purpose variance, got {cumulative.meta['purpose']}; count with "
                "--purpose variance"
            )
        repeats[cumulative.sigma] = np.diff(cumulative.counts, axis=1, prepend=0)
    return repeats


def make(repeats: Repeats, settings: analysis.Settings) -> pd.DataFrame:
    """Return Table IV: the variance of each class's count, one row per sigma and one column per class."""
    rows = []
    for sigma, counted in repeats.items():
        variance = counted.var(axis=1, ddof=1).mean(axis=0)
        rows.append({"sigma": sigma, **{f"class{c}": value for c, value in enumerate(variance)}})
    return pd.DataFrame(rows)


def make_mean(repeats: Repeats, settings: analysis.Settings) -> pd.DataFrame:
    """Return Table V: the mean of Table IV over the classes, in percent of N, one row per sigma."""
    rows = []
    for sigma, counted in repeats.items():
        samples = counted.sum(axis=2).max()
        variance = make({sigma: counted}, settings).drop(columns="sigma").to_numpy().mean()
        rows.append({"sigma": sigma, "variance": 100 * variance / samples})
    return pd.DataFrame(rows)


def resample(repeats: Repeats, random: np.random.Generator) -> Repeats:
    """Draw a bootstrap sample of the images."""
    return {sigma: counted[random.integers(len(counted), size=len(counted))] for sigma, counted in repeats.items()}


TABLES = {
    "table4": Table(
        note="The same images are sampled repeatedly. Where a count varies much, so does the radius. A variance grows "
        "with N.",
        grows_with_samples=True,
        title="Table IV: variance of each class's count over repeated sampling, mean over images",
        keys=["sigma"],
        inputs=inputs,
        load=load,
        make=make,
        resample=resample,
        caption=caption,
        comparable=comparable,
        reported="table4.csv",
    ),
    "table5": Table(
        note="Table IV's mean over classes, divided by N.",
        title="Table V: mean variance of a class's count, in percent of N",
        keys=["sigma"],
        inputs=inputs,
        load=load,
        make=make_mean,
        resample=resample,
        caption=caption,
        comparable=comparable,
        reported="table5.csv",
    ),
}
