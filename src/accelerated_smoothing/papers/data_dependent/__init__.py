"""Tables and figures of Data-Dependent Randomized Smoothing (Alfarra et al. 2022).

FS certifies with the sigma of the training, DS with a sigma_x of each image's own, from Algorithm 1 and memory-based.
A log lies at `<experiment>/certificates/sigma<s>/<method>.tsv`; an experiment is a way of training, `-ds` that by
Algorithm 2.
"""

import re
from pathlib import Path

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError

PAPER = "Data-Dependent Randomized Smoothing"
NAMES = {"cohen": "Cohen", "smoothadv": "SmoothAdv", "macer": "MACER", "yang": "Yang"}
GAUSSIAN = [name + way for name in ("cohen", "smoothadv", "macer") for way in ("", "-ds")]
GUARANTEES = {"cohen": "sound", "ascent": "memory", "grid": "memory"}
MEMORY = (
    "Memory: the radii hold of the memory-enhanced classifier only, whose answers depend on what it was asked before; "
    "a sigma of each image's own certifies nothing by itself."
)


def name(experiment: str) -> str:
    """A way of training in words: `MACER`, or `MACER-DS` by Algorithm 2."""
    way, _, ds = experiment.partition("-")
    return NAMES[way] + (f"-{ds.upper()}" if ds else "")


def read_logs(paths: list[Path], wanted: set[tuple[str, str]]) -> analysis.Logs:
    """Certificates by (training sigma, `<experiment>/<method>`), all of the same images.

    Args:
        wanted: pairs of an experiment and a kind of method, which is its name without the number.

    Raises:
        InputError: a broken log, one at another place or of another kind, or logs of different images.
    """

    def method(path: Path) -> str:
        try:
            experiment = path.resolve().parents[2].name
        except IndexError:
            experiment = ""
        kind = split(path.stem)[0]
        if (experiment, kind) not in wanted:
            would = ", ".join(sorted(f"{a}/certificates/sigma*/{b}" for a, b in wanted))
            raise InputError(f"{path}: found {kind!r} of experiment {experiment!r}; of these a log would do: {would}")
        return f"{experiment}/{path.stem}"

    logs = analysis.read_logs(paths, method)
    for (sigma, key), log in logs.items():
        found, right = analysis.guarantee(log), GUARANTEES.get(split(key.partition("/")[2])[0])
        if right and found != right:
            raise InputError(f"{key} at sigma {sigma}: its radii are marked {found}; {right} ones would do")
    return logs


def split(method: str) -> tuple[str, int]:
    """`ascent100` as ("ascent", 100), `cohen` as ("cohen", 0)."""
    found = re.fullmatch(r"(.*?)(\d*)", method)
    assert found is not None
    return found[1], int(found[2] or 0)


def settings(logs: analysis.Logs, experiment: str, kind: str) -> dict[tuple[float, int], pd.DataFrame]:
    """Logs of one experiment and one kind of method by (training sigma, number of the method), ascending."""
    found = {}
    for (sigma, key), log in logs.items():
        of, _, method = key.partition("/")
        if of == experiment and split(method)[0] == kind:
            found[sigma, split(method)[1]] = log
    return dict(sorted(found.items()))


def words(sigma: float, steps: int) -> str:
    """A setting as a table's choice: `sigma=0.25,K=100`, or `sigma=0.25` where it takes no steps."""
    return f"sigma={sigma:g},K={steps}" if steps else f"sigma={sigma:g}"
