"""The look of figures: colours, markers, words and fonts, the same in all of them.

Colours are Okabe and Ito's, which colour-blind readers can tell apart. Line styles and markers differ too, for grey
print. Solid lines and filled markers are sound or deterministic, each with colours and markers of its own. Dashed lines
and open markers are estimated. Dash-dotted lines and markers whose left half is filled are memory-based. Dotted lines
and markers whose lower half is filled are conformal.
"""

import re
import textwrap
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import matplotlib
from matplotlib.figure import Figure

# Each guarantee has its own list, so that a method keeps its look where methods of other guarantees are left out.
SOUND = [
    *(("#000000", "o", "-"), ("#0072B2", "s", "-"), ("#009E73", "D", "-"), ("#56B4E9", "v", "-")),
    *(("#CC79A7", "<", "-"), ("#E69F00", ">", "-"), ("#999933", "p", "-")),
]
DETERMINISTIC = [("#8C510A", "*", "-"), ("#7B3294", "h", "-"), ("#B8860B", "d", "-"), ("#A50F15", "8", "-")]
ESTIMATED = [
    ("#D55E00", "^", (0, (5, 1.5))),
    ("#CC79A7", "P", (0, (1.5, 1.2))),
    ("#E69F00", "X", (0, (5, 1.5, 1.2, 1.5))),
    ("#009E73", "p", (0, (2.5, 2.5))),
]
GREY = "#595959"
DASH_DOTTED = (0, (6, 1.5, 1.2, 1.5))
MEMORY = [
    (color, marker, DASH_DOTTED)
    for color, marker in zip(
        ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", GREY, "#8C510A"], "s^Dv<ph>", strict=True
    )
]
CONFORMAL = [
    (color, marker, (0, (1, 1.6)))
    for color, marker in zip(["#CC79A7", "#0072B2", "#E69F00", GREY], "o^sD", strict=True)
]
GUARANTEES: dict[str, list[tuple[str, str, Any]]] = {
    "deterministic": DETERMINISTIC,
    "sound": SOUND,
    "memory": MEMORY,
    "conformal": CONFORMAL,
    "estimated": ESTIMATED,
}
HALVES = {"memory": "left", "conformal": "bottom"}  # of markers that are filled

T = TypeVar("T", bound=Hashable)

# Matplotlib reads these when a figure is saved, so they are set here and not around the drawing. Text stays text in an
# SVG. The salt makes the ids of an SVG, and so the file, the same every time.
matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        "svg.hashsalt": "accelerated-smoothing",
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.titlesize": 9,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.fontsize": 8.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#D9D9D9",
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.5,
        "lines.markersize": 5.5,
        "lines.markeredgewidth": 1.2,
        "figure.facecolor": "white",
        "savefig.facecolor": "white",
    }
)


def name(method: str) -> str:
    """Return a method in words: `Cohen`, `ResNet-20 surrogate`."""
    surrogate = re.fullmatch(r"resnet(\d+)", method)
    return f"ResNet-{surrogate[1]} surrogate" if surrogate else method[:1].upper() + method[1:]


def label(method: str, guarantee: str, n: int | None = None) -> str:
    """Return a method in words with its guarantee: `Cohen, N = 1000 (sound)`.

    Args:
        guarantee: a key of `GUARANTEES`.
        n: number of samples, for a legend that shows it. A surrogate draws none, and a deterministic method neither.
    """
    samples = f", N = {n}" if n and guarantee != "estimated" else ""
    return f"{name(method)}{samples} ({guarantee})"


def looks(guarantees: Mapping[T, str]) -> dict[T, dict[str, Any]]:
    """Return line and marker of each method, by its place among those with the same guarantee.

    Args:
        guarantees: a key of `GUARANTEES` by method, in order.

    Returns:
        Keyword arguments of `Axes.plot` by method.
    """
    used = dict.fromkeys(GUARANTEES, 0)
    looks: dict[T, dict[str, Any]] = {}
    for method, guarantee in guarantees.items():
        styles = GUARANTEES[guarantee]
        color, marker, line = styles[used[guarantee] % len(styles)]
        used[guarantee] += 1
        face = "white" if guarantee == "estimated" else color
        looks[method] = {"color": color, "marker": marker, "linestyle": line, "markerfacecolor": face}
        if guarantee in HALVES:
            looks[method] |= {"fillstyle": HALVES[guarantee], "markerfacecoloralt": "white"}
    return looks


def figure(width: float, height: float, caption: str) -> Figure:
    """Return an empty figure.

    Args:
        width, height: inches.
        caption: text below the drawing, in small type.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    text = caption.replace(" = ", "\u00a0=\u00a0")  # no line breaks around these
    lines = textwrap.wrap(text, int(width * 17))  # 8 pt type has about 17 letters an inch
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=GREY, linespacing=1.3)
    return figure


def spaced(setting: str) -> str:
    """Return a column such as `r=0.25` for running text, as `r = 0.25` without a line break."""
    return setting.replace("=", "\u00a0=\u00a0")
