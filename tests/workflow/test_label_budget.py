"""How few labels a surrogate needs, by the real Snakefile: what experiments share, and what the table shows."""

from pathlib import Path

import pandas as pd
import pytest

from accelerated_smoothing.counting import counts
from accelerated_smoothing.provenance import audit

TINY = ("--configfile", "presets/tiny.yaml")
SETTINGS = ["loss", "fresh", "from_base", "draws"]


@pytest.fixture(scope="module")
def results(tiny: Path, snakemake) -> Path:
    done = snakemake("label_budget", *TINY, "--cores", "2")
    assert done.returncode == 0, done.stderr
    return tiny / "label-budget"


def test_the_table_has_each_way_of_training(results: Path) -> None:
    table = pd.read_csv(results / "table1.csv")
    assert table[SETTINGS].to_numpy().tolist() == [
        ["jensen-shannon", False, False, 10],
        ["cross-entropy", False, False, 10],
        ["cross-entropy", True, True, 2],
    ]
    assert (table["seeds"] == 2).all()
    assert table["cohen"].nunique() == 1
    # Two epochs teach a surrogate nothing from random weights; f's own weights know the images.
    assert table["divergence"].iloc[2] < table["divergence"].iloc[:2].min() / 2
    assert b"<svg" in (results / "figure1.svg").read_bytes()[:1000]
    assert "<strong>The audit holds.</strong>" in (results / "report.html").read_text()


def test_equal_draws_are_one_file_and_seeds_are_not(results: Path) -> None:
    made = sorted(path.relative_to(results).parts[0] for path in results.glob("*/counts/*/train-estimation.npz"))
    assert made == [f"{name}-seed{seed}" for name in ("base-fresh-1", "js-10") for seed in (0, 1)]
    assert not list(results.glob("*/counts/*/test-*"))
    first, second = (
        counts.read(results / f"js-10-seed{seed}/counts/sigma0.25/train-estimation.npz") for seed in (0, 1)
    )
    assert (first.meta["seed"], second.meta["seed"]) == (0, 1)
    assert (first.counts != second.counts).any()
    fresh = counts.read(results / "base-fresh-1-seed0/counts/sigma0.25/train-estimation.npz")
    assert fresh.sizes.tolist() == [1, 2]


def test_the_audit_holds(results: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    (root,) = audit.audit([Path("results/tiny/label-budget/table1.csv")])
    assert root.holds()
    assert {node.path.name for node in audit.walk([root])} >= {"surrogate.tsv", "predictions-test.npz", "cohen.tsv"}
