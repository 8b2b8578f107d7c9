"""Dry runs: the paper's whole experiment is planned, and no target plans what it does not need."""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]

PRESETS = ["presets/demo.yaml", "presets/small.yaml"]


def jobs(text: str) -> dict[str, int]:
    """Jobs by rule, from Snakemake's statistics."""
    return {
        rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", text.split("Job stats:")[1], re.MULTILINE)
    }


def planned(snakemake, *words: str) -> dict[str, int]:
    done = snakemake("-n", *words)
    assert done.returncode == 0, done.stderr
    return jobs(done.stdout + done.stderr)


def test_table1_is_the_papers_whole_experiment(snakemake) -> None:
    plan = planned(snakemake, "results/table1.csv")
    # 4 sigmas; each 80 + 16 shards of two hours and one of selection; 5 methods, 3 depths
    wanted = {"data": 1, "base": 4, "shard": 4 * 97, "counts": 4 * 3, "surrogate": 12, "certificates": 20, "table": 1}
    assert plan == {**wanted, "total": sum(wanted.values())}


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("table2.csv", {"data": 1, "base": 1, "shard": 80, "counts": 1, "surrogate": 3, "timing": 1, "table": 1}),
        (
            "table3.csv",
            {"data": 1, "base": 2, "shard": 194, "counts": 6, "surrogate": 6, "certificates": 10, "table": 1},
        ),
        ("table4.csv", {"data": 1, "base": 4, "shard": 16, "counts": 4, "table": 1}),
        ("table5.csv", {"data": 1, "base": 4, "shard": 16, "counts": 4, "table": 1}),
        (
            "table6.csv",
            {"data": 1, "base": 2, "shard": 194, "counts": 6, "surrogate": 6, "certificates": 10, "table": 1},
        ),
        ("figure1.svg", {"data": 1, "base": 1, "shard": 80, "counts": 1, "surrogate": 3, "timing": 1, "figure": 1}),
        ("figure2.svg", {"figure": 1}),
        (
            "figure3.png",
            {"data": 1, "base": 2, "shard": 194, "counts": 6, "surrogate": 6, "certificates": 10, "figure": 1},
        ),
        ("certificates/sigma0.25/baseline.tsv", {"data": 1, "base": 1, "shard": 17, "counts": 2, "certificates": 1}),
    ],
)
def test_a_target_plans_what_it_needs_and_no_more(snakemake, target: str, wanted: dict[str, int]) -> None:
    plan = planned(snakemake, f"results/{target}")
    assert plan.pop("total") == sum(wanted.values())
    assert plan == wanted


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_plan_everything(snakemake, preset: str) -> None:
    assert planned(snakemake, "all", "--configfile", preset)["table"] == 6


def test_imported_checkpoints_take_the_place_of_training(snakemake, clone: Path) -> None:
    (clone / "checkpoint.pth.tar").touch()
    plan = planned(
        snakemake, "results/base/sigma0.25.safetensors", "--config", "checkpoints={0.25: checkpoint.pth.tar}"
    )
    assert plan == {"data": 1, "imported_base": 1, "total": 2}


def test_nothing_is_trained_but_surrogates_if_all_base_classifiers_are_programs(snakemake, clone: Path) -> None:
    for name in ("vit.onnx", "vit.pt2"):
        (clone / name).touch()
    programs = "checkpoints={0.12: vit.onnx, 0.25: vit.pt2, 0.5: vit.onnx, 1.0: vit.pt2}"
    plan = planned(snakemake, "results/table1.csv", "--config", programs)
    wanted = {"data": 1, "imported_base": 4, "shard": 4 * 97, "counts": 12, "surrogate": 12, "certificates": 20}
    assert plan == {**wanted, "table": 1, "total": sum(wanted.values()) + 1}


def test_an_onnx_for_a_gpu_is_refused_before_any_work(snakemake) -> None:
    done = snakemake("-n", "results/table1.csv", "--config", "checkpoints={0.25: vit.onnx}", "compute={device: cuda}")
    assert done.returncode == 2
    line = "config: error: checkpoints.0.25 must be a .pt2 of torch.export, since compute.device is cuda"
    assert f"{line}, got 'vit.onnx'" in (done.stdout + done.stderr).splitlines()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sigmas=[0.25, 0]", "sigmas"),
        ("sigmas=[0.25, 0.25]", "sigmas must be distinct"),
        ("alpha=1", "alpha"),
        ("typo=1", "typo is not a key of the config"),
        ("results=config.yaml/results", "cannot be written to"),
        ("methods={resnet21: {certifier: accelerated, depth: 21}}", "methods.resnet21.depth"),
    ],
)
def test_a_wrong_config_ends_before_any_work(snakemake, clone: Path, setting: str, message: str) -> None:
    before = sorted(clone.glob("results/*"))
    done = snakemake("results/table1.csv", "--cores", "1", "--config", setting)
    assert done.returncode == 2
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("config: error: ")]
    assert len(errors) == 1
    assert message in errors[0]
    assert "Traceback" not in done.stderr
    assert sorted(clone.glob("results/*")) == before


def readme_commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("snakemake ")]


@pytest.mark.parametrize("command", readme_commands())
def test_the_readmes_commands_can_be_planned(snakemake, command: str) -> None:
    assert planned(snakemake, *shlex.split(command)[1:])["total"] > 1


def test_all_of_the_paper_is_planned(snakemake) -> None:
    plan = planned(snakemake, "all")
    expected = {"table": 6, "figure": 3, "notebook": 2, "report": 1}
    assert {rule: plan[rule] for rule in expected} == expected


@pytest.mark.parametrize(
    "target",
    ["results/table9.csv", "results/tabel1.csv", "results/figure9.svg", "results/fars/table9_vs_paper.csv"],
)
def test_a_table_that_no_paper_has_ends_with_one_line(snakemake, target: str) -> None:
    done = snakemake("-n", target)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"{target}: must be one of the tables and figures table1, ")
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(("target", "file"), [("table1", "table1.csv"), ("fars/figure3", "fars/figure3.svg")])
def test_a_table_by_its_name_alone_ends_with_its_file(snakemake, target: str, file: str) -> None:
    done = snakemake("-n", target)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"{target}: must be a file, such as results/{file}"


def test_a_target_of_a_preset_names_the_preset(snakemake) -> None:
    done = snakemake("-n", "results/demo/table1.csv")
    assert done.returncode == 2
    line = "results/demo/table1.csv: is a target of presets/demo.yaml; add --configfile presets/demo.yaml"
    assert done.stderr.splitlines()[-1] == line


@pytest.mark.parametrize("preset", [None, *PRESETS, "presets/imagenette.yaml"])
def test_a_method_in_the_catalogue_leaks_into_no_experiment(snakemake, preset: str | None) -> None:
    mine = "methods={mine: {certifier: cohen, n: 1000}}"
    folder = f"results/{Path(preset).stem}" if preset else "results"
    words = [f"{folder}/table1.csv", *(["--configfile", preset] if preset else []), "--config", mine]
    before = planned(snakemake, *words)
    after = planned(snakemake, *words, "rows=[cohen, mine]")
    sigmas = 4 if preset is None else 3 if "imagenette" in preset else 2
    assert after["certificates"] == 2 * sigmas
    assert "surrogate" in before
    assert "surrogate" not in after


@pytest.mark.parametrize("target", ["base/sigma0.33.safetensors", "surrogates/sigma0.25/resnet21.safetensors"])
def test_what_the_config_does_not_name_is_not_planned(snakemake, target: str) -> None:
    done = snakemake("-n", f"results/{target}")
    assert done.returncode != 0
    assert "MissingRuleException" in done.stdout + done.stderr


def resources(plan: str) -> list[tuple[str, dict[str, str]]]:
    """Rule and resources of each job of a dry run."""
    return [
        (rule, dict(word.split("=", 1) for word in words.split(", ")))
        for rule, words in re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", plan, re.MULTILINE)
    ]


def test_the_slurm_profile_gives_every_job_a_partition_and_a_time(snakemake) -> None:
    """Without SLURM on this machine, too; for all papers."""
    done = snakemake("-n", "all", "data_dependent", "fars", "fast_and_sound", "label_budget", "--profile", "slurm")
    assert done.returncode == 0, done.stderr
    asked: dict[str, set[tuple[str, str]]] = {}
    for rule, resource in resources(done.stdout):
        if "gpu" in resource or "runtime" in resource:
            assert 0 < int(resource["runtime"]) <= 1440
            assert int(resource["mem_mb"]) > 0
            asked.setdefault(rule, set()).add((resource["slurm_partition"], resource.get("gpu", "0")))
    gpu = {"base", "shard", "surrogate", "timing", "online", "certified_online", "sigmas", "attack", "embeddings"}
    assert asked == {rule: {("gpu", "1")} if rule in gpu else {("cpu", "0")} for rule in asked}
    assert set(asked) > {*gpu, "certificates", "predictions", "belief"}
    assert {place for places in asked.values() for place in places} == {("gpu", "1"), ("cpu", "0")}


def test_jobs_that_draw_get_the_batch_size(snakemake) -> None:
    """On a GPU it is part of the arithmetic, so counts and certificates that are made online must agree in it."""
    targets = ("replayed/online/sigma0.25.tsv", "whole/certificates/sigma0.25/planned1000.tsv")
    files = [*(f"results/fast-and-sound/{target}" for target in targets), "results/fars/mlp/attacks/sigma0.25.tsv"]
    done = snakemake(*files, "-n", "-p", "--config", "sampling={batch_size: 77}")
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"accelerated_smoothing (count|online|certify-online|attack) (.*)", done.stdout + done.stderr)
    assert {verb for verb, _ in commands} == {"count", "online", "certify-online", "attack"}
    assert all("--batch-size 77" in command for _, command in commands)


def test_methods_that_draw_online_get_what_they_need(snakemake) -> None:
    target = "results/tiny/fast-and-sound/replayed/online/sigma0.25.tsv"
    rows = json.dumps({"fast-and-sound": {"experiments": {"replayed": {"rows": ["frontier", "shallow", "iss"]}}}})
    for more, needed in (([], True), (["--config", f"papers={rows}"], False)):
        done = snakemake(target, "-n", "-p", "--configfile", "presets/tiny.yaml", *more)
        assert done.returncode == 0, done.stderr
        (command,) = re.findall(r"accelerated_smoothing online (.*)", done.stdout + done.stderr)
        assert " --estimation " in command
        for flag in ("pilot", "predictions", "belief"):
            assert (f" --{flag} " in command) == needed


def test_without_a_gpu_none_is_asked_for(snakemake) -> None:
    done = snakemake("-n", "results/table1.csv", "--config", "compute={device: cpu}")
    assert "gpu=0" in done.stdout
    assert "gpu=1" not in done.stdout


def test_a_site_limits_the_time_that_jobs_ask_for(snakemake) -> None:
    done = snakemake("-n", "results/table1.csv", "--profile", "slurm", "--resources", "runtime=60")
    asked = {int(resource["runtime"]) for rule, resource in resources(done.stdout) if rule in ("base", "shard")}
    assert asked == {60, 34}  # the few draws that select take less


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        # 3 sigmas, each with a fixed one and three of the ascent; cohen-ds with the latter alone
        ("table1.csv", {"base": 6, "sigmas": 6, "certificates": 3 * 4 + 3 * 3}),
        ("table2.csv", {"base": 6, "sigmas": 6, "certificates": 21}),
        ("table3.csv", {"base": 6, "sigmas": 6, "certificates": 21}),
        ("table4.csv", {"base": 3, "sigmas": 3, "certificates": 12}),
        ("table5.csv", {"base": 9, "surrogate": 9, "certificates": 27}),
        ("figure3.svg", {"base": 6, "sigmas": 6, "certificates": 21}),
        ("figure6.svg", {"base": 1, "sigmas": 1, "certificates": 2}),
        ("figure7.svg", {"base": 6, "sigmas": 6, "certificates": 24}),
        ("figure8.svg", {"base": 3, "sigmas": 6, "certificates": 3 * 6}),
    ],
)
def test_a_sister_papers_target_plans_what_it_needs(snakemake, target: str, wanted: dict[str, int]) -> None:
    plan = planned(snakemake, f"results/data-dependent/{target}")
    assert {rule: plan.get(rule, 0) for rule in wanted} == wanted
    assert ("surrogate" in plan) == (target == "table5.csv")
    assert plan["data"] == plan[target[:-5]] == 1


@pytest.fixture
def imagenet(clone: Path) -> None:
    """A folder of images for the preset `imagenet`."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            image = clone / f"imagenet/{split}/{name}/0.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8)).save(image)


@pytest.mark.parametrize("preset", [*PRESETS, "presets/imagenet.yaml"])
def test_presets_plan_all_of_a_sister_paper(snakemake, imagenet: None, preset: str) -> None:
    plan = planned(snakemake, "data_dependent", "--configfile", preset)
    assert (plan["table"], plan["figure"]) == (5, 6)


def test_a_sister_papers_checkpoint_takes_the_place_of_its_training_alone(snakemake, clone: Path) -> None:
    (clone / "checkpoint.pth.tar").touch()
    papers = "papers={data-dependent: {experiments: {cohen: {checkpoints: {0.25: checkpoint.pth.tar}}}}}"
    targets = [f"results/data-dependent/{name}/base/sigma0.25.safetensors" for name in ("cohen", "smoothadv")]
    plan = planned(snakemake, *targets, "--config", papers)
    assert plan == {"data": 1, "imported_base": 1, "base": 1, "total": 3}


# Of original, lmt and backbone, each at no noise; of mlp and cohen each at two sigmas.
FARS = {
    "table1.csv": {"base": 5, "embeddings": 1, "counts": 4, "certificates": 3 * 4 + 2, "surrogate": 0},
    "figure3.svg": {"base": 6, "embeddings": 1, "counts": 4 + 3, "certificates": 3 + 2 + 5, "surrogate": 3},
}


@pytest.mark.parametrize("target", FARS)
def test_what_is_behind_a_backbone_is_embedded_once(snakemake, target: str) -> None:
    plan = planned(snakemake, f"results/fars/{target}")
    assert {rule: plan.get(rule, 0) for rule in FARS[target]} == FARS[target]
    assert plan["data"] == plan[target[:-5]] == 1


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_plan_a_backbone_and_what_is_beside_it(snakemake, preset: str) -> None:
    home = f"results/{Path(preset).stem}/fars"
    plan = planned(snakemake, f"{home}/table1.csv", "--configfile", preset)
    assert {rule: plan.get(rule, 0) for rule in FARS["table1.csv"]} == FARS["table1.csv"]
    plan = planned(snakemake, f"{home}/table3.csv", "--configfile", preset)
    # Margins of three, two sigmas of mlp and of cohen, and all of the main experiment, which has two sigmas here
    main = 4 if preset == PRESETS[0] else 3
    assert (plan["base"], plan["certificates"]) == (3 + 2 + 2 + 2, 3 + 2 + 2 + 2 * main)
    assert plan["surrogate"] == 2 * (main - 2)


# Of each sigma: one base classifier and two surrogates; for the images that are replayed and for all test images, their
# predictions for both splits and a belief.
FEW = {"base": 1, "surrogate": 2, "predictions": 4, "belief": 2, "certificates": 46, "certified_online": 1}
PART = (
    "presets/small.yaml",
    "presets/imagenet.yaml",
)  # certify a part of the test images, so that all have draws of their own


@pytest.mark.parametrize("preset", [None, *PRESETS, "presets/imagenet.yaml", "presets/imagenette.yaml"])
def test_presets_plan_certificates_from_few_passes(snakemake, imagenet: None, preset: str | None) -> None:
    plan = planned(snakemake, "fast_and_sound", *(["--configfile", preset] if preset else []))
    sigmas = 4 if preset is None else 2 if preset in PRESETS else 3
    few = {**FEW, "counts": 5 if preset in PART else 4}
    assert {rule: plan[rule] for rule in few} == {rule: sigmas * jobs for rule, jobs in few.items()}
    assert (plan["table"], plan["figure"], plan["report"]) == (4, 3, 1)


def test_a_base_classifier_that_is_shared_is_trained_and_counted_once(snakemake) -> None:
    demo = ("--configfile", "presets/demo.yaml")
    main, both = (planned(snakemake, *targets, *demo) for targets in (["all"], ["all", "fast_and_sound"]))
    assert both["base"] == main["base"] == 2
    assert both["counts"] - main["counts"] == 2 * 2  # of test images alone: estimation on a grid, and pilot


def test_presets_plan_the_label_budget(snakemake) -> None:
    for preset, depth in (("demo", 8), ("small", 20)):
        plan = planned(snakemake, "label_budget", "--configfile", f"presets/{preset}.yaml")
        assert (plan["base"], plan["surrogate"], plan["predictions"]) == (1, 3 * 20, 3 * 20), depth
        # Seven budgets, which both losses share, and two with fresh draws; then Cohen's own of test images.
        assert plan["counts"] == 3 * (7 + 2) + 2
        assert plan["certificates"] == 3 * 20 + 1


def test_presets_plan_the_survey(snakemake) -> None:
    """On CIFAR-10, two classifiers, of which one is here."""
    plan = planned(snakemake, "survey", "--configfile", "presets/demo.yaml")
    # At both noise levels, but for the principal components, which have none.
    assert (plan["base"], plan["assembled_base"], plan["surrogate"]) == (2 * 14 + 1, 2 * 5, 2 * 2)
    assert (plan["table"], plan["figure"]) == (3, 2)
    plan = planned(snakemake, "survey", "--configfile", "presets/cifar10.yaml")
    assert (plan["base"], plan["surrogate"]) == (2 + 2, 2 * 2)


def test_what_a_sister_paper_has_not_is_not_planned(snakemake) -> None:
    done = snakemake("-n", "results/data-dependent/table6.csv")
    assert done.returncode != 0
    assert "results/data-dependent/table6.csv: must be one of the tables and figures table1" in done.stderr


def test_imagenette_is_planned_without_its_images(snakemake) -> None:
    fars = "results/imagenette/fars"
    targets = [f"{fars}/original/certificates/sigma0.0/margin.tsv", f"{fars}/mlp/certificates/sigma0.25/embedded.tsv"]
    plan = planned(snakemake, *targets, "--configfile", "presets/imagenette.yaml")
    # One backbone and two heads, and the draws of one, which are jobs of less than two hours: to bound and to select.
    wanted = {"data": 1, "base": 3, "embeddings": 1, "shard": 2, "counts": 2, "certificates": 2}
    assert plan == {**wanted, "total": sum(wanted.values())}


def test_what_nobody_sees_is_not_embedded(snakemake) -> None:
    done = snakemake("-n", "results/fars/cohen/embeddings/sigma0.25/test.npz")
    assert done.returncode != 0
    assert "fars/cohen/ makes no embeddings" in done.stdout + done.stderr
