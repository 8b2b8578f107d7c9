"""Figure 3: certified accuracy against radius, every method, one panel a noise level (section V-B)."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.config import distribution_module

TITLE = "Figure 3: certified accuracy against radius"


def load(inputs: list[Path]) -> analysis.Logs:
    return analysis.read_logs(inputs)


def draw(logs: analysis.Logs, settings: analysis.Settings, experiment: str) -> Figure:
    """Step curves over all radii, in pixels of [0,1], noise levels from top to bottom."""
    sigmas = sorted({sigma for sigma, _ in logs})
    caption = (
        f"{TITLE}. {experiment}. Dotted vertical lines: the largest radius that N samples can certify. "
        "Estimated radii are guesses of what N samples would certify, and no proofs."
    )
    rates = [
        analysis.exceeds(log, logs[sigma, settings.reference]).mean()
        for (sigma, _), log in logs.items()
        if analysis.guarantee(log) == "estimated" and (sigma, settings.reference) in logs
    ]
    if rates:
        caption += f" They exceed the sampled radius on {min(rates):.0%} to {max(rates):.0%} of the images."
    figure = style.figure(6, 1.3 + 2.3 * len(sigmas), caption)
    panels = figure.subplots(len(sigmas), sharex=True, squeeze=False)[:, 0]
    end = 1.1 * max(log["radius"].max() for log in logs.values())
    guarantees = {method: analysis.guarantee(log) for (_, method), log in logs.items()}
    looks = style.looks(guarantees)
    norm = {"l1": "ℓ₁", "l2": "ℓ₂"}[distribution_module(next(iter(logs.values()))["noise"].iloc[0]).NORM]
    for axes, sigma in zip(panels, sigmas, strict=True):
        of_sigma = {method: log for (other, method), log in logs.items() if other == sigma}
        sampled = [log for log in of_sigma.values() if log["n"].iloc[0]]
        for n, radius in {int(log["n"].iloc[0]): limit(log) for log in sampled}.items():
            if radius < end:
                mark(axes, n, radius)
        for place, (method, log) in enumerate(of_sigma.items()):
            name = style.label(method, guarantees[method], int(log["n"].iloc[0]))
            markers = (0.01 + 0.12 * place / len(of_sigma), 0.12)  # shares of the diagonal; none hides another
            axes.plot(*curve(log), drawstyle="steps-pre", markevery=markers, label=name, **looks[method])
        images = analysis.index_set(next(iter(of_sigma.values()))["idx"].to_numpy())
        axes.set_title(f"σ = {sigma:g}: {images}", loc="left")
        axes.set(ylim=(0, 1.1), yticks=np.linspace(0, 1, 6), ylabel="certified accuracy")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    panels[-1].set(xlim=(0, end or 1), xlabel=f"radius r ({norm}, pixels of [0, 1])")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    return figure


def curve(log: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Certified accuracy at 0, at every radius where it changes, and 0 just behind the largest of them."""
    steps = np.unique(log.loc[log["correct"] == 1, "radius"])
    radii = np.concatenate([[0.0], steps, [np.nextafter(max(steps, default=0.0), np.inf)]])
    return radii, analysis.certified_accuracy(log, list(radii))


def limit(log: pd.DataFrame) -> float:
    """The radius that n samples of one class certify: sigma * Phi^-1(alpha ** (1 / n)) under Gaussian noise."""
    n, alpha, sigma, noise = (log[column].iloc[0] for column in ("n", "alpha", "sigma0", "noise"))
    return float(distribution_module(noise).radius(statistics.lower_bound(n, n, alpha), sigma))


def mark(axes: Axes, n: int, radius: float) -> None:
    """A thin line at the largest radius of one sample size."""
    axes.axvline(radius, color=style.GREY, linewidth=0.9, linestyle=":")
    axes.annotate(
        f"N = {n}", (radius, 1), xycoords=("data", "axes fraction"), xytext=(-3, -1), textcoords="offset points",
        ha="right", va="top", fontsize=8, color=style.GREY,
    )  # fmt: skip
