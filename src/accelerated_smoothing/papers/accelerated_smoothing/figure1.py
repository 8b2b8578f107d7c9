"""Figure 1: certification time per image against the number of samples N (section V-C)."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.papers.accelerated_smoothing import table2

TITLE = "Figure 1: certification time per image against the number of samples N"
FILES = table2.FILES
load = table2.load


def draw(timings: pd.DataFrame, settings: analysis.Settings, experiment: str) -> Figure:
    """Medians, with bars from the first to the third quartile, milliseconds, both axes logarithmic.

    Args:
        timings: columns method, sound, n, image, repeat, seconds.
    """
    images, repeats = analysis.index_set(timings["image"].unique()), timings["repeat"].nunique()
    arithmetic = timings["arithmetic"].iloc[0]
    caption = (
        f"{TITLE}. {experiment}, {arithmetic}. Medians and quartiles of {repeats} repeats on each of {images}; "
        "one whole certificate at a time, from the image to its radius."
    )
    figure = style.figure(6, 4, caption)
    axes = figure.subplots()
    of_methods = timings.groupby("method", sort=False)["sound"].first().items()
    guarantees = {str(method): "sound" if sound else "estimated" for method, sound in of_methods}
    looks = style.looks(guarantees)
    for method, rows in timings.groupby("method", sort=False):
        low, median, high = (rows.groupby("n")["seconds"].quantile(q) * 1000 for q in (0.25, 0.5, 0.75))
        axes.errorbar(
            median.index,
            median,
            yerr=[median - low, high - median],
            capsize=3,
            elinewidth=1,
            label=style.label(str(method), guarantees[str(method)]),
            **looks[str(method)],
        )
    axes.set(xscale="log", yscale="log", xlabel="number of samples N", ylabel="time per image (ms)")
    axes.set_xticks(sorted(timings["n"].unique()))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure
