"""The files of a run: what the rules of the workflow call the certificates, counts and timings of each experiment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accelerated_smoothing.config import Config, counter, trainer
from accelerated_smoothing.errors import InputError


@dataclass(frozen=True)
class Run:
    """All experiments of a config, and the names of their files.

    Attributes:
        results: the folder in which everything is built.
        experiments: configs by home, the folder below `results`: "" is the main experiment's, "fars/mlp/" one of a
            sister paper's.
    """

    results: str
    experiments: Mapping[str, Config]

    def config(self, home: str = "") -> Config:
        """Return the config of an experiment.

        Raises:
            InputError: `name` is not the name of an experiment of the run.
        """
        if home not in self.experiments:
            paper, _, name = home.rstrip("/").partition("/")
            names = [other.split("/")[1] for other in self.experiments if other.startswith(f"{paper}/")]
            raise InputError(f"papers.{paper}.experiments must include {name}, got {', '.join(names) or 'none'}")
        return self.experiments[home]

    def paper(self, folder: str) -> Config:
        """Return what all experiments of a paper have in common; the main experiment where `folder` is "".

        Raises:
            InputError: `paper` is not the name of a paper of the config.
        """
        main = self.config()
        if folder and folder not in main.papers:
            raise InputError(f"papers must include {folder}, got {', '.join(main.papers) or 'none'}")
        return main.paper(folder) if folder else main

    def methods(self, home: str = "") -> list[str]:
        """Return the names of the methods that an experiment uses, in order."""
        config = self.config(home)
        rows: list[str] | None = getattr(config, "rows", None)
        return list(config.methods) if rows is None else rows

    def certificates(
        self, home: str = "", sigmas: Sequence[float] | None = None, methods: Sequence[str] | None = None
    ) -> list[str]:
        """Return the certificates of an experiment, sigma by sigma.

        Args:
            sigmas: noise levels of the training; all of the experiment if None.
            methods: names of methods; all of the experiment if None.
        """
        return [
            f"{self.results}/{home}certificates/sigma{sigma}/{method}.tsv"
            for sigma in (self.config(home).sigmas if sigmas is None else sigmas)
            for method in (self.methods(home) if methods is None else methods)
        ]

    def timing(self, home: str = "") -> str:
        """Return the measured times of an experiment."""
        self.config(home)
        return f"{self.results}/{home}timing.tsv"

    def online(self, home: str, sigma: float) -> str:
        """Return the measured times of certificates that are made online."""
        self.config(home)
        return f"{self.results}/{home}online/sigma{sigma}.tsv"

    def counts(self, home: str, sigma: float, split: str, purpose: str) -> str:
        """Return the counts of a split's images, drawn for a purpose. Experiments with the same draws share a file."""
        self.config(home)
        place = counter(self.experiments, home, sigma, split, purpose)
        return f"{self.results}/{place}counts/sigma{sigma}/{split}-{purpose}.npz"

    def surrogate(self, home: str, sigma: float, depth: int) -> str:
        """Return the weights of a surrogate. Experiments with the same training share a file."""
        self.config(home)
        place = trainer(self.experiments, home, sigma, depth)
        return f"{self.results}/{place}surrogates/sigma{sigma}/resnet{depth}.safetensors"

    def attacks(self, home: str, sigma: float) -> str:
        """Return the attacks on the classifier of an experiment."""
        self.config(home)
        return f"{self.results}/{home}attacks/sigma{sigma}.tsv"

    def images(self, split: str) -> str:
        """Return the images of a split."""
        return f"{self.results}/data/{split}.npz"
