"""Table 4: what a certificate costs when the whole network is sampled, and when only the head is; not the paper's."""

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers.accelerated_smoothing import table2

TITLE = "Table 4: time per certificate in milliseconds, median, sampling the whole network or the head"
KEYS = ["N"]
SHARES: set[str] = set()
FILES = 1
METHODS = ["cohen", "embedded"]

load = table2.load
resample = table2.resample


def make(timings: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """One row per N: CERTIFY with noise on the image, with noise on its embedding, and how many times faster that is.

    Both are whole certificates, from the image to the radius; the second includes the backbone.

    Raises:
        InputError: the timings are not of these two.
    """
    found = timings["method"].unique().tolist()
    if sorted(found) != METHODS:
        raise InputError(f"found timings of {', '.join(found)}; those of cohen and embedded would do")
    medians = timings.groupby(["n", "method"])["seconds"].median().unstack() * 1000
    made = medians[METHODS].assign(ratio=medians["cohen"] / medians["embedded"])
    return made.rename_axis(index="N", columns=None).reset_index()
