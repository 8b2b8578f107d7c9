"""Figure 8: gradient ascent and grid search for sigma_x, with the same number of evaluations (appendix B)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.figure
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import panels

TITLE = f"Figure 8 of {data_dependent.NAME}: certified accuracy against radius, by gradient ascent and by grid search"
NAMES = {"cohen": "fixed σ", "ascent": "ascent, K = {}", "grid": "grid, n = {}"}  # of the lines, by kind of method


def inputs(run: Run) -> list[str]:
    """Return the logs of one experiment by cohen, the shortest ascent, and every grid."""
    home = f"{data_dependent.FOLDER}/smoothadv/"
    shortest = data_dependent.ascents(run, home)[0]
    kinds = ("cohen", "grid")
    methods = [name for name in run.methods(home) if name == shortest or data_dependent.split(name)[0] in kinds]
    return run.certificates(home, methods=methods)


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read logs of one experiment, with one number of steps of the ascent.

    Raises:
        InputError: as `data_dependent.read_logs`, or several experiments or numbers of steps, or no log of a kind.
    """
    logs = data_dependent.read_logs(paths, {name: list(NAMES) for name in data_dependent.GAUSSIAN})
    data_dependent.one_experiment(logs)
    for kind in NAMES:
        methods = sorted(method for method in logs["method"].unique() if data_dependent.split(method)[0] == kind)
        if not methods or (kind == "ascent" and len(methods) > 1):
            number = "exactly one method" if kind == "ascent" else "at least one method"
            raise InputError(f"the certificates must be by {number} of {kind}, got {', '.join(methods) or 'none'}")
    return logs


def panels_of(logs: pd.DataFrame) -> panels.Panels:
    """Return a panel for each training sigma, and the envelopes over all of them."""
    experiment = data_dependent.one_experiment(logs)
    lines: panels.Lines = {}
    for kind, name in NAMES.items():
        for (sigma, number), log in data_dependent.settings(logs, experiment, kind).items():
            lines.setdefault(name.format(number), {})[sigma, number] = log
    return panels.by_sigma(lines)


def draw(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw a panel for each training sigma, and the envelopes over all of them."""
    name = data_dependent.name(data_dependent.one_experiment(logs))
    text = (
        f"{TITLE}. {caption}, {name}. Both choose each image's sigma by as many evaluations of the base classifier: "
        "the ascent by K steps from σ, the training's; the grid with n samples at each point."
    )
    return panels.draw(panels_of(logs), text)


def words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what the figure shows."""
    return panels.words(panels_of(logs), settings)


FIGURES = {
    "figure8": Figure(title=TITLE, inputs=inputs, load=load, draw=draw, words=words, caption=data_dependent.caption)
}
