"""What the rule `simulated` asks: the experiments whose evidence is simulated from published logs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerated_smoothing.config.run import Run
from accelerated_smoothing.data import published


@dataclass(frozen=True)
class Simulations:
    """The simulated experiments of a run. Methods take Snakemake's wildcards."""

    run: Run

    def homes(self, paper: str = "") -> list[str]:
        """Return the folders of these experiments, of all papers or of one."""
        return [home for home, each in self.run.experiments.items() if each.published and home.startswith(paper)]

    def missing(self, paper: str) -> str:
        """Return how to get the first log that a paper needs and that is missing; "" if none is."""
        wanted = [(home, sigma) for home in self.homes(f"{paper}/") for sigma in self.run.experiments[home].sigmas]
        return next(filter(None, (published.advice(self._folder(home), sigma) for home, sigma in wanted)), "")

    def inputs(self, wildcards: Any) -> dict[str, str]:
        """Return the log, and the belief whose spread the surrogate gets, if any."""
        home, sigma = wildcards.home, float(wildcards.sigma)
        files = {"published": str(published.log(self._folder(home), sigma))}
        settings = self.run.experiments[home].published
        if settings and settings.spread is None:
            first = next(other for other in self.run.experiments if other.split("/")[0] == home.split("/")[0])
            nearest = min(self.run.experiments[first].sigmas, key=lambda other: abs(other - sigma))
            files["like"] = f"{self.run.results}/{first}surrogates/sigma{nearest}/belief.npz"
        return files

    def settings(self, wildcards: Any) -> str:
        """Return the settings of a simulation as flags."""
        experiment, files = self.run.experiments[wildcards.home], self.inputs(wildcards)
        assert experiment.published is not None
        spread = f"--like {files['like']}" if "like" in files else f"--spread {experiment.published.spread}"
        sizes, pilots = (" ".join(map(str, each)) for each in (experiment.sampling.counted(), experiment.pilots()))
        return f"{spread} --n0 {experiment.n0} --sizes {sizes} --pilots {pilots}"

    def _folder(self, home: str) -> Path:
        settings = self.run.experiments[home].published
        assert settings is not None
        return Path(settings.folder)
