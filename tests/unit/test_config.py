import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from accelerated_smoothing import config
from accelerated_smoothing.config import Config
from accelerated_smoothing.errors import InputError

ROOT = Path(__file__).parents[2]


def refused(settings: dict[Any, Any]) -> str:
    with pytest.raises(InputError) as error:
        config.load(settings)
    told = str(error.value)
    assert "\n" not in told
    return told


def methods(**changes: Any) -> dict[str, Any]:
    """The paper's rows with some settings of resnet20 changed."""
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
    assert list(paper.methods) == ["cohen", "baseline", "resnet20", "resnet56", "resnet110"]
    assert paper.depths() == [20, 56, 110]
    assert [paper.method(name).n for name in paper.methods] == [100000, 100, 100000, 100000, 100000]
    assert paper.reference == "cohen"


def test_what_is_set_is_kept() -> None:
    made = config.load({"seed": 7, "sigmas": [1.0, 0.25, 0.5], "surrogate": {"epochs": 3}})
    assert made.seed == 7
    assert made.sigmas == [0.25, 0.5, 1.0]
    assert made.surrogate.epochs == 3
    assert made.surrogate.batch_size == 128


def test_a_method_is_dropped_by_null() -> None:
    made = config.load({"methods": {**Config().methods, "resnet56": None}})
    assert list(made.methods) == ["cohen", "baseline", "resnet20", "resnet110"]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"sigma": [0.5]}, "sigma"),
        ({"surrogate": {"epoch": 3}}, "surrogate.epoch"),
        ({"dataset": {"nam": "digits"}}, "dataset.nam"),
        (methods(width=3), "methods.resnet20.width"),
    ],
)
def test_unknown_keys(settings: dict[str, Any], key: str) -> None:
    assert f"{key}: unknown key" in refused(settings)


@pytest.mark.parametrize("key", [True, 1, None])
def test_keys_that_are_no_text(key: Any) -> None:
    """YAML reads a bare `on:` or `yes:` as true."""
    refused({key: 1})


@pytest.mark.parametrize(
    ("settings", "key", "found"),
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
        ({"surrogate": {"betas": [0.5]}}, "surrogate.betas.1", "[0.5]"),
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
        (methods(certifier=None), "methods.resnet20.certifier", "'None'"),
    ],
)
def test_values_out_of_range(settings: dict[str, Any], key: str, found: str) -> None:
    assert refused(settings).startswith(f"{key}: found {found}")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (methods(n=300), "methods.resnet20.n: 300 is none of sampling.sizes"),
        ({"sampling": {"sizes": [100, 500]}}, "methods.cohen.n: 100000 is none of sampling.sizes [100, 500]"),
        ({"reference": "other"}, "reference: 'other' is none of the methods"),
        ({"sigmas": [0.5], "timing": {"sigma": 0.5}}, "figure_sigmas: 0.25 is none of the sigmas [0.5]"),
        ({"sigmas": [0.5], "figure_sigmas": [0.5]}, "timing.sigma: 0.25 is none of the sigmas [0.5]"),
        ({"sigmas": [0.25, 0.5, 0]}, "sigmas: found 0, which is no noise, and some methods count under noise"),
        ({"timing": {"sigma": 0}}, "timing.sigma: 0.0 is none of the sigmas"),
        ({"checkpoints": {0.3: "file"}}, "checkpoints: 0.3 is none of the sigmas"),
    ],
)
def test_settings_that_do_not_fit_together(settings: dict[str, Any], told: str) -> None:
    assert refused(settings).startswith(told)


def test_a_section_alone() -> None:
    assert config.check(config.Surrogate, {"epochs": "3"}).epochs == 3  # as the command line gives it
    with pytest.raises(InputError, match="epochs: found 'x'"):
        config.check(config.Surrogate, {"epochs": "x"})


def test_a_checked_config_cannot_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        config.load({}).seed = 3


@pytest.mark.parametrize("depth", [8, 14, 20, 32, 44, 56, 110])
def test_depths_that_exist(depth: int) -> None:
    assert config.resnet_depth(depth) == depth


def test_the_schema_refuses_what_the_models_refuse() -> None:
    schema = json.loads(config.schema())
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid(Config().model_dump(mode="json"))
    for wrong in ({"sigma": [0.5]}, {"alpha": 2}, {"sigmas": [-1]}, {"surrogate": {"epoch": 3}}):
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reference": "resnet20"}, "reference: 'resnet20' is estimated itself"),
        ({"figure_sigmas": []}, "figure_sigmas"),
        ({"figure_sigmas": [0.25, 0.25]}, "figure_sigmas"),
        ({"dataset": {"test": ":0"}}, "dataset.test: found ':0': leaves no image"),
        ({"sigmas": [1e-5]}, "sigmas.0"),
        ({"dataset": {"name": "mnist"}}, "dataset.name: found 'mnist'"),
    ],
)
def test_what_would_fail_later_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        config.load(settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_preset_drops_a_method_by_null() -> None:
    for nothing in (None, "null"):  # the latter from a command line
        assert "resnet110" not in config.load({"methods": {**config.Config().methods, "resnet110": nothing}}).methods


def test_a_trailing_slash_of_the_results_does_not_matter() -> None:
    assert config.load({"results": "results/"}).results == "results"


def test_null_may_come_as_a_word() -> None:
    """Snakemake's --config passes it on so."""
    made = config.load({"sampling": {"batch_size": "null"}, "base": {"precision": "null"}})
    assert made.sampling.batch_size is None
    assert made.base.precision is None
    with pytest.raises(InputError, match=r"sampling\.precision: found 'null'"):
        config.load({"sampling": {"precision": "null"}})


PAPER = {"common": {"sigmas": [0.25, 0.5]}, "experiments": {"one": {}, "two": {"noise": "uniform", "n0": 50}}}


def paper(**changes: Any) -> dict[str, Any]:
    """A config with a sister paper of two experiments, the second one changed."""
    two = {**PAPER["experiments"]["two"], **changes}
    return {"papers": {"other": {**PAPER, "experiments": {"one": {}, "two": two}}}}


def test_an_experiment_of_a_sister_paper_is_the_main_one_with_keys_changed() -> None:
    made = config.load({"seed": 3, "alpha": 0.01, "checkpoints": {0.25: "x.pth.tar"}, **paper(base={"epochs": 7})})
    found = made.experiments()
    assert list(found) == ["", "other/one/", "other/two/"]
    one, two = found["other/one/"], found["other/two/"]
    assert found[""] == made
    assert (one.sigmas, one.noise, one.n0, one.base.epochs) == ([0.25, 0.5], "gaussian", 100, 90)
    assert (two.sigmas, two.noise, two.n0, two.base.epochs) == ([0.25, 0.5], "uniform", 50, 7)
    assert {made.seed, one.seed, two.seed} == {3}
    assert {made.alpha, one.alpha, two.alpha} == {0.01}
    assert two.base.momentum == made.base.momentum  # sections are changed key by key
    assert (one.checkpoints, two.papers) == ({}, {})  # those of one base classifier are of no other


def test_an_experiment_has_the_settings_of_its_way_of_training() -> None:
    made = config.load(paper(training="smoothadv", base={"epsilon": 0.5}))
    assert made.experiment("other", "two").base.epsilon == 0.5
    assert type(made.experiment("other", "one").base) is not type(made.experiment("other", "two").base)
    assert "papers.other.experiments.two.base.epsilon: unknown key" in refused(paper(base={"epsilon": 0.5}))
    # Back to the plain way from a common one that has more.
    both = {
        "common": {"training": "smoothadv", "base": {"epsilon": 0.5}},
        "experiments": {"one": {"training": "gaussian"}},
    }
    assert config.load({"papers": {"other": both}}).experiment("other", "one").training == "gaussian"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epochs": 3}, "papers.other.experiments.two.epochs: unknown key"),
        ({"n0": 0}, "papers.other.experiments.two.n0: found 0"),
        ({"noise": "pink"}, "noise: found 'pink'; one of gaussian, laplace, uniform would do"),
        ({"training": "magic"}, "training: found 'magic'; one of gaussian, macer, margin, smoothadv would do"),
        ({"seed": 3}, "papers.other.experiments.two.seed: is the same for all experiments"),
        ({"results": "elsewhere"}, "papers.other.experiments.two.results: is the same for all experiments"),
        ({"dataset": {"name": "digits"}}, "papers.other.experiments.two.dataset.name: is the same for all experiments"),
        ({"sigmas": 0.25}, "papers.other.experiments.two.sigmas: found 0.25"),
        ({"initial": "three"}, "papers.other.experiments.two.initial: found 'three'; one of one would do"),
        (
            {"initial": "one", "base": {"arch": "resnet20"}},
            "two.base.arch: found 'resnet20'; it starts with a resnet110",
        ),
        ({"base": {"ascent": 1, "ascent_from": 90}}, "ascent_from: found 90: of 90 epochs none is left"),
        ({"initial": "two"}, "papers.other.experiments.two.initial: found 'two'; one of one would do"),
        ({"initial": "one", "sigmas": [0.25, 0.5, 1.0]}, "experiments.two.sigmas: 1.0 is none of those of one"),
        (
            {"methods": {"m": {"certifier": "memory", "choice": "dice"}}},
            "methods.m.choice: found 'dice': no such way of choosing; one of",
        ),
        ({"choose": {"dice": {}}}, "choose: found 'dice'; one of ascent, grid would do"),
        ({"choose": {"ascent": {"lr": -1}}}, "choose.ascent.lr: found -1"),
    ],
)
def test_wrong_experiments_of_a_sister_paper(changes: dict[str, Any], told: str) -> None:
    assert told in refused(paper(**changes))


def test_an_experiment_is_dropped_by_null() -> None:
    dropped = {"papers": {"other": {"common": PAPER["common"], "experiments": {"one": {}, "two": None}}}}
    assert list(config.load(dropped).experiments()) == ["", "other/one/"]


def test_checkpoints_are_of_one_experiment() -> None:
    told = refused({"papers": {"other": {"common": {"checkpoints": {0.25: "x"}}, "experiments": {"one": {}}}}})
    assert "papers.other.common.checkpoints: are of one base classifier" in told


@pytest.mark.parametrize("key", ["initial", "embedding"])
def test_the_main_experiment_builds_on_no_other(key: str) -> None:
    base = {"base": {"arch": "linear", "crop": 0}} if key == "embedding" else {}
    methods = {"methods": {"margin": {"certifier": "margin"}}, "reference": "margin"} if key == "embedding" else {}
    assert f"{key}: found 'one': is for an experiment of a sister paper" in refused({key: "one", **base, **methods})


def test_what_methods_need_is_chosen_once_for_all_of_them() -> None:
    chosen = {f"a{k}": {"certifier": "memory", "choice": "ascent", "at": k} for k in (300, 100)}
    made = config.load(
        {"methods": {**Config().methods, **chosen, "g": {"certifier": "memory", "choice": "grid", "at": 4}}}
    )
    assert made.chosen() == {"ascent": [100, 300], "grid": [4]}
    assert config.load({}).chosen() == {}


def test_the_experiments_of_alfarra_et_al_are_the_papers() -> None:
    """Alfarra et al. (2022), section 4 and appendix B, as config.yaml has them."""
    made = config.read([ROOT / "config.yaml"]).experiments()
    names = ["cohen", "cohen-ds", "smoothadv", "smoothadv-ds", "macer", "macer-ds", "yang"]
    assert [home for home in made if home.startswith("data")] == [f"data-dependent/{name}/" for name in names]
    cohen, ds = made["data-dependent/cohen/"], made["data-dependent/cohen-ds/"]
    assert (cohen.base.arch, cohen.base.epochs, cohen.sigmas) == ("resnet18", 200, [0.12, 0.25, 0.5])
    assert (cohen.n0, cohen.alpha, cohen.method("cohen").n) == (100, 0.001, 100000)
    assert (cohen.chooser("ascent").lr, cohen.chooser("ascent").samples) == (1e-4, 1)
    assert (ds.base.ascent, ds.base.ascent_from, ds.initial) == (1, 50, None)
    adv, macer = made["data-dependent/smoothadv/"], made["data-dependent/macer/"]
    assert (adv.training, adv.base.steps, adv.base.epsilon, adv.base.samples) == ("smoothadv", 2, 0.25, 1)
    assert adv.chosen()["grid"] == [1, 2, 4, 10]
    assert adv.chooser("grid").evaluations == 2 * 100
    assert (macer.training, macer.base.samples, macer.base.weight, macer.base.margin_gamma) == ("macer", 64, 12, 8)
    assert macer.chooser("ascent").samples == 8
    yang = made["data-dependent/yang/"]
    assert (yang.noise, yang.sigmas) == ("uniform", [0.25, 0.5, 1.0])


# Embeddings: FaRS.


MARGIN = {"methods": {"margin": {"certifier": "margin"}, **dict.fromkeys(Config().methods)}, "reference": "margin"}
BACKBONE = {"sigmas": [0], "training": "margin", "base": {"arch": "sll32-1"}, **MARGIN}
HEAD = {"sigmas": [0], "embedding": "one", "base": {"arch": "linear", "crop": 0}, **MARGIN}


def embedded(backbone: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A config with a sister paper of a backbone and a head, some keys of either changed."""
    return {"papers": {"other": {"experiments": {"one": BACKBONE | (backbone or {}), "two": HEAD | changes}}}}


def test_heads_see_the_embeddings_of_a_backbone() -> None:
    made = config.load(embedded()).experiments()
    assert (made["other/one/"].embedding, made["other/two/"].embedding) == (None, "one")
    assert (made["other/two/"].sigmas, made["other/two/"].timing.sigma) == ([0], 0)
    assert not made["other/two/"].samples()
    sampled = {"methods": {"embedded": {"certifier": "embedded"}, **dict.fromkeys(Config().methods)}}
    two = config.load(
        embedded(sigmas=[0.5, 0.25], base={"arch": "mlp-8-4", "crop": 0}, reference="embedded", **sampled)
    ).experiment("other", "two")
    assert two.samples()
    assert two.sigmas == [0.25, 0.5]  # of one backbone, whose own sigma is 0


SAMPLED = {"methods": {"embedded": {"certifier": "embedded"}}, "reference": "embedded"}
COHEN = {"methods": {"cohen": {"certifier": "cohen"}}, "reference": "cohen"}
RESNET = {"sigmas": [0.25], "training": "gaussian", "base": {"arch": "resnet20"}, **COHEN}


@pytest.mark.parametrize(
    ("backbone", "changes", "told"),
    [
        ({}, {"embedding": "three"}, "experiments.two.embedding: found 'three'; one of one would do"),
        ({}, {"embedding": "two"}, "experiments.two.embedding: found 'two'; one of one would do"),
        (RESNET, {}, "two.embedding: found 'one', whose resnet20 is not 1-Lipschitz; one such as sll32-2 would do"),
        (
            {"base": {"arch": "resnet20"}, "training": "gaussian"},
            {},
            "one.methods.margin.certifier: found 'margin', with base.arch 'resnet20'; one such as sll32-2 would do",
        ),
        ({}, {"base": {"arch": "mlp-8", "crop": 0}}, "margin.certifier: found 'margin', with base.arch 'mlp-8'"),
        ({}, {"sigmas": [0.25], **COHEN}, "cohen.certifier: found 'cohen'; embeddings are certified by embedded"),
        ({"sigmas": [0.25], **SAMPLED}, {}, "embedded.certifier: found 'embedded'; embeddings are certified by"),
        ({}, {"noise": "uniform"}, "noise: found 'uniform', and a backbone is 1-Lipschitz in l2"),
        ({}, {"training": "smoothadv"}, "training: found 'smoothadv', which keeps to pixels of [0, 1]"),
        ({"sigmas": [0, 0.25]}, {}, "two.embedding: found 'one', with backbones of several sigmas"),
        ({}, {"base": {"arch": "linear", "crop": 1}}, "base.crop: found 1; of an embedding nothing can be cropped"),
        ({}, {"base": {"arch": "sll32-1", "crop": 0}}, "base.arch: found 'sll32-1'; `linear`, or `mlp-128`, is for"),
        (
            {"base": {"arch": "sll28-1"}},
            {},
            "base.arch: found 'sll28-1'; the images have 32 pixels a side",
        ),
        ({}, {"embedding": None}, "base.arch: found 'linear'; `linear`, or `mlp-128`, is for embeddings"),
        ({"base": {"arch": "mlp-8", "crop": 0}}, {}, "one.base.arch: found 'mlp-8': no 1-Lipschitz network"),
        ({"base": {"arch": "resnet20"}}, {}, "one.base.arch: found 'resnet20': no 1-Lipschitz network"),
        ({"base": {"arch": "sll0-1"}}, {}, "one.base.arch: found 'sll0-1': "),
        ({}, {"base": {"arch": "mlp-0", "crop": 0}}, "two.base.arch: found 'mlp-0': unknown architecture"),
        ({}, {"base": {"optimizer": "lion"}}, "two.base.optimizer: found 'lion'"),
        ({}, {"methods": {**MARGIN["methods"], "cohen": {"certifier": "cohen"}}}, "sigmas: found 0, which is no noise"),
        ({"sigmas": [0.0001]}, {}, "one.sigmas.0: found 0.0001: a noise level is at least 0.001; 0 is none"),
        (
            {},
            {"methods": {**MARGIN["methods"], "top": {"certifier": "top_logit"}}, "reference": "top"},
            "reference: 'top' is estimated itself",
        ),
        (
            {},
            {"methods": {**MARGIN["methods"], "sparsemax": {"certifier": "sparsemax", "simplex": 0}}},
            "two.methods.sparsemax.simplex: found 0",
        ),
    ],
)
def test_wrong_embeddings(backbone: dict[str, Any], changes: dict[str, Any], told: str) -> None:
    assert told in refused(embedded(backbone, **changes))


def test_the_experiments_of_ghazanfari_are_the_papers() -> None:
    """FaRS, sections 2.2 and 3, as config.yaml has them; its images and its pre-trained network are others."""
    made = config.read([ROOT / "config.yaml"]).experiments()
    fars = {home.split("/")[1]: found for home, found in made.items() if home.startswith("fars/")}
    assert list(fars) == ["backbone", "original", "lmt", "mlp", "cohen"]
    assert fars["backbone"].radii == [0.05, 0.1, 0.2, 0.3]
    assert [found.embedding for found in fars.values()] == [None, "backbone", "backbone", "backbone", None]
    assert [found.base.arch for found in fars.values()] == ["sll32-2", "linear", "linear", "mlp-256", "sll32-2"]
    assert [found.training for found in fars.values()] == ["margin", "gaussian", "margin", "gaussian", "gaussian"]
    assert [found.samples() for found in fars.values()] == [False, False, False, True, True]
    for name in ("backbone", "original", "lmt"):
        assert list(fars[name].methods) == ["margin", "sparsemax", "top-logit", "top-sparsemax"]
        assert fars[name].method("sparsemax").simplex == fars[name].method("top-sparsemax").simplex == 2
        assert fars[name].method("top-logit").simplex is None
        assert [fars[name].certifier(method).SOUND for method in fars[name].methods] == [True, True, False, False]
