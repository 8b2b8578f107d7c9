"""Certify images by one method."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from accelerated_smoothing.command import Input, Inputs, Output
from accelerated_smoothing.verbs._flags import Confident, Sliced

if TYPE_CHECKING:
    from accelerated_smoothing.certify.evidence import Evidence

EXAMPLE = "cohen --n 100000 --selection selection.npz --estimation estimation.npz --output cohen.tsv"
MAKES = "Certificates"
QUICK = True
ARITHMETIC = True
VARIANTS = ("certifier", "certify.methods")
EVIDENCE = {
    "selection": "counts that select or verify the top class",
    "estimation": "counts that the bound comes from",
    "pilot": "counts that plan the estimation draws",
    "sigmas": "the images' own sigmas",
    "lower_selection": "counts at smaller sigmas that select the class, in descending order",
    "lower_estimation": "counts at smaller sigmas that bounds come from, in descending order",
    "other_selection": "counts of another experiment that select or verify its class",
    "other_estimation": "counts of another experiment that its bound comes from",
    "images": "the images",
    "predictions": "what surrogates predict for the images",
    "belief": "calibrated belief about the probability of the top class",
    "surrogate": "weights of h",
    "base": "weights of f",
}


class Arguments(Sliced, Confident):
    experiment: str = Field("main", description="name of the experiment, for the certificates")
    method: str = Field(
        "", description="name of the method's settings, for the certificates; the certifier's by default"
    )
    output: Output = Field(description="certificates, .tsv")


def evidence_flags(method: Any) -> dict[str, Any]:
    """Return the flags of the evidence that a method needs."""
    lists = ("lower_selection", "lower_estimation")
    return {
        need: (Inputs, Field([], description=EVIDENCE[need]))
        if need in lists
        else (Input, Field(description=EVIDENCE[need]))
        for need in method.NEEDS
    }


EXTRA = evidence_flags


def evidence(arguments: Any, method: Any, needs: tuple[str, ...], **more: Any) -> "Evidence":
    """Return the evidence that flags name.

    Args:
        arguments: of the verb.
        method: module of the certifier.
        needs: the fields that flags name.
        more: further fields.

    Raises:
        InputError: a file is broken, or the files do not belong together.
    """
    from accelerated_smoothing import data
    from accelerated_smoothing.certify import beliefs
    from accelerated_smoothing.certify.evidence import Evidence
    from accelerated_smoothing.counting import counts, predictions

    def every(paths: list[Path]) -> list[counts.Counts]:
        return [counts.read(path) for path in paths]

    read: dict[str, Callable[[Any], Any]] = {
        "selection": counts.read,
        "estimation": counts.read,
        "pilot": counts.read,
        "lower_selection": every,
        "lower_estimation": every,
        "other_selection": counts.read,
        "other_estimation": counts.read,
        "predictions": predictions.read,
        "belief": beliefs.read,
        "images": lambda path: data.read(path, arguments.slice),
    }
    complete = Evidence(
        experiment=arguments.experiment,
        method=arguments.method or arguments.certifier,
        alpha=arguments.alpha,
        n0=arguments.n0,
        **{need: read.get(need, Path)(getattr(arguments, need)) for need in needs},
        **more,
    )
    complete.check(needs)
    return complete


def run(arguments: Any) -> None:
    from accelerated_smoothing import certify
    from accelerated_smoothing.certify import log

    method = certify.method(arguments.certifier)
    complete = evidence(arguments, method, method.NEEDS)
    log.write(arguments.output, method.certify(complete, arguments.section(method.Settings)))
