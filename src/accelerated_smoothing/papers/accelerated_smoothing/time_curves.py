"""Figure 1: certification time per image against the number of samples N (section V-C)."""

import matplotlib.figure
import pandas as pd
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.papers import captions
from accelerated_smoothing.papers.accelerated_smoothing import times

TITLE = "Figure 1: certification time per image against the number of samples N"


def caption(run: Run) -> str:
    """Return what was run, in words."""
    config = run.config()
    return captions.join(config, captions.base(config), captions.samples(config), f"sigma = {config.timing.sigma}")


def draw(timings: pd.DataFrame, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw medians in milliseconds, with bars from the first to the third quartile, on logarithmic axes.

    Args:
        timings: with the columns of `times.COLUMNS`.
    """
    images, repeats = analysis.index_set(timings["image"].unique()), timings["repeat"].nunique()
    arithmetic = timings["arithmetic"].iloc[0]
    text = (
        f"{TITLE}. {caption}, {arithmetic}. Medians and quartiles of {repeats} repeats on each of {images}; one whole "
        "certificate at a time, from the image to its radius."
    )
    figure = style.figure(6, 4, text)
    axes = figure.subplots()
    guarantees = dict(zip(timings["method"], timings["guarantee"], strict=True))
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


def words(timings: pd.DataFrame, settings: analysis.Settings) -> str:
    """Return what the figure shows."""
    table = times.make(timings, settings).set_index("method")
    first, last = table.columns[[0, -1]]
    lines = [
        f"{method} takes {row[first]:.3g} ms at {style.spaced(first)} and {row[last]:.3g} ms at {style.spaced(last)}"
        for method, row in table.iterrows()
    ]
    return f"Lines, both axes logarithmic: median time per image against the number of samples N. {'; '.join(lines)}."


FIGURES = {
    "figure1": Figure(
        title=TITLE,
        inputs=lambda run: [run.timing()],
        files=1,
        load=times.load,
        draw=draw,
        words=words,
        caption=caption,
    )
}
