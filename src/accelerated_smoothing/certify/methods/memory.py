"""Memory-based certification (Alfarra et al. 2022, Algorithm 3), for sigmas that depend on the input.

Cohen et al.'s bound gives each image a prediction and a radius for the classifier that is smoothed with the sigma of
that image. Points around the image may have other sigmas, so this radius alone guarantees nothing for the classifier
that chooses a sigma for every input (Sukenik et al. 2022). The memory enforces the guarantee: images are processed in
the order of their index, and each prediction is stored with its ball. Where the ball and the prediction of a later
image contradict a stored ball, the later image is changed.

What is certified: balls in this log with different predictions never meet. So a classifier that answers from this
memory wherever a stored ball contains the input is constant on every ball. What is not certified: the data-dependent
classifier without its memory, another order of the images, an input that is asked for before the image near which it
lies, or that the prediction is right. An adversary who may ask first is not covered. So the guarantee of these
certificates is "memory", not "sound".

Images on which Cohen et al.'s bound abstains are neither stored nor changed, also where they lie inside a stored ball.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, field_validator

from accelerated_smoothing import registry
from accelerated_smoothing.certify import Guarantee, sampled
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cohen
from accelerated_smoothing.certify.statistics import ABSTAIN
from accelerated_smoothing.config import Section
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "memory"
NEEDS = ("selection", "estimation", "images")
UNTOUCHED, INSIDE, CUT = 0, 1, 2
# A generous bound on the relative error of a distance in float64: the rounded balls must not meet either.
ROUNDING = 1e-12
BLOCK = 512  # points whose inner products with all others are computed at once


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")
    choice: str = Field("ascent", description="the way that chose the sigmas: a module of sigmas/ways/")
    at: int = Field(100, ge=1, description="its number: steps K of the ascent, or samples per point of the grid")

    @field_validator("choice")
    @classmethod
    def _known(cls, choice: str) -> str:
        if choice not in registry.names("sigmas.ways"):
            raise ValueError(f"must be one of {', '.join(registry.names('sigmas.ways'))}")
        return choice


def neighbours(points: np.ndarray, radius: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, for each point, the earlier points whose balls may meet its own.

    In the dimensions of images they are few, if any. They follow from inner products, with a tolerance for rounding. An
    l1 distance is never smaller than the l2 distance, so this is right for balls of either norm.

    Args:
        points: [n, d].
        radius: [n].
    """
    squares = np.einsum("ij,ij->i", points, points)
    for first in range(0, len(points), BLOCK):
        rows = slice(first, min(first + BLOCK, len(points)))
        apart = squares[rows, None] + squares[: rows.stop] - 2 * points[rows] @ points[: rows.stop].T
        slack = 1e-9 * (squares[rows, None] + squares[: rows.stop])
        near = apart - slack <= (radius[rows, None] + radius[: rows.stop]) ** 2
        for row in range(rows.start, rows.stop):
            yield np.flatnonzero(near[row - first, :row])


def distances(points: np.ndarray, point: np.ndarray, norm: str) -> np.ndarray:
    """Return the distances [n] of points [n, d] to one point [d], in the norm "l1" or "l2"."""
    apart = points - point
    return np.abs(apart).sum(axis=1) if norm == "l1" else np.sqrt(np.einsum("ij,ij->i", apart, apart))


def remember(
    points: np.ndarray, predict: np.ndarray, radius: np.ndarray, norm: str = "l2"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run Algorithm 3 on all points in their order, each against the whole memory at once.

    A point is compared with the stored balls of other classes, the oldest first. Its ball is cut so that it stays
    outside each of them (LargestOutSubset), until one of them contains the point. Then the point takes that ball's
    prediction and stays inside that ball (LargestInSubset). All further balls of other classes lie outside that ball,
    and change nothing.

    Args:
        points: [n, d] float64.
        predict: [n] classes, or `ABSTAIN`.
        radius: [n], 0 where and only where the prediction is `ABSTAIN`.
        norm: of the balls, "l2" or "l1".

    Returns:
        [n] predictions, radii and cases: `UNTOUCHED`, `INSIDE` a ball or `CUT`. A point on the surface of a ball of
        another class gets radius 0 and `ABSTAIN`.
    """
    predict, radius, case = predict.copy(), radius.copy(), np.full(len(points), UNTOUCHED)
    for row, near in enumerate(neighbours(points, radius)):
        others = near[(radius[near] > 0) & (predict[near] != predict[row])]
        if radius[row] == 0 or not len(others):
            continue
        apart = distances(points[others], points[row], norm)
        holds = np.flatnonzero(apart * (1 - ROUNDING) < radius[others])
        before = slice(holds[0] if len(holds) else None)
        room = (apart * (1 - ROUNDING) - radius[others])[before].min(initial=np.inf)
        if room < radius[row]:
            radius[row], case[row] = room, CUT
        if len(holds):
            ball = others[holds[0]]
            room = radius[ball] - apart[holds[0]] * (1 + ROUNDING)
            radius[row], predict[row], case[row] = min(radius[row], max(room, 0.0)), predict[ball], INSIDE
    return np.where(radius > 0, predict, ABSTAIN), radius, case


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from its counts, then by the memory in the order of the index.

    The table has four more columns: `case`, 0 where the memory changed nothing, 1 where the image lies inside a stored
    ball and takes its prediction, 2 where the radius was cut; `own_predict` and `own_radius`, before the memory; and
    `order`, in which images were processed.

    Raises:
        InputError: the counts were made with other sigmas than those that the settings name.
    """
    counts, images = evidence.selection, evidence.images
    assert counts is not None
    assert images is not None
    choice = f"{settings.choice}{settings.at}"
    if counts.meta["choice"] != choice:
        raise InputError(f"--choice and --at must be those of the counts, {counts.meta['choice']!r}, got {choice!r}")
    table = cohen.certify(evidence, cohen.Settings(n=settings.n))  # radius 0 where and only where it abstains
    predict, radius = table["predict"].to_numpy(), table["radius"].to_numpy()
    points = images.pixels().reshape(len(images.idx), -1).astype(np.float64)
    table["predict"], table["radius"], table["case"] = remember(points, predict, radius, sampled.norm(evidence))
    table["correct"] = (table["predict"] == table["label"]).astype(int)
    table["guarantee"] = GUARANTEE
    return table.assign(own_predict=predict, own_radius=radius, order=np.arange(len(table)))
