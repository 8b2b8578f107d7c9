"""How few labels a surrogate needs: losses, fresh draws, weights to start from, shared counts, table and figure."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from accelerated_smoothing import analysis, config, data, models, papers
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.papers import label_budget
from accelerated_smoothing.papers.label_budget import budgets, curves
from accelerated_smoothing.training import surrogate

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
PAPER = "label-budget"
SHARES = torch.tensor([[0.8, 0.15, 0.05]], dtype=torch.float64)


def gradient(loss: Any, logits: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    loss(logits, shares).backward()
    assert logits.grad is not None
    return logits.grad


def over_one_draw(loss: Any, logits: torch.Tensor) -> torch.Tensor:
    """Return the exact expectation of the gradient over one draw, whose class has the probabilities `SHARES`."""
    classes = torch.eye(3, dtype=torch.float64)
    return sum(
        (p * gradient(loss, logits, one[None]) for p, one in zip(SHARES[0], classes, strict=True)), torch.zeros(1)
    )


def test_one_draw_is_an_unbiased_target_of_the_cross_entropy_alone() -> None:
    logits = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    expected = gradient(surrogate.cross_entropy, logits, SHARES)
    torch.testing.assert_close(over_one_draw(surrogate.cross_entropy, logits), expected, rtol=1e-12, atol=1e-15)
    biased = over_one_draw(surrogate.jensen_shannon, logits) - gradient(surrogate.jensen_shannon, logits, SHARES)
    assert biased.abs().max() > 0.01


@pytest.mark.parametrize(("loss", "minimum"), [("cross-entropy", 0.8), ("jensen-shannon", 0.94)])
def test_what_the_losses_learn_from_one_draw_per_image(loss: str, minimum: float) -> None:
    """Over labels that are 1 with probability p = 0.8, only the cross-entropy is least at h = p.

    The derivative of the other is 0 where p log(h / (1 + h)) = (1 - p) log((1 - h) / (2 - h)).
    """
    h = torch.arange(0.01, 1, 0.01, dtype=torch.float64)
    labels = torch.eye(2, dtype=torch.float64)
    logits = torch.stack([h.log(), (1 - h).log()], 1)
    values = [
        0.8 * surrogate.LOSSES[loss](row[None], labels[:1]) + 0.2 * surrogate.LOSSES[loss](row[None], labels[1:])
        for row in logits
    ]
    assert h[int(torch.stack(values).argmin())].item() == pytest.approx(minimum, abs=0.015)


def counted(sizes: list[int], images: int = 6, classes: int = 4, **meta: Any) -> Counts:
    random = np.random.default_rng(0)
    steps = np.diff(sizes, prepend=0)
    draws = np.stack([random.multinomial(n, np.full(classes, 1 / classes), size=images) for n in steps], axis=1)
    about = {"split": "train", "sigma": 0.5, "base": "b" * 64, "dataset": "digits", "classes": classes}
    about |= {"noise": "gaussian", "choice": None, "arithmetic": "cpu", **meta}
    labels = np.arange(images) % classes
    return Counts(np.arange(images), labels, np.array(sizes), draws.cumsum(axis=1), np.zeros((images, 2)), about)


def test_fresh_draws_are_used_once() -> None:
    counts, rows = counted([5, 10, 15]), np.array([0, 2, 5])
    learned = surrogate.targets(counts, rows, config.Surrogate(epochs=3, fresh=True))
    assert [shares.shape for shares in learned] == [(3, 4)] * 3
    np.testing.assert_allclose(sum(5 * shares for shares in learned), counts.at(15)[rows], rtol=1e-6)
    assert not np.array_equal(learned[0], learned[1])
    (all_of_them,) = surrogate.targets(counts, rows, config.Surrogate(epochs=3))
    np.testing.assert_allclose(15 * all_of_them, counts.at(15)[rows], rtol=1e-6)
    with pytest.raises(
        InputError, match="--counts must have 4 sizes, one after each epoch, since --fresh is set, got 3"
    ):
        surrogate.targets(counts, rows, config.Surrogate(epochs=4, fresh=True))


@pytest.fixture
def lesson(digits: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    """Some digits, a base classifier with random weights, and counts that say they are of it."""
    images = data.read(digits.train, ":30")
    torch.manual_seed(5)
    about = {"arch": "resnet8", "classes": 10, **{key: images.meta[key] for key in ("mean", "std")}}
    f = models.build(about["arch"], 10, about["mean"], about["std"])
    base = tmp_path / "f.safetensors"
    models.save(base, f, {"kind": "base", "dataset": "digits", **about})
    counts = counted([10], images=30, classes=10, base=sha256(base))
    return SimpleNamespace(images=images, base=base, f=f, counts=replace(counts, idx=images.idx, labels=images.labels))


def train(lesson: SimpleNamespace, output: Path, depth: int = 8, base: Path | None = None, **settings: Any) -> Any:
    settings = {"epochs": 1, "batch_size": 30, "from_base": True, **settings}
    surrogate.train(lesson.images, lesson.counts, output, config.Surrogate(**settings), depth, 7, CPU, base, code="")
    return models.load(output, "surrogate")


def test_a_surrogate_can_start_from_the_base_classifier(lesson: SimpleNamespace, tmp_path: Path) -> None:
    h, description = train(lesson, tmp_path / "h", base=lesson.base, lr=1e-9)
    assert {key: description[key] for key in surrogate.TRAINING} == {
        "arch": "resnet8", "samples": 10, "seed": 7, "loss": "jensen-shannon", "fresh": False, "from_base": True,
    }  # fmt: skip
    for (name, own), of_f in zip(h.named_parameters(), lesson.f.parameters(), strict=True):
        torch.testing.assert_close(own, of_f, rtol=0, atol=1e-8, msg=name)
    afresh, _ = train(lesson, tmp_path / "afresh", from_base=False, lr=1e-9)
    assert (next(afresh.parameters()) - next(lesson.f.parameters())).abs().max() > 0.01


def test_the_weights_to_start_from_are_those_of_the_counts(lesson: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--base must be the weights of the base classifier, since --from-base is set"):
        train(lesson, tmp_path / "h")
    with pytest.raises(InputError, match=r"f\.safetensors must be a resnet14, as the surrogate, got a resnet8"):
        train(lesson, tmp_path / "h", depth=14, base=lesson.base)
    other = tmp_path / "other.safetensors"
    models.save(other, models.build("resnet8", 10, [0.5], [0.5]), models.load(lesson.base, "base")[1])
    with pytest.raises(InputError, match=r"other\.safetensors must be the base classifier that --counts are of"):
        train(lesson, tmp_path / "h", base=other)


def experiments(**changes: Any) -> dict[str, config.Config]:
    return config.load({"papers": {PAPER: changes}}, ROOT).experiments()


def test_seeds_repeat_each_experiment() -> None:
    made = experiments(seeds=[3, 4], select=["js-10", "fresh-1"])
    names = [f"{PAPER}/{name}-seed{seed}/" for name in ("js-10", "fresh-1") for seed in (3, 4)]
    assert [home for home in made if home.startswith(PAPER)] == names
    assert [made[name].train_seed for name in names] == [3, 4, 3, 4]
    assert {made[name].seed for name in names} == {0}
    once = experiments(seeds=[], select=["js-10"])
    assert once[f"{PAPER}/js-10/"].train_seed is None


def test_equal_draws_are_counted_once() -> None:
    run = Run("results", experiments(seeds=[0, 1], select=["js-10", "ce-10", "ce-30", "fresh-1"]))

    def place(name: str, split: str, purpose: str) -> str:
        return run.counts(f"{PAPER}/{name}/", 0.25, split, purpose).removesuffix(
            f"counts/sigma0.25/{split}-{purpose}.npz"
        )

    own = {name: f"results/{PAPER}/{name}/" for name in ("js-10-seed0", "js-10-seed1", "ce-30-seed0", "fresh-1-seed1")}
    for name, folder in own.items():
        assert place(name, "train", "estimation") == folder
        assert place(name, "test", "estimation") == place(name, "test", "selection") == "results/"
    for seed in (0, 1):
        assert place(f"ce-10-seed{seed}", "train", "estimation") == own[f"js-10-seed{seed}"]
    assert run.counts("", 0.25, "train", "estimation") == "results/counts/sigma0.25/train-estimation.npz"


def test_draws_of_the_main_experiment_are_shared() -> None:
    """At the main experiment's own budget and seed, the counts are those of the main experiment."""
    main = {"train_samples": 10, "papers": {PAPER: {"seeds": [], "select": ["js-10"]}}}
    run = Run("results", config.load(main, ROOT).experiments())
    assert run.counts(f"{PAPER}/js-10/", 0.25, "train", "estimation") == run.counts("", 0.25, "train", "estimation")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"select": ["fresh-1"], "experiments": {"fresh-1": {"train_samples": 201}}},
            "experiments.fresh-1.train_samples must be a multiple of surrogate.epochs (200), since surrogate.fresh is "
            "true, got 201",
        ),
        ({"seeds": [1, 1]}, "seeds must be distinct"),
    ],
)
def test_wrong_budgets_end_with_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        experiments(**changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


N = 1000


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Cohen's certificates and counts, then two seeds of one way of training and one of another."""
    random = np.random.default_rng(1)
    images = 8
    p = random.dirichlet([4, 1, 1], images)
    counts = np.stack([random.multinomial(N, row) for row in p])[:, None]
    counts[0, 0] = [N, 0, 0]  # no logit of the share
    about = {"kind": "counts", "sigma": 0.25, "base": "b"}
    idx, labels = np.arange(images), np.zeros(images, int)
    estimation = Counts(idx, labels, np.array([N]), counts, np.zeros((images, 1)), about)
    estimation.write(tmp_path / "counts.npz")
    paths = [tmp_path / "cohen.tsv", tmp_path / "counts.npz"]
    certificate(paths[0], "main", "cohen", "sound", np.full(images, 0.3))
    ways = [
        ("js-10-seed0", "jensen-shannon", 0),
        ("js-10-seed1", "jensen-shannon", 1),
        ("ce-10-seed0", "cross-entropy", 0),
    ]
    for place, (name, loss, seed) in enumerate(ways):
        training = {"arch": "resnet8", "samples": 10, "seed": seed, "loss": loss, "fresh": False, "from_base": False}
        meta = {"kind": "predictions", "base": "b", "surrogates": [training]}
        h = 0.5 * p + 0.5 / 3 if place else p
        Predictions(idx, labels, np.array([8]), h[None], np.zeros(1), meta).write(tmp_path / f"{name}.npz")
        radius = np.where(idx < 2 * (place + 1), 0.4, 0.2)
        certificate(tmp_path / f"{name}.tsv", f"{PAPER}/{name}", "surrogate", "estimated", radius)
        paths += [tmp_path / f"{name}.tsv", tmp_path / f"{name}.npz"]
    return paths


def certificate(path: Path, experiment: str, method: str, guarantee: str, radius: np.ndarray) -> None:
    idx = np.arange(len(radius))
    log = pd.DataFrame({"idx": idx, "label": 0, "predict": 0, "radius": radius, "correct": 1, "time": 0.1})
    log = log.assign(experiment=experiment, method=method, guarantee=guarantee, passes=N, sigma0=0.25, n=N, alpha=0.001)
    log.to_csv(path, sep="\t", index=False)


def test_the_table_is_that_of_a_slow_reference(files: list[Path]) -> None:
    from accelerated_smoothing.counting import counts, predictions

    table = budgets.make(label_budget.load(files), analysis.Settings())
    assert list(table["loss"]) == ["jensen-shannon", "cross-entropy"]
    first, second = table.to_dict("records")
    assert (first["seeds"], second["seeds"]) == (2, 1)
    acr = [(2 * 0.4 + 6 * 0.2) / 8, (4 * 0.4 + 4 * 0.2) / 8]
    assert (first["ACR"], first["ACR_sd"]) == pytest.approx((np.mean(acr), np.std(acr, ddof=1)))
    assert (first["exceeds"], second["exceeds"]) == pytest.approx((3 / 8, 6 / 8))
    assert (first["kept"], first["cohen"]) == pytest.approx((np.mean(acr) / 0.3, 0.3))
    assert np.isnan(second["ACR_sd"])
    assert (first["passes"], first["gpu_hours"]) == (500_000, pytest.approx(0.019))

    stored, predicted = counts.read(files[1]), predictions.read(files[-1])
    h, shares = torch.from_numpy(predicted.of(8)), torch.from_numpy(stored.at(N) / N)
    assert second["divergence"] == pytest.approx(surrogate.jensen_shannon(h.log(), shares).item(), rel=1e-9)
    errors = []
    for own, k in zip(predicted.of(8), stored.at(N), strict=True):
        top = own.argmax()
        if 0 < k[top] < N:
            sampled = np.log((k[top] + 0.5) / (N - k[top] + 0.5))
            errors.append(np.log(own[top] / (1 - own[top])) - sampled)
    assert len(errors) == 7
    assert second["logit_error"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-9)


def test_the_figure_has_every_way_of_training(files: list[Path]) -> None:
    logs = label_budget.load(files)
    drawing = curves.draw(logs, analysis.Settings(), "digits")
    (legend,) = drawing.legends
    assert [text.get_text() for text in legend.get_texts()] == ["Jensen-Shannon", "Cross-entropy"]
    assert "Cross-entropy 0." in curves.words(logs, analysis.Settings())


def test_a_bootstrap_sample_is_of_the_same_images_for_all(files: list[Path]) -> None:
    item = papers.table(f"{PAPER}/table1")
    logs = item.load(files)
    again = item.make(item.resample(logs, np.random.default_rng(0)), analysis.Settings())
    assert again["cohen"].tolist() == pytest.approx([0.3, 0.3])
    assert again["ACR"][0] != item.make(logs, analysis.Settings())["ACR"][0]


def test_files_that_do_not_fit_end_with_one_line(files: list[Path]) -> None:
    with pytest.raises(InputError, match="INPUT must be pairs of certificates and counts or predictions, got 3 files"):
        label_budget.load(files[:3])
    with pytest.raises(InputError, match="must come after the reference's certificates and their counts"):
        label_budget.load(files[2:])
    other = Predictions(
        np.arange(8) + 1, np.zeros(8, int), np.array([8]), np.full((1, 8, 3), 1 / 3), np.zeros(1),
        {"kind": "predictions", "base": "b", "surrogates": [{}]},
    )  # fmt: skip
    other.write(files[3])
    with pytest.raises(InputError, match="must be predictions for the images of the counts"):
        label_budget.load(files[:4])
