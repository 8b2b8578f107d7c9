"""Figure 8: gradient ascent and grid search for sigma_x, at the same number of evaluations (appendix B)."""

from pathlib import Path

from matplotlib.figure import Figure

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent
from accelerated_smoothing.papers.data_dependent import curves

TITLE = f"Figure 8 of {data_dependent.PAPER}: certified accuracy against radius, by gradient ascent and by grid search"
KINDS = ["cohen", "ascent", "grid"]


def load(inputs: list[Path]) -> analysis.Logs:
    """Logs of one experiment, with one number of steps.

    Raises:
        InputError: as `data_dependent.read_logs`, or several experiments or numbers of steps, or no log of a kind.
    """
    logs = data_dependent.read_logs(inputs, {(name, kind) for name in data_dependent.GAUSSIAN for kind in KINDS})
    experiments = {key.partition("/")[0] for _, key in logs}
    if len(experiments) > 1:
        raise InputError(f"found logs of {' and '.join(sorted(experiments))}; those of one experiment would do")
    methods = {key.partition("/")[2] for _, key in logs}
    for kind in KINDS:
        found = sorted(method for method in methods if data_dependent.split(method)[0] == kind)
        if not found or (kind == "ascent" and len(found) > 1):
            raise InputError(f"found {' and '.join(found) or 'no log'} of {kind}; one method of that kind would do")
    return logs


def draw(logs: analysis.Logs, settings: analysis.Settings, experiment: str) -> Figure:
    """A panel for each training sigma, and the envelopes over all of them."""
    (name,) = {key.partition("/")[0] for _, key in logs}
    lines: curves.Lines = {}
    for kind, words in {"cohen": "fixed σ", "ascent": "ascent, K = {}", "grid": "grid, n = {}"}.items():
        for (sigma, number), log in data_dependent.settings(logs, name, kind).items():
            lines.setdefault(words.format(number), {})[sigma, number] = log
    caption = (
        f"{TITLE}. {experiment}, {data_dependent.name(name)}. Both choose each image's sigma by as many evaluations "
        "of the base classifier: the ascent by K steps from σ, the training's; the grid with n samples at each point."
    )
    return curves.draw(curves.by_sigma(lines), caption)
