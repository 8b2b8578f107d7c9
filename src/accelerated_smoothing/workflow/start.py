"""The start of a workflow: read the config, check the targets, and set the environment of its jobs."""

import json
import os
import re
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import yaml

from accelerated_smoothing import config, papers
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import check_writable
from accelerated_smoothing.provenance.records import WORKFLOW
from accelerated_smoothing.workflow import shipped
from accelerated_smoothing.workflow.jobs import Jobs
from accelerated_smoothing.workflow.simulations import Simulations


def start(settings: Mapping[str, Any], workflow: Any) -> Jobs:
    """Return the jobs of a workflow. After an error of the user, print it in one line and exit with code 2.

    Args:
        settings: Snakemake's config.
        workflow: Snakemake's workflow.
    """
    root = Path(workflow.basedir)
    try:
        main = config.load(settings, root)
        check_writable(Path(main.results))
        run = Run(main.results, main.experiments())
        Simulations(run).check()
        profile = workflow.resource_settings.overwrite_resources.get("gpu", {})
        gpu = {name: getattr(resource, "raw", resource) for name, resource in profile.items()}
        jobs = Jobs(run, gpu, None if workflow.remote_exec else workflow.resource_settings.cores)
        assert jobs.limits
    except InputError as error:
        _stop(f"config: error: {error}")
    for target in sys.argv[1:]:  # Snakemake's own list of targets does not exist yet
        if problem := _problem(target, run, root):
            _stop(f"{target}: {problem}")
    _environment(workflow, root)
    shipped.patch(Path(main.results))
    if not workflow.remote_exec:  # a job on a cluster builds what the main process has decided to build
        shipped.settle(Path(main.results))
    return jobs


def _stop(line: str) -> NoReturn:
    print(line, file=sys.stderr)
    sys.exit(2)


def _problem(target: str, run: Run, root: Path) -> str:
    """Return why this run cannot make a target; "" if that is not known, or the word is not a target."""
    path, results = Path(target), run.results
    names = [name for paper in papers.papers() for name in papers.items(paper)]
    if target in names:
        suffix = ".svg" if "figure" in target else ".csv"
        return f"must be a file, such as {results}/{target}{suffix}"
    if target.startswith("-") or "=" in target or not path.suffix:
        return ""
    if not path.is_relative_to(results) or results == "results":
        for preset in sorted(root.glob("presets/*.yaml")):
            folder = (yaml.safe_load(preset.read_text(encoding="utf-8")) or {}).get("results", "results")
            if folder != results and path.is_relative_to(folder) and folder != "results":
                return f"is a target of presets/{preset.name}; add --configfile presets/{preset.name}"
    if not path.is_relative_to(results):
        return ""
    folders = "|".join(f"{paper}/" for paper in papers.papers() if paper)
    pattern = rf"((?:{folders})?[a-z]+\d+)(?:_vs_paper)?\.(?:csv|md|svg|png)"
    item = re.fullmatch(pattern, path.relative_to(results).as_posix())
    if item and item[1] not in names:
        return f"must be one of the tables and figures {', '.join(names)}"
    paper = item[1].rpartition("/")[0] if item else ""
    return Simulations(run).missing(paper) if item and item[1] in papers.optional(paper) else ""


def _environment(workflow: Any, root: Path) -> None:
    """Set which Python, which code and which config the jobs run with.

    A job runs `python -m accelerated_smoothing` with the Python of its own environment (--sdm conda), else with this
    one. It does so by `exec`, since a shell in between would die of a signal that the verb answers by saving its work.
    """
    os.environ.update(
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
        PYTHONPATH=str(root / "src"),
    )
    os.environ[WORKFLOW] = json.dumps(
        {
            "snakemake": version("snakemake"),
            "configfiles": [os.path.relpath(path) for path in workflow.overwrite_configfiles],
            "config": list(workflow.config_settings.config_args or []),
        }
    )
