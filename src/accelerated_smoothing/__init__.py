"""Accelerated Smoothing (arXiv 2402.07498) and its relatives, as verbs that a Snakemake workflow chains.

`Smoothed` gives certificates to a classifier of one's own.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelerated_smoothing.smoothed.classifier import Smoothed

__all__ = ["Smoothed"]


def __getattr__(name: str) -> Any:
    """Import `Smoothed` when it is asked for, since PyTorch takes long to import."""
    if name != "Smoothed":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from accelerated_smoothing.smoothed.classifier import Smoothed

    return Smoothed
