"""Figure 4: certified accuracy against radius of SmoothAdv, SmoothAdv-DS and SmoothAdv-DS2 (section 4.2)."""

from functools import partial

from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import curves, table2

TITLE = f"Figure 4 of {data_dependent.PAPER}: certified accuracy of SmoothAdv against radius"
load = table2.load
draw = partial(curves.compare, title=TITLE, rows=table2.ROWS)
