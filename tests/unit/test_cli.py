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

from accelerated_smoothing import cli, command, config, data, registry
from accelerated_smoothing.certify.methods import accelerated, cohen, top_logit
from accelerated_smoothing.command import Call
from accelerated_smoothing.counting import counts
from accelerated_smoothing.files import atomic
from accelerated_smoothing.training.ways import macer, margin, smoothadv

VERBS = registry.names("verbs")


def call(words: str) -> Call:
    parsed = command.parse(shlex.split(words))
    assert parsed is not None
    return parsed


@pytest.mark.parametrize("verb", VERBS)
def test_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([verb, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert f"Example: accelerated-smoothing {verb}" in text


def test_help_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert [verb for verb in VERBS if verb not in text] == []


def test_every_stage_has_a_verb() -> None:
    assert {"data", "train-base", "count", "gather", "train-surrogate", "certify", "table", "figure"} <= set(VERBS)


@pytest.mark.parametrize("method", ["cohen", "accelerated"])
def test_help_of_methods(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["certify", method, "--help"]) == 0
    assert "--selection" in capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_examples_can_be_parsed(verb: str) -> None:
    example = command.verb(verb).module.EXAMPLE.partition(" > ")[0]
    assert call(f"{verb} {example}").verb == verb


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_needs_no_model_starts_without_torch(verb: str) -> None:
    """Parsing loads no library that takes long; how long a start takes is measured in `benchmarks`."""
    code = (
        f"import sys; from accelerated_smoothing import command; command.parse([{verb!r}, '--help']); "
        "print(sys.modules.keys() & {'torch', 'numba', 'pandas', 'matplotlib', 'sklearn', 'openvino'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


SECTIONS = [
    (
        "train-base gaussian --train a --test b --sigma 0.5 --output c",
        config.Base,
        {"arch": "resnet20", "epochs": 3, "lr": 1e-5, "weight_decay": 0.0, "flip": False, "precision": "bf16"},
    ),
    (
        "count --base a --images b --sigma 0.5 --output c",
        config.Sampling,
        {"sizes": [5, 10, 500], "batch_size": 7, "precision": "bf16"},
    ),
    (
        "train-surrogate --images a --counts b --output c",
        config.Surrogate,
        {"betas": (0.1, 0.9), "lr": 0.123456789012345678, "flip": True, "precision": "fp32"},
    ),
    ("time --base a --images b --output c", config.Timing, {"sigma": 0.5, "repeats": 2}),
    ("time --base a --images b --output c", config.Compute, {"device": "cuda", "threads": 3, "kernels": "cudnn"}),
    ("table 1 a --output c", config.Comparison, {"accuracy": 0.0, "relative": 1e-9}),
    (
        "train-base smoothadv --train a --test b --sigma 0.5 --output c",
        smoothadv.Settings,
        {"steps": 10, "epsilon": 1.5, "ascent": 1, "ascent_lr": 1e-3},
    ),
    (
        "train-base macer --train a --test b --sigma 0.5 --output c",
        macer.Settings,
        {"samples": 4, "weight": 0.0, "margin_gamma": 6.5, "gamma": 0.5},
    ),
    (
        "train-base margin --train a --test b --sigma 0 --output c",
        margin.Settings,
        {"arch": "sll8-1", "epsilon": 0.0, "optimizer": "adamw"},
    ),
    (
        "certify accelerated --selection a --images b --surrogate c --output d",
        accelerated.Settings,
        {"n": 500, "depth": 56},
    ),
    ("certify top-logit --base a --images b --output c", top_logit.Settings, {"simplex": 1.5}),
    ("certify cohen --selection a --estimation b --output c", cohen.Settings, {"n": 500}),
]


@pytest.mark.parametrize(("words", "model", "changes"), SECTIONS)
@pytest.mark.parametrize("changed", [False, True])
def test_sections_pass_through_flags(words: str, model: Any, changes: dict[str, Any], changed: bool) -> None:
    settings = model(**changes) if changed else model()
    flags = command.flags(settings)
    # Nothing is left to a default but what the config itself leaves to the device.
    missing = {name for name, _ in settings if f"-{name.replace('_', '-')}" not in flags}
    assert missing == {name for name, value in settings if value is None}
    assert missing <= {"batch_size", "kernels", "precision", "simplex"}
    assert call(f"{words} {flags}").arguments.section(model) == settings
    assert call(words).arguments.section(model) == model()


def test_fields_say_what_becomes_of_files() -> None:
    arguments = call("table 1 a.tsv b.tsv --reported c.csv --output d.csv").arguments
    assert arguments.paths(command.Role.INPUT) == [Path("a.tsv"), Path("b.tsv")]
    assert arguments.paths(command.Role.SOURCE) == [Path("c.csv")]
    assert arguments.paths(command.Role.OUTPUT) == [Path("d.csv")]
    arguments = call("count --base a --images b --sigma 0.5 --sigmas c --at 3 --output d").arguments
    assert arguments.paths(command.Role.INPUT) == [Path("a"), Path("b"), Path("c")]


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
        tally = random.multinomial(100, [0.1] * 10, 6)[:, None]
        counted = counts.Counts(
            images.idx, images.labels, np.array([100]), tally, np.ones((6, 1)), {**meta, "purpose": purpose}
        )
        counted.write(folder / f"{purpose}.npz")
    meta |= {"split": "train", "purpose": "estimation"}
    counts.Counts(taught.idx, taught.labels, np.array([100]), tally, np.ones((6, 1)), meta).write(folder / "train.npz")
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
    (COUNT, "--images {folder}/selection.npz", "selection.npz"),
    (COUNT, "--slice 9:9", "the slice must hold an image, got 9:9 of 500"),
    (COUNT, "--slice all", "--slice must be first:stop:step as in Python, such as ':500' or '::20', got all"),
    (COUNT, "--spread 0", "--spread must be at least 1, got 0"),
    (COUNT, "--shard 4/4", "--shard must be K/M with 0 <= K < M, such as 0/4, got 4/4"),
    (COUNT, "--shard x", "--shard must be K/M with 0 <= K < M, such as 0/4, got x"),
    (COUNT, "--shard 0/5", "--shard must have at most as many shards as images, 4, got 5"),
    (COUNT, "--sizes 100 10", "--sizes must"),
    (COUNT, "--sizes 0", "--sizes must be at least 1, got 0"),
    (COUNT, "--sizes ten", "--sizes must be an integer, got ten"),
    (COUNT, "--batch-size 0", "--batch-size must be at least 1, got 0"),
    (COUNT, "--batch-size many", "--batch-size must be an integer, got many"),
    (COUNT, "--precision fp16", "--precision must be fp32, tf32 or bf16, got fp16"),
    (COUNT, "--sigma -0.5", "--sigma must be at least 0.001, got -0.5"),
    (COUNT, "--sigma 0", "--sigma must be at least 0.001, got 0"),
    (CHOOSE, "--at 0", "--at must be at least 1, got 0"),
    (CHOOSE, "--sigma 0", "--sigma must be at least 0.001, got 0"),
    (TIME, "--sigma 0", "--sigma must be at least 0.001, got 0"),
    (COUNT, "--sigma nan", "--sigma must be"),
    (COUNT, "--device tpu", "--device must be auto, cpu or cuda, got tpu"),
    (COUNT, "--threads 0", "--threads must be at least 1, got 0"),
    (COUNT, "--output {folder}/text.npz/counts.npz", "cannot be written"),
    (COUNT, "--epochs 3", "--epochs is not a flag of count"),
    (TRAIN, "--arch resnet9", "--arch must be"),
    (TRAIN, "--epochs 0", "--epochs must be at least 1, got 0"),
    (TRAIN, "--lr fast", "--lr must be a number, got fast"),
    (TRAIN, "--precision half", "--precision must be fp32 or bf16, got half"),
    (TRAIN, "--sigma -0.5", "--sigma must be at least 0, got -0.5"),
    (TRAIN, "--train {folder}/text.npz", "text.npz: not a whole .npz"),
    (TRAIN, "--noise none", "--noise must be one of gaussian, laplace, uniform, got none"),
    (TRAIN, "--initial {folder}/none.safetensors", "none.safetensors: no such file"),
    (TRAIN, "--initial {base} --arch resnet14", "resnet14"),
    (TRAIN, "--teacher {base}", "teacher must be none, since training is gaussian, got "),
    (TRAIN.replace("gaussian", "crt"), "", "teacher must be weights, since training is crt, got none"),
    (TRAIN, "--ascent -1", "--ascent must be at least 0, got -1"),
    (TRAIN, "--sigma 0.0001", "--sigma must be"),
    (TRAIN, "--optimizer lion", "--optimizer must be sgd or adamw, got lion"),
    (TRAIN, "--arch sll8", "--arch must be"),
    (TRAIN, "--arch sll16-1", "8x8 pixels"),
    (TRAIN, "--arch linear", "8x8 pixels"),
    (TRAIN.replace("gaussian", "margin"), "", "--arch must be"),
    (EMBED, "--base {folder}/none.safetensors", "none.safetensors: no such file"),
    (EMBED, "", "1-Lipschitz"),
    (TRAIN.replace("gaussian", "smoothadv"), "--epsilon 0", "--epsilon must be greater than 0, got 0"),
    (TEACH, "--depth 21", "--depth must be"),
    (TEACH, "--counts {folder}/none.npz", "none.npz: no such file"),
    (TEACH, "--slice :5", "images"),
    (TEACH, "--betas 0.5 1.5", "--betas must be"),
    (TEACH, "--precision half", "--precision must be fp32 or bf16, got half"),
    (CERTIFY, "--n 1000", "1000"),
    (CERTIFY, "--n0 10", "100"),
    (CERTIFY, "--n 0", "--n must be at least 1, got 0"),
    (CERTIFY, "--alpha 0", "--alpha must be greater than 0, got 0"),
    (CERTIFY, "--alpha 2", "--alpha must be less than 1, got 2"),
    (CERTIFY, "--estimation {folder}/selection.npz", "draws"),
    ("gather {folder}/selection.npz {folder}/estimation.npz --output {out}", "", "purpose"),
    ("gather {folder}/selection.npz {folder}/selection.npz --output {out}", "", "overlap"),
    ("data imagefolder --folder {folder} --train {out} --test {out}", "", "no image"),
    ("data digit --train {out} --test {out}", "", "--dataset must be one of"),
    ("summarize {folder}/none.tsv", "", "none.tsv: no such file"),
    ("summarize {folder}/text.npz", "", "idx"),
    ("summarize {folder}/text.npz --radii a", "", "--radii must be numbers with commas"),
    ("figure 9 --output {out}", "", "figure1"),
    ("notebook {folder}/none.ipynb --parameters a=[ --output {out}", "", "with a value in YAML"),
]


def changed(words: list[str], flags: list[str]) -> list[str]:
    """Replace flags of a command, or add them."""
    for start in [place for place, word in enumerate(flags) if word.startswith("--")]:
        stop = next((p for p in range(start + 1, len(flags)) if flags[p].startswith("--")), len(flags))
        if flags[start] in words:
            first = words.index(flags[start])
            last = next((p for p in range(first + 1, len(words)) if words[p].startswith("--")), len(words))
            words = [*words[:first], *words[last:]]
        words = [*words, *flags[start:stop]]
    return words


def fill(text: str, files: SimpleNamespace) -> list[str]:
    return shlex.split(text.format(**vars(files)))


@pytest.mark.parametrize(("words", "wrong", "message"), WRONG, ids=[f"{w.split()[0]} {x}" for w, x, _ in WRONG])
def test_wrong_arguments(
    files: SimpleNamespace, capsys: pytest.CaptureFixture[str], words: str, wrong: str, message: str
) -> None:
    """A command that works, with one flag changed or added."""
    before = sorted(files.folder.iterdir())
    assert cli.main(changed(fill(words, files), fill(wrong, files))) == 2
    error = capsys.readouterr().err.rstrip("\n").splitlines()
    assert message in error[-1]
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
    assert "precision must be 'fp32' on this CPU" in capsys.readouterr().err
    assert not files.out.parent.exists()


def test_a_wrong_argument_in_a_process_of_its_own(files: SimpleNamespace) -> None:
    words = changed(fill(COUNT, files), fill("--base {folder}/none.safetensors", files))
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


@pytest.mark.parametrize("words", ["coun", "count", "table 9 --output x", "certify cohen --n x", "certify coen"])
def test_words_that_cannot_be_parsed_give_one_line(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("accelerated-smoothing: error: ")
    assert error.count("\n") == 1


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
