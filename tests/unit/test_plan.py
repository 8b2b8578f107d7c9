"""The cost of a config: on the tiny preset, where everything can be counted by hand."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

from accelerated_smoothing import architectures, cli, config, models
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting import sampling
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.models import lipschitz
from accelerated_smoothing.provenance import code
from accelerated_smoothing.training import loop
from accelerated_smoothing.workflow import measuring, plan
from accelerated_smoothing.workflow.jobs import Jobs

from . import programs

ROOT = Path(__file__).parents[2]
FILES = [str(ROOT / "config.yaml"), str(ROOT / "tests/workflow/tiny.yaml")]
RATE = 150.0  # the preset's, images/s; a job of one minute counts 9,000
# Stage: network, jobs, and images: of 163 training and 40 test images at two sigmas, N = 250 and 100.
STAGES: dict[str, tuple[str, int, int]] = {
    "base": ("resnet8", 2, 2 * 4 * 1297),
    "counts/train-estimation": ("resnet8", 2 * 2, 2 * 163 * 100),
    "counts/test-estimation": ("resnet8", 2 * 2, 2 * 40 * 250),
    "counts/test-selection": ("resnet8", 2, 2 * 40 * 100),
    "counts/train-variance": ("resnet8", 2, 2 * 3 * 3 * 250),
    "timing": ("resnet8", 1, 2 * (100 + 250)),
    "surrogates/resnet8": ("resnet8", 2, 2 * 2 * 163),
}


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, list[str]], str]:
    """The table's rows, as [network, jobs, images, disk, MB, images/s, hours, limit, unit] by stage, and the rest."""
    assert cli.main(["plan", "--configfile", *FILES, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    end = next(place for place, line in enumerate(lines) if line.startswith("all "))
    return {line[:24].strip(): line[24:].split() for line in lines[1 : end + 1]}, "\n".join(lines[end + 1 :])


@pytest.mark.parametrize(("words", "rate"), [((), RATE), (("--rate", "0.5"), 0.5)])
def test_a_rate_makes_hours_and_limits(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], rate: float
) -> None:
    monkeypatch.delattr(measuring, "rate")
    rows, below = printed(capsys, *words)
    assert list(rows) == [*STAGES, "all"]
    whole = longest = 0.0
    shards = {"counts/train-estimation": 2 * 163, "counts/test-estimation": 2 * 40, "counts/train-variance": 2 * 3}
    for name, (network, jobs, images) in STAGES.items():
        jobs = jobs if rate == RATE else shards.get(name, 2 * 40 if name.endswith("selection") else jobs)
        assert rows[name][:2] == [network, str(jobs)]
        assert float(rows[name][2]) == pytest.approx(images, rel=1e-3)  # four digits are printed
        hours = images * (plan.TRAINING_COST if name.startswith(("base", "surrogates")) else 1) / rate / 3600
        assert float(rows[name][6]) == pytest.approx(hours, abs=0.006)  # two places are printed
        assert rows[name][7:] == [str(30 + math.ceil(2 * 60 * hours / jobs)), "min"]
        whole += hours
        longest += jobs * int(rows[name][7]) / 60
    assert float(rows["all"][1]) == pytest.approx(sum(images for _, _, images in STAGES.values()), rel=1e-3)
    assert float(rows["all"][-3]) == pytest.approx(whole, abs=0.006)
    assert float(rows["all"][-2]) == pytest.approx(longest, abs=0.06)
    assert f"GPU-hours: {whole:.1f} expected, {longest:.1f} if every job reaches its limit" in below
    assert f"assume {rate:g} images/s" in below


def test_imported_classifiers_are_not_trained() -> None:
    checkpoints = dict.fromkeys((0.25, 0.5), "model.pth.tar")
    run = config.Config(sigmas=[0.25, 0.5], figure_sigmas=[0.25], checkpoints=checkpoints)
    assert "base" not in [stage.name for stage in plan.stages({"": run})]
    assert "\nbase " not in plan.report({"": run}, None)


def test_programs_are_planned_at_the_configs_rate() -> None:
    run = config.Config(sigmas=[0.25, 0.5], figure_sigmas=[0.25], checkpoints=dict.fromkeys((0.25, 0.5), "vit.pt2"))
    weights = run.model_copy(update={"checkpoints": dict.fromkeys((0.25, 0.5), "model.pth.tar")})
    assert {stage.arch for stage in plan.stages({"": run}) if not stage.trains} == {"exported"}
    assert plan.limits({"": run}) == plan.limits({"": weights})
    assert "images/s for exported (shards.rate)" in plan.report({"": run}, None)


def test_the_rate_of_a_program_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.01)
    file = programs.export(programs.seeded(programs.Net), tmp_path / "net.onnx")
    checkpoints = dict.fromkeys((0.12, 0.25, 0.5, 1.0), str(file))
    run = config.Config(dataset=config.Dataset(name="digits"), checkpoints=checkpoints)
    stage = plan.Stage("counts", run.arch(), jobs=1, passes=0, cost=0)
    assert measuring.rate(stage, run, plan.shape(run), torch.device("cpu")) > 0


class Wildcards(SimpleNamespace):
    """Snakemake's, as rules see them."""

    def get(self, name: str, default: object = None) -> object:
        return getattr(self, name, default)


@pytest.mark.parametrize(("file", "family"), [("model.pth.tar", "resnet"), ("a.onnx", "program"), ("a.pt2", "program")])
def test_the_code_of_a_job_is_that_of_its_classifiers_family(file: str, family: str) -> None:
    run = Run("results", config.Config(checkpoints={0.25: file}).experiments())
    jobs, wildcards = Jobs(run, {}, None), Wildcards(home="", sigma="0.25")
    assert jobs.code("count", "base")(wildcards) == code.digest("count", {"noise": ["gaussian"], "family": [family]})
    imported = Wildcards(imported="base/sigma0.25")
    assert jobs.code_of_import(imported) == code.digest("import-base", {"family": [family]})


def test_the_rate_is_given_or_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "--measure", "--rate", "5"]) == 2
    assert "--rate must be unset with --measure, got" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("minutes", "rate", "shards"), [(1, 150, 2), (2, 150, 1), (1, 300, 1), (0.5, 150, 3), (0.01, 1, 40), (1e9, 1, 1)]
)
def test_shards_are_sized_by_time(minutes: float, rate: float, shards: int) -> None:
    settings = config.read([Path(name) for name in FILES])  # 40 test images of 250 draws
    settings = settings.model_copy(update={"shards": config.Shards(minutes=minutes, rate=rate)})
    assert plan.counting(settings, "test", "estimation") == plan.Counting(40, [100, 250], shards)


def test_the_papers_counting_is_cut_into_jobs_of_its_minutes() -> None:
    settings = config.Config()
    for split, images in (("train", 50_000), ("test", 10_000)):
        counted = plan.counting(settings, split, "estimation")
        minutes = images * 100_000 / settings.shards.rate / 60
        assert counted.shards == math.ceil(minutes / 120)
        assert 115 < minutes / counted.shards <= 120


def test_a_cpu_has_no_gpu_hours() -> None:
    settings = config.Config(compute=config.Compute(device="cpu"))
    assert "GPU-hours" not in plan.report(settings.experiments(), None)


def test_a_deeper_network_costs_in_proportion() -> None:
    settings = config.read([Path(name) for name in FILES])
    deeper = settings.model_copy(
        update={
            "methods": {**settings.methods, "resnet20": {"certifier": "accelerated", "n": 250, "depth": 20}},
            "rows": [*settings.rows, "resnet20"],
        }
    )
    costs = {stage.name: stage.cost for stage in plan.stages(deeper.experiments())}
    ratio = costs["surrogates/resnet20"] / costs["surrogates/resnet8"]
    assert ratio == pytest.approx((20 - 2) / (8 - 2))  # layers but for the first and the last


@pytest.fixture
def spend(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass on the clock by which rates are measured, which stands still otherwise."""
    now = 0.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(measuring, "time", SimpleNamespace(perf_counter=lambda: now))
    return pass_by


@pytest.mark.parametrize("trains", ["base", "surrogate", ""])
def test_a_rate_is_images_per_second(
    monkeypatch: pytest.MonkeyPatch, spend: Callable[[float], None], trains: str
) -> None:
    """Each image takes 20 microseconds of work."""

    calls = []

    def work(images: int) -> None:
        calls.append(images)
        assert len(calls) < 1000, "measuring must end"
        spend(2e-5 * images)

    def step(self: loop.Step, inputs: torch.Tensor, *_: Any) -> torch.Tensor:
        work(len(inputs))
        return torch.zeros(())

    def count(engine: Any, images: Any, sigma: float, samples: int, *_: Any, **__: Any) -> None:
        work(len(images) * samples)

    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.05)
    monkeypatch.setattr(loop.Step, "__call__", step)
    monkeypatch.setattr(sampling, "count_predictions", count)
    settings = config.read([Path(name) for name in FILES])
    stage = next(stage for stage in plan.stages(settings.experiments()) if stage.trains == trains)
    assert measuring.rate(stage, settings, plan.shape(settings), torch.device("cpu")) == pytest.approx(50_000)


def test_measured_rates_make_hours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.02)
    rows, below = printed(capsys, "--measure", "--device", "cpu", "--threads", "1")
    rates = {name: float(rows[name][5]) for name in STAGES}
    assert all(rate > 0 for rate in rates.values())
    counted = {rate for name, rate in rates.items() if name.startswith("counts")}
    assert len(counted) == 1  # one network, measured once
    for name, (_, _, images) in STAGES.items():
        assert float(rows[name][6]) == pytest.approx(images / rates[name] / 3600, abs=0.006)
    assert "measured here on CPU, 1 threads" in below
    assert "fp32" in below
    assert "GPU-hours" not in below
    line = re.search(r"^for the config: (shards: .*)$", below, re.MULTILINE)
    assert line
    shards = config.check(config.Shards, yaml.safe_load(line[1])["shards"])
    assert shards.minutes == 1
    assert shards.rate == pytest.approx(counted.pop(), rel=0.006)  # three digits are printed
    assert int(rows["counts/train-estimation"][1]) == 2 * math.ceil(163 * 100 / 60 / shards.rate)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("backbone", {"base": 4 * 1297, "embeddings": 1297 + 500}),
        ("original", {"base": 2 * 1297}),
        ("mlp", {"base": 2 * 1297, "counts/test-estimation": 40 * 250, "attacks": 40 * 5 * 10 * 3}),
    ],
)
def test_experiments_with_embeddings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, wanted: dict[str, int]
) -> None:
    """What needs no counts plans none; a backbone embeds both splits, in float64."""
    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.02)
    for words in ((), ("--measure", "--device", "cpu", "--threads", "1")):
        rows, _ = printed(capsys, "--experiment", f"fars/{name}", *words)
        for stage, images in wanted.items():
            assert float(rows[stage][2]) == pytest.approx(images, rel=1e-3)  # four digits are printed
            assert float(rows[stage][5]) > 0
        assert any(stage.startswith("counts") for stage in rows) == (name == "mlp")
        assert ("embeddings" in rows) == (name == "backbone")
        if name == "backbone" and not words:  # else float64 was measured, too
            assert float(rows["embeddings"][5]) == pytest.approx(RATE / plan.EXACT_COST, abs=0.6)  # printed whole


def test_images_of_ones_own_are_counted_in_their_folder(tmp_path: Path) -> None:
    for split, images in (("train", 7), ("test", 3)):
        for image in range(images):
            path = tmp_path / split / ("cat" if image else "dog") / f"{image}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    own = {"name": "imagefolder", "folder": str(tmp_path)}
    settings = config.load({"dataset": own, "shards": {"minutes": 1, "rate": 1}})
    assert plan.counting(settings, "train", "estimation").shards == 7  # at most one an image
    with pytest.raises(InputError, match=r"dataset\.test must keep at least one image, got '3:'"):
        plan.limits(config.load({"dataset": {**own, "test": "3:"}}).experiments())


# FaRS: a backbone of 64 features, and what sees the embeddings by it.


ATTACKS = 40 * 7 * 50 * plan.TRAINING_COST  # passes: 40 images, at the six radii of Table I and its own, 50 steps


@pytest.fixture
def fars() -> dict[str, config.Config]:
    """Two epochs on 1,297 digits, and 40 of 500 certified; N = 250; a job of one minute counts 9,000."""
    sampled = {"sigmas": [0.25, 0.5]}
    base = {"arch": "sll8-2", "epochs": 2, "batch_size": 64, "crop": 0}
    experiments: dict[str, Any] = {
        "backbone": {"training": "margin"},
        "original": {"embedding": "backbone", "base": {"arch": "linear"}},
        "mlp": {
            **sampled,
            "embedding": "backbone",
            "base": {"arch": "mlp-16"},
            "reference": "embedded",
            "rows": ["embedded"],
        },
        "cohen": {**sampled, "reference": "cohen", "rows": ["cohen"]},
    }
    methods = {name: {"certifier": name} for name in ("margin", "embedded")}
    common = {"sigmas": [0], "reference": "margin", "base": base, "methods": methods, "rows": ["margin"]}
    settings = {
        "dataset": {"name": "digits", "test": ":40"},
        "sampling": {"sizes": [250]},
        "methods": {"cohen": {"certifier": "cohen"}},
        "rows": ["cohen"],
        "shards": {"minutes": 1, "rate": RATE},
        "papers": {"fars": {"common": common, "experiments": experiments}},
    }
    return config.load(settings).experiments()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (
            "backbone",
            {
                "base": ("sll8-2", 1, 2 * 1297),
                "embeddings": ("sll8-2", 1, 1297 + 500),
                "attacks": ("sll8-2", 1, ATTACKS),
            },
        ),
        ("original", {"base": ("linear", 1, 2 * 1297), "attacks": ("sll8-2", 1, ATTACKS)}),  # nothing is sampled
        (
            "mlp",
            {
                "base": ("mlp-16", 2, 2 * 2 * 1297),
                "counts/test-estimation": ("mlp-16", 2 * 2, 2 * 40 * 250),
                "counts/test-selection": ("mlp-16", 2, 2 * 40 * 100),
                "timing": ("sll8-2", 1, 5 * 5 * 250),
                "attacks": ("sll8-2", 2, 2 * ATTACKS),
            },
        ),
        (
            "cohen",  # a backbone whose embeddings no experiment uses
            {
                "base": ("sll8-2", 2, 2 * 2 * 1297),
                "counts/test-estimation": ("sll8-2", 2 * 2, 2 * 40 * 250),
                "counts/test-selection": ("sll8-2", 2, 2 * 40 * 100),
                "attacks": ("sll8-2", 2, 2 * ATTACKS),
            },
        ),
    ],
)
def test_stages_of_fars(fars: dict[str, config.Config], name: str, wanted: dict[str, tuple[str, int, int]]) -> None:
    home = f"fars/{name}/"
    stages = plan.stages(fars, home)
    assert {stage.name: (stage.arch, stage.jobs, stage.passes) for stage in stages} == wanted


def test_limits_of_a_backbone(fars: dict[str, config.Config]) -> None:
    limits = plan.limits(fars, "fars/backbone/")
    step = 3 * (1 + architectures.rescaling("sll8-2") / 64)  # passes, of each image of a batch
    assert limits == {
        "base": 30 + math.ceil(2 * 2 * 1297 * step / RATE / 60),
        "embeddings": 30 + math.ceil(2 * 1797 * plan.EXACT_COST / RATE / 60),
        "attacks": 30 + math.ceil(2 * ATTACKS / RATE / 60),
    }


def test_only_the_same_papers_experiments_are_embedded(fars: dict[str, config.Config]) -> None:
    backbone = "fars/backbone/"
    other = {home.replace("fars", "other"): experiment for home, experiment in fars.items()}
    assert [stage.name for stage in plan.stages({**other, backbone: fars[backbone]}, backbone)] == ["base", "attacks"]


@pytest.mark.parametrize("measured", [True, False])
@pytest.mark.parametrize(
    ("name", "weights"),
    [
        # A mean and a deviation of each of 64 features, and the layers with their biases.
        ("original", 2 * 64 + 64 * 10 + 10),
        ("mlp", 2 * (2 * 64 + 64 * 16 + 16 + 16 * 10 + 10)),
    ],
)
def test_networks_on_embeddings_are_as_wide_as_these(
    fars: dict[str, config.Config], monkeypatch: pytest.MonkeyPatch, name: str, weights: int, measured: bool
) -> None:
    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.01)
    monkeypatch.setattr(measuring, "weights", lambda *arguments: calls.append(arguments) or 4)
    calls: list[Any] = []
    home = f"fars/{name}/"
    text = plan.report(fars, torch.device("cpu") if measured else None, home)
    monkeypatch.undo()
    assert fars[home].base.arch in text
    (arguments,) = calls
    assert measuring.weights(*arguments) * len(fars[home].sigmas) == 4 * weights  # float32


def test_embeddings_are_measured_in_their_own_arithmetic(
    fars: dict[str, config.Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"base": 10.0, "": 20.0, "exact": 5.0}
    monkeypatch.setattr(measuring, "rate", lambda stage, *_: rates["exact" if stage.exact else stage.trains])
    lines = plan.report(fars, torch.device("cpu"), "fars/backbone/").splitlines()
    assert [line.split()[6] for line in lines[1:3]] == ["10", "5"]
    assert "rate: 20}" in lines[-2 if "GPU-hours" in lines[-1] else -1]


def test_a_backbones_passes_are_timed_in_float64(
    fars: dict[str, config.Config], monkeypatch: pytest.MonkeyPatch, spend: Callable[[float], None]
) -> None:
    batches = []

    def features(images: torch.Tensor) -> torch.Tensor:
        batches.append(images)
        spend(1e-3)
        return images

    monkeypatch.setattr(measuring, "MEASURE_SECONDS", 0.05)
    monkeypatch.setattr(lipschitz, "linear", lambda model: models.Linear(features, *model[1].fc.parameters()))
    stage = plan.stages(fars, "fars/backbone/")[1]
    shape = plan.shape(fars[""])
    # 100 images a millisecond.
    assert measuring.rate(stage, fars["fars/backbone/"], shape, torch.device("cpu")) == pytest.approx(1e5)
    assert {(tuple(images.shape), images.dtype) for images in batches} == {((100, 1, 8, 8), torch.float64)}


def test_what_an_sll_network_costs_is_what_torch_counts() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    network = models.build("sll8-2", 10, [0.5], [0.25]).eval()
    counted = []
    for images in (1, 2):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(images, 1, 8, 8))
        counted.append(counter.get_total_flops() / 2)  # multiply-adds
    one = counted[1] - counted[0]
    # The last layer, 64 x 10 of 2.6e6, is left out.
    assert architectures.cost("sll8-2") * architectures.LAYER / 16 == pytest.approx(one, rel=1e-3)
    assert architectures.rescaling("sll8-2") == pytest.approx((counted[0] - one) / one, rel=1e-3)
    assert architectures.rescaling("resnet8") == 0


@pytest.mark.parametrize(
    ("name", "network", "rate", "sigmas"), [("backbone", 13000, 13000, 0), ("mlp", 13000, 1000000, 2)]
)
def test_attacks_go_through_the_backbone(name: str, network: int, rate: int, sigmas: int) -> None:
    """Of 500 digits at five radii, 50 steps each; under each of two sigmas 1,000 draws decide, and so at no attack."""
    experiments = config.read([ROOT / "config.yaml", ROOT / "presets/demo.yaml"]).experiments()
    home = f"fars/{name}/"
    experiment = experiments[home]
    stage = next(stage for stage in plan.stages(experiments, home) if stage.name == "attacks")
    jobs = max(sigmas, 1)
    assert (stage.jobs, experiment.shards.rate) == (jobs, rate)
    steps = jobs * 500 * 5 * 50 * plan.TRAINING_COST
    assert stage.cost / rate == pytest.approx(steps / network + sigmas * 500 * 6 * 1000 / rate)
    minutes = stage.cost / jobs / rate / 60
    assert plan.limits(experiments, home)["attacks"] == 30 + math.ceil(2 * minutes)
    assert "attacks" not in plan.limits(experiments, "data-dependent/cohen/")


def test_every_experiment_has_a_plan() -> None:
    """Also those in which a stage runs no network, or that train nothing."""
    experiments = config.read([Path("config.yaml")]).experiments()
    for home in experiments:
        text = plan.report(experiments, None, home)
        stages = [line.split() for line in text.splitlines()[1:] if re.match(r"[a-z/-]+\S* +[a-z]", line)]
        total = next(line for line in text.splitlines() if line.startswith("all "))
        hours = [float(words[-3]) for words in stages if words[-1] == "min"]
        assert float(total.split()[-3]) == pytest.approx(sum(hours), abs=0.005 * (len(hours) + 1)), home
