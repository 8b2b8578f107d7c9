"""What the rules of tables, figures, notebooks and pages ask. Methods take Snakemake's wildcards."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from snakemake.exceptions import WorkflowError

from accelerated_smoothing import architectures, papers
from accelerated_smoothing.command import flags
from accelerated_smoothing.config import Config
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import code
from accelerated_smoothing.workflow.jobs import anyof
from accelerated_smoothing.workflow.simulations import Simulations

NOTEBOOKS = ("table1", "image")
EXAMPLES = ("own-classifier",)  # notebooks that run a model: targets, but not part of `all`
SUFFIXES = {"table": ".csv", "figure": ".svg"}

FromWildcards = Callable[..., Any]


@dataclass(frozen=True)
class Items:
    """The tables, figures, notebooks and pages of a run.

    `paper` is where the files of a sister paper lie, such as `fars/`; it is empty for the main paper.
    """

    run: Run

    def constraints(self) -> dict[str, str]:
        """Return the wildcard constraints of their rules."""
        names = [name.rpartition("/")[2] for paper in papers.papers() for name in papers.items(paper)]
        numbers = {kind: anyof(name.removeprefix(kind) for name in names if name.startswith(kind)) for kind in SUFFIXES}
        folders = anyof(f"{paper}/" if paper else "" for paper in papers.papers())
        return {"paper": folders, "notebook": anyof(NOTEBOOKS + EXAMPLES), **numbers}

    def names(self, paper: str) -> list[str]:
        """Return the names of a paper's tables and figures, without those whose published logs are missing."""
        left_out = papers.optional(paper) if Simulations(self.run).missing(paper) else []
        return [name for name in papers.items(paper) if name not in left_out]

    def targets(self, paper: str, kinds: tuple[str, ...] = ("table", "figure")) -> list[str]:
        """Return the files of the same tables and figures."""
        return [
            f"{self.run.results}/{name}{SUFFIXES[kind]}"
            for name in self.names(paper)
            for kind in kinds
            if name.rpartition("/")[2].startswith(kind)
        ]

    def notebooks(self) -> list[str]:
        """Return the pages of the notebooks."""
        return [f"{self.run.results}/notebooks/{name}.html" for name in NOTEBOOKS]

    def config(self, wildcards: Any) -> Config:
        """Return the config that all experiments of a paper share."""
        return self.run.paper(wildcards.get("paper", "").rstrip("/"))

    def inputs(self, kind: str) -> FromWildcards:
        """Return a function of wildcards: the files that a table or figure is made from."""

        def files(wildcards: Any) -> list[str]:
            try:
                return papers.find(_name(kind, wildcards)).inputs(self.run)
            except InputError as error:
                raise WorkflowError(f"{_name(kind, wildcards)}: {error}") from None

        return files

    def reported(self, wildcards: Any) -> list[str]:
        """Return the file of the paper's own numbers, if it has some."""
        file = papers.table(_name("table", wildcards)).reported_file(self.run)
        return [f"resources/reported/{file}"] if file else []

    def code(self, kind: str) -> FromWildcards:
        """Return a function of wildcards: the digest of the code of a table or figure."""

        def digest(wildcards: Any) -> str:
            paper = wildcards.paper
            homes = [home for home in self.run.experiments if not home or (paper and home.startswith(paper))]
            noises = sorted({self.run.experiments[home].noise for home in homes})
            return code.digest(kind, {"item": [_name(kind, wildcards)], "noise": noises})

        return digest

    def title(self, kind: str) -> FromWildcards:
        """Return a function of wildcards: what a table or figure shows."""
        return lambda wildcards: papers.find(_name(kind, wildcards)).title

    def note(self, wildcards: Any) -> str:
        """Return what a reader must know to read the numbers of a table."""
        return papers.table(_name("table", wildcards)).note

    def caption(self, kind: str) -> FromWildcards:
        """Return a function of wildcards: what was run, in words."""
        return lambda wildcards: papers.find(_name(kind, wildcards)).caption(self.run)

    def analysis(self, wildcards: Any) -> str:
        """Return the settings of tables and figures as flags."""
        config = self.config(wildcards)
        radii = " ".join(map(str, config.radii))
        return f"--reference {config.reference} --radii {radii} --error-radius {config.error_radius}"

    def comparison(self, wildcards: Any) -> str:
        """Return as flags how a table's numbers are compared with the paper's."""
        comparable = papers.table(_name("table", wildcards)).comparable(self.run)
        reported = " ".join(f"--reported {file}" for file in self.reported(wildcards))
        comparison = flags(self.config(wildcards).comparison)
        return f"{reported} {comparison} {'--comparable' if comparable else '--no-comparable'}".lstrip()

    def notebook_inputs(self, wildcards: Any) -> list[str]:
        """Return the files that a notebook reads.

        One tells the story of Table I, one explores a single image, one certifies the base classifier as one's own.
        """
        results, main = self.run.results, self.run.config()
        if wildcards.notebook == "table1":
            tables = [f"{results}/{name}" for name in ("table1.csv", "table1.md", "table6.csv")]
            return [*tables, self.run.timing(), *self.run.certificates(sigmas=main.figure_sigmas)]
        sigma = main.figure_sigmas[0]
        if wildcards.notebook == "own-classifier":
            weights = f"{results}/base/sigma{sigma}.safetensors"
            return [weights, self.run.images("test"), *self.run.certificates(sigmas=[sigma], methods=[main.reference])]
        counts = [self.run.counts("", sigma, "test", purpose) for purpose in ("selection", "estimation")]
        return [self.run.images("test"), *counts, *self.run.certificates(sigmas=[sigma])]

    def notebook_parameters(self, wildcards: Any) -> list[str]:
        """Return the parameters of a notebook."""
        main = self.run.config()
        own = {
            "table1": [f"sigmas={main.figure_sigmas}", f"radii={main.radii}"],
            "own-classifier": [f"sigma={main.figure_sigmas[0]}", f"seed={main.seed}"],
            "image": [f"sigma={main.figure_sigmas[0]}", "image=0", f"methods=[{', '.join(main.rows)}]"],
        }
        return [f"results={self.run.results}", f"reference={main.reference}", *own[wildcards.notebook]]

    def notebook_code(self, wildcards: Any) -> str:
        """Return the digest of the code of a notebook."""
        main = self.run.config()
        facts = {"notebook": [f"notebooks/{wildcards.notebook}.ipynb"], "noise": [main.noise]}
        if wildcards.notebook in EXAMPLES:
            facts["family"] = sorted(architectures.families(main.archs()[main.figure_sigmas[0]]))
        return code.digest("notebook", facts)

    def page_inputs(self, wildcards: Any) -> list[str]:
        """Return the files that the page of a paper shows or links to."""
        paper = wildcards.paper.rstrip("/")
        tables, figures = self.targets(paper, ("table",)), self.targets(paper, ("figure",))
        files = [path for table in tables for path in (table, _with(table, ".md"), _with(table, "_vs_paper.csv"))]
        files += [path for figure in figures for path in (figure, _with(figure, ".png"))]
        if not paper:
            files += [path for page in self.notebooks() for path in (page, _with(page, ".ipynb"))]
            files.append(self.run.timing())
        return files

    def page_code(self, wildcards: Any) -> str:
        """Return the digest of the code of a page."""
        return code.digest("report", {"item": self.names(wildcards.paper.rstrip("/"))})

    def page_caption(self, wildcards: Any) -> str:
        """Return what was run, in words."""
        return papers.caption(wildcards.paper.rstrip("/"), self.run)

    def fingerprint(self, wildcards: Any) -> str:
        """Return a hash of the workflow that goes into the crate."""
        from accelerated_smoothing.provenance import release

        return release.fingerprint()


def _name(kind: str, wildcards: Any) -> str:
    return f"{wildcards.paper}{kind}{wildcards[kind]}"


def _with(path: str, suffix: str) -> str:
    return path.rpartition(".")[0] + suffix
