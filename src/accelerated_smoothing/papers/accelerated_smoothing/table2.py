"""Table II: certification time per image against the number of samples N, measured."""

from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError

TITLE = "Table II: certification time per image in milliseconds, median"
KEYS = ["method"]
SHARES: set[str] = set()
FILES = 1


def load(inputs: list[Path]) -> pd.DataFrame:
    """Timings with columns method, sound, n, image, repeat, seconds and arithmetic."""
    (path,) = inputs
    try:
        return pd.read_csv(path, sep="\t")[["method", "sound", "n", "image", "repeat", "seconds", "arithmetic"]]
    except (OSError, KeyError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: not a table of timings ({error})") from error


def make(timings: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """One row per method, one column per N, milliseconds."""
    medians = timings.groupby(["method", "n"], sort=False)["seconds"].median().unstack("n") * 1000
    medians.columns = pd.Index([f"N={n}" for n in medians.columns])
    return medians.reset_index()


def resample(timings: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """Bootstrap the repeats."""
    chosen = random.choice(timings["repeat"].unique(), size=timings["repeat"].nunique())
    return pd.concat([timings[timings["repeat"] == repeat] for repeat in chosen], ignore_index=True)
