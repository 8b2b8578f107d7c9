"""Certify images by one method, and draw only what it asks for."""

from typing import Any

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import code
from accelerated_smoothing.verbs import certify as replayed
from accelerated_smoothing.verbs._flags import Computing, device

EXAMPLE = (
    "planned --budget 1000 --base base.safetensors --images test.npz --sizes 100 1000 10000 --selection selection.npz "
    "--predictions predictions.npz --belief belief.npz --output planned.tsv"
)
MAKES = "Certificates, made while counting"
ARITHMETIC = True
VARIANTS = ("certifier", "certify.methods")


class Arguments(replayed.Arguments, Computing, config.Passes):
    base: Input = Field(description="weights of f")
    images: Input = Field(description="images")
    sizes: list[int] = Field(
        min_length=1, description="ascending nested numbers of draws, at which the method may look"
    )


def needs(method: Any) -> tuple[str, ...]:
    """Return the evidence that a method needs beside its estimation draws."""
    return tuple(need for need in method.NEEDS if need != "estimation")


def evidence_flags(method: Any) -> dict[str, Any]:
    """Return the flags of this evidence."""
    flags = replayed.evidence_flags(method)
    return {need: flags[need] for need in needs(method)}


EXTRA = evidence_flags


def run(arguments: Any) -> None:
    from accelerated_smoothing import certify, data
    from accelerated_smoothing.certify import live

    method = certify.method(arguments.certifier)
    if not getattr(method, "ONLINE", False):
        raise InputError(f"CERTIFIER must ask for its draws as it needs them, got {arguments.certifier}; use certify")
    evidence = replayed.evidence(arguments, method, needs(method), images=data.read(arguments.images, arguments.slice))
    live.certify(
        evidence,
        method,
        arguments.section(method.Settings),
        arguments.sizes,
        arguments.base,
        arguments.output,
        passes=arguments.section(config.Passes),
        device=device(arguments),
        kernels=arguments.kernels,
        code=code.digest("certify-online", code.facts(arguments)),
    )
