"""Table 3: FaRS beside Cohen et al.'s certification and Accelerated Smoothing, on the same images; no paper's table.

Of FaRS what certifies best of each classifier; `cohen` samples the whole 1-Lipschitz network; `main` is the experiment
of Accelerated Smoothing, with a base classifier of its own.
"""

from functools import partial

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import fars
from accelerated_smoothing.papers.fars import rows

TITLE = (
    "Table 3: FaRS, Cohen et al.'s certification and Accelerated Smoothing (main) on the same images, certified "
    "accuracy at radius r, ACR, and seconds per image"
)
KEYS = rows.KEYS
SHARES = rows.SHARES
WANTED = {
    **{layer: ["margin"] for layer in fars.LAYERS},
    "mlp": ["embedded"],
    "cohen": ["cohen"],
    fars.MAIN: ["cohen"],
}
load = partial(fars.read_logs, wanted=WANTED)
make = rows.make
behind = rows.behind
resample = analysis.resample_logs
