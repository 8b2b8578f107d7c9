"""Certificates as files: tab-separated, one row per image, in the format of Cohen et al.'s logs.

`COLUMNS` come first, as in their logs. Our logs then say what they are (`IDENTITY`): `experiment`, `method`,
`guarantee`, and `passes`, the passes of the base classifier spent on the image. A method may add further columns.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from accelerated_smoothing.certify.statistics import ABSTAIN
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import write_text

if TYPE_CHECKING:  # the command line imports every method, and pandas takes long to import
    import pandas as pd

COLUMNS = ["idx", "label", "predict", "radius", "correct", "time"]
IDENTITY = ["experiment", "method", "guarantee", "passes"]
INTEGERS = ("idx", "label", "predict", "correct")
TEXT = ("time", "experiment", "method", "guarantee", "noise", "arithmetic")  # Cohen et al. write time as 0:00:12.3


def table(
    idx: np.ndarray,
    labels: np.ndarray,
    predict: np.ndarray,
    radius: np.ndarray,
    seconds: np.ndarray,
    **columns: Any,
) -> "pd.DataFrame":
    """Return certificates in the common format.

    Args:
        idx: [images] positions in the split.
        labels: [images] true classes.
        predict: [images] predicted classes, or `ABSTAIN`.
        radius: [images] in pixels of [0, 1]; 0 is written where the method abstains.
        seconds: [images] time of one certificate.
        columns: the columns of `IDENTITY`, then those that the method adds: [images] or one value for all.
    """
    import pandas as pd

    certified = predict != ABSTAIN
    return pd.DataFrame(
        {
            "idx": idx,
            "label": labels,
            "predict": predict,
            "radius": np.where(certified, np.maximum(radius, 0.0), 0.0),
            "correct": (certified & (predict == labels)).astype(int),
            "time": seconds,
        }
    ).assign(**columns)


def write(path: Path, certificates: "pd.DataFrame") -> None:
    """Write certificates. Floats keep every digit, so no radius is rounded."""
    write_text(path, certificates.to_csv(sep="\t", index=False))


def read(path: Path) -> "pd.DataFrame":
    """Read a log in Cohen et al.'s format, ours or anyone's.

    Returns:
        The table: idx, label, predict and correct as integers, radius as a float. Other columns are numbers where all
        their values are, and text otherwise.

    Raises:
        InputError: the file or a column is missing, or a row is broken; the message gives its line in the file.
    """
    import pandas as pd

    try:
        log = pd.read_csv(
            path, sep="\t", dtype=str, keep_default_na=False, on_bad_lines="error", skip_blank_lines=False
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; a certification log is needed here") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} must be a tab-separated log ({str(error).strip()})") from error
    required = [column for column in COLUMNS if column != "time"]
    for column in required:
        if column not in log:
            raise InputError(f"{path} must have the column {column!r}; its first line names {' '.join(required)}")
    lines = np.flatnonzero((log.fillna("") != "").any(axis=1)) + 2  # in the file, where empty lines count
    log = log.iloc[lines - 2].reset_index(drop=True)
    if log.empty:
        raise InputError(f"{path} must have at least one row; certify at least one image")
    for column in [str(name) for name in log if name not in TEXT]:
        numbers = pd.to_numeric(log[column], errors="coerce")
        whole = column in INTEGERS
        broken = ~np.isfinite(numbers) | (whole & (numbers % 1 != 0))
        if column == "radius":
            broken |= numbers < 0
        if column == "correct":
            broken |= ~numbers.isin([0, 1])
        if column not in required and broken.any():
            continue  # additional columns of other people may hold anything
        if broken.any():
            row = int(np.flatnonzero(broken)[0])
            raise InputError(f"{path}: line {lines[row]}: {column} must be a number, got {log[column][row]!r}")
        log[column] = numbers.astype(int) if whole else numbers
    # An image without a label has -1, which is no class, as where the method abstains.
    wrong = (log["correct"] == 1) != ((log["predict"] == log["label"]) & (log["predict"] != ABSTAIN))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(f"{path}: line {lines[row]}: correct must be 1 where predict equals label, and 0 elsewhere")
    repeated = log["idx"].duplicated()
    if repeated.any():
        row = int(np.flatnonzero(repeated)[0])
        raise InputError(f"{path}: line {lines[row]}: idx must be unique, got image {log['idx'][row]} twice")
    return log
