"""Figures 3 to 5: certified accuracy against radius with a fixed sigma and with each image's own (4.1 to 4.3)."""

from functools import partial

import matplotlib.figure
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best, panels


def panels_of(logs: pd.DataFrame, experiment: str) -> panels.Panels:
    """Return a panel for each training sigma, and the envelopes over all of them."""
    suffixes = {("FS", "FS"): "", ("FS", "DS"): "-DS", ("DS", "DS"): "-DS²"}
    rows, base = best.rows_of(experiment), data_dependent.name(experiment)
    lines = {base + suffix: data_dependent.settings(logs, *rows[key]) for key, suffix in suffixes.items()}
    return panels.by_sigma(lines)


def draw(
    logs: pd.DataFrame, settings: analysis.Settings, caption: str, experiment: str, title: str
) -> matplotlib.figure.Figure:
    """Draw the panels of an experiment and of its `-ds`; of DS the best K at each radius."""
    base = data_dependent.name(experiment)
    text = (
        f"{title}. {caption}. σ: noise level of the training. {base}: certified with σ. -DS: certified with a sigma "
        "per image. -DS²: also trained with it. -DS and -DS² show the best number K of steps at each radius."
    )
    return panels.draw(panels_of(logs, experiment), text)


def words(logs: pd.DataFrame, settings: analysis.Settings, experiment: str) -> str:
    """Return what the figure shows."""
    return panels.words(panels_of(logs, experiment), settings)


def _figure(title: str, experiment: str) -> Figure:
    rows = best.rows_of(experiment)
    return Figure(
        title=title,
        inputs=partial(best.inputs, rows=rows),
        load=partial(best.load, rows=rows),
        draw=partial(draw, experiment=experiment, title=title),
        words=partial(words, experiment=experiment),
        caption=data_dependent.caption,
    )


FIGURES = {
    "figure3": _figure(f"Figure 3 of {data_dependent.NAME}: certified accuracy of Cohen against radius", "cohen"),
    "figure4": _figure(
        f"Figure 4 of {data_dependent.NAME}: certified accuracy of SmoothAdv against radius", "smoothadv"
    ),
    "figure5": _figure(f"Figure 5 of {data_dependent.NAME}: certified accuracy of MACER against radius", "macer"),
}
