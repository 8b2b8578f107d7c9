"""Table 3: best certified accuracy of MACER with a fixed sigma and with one of each image's own (section 4.3)."""

from functools import partial

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best

TITLE = f"Table 3 of {data_dependent.PAPER}: best certified accuracy at radius r, and ACR, over sigma and K, MACER"
KEYS = best.KEYS
SHARES: set[str] = set()
ROWS = best.rows("macer")
load = partial(best.load, rows=ROWS)
make = partial(best.make, rows=ROWS, keys=KEYS)
behind = partial(best.behind, rows=ROWS, keys=KEYS)
resample = analysis.resample_logs
