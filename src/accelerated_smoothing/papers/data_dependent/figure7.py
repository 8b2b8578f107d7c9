"""Figure 7: certified accuracy against radius for each number K of steps of Algorithm 1 (section 4.5)."""

from pathlib import Path

from matplotlib.figure import Figure

from accelerated_smoothing import analysis
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import curves

TITLE = f"Figure 7 of {data_dependent.PAPER}: certified accuracy against radius, by the number K of steps"
KINDS = ["cohen", "ascent"]


def load(inputs: list[Path]) -> analysis.Logs:
    return data_dependent.read_logs(inputs, {(name, kind) for name in data_dependent.GAUSSIAN for kind in KINDS})


def draw(logs: analysis.Logs, settings: analysis.Settings, experiment: str) -> Figure:
    """A panel for each experiment and training sigma."""
    panels: dict[str, curves.Lines] = {}
    for name in data_dependent.GAUSSIAN:
        for kind in KINDS:
            for (sigma, steps), log in data_dependent.settings(logs, name, kind).items():
                lines = panels.setdefault(f"{data_dependent.name(name)}, σ = {sigma:g}", {})
                lines[f"K = {steps}" if kind == "ascent" else "fixed σ"] = {(sigma, steps): log}
    caption = f"{TITLE}. {experiment}. σ: of the training, from which the steps of Algorithm 1 start."
    return curves.draw(panels, caption)
