"""Certificates from few passes by the real Snakefile: what they share with the main experiment, and what they give."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelerated_smoothing.certify import beliefs
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.config.slices import spaced
from accelerated_smoothing.counting import counts, predictions
from accelerated_smoothing.files import sha256

HOME = "results/tiny/fast-and-sound"
TINY = ("--configfile", "presets/tiny.yaml")
TABLES = ["table1.csv", "table2.csv", "table3.csv", "table5.csv"]


@pytest.fixture(scope="module")
def results(tiny: Path, snakemake) -> Path:
    done = snakemake("fast_and_sound", *TINY, "--cores", "2")
    assert done.returncode == 0, done.stderr
    return tiny / "fast-and-sound"


def rerun(snakemake, *words: str) -> dict[str, int]:
    """Jobs by rule that a dry run would do."""
    done = snakemake("fast_and_sound", *TINY, "-n", *words)
    assert done.returncode == 0, done.stderr
    stats = (done.stdout + done.stderr).split("Job stats:")[1].split("total")[0]
    return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}


def test_every_target_is_there(results: Path) -> None:
    for table in TABLES:
        assert (results / table).stat().st_size > 0
    for number in range(1, 4):
        assert b"<svg" in (results / f"figure{number}.svg").read_bytes()[:1000]
        assert (results / f"figure{number}.png").read_bytes().startswith(b"\x89PNG")
    page = (results / "report.html").read_text()
    assert "<strong>The audit holds.</strong>" in page
    assert "These tables and figures are in no paper: digits" in page
    assert re.findall(r'<dt><span class="(\w+)">', page) == ["sound", "conformal", "estimated"]
    for word in ("sound", "conformal", "estimated"):
        assert f'<td class="word"><span class="{word}">{word}</span></td>' in page
    for file in (*TABLES, "figure1.svg", "figure2.svg", "figure3.svg"):
        assert f'href="{file}"' in page


def test_each_row_says_what_it_is_worth(results: Path) -> None:
    first, second, third, _ = (pd.read_csv(results / table) for table in TABLES)
    assert set(first["guarantee"]) == set(second["guarantee"]) == {"sound"}
    words = third.set_index("method")["guarantee"]
    assert words[["frontier", "shallow", "conformal", "conformal-pac"]].tolist() == [
        *("sound", "estimated", "conformal", "conformal"),
    ]
    whole = first[(first["method"] == "frontier") & (first["budget"] == 0)].iloc[0]
    assert (whole["passes"], whole["kept"], whole["cohen_at_passes"]) == (350, 1, 1)  # 100 to select, 250 to bound
    assert set(second.loc[second["method"] != "frontier", "r"]) == {0.25}


def test_base_classifiers_and_training_counts_are_those_of_the_main_experiment(results: Path) -> None:
    replayed, main = results / "replayed", results.parent
    assert not (replayed / "base").exists()
    assert not list((replayed / "counts").glob("*/train-*"))
    base, counted = sha256(main / "base/sigma0.25.safetensors"), main / "counts/sigma0.25/train-estimation.npz"
    for place in (replayed / "counts/sigma0.25/test-estimation.npz", main / "counts/sigma0.25/test-selection.npz"):
        assert counts.read(place).meta["base"] == base
    assert sorted(path.name for path in replayed.glob("counts/*/*.npz")) == ["test-estimation.npz", "test-pilot.npz"]
    held_out = predictions.read(replayed / "surrogates/sigma0.25/predictions-train.npz")
    images = counts.read(counted)
    np.testing.assert_array_equal(held_out.idx, images.idx[spaced(len(images.idx), 0.3)])
    belief = beliefs.read(replayed / "surrogates/sigma0.25/belief.npz")
    assert (belief.meta["base"], belief.meta["samples"], belief.depths.tolist()) == (base, 100, [8, 14])
    record = json.loads((replayed / "surrogates/sigma0.25/belief.npz.record.json").read_text())
    assert "results/tiny/counts/sigma0.25/train-estimation.npz" in record["inputs"]


def test_counts_of_both_experiments_are_the_same_draws(results: Path) -> None:
    own = counts.read(results / "replayed/counts/sigma0.25/test-estimation.npz")
    main = counts.read(results.parent / "counts/sigma0.25/test-estimation.npz")
    assert len(own.sizes) > len(main.sizes)
    for n in main.sizes:
        np.testing.assert_array_equal(own.at(n), main.at(n))


def test_all_test_images_are_certified_without_stored_counts(results: Path) -> None:
    whole = results / "whole"
    assert [path.name for path in whole.glob("counts/*/*.npz")] == ["test-selection.npz"]
    assert not list(whole.glob("surrogates/*/*.safetensors"))  # they are equal to those that are replayed
    log = certificates.read(whole / "certificates/sigma0.25/planned1000.tsv")
    row = pd.read_csv(results / "table5.csv").set_index("method").loc["planned1000"]
    assert (len(log), row["images"], row["guarantee"]) == (500, 500, "sound")
    assert row["passes"] == pytest.approx(log["passes"].mean())
    assert row["passes_max"] == log["passes"].max() <= 250
    own = counts.read(results / "replayed/counts/sigma0.25/test-estimation.npz")  # the same draws of the first images
    for i in own.idx:
        image, position = log[log["idx"] == i].iloc[0], int(np.flatnonzero(own.idx == i)[0])
        if image["n"]:
            assert image["count"] in own.at(int(image["n"]))[position]


def test_plans_spend_what_the_log_says(results: Path) -> None:
    folder = results / "replayed/certificates/sigma0.25"
    own = counts.read(results / "replayed/counts/sigma0.25/test-estimation.npz")
    for method, before in (("planned50", 0), ("selected200", 100), ("pilot50", 20), ("spending50", 0), ("iss", 100)):
        log = certificates.read(folder / f"{method}.tsv")
        assert set(log["n"]) <= {0, *own.sizes}
        assert (log["passes"] == log["n"] + before).all()
    assert (certificates.read(folder / "conformal.tsv")["passes"] == 0).all()


def test_an_audit_of_the_tables_holds(results: Path, clone: Path) -> None:
    words = [sys.executable, "-m", "accelerated_smoothing", "audit", *(f"{HOME}/{table}" for table in TABLES)]
    words += ["--rebuild", "--sample", "12", "--json"]
    own = {**os.environ, "PYTHONPATH": str(clone / "src")}
    done = subprocess.run(words, cwd=clone, env=own, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert {entry["file"]: entry["problems"] for entry in report["files"] if entry["problems"]} == {}
    assert done.returncode == 0
    files = {entry["file"] for entry in report["files"]}
    assert {f"{HOME}/replayed/surrogates/sigma0.25/belief.npz", "results/tiny/base/sigma0.25.safetensors"} <= files


def test_a_cell_leads_to_the_logs_that_it_is_made_from(results: Path, clone: Path) -> None:
    own = {**os.environ, "PYTHONPATH": str(clone / "src")}

    def cell(table: str, name: str) -> str:
        words = [sys.executable, "-m", "accelerated_smoothing", "audit", f"{HOME}/{table}.csv", "--cell", name]
        done = subprocess.run(words, cwd=clone, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    found = cell("table1", "sigma=0.25,method=planned200,budget=200,kept")
    assert "; sound" in found
    assert set(re.findall(r"([\w-]+)\.tsv", found.partition("models")[0])) == {"frontier", "planned200"}
    found = cell("table3", "sigma=0.25,method=conformal,violations")
    assert "; conformal" in found
    assert set(re.findall(r"([\w-]+)\.tsv", found.partition("models")[0])) == {"frontier", "conformal"}


def test_a_second_run_does_nothing(results: Path, snakemake) -> None:
    done = snakemake("fast_and_sound", *TINY, "--cores", "1")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_change_of_the_surrogates_reruns_no_counting(results: Path, snakemake, edit) -> None:
    other = "papers={fast-and-sound: {common: {surrogate: {lr: 0.002}}}}"
    jobs = rerun(snakemake, "--config", other)
    assert (jobs["surrogate"], jobs["predictions"], jobs["belief"]) == (2, 4, 2)
    assert not jobs.keys() & {"data", "base", "shard", "counts"}
    edit("training/surrogate.py", "def train(", "ANOTHER = 1\n\n\ndef train(")
    edited = rerun(snakemake)
    assert edited.keys() == jobs.keys()
    assert edited["surrogate"] == 2


def test_a_change_of_a_plan_certifies_again_and_trains_nothing(results: Path, snakemake, edit) -> None:
    edit("certify/planning.py", "def hedge(", "ANOTHER = 1\n\n\ndef hedge(")
    jobs = rerun(snakemake)
    assert jobs["certificates"] > 10
    assert not jobs.keys() & {"data", "base", "shard", "counts", "surrogate", "predictions"}
