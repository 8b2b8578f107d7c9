"""Table 2: accuracy under l2-PGD attacks beside certified accuracy, and what attacks refute (section 3).

`natural` and `r=...` are of the classifier, so they are equal in all of its rows: the share of images that are
classified correctly, and that are also classified correctly after an attack of size r. `r=... certified` is the
certified accuracy of a method. `inside` counts pairs of an image and an attack no larger than its radius after which
the class certainly differs from the certified one; the last attack on an image has 0.999 of its soundly certified
radius. One such pair refutes a certificate without noise; a sound one has none. Under noise a certificate and a
prediction may each be wrong with probability alpha.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import captions, fars
from accelerated_smoothing.papers.fars import certificates

KEYS = ["classifier", "sigma", "certificate"]
COLUMNS = ["experiment", "idx", "label", "epsilon", "edge", "predict", "sure", "sigma"]


@dataclass(frozen=True)
class Attacked:
    """The predictions on attacked images.

    Attributes:
        epsilon: [images, sizes] sizes of the attacks. The first is 0, for the images themselves; then come those of all
            images, ascending; the last may be each image's own.
        label: [images].
        predict: [images, sizes] class.
        sure: [images, sizes] whether the prediction is certain, or significant under noise.
    """

    epsilon: np.ndarray
    label: np.ndarray
    predict: np.ndarray
    sure: np.ndarray

    def correct(self, r: float) -> np.ndarray:
        """Return whether each image is classified correctly, also after the attack of size r, [images]."""
        place = np.flatnonzero((self.epsilon == r).all(axis=0))
        if not len(place):
            sizes = ", ".join(f"{size:g}" for size in self.epsilon[0])
            raise InputError(f"--radii must be among the sizes of the attacks, {sizes}, got {r:g}")
        return (self.predict[:, [0, place[0]]] == self.label[:, None]).all(axis=1)

    def inside(self, log: pd.DataFrame) -> np.ndarray:
        """Return how many attacks on each image refute its certificate, [images]."""
        within = self.epsilon <= log["radius"].to_numpy()[:, None]
        other = self.predict != log["predict"].to_numpy()[:, None]
        return (within & other & self.sure & (self.epsilon > 0)).sum(axis=1)


@dataclass(frozen=True)
class Data:
    """Certificates, and the attacks on each classifier by experiment and sigma; all of the same images."""

    logs: pd.DataFrame
    attacks: dict[tuple[str, float], Attacked]


def inputs(run: Run) -> list[str]:
    """Return the certificates of Table 1, then the attacks on their classifiers."""
    homes = [fars.home(name) for name in [*fars.LAYERS, "mlp"]]
    return [
        *certificates.inputs(run),
        *(run.attacks(home, sigma) for home in homes for sigma in run.config(home).sigmas),
    ]


def caption(run: Run) -> str:
    """Return what was run, in words."""
    config = run.paper(fars.FOLDER)
    attack = config.attack
    attacks = f"attacks of {attack.steps} steps and {attack.restarts} starts, judged by {attack.n} draws where sampled"
    return captions.join(config, captions.base(config), captions.samples(config), attacks, captions.images(config))


def load(paths: Sequence[Path]) -> Data:
    """Read certificates of some classifiers, and the attacks on each of them.

    Raises:
        InputError: a broken log, logs of different images, or certificates without attacks.
    """
    tables = {path: _read(path) for path in paths}
    attacked = {path: table for path, table in tables.items() if "epsilon" in table}
    logs = analysis.read_logs([path for path in paths if path not in attacked])
    if logs.empty:
        raise InputError("INPUT must include certificates of the attacked classifiers, got none")
    idx = next(iter(analysis.groups(logs).values()))["idx"].to_numpy()
    attacks = {}
    for path, table in attacked.items():
        experiment, sigma, predictions = _attacks(path, table, idx)
        attacks[experiment, sigma] = predictions
    for key in analysis.groups(logs):
        if (key.experiment, key.sigma) not in attacks:
            raise InputError(f"INPUT must include the attacks on {key.experiment} at sigma {key.sigma:g}, got none")
    return Data(logs, attacks)


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, sep="\t")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} must be certificates or a log of attacks ({error})") from error


def _attacks(path: Path, log: pd.DataFrame, idx: np.ndarray) -> tuple[str, float, Attacked]:
    """Return the experiment and the sigma of a log of attacks, and the predictions on the images idx [images].

    Raises:
        InputError: a missing column, or other images.
    """
    for column in COLUMNS:
        if column not in log:
            raise InputError(f"{path} must have the column {column!r}; use logs that the verb attack wrote")
    log = log.sort_values(["edge", "epsilon"], kind="stable")
    log["size"] = log.groupby("idx").cumcount()  # the place of an attack among those on its image
    epsilon, label, predict, sure = (
        log.pivot(index="idx", columns="size", values=column).reindex(idx).to_numpy()
        for column in ("epsilon", "label", "predict", "sure")
    )
    common = epsilon[:, : log.loc[log["edge"] == 0, "size"].max() + 1]
    whole = len(log) == epsilon.size and not np.isnan([epsilon, label, predict, sure]).any()
    if not whole or (common != common[0]).any() or epsilon[0, 0] != 0:
        raise InputError(f"{path} must have each certified image at every size, got others; attack them again")
    predictions = Attacked(epsilon, label[:, 0].astype(int), predict.astype(int), sure == 1)
    return str(log["experiment"].iloc[0]), float(log["sigma"].iloc[0]), predictions


def make(data: Data, settings: analysis.Settings) -> pd.DataFrame:
    """Return one row per experiment, sigma and method."""
    rows = []
    for key, log in analysis.groups(data.logs).items():
        attacked = data.attacks[key.experiment, key.sigma]
        accuracy = {f"r={r:g}": attacked.correct(r).mean() for r in settings.radii}
        certified = zip(settings.radii, analysis.certified_accuracy(log, settings.radii), strict=True)
        rows.append(
            {
                "classifier": fars.short(key.experiment),
                "sigma": key.sigma,
                "certificate": key.method,
                "guarantee": analysis.guarantee(log),
                "natural": attacked.correct(0).mean(),
                **accuracy,
                **{f"r={r:g} certified": share for r, share in certified},
                "inside": int(attacked.inside(log).sum()),
            }
        )
    return pd.DataFrame(rows)


def behind(data: Data, settings: analysis.Settings, row: pd.Series, column: str) -> np.ndarray:
    """Return which images a share counts; for `inside`, those with a refuting attack, [images]."""
    key, log = next(
        (key, log)
        for key, log in analysis.groups(data.logs).items()
        if (fars.short(key.experiment), key.sigma, key.method) == tuple(row[KEYS])
    )
    attacked = data.attacks[key.experiment, key.sigma]
    if column.endswith(" certified"):
        return analysis.certified(log, float(column.removeprefix("r=").removesuffix(" certified")))
    if column.startswith("r="):
        return attacked.correct(float(column.removeprefix("r=")))
    if column == "natural":
        return attacked.correct(0)
    return attacked.inside(log) > 0 if column == "inside" else np.full(len(log), True)


def resample(data: Data, random: np.random.Generator) -> Data:
    """Draw a bootstrap sample of the images, the same for every log."""
    images = data.logs["idx"].nunique()
    rows = random.integers(images, size=images)
    attacks = {
        key: Attacked(attacked.epsilon[rows], attacked.label[rows], attacked.predict[rows], attacked.sure[rows])
        for key, attacked in data.attacks.items()
    }
    return Data(analysis.take(data.logs, rows), attacks)


TABLES = {
    "table2": Table(
        note="Columns r show the accuracy after attacks of size r, and r certified the share of images that the method "
        "certifies there. Inside counts the attacks that change a prediction within its certified radius: one of them "
        "refutes a certificate.",
        title="Table 2 of FaRS: accuracy under l2-PGD attacks of size r, what is certified there, and how many attacks "
        "inside a certified radius succeed",
        keys=KEYS,
        shares=frozenset({"natural"}),
        inputs=inputs,
        load=load,
        make=make,
        resample=resample,
        behind=behind,
        caption=caption,
        comparable=fars.comparable,
        reported="fars/table2.csv",
    )
}
