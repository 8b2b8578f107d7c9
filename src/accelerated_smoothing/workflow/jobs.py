"""What the rules of the workflow ask: code digests, flags and resources of each job, and its inputs.

Methods take Snakemake's wildcards. `home` is where an experiment of a sister paper lies, such as `fars/mlp/`; it is
empty for the main experiment. `choice` is what chose the sigmas of images, such as `-ascent100`; it may be empty.
"""

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snakemake.exceptions import WorkflowError

from accelerated_smoothing import architectures, registry
from accelerated_smoothing.architectures import ensemble
from accelerated_smoothing.command import flags
from accelerated_smoothing.config import Passes, embedder
from accelerated_smoothing.provenance import code
from accelerated_smoothing.workflow import plan
from accelerated_smoothing.workflow.inputs import FromWildcards, Inputs, chooser_of


def anyof(words: Any) -> str:
    """Return a regular expression for one of several words."""
    longest_first = sorted({re.escape(str(word)) for word in words}, key=len, reverse=True)
    return "|".join(longest_first) or "none"


@dataclass(frozen=True)
class Jobs(Inputs):
    """The jobs of a run.

    Attributes:
        gpu: resources of jobs with a GPU that the profile sets, such as the partition.
        cores: of this machine, which a measurement of times takes whole; None on a cluster.
    """

    gpu: Mapping[str, Any]
    cores: int | None

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

    def setting(self, *keys: str) -> FromWildcards:
        """Return a function of wildcards: a value of the experiment, such as `setting("dataset", "test")`."""
        return lambda wildcards: functools.reduce(getattr, keys, self.experiment(wildcards))

    def section(self, name: str) -> FromWildcards:
        """Return a function of wildcards: a section of the experiment as flags."""
        return lambda wildcards: flags(getattr(self.experiment(wildcards), name))

    def passes(self, wildcards: Any) -> str:
        """Return how the base classifier runs under noise, as flags."""
        sampling = self.experiment(wildcards).sampling
        return flags(Passes(precision=sampling.precision, batch_size=sampling.batch_size))

    def compute(self, wildcards: Any, threads: int) -> str:
        """Return the section `compute` as flags.

        Snakemake does not track what depends on `threads`, so another number of threads runs no job again. What changes
        the arithmetic is a parameter of its own: `device`.
        """
        return flags(self.main.compute)

    @property
    def device(self) -> str:
        """Return the device, whether its arithmetic is portable, and the kernels if they are not PyTorch's own."""
        compute = self.main.compute
        return ", ".join(filter(None, [compute.device, "portable" * compute.portable, compute.kernels]))

    def threads(self, wildcards: Any, threads: int) -> str:
        """Return the number of threads as a flag; it is not tracked, as in `compute`."""
        return f"--threads {self.main.compute.threads}"

    @functools.cached_property
    def drawn_online(self) -> dict[str, list[str]]:
        """Return the methods whose draws are made when they ask for them, by experiment."""
        return {home: list(config.online()) for home, config in self.run.experiments.items() if not config.replay}

    def imported(self, field: str) -> FromWildcards:
        """Return a function of wildcards: a field of the base classifier that is imported."""
        return lambda wildcards: getattr(self.checkpoints[wildcards.imported], field)

    # Code

    def code(self, verb: str, *networks: str) -> FromWildcards:
        """Return a function of wildcards: the digest of the code that a verb can run.

        Args:
            networks: the networks that the verb loads: "base", "backbone", "teacher", "surrogate", "surrogates".
        """

        def digest(wildcards: Any) -> str:
            experiment = self.experiment(wildcards)
            attack, noise = experiment.attack, experiment.noise
            facts = {"noise": [] if verb == "predict" else [noise]}  # surrogates run without noise
            if self.main.compute.kernels:
                facts["kernels"] = [self.main.compute.kernels]
            if verb == "attack":
                facts["noise"] = attack.noises(noise, float(wildcards.sigma))
            if verb == "train-base":
                facts["way"] = [experiment.training]
            if verb == "online":
                facts["certifier"] = [settings["certifier"] for settings in experiment.online().values()]
            chooser = wildcards.get("chooser") or chooser_of(wildcards.get("choice"))
            if chooser:
                facts["chooser"] = [chooser]
            loaded = list(networks)
            if wildcards.get("method"):
                facts["certifier"] = [experiment.methods[wildcards.method]["certifier"]]
                loaded += experiment.certifier(wildcards.method).NEEDS
            archs = self._architectures(wildcards, loaded)
            facts["family"] = sorted(set[str]().union(*map(architectures.families, archs)))
            return code.digest(verb, facts)

        return digest

    def code_of(self, verb: str, **facts: list[str]) -> str:
        """Return the digest of a verb that loads the same plug-ins in every run."""
        return code.digest(verb, facts)

    def code_of_data(self) -> str:
        return code.digest("data", {"dataset": [self.main.dataset.name]})

    def code_of_assembly(self, wildcards: Any) -> str:
        arch = self.experiment(wildcards).base.arch
        return code.digest("assemble", {"family": architectures.families(arch)})

    def code_of_import(self, wildcards: Any) -> str:
        return code.digest("import-base", {"family": [architectures.family(self.checkpoints[wildcards.imported].arch)]})

    def _architectures(self, wildcards: Any, networks: list[str]) -> list[str]:
        experiment, backbone = self.experiment(wildcards), embedder(self.run.experiments, wildcards.home)
        names = []
        if "base" in networks:
            names.append(experiment.archs()[float(wildcards.get("sigma", experiment.timing.sigma))])
        if "backbone" in networks and backbone:
            names.append(self.run.experiments[backbone].base.arch)
        if "teacher" in networks and experiment.teacher:
            teacher = self.run.experiments[f"{wildcards.home.split('/')[0]}/{experiment.teacher}/"]
            names.append(teacher.archs()[float(wildcards.sigma)])
        if "surrogate" in networks or ("surrogates" in networks and experiment.depths()):
            names.append(f"resnet{experiment.depths()[0]}")
        return names

    # Flags

    def name(self, wildcards: Any) -> str:
        """Return the name of an experiment in certificates."""
        return wildcards.home.rstrip("/") or "main"

    def as_flags(self, files: FromWildcards) -> FromWildcards:
        """Return a function of wildcards: files by name as flags."""

        def words(wildcards: Any) -> str:
            named = files(wildcards).items()
            return " ".join(
                f"--{name} {' '.join([paths] if isinstance(paths, str) else paths)}" for name, paths in named
            )

        return words

    def assembly(self, wildcards: Any) -> str:
        """Return the flag that says what members make, or how one is edited."""
        experiment = self.experiment(wildcards)
        how = experiment.combine or ""
        return f"--edit {how}" if ensemble.kind(how) in ensemble.EDITS else f"--arch {experiment.base.arch}"

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

    def surrogate(self, wildcards: Any) -> str:
        """Return the section `surrogate` as flags, as it applies to a depth."""
        section = self.experiment(wildcards).surrogate
        return flags(section.model_copy(update={"from_base": self.from_base(wildcards)}))

    def seed(self, wildcards: Any) -> int:
        """Return the root seed of the draws of a split, or of what is trained."""
        seed: int = self.experiment(wildcards).draws_seed(wildcards.get("split", "train"))
        return seed

    def online(self, wildcards: Any) -> str:
        """Return the settings of the methods that are timed online, as JSON."""
        return json.dumps(self.experiment(wildcards).online())

    def chosen(self, wildcards: Any) -> str:
        """Return the flags of images with sigmas of their own."""
        files, chooser = self.sigmas(wildcards), chooser_of(wildcards.choice)
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
