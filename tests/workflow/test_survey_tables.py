"""The survey's tables by the real Snakefile: how classifiers build on one another, and what their training costs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from accelerated_smoothing import models
from accelerated_smoothing.certify import log as certificates
from accelerated_smoothing.counting import counts
from accelerated_smoothing.files import sha256
from accelerated_smoothing.provenance import audit, recompute

TINY = ("--configfile", "presets/tiny.yaml")


@pytest.fixture(scope="module")
def results(tiny: Path, snakemake) -> Path:
    done = snakemake("survey", *TINY, "--cores", "2")
    assert done.returncode == 0, done.stderr
    return tiny / "survey"


def test_members_are_experiments(results: Path, tiny: Path) -> None:
    for name, arch in (
        ("ensemble", "ensemble2-resnet8"),
        ("sween", "sween2-resnet8"),
    ):
        model, about = models.load(results / f"{name}/base/sigma0.25.safetensors", "base")
        assert about["arch"] == arch
        files = [tiny / "base/sigma0.25.safetensors", results / "gaussian-1/base/sigma0.25.safetensors"]
        assert about["sources"]["members"] == [sha256(file) for file in files]
        for member, file in zip(model[1].members, files, strict=True):
            weights = models.load(file, "base")[0][1].state_dict()
            assert all(torch.equal(member.state_dict()[key], tensor) for key, tensor in weights.items())
    assert not (results / "ensemble/base/sigma0.25.csv").exists()
    assert (models.load(results / "sween/base/sigma0.25.safetensors", "base")[0][1].v != 0).all()


def test_training_costs_what_all_trainings_behind_it_cost(results: Path, tiny: Path) -> None:
    table = pd.read_csv(results / "table1.csv").set_index(["sigma", "classifier"])

    def own(file: Path) -> pd.Series:
        return pd.read_csv(file)[["passes", "seconds"]].sum()

    logs = {
        name: own(results / f"{name}/base/sigma0.25.csv")
        for name in ("clean", "consistency", "crt", "gaussian-1", "sween", "denoised", "projected")
    }
    logs["gaussian"] = own(tiny / "base/sigma0.25.csv")
    behind = {
        "clean": ["clean"],
        "gaussian": ["gaussian"],
        "consistency": ["consistency"],
        "crt": ["crt", "consistency"],
        "gaussian-1": ["gaussian-1"],
        "ensemble": ["gaussian", "gaussian-1"],
        "consensus": ["gaussian", "gaussian-1", "consistency"],
        "sween": ["sween", "gaussian", "gaussian-1"],
        "denoised": ["denoised", "clean"],
        "rounded": ["gaussian"],
        "projected": ["projected"],
    }
    assert set(table.loc[0.25].index) == set(behind)
    for name, trainings in behind.items():
        row = table.loc[0.25, name]
        assert row["training_passes"] == sum(logs[each]["passes"] for each in trainings), name
        assert row["training_seconds"] == pytest.approx(sum(logs[each]["seconds"] for each in trainings)), name
    images = 1297
    assert logs["consistency"]["passes"] == 2 * images * 2
    assert logs["crt"]["passes"] == 2 * images * (1 + 1)
    passes = table.loc[0.25, "passes"]
    assert (passes[["ensemble", "sween"]] == 2 * passes["gaussian"]).all()


def test_a_consensus_runs_its_last_member_where_the_first_differ(results: Path) -> None:
    passes = pd.read_csv(results / "table1.csv").set_index(["sigma", "classifier"]).loc[0.25, "passes"]
    tally = counts.read(results / "agreeing/counts/sigma0.25/test-estimation.npz").at(100)
    differ = tally[:, 10].sum() / tally.sum()
    assert 0 < differ < 0.5
    assert passes["consensus"] == pytest.approx((2 + differ) * passes["gaussian"])


def test_certificates_stand_beside_cohens_at_equal_passes(results: Path) -> None:
    table = pd.read_csv(results / "table2.csv").set_index(["classifier", "sigma", "method"])
    guarantees = table.groupby("method")["guarantee"].first().to_dict()
    assert {
        name: guarantees[name] for name in ("cpm", "cascade", "dual", "irs", "idrs", "surrogate", "qcrs", "ascent")
    } == {
        "cpm": "sound",
        "cascade": "sound",
        "dual": "sound",
        "irs": "sound",
        "idrs": "sound",
        "surrogate": "estimated",
        "qcrs": "memory",
        "ascent": "memory",
    }
    for key, row in table.iterrows():
        if key[2] == "cohen":
            assert row["cohen_at_passes"] == pytest.approx(row["ACR"], rel=1e-9)
            assert row["exceeds"] == 0
    cascade = certificates.read(results / "gaussian/certificates/sigma0.5/cascade.tsv")
    assert set(cascade["level"]) == {0.25, 0.5}
    cohen = certificates.read(results / "gaussian/certificates/sigma0.25/cohen.tsv")["radius"].tolist()
    for method in ("cascade", "dual"):  # with one level
        alone = certificates.read(results / f"gaussian/certificates/sigma0.25/{method}.tsv")
        assert alone["radius"].tolist() == cohen


def test_a_router_learns_from_the_classifiers_of_all_levels(results: Path, tiny: Path) -> None:
    log = pd.read_csv(results / "router/base/sigma0.5.csv")
    images = 1297
    assert (log["passes"] == images * (1 + 2 * 2)).all()  # 2 copies for each of 2 levels
    taught = [sha256(tiny / f"base/sigma{sigma}.safetensors") for sigma in (0.5, 0.25)]
    assert models.load(results / "router/base/sigma0.5.safetensors", "base")[1]["sources"]["teacher"] == taught
    one = models.load(results / "router/base/sigma0.25.safetensors", "base")[1]["sources"]["teacher"]
    assert one == taught[1:]


def test_an_edit_is_certified_by_how_often_it_differs(results: Path, tiny: Path) -> None:
    agreement = counts.read(results / "agreement/counts/sigma0.5/test-estimation.npz")
    assert agreement.counts.shape[2] == 10 + 1
    assert 0 < agreement.at(250)[:, 10].sum() < 0.1 * agreement.at(250).sum()  # bfloat16 keeps 8 bits of a weight
    edited = certificates.read(results / "gaussian/certificates/sigma0.5/irs.tsv")
    original = certificates.read(tiny / "certificates/sigma0.5/cohen.tsv")
    assert 0 < edited["radius"].mean() < original["radius"].mean()


def test_every_paragraph_has_an_answer_or_a_reason(results: Path) -> None:
    table = pd.read_csv(results / "table3.csv", keep_default_na=False)
    assert not table.duplicated(["section", "works"]).any()
    assert (table["note"] != "").all()
    answered = table[table["classifier"] != ""]
    built = answered[answered["classifier"].isin(["clean", "gaussian", "consistency", "crt", "ensemble"])]
    assert (built["ACR 0.25"] != "").all()
    assert table[table["classifier"] == ""]["note"].str.contains("not built|needs").all()


def test_the_audit_holds(results: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    roots = audit.audit([Path(f"results/tiny/survey/{name}") for name in ("table1.csv", "table2.csv", "figure2.svg")])
    assert all(root.holds() for root in roots)
    assert {node.path.name for node in audit.walk(roots)} >= {"cascade.tsv", "qcrs.npz", "sigma0.5.safetensors"}


def test_counts_with_a_class_for_disagreement_are_made_again(
    results: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone)
    roots = audit.audit([Path("results/tiny/survey/agreement/counts/sigma0.25/test-estimation.npz")])
    *lines, _ = recompute.sample(roots, 5, np.random.default_rng(0))
    assert len(lines) == 5
    assert all(line.endswith("the stored counts are what seed 0 gives") for line in lines)
