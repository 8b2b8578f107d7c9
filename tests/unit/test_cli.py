import argparse
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from accelerated_smoothing import cli, config, data
from accelerated_smoothing.certify.methods import accelerated, cohen, top_logit
from accelerated_smoothing.counting import counts
from accelerated_smoothing.files import atomic
from accelerated_smoothing.training.ways import macer, margin, smoothadv


def verbs() -> dict[str, argparse.ArgumentParser]:
    return next(a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)).choices


@pytest.mark.parametrize("verb", list(verbs()))
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([verb, "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    assert f"example: accelerated-smoothing {verb}" in " ".join(told.split())


def test_every_stage_has_a_verb() -> None:
    assert {"data", "train-base", "count", "gather", "train-surrogate", "certify", "table", "figure"} <= set(verbs())


@pytest.mark.parametrize("method", ["cohen", "accelerated"])
def test_help_of_methods(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["certify", method, "--help"])
    assert end.value.code == 0
    assert "--selection" in capsys.readouterr().out


SECTIONS = [
    (
        config.Base,
        {"arch": "resnet20", "epochs": 3, "lr": 1e-5, "weight_decay": 0.0, "flip": False, "precision": "bf16"},
    ),
    (config.Sampling, {"sizes": [5, 10, 500], "batch_size": 7, "precision": "bf16"}),
    (config.Surrogate, {"betas": (0.1, 0.9), "lr": 0.123456789012345678, "flip": True, "precision": "fp32"}),
    (config.Timing, {"sigma": 0.5, "repeats": 2}),
    (config.Compute, {"device": "cpu", "threads": 3}),
    (config.Comparison, {"accuracy": 0.0, "relative": 1e-9}),
    (smoothadv.Settings, {"steps": 10, "epsilon": 1.5, "ascent": 1, "ascent_lr": 1e-3}),
    (macer.Settings, {"samples": 4, "weight": 0.0, "margin_gamma": 6.5, "gamma": 0.5}),
    (margin.Settings, {"arch": "sll8-1", "epsilon": 0.0, "optimizer": "adamw"}),
    (accelerated.Settings, {"n": 500, "depth": 56}),
    (top_logit.Settings, {"simplex": 1.5}),
    (cohen.Settings, {"n": 500}),
]


@pytest.mark.parametrize(("model", "changes"), SECTIONS)
@pytest.mark.parametrize("changed", [False, True])
def test_sections_pass_through_flags(model: Any, changes: dict[str, Any], changed: bool) -> None:
    settings = model(**changes) if changed else model()
    parser = argparse.ArgumentParser()
    cli.add_flags(parser, model)
    arguments = parser.parse_args(shlex.split(cli.flags(settings)))
    # Nothing is left to a default but what the config itself leaves to the device.
    assert set(vars(arguments)) == {name for name, value in settings if value is not None}
    assert {name for name, value in settings if value is None} <= {"batch_size", "precision", "simplex"}
    assert cli.section(model, arguments) == settings
    assert cli.section(model, parser.parse_args([])) == model()


@pytest.mark.parametrize(("text", "expected"), [("0/1", (0, 1)), ("2/50", (2, 50)), ("49/50", (49, 50))])
def test_shards(text: str, expected: tuple[int, int]) -> None:
    assert cli.shard(text) == expected


# Wrong arguments: one line, exit code 2, nothing on the disk.


@pytest.fixture
def files(base: Path, digits: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    folder = tmp_path / "in"
    folder.mkdir()
    images, taught = data.read(digits.test, ":6"), data.read(digits.train, ":6")
    random = np.random.default_rng(0)
    meta = {
        "kind": "counts",
        "split": "test",
        "sigma": 0.5,
        "base": "b",
        "dataset": "digits",
        "classes": 10,
        "noise": "gaussian",
        "choice": None,
        "arithmetic": "cpu",
    }
    for purpose in ("selection", "estimation"):
        made = random.multinomial(100, [0.1] * 10, 6)[:, None]
        counted = counts.Counts(
            images.idx, images.labels, np.array([100]), made, np.ones((6, 1)), {**meta, "purpose": purpose}
        )
        counted.write(folder / f"{purpose}.npz")
    meta |= {"split": "train", "purpose": "estimation"}
    counts.Counts(taught.idx, taught.labels, np.array([100]), made, np.ones((6, 1)), meta).write(folder / "train.npz")
    (folder / "text.npz").write_text("text")
    return SimpleNamespace(
        base=base, test=digits.test, train=digits.train, folder=folder, out=tmp_path / "out" / "made.npz"
    )


COUNT = "count --base {base} --images {test} --slice :4 --sizes 10 --sigma 0.5 --output {out} --threads 1"
TRAIN = (
    "train-base gaussian --train {train} --test {test} --arch resnet8 --epochs 1 --sigma 0.5 --output {out} --threads 1"
)
EMBED = "embed --base {base} --train {train} --test {test} --output {out} --threads 1"
CHOOSE = "choose grid --at 1 --base {base} --images {test} --slice :4 --sigma 0.5 --output {out} --threads 1"
TIME = "time --base {base} --images {test} --slice :4 --output {out} --threads 1"
TEACH = "train-surrogate --images {train} --slice :6 --counts {folder}/train.npz --epochs 1 --output {out} --threads 1"
CERTIFY = "certify cohen --n 100 --selection {folder}/selection.npz --estimation {folder}/estimation.npz --output {out}"
WRONG = [
    (COUNT, "--base {folder}/none.safetensors", "none.safetensors: no such file"),
    (COUNT, "--base {folder}/text.npz", "text.npz: not a whole weight file"),
    (COUNT, "--images {folder}/none.npz", "none.npz: no such file"),
    (COUNT, "--images {folder}/selection.npz", "selection.npz: holds 'counts', where 'images' is needed"),
    (COUNT, "--slice 9:9", "the slice 9:9 of its 500 images is empty"),
    (COUNT, "--slice all", "slice"),
    (COUNT, "--spread 0", "spread"),
    (COUNT, "--shard 4/4", "--shard: found '4/4'"),
    (COUNT, "--shard x", "--shard: found 'x'"),
    (COUNT, "--shard 0/5", "--shard: 5 shards of 4 images"),
    (COUNT, "--sizes 100 10", "sizes: found"),
    (COUNT, "--sizes 0", "sizes.0: found '0'"),
    (COUNT, "--sizes ten", "sizes.0: found 'ten'"),
    (COUNT, "--batch-size 0", "batch_size: found '0'"),
    (COUNT, "--batch-size many", "batch_size: found 'many'"),
    (COUNT, "--precision fp16", "precision: found 'fp16'"),
    (COUNT, "--sigma -0.5", "sigma"),
    (COUNT, "--sigma 0", "--sigma: found '0': input should be greater than or equal to 0.001"),
    (CHOOSE, "--sigma 0", "--sigma: found '0': input should be greater than or equal to 0.001"),
    (TIME, "--sigma 0", "--sigma: found 0, which is no noise; at least 0.001 would do"),
    (COUNT, "--sigma nan", "sigma"),
    (COUNT, "--device tpu", "device: found 'tpu'"),
    (COUNT, "--threads 0", "threads: found '0'"),
    (COUNT, "--output {folder}/text.npz/made.npz", "cannot be written"),
    (TRAIN, "--arch resnet9", "arch: found 'resnet9'"),
    (TRAIN, "--epochs 0", "epochs: found '0'"),
    (TRAIN, "--lr fast", "lr: found 'fast'"),
    (TRAIN, "--precision half", "precision: found 'half'"),
    (TRAIN, "--sigma -0.5", "sigma"),
    (TRAIN, "--train {folder}/text.npz", "text.npz: not a whole .npz"),
    (TRAIN, "--noise none", "--noise: invalid choice: 'none'"),
    (TRAIN, "--initial {folder}/none.safetensors", "none.safetensors: no such file"),
    (TRAIN, "--initial {base} --arch resnet14", "made for arch resnet8, where resnet14 is to be trained"),
    (TRAIN, "--ascent -1", "ascent: found '-1'"),
    (TRAIN, "--sigma 0.0001", "--sigma: found '0.0001': a noise level is at least 0.001; 0 is none"),
    (TRAIN, "--optimizer lion", "optimizer: found 'lion'"),
    (TRAIN, "--arch sll8", "arch: found 'sll8'"),
    (TRAIN, "--arch sll16-1", "arch: found 'sll16-1', which is for other images; these have 8x8 pixels"),
    (TRAIN, "--arch linear", "arch: found 'linear', which is for other images; these have 8x8 pixels"),
    (TRAIN.replace("gaussian", "margin"), "", "arch: found 'resnet8': no 1-Lipschitz network; one such as sll32-2"),
    (EMBED, "--base {folder}/none.safetensors", "none.safetensors: no such file"),
    (EMBED, "", "its resnet8 is not 1-Lipschitz; a network such as sll32-2 would do"),
    (TRAIN.replace("gaussian", "smoothadv"), "--epsilon 0", "epsilon: found '0'"),
    (TEACH, "--depth 21", "6n+2"),
    (TEACH, "--counts {folder}/none.npz", "none.npz: no such file"),
    (TEACH, "--slice :5", "the counts are not those of these images"),
    (TEACH, "--betas 0.5 1.5", "betas: found"),
    (TEACH, "--precision half", "precision: found 'half'"),
    (CERTIFY, "--n 1000", "kept at [100], not at 1000"),
    (CERTIFY, "--n0 10", "kept at [100], not at 10"),
    (CERTIFY, "--n 0", "n: found '0'"),
    (CERTIFY, "--alpha 0", "alpha"),
    (CERTIFY, "--alpha 2", "alpha"),
    (CERTIFY, "--estimation {folder}/selection.npz", "the same draws"),
    ("gather {folder}/selection.npz {folder}/estimation.npz --output {out}", "", "shards differ in purpose"),
    ("gather {folder}/selection.npz {folder}/selection.npz --output {out}", "", "shards overlap"),
    ("data imagefolder --folder {folder} --train {out} --test {out}", "", "holds no image"),
    ("summarize {folder}/none.tsv", "", "none.tsv: no such file"),
    ("summarize {folder}/text.npz", "", "text.npz: has no column 'idx'"),
]


def fill(text: str, files: SimpleNamespace) -> list[str]:
    return shlex.split(text.format(**vars(files)))


@pytest.mark.parametrize(("words", "wrong", "told"), WRONG, ids=[f"{w.split()[0]} {x}" for w, x, _ in WRONG])
def test_wrong_arguments(
    files: SimpleNamespace, capsys: pytest.CaptureFixture[str], words: str, wrong: str, told: str
) -> None:
    """The last of two equal flags counts, so the wrong one is appended to a command that would work."""
    before = sorted(files.folder.iterdir())
    try:
        code = cli.main(fill(f"{words} {wrong}", files))
    except SystemExit as end:  # argparse's own way
        code = end.code
    assert code == 2
    error = capsys.readouterr().err.rstrip("\n").splitlines()
    assert told in error[-1]
    assert error[-1].startswith("accelerated-smoothing")
    assert len([line for line in error if "error" in line]) == 1
    assert not any("Traceback" in line for line in error)
    assert not files.out.parent.exists()
    assert sorted(files.folder.iterdir()) == before


@pytest.mark.parametrize("words", [COUNT, TRAIN, TEACH, CERTIFY])
def test_the_commands_above_work_otherwise(files: SimpleNamespace, words: str) -> None:
    assert cli.main(fill(words, files)) == 0
    assert files.out.exists()


def test_a_precision_that_the_processor_has_not(
    files: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from accelerated_smoothing.counting.engines import openvino

    monkeypatch.setattr(openvino, "CAPABILITIES", ["FP32"])
    assert cli.main(fill(f"{COUNT} --precision bf16", files)) == 2
    told = "precision: found 'bf16', which this CPU has not; 'fp32' would do"
    assert capsys.readouterr().err == f"accelerated-smoothing: error: {told}\n"
    assert not files.out.parent.exists()


def test_a_wrong_argument_in_a_process_of_its_own(files: SimpleNamespace) -> None:
    words = fill(f"{COUNT} --base {{folder}}/none.safetensors", files)
    ended = subprocess.run([sys.executable, "-m", "accelerated_smoothing", *words], capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stdout == ""
    missing = files.folder / "none.safetensors"
    assert ended.stderr == (
        f"accelerated-smoothing: error: {missing}: no such file; the weights of a base model are needed here\n"
    )
    assert not files.out.parent.exists()


def test_summarize_prints_shares_and_acr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(0, 1, 1, 0.6, 1), (1, 1, 2, 0.9, 0), (2, 3, -1, 0.0, 0), (3, 3, 3, 0.25, 1)]
    lines = ["idx\tlabel\tpredict\tradius\tcorrect\ttime", *("\t".join(map(str, row)) + "\t0:00:01" for row in rows)]
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    assert cli.main(["summarize", str(tmp_path / "log"), "--radii", "0.25,0.5,1"]) == 0
    head, values = capsys.readouterr().out.splitlines()
    assert head == "images,r=0.25,r=0.5,r=1,ACR"
    assert [float(value) for value in values.split(",")] == pytest.approx([4, 0.5, 0.25, 0, 0.85 / 4])


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    assert capsys.readouterr().out == config.schema()


@pytest.mark.parametrize("words", ["", "coun", "count", "table 9 --output x", "certify cohen --n x"])
def test_what_cannot_be_parsed_is_told_in_one_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("accelerated-smoothing: error: ")
    assert told.count("\n") == 1
    assert "--help" in told


def test_sigterm_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def schema() -> str:
        with atomic(tmp_path / "file"):
            os.kill(os.getpid(), signal.SIGTERM)
        return ""

    monkeypatch.setattr(config, "schema", schema)
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["schema"]) == cli.TRY_AGAIN
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before
