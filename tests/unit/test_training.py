import copy
import csv
import itertools
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import distance

from accelerated_smoothing import config, data, models, progress
from accelerated_smoothing import training as ways
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.training import base, loop, surrogate

CPU = torch.device("cpu")


def cases(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and shares [50, 10], of a kind that is hard to compute with."""
    random = np.random.default_rng(4)
    logits = random.normal(0, {"mild": 1.0, "sharp": 30.0, "extreme": 3000.0, "zeros": 2.0}[kind], (50, 10))
    shares = random.multinomial(1000, random.dirichlet([0.1] * 10, 50)[:, :]) / 1000
    if kind == "zeros":
        shares = np.eye(10)[random.integers(0, 10, 50)]
    return torch.from_numpy(logits), torch.from_numpy(shares)


@pytest.mark.parametrize("kind", ["mild", "sharp", "extreme", "zeros"])
def test_jensen_shannon_is_that_of_scipy(kind: str) -> None:
    logits, shares = cases(kind)
    h = np.exp(logits.numpy() - logits.numpy().max(1, keepdims=True))
    h /= h.sum(1, keepdims=True)
    expected = np.mean([distance.jensenshannon(p, q) ** 2 for p, q in zip(h, shares.numpy(), strict=True)])
    assert surrogate.jensen_shannon(logits, shares).item() == pytest.approx(expected, rel=1e-9)
    in_single = surrogate.jensen_shannon(logits.float(), shares.float()).item()
    assert in_single == pytest.approx(expected, rel=1e-4)


def test_jensen_shannon_by_hand() -> None:
    apart = surrogate.jensen_shannon(torch.tensor([[200.0, -200.0]]), torch.tensor([[0.0, 1.0]]))
    assert apart.item() == pytest.approx(math.log(2), rel=1e-6)
    equal = surrogate.jensen_shannon(torch.tensor([[0.3, 0.7]]).log(), torch.tensor([[0.3, 0.7]]))
    assert equal.item() == pytest.approx(0, abs=1e-7)
    # (1/2, 1/2) and (1, 0) have the mean (3/4, 1/4): half of [1/2 ln(2/3) + 1/2 ln 2], and half of ln(4/3).
    half = surrogate.jensen_shannon(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]]))
    assert half.item() == pytest.approx(0.25 * math.log(4 / 3) + 0.5 * math.log(4 / 3), rel=1e-6)


@pytest.mark.parametrize("kind", ["mild", "sharp", "extreme", "zeros"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_jensen_shannon_has_a_finite_gradient(kind: str, dtype: torch.dtype) -> None:
    logits, shares = cases(kind)
    logits = logits.to(dtype).requires_grad_()
    surrogate.jensen_shannon(logits, shares.to(dtype)).backward()
    assert logits.grad.isfinite().all()
    # Logits may be shifted together, so a row's gradient adds up to nothing.
    assert logits.grad.sum(1).abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["mild", "zeros"])
def test_jensen_shannon_has_the_right_gradient(kind: str) -> None:
    logits, shares = cases(kind)
    logits = logits[:5].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: surrogate.jensen_shannon(x, shares[:5]), logits)


def test_generators_depend_on_seed_and_purpose_alone() -> None:
    def first(seed: int, purpose: str) -> float:
        return torch.rand((), generator=loop.generator(seed, purpose, CPU)).item()

    torch.manual_seed(1)
    values = [first(seed, purpose) for seed in range(3) for purpose in ("a", "b", "a/epoch0", "a/epoch1")]
    torch.manual_seed(2)
    assert values == [first(seed, purpose) for seed in range(3) for purpose in ("a", "b", "a/epoch0", "a/epoch1")]
    assert len(set(values)) == len(values)


def epoch(images: torch.Tensor, crop: int, flip: bool, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    pairs = list(loop.batches(images, torch.arange(len(images)), 16, crop, flip, torch.Generator().manual_seed(seed)))
    return torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs]), [len(x) for x, _ in pairs]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand((150, 2, 5, 6), generator=torch.Generator().manual_seed(5)) + 0.1  # nothing looks like padding


def test_batches_are_a_permutation(images: torch.Tensor) -> None:
    got, order, sizes = epoch(images, 0, False)
    assert sizes == [16] * 9 + [6]
    assert sorted(order.tolist()) == list(range(150))
    assert order.tolist() != list(range(150))
    assert torch.equal(got, images[order])
    assert epoch(images, 0, False, seed=1)[1].tolist() != order.tolist()
    assert torch.equal(epoch(images, 0, False)[0], got)


def views(image: torch.Tensor, crop: int, flip: bool) -> dict[tuple[int, int, bool], torch.Tensor]:
    """Every crop of the padded image, straight and mirrored."""
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 2 * crop, width + 2 * crop)
    padded[:, crop : crop + height, crop : crop + width] = image
    straight = {
        (y, x, False): padded[:, y : y + height, x : x + width]
        for y in range(2 * crop + 1)
        for x in range(2 * crop + 1)
    }
    mirrored = {(y, x, True): view.flip(2) for (y, x, _), view in straight.items()}
    return straight | mirrored if flip else straight


@pytest.mark.parametrize(("crop", "flip"), [(1, True), (2, False), (0, True), (2, True)])
def test_batches_hold_crops_and_mirror_images(images: torch.Tensor, crop: int, flip: bool) -> None:
    got, order, _ = epoch(images, crop, flip)
    assert sorted(order.tolist()) == list(range(150))
    seen = []
    for view, position in zip(got, order.tolist(), strict=True):
        names = [name for name, known in views(images[position], crop, flip).items() if torch.equal(known, view)]
        assert names, f"image {position} must be one of its crops, got another image"
        seen.append(names[0])
    every = {(y, x) for y in range(2 * crop + 1) for x in range(2 * crop + 1)}
    assert {(y, x) for y, x, _ in seen} == every  # 150 images, 25 places: one is missed with probability 0.05
    mirrored = sum(mirror for _, _, mirror in seen)
    assert 45 < mirrored < 105 if flip else mirrored == 0  # 75 and five standard deviations


def test_batches_leave_the_images_alone(images: torch.Tensor) -> None:
    before = images.clone()
    for batch, _ in loop.batches(images, torch.arange(150), 16, 0, False, torch.Generator().manual_seed(0)):
        batch.add_(1)
    assert torch.equal(images, before)


def stepping(precision: str) -> tuple[loop.Step, torch.Tensor, torch.Tensor]:
    """A step of a small network, and a batch for it."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Flatten())
    model.append(torch.nn.Linear(8 * 3 * 4, 3)).eval()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    step = loop.Step(model, optimizer, cross_entropy, precision, CPU)
    return step, torch.randn(64, 2, 5, 6), torch.randint(3, (64,))


def test_a_step_is_that_of_a_plain_loop() -> None:
    step, inputs, targets = stepping("fp32")
    assert step.model.training
    plain = copy.deepcopy(step.model)
    optimizer = torch.optim.SGD(plain.parameters(), 0.1)
    for _ in range(3):
        expected = torch.nn.functional.cross_entropy(plain(inputs), targets)
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        loss = step(inputs, targets)
        assert torch.equal(loss, expected.detach())
        assert not loss.requires_grad
    for name, tensor in plain.state_dict().items():
        assert torch.equal(step.model.state_dict()[name], tensor), name


def test_a_step_in_bf16_keeps_weights_and_loss_in_float32() -> None:
    step, inputs, targets = stepping("bf16")
    seen = []
    step.model[0].register_forward_hook(lambda _, __, output: seen.append(output.dtype))
    losses = [step(inputs, targets) for _ in range(20)]
    assert set(seen) == {torch.bfloat16}
    assert {loss.dtype for loss in losses} == {torch.float32}
    assert {p.dtype for p in step.model.parameters()} == {torch.float32}
    single, inputs, targets = stepping("fp32")
    expected = [single(inputs, targets) for _ in range(20)]
    assert losses[0] != expected[0]
    # A bfloat16 has 8 significant bits, and the loss is a mean over 64 images: it was 0.05 % off at most.
    np.testing.assert_allclose(losses, expected, rtol=0.01)
    assert losses[-1] < losses[0] / 2


def test_steps_are_those_of_the_settings() -> None:
    model = torch.nn.Linear(2, 2)
    settings = config.Base(lr=0.3, momentum=0.8, weight_decay=0.01, precision="bf16")
    f = base.step(model, "gaussian", settings, "gaussian", torch.zeros(1), CPU)
    assert isinstance(f.optimizer, torch.optim.SGD)
    (group,) = f.optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (0.3, 0.8, 0.01)
    assert f.precision == "bf16"
    h = surrogate.step(model, config.Surrogate(lr=0.3, betas=(0.1, 0.2), precision="fp32"), CPU)
    assert isinstance(h.optimizer, torch.optim.Adam)
    assert (h.optimizer.param_groups[0]["lr"], h.optimizer.param_groups[0]["betas"]) == (0.3, (0.1, 0.2))
    assert h.precision == "fp32"
    assert surrogate.step(model, config.Surrogate(), CPU).precision == "fp32"
    images, shares = torch.rand(5, 2), torch.full((5, 2), 0.5)
    assert h.loss(h, images, shares) == surrogate.jensen_shannon(model(images), shares)


def cross_entropy(step: loop.Step, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(step.forward(inputs), targets)


class InterruptionError(Exception):
    pass


def steps(step_size: int, gamma: float) -> Callable[[float], float]:
    return loop.schedule(config.Base(step_size=step_size, gamma=gamma))


def linear(
    optimizer: str, calls: list[int], stop_at: int = 0, precision: str | None = "fp32", **options: Any
) -> Callable[[Path], dict[str, torch.Tensor]]:
    """A training of a small network with batch norm, interrupted while epoch `stop_at` is evaluated."""

    def train(output: Path) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten())
        model.append(torch.nn.Linear(4 * 3 * 4, 3)).to(memory_format=torch.channels_last)
        inputs = torch.randn(100, 2, 5, 6, generator=torch.Generator().manual_seed(1))
        targets = (inputs.sum((1, 2, 3)) > 0).long()
        solver = {
            "adam": lambda: torch.optim.Adam(model.parameters(), 0.01, betas=(0.5, 0.999)),
            "sgd": lambda: torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-3),
            "plain": lambda: torch.optim.SGD(model.parameters(), 0.1),
        }[optimizer]()

        def evaluate(epoch: int) -> dict[str, float]:
            assert not model.training
            calls.append(len(calls) + 1)
            if len(calls) == stop_at:
                raise InterruptionError
            return {"extra": 1.5}

        settings = {"epochs": 4, "rate": steps(2, 0.1), "seed": 0, "purpose": "test", "identity": {"a": (1, 2)}}
        loop.run(
            loop.Step(model, solver, cross_entropy, precision, CPU),
            lambda _, random: loop.batches(inputs, targets, 16, 1, True, random),
            images=len(inputs),
            **{**settings, **options},
            output=output,
            evaluate=evaluate,
        )
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    return train


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "plain"])
def test_resumed_training_ends_with_the_same_weights(tmp_path: Path, optimizer: str, stop_at: int) -> None:
    expected = linear(optimizer, [])(tmp_path / "whole")
    assert_equal(linear(optimizer, [])(tmp_path / "again"), expected)
    output = tmp_path / "weights"
    with pytest.raises(InterruptionError):
        linear(optimizer, [], stop_at)(output)
    assert loop.partial(output).exists() == (stop_at > 1)
    calls: list[int] = []
    assert_equal(linear(optimizer, calls)(output), expected)
    assert len(calls) == 4 - (stop_at - 1)  # the epochs before are not trained again
    assert [row["epoch"] for row in rows(output.with_suffix(".csv"))] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("batch", [1, 7, 8, 13, 27])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "plain"])
def test_a_training_that_is_asked_to_stop_goes_on_within_its_epoch(
    tmp_path: Path, optimizer: str, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch has seven batches of at most sixteen images."""
    expected = linear(optimizer, [])(tmp_path / "whole")
    steps: list[int] = []
    original = loop.Step.__call__

    def step(self: loop.Step, *words: torch.Tensor) -> torch.Tensor:
        steps.append(len(steps) + 1)
        if len(steps) == batch:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self, *words)

    monkeypatch.setattr(loop.Step, "__call__", step)
    before = signal.signal(signal.SIGTERM, progress.stop)
    try:
        with pytest.raises(progress.Stopped):
            linear(optimizer, [])(tmp_path / "weights")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert len(steps) == batch
    assert_equal(linear(optimizer, [])(tmp_path / "weights"), expected)
    assert len(steps) == 4 * 7  # none is made twice, none left out
    logs = [rows(tmp_path / name) for name in ("weights.csv", "whole.csv")]
    for one, other in zip(*logs, strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize("batch", [3, 7, 12])
def test_a_killed_training_goes_on_within_its_epoch(
    tmp_path: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the step before, where it is saved after each."""
    expected = linear("adam", [])(tmp_path / "whole")
    steps: list[int] = []
    original = loop.Step.__call__

    def step(self: loop.Step, *words: torch.Tensor) -> torch.Tensor:
        steps.append(len(steps) + 1)
        if len(steps) == batch:
            raise InterruptionError
        return original(self, *words)

    monkeypatch.setattr(loop.Step, "__call__", step)
    monkeypatch.setattr(progress, "SAVE_SECONDS", -1.0)
    with pytest.raises(InterruptionError):
        linear("adam", [])(tmp_path / "weights")
    assert_equal(linear("adam", [])(tmp_path / "weights"), expected)
    assert len(steps) == 4 * 7 + 1


def test_the_state_of_another_training_is_not_gone_on_with(tmp_path: Path) -> None:
    with pytest.raises(InterruptionError):
        linear("adam", [], 3)(tmp_path / "weights")
    calls: list[int] = []
    linear("adam", calls, identity={"a": (1, 3)})(tmp_path / "weights")
    assert len(calls) == 4


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_resumed_training_in_bf16_ends_with_the_same_weights(tmp_path: Path, optimizer: str) -> None:
    expected = linear(optimizer, [], precision="bf16")(tmp_path / "whole")
    with pytest.raises(InterruptionError):
        linear(optimizer, [], 3, precision="bf16")(tmp_path / "weights")
    assert_equal(linear(optimizer, [], precision="bf16")(tmp_path / "weights"), expected)
    other = linear(optimizer, [])(tmp_path / "other")
    assert any(not torch.equal(other[name], expected[name]) for name in expected)


@pytest.mark.parametrize(("precision", "epochs"), [("fp32", 2), (None, 2), ("bf16", 4)])
def test_training_goes_on_in_the_same_precision_only(tmp_path: Path, precision: str | None, epochs: int) -> None:
    """Left to the device, it is fp32 on a CPU."""
    with pytest.raises(InterruptionError):
        linear("adam", [], 3, precision="fp32")(tmp_path / "weights")
    calls: list[int] = []
    linear("adam", calls, precision=precision)(tmp_path / "weights")
    assert len(calls) == epochs


@pytest.mark.parametrize("keep", [0, 3, 500])
def test_half_a_state_is_not_gone_on_with(tmp_path: Path, keep: int) -> None:
    expected = linear("adam", [])(tmp_path / "whole")
    with pytest.raises(InterruptionError):
        linear("adam", [], 3)(tmp_path / "weights")
    state = loop.partial(tmp_path / "weights")
    state.write_bytes(state.read_bytes()[:keep])
    calls: list[int] = []
    assert_equal(linear("adam", calls)(tmp_path / "weights"), expected)
    assert len(calls) == 4


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_log_has_a_row_an_epoch_and_the_rates_of_step_lr(tmp_path: Path) -> None:
    linear("sgd", [], epochs=7, rate=steps(2, 0.3))(tmp_path / "weights")
    log = rows(tmp_path / "weights.csv")
    assert [row["epoch"] for row in log] == [str(epoch) for epoch in range(1, 8)]
    assert {row["extra"] for row in log} == {"1.5"}
    assert all(float(row["seconds"]) >= 0 for row in log)

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.3)
    for row in log:
        assert float(row["lr"]) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-14)
        optimizer.step()
        scheduler.step()


def test_one_cycle_is_that_of_pytorch() -> None:
    rate = loop.schedule(config.Base(schedule="one-cycle", epochs=10))
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], 0.1)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=1001, final_div_factor=1e9)
    for step in range(1001):
        # PyTorch counts the rise from step 0 to step 0.3 * 1001 - 1.
        assert 0.1 * rate(step / 100) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-3)
        if step < 1000:
            optimizer.step()
            scheduler.step()


def test_one_cycle_changes_the_rate_in_every_batch_and_resumes(tmp_path: Path) -> None:
    rate = loop.schedule(config.Base(schedule="one-cycle", epochs=4))
    done = []

    def recorded(epochs: float) -> float:
        done.append(epochs)
        return rate(epochs)

    expected = linear("sgd", [], rate=recorded)(tmp_path / "whole")
    # 100 images in batches of 16.
    assert done == pytest.approx([epoch + batch * 0.16 for epoch in range(4) for batch in range(7)])
    with pytest.raises(InterruptionError):
        linear("sgd", [], 2, rate=rate)(tmp_path / "weights")
    assert_equal(linear("sgd", [], rate=rate)(tmp_path / "weights"), expected)


@pytest.mark.parametrize("way", ["crt", "smoothadv", "surrogate"])
def test_the_last_batch_is_not_compiled(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Networks are compiled here as on a GPU, by a compiler that notes sizes of batches and changes nothing."""
    sizes: list[int] = []

    def note(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        sizes.extend(len(tensor) for tensor in inputs if tensor.dim() == 4 and tensor.shape[1:] == (1, 8, 8))
        return graph.forward

    def built(compiled: bool) -> tuple[loop.Step, Callable[[int], tuple[Any, ...]]]:
        def placed(model: torch.nn.Module, device: torch.device) -> Any:
            return torch.compile(model, backend=note, fullgraph=True, dynamic=False) if compiled else model

        monkeypatch.setattr(loop, "placed", placed)
        torch.manual_seed(0)
        model, teacher = (models.build("resnet8", 10, [0.5], [0.25]) for _ in range(2))
        random = torch.Generator().manual_seed(0)
        if way == "surrogate":
            step = surrogate.step(model, config.Surrogate(batch_size=8, precision="fp32"), CPU)
            return step, lambda n: (torch.rand(n, 1, 8, 8), torch.full((n, 10), 0.1))
        settings = ways.way(way).Settings(batch_size=8, precision="fp32", ascent=1, ascent_from=0)
        taught = [(teacher.eval(), 0.5)] if way == "crt" else []
        step = base.step(model, way, settings, "gaussian", torch.full((8,), 0.5), CPU, taught)
        return step, lambda n: (torch.rand(n, 1, 8, 8), torch.arange(n) % 10, torch.arange(n), 0, random)

    torch.compiler.reset()
    weights = []
    for compiled in (True, False):
        step, batch = built(compiled)
        for n in (8, 8, 3, 8):
            step(*batch(n))
        weights.append(torch.cat([weight.flatten() for weight in step.model.parameters()]))
    assert torch.equal(*weights)
    assert sizes
    assert set(sizes) == {8}


def test_loss_in_the_log_is_the_mean_over_images(tmp_path: Path) -> None:
    """With a rate of nearly nothing and no batch norm, it is the loss of the first weights."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(60, 3))
    inputs, targets = torch.randn(37, 2, 5, 6), torch.randint(3, (37,))
    expected = torch.nn.functional.cross_entropy(model(inputs), targets).item()
    step = loop.Step(model, torch.optim.SGD(model.parameters(), 1e-12), cross_entropy, "fp32", CPU)
    loop.run(
        step,
        lambda _, random: loop.batches(inputs, targets, 16, 0, False, random),
        images=37, epochs=1, rate=lambda _: 1, seed=0, purpose="p", output=tmp_path / "w", identity={},
    )  # fmt: skip
    assert float(rows(tmp_path / "w.csv")[0]["loss"]) == pytest.approx(expected, rel=1e-5)


def test_every_epoch_has_an_order_of_its_own(tmp_path: Path) -> None:
    model = torch.nn.Linear(1, 1)
    orders: list[float] = []

    def epoch_batches(_: int, random: torch.Generator) -> Any:
        orders.append(torch.rand((), generator=random).item())
        yield torch.ones(4, 1), torch.zeros(4, dtype=torch.long)

    loop.run(
        loop.Step(model, torch.optim.SGD(model.parameters(), 0.1), cross_entropy, "fp32", CPU),
        epoch_batches,
        images=4, epochs=3, rate=lambda _: 1, seed=0, purpose="p", output=tmp_path / "w", identity={},
    )  # fmt: skip
    assert len(set(orders)) == 3


@pytest.fixture(scope="module")
def taught(digits: SimpleNamespace) -> SimpleNamespace:
    """Some digits, and counts that a classifier could have made of them: mostly the label, a rest elsewhere."""
    images = data.read(digits.train, ":300")
    random = np.random.default_rng(6)
    likely = 0.75 * np.eye(10)[images.labels] + 0.25 * random.dirichlet([0.5] * 10, 300)
    counts = np.stack([random.multinomial(100, p) for p in likely])[:, None]
    meta = {
        "kind": "counts",
        "split": "train",
        "sigma": 0.5,
        "base": "b" * 64,
        "dataset": "digits",
        "classes": 10,
        "noise": "gaussian",
        "choice": None,
        "arithmetic": "cpu",
    }
    counted = Counts(images.idx, images.labels, np.array([100]), counts, np.zeros((300, 1)), meta)
    return SimpleNamespace(images=images, counts=counted)


def test_surrogate_learns_and_says_what_it_is(taught: SimpleNamespace, tmp_path: Path) -> None:
    settings = config.Surrogate(epochs=6, batch_size=32, step_size=3)
    output = tmp_path / "h.safetensors"
    surrogate.train(taught.images, taught.counts, output, settings, 8, 0, CPU, code="")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h.csv", "h.safetensors"]
    log = rows(tmp_path / "h.csv")
    assert [float(row["lr"]) for row in log] == [0.001] * 3 + [0.0005] * 3
    losses = [float(row["loss"]) for row in log]
    assert losses[-1] < 0.6 * losses[0]

    model, description = models.load(output, "surrogate")
    expected = {"arch": "resnet8", "samples": 100, "sigma": 0.5, "base": "b" * 64, "dataset": "digits", "classes": 10}
    assert expected.items() <= description.items()
    assert description["arithmetic"] == "cpu"
    pixels = taught.images.pixels()
    h = surrogate.predict(engines.build(model, pixels.shape[1:], device=CPU), pixels)
    assert h.dtype == np.float64
    np.testing.assert_allclose(h.sum(1), 1, rtol=1e-12)
    assert (h.argmax(1) == taught.images.labels).mean() > 0.5
    with torch.no_grad():
        expected = model(torch.from_numpy(pixels)).double().softmax(1).numpy()
    np.testing.assert_allclose(h, expected, rtol=0, atol=1e-5)  # kernels of two libraries round differently in float32
    small = surrogate.predict(engines.build(model, pixels.shape[1:], device=CPU, batch_size=7), pixels)
    np.testing.assert_array_equal(small, h)


def test_surrogate_training_is_seeded(taught: SimpleNamespace, tmp_path: Path) -> None:
    settings = config.Surrogate(epochs=1, batch_size=64)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(ord(name))  # what was drawn before does not matter
        surrogate.train(taught.images, taught.counts, tmp_path / name, settings, 8, seed, CPU, code="")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes() != (tmp_path / "c").read_bytes()


def test_surrogate_refuses_counts_of_other_images(
    taught: SimpleNamespace, digits: SimpleNamespace, tmp_path: Path
) -> None:
    other = replace(taught.counts, idx=taught.counts.idx + 1)
    for images, counted in [(taught.images, other), (data.read(digits.train, ":299"), taught.counts)]:
        with pytest.raises(InputError, match="must be of the images"):
            surrogate.train(images, counted, tmp_path / "h", config.Surrogate(epochs=1), 8, 0, CPU, code="")
    assert list(tmp_path.iterdir()) == []


def test_gaussian_training_learns_and_goes_on(
    digits: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = data.read(digits.train, ":300"), data.read(digits.test, ":100")
    settings = config.Base(arch="resnet8", epochs=4, batch_size=16, lr=0.05, step_size=3, crop=1, flip=False)
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    base.train(train, test, whole, "gaussian", settings, 0.25, "gaussian", 0, CPU, code="")
    log = rows(tmp_path / "whole.csv")
    assert [row["lr"] for row in log][:3] == ["0.05"] * 3
    assert float(log[-1]["loss"]) < 0.7 * float(log[0]["loss"])
    assert float(log[-1]["test_accuracy"]) > 0.4

    saved = loop._save
    monkeypatch.setattr(
        loop, "_save", lambda *a: (_ for _ in ()).throw(InterruptionError) if a[4].epochs == 3 else saved(*a)
    )
    with pytest.raises(InterruptionError):
        base.train(train, test, broken, "gaussian", settings, 0.25, "gaussian", 0, CPU, code="")
    monkeypatch.setattr(loop, "_save", saved)
    base.train(train, test, broken, "gaussian", settings, 0.25, "gaussian", 0, CPU, code="")
    assert broken.read_bytes() == whole.read_bytes()
    assert not loop.partial(broken).exists()

    description = models.load(whole, "base")[1]
    assert description == {
        "kind": "base",
        "arch": "resnet8",
        "sigma": 0.25,
        "training": "gaussian",
        "noise": "gaussian",
        **{key: train.meta[key] for key in ("dataset", "classes", "mean", "std")},
    }


def test_a_finished_training_whose_weights_were_not_saved(tmp_path: Path) -> None:
    """Its log is written anew: a workflow deletes the outputs of a failed job, and would miss it for ever."""
    train = linear("adam", [])
    first = train(tmp_path / "weights")
    (tmp_path / "weights.csv").unlink()
    again = train(tmp_path / "weights")
    assert (tmp_path / "weights.csv").read_text().count("\n") == 5
    assert all(torch.equal(first[name], again[name]) for name in first)


CAPPED = {  # a CPU without AVX-512, as far as libraries can be told
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Haswell",
    "NUMBA_CPU_NAME": "haswell",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ",
}


@pytest.mark.slow
def test_portable_training_gives_the_weights_of_a_cpu_with_avx2_alone(digits: SimpleNamespace, tmp_path: Path) -> None:
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("this CPU has no AVX-512")
    weights = {}
    for portable, capped in itertools.product(("--portable", "--no-portable"), (False, True)):
        output = tmp_path / f"{len(weights)}.safetensors"
        words = (
            f"train-base gaussian --train {digits.train} --test {digits.test} --sigma 0.25 --arch resnet8 --epochs 1"
        )
        words += f" --batch-size 64 --lr 0.05 --threads 1 {portable} --output {output}"
        clean = {name: value for name, value in os.environ.items() if name not in CAPPED}
        subprocess.run(
            [sys.executable, "-m", "accelerated_smoothing", *words.split()],
            env={**clean, **(CAPPED if capped else {})},
            check=True,
            capture_output=True,
        )
        weights[portable, capped] = output.read_bytes()
    assert weights["--portable", False] == weights["--portable", True] == weights["--no-portable", True]
    assert weights["--no-portable", False] != weights["--no-portable", True]
