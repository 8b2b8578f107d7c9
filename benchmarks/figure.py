"""The figure of `results/benchmarks.csv`: images per second of each way of counting, with their spread."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from accelerated_smoothing.analysis import style
from accelerated_smoothing.files import atomic

FORMATS: dict[str, dict[str, Any]] = {".svg": {"metadata": {"Date": None}}, ".png": {"dpi": 200}}


def draw(table: pd.DataFrame) -> Figure:
    """Return a figure with a panel for each network and a bar for each way.

    Bars are medians, lines reach from the minimum to the maximum, and labels are ratios to the first loop.
    """
    counted = table[table["measure"] == "counting"]
    ways = list(counted["way"].unique())
    caption = (
        "Counting class predictions under noise, images per second: medians of "
        f"{counted['repeats'].max()} interleaved repeats, lines from the minimum to the maximum, ratios to the first "
        f"loop. A {table['size'].iloc[0]} run. {table['machine'].iloc[0]}."
    )
    networks = counted["subject"].nunique()
    figure = style.figure(7, 3.2, caption)
    panels = figure.subplots(1, networks, sharey=True, squeeze=False)[0]
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


def save(csv: Path) -> None:
    """Write the figure of a CSV beside it, as SVG and PNG, if the CSV has rows of counting."""
    table = pd.read_csv(csv) if csv.exists() else pd.DataFrame({"measure": []})
    if "counting" not in set(table["measure"]):
        return
    figure = draw(table)
    for suffix, options in FORMATS.items():
        with atomic(csv.with_suffix(suffix)) as draft:
            figure.savefig(draft, format=suffix[1:], **options)
