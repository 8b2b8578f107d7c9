"""The figure of `results/benchmarks.csv`: images per second of every way of counting, with their spread."""

import pandas as pd
from matplotlib.figure import Figure

from accelerated_smoothing.analysis import style


def draw(table: pd.DataFrame) -> Figure:
    """One panel a network, one bar a way: medians, with lines from the least to the greatest; ratios to the first."""
    counted = table[table["measure"] == "counting"]
    ways = list(counted["way"].unique())
    caption = (
        "Counting class predictions under noise, images per second: medians of "
        f"{counted['repeats'].max()} interleaved repeats, lines from the least to the greatest, times the first loop. "
        f"{table['machine'].iloc[0]}."
    )
    figure = style.figure(7, 3.2, caption)
    panels = figure.subplots(1, counted["subject"].nunique(), sharey=True)
    for axes, (arch, rows) in zip(panels, counted.groupby("subject", sort=False), strict=True):
        colours = [style.GREY if way.startswith("plain") else "#0072B2" for way in ways]
        spread = [rows["value"] - rows["low"], rows["high"] - rows["value"]]
        axes.barh(ways, rows["value"], xerr=spread, color=colours, ecolor="black", height=0.7)
        for place, (value, ratio) in enumerate(zip(rows["high"], rows["ratio"], strict=True)):
            axes.annotate(f"{ratio:.1f}x", (value, place), xytext=(4, 0), textcoords="offset points", va="center")
        axes.set(
            title=f"ResNet-{str(arch).removeprefix('resnet')}", xlabel="images/s", xlim=(0, rows["high"].max() * 1.25)
        )
        axes.grid(axis="y", visible=False)
    panels[0].invert_yaxis()
    return figure
