"""The evidence that certificates are made from: counts, images and networks, all for the same images."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from accelerated_smoothing.certify.beliefs import Belief
from accelerated_smoothing.counting.counts import Counts, Tallies
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError


@dataclass(frozen=True)
class Evidence:
    """What a method may read.

    Attributes:
        alpha: probability that a certificate is wrong, at most.
        n0: draws that select or verify the top class.
        selection: counts of the base classifier.
        estimation: counts from independent draws, stored or made when a method asks for them.
        pilot: counts that plan the estimation draws, from independent draws.
        images: the images.
        predictions: what the surrogates predict for the images.
        belief: about the probability of the top class, calibrated on held-out images.
        surrogate: weight file of the surrogate h.
        base: weight file of the base classifier f.
        sigmas: file of the images' own sigmas.
        lower_selection, lower_estimation: counts at smaller sigmas, in descending order, each of a base classifier of
            its own; [] if there are none.
        other_selection, other_estimation: counts of another experiment at the same sigma.
        experiment: name of the experiment in the log, such as "main" or "fars/mlp".
        method: name of the method in the log, such as "cohen" or "resnet20".
    """

    alpha: float
    n0: int
    selection: Counts | None = None
    estimation: Tallies | None = None
    pilot: Counts | None = None
    images: Images | None = None
    predictions: Predictions | None = None
    belief: Belief | None = None
    surrogate: Path | None = None
    base: Path | None = None
    sigmas: Path | None = None
    lower_selection: list[Counts] | None = None
    lower_estimation: list[Counts] | None = None
    other_selection: Counts | None = None
    other_estimation: Counts | None = None
    experiment: str = "main"
    method: str = "unnamed"

    @property
    def stored(self) -> Counts:
        """The estimation counts, which must be stored: the method looks at all of them."""
        assert isinstance(self.estimation, Counts)
        return self.estimation

    @property
    def other_stored(self) -> Counts:
        """The estimation counts of the other experiment."""
        assert self.other_estimation is not None
        return self.other_estimation

    def take(self, rows: np.ndarray) -> "Evidence":
        """Return the evidence for the images in these rows; its counts must be stored."""
        assert not self.lower_selection
        assert not self.other_selection
        names = ("selection", "estimation", "pilot", "images", "predictions")
        parts = {name: getattr(self, name) for name in names}
        return replace(self, **{name: part.take(rows) for name, part in parts.items() if part is not None})

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
        counts = [part for part in (self.selection, self.estimation, self.pilot) if isinstance(part, Counts)]
        parts = [*counts, *(part for part in (self.images, self.predictions) if part is not None)]
        for part in parts[1:]:
            if not np.array_equal(part.idx, parts[0].idx) or not np.array_equal(part.labels, parts[0].labels):
                raise InputError("the inputs must be for the same images, got others; pass one split and one slice")
        networks = [*counts, *(part for part in (self.predictions, self.belief) if part is not None)]
        for key in ("base", "sigma", "noise", "choice", "arithmetic"):
            _same(key, [part.meta.get(key) for part in networks], "count again, and train the surrogates again")
        _same("sigmas", [part.meta.get("sigmas") for part in counts], "count again")
        if not all(np.array_equal(part.sigmas, counts[0].sigmas) for part in counts):
            raise InputError("the counts must have the same sigma per image, got others; count again")
        for key in ("dataset", "split"):
            _same(key, [part.meta[key] for part in parts], "pass files of one split")
        self._check_lower()
        self._check_other()
        if len({part.meta["purpose"] for part in counts}) < len(counts):
            raise InputError("the counts must be independent draws, got the same draws twice")
        if self.predictions and not self.predictions.meta["held_out"] and self.predictions.meta["split"] == "train":
            raise InputError("--predictions must be of images whose draws trained no surrogate, got the train split")
        if self.belief and any(part.meta["split"] == self.belief.meta["split"] for part in parts):
            raise InputError(f"--belief must come from another split, got one of the {self.belief.meta['split']} split")

    def _check_lower(self) -> None:
        """Check the counts at smaller sigmas.

        Raises:
            InputError: the first fault.
        """
        lower = list(zip(self.lower_selection or [], self.lower_estimation or [], strict=False))
        if len(self.lower_selection or []) != len(self.lower_estimation or []):
            raise InputError("--lower-selection must be as many files as --lower-estimation, got others")
        for selection, estimation in lower:
            Evidence(self.alpha, self.n0, selection, estimation).check(("selection", "estimation"))
        counts = [part for part in (self.selection, *(first for first, _ in lower)) if part is not None]
        _comparable(counts)
        sigmas = [part.sigma for part in counts]
        if sigmas != sorted(set(sigmas), reverse=True):
            raise InputError(f"--lower-selection must be counts at smaller and smaller sigmas, got {sigmas}")

    def _check_other(self) -> None:
        """Check the counts of the other experiment.

        Raises:
            InputError: the first fault.
        """
        other = [part for part in (self.other_selection, self.other_estimation) if part is not None]
        if not other:
            return
        Evidence(self.alpha, self.n0, self.other_selection, self.other_estimation).check(())
        counts = [part for part in (self.selection, other[0]) if part is not None]
        _comparable(counts)
        _same("sigma", [part.sigma for part in counts], "pass counts at one noise level")


def _comparable(counts: list[Counts]) -> None:
    """Check that counts of different base classifiers are of the same images and the same kind of noise.

    Raises:
        InputError: the first fault.
    """
    for part in counts[1:]:
        if not np.array_equal(part.idx, counts[0].idx):
            raise InputError("the inputs must be for the same images, got others; pass one split and one slice")
    for key in ("dataset", "split", "noise", "classes"):
        _same(key, [part.meta.get(key) for part in counts], "pass files of one experiment")


def _same(key: str, values: list[object], advice: str) -> None:
    if len(distinct := dict.fromkeys(values)) > 1:
        raise InputError(f"the inputs must have the same {key}, got {' and '.join(map(str, distinct))}; {advice}")
