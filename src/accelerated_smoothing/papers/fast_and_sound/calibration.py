"""Figure 2: how far the surrogate's logit is from the true one, and what the calibrated belief makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.figure
import numpy as np

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.certify import beliefs
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting import counts, predictions
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import fast_and_sound as paper

TITLE = "Figure 2: error of the surrogate's logit against the sampled logit"
FILES = 3  # at each noise level: counts, predictions, belief


@dataclass(frozen=True)
class Level:
    """The images at one noise level.

    Attributes:
        sigma: of the noise.
        depth: of the surrogate.
        sampled: [images] logit of the share of N draws in the surrogate's top class.
        raw: [images] logit of the surrogate's probability of it.
        mean, spread: [images] of the belief about the true logit.
        inside: [images] whether N draws leave some class unseen; at all or no draws a logit is a bound only.
    """

    sigma: float
    depth: int
    sampled: np.ndarray
    raw: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    inside: np.ndarray


def inputs(run: Run) -> list[str]:
    """Return the counts, the surrogates' predictions and the belief of each noise level."""
    folder = f"{run.results}/{paper.REPLAYED}surrogates"
    return [
        path
        for sigma in run.config(paper.REPLAYED).sigmas
        for path in (
            run.counts(paper.REPLAYED, sigma, "test", "estimation"),
            f"{folder}/sigma{sigma}/predictions-test.npz",
            f"{folder}/sigma{sigma}/belief.npz",
        )
    ]


def load(paths: Sequence[Path]) -> list[Level]:
    """Read the files of each noise level.

    Raises:
        InputError: a file is broken, or they are not three of each noise level.
    """
    if len(paths) % FILES:
        raise InputError(f"INPUT must be counts, predictions and a belief of each noise level, got {len(paths)} files")
    return [level(*paths[first : first + FILES]) for first in range(0, len(paths), FILES)]


def level(counted: Path, predicted: Path, believed: Path) -> Level:
    """Read one noise level."""
    estimation, guesses, belief = counts.read(counted), predictions.read(predicted), beliefs.read(believed)
    n, depth = int(estimation.sizes[-1]), int(guesses.depths[0])
    top = guesses.of(depth).argmax(axis=1)
    k = np.take_along_axis(estimation.at(n), top[:, None], axis=1)[:, 0]
    raw, doubt = guesses.logits(depth, top), guesses.disagreement(top)
    mean, spread = belief.spread(depth, raw, doubt)
    sampled = np.log(k + 0.5) - np.log(n - k + 0.5)
    return Level(estimation.sigma, depth, sampled, raw, mean, spread, (k > 0) & (k < n))


def draw(levels: list[Level], settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw the error of each image before and after calibration, a panel per noise level."""
    text = (
        f"{TITLE}. {caption}. A point is an image: logit of the surrogate's probability of its top class, minus the "
        "logit of the share of N draws. Calibrated: the mean of the belief, which held-out training images gave, "
        "instead; the vertical lines are one standard deviation s of the belief. Grey: all N draws are in the class, "
        "so that the true logit is larger."
    )
    figure = style.figure(6.5, 1.4 + 2.5 * len(levels), text)
    panels = figure.subplots(len(levels), squeeze=False)[:, 0]
    for axes, one in zip(panels, levels, strict=True):
        x, inside = one.sampled, one.inside
        raw, calibrated = one.raw - x, one.mean - x
        axes.errorbar(
            x[inside], calibrated[inside], one.spread[inside], fmt="none", ecolor="#56B4E9", elinewidth=0.5, alpha=0.5
        )
        axes.plot(
            x[inside], raw[inside], "^", color="#D55E00", markerfacecolor="white", label="surrogate", markersize=4
        )
        axes.plot(x[inside], calibrated[inside], "o", color="#0072B2", label="calibrated", markersize=3)
        axes.plot(x[~inside], calibrated[~inside], ".", color=style.GREY, label="all draws in the class", markersize=3)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set(ylabel="error of the logit")
        axes.set_title(f"σ = {one.sigma:g}, ResNet-{one.depth} surrogate: {_numbers(one)}", loc="left")
    panels[-1].set_xlabel("logit of the share of N draws in the surrogate's top class")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
    return figure


def _numbers(one: Level) -> str:
    raw, calibrated = (one.raw - one.sampled)[one.inside], (one.mean - one.sampled)[one.inside]
    return (
        f"error {raw.mean():+.2f} ± {raw.std():.2f}, calibrated {calibrated.mean():+.2f} ± {calibrated.std():.2f}, "
        f"median s {np.median(one.spread):.2f}"
    )


def words(levels: list[Level], settings: analysis.Settings) -> str:
    """Return what the figure shows."""
    parts = [f"At σ = {one.sigma:g}, mean and standard deviation: {_numbers(one)}." for one in levels]
    return (
        f"Points, a panel for each σ: the error of the surrogate's logit against the sampled logit. {' '.join(parts)}"
    )


FIGURES = {"figure2": Figure(title=TITLE, inputs=inputs, load=load, draw=draw, words=words, caption=paper.caption)}
