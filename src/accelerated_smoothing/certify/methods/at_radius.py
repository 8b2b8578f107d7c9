"""Fixed radii by adaptive sampling (Horvath et al. 2022): sound with probability 1 - alpha.

The draws grow in stages, and each stage is one Clopper-Pearson bound at level alpha / stages. An image is given up when
the upper bound says that its probability does not suffice. The top class is that of the selection draws.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, radii, statistics
from accelerated_smoothing.certify.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation")
ONLINE = True


class Settings(radii.Fixed):
    stages: int = Field(4, ge=1, description="numbers of draws, each ten times the one before; the last is N")


@dataclass(frozen=True)
class Bounds:
    """The test: see `radii.Test`. `level` is the error probability of a stage."""

    level: float

    def decide(
        self, rows: np.ndarray, classes: np.ndarray, k: np.ndarray, n: int, p0: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        if n == 0:
            return np.zeros(len(rows), bool), np.zeros(len(rows), bool)
        upper = 1 - statistics.lower_bound(n - k, n, self.level)
        return statistics.lower_bound(k, n, self.level) >= p0, upper < p0


def stages(sizes: np.ndarray, number: int) -> list[int]:
    """Return the ascending positions in the sizes of the stages: for s < number, the size nearest to N / 10^s."""
    wanted = np.log(sizes[-1]) - np.log(10) * np.arange(number)
    return sorted({int(np.abs(np.log(sizes) - size).argmin()) for size in wanted})


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image at the largest of the radii that its draws support."""
    assert evidence.estimation is not None
    positions = stages(evidence.estimation.sizes, settings.stages)
    return radii.by_selection(evidence, settings, positions, Bounds(evidence.alpha / len(positions)))
