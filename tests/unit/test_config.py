"""The config: defaults, ranges, messages, and the experiments of sister papers."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import TypeAdapter, ValidationError
from snakemake.utils import update_config

from accelerated_smoothing import architectures, config, registry
from accelerated_smoothing.config import Config
from accelerated_smoothing.errors import InputError

ROOT = Path(__file__).parents[2]
WAYS = ", ".join(registry.names("training.ways"))


def refused(settings: dict[Any, Any]) -> str:
    """Return the one line by which settings are refused."""
    with pytest.raises(InputError) as error:
        config.load(settings)
    message = str(error.value)
    assert "\n" not in message
    return message


def methods(**changes: Any) -> dict[str, Any]:
    """Return the paper's methods with some settings of resnet20 changed."""
    return {"methods": {**Config().methods, "resnet20": {**Config().methods["resnet20"], **changes}}}


def test_defaults_are_the_papers() -> None:
    """Section V-A and V-C, Table I, and Cohen et al. (2019), section 4 and appendix."""
    paper = config.load({})
    assert paper.sigmas == [0.12, 0.25, 0.50, 1.00]
    assert paper.alpha == 0.001
    assert paper.n0 == 100
    assert paper.radii == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    assert paper.error_radius == 0.25
    assert paper.figure_sigmas == [0.25, 0.5]
    assert paper.dataset.name == "cifar10"
    assert (paper.dataset.train, paper.dataset.test) == (":", ":")
    assert paper.sampling.sizes == [100, 1000, 5000, 10000, 25000, 50000, 100000]
    assert paper.sampling.precision == "fp32"  # certificates are those of an arithmetic, so it is never chosen silently
    assert paper.sampling.batch_size is None

    assert paper.surrogate.epochs == 200
    assert paper.surrogate.batch_size == 128
    assert paper.surrogate.lr == 1e-3
    assert paper.surrogate.betas == (0.5, 0.999)
    assert (paper.surrogate.step_size, paper.surrogate.gamma) == (20, 0.5)
    assert (paper.surrogate.crop, paper.surrogate.flip) == (0, False)

    assert paper.base.arch == "resnet110"
    assert (paper.base.epochs, paper.base.batch_size) == (90, 256)
    assert (paper.base.lr, paper.base.momentum, paper.base.weight_decay) == (0.1, 0.9, 1e-4)
    assert (paper.base.step_size, paper.base.gamma) == (30, 0.1)
    assert (paper.base.crop, paper.base.flip) == (4, True)


def test_the_rows_of_table_1_are_the_papers() -> None:
    paper = config.load({})
    assert paper.rows == list(paper.methods) == ["cohen", "baseline", "resnet20", "resnet56", "resnet110"]
    assert paper.depths() == [20, 56, 110]
    assert [paper.method(name).n for name in paper.rows] == [100000, 100, 100000, 100000, 100000]
    assert paper.reference == "cohen"


def test_values_are_kept() -> None:
    experiment = config.load({"seed": 7, "sigmas": [1.0, 0.25, 0.5], "surrogate": {"epochs": 3}})
    assert experiment.seed == 7
    assert experiment.sigmas == [0.25, 0.5, 1.0]
    assert experiment.surrogate.epochs == 3
    assert experiment.surrogate.batch_size == 128


def test_rows_select_methods_in_order() -> None:
    """A method that is no row needs no surrogate, no counts and no sigmas."""
    memory = {"ascent": {"certifier": "memory", "at": 3}}
    experiment = config.load({"methods": {**Config().methods, **memory}, "rows": ["resnet56", "cohen"]})
    assert experiment.rows == ["resnet56", "cohen"]
    assert (experiment.depths(), experiment.chosen()) == ([56], {})
    assert config.load({"rows": ["cohen"]}).depths() == []


MINE = {"mine": {"certifier": "cohen", "n": 1000}}
PRESETS = [None, *sorted((ROOT / "presets").glob("*.yaml")), ROOT / "tests/workflow/tiny.yaml"]


def merged(preset: Path | None, imagefolder: Path, **settings: Any) -> dict[str, Any]:
    """Return config.yaml, a preset and settings of the command line, as Snakemake merges them."""
    values: dict[str, Any] = {}
    for layer in (ROOT / "config.yaml", preset):
        update_config(values, yaml.safe_load(layer.read_text()) if layer else {})
    update_config(values, settings)
    if values["dataset"]["name"] == "imagefolder":
        values["dataset"]["folder"] = str(imagefolder)
    return values


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem if path else "config")
def test_a_method_of_the_catalogue_changes_nothing_until_a_row_names_it(preset: Path | None, tmp_path: Path) -> None:
    before = config.load(merged(preset, tmp_path), ROOT).experiments()
    with_mine = config.load(merged(preset, tmp_path, methods=MINE), ROOT).experiments()
    assert list(with_mine) == list(before)
    for home, experiment in with_mine.items():
        assert experiment.methods["mine"] == MINE["mine"]
        without = {name: method for name, method in experiment.methods.items() if name != "mine"}
        expected = before[home].model_dump(exclude={"papers", "methods"})
        assert experiment.model_dump(exclude={"papers", "methods"}) == expected
        assert without == before[home].methods

    selection = {"methods": {"mine": {"certifier": "cohen", "n": 100}}, "rows": ["cohen", "mine"]}
    selected = config.load(merged(preset, tmp_path, **selection), ROOT).experiments()
    assert selected[""].rows == ["cohen", "mine"]
    assert {home: each.rows for home, each in selected.items() if home} == {
        home: each.rows for home, each in before.items() if home
    }


def test_files_select_and_do_not_negate() -> None:
    """Keys that may be null are those of one value. No method and no experiment is null."""
    for path in [ROOT / "config.yaml", *filter(None, PRESETS), *(ROOT / "papers").glob("*.yaml")]:
        lines = path.read_text().splitlines()
        nulls = {line.partition(":")[0].strip() for line in lines if line.partition("#")[0].rstrip().endswith(": null")}
        assert nulls <= {
            "train_seed",
            "initial",
            "teacher",
            "combine",
            "classifier",
            "embedding",
            "published",
            "precision",
            "batch_size",
        }, path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": ["x"]}, "rows must be names of methods (cohen, baseline, resnet20, resnet56, resnet110), got 'x'"),
        ({"rows": ["cohen", "cohen"]}, "rows must be distinct, got ['cohen', 'cohen']"),
        ({"rows": []}, "rows must have at least 1 entry, got []"),
        ({"rows": "cohen"}, "rows must be a list, got 'cohen'"),
        ({"rows": ["baseline", "resnet20"]}, "reference must be one of rows (baseline, resnet20), got 'cohen'"),
        (
            {"methods": {**Config().methods, "mine": {"certifier": "cohen", "n": 0}}},
            "methods.mine.n must be at least 1, got 0",
        ),
        (
            {"methods": {**Config().methods, "mine": {"n": 100}}},
            "methods.mine.certifier must be one of accelerated, ",
        ),
        ({"methods": {**Config().methods, "mine": None}}, "methods.mine must be a mapping of keys to values, got None"),
        (
            {"papers": {"fars": {"experiments": {"one": {"rows": ["x"]}}}}},
            "papers.fars.experiments.one.rows must be names of methods (cohen, ",
        ),
    ],
)
def test_wrong_rows(settings: dict[str, Any], message: str) -> None:
    assert refused(settings).startswith(message)


@pytest.mark.parametrize(
    ("settings", "key", "section", "close"),
    [
        ({"sigma": [0.5]}, "sigma", "the config", "sigmas"),
        ({"surrogate": {"epoch": 3}}, "surrogate.epoch", "surrogate", "epochs"),
        ({"base": {"epoch": 3}}, "base.epoch", "base", "epochs"),
        ({"dataset": {"nam": "digits"}}, "dataset.nam", "dataset", "name"),
        (methods(width=3), "methods.resnet20.width", "methods.resnet20", None),
        ({"papers": {"fars": {"comon": {}}}}, "papers.fars.comon", "papers.fars", "common"),
    ],
)
def test_unknown_keys(settings: dict[str, Any], key: str, section: str, close: str | None) -> None:
    message = refused(settings)
    assert message.startswith(f"{key} is not a key of {section}; keys: ")
    assert message.endswith(f"; did you mean {close}?") if close else "did you mean" not in message


@pytest.mark.parametrize("key", [True, 1, None])
def test_keys_that_are_no_text(key: Any) -> None:
    """YAML reads a bare `on:` or `yes:` as true."""
    assert refused({key: 1}).startswith(f"{key} is not a key of the config")
    assert refused({"base": {key: 1}}).startswith(f"base.{key} is not a key of base")


@pytest.mark.parametrize(
    ("settings", "key", "got"),
    [
        ({"sigmas": [0.25, 1e-5]}, "sigmas.1", "1e-05"),
        ({"sigmas": [-0.25]}, "sigmas.0", "-0.25"),
        ({"sigmas": ["much"]}, "sigmas.0", "'much'"),
        ({"sigmas": [float("nan")]}, "sigmas.0", "nan"),
        ({"sigmas": [float("inf")]}, "sigmas.0", "inf"),
        ({"sigmas": [0.25, 0.5, 0.25]}, "sigmas", "[0.25, 0.5, 0.25]"),
        ({"sigmas": []}, "sigmas", "[]"),
        ({"sigmas": 0.25}, "sigmas", "0.25"),
        ({"sampling": {"sizes": [0, 100]}}, "sampling.sizes.0", "0"),
        ({"sampling": {"sizes": [100, -5]}}, "sampling.sizes.1", "-5"),
        ({"sampling": {"sizes": [1000, 100]}}, "sampling.sizes", "[1000, 100]"),
        ({"sampling": {"sizes": [100, 100]}}, "sampling.sizes", "[100, 100]"),
        ({"sampling": {"sizes": []}}, "sampling.sizes", "[]"),
        ({"sampling": {"sizes": [100.5]}}, "sampling.sizes.0", "100.5"),
        ({"sampling": {"batch_size": 0}}, "sampling.batch_size", "0"),
        ({"sampling": {"batch_size": "many"}}, "sampling.batch_size", "'many'"),
        ({"sampling": {"precision": "fp16"}}, "sampling.precision", "'fp16'"),
        ({"sampling": {"precision": None}}, "sampling.precision", "None"),
        ({"base": {"precision": "fp64"}}, "base.precision", "'fp64'"),
        ({"surrogate": {"precision": 16}}, "surrogate.precision", "16"),
        ({"alpha": 0}, "alpha", "0"),
        ({"alpha": 1}, "alpha", "1"),
        ({"alpha": 2}, "alpha", "2"),
        ({"alpha": "small"}, "alpha", "'small'"),
        ({"n0": 0}, "n0", "0"),
        ({"seed": -1}, "seed", "-1"),
        ({"seed": 2**63}, "seed", str(2**63)),
        ({"results": "two words"}, "results", "'two words'"),
        ({"radii": [-0.25]}, "radii.0", "-0.25"),
        ({"dataset": {"name": "mnist"}}, "dataset.name", "'mnist'"),
        ({"dataset": {"test": "all"}}, "dataset.test", "'all'"),
        ({"dataset": {"test": "-:"}}, "dataset.test", "'-:'"),
        ({"dataset": {"test": "::0"}}, "dataset.test", "'::0'"),
        ({"base": {"arch": "resnet21"}}, "base.arch", "'resnet21'"),
        ({"base": {"arch": "vit"}}, "base.arch", "'vit'"),
        ({"base": {"lr": 0}}, "base.lr", "0"),
        ({"surrogate": {"betas": [0.5, 1]}}, "surrogate.betas", "[0.5, 1]"),
        ({"surrogate": {"betas": [0.5]}}, "surrogate.betas", "[0.5]"),
        ({"surrogate": {"epochs": 0}}, "surrogate.epochs", "0"),
        ({"surrogate": 3}, "surrogate", "3"),
        ({"shards": {"minutes": 0}}, "shards.minutes", "0"),
        ({"shards": {"rate": float("inf")}}, "shards.rate", "inf"),
        ({"variance": {"repeats": 1}}, "variance.repeats", "1"),
        ({"compute": {"device": "tpu"}}, "compute.device", "'tpu'"),
        ({"timing": {"sigma": -1}}, "timing.sigma", "-1"),
        ({"checkpoints": {"none": "file"}}, "checkpoints.none", "'none'"),
        ({"methods": {}}, "methods", "{}"),
        ({"methods": {"Two Words": {}}}, "methods.Two Words", "'Two Words'"),
        ({"methods": {"cohen": 3}}, "methods.cohen", "3"),
        (methods(depth=21), "methods.resnet20.depth", "21"),
        (methods(depth="deep"), "methods.resnet20.depth", "'deep'"),
        (methods(n=0), "methods.resnet20.n", "0"),
        (methods(certifier="magic"), "methods.resnet20.certifier", "'magic'"),
        (methods(certifier=None), "methods.resnet20.certifier", "None"),
    ],
)
def test_values_out_of_range(settings: dict[str, Any], key: str, got: str) -> None:
    message = refused(settings)
    assert message.startswith(f"{key} ")
    assert message.endswith(f", got {got}")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base": {"epochs": 0}}, "base.epochs must be at least 1, got 0"),
        ({"sampling": {"precision": "fp8"}}, "sampling.precision must be 'fp32', 'tf32' or 'bf16', got 'fp8'"),
        ({"compute": {"device": "tpu"}}, "compute.device must be 'auto', 'cpu' or 'cuda', got 'tpu'"),
        ({"variance": {"repeats": 10**9}}, "variance.repeats must be at most 10000, got 1000000000"),
        ({"compute": {"kernels": "cutlass"}}, "compute.kernels must be null or one of cudnn, triton, got 'cutlass'"),
        (
            {"compute": {"device": "cpu", "kernels": "cudnn"}},
            "compute.kernels must be null while device is cpu, got 'cudnn'",
        ),
        (
            {"compute": {"device": "cpu"}, "sampling": {"precision": "tf32"}},
            "sampling.precision must be fp32 or bf16, since compute.device is cpu, got 'tf32'",
        ),
        (
            {"compute": {"portable": True}, "surrogate": {"precision": "bf16"}},
            "surrogate.precision must be fp32, since compute.portable is true and AVX2 has no bf16, got 'bf16'",
        ),
        ({"alpha": 0}, "alpha must be greater than 0, got 0"),
        ({"alpha": 2}, "alpha must be less than 1, got 2"),
        ({"sigmas": [101]}, "sigmas.0 must be at most 100, got 101"),
        ({"n0": 1.5}, "n0 must be an integer, got 1.5"),
        ({"seed": "x"}, "seed must be an integer, got 'x'"),
        ({"shards": {"rate": "fast"}}, "shards.rate must be a number, got 'fast'"),
        ({"shards": {"rate": float("inf")}}, "shards.rate must be a finite number, got inf"),
        ({"base": {"flip": "both"}}, "base.flip must be true or false, got 'both'"),
        ({"surrogate": 3}, "surrogate must be a mapping of keys to values, got 3"),
        ({"base": 3}, "base must be a mapping of keys to values, got 3"),
        ({"sigmas": 0.25}, "sigmas must be a list, got 0.25"),
        ({"sigmas": [1e-5]}, "sigmas.0 must be at least 0.001, or 0 for no noise, got 1e-05"),
        ({"sigmas": [0.25, 0.25]}, "sigmas must be distinct, got [0.25, 0.25]"),
        ({"sampling": {"sizes": [100, 5]}}, "sampling.sizes must be ascending and distinct, got [100, 5]"),
        ({"surrogate": {"betas": [0.5]}}, "surrogate.betas must have at least 2 entries, got [0.5]"),
        ({"dataset": {"folder": ""}}, "dataset.folder must have at least 1 character, got ''"),
        ({"dataset": {"test": "all"}}, "dataset.test must be first:stop:step as in Python, such as ':500' or '::20', "),
        ({"dataset": {"name": "mnist"}}, "dataset.name must be one of "),
        ({"results": "two words"}, "results must be a path of letters, digits, "),
        (
            {"training": "magic"},
            f"training must be one of {WAYS}, got 'magic'",
        ),
        ({"noise": "pink"}, "noise must be one of gaussian, laplace, uniform, got 'pink'"),
        ({"base": {"ascent": 1, "ascent_from": 90}}, "base.ascent_from must be less than epochs (90), got 90"),
    ],
)
def test_messages(settings: dict[str, Any], message: str) -> None:
    assert refused(settings).startswith(message)


@pytest.mark.parametrize(
    ("model", "values", "message"),
    [
        (config.Base, {"batch_size": "0"}, "--batch-size must be at least 1, got 0"),
        (config.Base, {"ascent": "1", "ascent_from": "90"}, "--ascent-from must be less than epochs (90), got 90"),
        (config.Base, {"lr": ""}, "--lr must be a number, got ''"),
        (config.Sampling, {"precision": "fp8"}, "--precision must be fp32, tf32 or bf16, got fp8"),
        (config.Sampling, {"sizes": ["5", "0"]}, "--sizes must be at least 1, got 0"),
        (config.Sampling, {"sizes": ["5", "1"]}, "--sizes must be ascending and distinct, got 5 1"),
        (config.Surrogate, {"betas": ["0.5"]}, "--betas must have at least 2 entries, got 0.5"),
        (config.Surrogate, {"epoch": "3"}, "--epoch is not a flag; flags: --loss, --fresh, "),
    ],
)
def test_messages_of_flags(model: type[config.Section], values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        config.check(model, values, flag=True)
    assert str(error.value).startswith(message)


def test_messages_of_a_single_value() -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter(config.Alpha).validate_python("2")
    assert config.one_line(error.value, "alpha") == "alpha must be less than 1, got '2'"
    assert config.one_line(error.value, "some_alpha", flag=True) == "--some-alpha must be less than 1, got 2"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (methods(n=300), "methods.resnet20.n must be one of sampling.sizes [100, 1000, "),
        (
            {"sampling": {"sizes": [100, 500]}},
            "methods.cohen.n must be one of sampling.sizes [100, 500], got 100000",
        ),
        ({"reference": "other"}, "reference must be one of rows (cohen, "),
        ({"sigmas": [0.5], "timing": {"sigma": 0.5}}, "figure_sigmas must be among sigmas [0.5], got 0.25"),
        ({"sigmas": [0.5], "figure_sigmas": [0.5]}, "timing.sigma must be among sigmas [0.5], got 0.25"),
        ({"sigmas": [0.25, 0.5, 0]}, "sigmas must be at least 0.001, since cohen counts under noise, got 0"),
        ({"timing": {"sigma": 0}}, "timing.sigma must be among sigmas [0.12, 0.25, 0.5, 1.0], got 0.0"),
        ({"checkpoints": {0.3: "file"}}, "checkpoints must be among sigmas [0.12, 0.25, 0.5, 1.0], got 0.3"),
        (
            {"checkpoints": {0.5: "vit.onnx"}, "compute": {"device": "cuda"}},
            "checkpoints.0.5 must be a .pt2 of torch.export, since compute.device is cuda, got 'vit.onnx'",
        ),
        (
            {
                "checkpoints": {0.5: "vit.onnx"},
                "methods": {**Config().methods, "mine": {"certifier": "memory", "choice": "grid", "at": 4}},
                "rows": ["cohen", "mine"],
            },
            "checkpoints.0.5 must be a .pt2 of torch.export, since sigmas are chosen by it, got 'vit.onnx'",
        ),
        (
            {
                **{"checkpoints": {0.5: "vit.pt2"}, "base": {"arch": "sll32-1"}, "reference": "margin"},
                **{"methods": {"margin": {"certifier": "margin"}}, "rows": ["margin"]},
            },
            "methods.margin.certifier must suit the exported program in checkpoints, got 'margin'",
        ),
        ({"base": {"arch": "onnx"}}, "base.arch must be a network that can be trained, got 'onnx'"),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict[str, Any], message: str) -> None:
    assert refused(settings).startswith(message)


def test_a_section_alone() -> None:
    assert config.check(config.Surrogate, {"epochs": "3"}).epochs == 3  # as the command line gives it
    with pytest.raises(InputError, match=r"^epochs must be an integer, got 'x'$"):
        config.check(config.Surrogate, {"epochs": "x"})


def test_a_checked_config_cannot_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.load({}).seed = 3


@pytest.mark.parametrize("depth", [8, 14, 20, 32, 44, 56, 110])
def test_depths_that_exist(depth: int) -> None:
    assert architectures.resnet_depth(depth) == depth


def test_the_schema_refuses_what_the_models_refuse() -> None:
    schema = json.loads(config.schema())
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(Config().model_dump(mode="json"))
    for wrong in ({"sigma": [0.5]}, {"alpha": 2}, {"sigmas": [-1]}, {"surrogate": {"epoch": 3}}):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reference": "resnet20"}, "reference must be a sound method, got 'resnet20', which is estimated"),
        ({"figure_sigmas": []}, "figure_sigmas"),
        ({"figure_sigmas": [0.25, 0.25]}, "figure_sigmas"),
        ({"dataset": {"test": ":0"}}, "dataset.test must keep at least one image, got ':0'"),
        ({"sigmas": [1e-5]}, "sigmas.0"),
        ({"dataset": {"name": "mnist"}}, "dataset.name must be one of "),
    ],
)
def test_settings_that_fail_in_a_job_are_refused_before(settings: dict[str, Any], message: str) -> None:
    assert message in refused(settings)


def test_a_trailing_slash_of_the_results_does_not_matter() -> None:
    assert config.load({"results": "results/"}).results == "results"


def test_null_may_come_as_a_word() -> None:
    """Snakemake's --config passes null as a word."""
    experiment = config.load({"sampling": {"batch_size": "null"}, "base": {"precision": "null"}})
    assert experiment.sampling.batch_size is None
    assert experiment.base.precision is None
    assert (
        refused({"sampling": {"precision": "null"}})
        == "sampling.precision must be 'fp32', 'tf32' or 'bf16', got 'null'"
    )


PAPER = {"common": {"sigmas": [0.25, 0.5]}, "experiments": {"one": {}, "two": {"noise": "uniform", "n0": 50}}}


def paper(**changes: Any) -> dict[str, Any]:
    """Return a config with a sister paper of two experiments, the second one changed."""
    two = {**PAPER["experiments"]["two"], **changes}
    return {"papers": {"other": {**PAPER, "experiments": {"one": {}, "two": two}}}}


def test_an_experiment_of_a_sister_paper_is_the_main_one_with_keys_changed() -> None:
    main = config.load({"seed": 3, "alpha": 0.01, "checkpoints": {0.25: "x.pth.tar"}, **paper(base={"epochs": 7})})
    experiments = main.experiments()
    assert list(experiments) == ["", "other/one/", "other/two/"]
    one, two = experiments["other/one/"], experiments["other/two/"]
    assert experiments[""] == main
    assert (one.sigmas, one.noise, one.n0, one.base.epochs) == ([0.25, 0.5], "gaussian", 100, 90)
    assert (two.sigmas, two.noise, two.n0, two.base.epochs) == ([0.25, 0.5], "uniform", 50, 7)
    assert {main.seed, one.seed, two.seed} == {3}
    assert {main.alpha, one.alpha, two.alpha} == {0.01}
    assert two.base.momentum == main.base.momentum  # sections are changed key by key
    assert (one.checkpoints, two.papers) == ({}, {})  # checkpoints belong to one base classifier


def test_an_experiment_has_the_settings_of_its_way_of_training() -> None:
    main = config.load(paper(training="smoothadv", base={"epsilon": 0.5}))
    assert main.experiment("other", "two").base.epsilon == 0.5
    assert type(main.experiment("other", "one").base) is not type(main.experiment("other", "two").base)
    message = refused(paper(base={"epsilon": 0.5}))
    assert message.startswith("papers.other.experiments.two.base.epsilon is not a key of base; keys: arch, epochs, ")
    # From a common way that has more settings back to the plain one.
    both = {
        "common": {"training": "smoothadv", "base": {"epsilon": 0.5}},
        "experiments": {"one": {"training": "gaussian"}},
    }
    assert config.load({"papers": {"other": both}}).experiment("other", "one").training == "gaussian"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 3}, "papers.other.experiments.two.epochs is not a key of papers.other.experiments.two"),
        ({"n0": 0}, "papers.other.experiments.two.n0 must be at least 1, got 0"),
        ({"noise": "pink"}, "noise must be one of gaussian, laplace, uniform, got 'pink'"),
        (
            {"training": "magic"},
            f"training must be one of {WAYS}, got 'magic'",
        ),
        ({"seed": 3}, "papers.other.experiments.two.seed must be set at the top, for all experiments, got 3"),
        ({"results": "elsewhere"}, "papers.other.experiments.two.results must be set at the top, for all experiments"),
        ({"dataset": {"name": "digits"}}, "papers.other.experiments.two.dataset.name must be set at the top, for all"),
        ({"sigmas": 0.25}, "papers.other.experiments.two.sigmas must be a list, got 0.25"),
        ({"initial": "three"}, "papers.other.experiments.two.initial must be one of one, got 'three'"),
        (
            {"initial": "one", "base": {"arch": "resnet20"}},
            "two.base.arch must be resnet110, as in one, got 'resnet20'",
        ),
        ({"base": {"ascent": 1, "ascent_from": 90}}, "two.base.ascent_from must be less than epochs (90), got 90"),
        ({"initial": "two"}, "papers.other.experiments.two.initial must be one of one, got 'two'"),
        (
            {"initial": "one", "sigmas": [0.25, 0.5, 1.0]},
            "experiments.two.sigmas must be among those of one [0.25, 0.5], got 1.0",
        ),
        (
            {"training": "crt"},
            "two.teacher must be an experiment of the same paper, since training is crt, got null",
        ),
        ({"teacher": "one"}, "two.teacher must be null, since training is gaussian, got one"),
        ({"training": "crt", "teacher": "three"}, "two.teacher must be one of one, got 'three'"),
        (
            {"training": "crt", "teacher": "one", "sigmas": [0.25, 0.5, 1.0]},
            "experiments.two.sigmas must be among those of one [0.25, 0.5], got 1.0",
        ),
        ({"methods": {"m": {"certifier": "memory", "choice": "dice"}}}, "two.methods.m.choice "),
        ({"choose": {"dice": {}}}, "two.choose must be one of ascent, grid, idrs, qcrs, got 'dice'"),
        ({"choose": {"ascent": {"lr": -1}}}, "two.choose.ascent.lr must be greater than 0, got -1"),
        (
            {"classifier": "main", "checkpoints": {0.25: "x.pt2"}},
            "experiments.two.checkpoints must be {}, since classifier is main, got {0.25: 'x.pt2'}",
        ),
        (
            {"classifier": "main", "noise": "gaussian", "sampling": {"batch_size": 7}},
            "experiments.two.sampling.batch_size must be as in the main experiment, since classifier is main, got 7",
        ),
        (
            {"methods": {"irs": {"certifier": "irs", "other": "one"}}, "rows": ["cohen", "irs"]},
            "experiments.two.n0 must be as in one, which irs reads, got 50",
        ),
        (
            {"methods": {"irs": {"certifier": "irs", "other": "one", "pairs": 7}}, "rows": ["cohen", "irs"], "n0": 100},
            "experiments.two.noise must be as in one, which irs reads, got 'uniform'",
        ),
    ],
)
def test_wrong_experiments_of_a_sister_paper(changes: dict[str, Any], message: str) -> None:
    assert message in refused(paper(**changes))


@pytest.mark.parametrize("names", [["one"], ["two", "one"], [], "null"])
def test_a_paper_selects_its_experiments(names: Any) -> None:
    """In the order of the catalogue. The word null is from a command line."""
    other = {**PAPER, "select": names}
    selected = [name for name in PAPER["experiments"] if names == "null" or name in names]
    experiments = config.load({"papers": {"other": other}}).experiments()
    assert list(experiments) == ["", *(f"other/{name}/" for name in selected)]


def test_wrong_selections() -> None:
    assert refused({"papers": {"other": {**PAPER, "select": ["three"]}}}) == (
        "papers.other.select must be names of experiments (one, two), got 'three'"
    )
    experiments = {"one": {}, "two": {"initial": "one"}}
    assert refused({"papers": {"other": {"experiments": experiments, "select": ["two"]}}}) == (
        "papers.other.experiments.two.initial must be one of no experiments, got 'one'"
    )


def test_checkpoints_are_of_one_experiment() -> None:
    message = refused({"papers": {"other": {"common": {"checkpoints": {0.25: "x"}}, "experiments": {"one": {}}}}})
    assert message == "papers.other.common.checkpoints must be set in one experiment, got {0.25: 'x'}"


def test_seeds_are_not_set_twice() -> None:
    other = {"seeds": [0, 1], "common": {"train_seed": 5}, "experiments": {"one": {}}}
    assert refused({"papers": {"other": other}}) == (
        "papers.other.experiments.one.train_seed must not be set, since papers.other.seeds is, got 5"
    )
    experiments = config.load({"train_seed": 5, "papers": {"other": {**other, "common": {}}}}).experiments()
    assert experiments["other/one-seed1/"].train_seed == 1


def test_choices_of_noise_levels_hold_where_they_can() -> None:
    other = {
        "common": {"sigmas": [0.25, 0.5, 1.0], "figure_sigmas": [0.5], "timing": {"sigma": 0.5}},
        "experiments": {"one": {"sigmas": [0.25, 0.5]}, "two": {"sigmas": [0.25]}},
    }
    experiments = config.load({"papers": {"other": other}}).experiments()
    chosen = {name: (each.figure_sigmas, each.timing.sigma) for name, each in experiments.items() if name}
    assert chosen == {"other/one/": ([0.5], 0.5), "other/two/": ([0.25], 0.25)}


def test_the_architecture_of_a_program_is_its_suffix() -> None:
    mixed = Config(checkpoints={0.12: "a.pth.tar", 0.25: "b.ONNX", 0.5: "folder.pt2/c.pt2"})
    assert mixed.archs() == {0.12: "resnet110", 0.25: "onnx", 0.5: "exported", 1.0: "resnet110"}
    assert mixed.arch() == "resnet110"
    assert Config(checkpoints=dict.fromkeys(mixed.sigmas, "a.pt2")).arch() == "exported"


@pytest.mark.parametrize("key", ["initial", "teacher", "embedding"])
def test_the_main_experiment_builds_on_no_other(key: str) -> None:
    base = {"base": {"arch": "linear", "crop": 0}, **MARGIN} if key == "embedding" else {}
    base |= {"training": "crt"} if key == "teacher" else {}
    assert refused({key: "one", **base}) == f"{key} must be null in the main experiment, got 'one'; set it under papers"


def test_a_way_with_a_teacher_is_of_a_paper() -> None:
    assert refused({"training": "catrs"}) == (
        "teacher must be an experiment of the same paper, since training is catrs, got null"
    )


@pytest.mark.parametrize("chain", [{"training": "crt", "teacher": "three"}, {"initial": "three"}])
def test_experiments_build_on_one_another_in_no_circle(chain: dict[str, Any]) -> None:
    experiments = {"one": chain, "two": {"training": "crt", "teacher": "one"}, "three": {}}
    assert config.load({"papers": {"other": {"experiments": experiments}}})
    experiments["three"] = {"initial": "two"}
    message = refused({"papers": {"other": {"experiments": experiments}}})
    start = "papers.other.experiments must not build on one another in a circle, got "
    assert message.startswith(start)
    names = message.removeprefix(start).split(" <- ")
    assert names[0] == names[-1]
    assert set(names) == {"one", "two", "three"}


ENSEMBLE = {"a": {"train_seed": 1}, "b": {"train_seed": 2}, "c": {"base": {"arch": "resnet20"}}}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"base": {"arch": "ensemble2-resnet110"}}, "base.arch must be one network, got 'ensemble2-resnet110'; set"),
        (
            {"members": ["a", "b"]},
            "combine must be ensemble, sween, denoised, agreement, rounded, or such as consensus2 or pruned30, since",
        ),
        ({"combine": "ensemble"}, "combine must be null, got ensemble"),
        (
            {"members": ["a"], "combine": "choir"},
            "combine must be ensemble, sween, denoised, agreement, rounded, or such as consensus2 or pruned30, got",
        ),
        (
            {"members": ["a", "c"], "combine": "ensemble"},
            "members must have one architecture, got 'c' with resnet20, not resnet110",
        ),
        ({"members": ["a", "d"], "combine": "sween"}, "members must be one of a, b, c, got 'd'"),
        ({"members": ["a", "b"], "combine": "denoised"}, "members must be one name, since combine is denoised, got 2"),
        (
            {"members": ["a", "b"], "combine": "consensus3"},
            "members must have at least as many members as shall agree, got 'consensus3of2-resnet110'",
        ),
    ],
)
def test_members_fit_the_architecture(own: dict[str, Any], message: str) -> None:
    papers = {"papers": {"other": {"experiments": {**ENSEMBLE, "whole": own}}}}
    assert refused(papers).startswith(f"papers.other.experiments.whole.{message}")


def test_an_ensemble_is_of_seeds() -> None:
    whole = {"members": ["a", "b"], "combine": "ensemble"}
    experiments = config.load({"papers": {"other": {"experiments": {**ENSEMBLE, "whole": whole}}}}).experiments()
    assert [experiments[f"other/{name}/"].draws_seed("train") for name in ("a", "b")] == [1, 2]
    assert experiments["other/whole/"].archs()[0.25] == "ensemble2-resnet110"
    assert experiments["other/whole/"].shards.rate == experiments["other/a/"].shards.rate / 2


# Files.


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_settings_override_the_files_of_papers_key_by_key(tmp_path: Path) -> None:
    text = "common: {n0: 50, radii: [0.1, 0.2]}\nexperiments: {b: {base: {epochs: 7, lr: 0.2}}, a: {}}\n"
    write(tmp_path / "papers/two.yaml", text)
    write(tmp_path / "papers/one.yaml", "experiments: {c: {}}\n")
    write(tmp_path / "papers/README.md", "not a paper")
    overrides = {"common": {"radii": [0.3]}, "experiments": {"b": {"base": {"lr": 0.3}}, "d": {}}}
    settings = {"papers": {"two": overrides, "zero": {"experiments": {"e": {}}}}}
    experiments = config.load(settings, tmp_path).experiments()
    assert list(experiments) == ["", "one/c/", "two/b/", "two/a/", "two/d/", "zero/e/"]
    b = experiments["two/b/"]
    assert (b.n0, b.radii, b.base.epochs, b.base.lr) == (50, [0.3], 7, 0.3)
    assert settings == {"papers": {"two": overrides, "zero": {"experiments": {"e": {}}}}}  # Snakemake's own config
    assert overrides["experiments"] == {"b": {"base": {"lr": 0.3}}, "d": {}}
    assert list(config.load(settings).experiments()) == ["", "two/b/", "two/d/", "zero/e/"]  # no folder, no files


def test_files_override_one_another(tmp_path: Path) -> None:
    write(tmp_path / "papers/one.yaml", "experiments: {a: {n0: 50}}\n")
    first = write(tmp_path / "config.yaml", "seed: 1\nbase: {epochs: 3, lr: 0.2}\nrows: [cohen, baseline]\n")
    second = write(tmp_path / "presets/other.yaml", "base: {epochs: 5}\nrows: [cohen]\n")
    main = config.read([first, second])
    assert (main.seed, main.base.epochs, main.base.lr, main.rows) == (1, 5, 0.2, ["cohen"])
    assert list(main.experiments()) == ["", "one/a/"]  # beside the first file
    assert list(config.read([second], folder=tmp_path).experiments()) == ["", "one/a/"]
    assert list(config.read([second]).experiments()) == [""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "must be a readable config file, got No such file or directory"),
        ("a: [", "must be valid YAML, got "),
        ("- a", "must hold key: value lines, got a list"),
    ],
)
def test_files_that_are_no_config(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "x.yaml"
    if text:
        write(path, text)
    with pytest.raises(InputError) as error:
        config.read([path])
    assert str(error.value).startswith(f"{path} {message}")
    assert "\n" not in str(error.value)


def test_the_config_needs_no_heavy_package() -> None:
    code = "import sys; from pathlib import Path; from accelerated_smoothing import config; "
    code += f"config.read([Path({str(ROOT / 'config.yaml')!r})]).experiments(); config.schema(); "
    code += "print({'torch', 'numba', 'pandas', 'sklearn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_the_sections_import_no_plug_in() -> None:
    code = "import sys; import accelerated_smoothing.config; "
    code += "print(sorted({name.split('.')[1] for name in sys.modules if name.startswith('accelerated_smoothing.')}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout)) <= {"architectures", "config", "errors", "files", "registry"}


def test_shapes_of_data_sets(tmp_path: Path) -> None:
    assert "digits" in config.dataset_names()
    digits = config.dataset_shape("digits", str(tmp_path), 32)
    assert (digits.train, digits.test, digits.classes, digits.channels, digits.size) == (1297, 500, 10, 1, 8)


def test_sigmas_of_all_rows_are_chosen_at_once() -> None:
    chosen = {f"a{k}": {"certifier": "memory", "choice": "ascent", "at": k} for k in (300, 100)}
    methods = {**Config().methods, **chosen, "g": {"certifier": "memory", "choice": "grid", "at": 4}}
    assert config.load({"methods": methods, "rows": ["cohen", *chosen, "g"]}).chosen() == {
        "ascent": [100, 300],
        "grid": [4],
    }
    assert config.load({"methods": methods}).chosen() == {}


def test_the_experiments_of_alfarra_et_al_are_the_papers() -> None:
    """Alfarra et al. (2022), section 4 and appendix B, as papers/data-dependent.yaml has them."""
    experiments = config.read([ROOT / "config.yaml"]).experiments()
    names = ["cohen", "cohen-ds", "smoothadv", "smoothadv-ds", "macer", "macer-ds", "yang"]
    assert [home for home in experiments if home.startswith("data")] == [f"data-dependent/{name}/" for name in names]
    cohen, ds = experiments["data-dependent/cohen/"], experiments["data-dependent/cohen-ds/"]
    assert (cohen.base.arch, cohen.base.epochs, cohen.sigmas) == ("resnet18", 200, [0.12, 0.25, 0.5])
    assert (cohen.n0, cohen.alpha, cohen.method("cohen").n) == (100, 0.001, 100000)
    assert (cohen.chooser("ascent").lr, cohen.chooser("ascent").samples) == (1e-4, 1)
    assert (ds.base.ascent, ds.base.ascent_from, ds.initial) == (1, 50, None)
    adv, macer = experiments["data-dependent/smoothadv/"], experiments["data-dependent/macer/"]
    assert (adv.training, adv.base.steps, adv.base.epsilon, adv.base.samples) == ("smoothadv", 2, 0.25, 1)
    assert adv.chosen()["grid"] == [1, 2, 4, 10]
    assert adv.chooser("grid").evaluations == 2 * 100
    assert (macer.training, macer.base.samples, macer.base.weight, macer.base.margin_gamma) == ("macer", 64, 12, 8)
    assert macer.chooser("ascent").samples == 8
    yang = experiments["data-dependent/yang/"]
    assert (yang.noise, yang.sigmas) == ("uniform", [0.25, 0.5, 1.0])


# Embeddings: FaRS.


MARGIN: dict[str, Any] = {"methods": {"margin": {"certifier": "margin"}}, "rows": ["margin"], "reference": "margin"}
BACKBONE = {"sigmas": [0], "training": "margin", "base": {"arch": "sll32-1"}, **MARGIN}
HEAD = {"sigmas": [0], "embedding": "one", "base": {"arch": "linear", "crop": 0}, **MARGIN}


def embedded(backbone: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return a config with a sister paper of a backbone and a head, some keys of either changed."""
    return {"papers": {"other": {"experiments": {"one": BACKBONE | (backbone or {}), "two": HEAD | changes}}}}


def test_heads_see_the_embeddings_of_a_backbone() -> None:
    experiments = config.load(embedded()).experiments()
    one, two = experiments["other/one/"], experiments["other/two/"]
    assert (one.embedding, two.embedding) == (None, "one")
    assert (two.sigmas, two.timing.sigma) == ([0], 0)
    assert not two.samples()
    assert config.embedder(experiments, "other/two/") == "other/one/"
    assert config.embedder(experiments, "other/one/") is None
    sampled = embedded(sigmas=[0.5, 0.25], base={"arch": "mlp-8-4", "crop": 0}, **SAMPLED)
    two = config.load(sampled).experiment("other", "two")
    assert two.samples()
    assert two.sigmas == [0.25, 0.5]  # of one backbone, whose own sigma is 0


SAMPLED = {"methods": {"embedded": {"certifier": "embedded"}}, "rows": ["embedded"], "reference": "embedded"}
COHEN = {"rows": ["cohen"], "reference": "cohen"}
RESNET = {"sigmas": [0.25], "training": "gaussian", "base": {"arch": "resnet20"}, **COHEN}


@pytest.mark.parametrize(
    ("backbone", "changes", "message"),
    [
        ({}, {"embedding": "three"}, "experiments.two.embedding must be one of one, got 'three'"),
        ({}, {"embedding": "two"}, "experiments.two.embedding must be one of one, got 'two'"),
        (
            RESNET,
            {},
            "two.embedding must be an experiment with a 1-Lipschitz network such as sll32-2, got 'one' with resnet20",
        ),
        (
            {"base": {"arch": "resnet20"}, "training": "gaussian"},
            {},
            "one.methods.margin.certifier must suit base.arch resnet20, got 'margin', which needs a 1-Lipschitz",
        ),
        ({}, {"base": {"arch": "mlp-8", "crop": 0}}, "margin.certifier must suit base.arch mlp-8, got 'margin'"),
        (
            {},
            {"sigmas": [0.25], **COHEN},
            "cohen.certifier must be embedded, since embedding is set, got 'cohen'",
        ),
        (
            {"sigmas": [0.25], **SAMPLED},
            {},
            "embedded.certifier must be of images, since embedding is null, got 'embedded'",
        ),
        ({}, {"noise": "uniform"}, "noise must be gaussian, since a backbone is 1-Lipschitz in l2, got 'uniform'"),
        ({}, {"training": "smoothadv"}, "training must be a way without attacks, since embeddings leave [0, 1], got"),
        (
            {"sigmas": [0, 0.25]},
            {},
            "two.embedding must be an experiment with one sigma, got 'one' with [0.0, 0.25]",
        ),
        (
            {},
            {"base": {"arch": "linear", "crop": 1}},
            "base.crop must be 0, since embeddings cannot be cropped, got 1",
        ),
        (
            {},
            {"base": {"arch": "sll32-1", "crop": 0}},
            "base.arch must be linear or such as mlp-128, since embedding is set, got 'sll32-1'",
        ),
        (
            {"base": {"arch": "sll28-1"}},
            {},
            "base.arch must be for 32 pixels a side, such as sll32-2, got 'sll28-1'",
        ),
        (
            {},
            {"embedding": None},
            "base.arch must be a network on images, since embedding is null, got 'linear'",
        ),
        ({"base": {"arch": "mlp-8", "crop": 0}}, {}, "one.base.arch "),
        ({"base": {"arch": "resnet20"}}, {}, "one.base.arch "),
        ({"base": {"arch": "sll0-1"}}, {}, "one.base.arch "),
        ({}, {"base": {"arch": "mlp-0", "crop": 0}}, "two.base.arch "),
        ({}, {"base": {"optimizer": "lion"}}, "two.base.optimizer must be 'sgd' or 'adamw', got 'lion'"),
        (
            {},
            {"rows": ["margin", "cohen"]},
            "sigmas must be at least 0.001, since cohen counts under noise, got 0",
        ),
        ({"sigmas": [0.0001]}, {}, "one.sigmas.0 must be at least 0.001, or 0 for no noise, got 0.0001"),
        (
            {},
            {"methods": {"top": {"certifier": "top_logit"}}, "rows": ["top"], "reference": "top"},
            "reference must be a sound method, got 'top', which is estimated",
        ),
        (
            {},
            {"methods": {**MARGIN["methods"], "sparsemax": {"certifier": "sparsemax", "simplex": 0}}},
            "two.methods.sparsemax.simplex must be greater than 0, got 0",
        ),
    ],
)
def test_wrong_embeddings(backbone: dict[str, Any], changes: dict[str, Any], message: str) -> None:
    assert message in refused(embedded(backbone, **changes))


def test_the_experiments_of_ghazanfari_are_the_papers() -> None:
    """FaRS, sections 2.2 and 3, as papers/fars.yaml has them. The paper has other images and a pretrained network."""
    experiments = config.read([ROOT / "config.yaml"]).experiments()
    fars = {home.split("/")[1]: each for home, each in experiments.items() if home.startswith("fars/")}
    assert list(fars) == ["backbone", "original", "lmt", "mlp", "cohen"]
    assert fars["backbone"].radii == [0.05, 0.1, 0.2, 0.3]
    assert [each.embedding for each in fars.values()] == [None, "backbone", "backbone", "backbone", None]
    assert [each.base.arch for each in fars.values()] == ["sll32-2", "linear", "linear", "mlp-256", "sll32-2"]
    assert [each.training for each in fars.values()] == ["margin", "gaussian", "margin", "gaussian", "gaussian"]
    assert [each.samples() for each in fars.values()] == [False, False, False, True, True]
    for name in ("backbone", "original", "lmt"):
        assert fars[name].rows == ["margin", "sparsemax", "top-logit", "top-sparsemax"]
        assert fars[name].method("sparsemax").simplex == fars[name].method("top-sparsemax").simplex == 2
        assert fars[name].method("top-logit").simplex is None
        guarantees = [fars[name].certifier(row).GUARANTEE for row in fars[name].rows]
        assert guarantees == ["deterministic", "deterministic", "estimated", "estimated"]
