"""FaRS by the real Snakefile: a backbone, embeddings, heads on them, and attacks on all of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelerated_smoothing import data
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.counting import counts
from accelerated_smoothing.files import sha256

HOME = "results/tiny/fars"
TARGETS = ["table1.csv", "table2.csv", "table3.csv", "table4.csv", "figure3.svg"]
EMBEDDINGS = "backbone/embeddings/sigma0.0/test.npz"


@pytest.fixture(scope="module")
def results(tiny: Path, snakemake) -> Path:
    done = snakemake("fars", "--configfile", "presets/tiny.yaml", "--cores", "2")
    assert done.returncode == 0, done.stderr
    return tiny / "fars"


def test_deterministic_sound_and_estimated_rows_stand_side_by_side(results: Path) -> None:
    table = pd.read_csv(results / "table1.csv").set_index(["classifier", "method"])
    assert table.loc["original", "guarantee"].to_dict() == {
        "margin": "deterministic",
        "sparsemax": "deterministic",
        "top-logit": "estimated",
        "top-sparsemax": "estimated",
    }
    assert table.loc[("mlp", "embedded"), "guarantee"] == "sound"
    assert (table.loc["original", "natural"] == table.loc[("original", "margin"), "natural"]).all()
    assert table.loc[("original", "sparsemax"), "ACR"] <= table.loc[("original", "margin"), "ACR"]
    beside = pd.read_csv(results / "table1_vs_paper.csv")
    assert set(beside["method"]) == {"top-logit", "top-sparsemax"}
    assert not beside["comparable"].any()
    methods = pd.read_csv(results / "table3.csv")
    assert {"cohen", "baseline", "resnet8"} == set(methods.loc[methods["classifier"] == "main", "method"])
    assert b"<svg" in (results / "figure3.svg").read_bytes()[:1000]


def test_no_attack_succeeds_inside_a_sound_radius(results: Path) -> None:
    table = pd.read_csv(results / "table2.csv")
    sound = table["guarantee"].isin(["sound", "deterministic"])
    assert sound.sum() == 7
    assert (table.loc[sound, "inside"] == 0).all()
    for r in (0.05, 0.1, 0.2, 0.3):
        assert (table.loc[sound, f"r={r}"] >= table.loc[sound, f"r={r} certified"]).all()


def test_certificates_without_samples_say_so(results: Path) -> None:
    log = certificates.read(results / "original/certificates/sigma0.0/margin.tsv")
    assert (log[["n", "n0", "alpha", "sigma"]] == 0).all(axis=None)
    assert (log["guarantee"] == "deterministic").all()
    assert len(log) == 40


def test_heads_are_counted_behind_their_backbone(results: Path) -> None:
    backbone = sha256(results / "backbone/base/sigma0.0.safetensors")
    embedded = data.read(results / EMBEDDINGS)
    counted = counts.read(results / "mlp/counts/sigma0.25/test-estimation.npz")
    assert embedded.meta["dataset"] == counted.meta["dataset"] == f"digits@{backbone}"
    log = certificates.read(results / "mlp/certificates/sigma0.25/embedded.tsv")
    np.testing.assert_array_less(counted.seconds_at(250), log["time"].astype(float))  # the backbone's time is in it


def test_times_are_of_both_ways(results: Path) -> None:
    table = pd.read_csv(results / "table4.csv")
    assert table["N"].tolist() == [100, 250]
    np.testing.assert_allclose(table["ratio"], table["cohen"] / table["embedded"])


def test_the_audit_walks_back_through_the_backbone(results: Path, clone: Path) -> None:
    words = [sys.executable, "-m", "accelerated_smoothing", "audit", *(f"{HOME}/{target}" for target in TARGETS)]
    words += ["--rebuild", "--sample", "12", "--json"]
    own = {**os.environ, "PYTHONPATH": str(clone / "src")}
    done = subprocess.run(words, cwd=clone, env=own, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert {entry["file"]: entry["problems"] for entry in report["files"] if entry["problems"]} == {}
    assert done.returncode == 0
    assert f"{HOME}/{EMBEDDINGS}" in {entry["file"] for entry in report["files"]}
    assert all("the stored counts are what seed 0 gives" in line for line in report["recomputed"][1:-1])


def test_a_second_run_does_nothing_and_another_backbone_changes_all_behind_it(results: Path, snakemake) -> None:
    done = snakemake("fars", "--configfile", "presets/tiny.yaml", "--cores", "1")
    assert "Nothing to be done" in done.stdout + done.stderr
    other = "papers={fars: {experiments: {backbone: {base: {epsilon: 0.4}}}}}"
    done = snakemake(f"{HOME}/table1.csv", "--configfile", "presets/tiny.yaml", "-n", "--config", other)
    planned = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout.split("Job stats:")[1], re.MULTILINE))
    assert planned["base"] == "4"  # and the heads
    assert planned["embeddings"] == "1"
    assert planned["certificates"] == "13"
    assert "data" not in planned
