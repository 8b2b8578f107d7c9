"""The evidence that certificates are made from: counts, images and networks, all for the same images."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError


@dataclass(frozen=True)
class Evidence:
    """What a method may read.

    Attributes:
        alpha: probability that a certificate is wrong, at most.
        n0: draws that select or verify the top class.
        selection, estimation: counts of the base classifier, from independent draws.
        images: the images.
        surrogate: weight file of the surrogate h.
        base: weight file of the base classifier f.
        experiment: name of the experiment in the log, such as "main" or "fars/mlp".
        method: name of the method in the log, such as "cohen" or "resnet20".
    """

    alpha: float
    n0: int
    selection: Counts | None = None
    estimation: Counts | None = None
    images: Images | None = None
    surrogate: Path | None = None
    base: Path | None = None
    experiment: str = "main"
    method: str = "unnamed"

    def check(self, needs: tuple[str, ...]) -> None:
        """Check that the evidence is complete, and that its parts belong together.

        Args:
            needs: names of the fields that must be set.

        Raises:
            InputError: the first fault.
        """
        for name in needs:
            if getattr(self, name) is None:
                raise InputError(f"--{name} is required; this method needs {', '.join('--' + need for need in needs)}")
        parts = [part for part in (self.selection, self.estimation, self.images) if part is not None]
        for part in parts[1:]:
            if not np.array_equal(part.idx, parts[0].idx) or not np.array_equal(part.labels, parts[0].labels):
                raise InputError("the inputs must be for the same images, got others; pass one split and one slice")
        counts = [part for part in (self.selection, self.estimation) if part is not None]
        for key in ("base", "sigma", "noise", "choice", "sigmas", "arithmetic"):
            if len(values := {part.meta.get(key): None for part in counts}) > 1:
                names = " and ".join(map(str, values))
                raise InputError(f"selection and estimation must have the same {key}, got {names}; count both again")
        if len(counts) == 2 and not np.array_equal(counts[0].sigmas, counts[1].sigmas):
            raise InputError(
                "selection and estimation must have the same sigma per image, got others; count both again"
            )
        for key in ("dataset", "split"):
            if len(values := {part.meta[key]: None for part in parts}) > 1:
                names = " and ".join(map(str, values))
                raise InputError(f"the inputs must have the same {key}, got {names}; pass files of one split")
        if len(counts) == 2 and counts[0].meta["purpose"] == counts[1].meta["purpose"]:
            raise InputError("selection and estimation must be independent draws, got the same draws twice")
