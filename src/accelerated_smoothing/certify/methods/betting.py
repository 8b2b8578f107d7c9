"""Fixed radii by Krichevsky and Trofimov's bets, without a belief (Voracek 2024): sound with probability 1 - alpha.

The top class is that of the selection draws. An image is given up when the same process excludes that the probability
suffices.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from accelerated_smoothing.certify import Guarantee, processes, radii
from accelerated_smoothing.certify.evidence import Evidence

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation")
ONLINE = True


class Settings(radii.Fixed):
    pass


@dataclass(frozen=True)
class Bets:
    """The test: see `radii.Test`. `level` is its error probability."""

    level: float

    def decide(
        self, rows: np.ndarray, classes: np.ndarray, k: np.ndarray, n: int, p0: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        far = processes.beta(k, n - k, p0, 0.5, 0.5) >= processes.threshold(np.asarray(self.level))
        return far & (k > n * p0), far & (k < n * p0)


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image at the largest of the radii that its draws support."""
    assert evidence.estimation is not None
    return radii.by_selection(evidence, settings, range(len(evidence.estimation.sizes)), Bets(evidence.alpha))
