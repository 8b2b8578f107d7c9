"""What the rules of the workflow ask: inputs, code digests, resources and words of each job.

Methods take Snakemake's wildcards. `home` is where an experiment of a sister paper lies, such as `fars/mlp/`; it is
empty for the main experiment. `choice` is what chose the sigmas of images, such as `-ascent100`; it may be empty.
"""

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from accelerated_smoothing import architectures, registry
from accelerated_smoothing.command import flags
from accelerated_smoothing.config import Config, embedder, owner
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.provenance import code
from accelerated_smoothing.workflow import plan

Asked = Callable[..., Any]  # a function of wildcards


def anyof(words: Any) -> str:
    """Return a regular expression for one of several words."""
    longest_first = sorted({re.escape(str(word)) for word in words}, key=len, reverse=True)
    return "|".join(longest_first) or "none"


@dataclass(frozen=True)
class Imported:
    """A base classifier that is imported: the file, its architecture and the sigma of its training."""

    file: str
    arch: str
    sigma: float


@dataclass(frozen=True)
class Jobs:
    """The jobs of a run.

    Attributes:
        run: its folder and experiments.
        gpu: resources of jobs with a GPU that the profile sets, such as the partition.
        cores: of this machine, which a measurement of times takes whole; None on a cluster.
    """

    run: Run
    gpu: Mapping[str, Any]
    cores: int | None

    # Names

    @property
    def main(self) -> Config:
        return self.run.experiments[""]

    def constraints(self) -> dict[str, str]:
        """Return the wildcard constraints of all rules."""
        experiments = self.run.experiments.values()
        ways = "|".join(registry.names("sigmas.ways"))
        return {
            "home": anyof(self.run.experiments),
            "sigma": anyof(sigma for experiment in experiments for sigma in experiment.sigmas),
            "method": anyof(method for experiment in experiments for method in experiment.rows),
            "depth": anyof(depth for experiment in experiments for depth in experiment.depths()),
            "chooser": ways,
            "choice": rf"(-({ways})\d+)?",
            "split": "train|test",
            "purpose": "estimation|selection|pilot|variance",
            "shard": r"\d+",
        }

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

    def setting(self, *keys: str) -> Asked:
        """Return a function of wildcards: a value of the experiment, such as `setting("dataset", "test")`."""
        return lambda wildcards: functools.reduce(getattr, keys, self.experiment(wildcards))

    def section(self, name: str) -> Asked:
        """Return a function of wildcards: a section of the experiment as flags."""
        return lambda wildcards: flags(getattr(self.experiment(wildcards), name))

    def compute(self, wildcards: Any, threads: int) -> str:
        """Return the section `compute` as flags.

        Snakemake does not track what depends on `threads`, so another number of threads runs no job again. The device,
        which changes the arithmetic, is a parameter of its own.
        """
        return flags(self.main.compute)

    def threads(self, wildcards: Any, threads: int) -> str:
        """Return the number of threads as a flag; it is not tracked, as in `compute`."""
        return f"--threads {self.main.compute.threads}"

    @functools.cached_property
    def checkpoints(self) -> dict[str, "Imported"]:
        """Return the base classifiers that are imported and not trained, by their weights' path without its suffix."""
        return {
            f"{home}base/sigma{sigma}": Imported(file, experiment.archs()[sigma], sigma)
            for home, experiment in self.run.experiments.items()
            for sigma, file in experiment.checkpoints.items()
            if not experiment.classifier
        }

    def imported(self, field: str) -> Asked:
        """Return a function of wildcards: a field of the base classifier that is imported."""
        return lambda wildcards: getattr(self.checkpoints[wildcards.imported], field)

    # Code

    def code(self, verb: str, *networks: str) -> Asked:
        """Return a function of wildcards: the digest of the code that a verb can run.

        Args:
            networks: the networks that the verb loads: "base", "backbone", "surrogate", "surrogates".
        """

        def digest(wildcards: Any) -> str:
            experiment = self.experiment(wildcards)
            attack, noise = experiment.attack, experiment.noise
            facts = {"noise": [] if verb == "predict" else [noise]}  # surrogates run without noise
            if verb == "attack":
                facts["noise"] = attack.noises(noise, float(wildcards.sigma))
            if verb == "train-base":
                facts["way"] = [experiment.training]
            if verb == "online":
                facts["certifier"] = [settings["certifier"] for settings in experiment.online().values()]
            chooser = wildcards.get("chooser") or _chooser(wildcards.get("choice"))
            if chooser:
                facts["chooser"] = [chooser]
            loaded = list(networks)
            if wildcards.get("method"):
                facts["certifier"] = [experiment.methods[wildcards.method]["certifier"]]
                loaded += experiment.certifier(wildcards.method).NEEDS
            facts["family"] = [architectures.family(arch) for arch in self._architectures(wildcards, loaded)]
            return code.digest(verb, facts)

        return digest

    def code_of(self, verb: str, **facts: list[str]) -> str:
        """Return the digest of a verb that loads the same plug-ins in every run."""
        return code.digest(verb, facts)

    def code_of_data(self) -> str:
        return code.digest("data", {"dataset": [self.main.dataset.name]})

    def code_of_import(self, wildcards: Any) -> str:
        return code.digest("import-base", {"family": [architectures.family(self.checkpoints[wildcards.imported].arch)]})

    def _architectures(self, wildcards: Any, networks: list[str]) -> list[str]:
        experiment, backbone = self.experiment(wildcards), embedder(self.run.experiments, wildcards.home)
        names = []
        if "base" in networks:
            names.append(experiment.archs()[float(wildcards.get("sigma", experiment.timing.sigma))])
        if "backbone" in networks and backbone:
            names.append(self.run.experiments[backbone].base.arch)
        if "surrogate" in networks or ("surrogates" in networks and experiment.depths()):
            names.append(f"resnet{experiment.depths()[0]}")
        return names

    # Files

    def images(self, split: str | None = None) -> Asked:
        """Return a function of wildcards: the images of a split, or their embeddings for an experiment on these."""

        def path(wildcards: Any) -> str:
            folder, home = f"{self.run.results}/data", embedder(self.run.experiments, wildcards.home)
            if home:
                folder = f"{self.run.results}/{home}embeddings/sigma{self._sigma(home)}"
            return f"{folder}/{split or wildcards.split}.npz"

        return path

    def _sigma(self, home: str) -> float:
        (sigma,) = self.run.experiments[home].sigmas
        return sigma

    def _base(self, home: str, sigma: Any) -> str:
        return f"{self.run.results}/{owner(self.run.experiments, home)}base/sigma{sigma}.safetensors"

    def base(self, wildcards: Any) -> str:
        """Return the weights of the base classifier, which may be another experiment's."""
        return self._base(wildcards.home, wildcards.sigma)

    def training_counts(self, wildcards: Any) -> str:
        """Return the counts of the training images, which may be another experiment's."""
        return self.run.counts(owner(self.run.experiments, wildcards.home), wildcards.sigma, "train", "estimation")

    def surrogates(self, wildcards: Any) -> list[str]:
        """Return the weights of all surrogates of an experiment at one sigma."""
        folder = f"{self.run.results}/{wildcards.home}surrogates/sigma{wildcards.sigma}"
        return [f"{folder}/resnet{depth}.safetensors" for depth in self.experiment(wildcards).depths()]

    def initial(self, wildcards: Any) -> dict[str, str]:
        """Return the weights that training starts from, if the experiment names some."""
        initial = self.experiment(wildcards).initial
        paper = Path(wildcards.home).parent
        return {"initial": self._base(f"{paper}/{initial}/", wildcards.sigma)} if initial else {}

    def backbone(self, wildcards: Any) -> dict[str, str]:
        """Return the weights of the network that embeds an experiment's images, if one does."""
        home = embedder(self.run.experiments, wildcards.home)
        return {"backbone": self._base(home, self._sigma(home))} if home else {}

    def sigmas(self, wildcards: Any) -> dict[str, str]:
        """Return the file of the images' own sigmas, if something chose them."""
        chooser = _chooser(wildcards.choice)
        folder = f"{self.run.results}/{wildcards.home}sigmas/sigma{wildcards.sigma}"
        return {"sigmas": f"{folder}/{chooser}.npz"} if chooser else {}

    def shards(self, wildcards: Any) -> list[str]:
        """Return the counts of all shards of a split."""
        level = f"{wildcards.home}counts/sigma{wildcards.sigma}{wildcards.choice}"
        folder = f"{self.run.results}/{level}/{wildcards.split}-{wildcards.purpose}"
        return [f"{folder}/{shard}.npz" for shard in range(self.counting(wildcards).shards)]

    def counting(self, wildcards: Any) -> plan.Counting:
        """Return the images, sizes and shards of one kind of counting."""
        return plan.counting(self.run.experiments[wildcards.home], wildcards.split, wildcards.purpose)

    def evidence(self, wildcards: Any) -> dict[str, str]:
        """Return the files that a method needs, by the names in its NEEDS."""
        experiment, home = self.experiment(wildcards), f"{self.run.results}/{wildcards.home}"
        settings = experiment.method(wildcards.method)
        choice = getattr(settings, "choice", None)
        level = f"sigma{wildcards.sigma}" + (f"-{choice}{settings.at}" if choice else "")
        depth = getattr(settings, "depth", 0)
        files = {
            "selection": f"{home}counts/{level}/test-selection.npz",
            "estimation": f"{home}counts/{level}/test-estimation.npz",
            "pilot": f"{home}counts/{level}/test-pilot.npz",
            "predictions": f"{home}surrogates/sigma{wildcards.sigma}/predictions-test.npz",
            "belief": f"{home}surrogates/sigma{wildcards.sigma}/belief.npz",
            "images": self.images("test")(wildcards),
            "base": self._base(wildcards.home, wildcards.sigma),
            "surrogate": f"{home}surrogates/sigma{wildcards.sigma}/resnet{depth}.safetensors",
        }
        return {need: files[need] for need in experiment.certifier(wildcards.method).NEEDS}

    def timed(self, wildcards: Any) -> dict[str, Any]:
        """Return the networks that are timed: the base and its surrogates, or a backbone and the head behind it."""
        experiment = self.experiment(wildcards)
        level = f"sigma{experiment.timing.sigma}"
        own = self._base(wildcards.home, experiment.timing.sigma)
        if experiment.embedding:
            return {"base": self.backbone(wildcards)["backbone"], "head": own}
        folder = f"{self.run.results}/{wildcards.home}surrogates/{level}"
        return {"base": own, "surrogates": [f"{folder}/resnet{depth}.safetensors" for depth in experiment.depths()]}

    def reference(self, wildcards: Any) -> str:
        """Return the certificates of the reference method."""
        experiment = self.experiment(wildcards)
        (path,) = self.run.certificates(wildcards.home, [wildcards.sigma], [experiment.reference])
        return path

    # Flags

    def name(self, wildcards: Any) -> str:
        """Return the name of an experiment in certificates."""
        return wildcards.home.rstrip("/") or "main"

    def as_flags(self, files: Asked) -> Asked:
        """Return a function of wildcards: files by name as flags."""

        def words(wildcards: Any) -> str:
            named = files(wildcards).items()
            return " ".join(
                f"--{name} {' '.join([paths] if isinstance(paths, str) else paths)}" for name, paths in named
            )

        return words

    def certifier(self, wildcards: Any) -> str:
        """Return the name of a method's certifier on the command line."""
        return self.experiment(wildcards).methods[wildcards.method]["certifier"].replace("_", "-")

    def method(self, wildcards: Any) -> str:
        """Return the settings of a method as flags."""
        return flags(self.experiment(wildcards).method(wildcards.method))

    def chooser(self, wildcards: Any) -> str:
        """Return the settings of a way of choosing sigmas as flags."""
        return flags(self.experiment(wildcards).chooser(wildcards.chooser))

    def chosen_at(self, wildcards: Any) -> list[int]:
        """Return the numbers of steps or samples at which sigmas are needed."""
        return self.experiment(wildcards).chosen()[wildcards.chooser]

    def counted_images(self, wildcards: Any) -> str:
        """Return the flags that say which images are counted."""
        experiment = self.experiment(wildcards)
        part = f"--slice={getattr(experiment.dataset, wildcards.split)}"
        return part + (f" --spread {experiment.variance.images}" if wildcards.purpose == "variance" else "")

    def sizes(self, wildcards: Any) -> str:
        """Return the section `sampling` as flags, with the sizes of this kind of counting."""
        sampling = self.experiment(wildcards).sampling
        return flags(sampling.model_copy(update={"sizes": self.counting(wildcards).sizes, "grid": 0}))

    def online(self, wildcards: Any) -> str:
        """Return the settings of the methods that are timed online, as JSON."""
        return json.dumps(self.experiment(wildcards).online())

    def chosen(self, wildcards: Any) -> str:
        """Return the flags of images with sigmas of their own."""
        files, chooser = self.sigmas(wildcards), _chooser(wildcards.choice)
        return f"--sigmas {files['sigmas']} --at {wildcards.choice.rpartition(chooser)[2]}" if files else ""

    # Resources

    @functools.cached_property
    def limits(self) -> dict[str, dict[str, int]]:
        """Return the time limits of each stage's jobs in minutes, by experiment."""
        return {home: plan.limits(self.run.experiments, home) for home in self.run.experiments}

    def with_gpu(self, stage: str) -> dict[str, Any]:
        """Return the resources of a job that runs a model.

        Args:
            stage: its name in the plan, with wildcards: "surrogates/resnet{depth}".
        """

        def runtime(wildcards: Any, attempt: int) -> int:
            home, name = wildcards.get("home", ""), stage.format(**wildcards)
            if name not in self.limits[home]:
                where = home or "the main experiment"
                raise WorkflowError(f"{where} makes no {name}; it makes {', '.join(self.limits[home])}")
            return attempt * self.limits[home][name]

        asked = int(self.main.compute.device != "cpu")
        return {"gpu": asked, "mem_mb": 16000, "runtime": runtime, **(self.gpu if asked else {})}


def _chooser(choice: str | None) -> str:
    """Return `ascent` for `-ascent100`."""
    return (choice or "").strip("-0123456789")
