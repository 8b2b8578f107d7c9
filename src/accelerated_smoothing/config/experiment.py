"""One experiment: every key of the config, and what follows from them."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from accelerated_smoothing.architectures import ensemble, of_file
from accelerated_smoothing.config import checks, papers, plugins
from accelerated_smoothing.config.errors import COMBINE, PATH
from accelerated_smoothing.config.sections import (
    Alpha,
    Attack,
    Base,
    Comparison,
    Compute,
    Dataset,
    Name,
    Paper,
    Published,
    Radius,
    Sampling,
    Section,
    Seed,
    Shards,
    Sigma,
    Surrogate,
    Timing,
    Variance,
)
from accelerated_smoothing.config.slices import SPLITS, as_slice


class Config(Section):
    """An experiment, and the changes that make the experiments of sister papers from it."""

    results: str = Field("results", pattern=PATH, description="folder of everything that is built")
    seed: Seed = Field(0, description="root of all randomness")
    sigmas: list[Sigma] = Field([0.12, 0.25, 0.50, 1.00], min_length=1, description="noise levels, in [0,1] pixels")
    alpha: Alpha = Field(0.001, description="a certificate fails with at most this probability")
    n0: int = Field(100, ge=1, description="draws that select or verify the top class")
    radii: list[Radius] = Field(
        [0.25, 0.5, 0.75, 1.0, 1.25, 1.5], min_length=1, description="radii of certified accuracy in tables"
    )
    figure_sigmas: list[Sigma] = Field(
        [0.25, 0.50], min_length=1, description="noise levels of Figure 3, Tables III and VI"
    )
    error_radius: Radius = Field(0.25, description="Tables III and VI take images with both radii at least this")
    dataset: Dataset = Dataset()
    noise: str = Field("gaussian", description="a module of noise/distributions/; sigma is its scale")
    training: str = Field("gaussian", description="a module of training/ways/; base has its settings")
    base: SerializeAsAny[Base] = Base()
    initial: Name | None = Field(
        None, description="experiment of the same paper from whose weights training starts; null: random weights"
    )
    teacher: Name | None = Field(
        None, description="experiment of the same paper that teaches crt, catrs, stability or router; null: none"
    )
    members: list[Name] = Field(
        [], description="experiments of the same paper whose base classifiers are combined, of equal architecture"
    )
    combine: str | None = Field(
        None,
        pattern=COMBINE,
        description="how members make one: ensemble, sween, consensus2 (if two agree), agreement or denoised, or how "
        "one is edited: rounded (to bfloat16) or pruned30 (percent); it sets base.arch",
    )
    classifier: Literal["main"] | None = Field(
        None, description="main: use the base classifiers of the main experiment, and equal counts; null: its own"
    )
    embedding: Name | None = Field(
        None, description="experiment of the same paper whose 1-Lipschitz backbone embeds the images; null: none"
    )
    published: Published | None = Field(
        None, description="simulate counts and surrogate from published logs; null: count a base classifier"
    )
    checkpoints: dict[Sigma, str] = Field(
        {}, description="sigma: instead of training, a locuslab/smoothing checkpoint, or a program: .onnx or .pt2"
    )
    sampling: Sampling = Sampling()
    train_samples: int = Field(100000, ge=1, description="draws per training image; the paper takes N")
    train_seed: Seed | None = Field(
        None, description="root of all that is trained and of the draws of training images; null: seed"
    )
    shards: Shards = Shards()
    variance: Variance = Variance()
    surrogate: Surrogate = Surrogate()
    replay: bool = Field(
        True, description="certify from stored counts of N draws; false: draw while certifying, as methods ask for it"
    )
    choose: dict[str, dict[str, Any]] = Field(
        {"ascent": {"samples": 1, "lr": 1e-4}, "grid": {"evaluations": 200}},
        description="ways of choosing each image's sigma: a module of sigmas/ways/ and its settings",
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
        description="catalogue, by name: a module of certify/methods/ and its settings; n defaults to N",
    )
    rows: list[Name] = Field(
        ["cohen", "baseline", "resnet20", "resnet56", "resnet110"],
        min_length=1,
        description="names of the methods in use: the rows of Table I, in order",
    )
    reference: str = Field("cohen", description="the row that estimated radii are compared with")
    timing: Timing = Timing()
    attack: Attack = Attack()
    compute: Compute = Compute()
    comparison: Comparison = Comparison()
    papers: dict[Name, Paper] = Field({}, description="sister papers, by the folder of their results")

    @model_validator(mode="before")
    @classmethod
    def _base_of_training(cls, values: Any) -> Any:
        """Check `base` as the way of training defines it."""
        if not isinstance(values, dict) or not isinstance(values.get("base", {}), dict):
            return values
        way = plugins.load("training.ways", values.get("training", "gaussian"), "training")
        return {**values, "base": plugins.settings(way.Settings, values.get("base", {}), "base")}

    @field_validator("results")
    @classmethod
    def _without_slash(cls, results: str) -> str:
        return results.rstrip("/")

    @field_validator("sigmas", "figure_sigmas")
    @classmethod
    def _distinct(cls, sigmas: list[float]) -> list[float]:
        if len(set(sigmas)) < len(sigmas):
            raise ValueError("must be distinct")
        return sorted(sigmas)

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        checks.experiment(self)
        papers.check(self)
        return self

    def trains(self, sigma: float) -> bool:
        """Return whether the base classifier at this sigma is trained, and neither imported nor assembled."""
        return sigma not in self.checkpoints and (not self.combine or ensemble.learns(self.combine))

    def taught_at(self, sigma: float) -> list[float]:
        """Return the noise levels of the teachers that a training at this sigma has, the largest first."""
        levels = hasattr(plugins.load("training.ways", self.training, "training"), "LEVELS")
        return [level for level in reversed(self.sigmas) if level <= sigma] if levels else [sigma]

    def paper(self, name: str) -> "Config":
        """Return what the experiments of a sister paper have in common."""
        return papers.common(self, name)

    def experiment(self, paper: str, name: str) -> "Config":
        """Return one experiment of a sister paper."""
        return papers.experiment(papers.common(self, paper), self.papers[paper], f"papers.{paper}", name)

    def experiments(self) -> dict[str, "Config"]:
        """Return all experiments by their folder below `results`, with a slash at its end; the main one's is ""."""
        return {
            "": self,
            **{f"{paper}/{name}/": config for paper in self.papers for name, config in papers.of(self, paper).items()},
        }

    def archs(self) -> dict[float, str]:
        """Return the architecture of the base classifier at each sigma: `base.arch`, unless a program is imported."""
        return {sigma: of_file(self.checkpoints.get(sigma, "")) or self.base.arch for sigma in self.sigmas}

    def arch(self) -> str:
        """Return the architecture of all base classifiers; `base.arch` if they differ."""
        archs = set(self.archs().values())
        return archs.pop() if len(archs) == 1 else self.base.arch

    def method(self, name: str) -> Any:
        """Return the settings of a method, as the `Settings` of its certifier.

        Raises:
            ValueError: the certifier does not exist, or refuses the settings.
        """
        model = self.certifier(name).Settings
        values = {key: value for key, value in self.methods[name].items() if key != "certifier"}
        if "n" in model.model_fields:
            values = {"n": self.sampling.sizes[-1], **values}
        return plugins.settings(model, values, f"methods.{name}")

    def certifier(self, name: str) -> Any:
        """Return the module of a method's certifier.

        Raises:
            ValueError: the certifier does not exist.
        """
        return plugins.load("certify.methods", self.methods[name].get("certifier"), f"methods.{name}.certifier")

    def chooser(self, way: str) -> Any:
        """Return the settings of a way of choosing sigmas, as the `Settings` of its module.

        Raises:
            ValueError: the way does not exist, or refuses the settings.
        """
        model = plugins.load("sigmas.ways", way, "choose").Settings
        return plugins.settings(model, self.choose.get(way, {}), f"choose.{way}")

    def samples(self) -> bool:
        """Return whether a row needs counts under noise."""
        return any(checks.is_sampled(self.certifier(name)) for name in self.rows)

    def depths(self) -> list[int]:
        """Return the depths of the surrogates that the rows need, ascending."""
        settings = [self.method(name) for name in self.rows]
        return sorted({depth for method in settings if (depth := getattr(method, "depth", None))})

    def pilots(self) -> list[int]:
        """Return the numbers of pilot draws that the rows need, ascending."""
        return sorted({self.method(name).draws for name in self.rows if "pilot" in self.certifier(name).NEEDS})

    def counted(self) -> list[tuple[str, str]]:
        """Return the split and the purpose of the counts that the rows need."""
        kinds = [("train", "estimation")] if self.depths() else []
        kinds += [("test", "estimation")] if self.samples() and self.replay else []
        kinds += [("test", "selection")] if self.samples() else []
        return kinds + ([("test", "pilot")] if self.pilots() else [])

    def sizes(self, split: str, purpose: str) -> list[int]:
        """Return the nested numbers of draws at which counts are kept, ascending.

        Args:
            split: "train" or "test".
            purpose: "estimation", "selection", "pilot" or "variance".
        """
        return {
            "estimation": self._learned() if split == "train" else self.sampling.counted(),
            "selection": [self.n0],
            "pilot": self.pilots(),
            "variance": [self.sampling.sizes[-1] * repeat for repeat in range(1, self.variance.repeats + 1)],
        }[purpose]

    def _learned(self) -> list[int]:
        """Return the draws of a training image for the surrogates; if fresh, those up to the end of each epoch."""
        epochs = self.surrogate.epochs if self.surrogate.fresh else 1
        return [self.train_samples // epochs * done for done in range(1, epochs + 1)]

    def first_members(self) -> list[str]:
        """Return the members that a consensus asks first, since the others matter only where these differ."""
        return self.members[: ensemble.agreeing(self.base.arch)]

    def draws_seed(self, split: str) -> int:
        """Return the root seed of the draws of a split."""
        return self.seed if split == "test" or self.train_seed is None else self.train_seed

    def online(self) -> dict[str, dict[str, Any]]:
        """Return the settings of the rows whose draws can be made online, by name."""
        names = [name for name in self.rows if getattr(self.certifier(name), "ONLINE", False)]
        return {name: self.methods[name] for name in names}

    def calibrates(self) -> bool:
        """Return whether a row needs a calibrated belief."""
        return any("belief" in self.certifier(name).NEEDS for name in self.rows)

    def chosen(self) -> dict[str, list[int]]:
        """Return the ways of choosing sigmas that the rows need: for each its numbers `at`, ascending."""
        numbers: dict[str, set[int]] = {}
        for name in self.rows:
            method = self.method(name)
            if getattr(method, "choice", None):
                numbers.setdefault(method.choice, set()).add(method.at)
        return {way: sorted(at) for way, at in numbers.items()}

    def images(self) -> dict[str, int]:
        """Return how many images of each split are counted; nothing for an imagefolder, whose files would be read."""
        data = self.dataset
        if data.name == "imagefolder":
            return {}
        shape = plugins.dataset_shape(data.name, data.folder, data.size)
        return {split: len(range(getattr(shape, split))[as_slice(getattr(data, split))]) for split in SPLITS}


def owner(experiments: Mapping[str, Config], home: str) -> str:
    """Return the folder of the experiment whose base classifiers the one at `home` uses."""
    return "" if experiments[home].classifier else home


def counter(experiments: Mapping[str, Config], home: str, sigma: float, split: str, purpose: str) -> str:
    """Return the folder of the experiment whose counts the one at `home` uses: the first with the same draws.

    Args:
        experiments: all experiments by their folder.
        home: folder of the experiment that asks.
        sigma: noise level.
        split, purpose: as for `Config.sizes`.
    """

    def draws(config: Config) -> tuple[object, ...]:
        return getattr(config.dataset, split), config.sizes(split, purpose), config.draws_seed(split)

    return _first_equal(
        experiments, home, sigma, lambda config: draws(config) if (split, purpose) in config.counted() else None
    )


def trainer(experiments: Mapping[str, Config], home: str, sigma: float, depth: int) -> str:
    """Return the folder of the experiment whose surrogate the one at `home` uses: the first that trains an equal one.

    Args:
        experiments, home, sigma: as for `counter`.
        depth: of the surrogate.
    """

    def training(config: Config) -> tuple[object, ...] | None:
        learned = config.sizes("train", "estimation"), config.draws_seed("train"), config.dataset.train
        return (config.surrogate, *learned) if depth in config.depths() else None

    return _first_equal(experiments, home, sigma, training)


def _first_equal(
    experiments: Mapping[str, Config], home: str, sigma: float, recipe: Callable[[Config], tuple[object, ...] | None]
) -> str:
    """Return the first experiment with the same base classifier that makes the same thing as the one at `home`.

    Args:
        recipe: returns what decides the thing; None if an experiment does not make it.
    """
    return next(
        other
        for other, config in experiments.items()
        if other == home
        or (
            owner(experiments, other) == owner(experiments, home)
            and sigma in config.sigmas
            and recipe(config) is not None
            and recipe(config) == recipe(experiments[home])
        )
    )


def embedder(experiments: Mapping[str, Config], home: str) -> str | None:
    """Return the folder of the experiment whose backbone embeds the images of the one at `home`, if any."""
    name = experiments[home].embedding
    return f"{home.split('/')[0]}/{name}/" if name else None
