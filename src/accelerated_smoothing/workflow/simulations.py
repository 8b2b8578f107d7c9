"""What the rule `simulated` asks: the experiments whose evidence is simulated from published logs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerated_smoothing.config import Published
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.data import published
from accelerated_smoothing.errors import InputError


@dataclass(frozen=True)
class Simulations:
    """The simulated experiments of a run. Methods take Snakemake's wildcards."""

    run: Run

    def homes(self, paper: str = "") -> list[str]:
        """Return the folders of these experiments, of all papers or of one."""
        return [home for home, each in self.run.experiments.items() if each.published and home.startswith(paper)]

    def check(self) -> None:
        """Check that there are published logs of all noise levels, and experiments that simulations can be like.

        Raises:
            InputError: there are not.
        """
        for home in self.homes():
            paper, experiment = home.rstrip("/").split("/")
            for sigma in self.run.experiments[home].sigmas:
                if sigma not in published.HASHES:
                    raise InputError(
                        f"papers.{paper}.experiments.{experiment}.sigmas must be among {list(published.HASHES)}, "
                        f"those of the published logs, got {sigma}"
                    )
            if self._measured(home) is None and self._settings(home).spread is None:
                raise InputError(
                    f"papers.{paper}.select must include an experiment that is not simulated, since {experiment} takes "
                    "its spread from it, got none"
                )

    def missing(self, paper: str) -> str:
        """Return how to get the first log that a paper needs and that is missing; "" if none is."""
        wanted = [(home, sigma) for home in self.homes(f"{paper}/") for sigma in self.run.experiments[home].sigmas]
        return next(filter(None, (published.advice(self._folder(home), sigma) for home, sigma in wanted)), "")

    def inputs(self, wildcards: Any) -> dict[str, str]:
        """Return the log, and the belief whose spread the surrogate gets, if any."""
        home, sigma = wildcards.home, float(wildcards.sigma)
        files = {"published": str(published.log(self._folder(home), sigma))}
        if self._settings(home).spread is None:
            first = self._measured(home)
            assert first
            nearest = min(self.run.experiments[first].sigmas, key=lambda other: abs(other - sigma))
            files["like"] = f"{self.run.results}/{first}surrogates/sigma{nearest}/belief.npz"
        return files

    def settings(self, wildcards: Any) -> str:
        """Return the settings of a simulation as flags."""
        experiment, files = self.run.experiments[wildcards.home], self.inputs(wildcards)
        spread = f"--like {files['like']}" if "like" in files else f"--spread {self._settings(wildcards.home).spread}"
        sizes, pilots = (" ".join(map(str, each)) for each in (experiment.sampling.counted(), experiment.pilots()))
        return f"{spread} --n0 {experiment.n0} --sizes {sizes} --pilots {pilots}"

    def _measured(self, home: str) -> str | None:
        """Return the folder of the first experiment of the same paper that is not simulated; None if there is none."""
        same = (other for other in self.run.experiments if other.split("/")[0] == home.split("/")[0])
        return next((other for other in same if not self.run.experiments[other].published), None)

    def _settings(self, home: str) -> Published:
        settings = self.run.experiments[home].published
        assert settings is not None
        return settings

    def _folder(self, home: str) -> Path:
        return Path(self._settings(home).folder)
