"""Memory-based certification (Alfarra et al. 2022, Algorithm 3): for sigmas that depend on the input.

Cohen et al.'s bound gives each image a prediction and a radius for the classifier that is smoothed with the sigma of
that image. Points around the image would be given other sigmas, so this radius alone promises nothing about the
classifier that chooses a sigma for every input (Sukenik et al. 2021). The memory makes it so by decree: images are
taken in the order of their index; a prediction is stored with its ball, and an image that comes later gives way
wherever its own ball and prediction would contradict one that is stored.

What is certified: that balls in this log that are predicted differently never meet, so that a classifier which answers
out of this memory wherever a stored ball holds the input is constant on every ball. What is not: anything about the
data-dependent classifier without its memory, about another order of the images, about an input that is asked for before
the image near which it lies, or that the prediction is right. No adversary is bounded who may ask first. Hence these
certificates are not marked sound.

Abstentions claim nothing; they are neither stored nor changed, and one inside of a ball is logged as such.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field, field_validator

from accelerated_smoothing import certify as common
from accelerated_smoothing.certify.methods import cohen
from accelerated_smoothing.certify.statistics import ABSTAIN
from accelerated_smoothing.config import Section, distribution_module, modules
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SOUND = False
NEEDS = ("selection", "estimation", "images")
UNTOUCHED, INSIDE, CUT = 0, 1, 2
# Relative error of a distance in float64, generously: balls are kept apart by the rounded numbers, too.
ROUNDING = 1e-12
BLOCK = 512  # points whose inner products with all others are taken at once


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws")
    choice: str = Field("ascent", description="what chose the sigmas: a module of choose/")
    at: int = Field(100, ge=1, description="its number: steps K of the ascent, or samples a point of the grid")

    @field_validator("choice")
    @classmethod
    def _known(cls, choice: str) -> str:
        if choice not in modules("sigmas.ways"):
            raise ValueError(f"no such way of choosing; one of {', '.join(modules('sigmas.ways'))} would do")
        return choice


def neighbours(points: np.ndarray, radius: np.ndarray) -> Iterator[np.ndarray]:
    """For each point, those before it whose balls may meet its own: few, if any, in the dimensions of images.

    They are found from inner products, whose rounding is allowed for. An l1 distance is no less than the l2 distance,
    so this is right for balls of either norm.
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
    """[n] distances of points [n, d] to one [d]."""
    apart = points - point
    return np.abs(apart).sum(axis=1) if norm == "l1" else np.sqrt(np.einsum("ij,ij->i", apart, apart))


def remember(
    points: np.ndarray, predict: np.ndarray, radius: np.ndarray, norm: str = "l2"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Algorithm 3 for all points, one after the other in their order, each against the whole memory at once.

    A point is held against the stored balls of other classes, the oldest first. It is cut to stay outside of each
    (LargestOutSubset), until one holds the point itself: then it takes over that ball's prediction and stays within
    (LargestInSubset). All further balls of other classes lie outside that one, and change nothing.

    Args:
        points: [n, d] float64.
        predict: [n] classes, or `ABSTAIN`.
        radius: [n], 0 where and only where it abstains.
        norm: "l2" or "l1", that of the balls.

    Returns:
        [n] predictions, radii and what became of each: `UNTOUCHED`, `INSIDE` a ball or `CUT`. Nothing is left of a
        ball whose point lies on the edge of another.
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


def certify(evidence: common.Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from its counts, then in the order of their index by the memory.

    The table has four columns more: `own_predict` and `own_radius`, as they were before the memory; `order`, in which
    images were held against it, that of their index; and `case`: 0 where it left them, 1 where the image lay inside a
    ball and took over its prediction, 2 where the radius was cut.

    Raises:
        InputError: the counts were not made with the sigmas that the settings name.
    """
    counts, images = evidence.selection, evidence.images
    assert counts is not None
    assert images is not None
    wanted = f"{settings.choice}{settings.at}"
    if counts.meta["choice"] != wanted:
        raise InputError(
            f"--choice, --at: found {wanted!r}; the counts were made with sigmas by {counts.meta['choice']!r}"
        )
    table = cohen.certify(evidence, cohen.Settings(n=settings.n))  # radius 0 where and only where it abstains
    own, radius = table["predict"].to_numpy(), table["radius"].to_numpy()
    points = images.pixels().reshape(len(images.idx), -1).astype(np.float64)
    norm = distribution_module(counts.meta["noise"]).NORM
    table["predict"], table["radius"], table["case"] = remember(points, own, radius, norm)
    table["correct"] = (table["predict"] == table["label"]).astype(int)
    table["own_predict"], table["own_radius"], table["order"] = own, radius, np.arange(len(table))
    return table
