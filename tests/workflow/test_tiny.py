"""The real Snakefile, end to end, on real digits at the smallest size."""

import base64
import csv
import hashlib
import json
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from processes import working

from accelerated_smoothing import data, models, papers
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.certify.methods import accelerated
from accelerated_smoothing.counting import counts, engines
from accelerated_smoothing.noise.distributions import gaussian
from accelerated_smoothing.training import surrogate

SIGMAS = (0.25, 0.5)
TINY = ("--configfile", "presets/tiny.yaml")


def test_every_target_is_there(tiny: Path) -> None:
    for number in range(1, 7):
        for name in (f"table{number}.csv", f"table{number}.md", f"table{number}_vs_paper.csv"):
            assert (tiny / name).stat().st_size > 0
    for number in range(1, 4):
        assert b"<svg" in (tiny / f"figure{number}.svg").read_bytes()[:1000]
        assert (tiny / f"figure{number}.png").read_bytes().startswith(b"\x89PNG")
    for name in ("table1", "image"):
        assert (tiny / f"notebooks/{name}.ipynb").exists()
        assert "<html" in (tiny / f"notebooks/{name}.html").read_text()[:1000]
    assert "<strong>The audit holds.</strong>" in (tiny / "report.html").read_text()


def test_rules_plan_the_code_that_the_verbs_record(tiny: Path) -> None:
    """A record holds the hashes of the code that ran. The digest in the parameters of the rule is theirs."""
    metadata = {}
    for path in (tiny.parents[1] / ".snakemake/metadata").iterdir():
        name = base64.b64decode(path.name).decode()
        metadata[tiny.parents[1] / name] = json.loads(path.read_text())
    verbs = set()
    for path in tiny.rglob("*.record.json"):
        record = json.loads(path.read_text())
        digest = hashlib.sha256(json.dumps(record["code"]).encode()).hexdigest()[:16]
        planned = metadata[path.with_name(path.name.removesuffix(".record.json"))]
        assert repr(digest) in planned["params"], (record["file"], planned["rule"])
        verbs.add(record["verb"])
    assert {"data", "train-base", "count", "train-surrogate", "certify", "time", "table", "figure", "report"} <= verbs


def test_the_page_is_the_same_every_time(tiny: Path, snakemake) -> None:
    before = (tiny / "report.html").read_bytes()
    done = snakemake("results/tiny/report.html", *TINY, "--cores", "1", "--forcerun", "report")
    assert done.returncode == 0, done.stderr
    assert (tiny / "report.html").read_bytes() == before


def test_snakemakes_own_report_has_everything_with_captions(tiny: Path, snakemake, tmp_path: Path) -> None:
    done = snakemake("all", *TINY, "--report", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "report.html").read_text()
    for file in ("table1.csv", "table6_vs_paper.csv", "figure3.svg", "notebooks/image.html", "report.html"):
        assert f"results/tiny/{file}" in page
    for category in ("Tables", "Figures", "Notebooks", "The page"):
        assert f'"{category}"' in page
    words = page.replace("\\n", " ")
    assert "are sound or deterministic, dashed lines are estimated" in words
    assert f"{papers.find('figure3').title}. Run: " in words


def test_nothing_half_written_stays(tiny: Path) -> None:
    assert not [path for path in tiny.rglob("*") if "partial" in path.name or path.name.startswith(".")]


def test_a_second_run_does_nothing(tiny: Path, snakemake) -> None:
    done = snakemake("all", *TINY, "--cores", "2")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize(("method", "n"), [("cohen", 250), ("baseline", 100)])
def test_sampled_radii_follow_from_the_stored_counts(tiny: Path, sigma: float, method: str, n: int) -> None:
    selection = counts.read(tiny / f"counts/sigma{sigma}/test-selection.npz").at(100)
    estimation = counts.read(tiny / f"counts/sigma{sigma}/test-estimation.npz").at(n)
    log = certificates.read(tiny / f"certificates/sigma{sigma}/{method}.tsv")
    top = selection.argmax(axis=1)
    bound = statistics.lower_bound(estimation[np.arange(len(top)), top], n, 0.001)
    expected = gaussian.radius(bound, sigma)
    assert np.array_equal(log["radius"], expected)
    assert np.array_equal(log["predict"], np.where(expected > 0, top, -1))
    assert (log["guarantee"] == "sound").all()
    assert (log["passes"] == 100 + n).all()


@pytest.mark.parametrize("sigma", SIGMAS)
def test_estimated_radii_follow_from_counts_and_surrogate(tiny: Path, sigma: float) -> None:
    log = certificates.read(tiny / f"certificates/sigma{sigma}/resnet8.tsv")
    selection = counts.read(tiny / f"counts/sigma{sigma}/test-selection.npz")
    model, _ = models.load(tiny / f"surrogates/sigma{sigma}/resnet8.safetensors", "surrogate")
    images = data.read(tiny / "data/test.npz", ":40")
    pixels = images.pixels()
    h = surrogate.predict(engines.build(model, pixels.shape[1:], device=torch.device("cpu")), pixels)
    predicted = statistics.predict(selection.at(100), 0.001)
    predict, radius, _, count = accelerated.radii(h, predicted, 250, 0.001, partial(gaussian.radius, scale=sigma))
    # An engine's bits depend neither on its batch nor on its threads, so the very radii are found again.
    assert np.array_equal(log["predict"], np.where(radius > 0, predict, -1))
    assert np.array_equal(log["radius"], radius)
    assert np.array_equal(log["count"], count)
    assert (log["guarantee"] == "estimated").all()


def test_table_one_follows_from_the_certificates(tiny: Path) -> None:
    with (tiny / "table1.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(float(row["sigma"]), row["method"]) for row in rows] == [
        (sigma, method) for sigma in SIGMAS for method in ("cohen", "baseline", "resnet8")
    ]
    for row in rows:
        log = pd.read_csv(tiny / f"certificates/sigma{row['sigma']}/{row['method']}.tsv", sep="\t")
        right = log["predict"] == log["label"]
        assert float(row["ACR"]) == pytest.approx((log["radius"] * right).sum() / 40, rel=1e-12)
        for r in (0.25, 0.5, 1.5):
            assert float(row[f"r={r:g}"]) == ((log["radius"] >= r) & right).sum() / 40
        assert row["guarantee"] == ("estimated" if row["method"] == "resnet8" else "sound")


def test_counts_do_not_depend_on_the_number_of_shards(tiny: Path, snakemake) -> None:
    target = "counts/sigma0.25/test-estimation.npz"
    other = tiny.parent / "shards"
    shutil.copytree(tiny / "data", other / "data")
    shutil.copytree(tiny / "base", other / "base")
    settings = ("--config", "results=results/shards", "shards={minutes: 0.1, rate: 340}")
    done = snakemake(f"results/shards/{target}", *TINY, *settings, "--cores", "2", "--rerun-triggers", "mtime")
    assert done.returncode == 0, done.stderr
    assert len(list((other / "counts/sigma0.25/test-estimation").glob("*.npz"))) == 5
    one, two = counts.read(tiny / target), counts.read(other / target)
    assert np.array_equal(one.counts, two.counts)
    assert np.array_equal(one.idx, two.idx)


def test_a_broken_input_is_named_and_nothing_is_written(tiny: Path, snakemake) -> None:
    broken = tiny.parent / "broken"
    shutil.copytree(tiny / "data", broken / "data")
    shutil.copytree(tiny / "base", broken / "base")
    path = broken / "data/test.npz"
    path.write_bytes(path.read_bytes()[:5000])
    target = "results/broken/counts/sigma0.25/test-selection/0.npz"
    done = snakemake(target, *TINY, "--config", "results=results/broken", "--cores", "1", "--rerun-triggers", "input")
    assert done.returncode != 0
    assert "results/broken/data/test.npz: not a whole .npz" in done.stdout + done.stderr
    assert not (tiny.parents[1] / target).exists()


def test_a_fault_is_not_retried_and_told_last(tiny: Path, snakemake) -> None:
    broken = tiny.parent / "hopeless"
    shutil.copytree(tiny / "data", broken / "data")
    (broken / "base").mkdir()
    (broken / "base/sigma0.25.safetensors").write_bytes(b"nothing of the kind")
    words = ("--config", "results=results/hopeless", "--cores", "1", "--retries", "3", "--rerun-triggers", "mtime")
    done = snakemake("results/hopeless/counts/sigma0.25/test-selection/0.npz", *TINY, *words)
    assert done.returncode != 0
    log = "results/hopeless/logs/counts/sigma0.25/test-selection/0.log"
    error = f"{log}: accelerated-smoothing: error: results/hopeless/base/sigma0.25.safetensors: not a whole weight file"
    assert any(line.startswith(error) for line in done.stderr.splitlines()[-8:])
    assert "Trying to restart" not in done.stdout + done.stderr


def test_a_job_that_is_asked_to_stop_is_retried_and_goes_on(tiny: Path, clone: Path) -> None:
    stopped = tiny.parent / "stopped"
    shutil.copytree(tiny / "data", stopped / "data")
    shutil.copytree(tiny / "base", stopped / "base")
    target = "counts/sigma0.25/test-estimation/0.npz"
    settings = ("--config", "results=results/stopped", "sampling={sizes: [100, 30000]}", "shards={rate: 1e9}")
    settings = (*settings, "methods={cohen: {n: 30000}}", "--rerun-triggers", "mtime")
    command = [sys.executable, "-m", "snakemake", f"results/stopped/{target}", *TINY, *settings, "--cores", "1"]
    with (clone / "stopped.log").open("w") as log:
        run = subprocess.Popen([*command, "--retries", "1"], cwd=clone, stdout=log, stderr=log)

    def counting() -> psutil.Process | None:
        return next((p for p in working("count", stopped) if p.info["cpu_times"].user > 4), None)

    while not (process := counting()):
        assert run.poll() is None, (clone / "stopped.log").read_text()
        time.sleep(0.05)
    process.terminate()
    assert run.wait(300) == 0, (clone / "stopped.log").read_text()
    assert "Trying to restart" in (clone / "stopped.log").read_text()
    assert "counting: goes on from" in (stopped / "logs/counts/sigma0.25/test-estimation/0.log").read_text()
    counted = counts.read(stopped / target)
    assert (counted.at(30000).sum(1) == 30000).all()
    assert np.array_equal(counted.at(100), counts.read(tiny / "counts/sigma0.25/test-estimation.npz").at(100))


def test_speed_settings_rebuild_nothing(tiny: Path, snakemake) -> None:
    done = snakemake("all", *TINY, "-n", "--config", "compute={threads: 2}")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_the_notebook_of_ones_own_classifier_is_a_target(tiny: Path, snakemake) -> None:
    page = tiny / "notebooks/own-classifier.html"
    done = snakemake(f"results/tiny/notebooks/{page.name}", "--configfile", "presets/tiny.yaml", "--cores", "2")
    assert done.returncode == 0, done.stderr
    assert "Counts that differ from the stored ones" in page.read_text()
