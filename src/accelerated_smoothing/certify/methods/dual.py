"""Dual smoothing: a smoothed router chooses the noise, and both it and the choice are certified.

(Dual Randomized Smoothing 2025, arXiv 2512.01782; ACES of Horvath et al. 2022 is the case whose second level certifies
the radius 0.) The router is a smoothed classifier of its own, whose answer k is the index of a noise level. The dual
classifier answers with the smoothed classifier of level k. Within

    R = min( sigma_e Phi^-1(LB(router answers k)), sigma_k Phi^-1(LB_k(c)) )

the router's answer stays k and that of level k stays c. So the noise depends on the input, and the certificate is
sound. The selection draws decide k and c, and each bound takes alpha/2.

The levels are those of the experiment up to the sigma of the certificates, at which the router is smoothed, too. With
one level there is nothing to choose: this is Cohen et al.'s certificate, and the router is not asked.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from accelerated_smoothing.certify import Guarantee, sampled, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Name, Section
from accelerated_smoothing.noise import distribution

if TYPE_CHECKING:
    import pandas as pd

GUARANTEE: Guarantee = "sound"
NEEDS = ("selection", "estimation", "lower_selection", "lower_estimation", "other_selection", "other_estimation")


class Settings(Section):
    n: int = Field(100000, ge=1, description="estimation draws at the level that is chosen, and of the router")
    other: Name = Field("router", description="experiment of the same paper that trains the router")


def certify(evidence: Evidence, settings: Settings) -> "pd.DataFrame":
    """Certify each image from the counts of the router and all levels. The column `level` is the sigma of level k."""
    assert evidence.selection is not None
    assert evidence.other_selection is not None
    n, n0 = settings.n, evidence.n0
    selections = [evidence.selection, *(evidence.lower_selection or [])]
    estimations = [evidence.stored, *(evidence.lower_estimation or [])]
    levels, rows = len(selections), np.arange(len(evidence.selection.idx))
    router = [evidence.other_selection.at(n0), evidence.other_stored.at(n)]
    asked = levels > 1
    # The router may have more classes than there are levels. Draws in the others count against level k.
    level = router[0][:, :levels].argmax(axis=1) if asked else np.zeros(len(rows), int)
    top = np.stack([counts.at(n0) for counts in selections])[level, rows].argmax(axis=1)

    alpha = evidence.alpha / (2 if asked else 1)
    to_radius = distribution(sampled.noise(evidence)).radius
    sigma = np.stack([counts.sigmas for counts in selections])[level, rows]
    count = np.stack([counts.at(n) for counts in estimations])[level, rows, top]
    p_lower = statistics.lower_bound(count, n, alpha)
    radius = to_radius(p_lower, sigma)
    seconds = np.stack([s.seconds_at(n0) + e.seconds_at(n) for s, e in zip(selections, estimations, strict=True)])
    spent = seconds[level, rows]
    if asked:
        stays = statistics.lower_bound(router[1][rows, level], n, alpha)
        radius = np.minimum(radius, to_radius(stays, evidence.other_selection.sigmas))
        spent = spent + evidence.other_selection.seconds_at(n0) + evidence.other_stored.seconds_at(n)
    return sampled.certificates(
        evidence,
        top,
        radius,
        spent,
        p_lower,
        count,
        n=n,
        passes=(1 + asked) * (n0 + n),
        guarantee=GUARANTEE,
    ).assign(level=sigma)
