"""The sections of the config: each is one model, and the flags of the verb that reads it.

Defaults are the paper's. A rule passes a verb only its own sections, so Snakemake runs a job again only if one of them
changes.
"""

import math
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from accelerated_smoothing.architectures import cost, resnet_depth
from accelerated_smoothing.config.errors import NAME, SLICE, unknown_key
from accelerated_smoothing.config.plugins import dataset_names, kernel_names


def _zero_or_noise(sigma: float) -> float:
    if 0 < sigma < 0.001:
        raise ValueError("must be at least 0.001, or 0 for no noise")
    return sigma


Sigma = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), AfterValidator(_zero_or_noise)]
Sampled = Annotated[float, Field(ge=0.001, le=100, allow_inf_nan=False)]  # a sigma under which noise is drawn
Slice = Annotated[str, Field(pattern=SLICE, description="images, as a Python slice")]
Alpha = Annotated[float, Field(gt=0, lt=1)]
Radius = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Depth = Annotated[int, AfterValidator(resnet_depth)]
Precision = Literal["fp32", "bf16"]  # of training
Schedule = Literal["steps", "one-cycle"]
SCHEDULE = "of the learning rate: in steps, or one cycle up over 30 % of the epochs and down to 0"
LEAST_SIZE = 8  # of a grid
Name = Annotated[str, Field(pattern=NAME)]


class Section(BaseModel):
    """A part of the config. Unknown keys are refused, and values cannot change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        """Refuse unknown keys, and read the word null, by which Snakemake's --config passes null."""
        if not isinstance(values, dict):
            return values
        for key in values:
            if key not in cls.model_fields:
                raise unknown_key(key, cls.model_fields)
        nullable = {name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)}
        return {key: None if key in nullable and value == "null" else value for key, value in values.items()}


T = TypeVar("T", bound=Section)


class Dataset(Section):
    """The images, and which of them are counted and certified."""

    name: str = Field("cifar10", description="a module of data/sets/")
    folder: str = Field("data", min_length=1, description="folder of the raw files; a download is kept there")
    size: int = Field(32, ge=1, description="height and width of images of imagenette or an imagefolder, pixels")
    train: Slice = Field(":", description="training images that are counted, for the surrogates")
    test: Slice = Field(":", description="test images that are certified")

    @field_validator("name")
    @classmethod
    def _exists(cls, name: str) -> str:
        if name not in dataset_names():
            raise ValueError(f"must be one of {', '.join(dataset_names())}")
        return name


class Base(Section):
    """The base classifier f and its training under noise. A way of training (`training/ways/`) adds keys."""

    arch: str = Field(
        "resnet110", description="a CIFAR ResNet: resnet20, resnet56, resnet110, ...; or resnet18, imagenet-resnet50"
    )
    epochs: int = Field(90, ge=1, description="passes over all training images")
    batch_size: int = Field(256, ge=1, description="images in a step")
    lr: float = Field(0.1, gt=0, description="learning rate: the largest of the schedule")
    optimizer: Literal["sgd", "adamw"] = Field("sgd", description="SGD with momentum, or AdamW")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD; the first beta of AdamW")
    weight_decay: float = Field(1e-4, ge=0, description="of the optimizer")
    schedule: Schedule = Field("steps", description=SCHEDULE)
    step_size: int = Field(30, ge=1, description="epochs after which steps multiply the learning rate by gamma")
    gamma: float = Field(0.1, gt=0, le=1, description="factor of the learning rate after step_size epochs")
    crop: int = Field(4, ge=0, description="padding of the random crop, pixels")
    flip: bool = Field(True, description="mirror half of the images at random")
    precision: Precision | None = Field(None, description="of the passes; null: bf16 on a GPU that has it, else fp32")
    ascent: int = Field(
        0, ge=0, description="steps on each image's sigma in every batch (Alfarra et al. 2022, Algorithm 2)"
    )
    ascent_from: int = Field(50, ge=0, description="epochs before the first such step")
    ascent_samples: int = Field(1, ge=1, description="noisy copies of an image in such a step")
    ascent_lr: float = Field(1e-4, gt=0, allow_inf_nan=False, description="size of such a step")

    @field_validator("arch")
    @classmethod
    def _exists(cls, arch: str) -> str:
        cost(arch)
        return arch

    @model_validator(mode="after")
    def _ascends(self) -> "Base":
        if self.ascent and self.ascent_from >= self.epochs:
            raise ValueError(f"ascent_from must be less than epochs ({self.epochs}), got {self.ascent_from}")
        return self


class Passes(Section):
    """Forward passes of f under noise."""

    precision: Literal["fp32", "tf32", "bf16"] = Field(
        "fp32",
        description="of f's passes; part of the certified classifier; tf32: fp32 with TF32 convolutions on a GPU",
    )
    batch_size: int | None = Field(None, ge=1, description="noisy copies in a pass; null: chosen for the device")


class Sampling(Passes):
    """Counting of f's predictions under noise (section V-A)."""

    sizes: list[Annotated[int, Field(ge=1)]] = Field(
        [100, 1000, 5000, 10000, 25000, 50000, 100000],
        min_length=1,
        description="nested sample sizes at which counts are kept; the last is N",
    )
    grid: int = Field(
        0, ge=0, le=100, description="further sizes in each decade from 8 draws up to N, on a geometric grid; 0: none"
    )

    @field_validator("sizes")
    @classmethod
    def _ascending(cls, sizes: list[int]) -> list[int]:
        if sizes != sorted(set(sizes)):
            raise ValueError("must be ascending and distinct")
        return sizes

    def counted(self) -> list[int]:
        """Return all nested sizes at which counts are kept, ascending."""
        n = self.sizes[-1]
        decades = max(math.log10(n / LEAST_SIZE), 0)
        steps = math.ceil(self.grid * decades)
        grid = [round(n * 10 ** (-step * decades / steps)) for step in range(steps + 1)] if steps else []
        return sorted({*self.sizes, *grid})


class Shards(Section):
    """Length of a counting job. Each job counts a range of images."""

    minutes: float = Field(120, gt=0, allow_inf_nan=False, description="length of a counting job")
    rate: float = Field(
        8725,
        gt=0,
        allow_inf_nan=False,
        description="images/s of the base classifier where jobs run; `plan --measure` prints it. The default is that "
        "of the paper's Table II, N = 100,000, on a V100",
    )


class Variance(Section):
    """Repeated sampling of the same images (appendix IX-A, Tables IV and V)."""

    images: int = Field(50, ge=1, description="training images that are sampled repeatedly")
    repeats: int = Field(50, ge=2, le=10_000, description="samplings of each image, N draws each")


class Surrogate(Section):
    """Training of the surrogate h on normalised counts (section V-A)."""

    loss: Literal["jensen-shannon", "cross-entropy"] = Field(
        "jensen-shannon", description="between counts and h: the paper's divergence, or the cross-entropy"
    )
    fresh: bool = Field(
        False, description="each epoch learns from train_samples / epochs draws of its own; false: from all of them"
    )
    from_base: bool = Field(
        False, description="start surrogates of f's architecture from the weights of f; false: all from random weights"
    )
    epochs: int = Field(200, ge=1, description="passes over the counted training images")
    batch_size: int = Field(128, ge=1, description="images in a step")
    lr: float = Field(1e-3, gt=0, description="learning rate: the largest of the schedule")
    betas: tuple[float, float] = Field((0.5, 0.999), description="of Adam")
    schedule: Schedule = Field("steps", description=SCHEDULE)
    step_size: int = Field(20, ge=1, description="epochs after which steps multiply the learning rate by gamma")
    gamma: float = Field(0.5, gt=0, le=1, description="factor of the learning rate after step_size epochs")
    holdout: float = Field(
        0, ge=0, lt=1, description="share of the counted training images, evenly spaced, that h is not trained on"
    )
    crop: int = Field(0, ge=0, description="padding of a random crop, pixels; the paper mentions none")
    flip: bool = Field(False, description="mirror half of the images at random; the paper mentions none")
    precision: Precision | None = Field(None, description="of the passes; null: bf16 on a GPU that has it, else fp32")

    @field_validator("betas")
    @classmethod
    def _below_one(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("must be two numbers in [0, 1)")
        return betas


class Timing(Section):
    """Measurement of certification time (section V-C, Table II and Figure 1)."""

    sigma: Sigma = Field(0.25, description="noise level of the timed certificates")
    count: int = Field(5, ge=1, description="images timed, one at a time")
    repeats: int = Field(5, ge=1, description="interleaved repeats, of which the median is taken")
    online: int = Field(50, ge=1, description="images that are certified online, together")


class Attack(Section):
    """The l2-PGD attacks that certificates are checked against (Ghazanfari 2023, section 3, Table 2)."""

    steps: int = Field(50, ge=1, description="gradient steps of an attack")
    restarts: int = Field(1, ge=1, description="attacks on an image; the first starts at the image, others beside it")
    samples: int = Field(16, ge=1, description="noisy copies in a gradient, if the classifier is sampled")
    n: int = Field(1000, ge=1, description="draws that decide the attacked prediction, if the classifier is sampled")

    def noises(self, noise: str, sigma: float) -> list[str]:
        """Return the distributions that an attack draws from: the classifier's, and that of random starts."""
        return ([noise] if sigma else []) + (["gaussian"] if self.restarts > 1 else [])


class Device(Section):
    """Where models run."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU if there is one")
    kernels: str | None = Field(
        None, description="of residual blocks when counting on a GPU: cudnn or triton; null: PyTorch's own"
    )

    @field_validator("kernels")
    @classmethod
    def _exist(cls, kernels: str | None, given: ValidationInfo) -> str | None:
        if kernels is not None and kernels not in kernel_names():
            raise ValueError(f"must be null or one of {', '.join(kernel_names())}")
        if kernels and given.data.get("device") == "cpu":
            raise ValueError("must be null while device is cpu")
        return kernels


class Compute(Device):
    """How models run."""

    threads: int = Field(2, ge=1, description="CPU threads of a job that runs a model")
    portable: bool = Field(
        False, description="use AVX2 alone, so that training gives the same weights on every x86-64 CPU that has it"
    )


class Comparison(Section):
    """The largest difference from the paper that counts as agreement, beyond sampling error."""

    accuracy: float = Field(0.02, ge=0, description="of shares of the test set, absolute")
    relative: float = Field(0.10, ge=0, description="of every other number, relative to the paper's")


class Published(Section):
    """Certification logs that were published, from which the evidence is simulated (`certify/simulation.py`)."""

    folder: str = Field("published", min_length=1, description="folder with sigma_0.25.tsv, ..., of Cohen et al. 2019")
    spread: float | None = Field(
        None, gt=0, description="error of the surrogate's logit; null: as measured in the paper's first experiment"
    )


class Paper(Section):
    """A sister paper: each of its experiments is the main one with some keys changed."""

    common: dict[str, Any] = Field({}, description="keys that all its experiments change")
    experiments: dict[Name, dict[str, Any]] = Field({}, description="catalogue, by name: further keys to change")
    select: list[Name] | None = Field(None, description="names of the experiments in use; null: all of them")
    seeds: list[Seed] = Field(
        [], description="repeat each experiment as NAME-seedK, with each K of these as train_seed; []: once"
    )

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds):
            raise ValueError("must be distinct")
        return seeds
