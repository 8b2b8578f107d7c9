"""What a smoothed classifier is, and what its certificates are to be: arguments of `Smoothed`, and flags of a verb."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from accelerated_smoothing import architectures, config, registry
from accelerated_smoothing.config import Device, Passes, Section
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import describe

PILOT = 50  # draws, which plan nearly as well as more; where the budget is small, a tenth of it
WAYS = ("budget", "radii", "n")


class Smoothing(Device, Passes):
    """The classifier and the noise."""

    sigma: config.Sampled = Field(description="scale of the noise, [0,1] pixels")
    classes: int | None = Field(None, ge=2, description="number of classes; by default what the network returns")
    noise: str = Field(
        "gaussian", description=f"distribution of the noise: {', '.join(registry.names('noise.distributions'))}"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; by default those of PyTorch")

    @field_validator("noise")
    @classmethod
    def _exists(cls, noise: str) -> str:
        if noise not in registry.names("noise.distributions"):
            raise ValueError(f"must be one of {', '.join(registry.names('noise.distributions'))}")
        return noise


class Certifying(Section):
    """What certificates are made, by exactly one of `WAYS`."""

    budget: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="mean passes of an image, which pilots allot to the images"
    )
    radii: list[float] | None = Field(
        None, min_length=1, description="radii to certify, [0,1] pixels; draws stop as soon as they can"
    )
    n: int | None = Field(None, ge=1, description="estimation draws of each image, as CERTIFY of Cohen et al.")
    most: int = Field(100_000, ge=1, description="estimation draws of an image at most, with a budget or radii")
    pilot: int | None = Field(
        None, ge=1, description=f"pilot draws of an image; by default {PILOT}, or a tenth of a budget if that is less"
    )
    alpha: config.Alpha = Field(0.001, description="probability of a wrong certificate")
    n0: int = Field(100, ge=1, description="draws that select the class, with n")
    bound: Literal["clopper-pearson", "randomized"] = Field(
        "clopper-pearson", description="with a budget or n: clopper-pearson or randomized"
    )
    seed: config.Seed = Field(0, description="the root seed")

    @field_validator("radii")
    @classmethod
    def _ascending(cls, radii: list[float] | None) -> list[float] | None:
        if radii and (radii != sorted(set(radii)) or not 0 < radii[0] <= radii[-1] < float("inf")):
            raise ValueError("must be positive, ascending and distinct")
        return radii

    @model_validator(mode="after")
    def _one_way(self) -> "Certifying":
        chosen = [way for way in WAYS if getattr(self, way) is not None]
        if len(chosen) != 1:
            raise ValueError(
                f"budget, radii or n must be set, exactly one of them, got {' and '.join(chosen) or 'none'}"
            )
        if self.budget is not None and self.budget <= self.pilot_draws:
            raise ValueError(f"budget must be more than the pilot draws ({self.pilot_draws}), got {self.budget:g}")
        return self

    @property
    def pilot_draws(self) -> int:
        """Return the number of pilot draws of each image; 0 with n, which uses selection draws instead."""
        if self.n is not None:
            return 0
        tenth = PILOT if self.budget is None else max(1, int(self.budget / 10))
        return self.pilot or min(PILOT, tenth)

    @property
    def sizes(self) -> list[int]:
        """Return the ascending numbers of estimation draws at which a method may look at the counts."""
        return [self.n] if self.n else config.Sampling(sizes=[self.most], grid=20).counted()


def facts(model: object, smoothing: Smoothing) -> dict[str, list[str]]:
    """Return what names the plug-ins that run, as `command.Arguments.facts`: noise, kernels, a file's architecture."""
    arch = None
    if isinstance(model, Path):
        arch = architectures.of_file(str(model)) or (describe(model).get("arch") if model.is_file() else None)
    named = {"noise": smoothing.noise, "kernels": smoothing.kernels, "arch": arch}
    return {fact: [name] if name else [] for fact, name in named.items()}


def checked(model: type[config.T], **values: Any) -> config.T:
    """Return settings from arguments.

    Raises:
        InputError: the first fault.
    """
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(config.one_line(error)) from None
