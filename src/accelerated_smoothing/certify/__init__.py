"""Methods of certification, one file each.

A method is a module here with

- `SOUND`: whether its certificates hold with probability 1 - alpha, or rest on a surrogate's guess;
- `NEEDS`: which fields of `Evidence` it reads, so that the workflow builds those and no others;
- `Settings`: what the config's entry for it may say, `n` among it;
- `certify(evidence, settings)`: a table with one row per image.

Certificates are a TSV in the format of Cohen et al.'s logs: `idx label predict radius correct time` first.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelerated_smoothing.certify.statistics import ABSTAIN
from accelerated_smoothing.config import distribution_module
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import write_text

if TYPE_CHECKING:  # every verb reads the methods' flags, few need pandas, which takes long to import
    import pandas as pd

COLUMNS = ["idx", "label", "predict", "radius", "correct", "time"]


@dataclass(frozen=True)
class Evidence:
    """What a method may read, all of it about the same images.

    Attributes:
        alpha: a certificate fails with at most this probability.
        n0: draws that select or verify the top class.
        selection, estimation: counts of the base classifier, from independent draws.
        images: the images themselves.
        surrogate: weight file of h.
        base: weight file of f.
    """

    alpha: float
    n0: int
    selection: Counts | None = None
    estimation: Counts | None = None
    images: Images | None = None
    surrogate: Path | None = None
    base: Path | None = None

    def radius(self, p_lower: np.ndarray) -> np.ndarray:
        """[images] radii that bounds on the top class's probability certify under the noise of the counts, pixels."""
        assert self.selection is not None
        noise = distribution_module(self.selection.meta["noise"])
        return np.asarray(noise.radius(p_lower, self.selection.sigmas))

    def check(self, needs: tuple[str, ...]) -> None:
        """Refuse evidence that is incomplete, of different images, or mixed.

        Raises:
            InputError: naming the first fault.
        """
        for name in needs:
            if getattr(self, name) is None:
                raise InputError(f"--{name}: missing; this method needs {', '.join('--' + need for need in needs)}")
        parts = [part for part in (self.selection, self.estimation, self.images) if part is not None]
        for part in parts[1:]:
            if not np.array_equal(part.idx, parts[0].idx) or not np.array_equal(part.labels, parts[0].labels):
                raise InputError("the inputs speak of different images; pass those of one split and one slice")
        counted = [counts for counts in (self.selection, self.estimation) if counts is not None]
        for key in ("base", "sigma", "noise", "choice", "sigmas", "arithmetic"):
            if len({counts.meta.get(key) for counts in counted}) > 1:
                raise InputError(f"selection and estimation differ in {key}; count both again")
        if len(counted) == 2 and not np.array_equal(counted[0].sigmas, counted[1].sigmas):
            raise InputError("selection and estimation differ in the sigmas of their images; count both again")
        for key in ("dataset", "split"):
            if len({part.meta[key] for part in parts}) > 1:
                raise InputError(f"the inputs differ in {key}; pass those of one split of one dataset")
        if len(counted) == 2 and counted[0].meta["purpose"] == counted[1].meta["purpose"]:
            raise InputError("selection and estimation are the same draws; a bound from them would not hold")


def table(
    evidence: Evidence,
    predict: np.ndarray,
    radius: np.ndarray,
    seconds: np.ndarray,
    p_lower: np.ndarray,
    count: np.ndarray,
    n: int,
    sound: bool,
) -> "pd.DataFrame":
    """Certificates from counts, in the common format.

    Args:
        predict: [images] class; it abstains wherever the radius is 0.
        radius: [images] in [0,1] pixels.
        seconds: [images] time of one certificate.
        p_lower: [images] the bound, or the guess of it, on the top class's probability.
        count: [images] the count that p_lower comes from, out of n.
        sound: whether the radius holds with probability 1 - alpha. It does for no classifier whose sigma depends on the
            input, so where something chose the sigmas it is not marked so, whatever the method.
    """
    counts = evidence.selection
    assert counts is not None
    made = _common(counts, np.where(radius > 0, predict, ABSTAIN), radius, seconds)
    return made.assign(
        p_lower=p_lower,
        count=count,
        n=n,
        n0=evidence.n0,
        alpha=evidence.alpha,
        sigma=counts.sigmas,
        sigma0=counts.sigma,
        noise=counts.meta["noise"],
        sound=int(sound and counts.meta["choice"] is None),
        arithmetic=counts.meta["arithmetic"],
    )


def deterministic(
    images: Images,
    predict: np.ndarray,
    radius: np.ndarray,
    seconds: np.ndarray,
    description: dict[str, Any],
    arithmetic: str,
    sound: bool,
) -> "pd.DataFrame":
    """Certificates without samples, in the common format: n, n0 and alpha are 0.

    Args:
        predict: [images] class; it abstains nowhere, though the radius may be 0.
        radius, seconds: as for `table`.
        description: of the classifier; its sigma and noise are those of the training.
        sound: whether the radius holds, with certainty.
    """
    made = _common(images, predict, radius, seconds)
    sigma, noise = description["sigma"], description["noise"]
    zero = {"n": 0, "n0": 0, "alpha": 0.0}
    return made.assign(**zero, sigma=sigma, sigma0=sigma, noise=noise, sound=int(sound), arithmetic=arithmetic)


def _common(of: Counts | Images, predict: np.ndarray, radius: np.ndarray, seconds: np.ndarray) -> "pd.DataFrame":
    """The columns of Cohen et al.'s logs."""
    import pandas as pd

    given = predict != ABSTAIN
    return pd.DataFrame(
        {
            "idx": of.idx,
            "label": of.labels,
            "predict": predict,
            "radius": np.where(given, np.maximum(radius, 0.0), 0.0),
            "correct": (given & (predict == of.labels)).astype(int),
            "time": seconds,
        }
    )


def write(path: Path, certificates: "pd.DataFrame") -> None:
    """Write certificates as TSV; floats keep every digit, so nothing is rounded."""
    write_text(path, certificates.to_csv(sep="\t", index=False))


def read(path: Path) -> "pd.DataFrame":
    """Read a certification log in Cohen et al.'s format, ours or anyone's.

    Returns:
        The table; idx, label, predict and correct are integers, radius is a float.

    Raises:
        InputError: no such file, a missing column, or a broken row, with its number.
    """
    import pandas as pd

    try:
        log = pd.read_csv(
            path, sep="\t", dtype=str, keep_default_na=False, on_bad_lines="error", skip_blank_lines=False
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a certification log is needed here") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a tab-separated log ({str(error).strip()})") from error
    needed = COLUMNS[:-1]
    for column in needed:
        if column not in log:
            raise InputError(f"{path}: has no column {column!r}; the first line must name {' '.join(needed)}")
    line = np.flatnonzero((log.fillna("") != "").any(axis=1)) + 2  # of the file, where empty lines count
    log = log.iloc[line - 2].reset_index(drop=True)
    if log.empty:
        raise InputError(f"{path}: has no row; certify at least one image")
    for column in [str(c) for c in log if c not in ("time", "arithmetic")]:
        numbers = pd.to_numeric(log[column], errors="coerce")
        whole = column in ("idx", "label", "predict", "correct")
        broken = ~np.isfinite(numbers) | (whole & (numbers % 1 != 0))
        if column == "radius":
            broken |= numbers < 0
        if column == "correct":
            broken |= ~numbers.isin([0, 1])
        if column not in needed and broken.any():
            continue  # other people's extra columns may hold anything
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise InputError(f"{path}: line {line[row]}: {column} is {log[column][row]!r}; a number was expected")
        log[column] = numbers.astype(int) if whole else numbers
    wrong = (log["correct"] == 1) != (log["predict"] == log["label"])
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(f"{path}: line {line[row]}: correct contradicts label and predict; one of the three is wrong")
    repeated = log["idx"].duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise InputError(f"{path}: line {line[row]}: image {log['idx'][row]} stands there twice; keep one row an image")
    return log
