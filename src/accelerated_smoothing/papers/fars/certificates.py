"""Tables 1 and 3: a row per classifier, which is an experiment, sigma and method.

Table 1 compares the paper's certificate with sound ones (section 3). The paper's FaRS-original is `original` by
top-logit, its FaRS-sparsemax is `original` by top-sparsemax.

Table 3 is not in the paper. It shows FaRS beside Cohen et al.'s certification and Accelerated Smoothing on the same
images: of FaRS the best certificate of each classifier; `cohen`, which samples the whole 1-Lipschitz network; and
`main`, the experiment of Accelerated Smoothing, with a base classifier of its own.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.papers import fars
from accelerated_smoothing.papers.accelerated_smoothing import accuracy

KEYS = ["classifier", *accuracy.KEYS]
SHARES = accuracy.SHARES | {"natural"}
METHODS = ["margin", "sparsemax", "top-logit", "top-sparsemax"]
WANTED = {**dict.fromkeys(fars.LAYERS, METHODS), "mlp": ["embedded"]}
WANTED_BESIDE = {
    **{layer: ["margin"] for layer in fars.LAYERS},
    "mlp": ["embedded"],
    "cohen": ["cohen"],
    fars.MAIN: ["cohen"],
}


def inputs(run: Run) -> list[str]:
    """Return the certificates of what the paper compares, of its future work, and of the network as it was trained."""
    return [path for name in [*fars.LAYERS, "mlp"] for path in run.certificates(fars.home(name), methods=WANTED[name])]


def inputs_beside(run: Run, sigmas: list[float] | None = None) -> list[str]:
    """Return the best certificate of each classifier, then those of Cohen et al. and of the main experiment.

    Args:
        sigmas: noise levels of what is sampled; all of each experiment if None.
    """
    return [
        *(path for name in fars.LAYERS for path in run.certificates(fars.home(name), methods=["margin"])),
        *(path for name in ("mlp", "cohen") for path in run.certificates(fars.home(name), sigmas, WANTED_BESIDE[name])),
        *run.certificates("", sigmas),
    ]


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return rows as in Table I of Accelerated Smoothing, with two more columns, sigmas ascending for each classifier.

    `natural` is the share of images that are classified correctly, with any radius. A method that samples may abstain;
    such an image counts as wrong. `seconds` is the median time of one certificate. `exceeds` compares an estimate with
    the certificate of the same classifier.
    """
    parts = []
    for experiment in [*fars.EXPERIMENTS, fars.MAIN]:
        part = logs[logs["experiment"] == experiment].sort_values("sigma0", kind="stable")
        if len(part):
            rows = accuracy.make(part, _settings(settings, experiment)).rename(columns={"r=0": "natural"})
            rows.insert(0, "classifier", experiment)
            times = [log["time"].median() for log in analysis.groups(part).values()]
            rows.insert(len(rows.columns) - 1, "seconds", times)
            parts.append(rows)
    return pd.concat(parts, ignore_index=True)


def behind(logs: pd.DataFrame, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a share counts, or ACR sums over, [images]."""
    experiment = row["classifier"]
    part = logs[logs["experiment"] == experiment]
    return accuracy.behind(part, _settings(settings, experiment), row, "r=0" if column == "natural" else column)


def _settings(settings: analysis.Settings, experiment: str) -> analysis.Settings:
    return replace(settings, radii=[0.0, *settings.radii], reference=fars.reference(experiment))


load_beside = partial(fars.read_logs, wanted=WANTED_BESIDE)

TABLES = {
    "table1": Table(
        note="Natural is the share of images that are classified correctly, with any radius. Seconds is the median "
        "time per image, where each image has an equal share of the time of its batch.",
        title=f"Table 1 of {fars.NAME}: natural and certified accuracy at radius r, ACR, and seconds per image",
        keys=KEYS,
        shares=SHARES,
        inputs=inputs,
        load=partial(fars.read_logs, wanted=WANTED),
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=fars.caption,
        comparable=fars.comparable,
        reported="fars/table1.csv",
    ),
    "table3": Table(
        note="The best certificate of each FaRS classifier, beside Cohen et al.'s certification of the whole network "
        "(cohen) and the experiment of Accelerated Smoothing (main). This table is not in the paper.",
        title="Table 3: FaRS, Cohen et al.'s certification and Accelerated Smoothing (main) on the same images, "
        "certified accuracy at radius r, ACR, and seconds per image",
        keys=KEYS,
        shares=SHARES,
        inputs=inputs_beside,
        load=load_beside,
        make=make,
        resample=analysis.resample_logs,
        behind=behind,
        caption=fars.caption_with_main,
        comparable=fars.comparable,
        reported="fars/table3.csv",
    ),
}
