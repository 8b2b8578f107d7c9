"""The code digest of a verb is the code that it runs: it is compared with the modules that each verb has loaded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from accelerated_smoothing import registry
from accelerated_smoothing.provenance import code

PACKAGE = "accelerated_smoothing"
# Run each command in a process of its own, forked from one that has imported what takes longest and nothing of this
# package. Write the modules of the package that it has loaded, before and after those that parsing its words loads.
SCRIPT = f"""
import json, os, sys
import pandas, pydantic, scipy.stats, torch
for number, words in enumerate(json.load(sys.stdin)):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        continue
    with open(f"{{number}}.log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from {PACKAGE} import cli, command
    command.parse(words)
    def loaded():
        return sorted(name.partition(".")[2] for name in sys.modules if name.startswith("{PACKAGE}."))
    before = loaded()
    status = cli.main(words)
    with open(f"{{number}}.json", "w") as stream:
        json.dump([status, before, loaded()], stream)
    sys.stdout.flush()
    os._exit(0)
"""
# Loaded on a machine with a GPU, or without one, as the case may be: a job's machine is not known when it is planned.
# An attack without noise loads no engine, so the modules that only engines import are among them.
BY_DEVICE = {
    *("counting.engines.pytorch", "counting.engines.openvino", "counting.fusing"),
    *("noise.compiling", "noise.philox", "noise.triton"),
}
# These verbs parse the commands in other records. That loads the flags of other verbs, but runs none of them: only what
# makes the page, and finds tables and papers, is compared.
READERS = ("report", "crate", "archive")
SHOWN = ("report", "papers", "analysis")

DATA = "--images data/test.npz --slice :6"
COUNTS = "--selection counts/selection.npz --estimation counts/estimation.npz"
EMBEDDED = "--selection counts/head-selection.npz --estimation counts/head-estimation.npz --images embeddings/test.npz"
TRAIN = "--train data/train.npz --test data/test.npz --epochs 1 --batch-size 512 --threads 1"
SURROGATES = "--predictions predictions.npz"
BELIEF = f"{SURROGATES} --belief belief.npz"
LABELS = "certificates/cohen.tsv counts/estimation.npz certificates/accelerated.tsv predictions.npz"
SURVEY = "certificates/cohen.tsv base.safetensors base.csv"
LOGS = "certificates/cohen.tsv certificates/accelerated.tsv"
# In an order in which each finds what it reads.
COMMANDS = [
    "data digits --train data/train.npz --test data/test.npz",
    f"train-base gaussian {TRAIN} --arch resnet8 --sigma 0.5 --output base.safetensors",
    f"train-base macer {TRAIN} --arch resnet8 --sigma 0.5 --samples 2 --output macer.safetensors",
    f"train-base smoothadv {TRAIN} --arch resnet8 --sigma 0.5 --noise uniform --output smoothadv.safetensors",
    f"train-base gaussian {TRAIN} --arch resnet8 --sigma 0.5 --ascent 1 --ascent-from 0 --output ds.safetensors",
    f"train-base margin {TRAIN} --arch sll8-1 --sigma 0 --crop 0 --optimizer adamw --output sll.safetensors",
    *(
        f"train-base {way} {TRAIN} --arch resnet8 --sigma 0.5 --output {way}.safetensors"
        for way in ("clean", "consistency", "smoothmix")
    ),
    *(
        f"train-base {way} {TRAIN} --arch resnet8 --sigma 0.5 --teacher clean.safetensors --output {way}.safetensors"
        for way in ("crt", "catrs", "router")
    ),
    f"train-base gaussian {TRAIN} --arch sween2-resnet8 --members base.safetensors clean.safetensors --sigma 0.5 "
    "--output sween.safetensors",
    f"train-base stability {TRAIN} --arch denoised-resnet8 --members clean.safetensors --teacher clean.safetensors "
    "--sigma 0.5 --output denoised.safetensors",
    "assemble base.safetensors clean.safetensors --arch ensemble2-resnet8 --output ensemble.safetensors",
    f"count --base ensemble.safetensors {DATA} --sigma 0.5 --sizes 100 --threads 1 --output counts/ensemble.npz",
    "assemble base.safetensors --edit rounded --output rounded.safetensors",
    "assemble base.safetensors rounded.safetensors --arch agreement2-resnet8 --output agreement.safetensors",
    f"count --base agreement.safetensors {DATA} --sigma 0.5 --sizes 100 --threads 1 --output counts/agreement.npz",
    "import-base checkpoint.pth.tar --arch resnet20 --images data/train.npz --sigma 0.5 --output imported.safetensors",
    "import-base program.pt2 --images data/train.npz --sigma 0.5 --output program.safetensors",
    f"count --base program.safetensors {DATA} --sigma 0.5 --sizes 100 --threads 1 --output counts/program.npz",
    "certify-images program.pt2 data/test.npz --slice :6 --sigma 0.5 --budget 20 --most 100 --threads 1 "
    "--output certificates/own.tsv",
    "certify-images base.safetensors data/test.npz --slice :6 --sigma 0.5 --radii 0.1 --most 100 --threads 1 "
    "--output certificates/own-base.tsv",
    "embed --base sll.safetensors --train data/train.npz --test data/test.npz --threads 1 --output embeddings",
    f"train-base gaussian {TRAIN.replace('data/', 'embeddings/')} --arch mlp-8 --crop 0 --sigma 0.5 "
    "--output head.safetensors",
    f"choose ascent --at 1 --base base.safetensors {DATA} --sigma 0.5 --threads 1 --output sigmas.npz",
    f"choose grid --at 1 --evaluations 4 --base base.safetensors {DATA} --sigma 0.5 --threads 1 --output grid.npz",
    f"choose idrs --at 2 --train data/train.npz --base base.safetensors {DATA} --sigma 0.5 --threads 1 "
    "--output idrs.npz",
    f"choose qcrs --at 1 --samples 2 --base base.safetensors {DATA} --sigma 0.5 --threads 1 --output qcrs.npz",
    *(
        f"count --base base.safetensors {DATA} --sigma 0.5 --sizes 100 --purpose {purpose} --threads 1 {own} "
        f"--output counts/{name}{purpose}.npz"
        for purpose in ("selection", "estimation", "pilot")
        for name, own in (("", ""), ("own-", "--sigmas sigmas.npz --at 1"))
    ),
    *(
        f"count --base head.safetensors --images embeddings/test.npz --slice :6 --sigma 0.5 --sizes 100 "
        f"--purpose {purpose} --threads 1 --output counts/head-{purpose}.npz"
        for purpose in ("selection", "estimation")
    ),
    "count --base base.safetensors --images data/train.npz --slice :20 --sigma 0.5 --sizes 50 --threads 1 "
    "--output counts/train.npz",
    "count --base base.safetensors --images data/train.npz --slice :3 --sigma 0.5 --sizes 5 10 --purpose variance "
    "--threads 1 --output counts/variance.npz",
    "gather counts/selection.npz --output gathered.npz",
    "train-surrogate --images data/train.npz --slice :20 --counts counts/train.npz --depth 8 --epochs 1 --holdout 0.4 "
    "--threads 1 --output surrogate.safetensors",
    "predict surrogate.safetensors --images data/test.npz --slice :6 --threads 1 --output predictions.npz",
    "predict surrogate.safetensors --images data/train.npz --slice :20 --held-out --threads 1 --output held-out.npz",
    "calibrate --predictions held-out.npz --counts counts/train.npz --output belief.npz",
    f"certify cohen --n 100 {COUNTS} --output certificates/cohen.tsv",
    "certify accelerated --n 100 --depth 8 --selection counts/selection.npz --images data/test.npz --slice :6 "
    "--surrogate surrogate.safetensors --output certificates/accelerated.tsv",
    f"certify memory --n 100 --choice ascent --at 1 {COUNTS.replace('counts/', 'counts/own-')} {DATA} "
    "--output certificates/memory.tsv",
    f"certify embedded --n 100 {EMBEDDED} --slice :6 --experiment fars/mlp --output certificates/embedded.tsv",
    f"certify cpm --n 100 {COUNTS} --output certificates/cpm.tsv",
    f"certify cascade --n 100 {COUNTS} --output certificates/cascade.tsv",
    *(
        f"certify {method} --n 100 {COUNTS} --other-selection counts/selection.npz --other-estimation "
        f"counts/estimation.npz --output certificates/{method.split()[0]}.tsv"
        for method in ("dual", "irs --pairs 100")
    ),
    f"certify pilot --budget 50 --draws 100 {COUNTS} --pilot counts/pilot.npz --output certificates/pilot.tsv",
    f"certify frontier {COUNTS} {SURROGATES} --output certificates/frontier.tsv",
    *(
        f"certify {method} --budget 50 {COUNTS} {BELIEF} --output certificates/{method}.tsv"
        for method in ("planned", "spending", "cs")
    ),
    f"certify-online planned --budget 50 --base base.safetensors {DATA} --sizes 50 100 --threads 1 "
    f"--selection counts/selection.npz {BELIEF} --output certificates/online.tsv",
    *(f"certify {method} {COUNTS} {BELIEF} --output certificates/{method}.tsv" for method in ("ladder", "conformal")),
    *(
        f"certify {method} {COUNTS} --output certificates/{method}.tsv"
        for method in ("betting", "at-radius", "iss", "oracle")
    ),
    *(
        f"certify {method} --base sll.safetensors {DATA} --experiment fars/backbone --output certificates/{method}.tsv"
        for method in ("margin", "sparsemax", "top-logit")
    ),
    f"time --base base.safetensors --surrogates surrogate.safetensors {DATA} --sigma 0.5 --sizes 100 --count 1 "
    "--repeats 1 --threads 1 --output timing.tsv",
    f"time --base sll.safetensors --head head.safetensors {DATA} --sigma 0.5 --sizes 100 --count 1 --repeats 1 "
    "--threads 1 --output head.tsv",
    f"attack --base sll.safetensors {DATA} --sigma 0 --steps 2 --restarts 1 --epsilons 0.1 --threads 1 "
    "--certificates certificates/margin.tsv --output attacks.tsv",
    f"attack --base head.safetensors --backbone sll.safetensors {DATA} --sigma 0.5 --steps 2 --samples 2 --n 100 "
    "--epsilons 0.1 --threads 1 --output head-attacks.tsv",
    f"table 1 {LOGS} --output table1.csv",
    "table 2 timing.tsv --output table2.csv",
    "table 4 counts/variance.npz --output table4.csv",
    f"table 6 {LOGS} --error-radius 0 --output table6.csv",
    "table fars/4 head.tsv --output fars4.csv",
    "table fast-and-sound/1 certificates/frontier.tsv certificates/planned.tsv --output fast1.csv",
    "table fast-and-sound/2 certificates/frontier.tsv certificates/ladder.tsv --output fast2.csv",
    "table fast-and-sound/3 certificates/frontier.tsv certificates/conformal.tsv --output fast3.csv",
    f"table label-budget/1 {LABELS} --output labels.csv",
    f"figure label-budget/1 {LABELS} --output labels.svg",
    f"table survey/1 {SURVEY} --output survey1.csv",
    "table survey/2 certificates/frontier.tsv certificates/cohen.tsv --output survey2.csv",
    "table survey/3 certificates/cohen.tsv --output survey3.csv",
    "figure survey/1 certificates/frontier.tsv certificates/cohen.tsv --output survey1.svg",
    f"figure survey/2 {SURVEY} --output survey2.svg",
    "table fast-and-sound/5 certificates/online.tsv --output fast5.csv",
    "figure fast-and-sound/1 certificates/frontier.tsv certificates/planned.tsv --output fast1.svg",
    "figure fast-and-sound/2 counts/estimation.npz predictions.npz belief.npz --output fast2.svg",
    "figure 1 timing.tsv --output figure1.svg",
    "figure 2 --output figure2.svg",
    f"figure 3 {LOGS} --output figure3.svg",
    "report table1.csv table1.md table1_vs_paper.csv figure3.svg figure3.png --template page.html.j2 "
    "--output report.html",
    "report fars4.csv fars4.md --template page.html.j2 --output fars4.html",
    "crate table1.csv --output ro-crate-metadata.json",
    "archive ro-crate-metadata.json --output crate.zip",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from accelerated_smoothing.models import build

    folder = tmp_path_factory.mktemp("digests")
    (folder / "page.html.j2").write_text("{{ tables | length }}")
    state = build("resnet20", 10, [0.3], [0.3]).state_dict()
    weights = {name: tensor for name, tensor in state.items() if not name.startswith("0.")}
    torch.save({"arch": "cifar_resnet20", "state_dict": weights}, folder / "checkpoint.pth.tar")
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    program = torch.export.export(network, (torch.rand(2, 1, 8, 8),), dynamic_shapes=({0: torch.export.Dim("n")},))
    torch.export.save(program, folder / "program.pt2")
    environment = {**os.environ, "PYTHONPATH": str(code.ROOT / "src")}
    commands = json.dumps([words.split() for words in COMMANDS])
    subprocess.run([sys.executable, "-c", SCRIPT], input=commands, cwd=folder, env=environment, text=True, check=True)
    return folder


@pytest.mark.parametrize(
    ("number", "words"), list(enumerate(COMMANDS)), ids=[" ".join(words.split()[:2]) for words in COMMANDS]
)
def test_a_digest_is_the_code_that_runs(place: Path, number: int, words: str) -> None:
    log = (place / f"{number}.log").read_text()
    assert (place / f"{number}.json").exists(), log
    status, *modules = json.loads((place / f"{number}.json").read_text())
    assert status == 0, log
    before, after = map(set, modules)
    output = words.split()[words.split().index("--output" if "--output" in words else "--train") + 1]
    path = place / output
    record = json.loads((path / "train.npz.record.json" if path.is_dir() else Path(f"{path}.record.json")).read_text())
    digest = set(record["code"])
    assert digest - after - BY_DEVICE == set(), "the digest holds code that did not run"
    ran = {name for name in after - before if not code.carrier(name)}
    if words.split()[0] in READERS:
        ran = {name for name in ran if name.startswith(SHOWN)}
    assert ran - digest == set(), "code ran that the digest does not hold"
    assert registry.module("verbs", words.split()[0]) in digest
