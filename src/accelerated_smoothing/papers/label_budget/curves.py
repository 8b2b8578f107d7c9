"""Figure 1: the quality of surrogates against draws per training image."""

import matplotlib.figure
import pandas as pd
from matplotlib.ticker import PercentFormatter

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.papers import label_budget as paper
from accelerated_smoothing.papers.label_budget import budgets

TITLE = "Figure 1: surrogates against draws per training image"
PANELS = {"divergence": "JS divergence (nats)", "kept": "ACR / Cohen's", "exceeds": "images that exceed"}

LOSSES = {"jensen-shannon": "Jensen-Shannon", "cross-entropy": "Cross-entropy"}


def label(row: pd.Series) -> str:
    """Return a way of training in words."""
    fresh, start = (", fresh draws" if row["fresh"] else ""), (", from f" if row["from_base"] else "")
    return LOSSES[row["loss"]] + fresh + start


def lines(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of one noise level by way of training, each in ascending order of draws."""
    groups = table.groupby(["loss", "fresh", "from_base"], sort=False)
    return {label(rows.iloc[0]): rows.sort_values("draws") for _, rows in groups}


def draw(logs: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw divergence, ACR and images that exceed against draws, a column per noise level."""
    table = budgets.make(logs, settings)
    sigmas = sorted(table["sigma"].unique())
    text = (
        f"{TITLE}. {caption}. Means over {table['seeds'].max()} seeds; bars: one standard deviation. The paper takes "
        f"{budgets.PAPER_DRAWS:,} draws. Surrogates are estimated: on images that exceed, their radius is above the "
        "one that N draws certify."
    )
    figure = style.figure(max(6.5, 3.4 * len(sigmas)), 7.6, text)
    grid = figure.subplots(len(PANELS), len(sigmas), squeeze=False, sharex=True)
    for column, sigma in zip(grid.T, sigmas, strict=True):
        ways = lines(table[table["sigma"] == sigma])
        looks = style.looks(dict.fromkeys(ways, "estimated"))
        for axes, (measure, words) in zip(column, PANELS.items(), strict=True):
            for way, rows in ways.items():
                spread = rows["ACR_sd"] / rows["cohen"] if measure == "kept" else rows[f"{measure}_sd"]
                axes.errorbar(rows["draws"], rows[measure], spread, label=way, capsize=2, **looks[way])
            axes.set(xscale="log", ylabel=words)
            if measure != "divergence":
                axes.yaxis.set_major_formatter(PercentFormatter(1))
        column[0].set_ylim(bottom=0)
        column[0].set_title(f"σ = {sigma:g}", loc="left")
        column[-1].set_xlabel("draws per training image, all epochs together")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    return figure


def words(logs: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what the figure shows, with the divergence of each way of training."""
    table = budgets.make(logs, settings)
    parts = []
    for sigma in sorted(table["sigma"].unique()):
        ways = "; ".join(
            f"{way} {', '.join(f'{y:.4f} with {x}' for x, y in zip(rows['draws'], rows['divergence'], strict=True))}"
            for way, rows in lines(table[table["sigma"] == sigma]).items()
        )
        parts.append(f"At σ = {sigma:g}, mean divergence with draws per training image: {ways}.")
    shown = ", ".join(PANELS.values())
    return f"Curves against draws per training image, a column for each σ: {shown}. {' '.join(parts)}"


FIGURES = {
    "figure1": Figure(title=TITLE, inputs=paper.inputs, load=paper.load, draw=draw, words=words, caption=paper.caption)
}
