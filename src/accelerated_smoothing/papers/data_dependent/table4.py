"""Table 4: best l1 certified accuracy under uniform noise, with a fixed sigma and each image's own (section 4.4)."""

from functools import partial

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best

TITLE = f"Table 4 of {data_dependent.PAPER}: best certified accuracy at l1 radius r, and ACR, over sigma and K, Yang"
KEYS = ["method"]
SHARES: set[str] = set()
ROWS: best.Rows = {("YANG",): ("yang", "cohen"), ("YANG-DS",): ("yang", "ascent")}
load = partial(best.load, rows=ROWS)
make = partial(best.make, rows=ROWS, keys=KEYS)
behind = partial(best.behind, rows=ROWS, keys=KEYS)
resample = analysis.resample_logs
