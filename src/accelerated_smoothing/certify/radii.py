"""Certificates at fixed radii: tests of p > p0, one radius after another, that stop as soon as they can.

The radii of an image are tested in ascending order, each at the full level, and the first that is not certified ends
the certificate. No correction for their number is needed: to certify a wrong radius, the smallest wrong one must be
certified first. So all radii of an image are certified for one class, that of the first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from pydantic import Field, field_validator

from accelerated_smoothing.certify import planning, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Section

if TYPE_CHECKING:
    import pandas as pd


class Fixed(Section):
    """The settings of every method at fixed radii."""

    radii: list[float] = Field([1.0], min_length=1, description="radii to certify, in units of the noise's scale")

    @field_validator("radii")
    @classmethod
    def _ascending(cls, radii: list[float]) -> list[float]:
        if radii != sorted(set(radii)) or radii[0] <= 0:
            raise ValueError("must be positive, ascending and distinct")
        return radii


class Test(Protocol):
    """A test of p > p0 that is asked after numbers of draws."""

    def decide(
        self, rows: np.ndarray, classes: np.ndarray, k: np.ndarray, n: int, p0: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return whether p > p0 is certain enough, and whether to give up, both [rows].

        Args:
            rows: images.
            classes: [rows] their top classes.
            k: [rows] counts of these.
            n: draws.
            p0: [rows] probabilities that they must exceed.
        """


@dataclass
class Climb:
    """How far each image came.

    Attributes:
        rung: [images] number of radii that are certified.
        top: [images] the class.
        count: [images] its count at the end.
        n: [images] draws.
        seconds: [images] time of these draws.
    """

    rung: np.ndarray
    top: np.ndarray
    count: np.ndarray
    n: np.ndarray
    seconds: np.ndarray
    p0: np.ndarray = field(default_factory=lambda: np.empty(0))


def least_probabilities(radii: Sequence[float], evidence: Evidence) -> np.ndarray:
    """Return the least probabilities [radii] that certify radii, in units of the noise's scale, rounded up."""
    radius = sampled.unit_radius(evidence)
    low, high = np.full(len(radii), 0.5), np.ones(len(radii))
    while True:
        middle = (low + high) / 2
        if ((middle <= low) | (middle >= high)).all():  # neighbouring floats
            return high
        enough = radius(middle) >= np.asarray(radii)
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)


def climb(evidence: Evidence, shares: np.ndarray, p0: np.ndarray, positions: Sequence[int], test: Test) -> Climb:
    """Draw for each image until all radii are certified, the test gives up, or no draws are left.

    Args:
        evidence: with the estimation counts.
        shares: [images, classes] of alpha; a class without a share is never named.
        p0: [radii] probabilities to exceed, ascending.
        positions: in the sizes of the counts, at which to look.
        test: of one radius.
    """
    counts = evidence.estimation
    assert counts is not None
    zeros = [np.zeros(len(shares), np.int64) for _ in range(4)]
    climbed = Climb(zeros[0], zeros[1], zeros[2], zeros[3], np.zeros(len(shares)), p0)
    rows = np.arange(len(shares))
    nothing = np.zeros(len(rows), np.int64)
    _, hopeless = test.decide(rows, shares.argmax(axis=1), nothing, 0, np.full(len(rows), p0[0]))
    rows = rows[~hopeless]
    for position in positions:
        if not len(rows):
            break
        n = int(counts.sizes[position])
        tally = np.where(shares[rows] > 0, counts.tally(rows, position), -1)
        top = np.where(climbed.rung[rows] > 0, climbed.top[rows], tally.argmax(axis=1))
        k = tally[np.arange(len(rows)), top]
        climbed.top[rows], climbed.count[rows], climbed.n[rows] = top, k, n
        climbed.seconds[rows] = counts.seconds_of(rows, position)
        going, stopped = np.arange(len(rows)), np.zeros(len(rows), bool)
        while len(going):  # several radii may be certified at one look
            rung = climbed.rung[rows[going]]
            sure, hopeless = test.decide(rows[going], top[going], k[going], n, p0[rung])
            climbed.rung[rows[going[sure]]] += 1
            stopped[going[hopeless & ~sure]] = True
            going = going[sure]
            done = climbed.rung[rows[going]] == len(p0)
            stopped[going[done]] = True
            going = going[~done]
        rows = rows[~stopped]
    return climbed


def certificates(
    evidence: Evidence, settings: Fixed, climbed: Climb, *, before: int, seconds: np.ndarray
) -> "pd.DataFrame":
    """Return sound certificates: the largest radius that was certified, with the probability that it needs.

    Args:
        before: passes of the base classifier that were spent beside the estimation draws.
        seconds: [images] time that was spent beside them.
    """
    assert evidence.selection is not None
    levels = np.concatenate([[0.0], settings.radii])[climbed.rung]
    return sampled.certificates(
        evidence,
        climbed.top,
        levels * evidence.selection.sigmas,
        climbed.seconds + seconds,
        np.concatenate([[0.0], climbed.p0])[climbed.rung],
        climbed.count,
        n=climbed.n,
        passes=climbed.n + before,
        guarantee="sound",
    ).assign(at=max(settings.radii))


def by_selection(evidence: Evidence, settings: Fixed, positions: Sequence[int], test: Test) -> "pd.DataFrame":
    """Return the certificates of a test whose class is that of the n0 selection draws."""
    selection = evidence.selection
    assert selection is not None
    tally = selection.at(evidence.n0)
    shares = planning.certain(tally.argmax(axis=1), tally.shape[1])
    climbed = climb(evidence, shares, least_probabilities(settings.radii, evidence), positions, test)
    seconds = selection.seconds_at(evidence.n0)
    return certificates(evidence, settings, climbed, before=evidence.n0, seconds=seconds)
