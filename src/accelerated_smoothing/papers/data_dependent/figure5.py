"""Figure 5: certified accuracy against radius of MACER, MACER-DS and MACER-DS2 (section 4.3)."""

from functools import partial

from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import curves, table3

TITLE = f"Figure 5 of {data_dependent.PAPER}: certified accuracy of MACER against radius"
load = table3.load
draw = partial(curves.compare, title=TITLE, rows=table3.ROWS)
