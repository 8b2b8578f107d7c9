"""Table II: measured certification time per image against the number of samples N."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import captions
from accelerated_smoothing.papers.accelerated_smoothing import comparable

COLUMNS = ["method", "guarantee", "n", "image", "repeat", "seconds", "arithmetic"]


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the measurements of one experiment, with the columns of `COLUMNS`."""
    (path,) = paths
    try:
        return pd.read_csv(path, sep="\t")[COLUMNS]
    except (OSError, KeyError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path} must be a table of times with the columns {', '.join(COLUMNS)} ({error})") from error


def make(timings: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return one row per method and one column per N, in milliseconds."""
    medians = timings.groupby(["method", "n"], sort=False)["seconds"].median().unstack("n") * 1000
    medians.columns = pd.Index([f"N={n}" for n in medians.columns])
    return medians.reset_index()


def resample(timings: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Draw a bootstrap sample of the repeats."""
    repeats = random.choice(timings["repeat"].unique(), size=timings["repeat"].nunique())
    return pd.concat([timings[timings["repeat"] == repeat] for repeat in repeats], ignore_index=True)


TABLES = {
    "table2": Table(
        note="Milliseconds for one whole certificate, from the image to its radius. A surrogate's certificate draws "
        "only n0 noisy copies, so its time hardly depends on N.",
        title="Table II: certification time per image in milliseconds, median",
        keys=["method"],
        inputs=lambda run: [run.timing()],
        files=1,
        load=load,
        make=make,
        resample=resample,
        caption=lambda run: captions.join(run.config(), captions.base(run.config()), captions.timed(run.config())),
        comparable=comparable,
        reported="table2.csv",
    )
}
