"""The config as typed models: defaults are the paper's, ranges are checked, unknown keys are refused.

Each section is also the flags of the verb that reads it (`cli.py`), so a rule passes a verb just its own slice
and Snakemake reruns a job when, and only when, that slice changes.
"""

import functools
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    field_validator,
    model_validator,
)

from accelerated_smoothing.architectures import cost, embeds, head, resnet_depth, side
from accelerated_smoothing.data import DATASETS, SPLITS, as_slice
from accelerated_smoothing.errors import InputError


def _noise_or_none(sigma: float) -> float:
    if 0 < sigma < 0.001:
        raise ValueError("a noise level is at least 0.001; 0 is none")
    return sigma


Sigma = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False), AfterValidator(_noise_or_none)]
Sampled = Annotated[float, Field(ge=0.001, le=100, allow_inf_nan=False)]  # a sigma that something is drawn under
Slice = Annotated[str, Field(pattern=r"^(-?\d+)?:(-?\d+)?(:[1-9]\d*)?$", description="images, as a Python slice")]
Alpha = Annotated[float, Field(gt=0, lt=1)]
Radius = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Precision = Literal["fp32", "bf16"]


class Section(BaseModel):
    """A part of the config, without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _null(cls, values: Any) -> Any:
        """Snakemake's --config passes null on as a word."""
        if not isinstance(values, dict):
            return values
        nullable = {name for name, field in cls.model_fields.items() if type(None) in get_args(field.annotation)}
        return {name: None if name in nullable and value == "null" else value for name, value in values.items()}


T = TypeVar("T", bound=Section)


def _without_null(entries: Any) -> Any:
    """Entries of a mapping that are not null; Snakemake's --config passes null on as a word."""
    if not isinstance(entries, dict):
        return entries
    return {name: entry for name, entry in entries.items() if entry not in (None, "null")}


Depth = Annotated[int, AfterValidator(resnet_depth)]


class Dataset(Section):
    """Where images come from, and which of them are counted and certified."""

    name: str = Field("cifar10", description=f"one of {', '.join(DATASETS)}")
    folder: str = Field(
        "data", min_length=1, description="folder of the raw files: looked into first, and filled by a download"
    )
    size: int = Field(
        32, ge=1, description="height and width to which images of imagenette or an imagefolder are brought, pixels"
    )
    train: Slice = Field(":", description="training images whose counts the surrogates learn from")
    test: Slice = Field(":", description="test images that are certified")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DATASETS:
            raise ValueError(f"no such dataset; one of {', '.join(DATASETS)} would do")
        return name


class Base(Section):
    """The base classifier f and its training under noise; a way of training (`training/ways/`) adds its own."""

    arch: str = Field(
        "resnet110", description="a CIFAR ResNet: resnet20, resnet56, resnet110, ...; or resnet18, imagenet-resnet50"
    )
    epochs: int = Field(90, ge=1)
    batch_size: int = Field(256, ge=1)
    lr: float = Field(0.1, gt=0)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = Field(0.9, ge=0, lt=1, description="adamw's first beta, too")
    weight_decay: float = Field(1e-4, ge=0)
    step_size: int = Field(30, ge=1, description="epochs after which the learning rate is multiplied by gamma")
    gamma: float = Field(0.1, gt=0, le=1)
    crop: int = Field(4, ge=0, description="padding of the random crop, pixels")
    flip: bool = Field(True, description="mirror half of the images at random")
    precision: Precision | None = Field(None, description="of the passes; null: bf16 on a GPU that has it, else fp32")
    ascent: int = Field(
        0, ge=0, description="steps on an image's own sigma each time it is seen (Alfarra et al. 2022, Algorithm 2)"
    )
    ascent_from: int = Field(50, ge=0, description="epochs before the first of these steps")
    ascent_samples: int = Field(1, ge=1, description="noisy copies of an image in one of them")
    ascent_lr: float = Field(1e-4, gt=0, allow_inf_nan=False, description="of these steps")

    @field_validator("arch")
    @classmethod
    def _known(cls, arch: str) -> str:
        cost(arch)
        return arch

    @model_validator(mode="after")
    def _ascends(self) -> "Base":
        if self.ascent and self.ascent_from >= self.epochs:
            raise ValueError(
                f"ascent_from: found {self.ascent_from}: of {self.epochs} epochs none is left to ascend in"
            )
        return self


class Sampling(Section):
    """Counting f's predictions under noise (section V-A)."""

    sizes: list[Annotated[int, Field(ge=1)]] = Field(
        [100, 1000, 5000, 10000, 25000, 50000, 100000],
        min_length=1,
        description="nested sample sizes at which counts are kept; the last is N",
    )
    precision: Precision = Field("fp32", description="of f's passes, and so part of what is certified")
    batch_size: int | None = Field(None, ge=1, description="noisy copies in one pass; null: what suits the device")

    @field_validator("sizes")
    @classmethod
    def _ascending(cls, sizes: list[int]) -> list[int]:
        if sizes != sorted(set(sizes)):
            raise ValueError("the sizes must ascend, each once")
        return sizes


class Shards(Section):
    """How long a counting job should take; each is a range of images, so many jobs follow."""

    minutes: float = Field(120, gt=0, allow_inf_nan=False)
    rate: float = Field(
        8725,
        gt=0,
        allow_inf_nan=False,
        description="images/s that the base classifier predicts where the jobs run: `plan --measure` tells. The "
        "default is that of the paper's Table II, N = 100,000, on a V100",
    )


class Variance(Section):
    """Repeated sampling of the same images (appendix IX-A, Tables IV and V)."""

    images: int = Field(50, ge=1)
    repeats: int = Field(50, ge=2)


class Surrogate(Section):
    """Training of the surrogate h on normalised counts (section V-A)."""

    epochs: int = Field(200, ge=1)
    batch_size: int = Field(128, ge=1)
    lr: float = Field(1e-3, gt=0)
    betas: tuple[float, float] = Field((0.5, 0.999), description="Adam's")
    step_size: int = Field(20, ge=1, description="epochs after which the learning rate is multiplied by gamma")
    gamma: float = Field(0.5, gt=0, le=1)
    crop: int = Field(0, ge=0, description="padding of a random crop, pixels; the paper mentions none")
    flip: bool = Field(False, description="mirror half of the images at random; the paper mentions none")
    precision: Precision | None = Field(None, description="of the passes; null: bf16 on a GPU that has it, else fp32")

    @field_validator("betas")
    @classmethod
    def _betas(cls, betas: tuple[float, float]) -> tuple[float, float]:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError("each of Adam's betas lies in [0, 1)")
        return betas


class Timing(Section):
    """The measurement of certification time (section V-C, Table II and Figure 1)."""

    sigma: Sigma = 0.25
    count: int = Field(5, ge=1, description="images timed, one at a time")
    repeats: int = Field(5, ge=1, description="interleaved repeats, of which the median is taken")


class Attack(Section):
    """The l2-PGD attacks that certificates are checked against (Ghazanfari 2023, section 3, Table 2)."""

    steps: int = Field(50, ge=1, description="of an attack, along the gradient")
    restarts: int = Field(1, ge=1, description="attacks on an image; the first starts from it, others beside it")
    samples: int = Field(16, ge=1, description="noisy copies in a gradient, where the classifier is sampled")
    n: int = Field(1000, ge=1, description="draws that decide the attacked prediction there")


class Compute(Section):
    """Where and how models run."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: a GPU where there is one")
    threads: int = Field(2, ge=1, description="CPU threads of a job that runs a model")


class Comparison(Section):
    """What counts as agreement with the paper, beyond sampling error."""

    accuracy: float = Field(0.02, ge=0, description="tolerance for shares of the test set, absolute")
    relative: float = Field(0.10, ge=0, description="tolerance for every other number, relative to the paper's")


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]


class Paper(Section):
    """A sister paper: experiments that are the one above with some of its keys changed."""

    common: dict[str, Any] = Field({}, description="keys of this config that all of its experiments change")
    experiments: dict[Name, dict[str, Any]] = Field({}, description="name: further keys that one changes")

    @field_validator("experiments", mode="before")
    @classmethod
    def _dropped(cls, experiments: Any) -> Any:
        """A preset drops an experiment by setting it to null."""
        return _without_null(experiments)


class Config(Section):
    """One experiment, whole, and those of sister papers that are laid over it."""

    results: str = Field("results", pattern=r"^[\w./-]+$", description="the folder that everything is built in")
    seed: Seed = 0
    sigmas: list[Sigma] = Field([0.12, 0.25, 0.50, 1.00], min_length=1, description="noise levels, in [0,1] pixels")
    alpha: Alpha = Field(0.001, description="a certificate fails with at most this probability")
    n0: int = Field(100, ge=1, description="draws that select or verify the top class")
    radii: list[Radius] = Field([0.25, 0.5, 0.75, 1.0, 1.25, 1.5], min_length=1)
    figure_sigmas: list[Sigma] = Field(
        [0.25, 0.50], min_length=1, description="noise levels of Figure 3, Tables III and VI"
    )
    error_radius: Radius = Field(0.25, description="Tables III and VI take images with both radii at least this")
    dataset: Dataset = Dataset()
    noise: str = Field("gaussian", description="its distribution: a module of distributions/; sigma is its scale")
    training: str = Field("gaussian", description="of the base: a module of training/ways/, with its settings")
    base: SerializeAsAny[Base] = Base()
    initial: Name | None = Field(
        None, description="experiment of the same paper with whose base classifiers training starts; null: afresh"
    )
    embedding: Name | None = Field(
        None, description="experiment of the same paper by whose 1-Lipschitz backbone images are embedded first"
    )
    checkpoints: dict[Sigma, str] = Field({}, description="sigma: a locuslab/smoothing checkpoint instead of training")
    sampling: Sampling = Sampling()
    train_samples: int = Field(100000, ge=1, description="draws per training image; the paper takes N")
    shards: Shards = Shards()
    variance: Variance = Variance()
    surrogate: Surrogate = Surrogate()
    choose: dict[str, dict[str, Any]] = Field(
        {"ascent": {"samples": 1, "lr": 1e-4}, "grid": {"evaluations": 200}},
        description="ways of choosing an input's own sigma: a module of choose/ and its settings",
    )
    methods: dict[Name, dict[str, Any]] = Field(
        {
            "cohen": {"certifier": "cohen", "n": 100000},
            "baseline": {"certifier": "cohen", "n": 100},
            "resnet20": {"certifier": "accelerated", "n": 100000, "depth": 20},
            "resnet56": {"certifier": "accelerated", "n": 100000, "depth": 56},
            "resnet110": {"certifier": "accelerated", "n": 100000, "depth": 110},
        },
        min_length=1,
        description="rows of Table I: a module of certify/ and its settings; n is N unless told",
    )
    reference: str = Field("cohen", description="the method whose radii the estimated ones are held against")
    timing: Timing = Timing()
    attack: Attack = Attack()
    compute: Compute = Compute()
    comparison: Comparison = Comparison()
    papers: dict[Name, Paper] = Field({}, description="sister papers, by the folder of their results")

    @field_validator("methods", mode="before")
    @classmethod
    def _dropped(cls, methods: Any) -> Any:
        """A preset drops a method of config.yaml by setting it to null: Snakemake merges the two key by key."""
        return _without_null(methods)

    @model_validator(mode="before")
    @classmethod
    def _of_its_way(cls, values: Any) -> Any:
        """What stands under `base` is for the way of training to check."""
        if not isinstance(values, dict) or not isinstance(values.get("base", {}), dict):
            return values
        try:
            settings = trainer_module(values.get("training", "gaussian")).Settings
            return {**values, "base": settings(**values.get("base", {}))}
        except ValidationError as error:
            raise ValueError(_first(error, "base.")) from None
        except InputError as error:
            raise ValueError(f"training: {error}") from None

    @field_validator("results")
    @classmethod
    def _plain(cls, results: str) -> str:
        return results.rstrip("/")

    @field_validator("sigmas", "figure_sigmas")
    @classmethod
    def _distinct(cls, sigmas: list[float]) -> list[float]:
        if len(set(sigmas)) < len(sigmas):
            raise ValueError("a noise level is repeated; name each once")
        return sorted(sigmas)

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        for key, sigmas in {
            "figure_sigmas": self.figure_sigmas,
            "timing.sigma": [self.timing.sigma],
            "checkpoints": list(self.checkpoints),
        }.items():
            if extra := sorted(set(sigmas) - set(self.sigmas)):
                raise ValueError(f"{key}: {extra[0]} is none of the sigmas {self.sigmas}; name some of these")
        if self.reference not in self.methods:
            raise ValueError(f"reference: {self.reference!r} is none of the methods {list(self.methods)}")
        for name in self.methods:
            settings = self.method(name)
            if hasattr(settings, "n") and settings.n not in self.sampling.sizes:
                raise ValueError(f"methods.{name}.n: {settings.n} is none of sampling.sizes {self.sampling.sizes}")
        if not self.certifier(self.reference).SOUND:
            raise ValueError(f"reference: {self.reference!r} is estimated itself; name a sound method")
        if 0 in self.sigmas and self.samples():
            raise ValueError("sigmas: found 0, which is no noise, and some methods count under noise; name others")
        if (head(self.base.arch) is not None) != (self.embedding is not None):
            raise ValueError(
                f"base.arch: found {self.base.arch!r}; `linear`, or `mlp-128`, is for embeddings, and no other"
            )
        self._behind()
        pixels = self._side()
        if not self.embedding and side(self.base.arch) not in (None, pixels):
            raise ValueError(
                f"base.arch: found {self.base.arch!r}; the images have {pixels} pixels a side, and sll{pixels}-2 is "
                "for these"
            )
        if self.embedding and self.base.crop:
            raise ValueError(f"base.crop: found {self.base.crop}; of an embedding nothing can be cropped, 0 would do")
        for split, images in self.images().items():
            if not images:
                part = getattr(self.dataset, split)
                raise ValueError(f"dataset.{split}: found {part!r}: leaves no image; widen the slice")
        try:
            distribution_module(self.noise)
        except InputError as error:
            raise ValueError(f"noise: {error}") from None
        for way in {**self.choose, **self.chosen()}:
            self.chooser(way)
        for paper, told in self.papers.items():
            for name in told.experiments:
                made = self.experiment(paper, name)
                self._initial(paper, name, made)
                self._embedding(paper, name, made)
        return self

    def _behind(self) -> None:
        """Refuse what cannot be: certificates of an embedding's ball where there is none, and the reverse."""
        for name, told in self.methods.items():
            certifier, key = told["certifier"], f"methods.{name}.certifier: found {told['certifier']!r}"
            if "base" in self.certifier(name).NEEDS and not embeds(self.base.arch) and self.base.arch != "linear":
                raise ValueError(f"{key}, with base.arch {self.base.arch!r}; one such as sll32-2 would do, or linear")
            sampled = "selection" in self.certifier(name).NEEDS
            if sampled and (certifier == "embedded") != (self.embedding is not None):
                raise ValueError(f"{key}; embeddings are certified by embedded, and nothing else is")
        if self.embedding and self.training == "smoothadv":
            raise ValueError("training: found 'smoothadv', which keeps to pixels of [0, 1]; gaussian would do")
        if self.embedding and self.noise != "gaussian":
            raise ValueError(f"noise: found {self.noise!r}, and a backbone is 1-Lipschitz in l2; gaussian would do")

    def _initial(self, paper: str, name: str, made: "Config") -> None:
        """Refuse to start from weights that no experiment trains."""
        key = f"papers.{paper}.experiments.{name}"
        others = [other for other in self.papers[paper].experiments if other != name]
        if made.initial is None:
            return
        if made.initial not in others:
            raise ValueError(f"{key}.initial: found {made.initial!r}; one of {', '.join(others)} would do")
        first = self.experiment(paper, made.initial)
        if extra := set(made.sigmas) - set(first.sigmas):
            raise ValueError(f"{key}.sigmas: {min(extra)} is none of those of {made.initial}, with which it starts")
        if made.base.arch != first.base.arch:
            raise ValueError(f"{key}.base.arch: found {made.base.arch!r}; it starts with a {first.base.arch}")
        if first.initial:
            raise ValueError(f"{key}.initial: found {made.initial!r}, which starts with {first.initial} itself")

    def _embedding(self, paper: str, name: str, made: "Config") -> None:
        """Refuse embeddings by what is no 1-Lipschitz backbone."""
        if made.embedding is None:
            return
        key = f"papers.{paper}.experiments.{name}.embedding: found {made.embedding!r}"
        others = [other for other in self.papers[paper].experiments if other != name]
        if made.embedding not in others:
            raise ValueError(f"{key}; one of {', '.join(others)} would do")
        first = self.experiment(paper, made.embedding)
        if not embeds(first.base.arch):
            raise ValueError(f"{key}, whose {first.base.arch} is not 1-Lipschitz; one such as sll32-2 would do")
        if len(first.sigmas) > 1:
            raise ValueError(f"{key}, with backbones of several sigmas; one of a single sigma would do")

    def paper(self, name: str) -> "Config":
        """What the experiments of a sister paper have in common."""
        common = self.papers[name].common
        if "checkpoints" in common:
            raise ValueError(f"papers.{name}.common.checkpoints: are of one base classifier; set them in an experiment")
        return self._with(common, f"papers.{name}.common")

    def experiment(self, paper: str, name: str) -> "Config":
        """An experiment of a sister paper."""
        changes = self.papers[paper].experiments[name]
        return self.paper(paper)._with(changes, f"papers.{paper}.experiments.{name}")

    def experiments(self) -> dict[str, "Config"]:
        """All experiments, by the folder below `results`, with a slash at its end: this one's is empty."""
        found = {"": self}
        for paper, told in self.papers.items():
            found |= {f"{paper}/{name}/": self.experiment(paper, name) for name in told.experiments}
        return found

    def _with(self, changes: Mapping[str, Any], key: str) -> "Config":
        """This experiment with some keys changed; it has no checkpoints, since these are of one base classifier.

        Raises:
            ValueError: naming the key.
        """
        if found := sorted({"results", "seed", "papers", "compute"} & changes.keys()):
            raise ValueError(f"{key}.{found[0]}: is the same for all experiments; set it at the top")
        below = self.model_dump(mode="json", exclude={"papers", "checkpoints"})
        sigmas = changes.get("sigmas")
        if sigmas and isinstance(sigmas, list):  # of which the main experiment's choices are perhaps not some
            below["figure_sigmas"] = sigmas
            below["timing"]["sigma"] = sigmas[0]
        if changes.get("training", self.training) != self.training:  # whose further settings are its own
            below["base"] = {name: value for name, value in below["base"].items() if name in Base.model_fields}
        _merge(below, changes)
        try:
            made = type(self).model_validate(below)
        except ValidationError as error:
            raise ValueError(_first(error, f"{key}.")) from None
        for name in ("name", "folder", "size"):
            if getattr(made.dataset, name) != getattr(self.dataset, name):
                raise ValueError(f"{key}.dataset.{name}: is the same for all experiments; set it at the top")
        return made

    def method(self, name: str) -> Any:
        """The settings of one method, as the `Settings` model of its certifier.

        Raises:
            ValueError: no such certifier, or settings that it refuses.
        """
        certifier = self.certifier(name)
        settings = {key: value for key, value in self.methods[name].items() if key != "certifier"}
        if "n" in certifier.Settings.model_fields:
            settings = {"n": self.sampling.sizes[-1], **settings}
        try:
            return certifier.Settings(**settings)
        except ValidationError as error:
            raise ValueError(_first(error, f"methods.{name}.")) from None

    def certifier(self, name: str) -> Any:
        """The module of one method.

        Raises:
            ValueError: there is none.
        """
        try:
            return certifier_module(str(self.methods[name].get("certifier", "")))
        except InputError as error:
            raise ValueError(f"methods.{name}.certifier: {error}") from None

    def samples(self) -> bool:
        """Whether a method needs counts, and not the images and the networks alone."""
        return any("selection" in self.certifier(name).NEEDS for name in self.methods)

    def images(self) -> dict[str, int]:
        """How many images of each split are counted, where that is known without looking: not of an imagefolder."""
        if self.dataset.name == "imagefolder":
            return {}
        whole = DATASETS[self.dataset.name]().shape(Path(self.dataset.folder), self.dataset.size)
        return {split: len(range(getattr(whole, split))[as_slice(getattr(self.dataset, split))]) for split in SPLITS}

    def _side(self) -> int:
        """Pixels a side of the images, which of an imagefolder's are brought to that."""
        name, folder, size = self.dataset.name, Path(self.dataset.folder), self.dataset.size
        return size if name == "imagefolder" else DATASETS[name]().shape(folder, size).size

    def chooser(self, way: str) -> Any:
        """The settings of one way of choosing sigma, as the `Settings` model of its module.

        Raises:
            ValueError: no such way, or settings that it refuses.
        """
        try:
            return chooser_module(way).Settings(**self.choose.get(way, {}))
        except ValidationError as error:
            raise ValueError(_first(error, f"choose.{way}.")) from None
        except InputError as error:
            raise ValueError(f"choose: {error}") from None

    def chosen(self) -> dict[str, list[int]]:
        """By each way of choosing sigma that the methods need, at which of its numbers they need it, ascending."""
        found: dict[str, set[int]] = {}
        for name in self.methods:
            settings = self.method(name)
            if getattr(settings, "choice", None):
                found.setdefault(settings.choice, set()).add(settings.at)
        return {way: sorted(at) for way, at in found.items()}

    def depths(self) -> list[int]:
        """Depths of the surrogates that the methods need, ascending."""
        settings = [self.method(name) for name in self.methods]
        return sorted({s.depth for s in settings if hasattr(s, "depth")})


def modules(package: str) -> list[str]:
    """The names of the modules of a package within this one: `certify`, `training.ways`."""
    folder = Path(__file__).parents[1].joinpath(*package.split("."))
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def _module(package: str, name: str) -> Any:
    """One of them.

    Raises:
        InputError: there is none.
    """
    if name not in modules(package):
        raise InputError(f"found {name!r}; one of {', '.join(modules(package))} would do")
    return importlib.import_module(f"accelerated_smoothing.{package}.{name}")


certifier_module = functools.partial(_module, "certify.methods")
chooser_module = functools.partial(_module, "sigmas.ways")
distribution_module = functools.partial(_module, "noise.distributions")
trainer_module = functools.partial(_module, "training.ways")


def embedder(experiments: Mapping[str, Config], home: str) -> str | None:
    """Where the experiment lies whose network embeds the images of the one at `home`, if one does."""
    name = experiments[home].embedding
    return f"{Path(home).parent}/{name}/" if name else None


def load(settings: Mapping[str, Any]) -> Config:
    """Check a config.

    Raises:
        InputError: one line with the key, what was found and what would do.
    """
    try:
        made = Config.model_validate(dict(settings))
    except ValidationError as error:
        raise InputError(_first(error, "")) from None
    for key in ("initial", "embedding"):
        if name := getattr(made, key):
            raise InputError(f"{key}: found {name!r}: is for an experiment of a sister paper, under papers")
    return made


def read(paths: list[Path]) -> Config:
    """Read config files, each overriding the ones before it key by key, as Snakemake does.

    Raises:
        InputError: a file is missing, is no YAML, or the config is wrong.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            layer = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); name a config file") from error
        except yaml.YAMLError as error:
            raise InputError(f"{path}: no valid YAML ({' '.join(str(error).split())})") from error
        if not isinstance(layer, dict):
            raise InputError(f"{path}: holds {type(layer).__name__}, where key: value lines are needed")
        _merge(merged, layer)
    return load(merged)


def _merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            _merge(below[key], value)
        else:
            below[key] = value


def check(model: type[T], values: Mapping[str, Any]) -> T:
    """Check one section, as `load` does."""
    try:
        return model(**values)
    except ValidationError as error:
        raise InputError(_first(error, "")) from None


def _first(error: ValidationError, prefix: str) -> str:
    fault = error.errors()[0]
    key = prefix + ".".join(str(part) for part in fault["loc"] if part != "[key]")
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key; see config.yaml for those that there are"
    message = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:  # a fault of several keys together, whose message names them
        return prefix + message
    return f"{key}: found {fault['input']!r}: {message[0].lower()}{message[1:]}"


def schema() -> str:
    """The JSON schema of the config."""
    made = Config.model_json_schema()
    ways = {name: trainer_module(name).Settings.model_json_schema() for name in modules("training.ways")}
    made["properties"]["base"] = {"anyOf": list(ways.values())}
    return json.dumps(made, indent=2) + "\n"
