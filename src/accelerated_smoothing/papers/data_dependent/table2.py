"""Table 2: best certified accuracy of SmoothAdv with a fixed sigma and with one of each image's own (section 4.2)."""

from functools import partial

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best

TITLE = f"Table 2 of {data_dependent.PAPER}: best certified accuracy at radius r, and ACR, over sigma and K, SmoothAdv"
KEYS = best.KEYS
SHARES: set[str] = set()
ROWS = best.rows("smoothadv")
load = partial(best.load, rows=ROWS)
make = partial(best.make, rows=ROWS, keys=KEYS)
behind = partial(best.behind, rows=ROWS, keys=KEYS)
resample = analysis.resample_logs
