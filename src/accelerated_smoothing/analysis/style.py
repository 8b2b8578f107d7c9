"""How figures look: colours, markers, words and fonts, the same in all of them.

A figure is a module with

- `TITLE`: what it shows;
- `load(inputs)`: its data;
- `draw(data, settings, experiment)`: the figure, `experiment` in its caption.

Colours are Okabe and Ito's, told apart by colour-blind readers too; line styles and markers tell methods apart in grey
print. Solid lines and filled markers are sound, dashed lines and open markers estimated.
"""

import re
import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib
from matplotlib.figure import Figure

# Sound and estimated methods have their own lists, so a method keeps its looks where others are left out.
SOUND = [("#000000", "o", "-"), ("#0072B2", "s", "-"), ("#009E73", "D", "-"), ("#56B4E9", "v", "-")]
ESTIMATED = [
    ("#D55E00", "^", (0, (5, 1.5))),
    ("#CC79A7", "P", (0, (1.5, 1.2))),
    ("#E69F00", "X", (0, (5, 1.5, 1.2, 1.5))),
    ("#009E73", "p", (0, (2.5, 2.5))),
]
GREY = "#595959"

# Read when a figure is saved, so they are set here and not around the drawing. Text stays text in an SVG; the salt
# makes its ids, and with them the file, the same every time.
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


def label(method: str, sound: bool, n: int | None = None) -> str:
    """A method in words, and whether its radii are sound: `Cohen, N = 1000 (sound)`.

    Args:
        n: its number of samples, where a legend shall tell it; a surrogate takes none.
    """
    surrogate = re.fullmatch(r"resnet(\d+)", method)
    name = f"ResNet-{surrogate[1]} surrogate" if surrogate else method.capitalize()
    samples = "" if n is None or not sound else f", N = {n}"
    return f"{name}{samples} ({'sound' if sound else 'estimated'})"


def looks(sound: Mapping[str, bool]) -> dict[str, dict[str, Any]]:
    """Line and marker of each method, by its place among the sound or among the estimated ones.

    Args:
        sound: whether a method's radii are sound, by method, in order.

    Returns:
        Keyword arguments of `Axes.plot` by method.
    """
    taken = {True: 0, False: 0}
    found = {}
    for method, is_sound in sound.items():
        styles = SOUND if is_sound else ESTIMATED
        color, marker, line = styles[taken[is_sound] % len(styles)]
        taken[is_sound] += 1
        face = color if is_sound else "white"
        found[method] = {"color": color, "marker": marker, "linestyle": line, "markerfacecolor": face}
    return found


def figure(width: float, height: float, caption: str) -> Figure:
    """An empty figure.

    Args:
        width, height: inches.
        caption: below the drawing, in small type.
    """
    made = Figure(figsize=(width, height), layout="constrained")
    whole = caption.replace(" = ", "\u00a0=\u00a0")  # no line breaks around these
    lines = textwrap.wrap(whole, int(width * 17))  # 8 pt type has about 17 letters an inch
    made.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8, color=GREY, linespacing=1.3)
    return made
