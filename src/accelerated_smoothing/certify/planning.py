"""Planning: how many draws an image deserves, from a belief about the probability of its top class.

A belief is a distribution [images, grid] over the logits `GRID` of that probability. It may come from a surrogate
(`beliefs`) or from pilot draws. Whatever it says, a certificate is sound as long as its counted draws did not
contribute: given the plan, they are independent of it.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import special

from accelerated_smoothing.config.slices import spaced

GRID = np.arange(-25, 146) / 10  # logits of p
P = special.expit(GRID)
NONE = -1  # the position in the sizes of an image that is not counted at all
TOP = 0.9  # share of alpha that the expected class gets
Bound = Literal["clopper-pearson", "randomized"]
Radius = Callable[[np.ndarray], np.ndarray]  # from lower bounds to radii, in units of the noise's scale


def hedge(expected: np.ndarray) -> np.ndarray:
    """Return the share of alpha that each class gets, [images, classes], with a sum of 1.

    The certificate may then name the class with the largest bound: by a union bound over the classes, one of the bounds
    exceeds its probability with probability alpha at most.

    Args:
        expected: [images, classes] expected probabilities, which need not add up to 1. The largest is the expected
            class. It gets `TOP`, and the others share the rest in proportion.
    """
    top = expected.argmax(axis=1)[:, None]
    others = expected.astype(float)
    np.put_along_axis(others, top, 0.0, axis=1)
    total = others.sum(axis=1, keepdims=True)
    equal = np.full_like(others, 1 / max(others.shape[1] - 1, 1))
    shares = (1 - TOP) * np.where(total > 0, others / np.where(total > 0, total, 1.0), equal)
    np.put_along_axis(shares, top, TOP, axis=1)
    return shares


def certain(classes: np.ndarray, number: int) -> np.ndarray:
    """Return shares of alpha [images, number] that give all of it to one class of each image."""
    return np.eye(number)[classes]


def allocate(value: np.ndarray, sizes: np.ndarray, rate: float) -> np.ndarray:
    """Return the position [images] in `sizes` of the best number of draws, or `NONE` where no draw is worth its cost.

    Args:
        value: [images, sizes] expected radius after each number of draws.
        sizes: [sizes] numbers of draws.
        rate: radius that a draw must gain, at least.
    """
    net = value - rate * sizes
    best = net.argmax(axis=1)
    return np.where(net[np.arange(len(net)), best] > 0, best, NONE)


def cost(positions: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return the draws [images] of positions in `sizes`."""
    return np.where(positions == NONE, 0, sizes[positions])


def rate_for(budget: float, spent: Callable[[float], float]) -> float:
    """Return the least rate at which the mean draws of an image are within the budget.

    Args:
        budget: mean draws of an image.
        spent: from a rate to mean draws, decreasing.
    """
    low, high = -40.0, 5.0  # natural logarithms; at the first everything is drawn, at the second nothing
    if spent(np.exp(low)) <= budget:
        return float(np.exp(low))
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if spent(np.exp(middle)) <= budget else (middle, high)
    return float(np.exp(high))


def plan(prior: np.ndarray, gains: np.ndarray, sizes: np.ndarray, rate: float) -> np.ndarray:
    """Return the positions [images] in `sizes` that a belief [images, grid] makes best, as `allocate`."""
    return allocate(prior @ gains, sizes, rate)


def within(budget: float, prior: np.ndarray, gains: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return positions [images] whose mean draws are the budget, for images that are planned together.

    Images with equal beliefs get equal plans, so the budget may lie between what two neighbouring rates spend. Then a
    share of the images, evenly spaced, uses the lower rate.
    """
    value = prior @ gains
    rate = planned_rate(budget, prior, gains, sizes)
    less, more = (allocate(value, sizes, each) for each in (rate, rate * (1 - 1e-6)))
    low, high = cost(less, sizes).mean(), cost(more, sizes).mean()
    share = min(max((budget - low) / (high - low), 0.0), 1.0) if high > low else 0.0
    return np.where(spaced(len(value), share), more, less)


def planned_rate(budget: float, prior: np.ndarray, gains: np.ndarray, sizes: np.ndarray) -> float:
    """Return the rate at which the plans for images with these beliefs have the mean `budget`."""
    value = prior @ gains
    return rate_for(budget, lambda rate: float(cost(allocate(value, sizes, rate), sizes).mean()))
