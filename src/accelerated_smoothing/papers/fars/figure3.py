"""Figure 3: what each second buys, by FaRS, Cohen et al. and Accelerated Smoothing; no paper's figure."""

import itertools
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Bbox

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import fars
from accelerated_smoothing.papers.accelerated_smoothing import figure3
from accelerated_smoothing.papers.fars import table3

TITLE = f"Figure 3: what each second of certification buys, {fars.PAPER}, Cohen et al. and Accelerated Smoothing"
NAMES = {
    "original": "FaRS, one layer",
    "lmt": "FaRS, one layer (LMT)",
    "backbone": "FaRS, network (LMT)",
    "mlp": "FaRS, MLP",
    "cohen": "Cohen on FaRS's network",
}
MARKER = 8  # points, like the distances of a name from its marker, of which the nearest free one is taken
AWAY = [7, *range(16, 100, 10)]
SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)]


def load(inputs: list[Path]) -> analysis.Logs:
    """Logs of table 3, one of each method, and all that have noise of one level.

    Raises:
        InputError: as `fars.read_logs`, or several noise levels.
    """
    logs = table3.load(inputs)
    sigmas = sorted({sigma for sigma, _ in logs})
    if len({sigma for sigma in sigmas if sigma}) > 1 or len({key for _, key in logs}) < len(logs):
        told = ", ".join(map(str, sigmas))
        raise InputError(f"found logs at sigma {told}; one of each method would do, at one noise level or none")
    return logs


def draw(logs: analysis.Logs, settings: analysis.Settings, experiment: str) -> Figure:
    """Step curves over all radii; below, certified accuracy at the largest of the radii against seconds per image."""
    own = {key: log for (_, key), log in logs.items()}
    guarantees = {key: analysis.guarantee(log) for key, log in own.items()}
    looks = style.looks(guarantees)
    (sigma,) = {sigma for sigma, _ in logs if sigma}
    r = max(settings.radii)
    rates = [
        analysis.exceeds(log, own[f"{fars.MAIN}/cohen"]).mean()
        for key, log in own.items()
        if guarantees[key] == "estimated"
    ]
    guesses = f" on {min(rates):.0%} to {max(rates):.0%} of the images they exceed the sampled radius." if rates else ""
    caption = (
        f"{TITLE}. {experiment}. Of {analysis.index_set(next(iter(own.values()))['idx'].to_numpy())}; σ = {sigma:g} "
        "where there is noise. Deterministic: the radius holds with certainty, without samples. Sound: with "
        f"probability 1 - alpha. Estimated: a surrogate's guesses, and no proofs;{guesses} Seconds: the median over "
        "images, each with its share of its batch's time, on the machine that certified them; the embedding is in "
        "them, and no training. LMT: Lipschitz-margin training."
    )
    drawn = style.figure(7.2, 8, caption)
    curves, points = drawn.subplots(2)
    for place, (key, log) in enumerate(own.items()):
        markers = (0.02 + 0.14 * place / len(own), 0.14)  # shares of the diagonal; none hides another
        label = style.label(_name(key), guarantees[key], int(log["n"].iloc[0]))
        curves.plot(*figure3.curve(log), drawstyle="steps-pre", markevery=markers, label=label, **looks[key])
        (share,) = analysis.certified_accuracy(log, [r])
        points.plot(log["time"].median(), share, **looks[key], markersize=MARKER)
    end = 1.05 * max(log["radius"].max() for log in own.values())
    curves.set(xlim=(0, end), ylim=(0, 1.05), yticks=np.linspace(0, 1, 6), ylabel="certified accuracy")
    curves.yaxis.set_major_formatter(PercentFormatter(1))
    curves.set_xlabel("radius r (ℓ₂, pixels of [0, 1])")
    points.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    points.set(xscale="log", xlabel="seconds per image", ylabel=f"certified accuracy at r = {r:g}")
    points.margins(x=0.2, y=0.1)
    drawn.legend(*curves.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    drawn.draw_without_rendering()  # from here on it is known where everything is
    annotate(points, [_name(key) for key in own])
    return drawn


def annotate(axes: Axes, names: list[str]) -> None:
    """Name each point, at the nearest place inside the axes where neither a point nor another name is, if there is one.

    Args:
        axes: one line a point, drawn already.
        names: of the lines.
    """
    places = [(float(x), float(y)) for line in axes.lines for x, y in np.asarray(line.get_xydata())]
    size = MARKER / 72 * axes.figure.dpi
    taken = [Bbox.from_bounds(x - size / 2, y - size / 2, size, size) for x, y in axes.transData.transform(places)]
    for name, place in zip(names, places, strict=True):
        for away, (right, up) in itertools.product(AWAY, SIDES):
            text = axes.annotate(
                name, place, xytext=(away * right, away * up), textcoords="offset points", fontsize=8,
                ha=("center", "left", "right")[right], va=("center", "bottom", "top")[up],
                arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": 0.6} if away > AWAY[0] else None,
            )  # fmt: skip
            text.set_in_layout(False)  # else its place would be another when the figure is saved
            text.get_window_extent()  # finds its place
            box = Text.get_window_extent(text)  # of the words, without the line to the point
            if not box.count_overlaps(taken) and all(axes.bbox.contains(*corner) for corner in box.corners()):
                taken.append(box)
                break
            text.remove()


def _name(key: str) -> str:
    """A line in words."""
    experiment, _, method = key.partition("/")
    return NAMES.get(experiment, style.name(method))
