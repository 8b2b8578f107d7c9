"""Figure 3: certified accuracy against radius for every method, one panel per noise level (section V-B)."""

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.noise import distribution
from accelerated_smoothing.papers.accelerated_smoothing import accuracy, caption

TITLE = "Figure 3: certified accuracy against radius"


def draw(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw step curves over all radii in pixels of [0, 1], noise levels from top to bottom."""
    groups = analysis.groups(logs)
    sigmas = sorted({key.sigma for key in groups})
    text = (
        f"{TITLE}. {caption}. Dotted vertical lines: the largest radius that N samples can certify. "
        "Estimated radii are guesses of what N samples would certify, and no proofs."
    )
    rates = [
        analysis.exceeds(log, reference).mean()
        for key, log in groups.items()
        if analysis.guarantee(log) == "estimated"
        and (reference := analysis.reference(groups, key, settings.reference)) is not None
    ]
    if rates:
        text += f" They exceed the sampled radius on {min(rates):.0%} to {max(rates):.0%} of the images."
    figure = style.figure(6, 1.3 + 2.3 * len(sigmas), text)
    panels = figure.subplots(len(sigmas), sharex=True, squeeze=False)[:, 0]
    end = 1.1 * max(log["radius"].max() for log in groups.values())
    looks = style.looks({key.method: analysis.guarantee(log) for key, log in groups.items()})
    norm = {"l1": "ℓ₁", "l2": "ℓ₂"}[distribution(logs["noise"].iloc[0]).NORM]
    for axes, sigma in zip(panels, sigmas, strict=True):
        at_sigma = {key.method: log for key, log in groups.items() if key.sigma == sigma}
        sampled = [log for log in at_sigma.values() if log["n"].iloc[0]]
        for n, radius in {int(log["n"].iloc[0]): limit(log) for log in sampled}.items():
            if radius < end:
                mark(axes, n, radius)
        for place, (method, log) in enumerate(at_sigma.items()):
            label = style.label(method, analysis.guarantee(log), int(log["n"].iloc[0]))
            markers = (0.01 + 0.12 * place / len(at_sigma), 0.12)  # shares of the diagonal; none hides another
            axes.plot(*analysis.curve(log), drawstyle="steps-pre", markevery=markers, label=label, **looks[method])
        images = analysis.index_set(next(iter(at_sigma.values()))["idx"].to_numpy())
        axes.set_title(f"σ = {sigma:g}: {images}", loc="left")
        axes.set(ylim=(0, 1.1), yticks=np.linspace(0, 1, 6), ylabel="certified accuracy")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
    panels[-1].set(xlim=(0, end or 1), xlabel=f"radius r ({norm}, pixels of [0, 1])")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    return figure


def limit(log: pd.DataFrame) -> float:
    """Return the radius that n samples of one class certify: sigma * Phi^-1(alpha ** (1 / n)) under Gaussian noise."""
    n, alpha, sigma, noise = (log[column].iloc[0] for column in ("n", "alpha", "sigma0", "noise"))
    return float(distribution(noise).radius(statistics.lower_bound(n, n, alpha), sigma))


def mark(axes: Axes, n: int, radius: float) -> None:
    """Draw a thin line at the largest radius of one number of samples."""
    axes.axvline(radius, color=style.GREY, linewidth=0.9, linestyle=":")
    axes.annotate(
        f"N = {n}", (radius, 1), xycoords=("data", "axes fraction"), xytext=(-3, -1), textcoords="offset points",
        ha="right", va="top", fontsize=8, color=style.GREY,
    )  # fmt: skip


def words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what the figure shows, with the accuracies at the first of the radii."""
    groups, r = analysis.groups(logs), settings.radii[0]
    panels = []
    for sigma in sorted({key.sigma for key in groups}):
        shares = ", ".join(
            f"{style.label(key.method, analysis.guarantee(log))} {analysis.certified(log, r).mean():.1%}"
            for key, log in groups.items()
            if key.sigma == sigma
        )
        panels.append(f"At σ = {sigma} and {style.spaced(f'r={r:g}')}: {shares}.")
    return f"Falling curves, a panel for each σ: certified accuracy against the radius r. {' '.join(panels)}"


FIGURES = {
    "figure3": Figure(
        title=TITLE,
        inputs=lambda run: run.certificates(sigmas=run.config().figure_sigmas),
        load=accuracy.load,
        draw=draw,
        words=words,
        caption=caption,
    )
}
