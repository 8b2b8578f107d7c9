"""Table 2: accuracy under l2-PGD attacks beside what is certified, and what attacks refute (section 3).

A log of attacks lies at `<experiment>/attacks/sigma<s>.tsv`, certificates at
`<experiment>/certificates/sigma<s>/<method>.tsv`.

`natural` and `r=...` are of the classifier, so they are the same in all rows of one: the share of images that are
classified correctly, and that still are after an attack of size r. `r=... certified` is what a method claims for it.
`inside` counts the pairs of an image and an attack no larger than its radius after which the class is surely another
than the certified one; the last attack on an image is of 0.999 of what is soundly certified for it. One such pair
refutes a certificate without noise, and of a sound one there is none to be found.
Under noise a certificate and a prediction may each be wrong with probability alpha.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.errors import InputError

TITLE = (
    "Table 2 of FaRS: accuracy under l2-PGD attacks of size r, what is certified there, and how many attacks inside a "
    "certified radius succeed"
)
KEYS = ["classifier", "sigma", "certificate"]
SHARES = {"natural"}  # and each r=...
COLUMNS = ["idx", "label", "epsilon", "edge", "predict", "sure", "sigma"]


@dataclass(frozen=True)
class Attacked:
    """What became of images.

    Attributes:
        epsilon: [images, sizes], the first 0: the images as they are; then those of all images, ascending; the last
            may be each image's own.
        label: [images].
        predict: [images, sizes] class.
        sure: [images, sizes] whether that is certain, or significant.
    """

    epsilon: np.ndarray
    label: np.ndarray
    predict: np.ndarray
    sure: np.ndarray

    def correct(self, r: float) -> np.ndarray:
        """[images] whether each is classified correctly, and still is after the attack of size r."""
        place = np.flatnonzero((self.epsilon == r).all(axis=0))
        if not len(place):
            told = ", ".join(f"{size:g}" for size in self.epsilon[0])
            raise InputError(f"--radii: found {r:g}, and attacks are of the sizes {told}; some of these would do")
        return (self.predict[:, [0, place[0]]] == self.label[:, None]).all(axis=1)

    def inside(self, log: pd.DataFrame) -> np.ndarray:
        """[images] how many attacks on each refute its certificate."""
        within = self.epsilon <= log["radius"].to_numpy()[:, None]
        other = self.predict != log["predict"].to_numpy()[:, None]
        return (within & other & self.sure & (self.epsilon > 0)).sum(axis=1)


@dataclass(frozen=True)
class Data:
    """Certificates by (sigma, `<experiment>/<method>`), and attacks by (sigma, experiment); all of the same images."""

    logs: analysis.Logs
    attacks: dict[tuple[float, str], Attacked]


def load(inputs: list[Path]) -> Data:
    """Certificates of some classifiers, and the attacks on each of them.

    Raises:
        InputError: a broken log, logs of different images, or certificates without attacks.
    """
    tried = [path for path in inputs if path.resolve().parent.name == "attacks"]
    logs = analysis.read_logs([path for path in inputs if path not in tried], _method)
    if not logs:
        raise InputError("INPUT: found no certificates; those of the classifiers that were attacked would do")
    idx = next(iter(logs.values()))["idx"].to_numpy()
    attacks = {}
    for path in tried:
        sigma, attacked = _read(path, idx)
        attacks[sigma, path.resolve().parents[1].name] = attacked
    for sigma, key in logs:
        name = key.partition("/")[0]
        if (sigma, name) not in attacks:
            file = f"{name}/attacks/sigma{sigma}.tsv"
            raise InputError(f"INPUT: found no attacks on {name} at sigma {sigma}; {file} would do")
    return Data(logs, attacks)


def _method(path: Path) -> str:
    """`<experiment>/<method>` of certificates."""
    parents = path.resolve().parents
    if len(parents) < 3 or parents[1].name != "certificates":
        raise InputError(
            f"{path}: lies neither at <experiment>/attacks/sigma<s>.tsv nor at "
            "<experiment>/certificates/sigma<s>/<method>.tsv; one of these would do"
        )
    return f"{parents[2].name}/{path.stem}"


def _read(path: Path, idx: np.ndarray) -> tuple[float, Attacked]:
    """The sigma of a log of attacks, and what became of the images idx [images].

    Raises:
        InputError: no such file, a missing column, or other images.
    """
    try:
        log = pd.read_csv(path, sep="\t")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a log of attacks ({error})") from error
    for column in COLUMNS:
        if column not in log:
            raise InputError(f"{path}: has no column {column!r}; the verb attack writes such logs")
    log = log.sort_values(["edge", "epsilon"], kind="stable")
    log["size"] = log.groupby("idx").cumcount()  # the place of an attack among those of its image
    epsilon, label, predict, sure = (
        log.pivot(index="idx", columns="size", values=column).reindex(idx).to_numpy()
        for column in ("epsilon", "label", "predict", "sure")
    )
    common = epsilon[:, : log.loc[log["edge"] == 0, "size"].max() + 1]
    whole = len(log) == epsilon.size and not np.isnan([epsilon, label, predict, sure]).any()
    if not whole or (common != common[0]).any() or epsilon[0, 0] != 0:
        raise InputError(f"{path}: is not of the images that are certified, each at every size; attack them again")
    return float(log["sigma"].iloc[0]), Attacked(epsilon, label[:, 0].astype(int), predict.astype(int), sure == 1)


def make(data: Data, settings: analysis.Settings) -> pd.DataFrame:
    """One row per experiment, sigma and method."""
    rows = []
    for (sigma, key), log in data.logs.items():
        experiment, _, method = key.partition("/")
        attacked = data.attacks[sigma, experiment]
        accuracy = {f"r={r:g}": attacked.correct(r).mean() for r in settings.radii}
        claimed = zip(settings.radii, analysis.certified_accuracy(log, settings.radii), strict=True)
        rows.append(
            {
                "classifier": experiment,
                "sigma": sigma,
                "certificate": method,
                "guarantee": analysis.guarantee(log),
                "natural": attacked.correct(0).mean(),
                **accuracy,
                **{f"r={r:g} certified": share for r, share in claimed},
                "inside": int(attacked.inside(log).sum()),
            }
        )
    return pd.DataFrame(rows)


def behind(data: Data, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """[images] which of them a share counts; of `inside`, those with such a pair."""
    log = data.logs[row["sigma"], f"{row['classifier']}/{row['certificate']}"]
    attacked = data.attacks[row["sigma"], row["classifier"]]
    if column.endswith(" certified"):
        return analysis.certified(log, float(column.removeprefix("r=").removesuffix(" certified")))
    if column.startswith("r="):
        return attacked.correct(float(column.removeprefix("r=")))
    if column == "natural":
        return attacked.correct(0)
    return attacked.inside(log) > 0 if column == "inside" else np.full(len(log), True)


def resample(data: Data, random: np.random.Generator) -> Data:
    """The same bootstrap sample of images from every log."""
    images = len(next(iter(data.logs.values())))
    rows = random.integers(images, size=images)
    logs = {key: log.iloc[rows].reset_index(drop=True) for key, log in data.logs.items()}
    attacks = {
        key: Attacked(of.epsilon[rows], of.label[rows], of.predict[rows], of.sure[rows])
        for key, of in data.attacks.items()
    }
    return Data(logs, attacks)
