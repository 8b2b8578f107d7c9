"""Figure 2: Cohen et al.'s certification and Accelerated Smoothing, side by side (section IV-C, Algorithm 1)."""

import matplotlib.figure
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.papers.accelerated_smoothing import caption

TITLE = "Figure 2: how a radius comes about, by sampling and by a surrogate"
WIDTH, HEIGHT = 7.4, 5.95  # of the drawing; all lengths are inches
# Middles and half heights of the rows.
ROWS = [(5.05, 0.25), (4.22, 0.35)] + [(y, 0.26) for y in (3.42, 2.64, 1.86, 1.08, 0.3)]
COHEN, SAMPLED, GUESSED = 1.3, 4.0, 6.2  # middles of the three columns
BOX = 2.05  # width of a box
ESTIMATED = "#D55E00"
# An invented image of 8x8 pixels; 1 is black.
RING = np.exp(-12 * (np.hypot(*np.mgrid[-1:1:8j, -1:1:8j]) - 0.62) ** 2)


def draw(data: None, settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw two flow charts. Solid frames are sampled, dashed frames are guessed by the surrogate."""
    text = (
        f"{TITLE}. Solid frames: sampled; dashed frames: guessed by the surrogate h. "
        "Both abstain where p is 1/2 or less."
    )
    figure = style.figure(WIDTH, HEIGHT + 0.5, text)
    axes = figure.subplots()
    axes.axis("off")

    heading(axes, COHEN, "Cohen et al.")
    image(axes, COHEN)
    pile(axes, COHEN, "N noisy\ncopies")
    box(axes, COHEN, 2, "base classifier f\nN forward passes")
    box(axes, COHEN, 3, "class counts")
    box(axes, COHEN, 4, "the count of class c, which\nn₀ other copies named")
    box(axes, COHEN, 5, "Clopper-Pearson:\nlower bound p from the count")
    box(axes, COHEN, 6, "radius σ Φ⁻¹(p), if p > 1/2\nsound with probability 1 - α")
    for row in range(1, len(ROWS)):
        down(axes, COHEN, row)

    axes.axvline((COHEN + SAMPLED) / 2, color="#BFBFBF", linewidth=0.8)

    middle = (SAMPLED + GUESSED) / 2
    heading(axes, middle, "Accelerated Smoothing")
    image(axes, middle)
    pile(axes, SAMPLED, "n₀ noisy\ncopies")
    box(axes, SAMPLED, 2, "base classifier f\nn₀ forward passes")
    box(axes, SAMPLED, 3, "PREDICT:\nclass c, or none")
    box(axes, GUESSED, 2, "surrogate h\none forward pass", dashed=True)
    box(axes, GUESSED, 3, "N h(x): guessed counts,\ntop class d", dashed=True)
    box(axes, middle, 4, "do they agree, c = d?", width=GUESSED - SAMPLED + BOX)
    box(axes, SAMPLED, 5, "Clopper-Pearson: p, as if\nN h(x) had been counted", dashed=True)
    box(axes, SAMPLED, 6, "radius σ Φ⁻¹(p), if p > 1/2\nestimated, no proof", dashed=True)
    box(axes, GUESSED, 5, "abstain")
    elbow(axes, middle - 0.25, SAMPLED, 1)
    elbow(axes, middle + 0.25, GUESSED, 2)
    for row in (2, 3, 4, 6):
        down(axes, SAMPLED, row)
    for row in (3, 4):
        down(axes, GUESSED, row)
    down(axes, SAMPLED, 5, "yes")
    down(axes, GUESSED, 5, "no")

    axes.set(xlim=(0, WIDTH), ylim=(0, HEIGHT), aspect="equal")
    return figure


def heading(axes: Axes, x: float, text: str) -> None:
    """Write the heading of a column."""
    axes.text(x, HEIGHT - 0.12, text, ha="center", va="center", fontsize=11, weight="bold")


def box(axes: Axes, x: float, row: int, text: str, dashed: bool = False, width: float = BOX) -> None:
    """Draw a box around a text, centred at x."""
    y, half = ROWS[row]
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - half),
            width,
            2 * half,
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor="#F5F5F5",
            edgecolor=ESTIMATED if dashed else "black",
            linewidth=1.4,
            linestyle=(0, (4, 1.5)) if dashed else "-",
        )
    )
    lines = text.split("\n")
    for place, line in enumerate(lines):  # line by line, so that each is centred in other fonts, too
        axes.text(x, y + 0.17 * ((len(lines) - 1) / 2 - place), line, ha="center", va="center_baseline")


def image(axes: Axes, x: float) -> None:
    """Draw the input image, with its name above it."""
    pixels(axes, x, ROWS[0][0], RING)
    axes.text(x, ROWS[0][0] + 0.35, "image x", ha="center", va="center")


def pile(axes: Axes, x: float, text: str) -> None:
    """Draw noisy copies of the image, with a text on their right."""
    random = np.random.default_rng(0)
    for shift in (0.1, 0.0, -0.1):
        noisy = RING + 0.35 * random.standard_normal(RING.shape)
        pixels(axes, x + shift, ROWS[1][0] + shift, noisy)
    axes.text(x + 0.48, ROWS[1][0], text, ha="left", va="center", linespacing=1.3)


def pixels(axes: Axes, x: float, y: float, values: np.ndarray) -> None:
    """Draw grey pixels in a frame, centred at (x, y), on top of earlier ones."""
    left, right, bottom, top = x - 0.25, x + 0.25, y - 0.25, y + 0.25
    order = 2 + len(axes.images) / 100
    axes.imshow(values, "gray_r", extent=(left, right, bottom, top), vmin=0, vmax=1, zorder=order)
    axes.plot([left, right, right, left, left], [bottom, bottom, top, top, bottom], "k", linewidth=0.8, zorder=order)


def down(axes: Axes, x: float, row: int, text: str = "") -> None:
    """Draw an arrow from the row above to this one."""
    (y, half), (above, half_above) = ROWS[row], ROWS[row - 1]
    arrow(axes, (x, above - half_above), (x, y + half), "arc3")
    axes.text(x + 0.08, (above - half_above + y + half) / 2, text, ha="left", va="center", fontsize=8.5)


def elbow(axes: Axes, side: float, x: float, row: int) -> None:
    """Draw an arrow from the side of the image at the top down to a row."""
    y, half = ROWS[row]
    arrow(axes, (side, ROWS[0][0]), (x, y + half), "angle,angleA=0,angleB=90,rad=4")


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
    """Draw an arrow, with a connection style of matplotlib."""
    props = {"arrowstyle": "-|>", "color": "black", "shrinkA": 0, "shrinkB": 0, "connectionstyle": style}
    axes.annotate("", end, start, arrowprops=props)


WORDS = (
    "Two flow charts side by side. Cohen et al.: from the image x to N noisy copies, N passes of the base classifier "
    "f, the count of the class that other copies named, its lower bound p by Clopper and Pearson, and the radius "
    "\u03c3 \u03a6\u207b\u00b9(p), which is sound. Accelerated Smoothing: a few noisy copies and f name a class or "
    "none; the surrogate h guesses all counts in one pass; where both name the same class, the bound and the radius "
    "are computed as if those counts had been sampled, which is estimated; else it abstains."
)

FIGURES = {
    "figure2": Figure(
        title=TITLE,
        inputs=lambda run: [],
        files=0,
        load=lambda paths: None,
        draw=draw,
        words=lambda data, settings: WORDS,
        caption=caption,
    )
}
