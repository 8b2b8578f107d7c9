"""Panels of certified accuracy against radius: what figures 3 to 5, 7 and 8 have in common."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best

Lines = dict[str, dict[tuple[float, int], pd.DataFrame]]  # the settings of which each line is the best, by its name


def draw(panels: dict[str, Lines], caption: str) -> Figure:
    """Step curves, each the envelope of its settings, two panels a row.

    Args:
        panels: lines by the panel's title; a line of the same name looks the same in all of them.
    """
    logs = {line: log for lines in panels.values() for line, several in lines.items() for log in several.values()}
    images = analysis.index_set(next(iter(logs.values()))["idx"].to_numpy())
    caption = f"{caption} Of {images}. Solid: sound; dash-dotted: memory. {data_dependent.MEMORY}"
    rows = -(-len(panels) // 2)
    figure = style.figure(7.2, 1.7 + 2.3 * rows, caption)
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    looks = style.looks({line: analysis.guarantee(log) for line, log in logs.items()})
    end = 0.0
    shown = {}
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        for line, several in lines.items():
            radii, accuracy = best.envelope(list(several.values()))
            end = max(end, 1.05 * radii[-1])
            place = list(looks).index(line)
            markers = (0.02 + 0.14 * place / len(looks), 0.14)  # shares of the diagonal; none hides another
            (shown[line],) = axes.plot(radii, accuracy, drawstyle="steps-pre", markevery=markers, **looks[line])
            shown[line].set_label(f"{line} ({analysis.guarantee(logs[line])})")
        axes.set_title(title, loc="left")
        axes.set(ylim=(0, 1.05), yticks=np.linspace(0, 1, 6))
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.tick_params(labelbottom=True)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    grid[0, 0].set_xlim(0, end)
    figure.supylabel("certified accuracy", fontsize=9)
    for axes in grid.flat[max(len(panels) - 2, 0) : len(panels)]:
        axes.set_xlabel("radius r (ℓ₂, pixels of [0, 1])")
    handles = [shown[line] for line in looks]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, handlelength=4)
    return figure


def by_sigma(lines: Lines) -> dict[str, Lines]:
    """A panel for each training sigma, and one of the envelopes over all of them."""
    panels = {}
    for sigma in sorted({sigma for several in lines.values() for sigma, _ in several}):
        own = {line: {key: log for key, log in several.items() if key[0] == sigma} for line, several in lines.items()}
        panels[f"σ = {sigma:g}"] = {line: several for line, several in own.items() if several}
    return {**panels, "envelope: the best of all σ": lines}


def compare(logs: analysis.Logs, settings: analysis.Settings, experiment: str, title: str, rows: best.Rows) -> Figure:
    """A panel for each training sigma, and the envelopes over all of them; of DS the best K at each radius.

    Args:
        rows: of the table of the same experiments.
    """
    ways = {("FS", "FS"): "", ("FS", "DS"): "-DS", ("DS", "DS"): "-DS²"}
    base = data_dependent.name(rows["FS", "FS"][0])
    lines = {base + way: data_dependent.settings(logs, *rows[key]) for key, way in ways.items()}
    caption = (
        f"{title}. {experiment}. σ: of the training; {base} certifies with it, too. -DS: certified with a sigma of "
        "each image's own; -DS²: trained so, too; of both at each radius the best number K of steps for these images."
    )
    return draw(by_sigma(lines), caption)
