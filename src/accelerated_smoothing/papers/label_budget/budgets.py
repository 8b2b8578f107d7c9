"""Table 1: the quality of surrogates against draws per training image, and what the draws cost."""

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.papers import label_budget as paper

# The paper counts CIFAR-10's training images with N draws each in 180 to 190 GPU-hours (V100) per sigma: section V-A.
PAPER_IMAGES, PAPER_DRAWS, PAPER_HOURS = 50_000, 100_000, 190

KEYS = ["sigma", *paper.SETTINGS]
MEASURES = ("ACR", "exceeds", "divergence", "logit_error")


def measures(log: pd.DataFrame, sound: pd.DataFrame) -> dict[str, float]:
    """Return the quality of one surrogate, beside the reference's certificates of the same images."""
    return {
        "ACR": analysis.average_certified_radius(log),
        "exceeds": float(analysis.exceeds(log, sound).mean()),
        "divergence": float(log["divergence"].astype(float).mean()),
        "logit_error": float(np.sqrt(np.nanmean(np.square(log["error"].astype(float))))),
    }


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each noise level and way of training: means over seeds, and their standard deviations."""
    rows = []
    for sigma, (sound, surrogates) in paper.entries(logs).items():
        whole = analysis.average_certified_radius(sound)
        for key, seeds in surrogates.items():
            values = pd.DataFrame([measures(log, sound) for log in seeds])
            spread = values.std(ddof=1)  # none with one seed
            draws = int(seeds[0]["draws"].iloc[0])
            numbers: dict[str, float] = {}
            for name in MEASURES:
                numbers |= {name: float(values[name].mean()), f"{name}_sd": float(spread[name])}
            numbers |= {"kept": numbers["ACR"] / whole if whole else np.nan, "cohen": whole}
            numbers |= {"passes": PAPER_IMAGES * draws, "gpu_hours": PAPER_HOURS * draws / PAPER_DRAWS}
            row: dict[str, object] = {
                "sigma": sigma,
                **dict(zip(paper.SETTINGS, key, strict=True)),
                "seeds": len(seeds),
            }
            rows.append({**row, **numbers})
    return pd.DataFrame(rows)


TABLES = {
    "table1": Table(
        note="Draws: per training image in all epochs together; fresh: each epoch learns from draws of its own. "
        "Exceeds: share of test images with a radius above the one that N draws certify. Divergence: mean "
        "Jensen-Shannon divergence, in nats, of h(x) from the shares of N draws. Logit_error: root mean square error "
        "of the logit of h's top class, on images with draws in and outside of it. Kept: ACR over that of N draws "
        f"(cohen). Columns _sd: standard deviation over seeds. Passes and gpu_hours: of counting {PAPER_IMAGES:,} "
        f"training images so often, at the paper's rate: {PAPER_HOURS} GPU-hours for {PAPER_DRAWS:,} draws each.",
        title="Table 1: surrogates by draws per training image: ACR, images that exceed, divergence, and cost",
        keys=KEYS,
        shares=frozenset({"exceeds", "kept"}),
        inputs=paper.inputs,
        load=paper.load,
        make=make,
        resample=analysis.resample_logs,
        caption=paper.caption,
        comparable=paper.comparable,
    )
}
