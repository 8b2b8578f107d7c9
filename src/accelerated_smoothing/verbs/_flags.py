"""Flags that several verbs share."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

from accelerated_smoothing import config, devices, registry
from accelerated_smoothing.command import Arguments
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import torch


def one_of(room: str) -> Callable[[str], str]:
    """Return a check that a name is that of a plug-in in `room`."""

    def check(name: str) -> str:
        if name not in registry.names(room):
            raise ValueError(f"must be one of {', '.join(registry.names(room))}")
        return name

    return check


Noise = Annotated[str, AfterValidator(one_of("noise.distributions"))]
Dataset = Annotated[str, AfterValidator(one_of("data.sets"))]


class Seeded(Arguments):
    seed: config.Seed = Field(0, description="the root seed")


class Distributed(Arguments):
    noise: Noise = Field(
        "gaussian", description=f"distribution of the noise: {', '.join(registry.names('noise.distributions'))}"
    )


class Sliced(Arguments):
    slice: config.Slice = Field(":", description="which images, as a Python slice")


class Confident(Arguments):
    alpha: config.Alpha = Field(0.001, description="probability of a wrong certificate")
    n0: int = Field(100, ge=1, description="draws that select or verify the top class")


class Threaded(Arguments):
    untracked = ("threads",)

    threads: int = Field(2, ge=1, description="CPU threads")


class Computing(config.Compute, Arguments):
    untracked = ("threads",)


def device(arguments: Computing) -> "torch.device":
    """Set the number of threads, and return the torch device.

    Raises:
        InputError: bf16 is asked for with AVX2 alone; or as `devices.choose` and `devices.check_kernels`.
    """
    import torch

    torch.set_num_threads(arguments.threads)
    chosen = devices.choose(arguments.device, "compute.device (--device)")
    devices.check_kernels(arguments.kernels, chosen, "compute.kernels (--kernels)")
    if arguments.portable and chosen.type == "cpu" and getattr(arguments, "precision", None) == "bf16":
        raise InputError("precision (--precision) must be fp32 with --portable, since AVX2 has no bf16, got 'bf16'")
    return chosen
