"""What surrogates predict in place of counts, as a file: class probabilities, one set for each surrogate."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_arrays, write_arrays

ARRAYS = ("idx", "labels", "depths", "h", "seconds")
LIMIT = 1e-12  # a logit of h is computed from a probability that is at least this far from 0 and 1


@dataclass(frozen=True)
class Predictions:
    """The predictions of the surrogates of one base classifier for some images of one split.

    Attributes:
        idx: [images] positions in the split.
        labels: [images] true classes.
        depths: [surrogates] of the CIFAR ResNets, ascending.
        h: [surrogates, images, classes] probabilities.
        seconds: [surrogates] of one pass, an image's share of its batches.
        meta: base, sigma, noise, arithmetic, dataset, split, ...; `held_out` says whether the surrogates were trained
            on none of these images, and `surrogates` how each of them was trained.
    """

    idx: np.ndarray
    labels: np.ndarray
    depths: np.ndarray
    h: np.ndarray
    seconds: np.ndarray
    meta: dict[str, Any]

    def of(self, depth: int | None) -> np.ndarray:
        """Return the probabilities [images, classes] of one surrogate, by default the shallowest.

        Raises:
            InputError: no surrogate has this depth.
        """
        return self.h[self._position(depth)]

    def take(self, rows: np.ndarray) -> "Predictions":
        """Return the predictions for the images in these rows."""
        return replace(self, idx=self.idx[rows], labels=self.labels[rows], h=self.h[:, rows])

    def seconds_of(self, depth: int | None) -> float:
        """Return the time of one pass of a surrogate and of those whose disagreement with it counts."""
        self._position(depth)
        return float(self.seconds.sum())

    def logits(self, depth: int | None, classes: np.ndarray) -> np.ndarray:
        """Return the logits [images] of the probabilities of one class of each image."""
        return _logit(np.take_along_axis(self.of(depth), classes[:, None], axis=1)[:, 0])

    def disagreement(self, classes: np.ndarray) -> np.ndarray:
        """Return the standard deviation [images], over the surrogates, of the logits of one class of each image."""
        return np.asarray(_logit(np.take_along_axis(self.h, classes[None, :, None], axis=2)[..., 0]).std(axis=0))

    def _position(self, depth: int | None) -> int:
        if depth is None:
            return 0
        if depth not in self.depths:
            raise InputError(f"--depth must be one of {', '.join(map(str, self.depths))}, got {depth}")
        return int(np.flatnonzero(self.depths == depth)[0])

    def write(self, path: Path) -> None:
        """Write the predictions."""
        write_arrays(path, {name: getattr(self, name) for name in ARRAYS}, self.meta)


def _logit(p: np.ndarray) -> np.ndarray:
    p = p.clip(LIMIT, 1 - LIMIT)
    return np.asarray(np.log(p) - np.log1p(-p))


def read(path: Path) -> Predictions:
    """Read predictions.

    Raises:
        InputError: the file is missing, truncated or of another kind, or a row is no distribution over the classes.
    """
    arrays, meta = read_arrays(path, ARRAYS, "predictions")
    h = arrays["h"]
    if not np.isfinite(h).all() or (h < 0).any() or not np.allclose(h.sum(axis=2), 1, atol=1e-6):
        raise InputError(f"{path}: probabilities must be finite and add up to 1, got others; train the surrogate again")
    return Predictions(**arrays, meta=meta)
