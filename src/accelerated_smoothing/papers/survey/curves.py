"""Figures 1 and 2: what certificates buy with passes, and what classifiers buy with training."""

import matplotlib.figure
import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.papers import fast_and_sound
from accelerated_smoothing.papers import survey as paper
from accelerated_smoothing.papers.survey import certificates, classifiers

PASSES = "Figure 1: average certified radius against passes of a certificate"
TRAINING = "Figure 2: average certified radius against the cost of training"


def draw(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw ACR against mean passes: a panel for each noise level and base classifier."""
    table, groups = certificates.make(logs, settings), analysis.groups(logs)
    panels = [key for key in groups if key.method == paper.LINE]
    text = f"{PASSES}. {caption}. Black line: Cohen et al. with the same number of draws for every image."
    figure = style.figure(7.5, 1.6 + 2.6 * len(panels), text)
    looks = style.looks(dict(table[["method", "guarantee"]].to_numpy()))
    for axes, key in zip(figure.subplots(len(panels), squeeze=False)[:, 0], panels, strict=True):
        log, name = groups[key], paper.name(key.experiment)
        line = fast_and_sound.line(log, lambda radii: radii.mean(axis=0))
        before = float((log["passes"] - log["n"]).mean())
        at = np.array([before + n for n in fast_and_sound.sizes(log)])
        axes.plot(at, [line(passes) for passes in at], color="black", linewidth=1, label="Cohen at every size")
        for _, row in table[(table["sigma"] == key.sigma) & (table["classifier"] == name)].iterrows():
            look = looks[row["method"]] | {"linestyle": ""}
            axes.plot(row["passes"], row["ACR"], label=style.label(row["method"], row["guarantee"]), **look)
        axes.set(xscale="log", ylabel="ACR")
        axes.set_ylim(bottom=0)
        axes.set_title(f"{name}, \u03c3 = {key.sigma:g}", loc="left")
        axes.set_xlabel("mean passes for a certificate")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False)
    return figure


def words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what Figure 1 shows, with the ACR of each method."""
    parts = [
        f"{name}, \u03c3 = {sigma:g}: "
        + ", ".join(f"{row.method} {row.ACR:.3f} with {row.passes:.0f}" for row in rows.itertuples())
        for (sigma, name), rows in certificates.make(logs, settings).groupby(["sigma", "classifier"], sort=False)
    ]
    return f"Points beside Cohen et al.'s rising line: ACR against mean passes. {'. '.join(parts)}."


def draw_training(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw ACR against the seconds of training: a panel for each noise level."""
    table = classifiers.make(logs, settings)
    sigmas = sorted(table["sigma"].unique())
    text = f"{TRAINING}. {caption}. Certified by Cohen et al.'s procedure. Teachers and members are included."
    figure = style.figure(7.5, 1.2 + 3 * len(sigmas), text)
    for axes, sigma in zip(figure.subplots(len(sigmas), squeeze=False)[:, 0], sigmas, strict=True):
        for _, row in table[table["sigma"] == sigma].iterrows():
            axes.plot(row["training_seconds"], row["ACR"], "o", color="#0072B2")
            place = (row["training_seconds"], row["ACR"])
            axes.annotate(row["classifier"], place, (4, 3), textcoords="offset points", fontsize=7.5)
        axes.set(xscale="log", ylabel="ACR", xlabel="seconds of training")
        axes.set_ylim(bottom=0)
        axes.margins(x=0.15)
        axes.set_title(f"\u03c3 = {sigma:g}", loc="left")
    return figure


def training_words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what Figure 2 shows, with the ACR of each classifier."""
    parts = [
        f"\u03c3 = {sigma:g}: "
        + ", ".join(f"{row.classifier} {row.ACR:.3f} after {row.training_seconds:.0f} s" for row in rows.itertuples())
        for sigma, rows in classifiers.make(logs, settings).groupby("sigma")
    ]
    return f"Points: ACR against seconds of training, a panel for each \u03c3. {'. '.join(parts)}."


FIGURES = {
    "figure1": Figure(
        title=PASSES,
        inputs=paper.certificate_files,
        load=analysis.read_logs,
        draw=draw,
        words=words,
        caption=paper.caption,
    ),
    "figure2": Figure(
        title=TRAINING,
        inputs=paper.classifier_files,
        load=paper.load_classifiers,
        draw=draw_training,
        words=training_words,
        caption=paper.caption,
    ),
}
