"""Table 1: natural and certified accuracy of FaRS, by the paper's certificate and by sound ones (section 3).

The paper's FaRS-original is `original` by top-logit, its FaRS-sparsemax `original` by top-sparsemax.
"""

from functools import partial

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import fars
from accelerated_smoothing.papers.fars import rows

TITLE = f"Table 1 of {fars.PAPER}: natural and certified accuracy at radius r, ACR, and seconds per image"
KEYS = rows.KEYS
SHARES = rows.SHARES
METHODS = ["margin", "sparsemax", "top-logit", "top-sparsemax"]
WANTED = {**dict.fromkeys(fars.LAYERS, METHODS), "mlp": ["embedded"]}
load = partial(fars.read_logs, wanted=WANTED)
make = rows.make
behind = rows.behind
resample = analysis.resample_logs
