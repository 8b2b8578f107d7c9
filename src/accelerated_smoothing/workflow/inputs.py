"""The files that the rules of the workflow read. Methods take Snakemake's wildcards, as those of `jobs.Jobs`."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.io import ancient
from snakemake.iocontainers import Wildcards

from accelerated_smoothing import registry
from accelerated_smoothing.architectures.ensemble import learns
from accelerated_smoothing.config import Config, embedder, owner
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.workflow import plan, shipped

FromWildcards = Callable[..., Any]
PURPOSES = ("selection", "estimation", "pilot")  # of the draws of test images


@dataclass(frozen=True)
class Imported:
    """A base classifier that is imported: the file, its architecture and the sigma of its training."""

    file: str
    arch: str
    sigma: float


@dataclass(frozen=True)
class Inputs:
    """The inputs of the jobs of a run."""

    run: Run

    @property
    def main(self) -> Config:
        return self.run.experiments[""]

    def experiment(self, wildcards: Any) -> Config:
        """Return the experiment that a file belongs to.

        Raises:
            WorkflowError: the experiment does not have the sigma or the method in the file's name.
        """
        experiment = self.run.experiments[wildcards.home]
        where = wildcards.home or "the main experiment"
        for name, values in (("sigma", [str(s) for s in experiment.sigmas]), ("method", experiment.rows)):
            value = wildcards.get(name)
            if value is not None and value not in values:
                raise WorkflowError(f"{name} must be one of {', '.join(values)} in {where}, got {value}")
        return experiment

    @functools.cached_property
    def checkpoints(self) -> dict[str, "Imported"]:
        """Return the base classifiers that are imported and not trained, by their weights' path without its suffix."""
        return {
            f"{home}base/sigma{sigma}": Imported(file, experiment.archs()[sigma], sigma)
            for home, experiment in self.run.experiments.items()
            for sigma, file in experiment.checkpoints.items()
            if not experiment.classifier
        }

    def images(self, split: str | None = None) -> FromWildcards:
        """Return a function of wildcards: the images of a split, or their embeddings for an experiment on these."""

        def path(wildcards: Any) -> str:
            home, part = embedder(self.run.experiments, wildcards.home), split or wildcards.split
            if home is None:
                return self.pixels(part)
            return f"{self.run.results}/{home}embeddings/sigma{self._sigma(home)}/{part}.npz"

        return path

    def pixels(self, split: str) -> str:
        """Return the images of a split themselves.

        Images that are missing but have a record, as in shipped results, are flagged as ancient: Snakemake makes no
        file again because of them.
        """
        file = self.run.images(split)
        return ancient(file) if shipped.missing(file) else file

    def _sigma(self, home: str) -> float:
        (sigma,) = self.run.experiments[home].sigmas
        return sigma

    def _base(self, home: str, sigma: Any) -> str:
        return f"{self.run.results}/{owner(self.run.experiments, home)}base/sigma{sigma}.safetensors"

    def base(self, wildcards: Any) -> str:
        """Return the weights of the base classifier, which may be another experiment's."""
        return self._base(wildcards.home, wildcards.sigma)

    def counts(self, purpose: str, split: str = "test") -> FromWildcards:
        """Return a function of wildcards: the counts of a split at the sigma of the training."""
        return lambda wildcards: self.run.counts(wildcards.home, float(wildcards.sigma), split, purpose)

    def surrogates(self, wildcards: Any) -> list[str]:
        """Return the weights of all surrogates of an experiment at one sigma."""
        sigma, depths = float(wildcards.sigma), self.experiment(wildcards).depths()
        return [self.run.surrogate(wildcards.home, sigma, depth) for depth in depths]

    def sources(self, wildcards: Any) -> dict[str, list[str]]:
        """Return the weights that a base classifier starts from, learns from or is made of, if there are some."""
        experiment, paper = self.experiment(wildcards), Path(wildcards.home).parent

        def weights(names: list[str], sigmas: list[Any]) -> list[str]:
            return [self._base(f"{paper}/{name}/", sigma) for name in names for sigma in sigmas]

        initial, teacher = ([name] if name else [] for name in (experiment.initial, experiment.teacher))
        files = {
            "initial": weights(initial, [wildcards.sigma]),
            "teacher": weights(teacher, experiment.taught_at(float(wildcards.sigma))),
            "members": weights(experiment.members, [wildcards.sigma]),
        }
        return {flag: paths for flag, paths in files.items() if paths}

    @property
    def assembled(self) -> list[str]:
        """Return the experiments whose base classifiers are made of others without any training."""
        return [home for home, each in self.run.experiments.items() if each.combine and not learns(each.combine)]

    def surrogate_base(self, wildcards: Any) -> dict[str, str]:
        """Return the weights of the base classifier, if the training of a surrogate starts from them."""
        return {"base": self.base(wildcards)} if self.from_base(wildcards) else {}

    def from_base(self, wildcards: Any) -> bool:
        """Return whether the training of a surrogate starts from the weights of the base classifier."""
        experiment = self.experiment(wildcards)
        same = experiment.archs()[float(wildcards.sigma)] == f"resnet{wildcards.depth}"
        return same and experiment.surrogate.from_base

    def backbone(self, wildcards: Any) -> dict[str, str]:
        """Return the weights of the network that embeds an experiment's images, if one does."""
        home = embedder(self.run.experiments, wildcards.home)
        return {"backbone": self._base(home, self._sigma(home))} if home else {}

    def sigmas(self, wildcards: Any) -> dict[str, str]:
        """Return the file of the images' own sigmas, if something chose them."""
        chooser = chooser_of(wildcards.choice)
        folder = f"{self.run.results}/{wildcards.home}sigmas/sigma{wildcards.sigma}"
        return {"sigmas": f"{folder}/{chooser}.npz"} if chooser else {}

    def neighbours(self, wildcards: Any) -> dict[str, str]:
        """Return the training images, if the way of choosing sigmas compares images with them."""
        way = registry.load("sigmas.ways", wildcards.chooser)
        return {"train": self.images("train")(wildcards)} if hasattr(way, "REFERENCE") else {}

    def shards(self, wildcards: Any) -> list[str]:
        """Return the counts of all shards of a split."""
        level = f"{wildcards.home}counts/sigma{wildcards.sigma}{wildcards.choice}"
        folder = f"{self.run.results}/{level}/{wildcards.split}-{wildcards.purpose}"
        return [f"{folder}/{shard}.npz" for shard in range(self.counting(wildcards).shards)]

    def counting(self, wildcards: Any) -> plan.Counting:
        """Return the images, sizes and shards of one kind of counting."""
        return plan.counting(self.run.experiments[wildcards.home], wildcards.split, wildcards.purpose)

    def evidence(self, wildcards: Any) -> dict[str, str | list[str]]:
        """Return the files that a method needs, by the names in its NEEDS."""
        experiment, home = self.experiment(wildcards), f"{self.run.results}/{wildcards.home}"
        settings = experiment.method(wildcards.method)
        choice = getattr(settings, "choice", None)
        level = f"sigma{wildcards.sigma}" + (f"-{choice}{settings.at}" if choice else "")
        depth = getattr(settings, "depth", 0)
        counts = {purpose: f"{home}counts/{level}/test-{purpose}.npz" for purpose in PURPOSES}
        if not choice:
            counts = {purpose: self.counts(purpose)(wildcards) for purpose in PURPOSES}
        lower = [sigma for sigma in reversed(experiment.sigmas) if sigma < float(wildcards.sigma)]
        other = getattr(settings, "other", None)
        files: dict[str, str | list[str]] = {
            **counts,
            **{
                f"other_{purpose}": self.run.counts(f"{Path(wildcards.home).parent}/{other}/", sigma, "test", purpose)
                for purpose in ("selection", "estimation")
                for sigma in [float(wildcards.sigma)]
                if other
            },
            **{
                f"lower_{purpose}": [self.run.counts(wildcards.home, sigma, "test", purpose) for sigma in lower]
                for purpose in ("selection", "estimation")
            },
            "predictions": f"{home}surrogates/sigma{wildcards.sigma}/predictions-test.npz",
            "belief": f"{home}surrogates/sigma{wildcards.sigma}/belief.npz",
            "sigmas": f"{home}sigmas/sigma{wildcards.sigma}/{choice}.npz",
            "images": self.images("test")(wildcards),
            "base": self._base(wildcards.home, wildcards.sigma),
            "surrogate": self.run.surrogate(wildcards.home, float(wildcards.sigma), depth) if depth else "",
        }
        needs = experiment.certifier(wildcards.method).NEEDS
        return {need: files[need] for need in needs if need != "estimation" or experiment.replay}

    def online_evidence(self, wildcards: Any) -> dict[str, str | list[str]]:
        """Return the files that the methods need whose draws can be made online, by the names in their NEEDS."""
        files: dict[str, str | list[str]] = {}
        for name in self.experiment(wildcards).online():
            files |= self.evidence(Wildcards(fromdict={**wildcards, "method": name}))
        return files

    def timed(self, wildcards: Any) -> dict[str, Any]:
        """Return the networks that are timed: the base and its surrogates, or a backbone and the head behind it."""
        experiment, home = self.experiment(wildcards), wildcards.home
        sigma = experiment.timing.sigma
        own = self._base(home, sigma)
        if experiment.embedding:
            return {"base": self.backbone(wildcards)["backbone"], "head": own}
        return {"base": own, "surrogates": [self.run.surrogate(home, sigma, depth) for depth in experiment.depths()]}

    def reference(self, wildcards: Any) -> str:
        """Return the certificates of the reference method."""
        experiment = self.experiment(wildcards)
        (path,) = self.run.certificates(wildcards.home, [wildcards.sigma], [experiment.reference])
        return path


def chooser_of(choice: str | None) -> str:
    """Return `ascent` for `-ascent100`."""
    return (choice or "").strip("-0123456789")
