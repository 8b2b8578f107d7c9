"""Panels of certified accuracy against radius, as in Figures 3 to 5, 7 and 8."""

import matplotlib.figure
import numpy as np
from matplotlib.ticker import PercentFormatter

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import best

Lines = dict[str, data_dependent.Logs]  # by the name of each line: the settings of which it is the envelope
Panels = dict[str, Lines]  # by the title of each panel


def draw(panels: Panels, caption: str) -> matplotlib.figure.Figure:
    """Draw step curves, each the envelope of its settings, two panels per row.

    Args:
        panels: lines of the same name look the same in all panels.
        caption: text below the panels, to which the images and the guarantees are added.
    """
    logs = {line: log for lines in panels.values() for line, several in lines.items() for log in several.values()}
    images = analysis.index_set(next(iter(logs.values()))["idx"].to_numpy())
    caption = f"{caption} Of {images}. Solid: sound; dash-dotted: memory. {data_dependent.MEMORY}"
    rows = -(-len(panels) // 2)
    figure = style.figure(7.2, 1.7 + 2.3 * rows, caption)
    grid = figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False)
    looks = style.looks({line: analysis.guarantee(log) for line, log in logs.items()})
    end = 0.0
    handles = {}
    for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
        for line, several in lines.items():
            radii, accuracy = best.envelope(list(several.values()))
            end = max(end, 1.05 * radii[-1])
            place = list(looks).index(line)
            markers = (0.02 + 0.14 * place / len(looks), 0.14)  # shares of the diagonal; none hides another
            (handles[line],) = axes.plot(radii, accuracy, drawstyle="steps-pre", markevery=markers, **looks[line])
            handles[line].set_label(f"{line} ({analysis.guarantee(logs[line])})")
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
    figure.legend(
        handles=[handles[line] for line in looks], loc="outside upper left", ncols=2, frameon=False, handlelength=4
    )
    return figure


def by_sigma(lines: Lines) -> Panels:
    """Return a panel for each training sigma, and one with the envelopes over all of them."""
    panels = {}
    for sigma in sorted({sigma for several in lines.values() for sigma, _ in several}):
        at_sigma = {
            line: {key: log for key, log in several.items() if key[0] == sigma} for line, several in lines.items()
        }
        panels[f"σ = {sigma:g}"] = {line: several for line, several in at_sigma.items() if several}
    return {**panels, "envelope: the best of all σ": lines}


def words(panels: Panels, settings: analysis.Settings) -> str:
    """Return what the panels show, with the accuracies at the first radius above 0."""
    r = next((r for r in settings.radii if r > 0), settings.radii[0])
    shown = []
    for title, lines in panels.items():
        shares = ", ".join(
            f"{line} ({analysis.guarantee(next(iter(several.values())))}) "
            f"{max(analysis.certified(log, r).mean() for log in several.values()):.1%}"
            for line, several in lines.items()
        )
        shown.append(f"{title}, at {style.spaced(f'r={r:g}')}: {shares}.")
    return f"Falling curves, {len(panels)} panels: certified accuracy against the radius r. {' '.join(shown)}"
