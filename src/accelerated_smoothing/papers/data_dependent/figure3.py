"""Figure 3: certified accuracy against radius of Cohen, Cohen-DS and Cohen-DS2 (section 4.1)."""

from functools import partial

from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import curves, table1

TITLE = f"Figure 3 of {data_dependent.PAPER}: certified accuracy of Cohen against radius"
load = table1.load
draw = partial(curves.compare, title=TITLE, rows=table1.ROWS)
