"""Table 1: best certified accuracy of Cohen with a fixed sigma and with one of each image's own (section 4.1)."""

from functools import partial

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best

TITLE = f"Table 1 of {data_dependent.PAPER}: best certified accuracy at radius r, and ACR, over sigma and K, Cohen"
KEYS = best.KEYS
SHARES: set[str] = set()
ROWS = best.rows("cohen")
load = partial(best.load, rows=ROWS)
make = partial(best.make, rows=ROWS, keys=KEYS)
behind = partial(best.behind, rows=ROWS, keys=KEYS)
resample = analysis.resample_logs
