"""The crate of the real workflow: other programs find it valid, without a network, and it works in another place."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from rocrate.vocabs import RO_CRATE
from rocrate_validator import services
from rocrate_validator.utils.http import HttpRequester
from runcrate.report import dump_crate_actions

TINY = ("--configfile", "presets/tiny.yaml")
# Where RO-Crate 1.1 means another term than the later version whose context comes with rocrate.
OF_1_1 = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}
CONTEXTS = {
    "https://w3id.org/ro/crate/1.1/context": {**RO_CRATE["@context"], **OF_1_1},
    "https://w3id.org/ro/terms/workflow-run/context": {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
}
BUILT = {"data", "base", "shard", "counts", "surrogate", "certificates", "timing"}


@pytest.fixture(scope="module")
def crate(tiny: Path, snakemake) -> Iterator[Path]:
    done = snakemake("archive", *TINY, "--cores", "2")
    assert done.returncode == 0, done.stderr
    yield tiny
    shutil.rmtree(tiny / "workflow")
    for name in ("ro-crate-metadata.json", "crate.zip"):  # other tests count what lies here
        (tiny / name).unlink()
        (tiny / f"{name}.record.json").unlink()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and the two contexts from this file."""

    def get(self: object, url: str, **_: object) -> requests.Response:
        response = requests.Response()
        response.url, response.status_code = url, 200 if url in CONTEXTS else 504
        response.headers["Content-Type"] = "application/ld+json"
        response._content = json.dumps({"@context": CONTEXTS.get(url)}).encode()
        return response

    def refuse(*_: object) -> None:
        raise OSError("a test asked for the network")

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def faults(crate: Path, profile: str, cache: Path) -> list[str]:
    settings = services.ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier=profile,
        requirement_severity="REQUIRED",
        offline=True,
        cache_path=cache,
    )
    return [str(issue.message) for issue in services.validate(settings).get_issues()]


@pytest.mark.parametrize("profile", ["ro-crate-1.1", "provenance-run-crate"])  # the latter implies the other three
def test_it_is_valid(crate: Path, offline: None, tmp_path: Path, profile: str) -> None:
    assert faults(crate, profile, tmp_path / "cache") == []


def test_the_validator_finds_a_fault(crate: Path, offline: None, tmp_path: Path) -> None:
    with zipfile.ZipFile(crate / "crate.zip") as packed:
        packed.extractall(tmp_path / "crate")
    metadata = tmp_path / "crate/ro-crate-metadata.json"
    document = json.loads(metadata.read_text())
    for entity in document["@graph"]:
        if entity["@type"] == "OrganizeAction":
            del entity["result"]
    metadata.write_text(json.dumps(document))
    (fault,) = faults(tmp_path / "crate", "provenance-run-crate", tmp_path / "cache")
    assert "OrganizeAction must reference the action representing the workflow run" in fault


def test_another_program_reads_its_actions(crate: Path) -> None:
    report = io.StringIO()
    dump_crate_actions(str(crate), report)
    actions = report.getvalue().split("action: ")[1:]
    commands = {tuple(json.loads(path.read_text())["command"]) for path in crate.rglob("*.record.json")}
    assert len(actions) == 1 + len(commands) - 2  # those of the crate itself are not in it
    assert actions[0].startswith("#run\n  instrument: workflow/Snakefile")
    assert "table1.csv <- #table/output" in report.getvalue()


def test_an_archive_saves_a_copy_of_the_repository_all_but_tables_and_figures(
    crate: Path, clone: Path, snakemake, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clone, copy, ignore=lambda folder, names: {"results", ".snakemake"} & {*names})
    results = copy / "results/tiny"
    with zipfile.ZipFile(crate / "crate.zip") as packed:
        packed.extractall(results)  # which restores no times
    everything = ("tables", "figures", "notebooks", *TINY)

    alone = snakemake(*everything, "--config", "results=..", "-n", folder=results / "workflow")
    assert "Nothing to be done" in alone.stdout + alone.stderr
    assert audited(results / "workflow", "../table1.csv") == 0

    plan = snakemake(*everything, "-n", folder=copy)
    assert plan.returncode == 0, plan.stderr
    assert not BUILT & {line.split()[0] for line in plan.stdout.splitlines() if line.strip()}
    done = snakemake("tables", "figures", *TINY, "--forcerun", "table", "figure", "--cores", "2", folder=copy)
    assert done.returncode == 0, done.stderr
    assert audited(copy, *(f"results/tiny/table{number}.csv" for number in range(1, 7))) == 0
    for number in range(1, 7):
        assert (results / f"table{number}.csv").read_bytes() == (crate / f"table{number}.csv").read_bytes()


def audited(folder: Path, *targets: str) -> int:
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    words = [sys.executable, "-m", "accelerated_smoothing", "audit", *targets]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, check=False).returncode
