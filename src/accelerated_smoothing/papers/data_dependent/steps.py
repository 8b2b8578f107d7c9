"""Figure 7: certified accuracy against radius for each number K of steps of Algorithm 1 (section 4.5)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.figure
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import panels

TITLE = f"Figure 7 of {data_dependent.NAME}: certified accuracy against radius, by the number K of steps"
KINDS = ["cohen", "ascent"]
WANTED = dict.fromkeys(["smoothadv", "smoothadv-ds"], KINDS)


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read logs of some experiments with Gaussian noise."""
    return data_dependent.read_logs(paths, dict.fromkeys(data_dependent.GAUSSIAN, KINDS))


def panels_of(logs: pd.DataFrame) -> panels.Panels:
    """Return a panel for each experiment and training sigma."""
    by_title: panels.Panels = {}
    for name in data_dependent.GAUSSIAN:
        for kind in KINDS:
            for (sigma, steps), log in data_dependent.settings(logs, name, kind).items():
                lines = by_title.setdefault(f"{data_dependent.name(name)}, σ = {sigma:g}", {})
                lines[f"K = {steps}" if kind == "ascent" else "fixed σ"] = {(sigma, steps): log}
    return by_title


def draw(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw a panel for each experiment and training sigma."""
    text = f"{TITLE}. {caption}. σ: of the training, from which the steps of Algorithm 1 start."
    return panels.draw(panels_of(logs), text)


def words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what the figure shows."""
    return panels.words(panels_of(logs), settings)


FIGURES = {
    "figure7": Figure(
        title=TITLE,
        inputs=lambda run: data_dependent.inputs(run, WANTED),
        load=load,
        draw=draw,
        words=words,
        caption=data_dependent.caption,
    )
}
