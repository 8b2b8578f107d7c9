"""Figure 3: certified accuracy against time, for FaRS, Cohen et al. and Accelerated Smoothing. Not in the paper."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter
from matplotlib.transforms import Bbox

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import fars
from accelerated_smoothing.papers.fars import certificates

TITLE = f"Figure 3: certified accuracy against time, {fars.NAME}, Cohen et al. and Accelerated Smoothing"
NAMES = {
    "original": "FaRS, one layer",
    "lmt": "FaRS, one layer (LMT)",
    "backbone": "FaRS, network (LMT)",
    "mlp": "FaRS, MLP",
    "cohen": "Cohen on FaRS's network",
}
MARKER = 8  # of a marker, in points; so are the distances of a name from it, of which the nearest free one is used
AWAY = [7, *range(16, 100, 10)]
SIDES = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)]


def inputs(run: Run) -> list[str]:
    """Return the logs of Table 3 at the largest noise level that all experiments with noise have.

    Raises:
        InputError: they have none in common.
    """
    sampled = [run.config(home) for home in (fars.home("mlp"), fars.home("cohen"), "")]
    common = set.intersection(*(set(config.sigmas) for config in sampled))
    if not common:
        raise InputError("sigmas must have a value in common in fars/mlp, fars/cohen and the main experiment, got none")
    return certificates.inputs_beside(run, [max(common)])


def load(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the logs of Table 3, one of each method, those with noise at one level.

    Raises:
        InputError: as `fars.read_logs`, or several noise levels.
    """
    logs = certificates.load_beside(paths)
    keys = list(analysis.groups(logs))
    sigmas = sorted({key.sigma for key in keys})
    if len({sigma for sigma in sigmas if sigma}) > 1 or len({(key.experiment, key.method) for key in keys}) < len(keys):
        levels = ", ".join(map(str, sigmas))
        raise InputError(
            f"the certificates must be one of each method, at sigma 0 or at one noise level, got sigma {levels}"
        )
    return logs


def draw(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw step curves over all radii; below, certified accuracy at the largest of the radii against seconds."""
    groups = analysis.groups(logs)
    guarantees = {key: analysis.guarantee(log) for key, log in groups.items()}
    looks = style.looks(guarantees)
    (sigma,) = {key.sigma for key in groups if key.sigma}
    r = max(settings.radii)
    rates = [
        analysis.exceeds(log, groups[analysis.Key(fars.MAIN, sigma, "cohen")]).mean()
        for key, log in groups.items()
        if guarantees[key] == "estimated"
    ]
    exceeded = f", larger than the sampled one on {min(rates):.0%} to {max(rates):.0%} of the images" if rates else ""
    text = (
        f"{TITLE}. {caption}. Of {analysis.index_set(next(iter(groups.values()))['idx'].to_numpy())}; σ = {sigma:g} "
        "where there is noise. Deterministic: the radius holds with certainty, without samples. Sound: with "
        f"probability 1 - alpha. Estimated: a surrogate's radius without a proof{exceeded}. Seconds: median over "
        "images on the machine that certified them. A batch's time is shared equally. It includes the embedding, not "
        "training. LMT: Lipschitz-margin training."
    )
    figure = style.figure(7.2, 8, text)
    curves, points = figure.subplots(2)
    for place, (key, log) in enumerate(groups.items()):
        markers = (0.02 + 0.14 * place / len(groups), 0.14)  # shares of the diagonal; none hides another
        label = style.label(_name(key), guarantees[key], int(log["n"].iloc[0]))
        curves.plot(*analysis.curve(log), drawstyle="steps-pre", markevery=markers, label=label, **looks[key])
        (share,) = analysis.certified_accuracy(log, [r])
        points.plot(log["time"].median(), share, **looks[key], markersize=MARKER)
    end = 1.05 * max(log["radius"].max() for log in groups.values())
    curves.set(xlim=(0, end), ylim=(0, 1.05), yticks=np.linspace(0, 1, 6), ylabel="certified accuracy")
    curves.yaxis.set_major_formatter(PercentFormatter(1))
    curves.set_xlabel("radius r (ℓ₂, pixels of [0, 1])")
    points.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    points.set(xscale="log", xlabel="seconds per image", ylabel=f"certified accuracy at r = {r:g}")
    points.margins(x=0.2, y=0.1)
    figure.legend(*curves.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    figure.draw_without_rendering()  # now the positions of everything are final
    annotate(points, [_name(key) for key in groups])
    return figure


def words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what the figure shows, with the accuracies at the largest of the radii."""
    r = max(settings.radii)
    points = [
        f"{style.label(_name(key), analysis.guarantee(log))} {analysis.certified(log, r).mean():.1%} in "
        f"{log['time'].median():.3g} s"
        for key, log in analysis.groups(logs).items()
    ]
    return (
        "Falling curves of certified accuracy against the radius r; below, a point for each method: certified accuracy "
        f"at {style.spaced(f'r={r:g}')} against seconds per image. {'; '.join(points)}."
    )


def annotate(axes: Axes, names: list[str]) -> None:
    """Write a name beside each point, at the nearest place inside the axes that is free of points and other names.

    Args:
        axes: with one line per point, already drawn.
        names: of the lines. A name for which there is no free place is left out.
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
            text.set_in_layout(False)  # otherwise it moves when the figure is saved
            text.get_window_extent()  # computes its place
            box = Text.get_window_extent(text)  # of the text, without the line to the point
            if not box.count_overlaps(taken) and all(axes.bbox.contains(*corner) for corner in box.corners()):
                taken.append(box)
                break
            text.remove()


def _name(key: analysis.Key) -> str:
    """Return a line in words."""
    return NAMES.get(key.experiment, style.name(key.method))


FIGURES = {
    "figure3": Figure(title=TITLE, inputs=inputs, load=load, draw=draw, words=words, caption=fars.caption_with_main)
}
