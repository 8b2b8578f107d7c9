"""Tables and figures of a sister paper, by the real Snakefile: those that take the most different ways to be made."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from accelerated_smoothing import models
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.counting import counts
from accelerated_smoothing.sigmas import chosen as sigmas

TARGETS = ["table1.csv", "table4.csv", "figure6.svg"]
HOME = "results/tiny/data-dependent"


@pytest.fixture(scope="module")
def results(tiny: Path, snakemake) -> Path:
    targets = [f"{HOME}/{target}" for target in TARGETS]
    done = snakemake(*targets, "--configfile", "presets/tiny.yaml", "--cores", "2")
    assert done.returncode == 0, done.stderr
    return tiny / "data-dependent"


def test_tables_have_their_rows_and_the_papers_numbers_beside_them(results: Path) -> None:
    table = pd.read_csv(results / "table1.csv")
    assert table[["train", "certify", "guarantee"]].to_numpy().tolist() == [
        ["FS", "FS", "sound"],
        ["FS", "DS", "memory"],
        ["DS", "DS", "memory"],
    ]
    assert pd.read_csv(results / "table4.csv")["method"].tolist() == ["YANG", "YANG-DS"]
    beside = pd.read_csv(results / "table1_vs_paper.csv")
    assert {"ACR_oracle", "r=0.5"} <= set(beside["column"])
    assert not beside["comparable"].any()
    assert b"<svg" in (results / "figure6.svg").read_bytes()[:1000]


def test_numbers_are_those_of_the_certificates_at_the_choice_that_is_told(results: Path) -> None:
    row = pd.read_csv(results / "table1.csv").iloc[1]
    steps = row["choice ACR"].rpartition("K=")[2]
    log = certificates.read(results / f"cohen/certificates/sigma0.25/ascent{steps}.tsv")
    assert row["ACR"] == pytest.approx((log["radius"] * log["correct"]).mean(), rel=1e-12)


def test_what_is_certified_was_counted_with_each_images_own_sigma(results: Path) -> None:
    chosen = sigmas.read(results / "cohen/sigmas/sigma0.25/ascent.npz")
    assert chosen.at.tolist() == [2, 5]
    for number in (2, 5):
        for purpose in ("selection", "estimation"):
            counted = counts.read(results / f"cohen/counts/sigma0.25-ascent{number}/test-{purpose}.npz")
            np.testing.assert_array_equal(counted.sigmas, chosen.of(counted.idx, number))
        log = certificates.read(results / f"cohen/certificates/sigma0.25/ascent{number}.tsv")
        np.testing.assert_allclose(log["sigma"], chosen.of(counted.idx, number), rtol=1e-15)
    fixed = certificates.read(results / "yang/certificates/sigma0.25/cohen.tsv")
    assert fixed["radius"].max() <= 0.25  # of uniform noise no l1 radius exceeds lambda


def test_weights_say_how_they_were_trained(results: Path) -> None:
    for experiment, noise in (("cohen", "gaussian"), ("cohen-ds", "gaussian"), ("yang", "uniform")):
        described = models.load(results / f"{experiment}/base/sigma0.25.safetensors", "base")[1]
        assert (described["training"], described["noise"]) == ("gaussian", noise)
    assert (results / "cohen-ds/base/sigma0.25.csv").read_text().startswith("epoch,lr,loss,test_accuracy,sigma,")


def test_the_audit_walks_back_through_the_sigmas(results: Path, clone: Path) -> None:
    words = [sys.executable, "-m", "accelerated_smoothing", "audit", f"{HOME}/table1.csv", f"{HOME}/table4.csv"]
    words += ["--rebuild", "--sample", "12", "--json"]
    own = {**os.environ, "PYTHONPATH": str(clone / "src")}
    done = subprocess.run(words, cwd=clone, env=own, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    problems = {entry["file"]: entry["problems"] for entry in report["files"] if entry["problems"]}
    assert problems == {}
    assert done.returncode == 0
    files = {entry["file"] for entry in report["files"]}
    assert {f"{HOME}/cohen/sigmas/sigma0.25/ascent.npz", f"{HOME}/yang/base/sigma0.25.safetensors"} <= files
    assert all("the stored counts are what seed 0 gives" in line for line in report["recomputed"][1:-1])


def test_a_second_run_does_nothing_and_other_steps_choose_anew(results: Path, snakemake) -> None:
    target = f"{HOME}/table1.csv"
    done = snakemake(target, "--configfile", "presets/tiny.yaml", "--cores", "1")
    assert "Nothing to be done" in done.stdout + done.stderr
    other = "choose={ascent: {lr: 0.02}}"  # of the main experiment, over which the sister's lies
    done = snakemake(target, "--configfile", "presets/tiny.yaml", "-n", "--config", other)
    assert "Nothing to be done" in done.stdout + done.stderr
    other = "papers={data-dependent: {common: {choose: {ascent: {lr: 0.02}}}}}"
    done = snakemake(target, "--configfile", "presets/tiny.yaml", "-n", "--config", other)
    planned = set(re.findall(r"^(\w+) +\d+$", done.stdout.split("Job stats:")[1], re.MULTILINE))
    assert {"sigmas", "shard", "counts", "certificates", "table"} <= planned
    assert not {"data", "base"} & planned
