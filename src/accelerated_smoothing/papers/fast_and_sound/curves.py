"""Figures 1 and 3: what passes buy, as average certified radius and as certified accuracy."""

from collections.abc import Mapping

import matplotlib.figure
import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.config import Config
from accelerated_smoothing.noise import distribution
from accelerated_smoothing.papers import fast_and_sound as paper
from accelerated_smoothing.papers.fast_and_sound import budgets

TITLE = "Figure 1: average certified radius against mean passes per image"
ACCURACY = "Figure 3: certified accuracy against radius at equal mean passes"
FAMILIES = ("planned", "pilot", "spending", "cs", "oracle")  # names of methods without their budgets
POINTS = 60  # of the curve of the cap


def names(config: Config) -> list[str]:
    """Return the methods with budgets that are drawn, and the line with the surrogate's class."""
    wanted = [name for name in paper.methods(config, "budget") if _family(config.methods[name]) in FAMILIES]
    return [*([budgets.SURROGATES_LINE] if budgets.SURROGATES_LINE in config.rows else []), *wanted]


def _family(settings: Mapping[str, object]) -> str:
    """Return the certifier of a method with the paper's own settings, and "" for a variant."""
    variant = settings.get("top", "surrogate") != "surrogate" or settings.get("bound", "") == "randomized"
    return "" if variant else str(settings["certifier"])


def draw(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw ACR against passes, a panel per noise level."""
    sigmas = sorted(logs["sigma0"].unique())
    text = (
        f"{TITLE}. {caption}. Lines of Cohen et al.: the same number of draws for every image. Dotted: no method "
        "without randomization can exceed it with equal draws for every image, since n draws of one class certify a "
        "limited radius. Oracle: the plan if the probability of the top class were known; not a certificate. All "
        "others are sound."
    )
    figure = style.figure(6.5, 1.4 + 2.6 * len(sigmas), text)
    panels = figure.subplots(len(sigmas), squeeze=False)[:, 0]
    for axes, sigma in zip(panels, sigmas, strict=True):
        families = _families(logs, sigma)
        looks = style.looks({name: analysis.guarantee(family[0]) for name, family in families.items()})
        for name, family in families.items():
            looks[name] |= {"marker": ""} if name in budgets.LINES else {}
            axes.plot(*_curve(family), label=LABELS.get(name, style.name(name)), **looks[name])
        axes.plot(*cap(analysis.one(logs, sigma, paper.LINE)), linestyle=":", color=style.GREY, label="all-success cap")
        axes.set(xscale="log", ylabel="ACR", title="")
        axes.set_title(f"σ = {sigma:g}", loc="left")
        axes.set_ylim(bottom=0)
    panels[-1].set_xlabel("mean passes of the base classifier per image")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
    return figure


LABELS = {
    paper.LINE: "Cohen",
    budgets.SURROGATES_LINE: "Cohen, class of the surrogate",
    "cs": "Confidence sequence",
}


def _families(logs: pd.DataFrame, sigma: float) -> dict[str, list[pd.DataFrame]]:
    """Return the logs at a noise level by family of methods, and a line's at each of its sizes by its name."""
    families: dict[str, list[pd.DataFrame]] = {}
    for key, log in analysis.groups(logs).items():
        if key.sigma == sigma and key.method in budgets.LINES:
            families[key.method] = [paper.at_size(log, n) for n in paper.sizes(log)]
        elif key.sigma == sigma:
            families.setdefault(key.method.removesuffix(f"{log['budget'].iloc[0]:g}"), []).append(log)
    return families


def _curve(family: list[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Return mean passes, ascending, and the ACR with each."""
    points = sorted((log["passes"].mean(), analysis.average_certified_radius(log)) for log in family)
    return np.array(points)[:, 0], np.array(points)[:, 1]


def cap(log: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return draws, and the ACR if every image that N draws certify had all its draws in its class.

    No image gets more than the radius that N draws certify.
    """
    noise, alpha, sigma = (log[column].iloc[0] for column in ("noise", "alpha", "sigma0"))
    n = np.unique(np.geomspace(paper.sizes(log)[0], paper.sizes(log)[-1], POINTS).round())
    most = distribution(noise).radius(statistics.lower_bound(n, n, alpha), sigma)
    radii = np.minimum(log["radius"].to_numpy()[:, None], most) * log["correct"].to_numpy()[:, None]
    return n, radii.mean(axis=0)


def words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what Figure 1 shows, with the ACR of the plans."""
    parts = []
    for sigma in sorted(logs["sigma0"].unique()):
        whole = analysis.average_certified_radius(analysis.one(logs, sigma, paper.LINE))
        values = "; ".join(
            f"{name} {', '.join(f'{y:.3f} with {x:.0f}' for x, y in zip(*_curve(family), strict=True))}"
            for name, family in _families(logs, sigma).items()
            if name not in budgets.LINES
        )
        parts.append(f"At σ = {sigma:g}, Cohen's ACR is {whole:.3f} with all draws. ACR with mean passes: {values}.")
    return f"Rising curves, a panel for each σ: ACR against mean passes. {' '.join(parts)}"


def accuracy_names(config: Config) -> list[str]:
    """Return the methods of Figure 3: the plans of the second smallest budget."""
    wanted = [name for name in names(config) if name not in budgets.LINES]
    levels = sorted({config.method(name).budget for name in wanted})
    budget = levels[min(1, len(levels) - 1)]
    return [name for name in wanted if config.method(name).budget == budget]


def draw_accuracy(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw certified accuracy against radius, a panel per noise level."""
    sigmas = sorted(logs["sigma0"].unique())
    (budget,) = logs["budget"].dropna().unique()
    text = (
        f"{ACCURACY}. {caption}. Methods spend about {budget:g} passes per image on average. Cohen: as many draws for "
        "every image, and N draws. Oracle: not a certificate. All others are sound."
    )
    figure = style.figure(6.5, 1.4 + 2.4 * len(sigmas), text)
    panels = figure.subplots(len(sigmas), squeeze=False)[:, 0]
    for axes, sigma in zip(panels, sigmas, strict=True):
        logs_by_name = _at_budget(logs, sigma, budget)
        looks = style.looks({name: analysis.guarantee(log) for name, log in logs_by_name.items()})
        for place, (name, log) in enumerate(logs_by_name.items()):
            markers = (0.02 + 0.14 * place / len(logs_by_name), 0.14)  # shares of the diagonal; none hides another
            label = f"{name} ({log['passes'].mean():.0f} passes)"
            axes.plot(*analysis.curve(log), drawstyle="steps-pre", markevery=markers, label=label, **looks[name])
        axes.set_title(f"σ = {sigma:g}", loc="left")
        axes.set(ylim=(0, 1.05), yticks=np.linspace(0, 1, 6), ylabel="certified accuracy")
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.legend(frameon=False, fontsize=7.5)
    panels[-1].set_xlabel("radius r (pixels of [0, 1])")
    return figure


def _at_budget(logs: pd.DataFrame, sigma: float, budget: float) -> dict[str, pd.DataFrame]:
    """Return the certificates at one budget by their names in the legend, Cohen et al.'s first."""
    line = analysis.one(logs, sigma, paper.LINE)
    before = int((line["passes"] - line["n"]).iloc[0])
    within = [n for n in paper.sizes(line) if before + n <= budget]
    lines = {"Cohen, N draws": line}
    if within:
        lines["Cohen"] = paper.at_size(line, within[-1])
    for key, log in analysis.groups(logs).items():
        if key.sigma == sigma and key.method != paper.LINE:
            name = key.method.removesuffix(f"{budget:g}")
            lines[LABELS.get(name, style.name(name))] = log
    return lines


def accuracy_words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what Figure 3 shows, with accuracies at the first of the radii."""
    (budget,), r = logs["budget"].dropna().unique(), settings.radii[0]
    parts = []
    for sigma in sorted(logs["sigma0"].unique()):
        shares = ", ".join(
            f"{name} {analysis.certified(log, r).mean():.1%}" for name, log in _at_budget(logs, sigma, budget).items()
        )
        parts.append(f"At σ = {sigma:g} and {style.spaced(f'r={r:g}')}: {shares}.")
    return f"Falling curves, a panel for each σ: certified accuracy against the radius r. {' '.join(parts)}"


FIGURES = {
    "figure1": Figure(
        title=TITLE, inputs=paper.inputs(names), load=paper.load, draw=draw, words=words, caption=paper.caption
    ),
    "figure3": Figure(
        title=ACCURACY,
        inputs=paper.inputs(accuracy_names),
        load=paper.load,
        draw=draw_accuracy,
        words=accuracy_words,
        caption=paper.caption,
    ),
}
