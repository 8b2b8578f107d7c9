"""SDP-based Lipschitz layers: nothing stretches, whatever the weights, and where it is known by how much, so it is.

Jacobians are whole ones, so their largest singular values are exact: an iteration might stop below.
"""

import copy
import itertools
import math
from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from accelerated_smoothing import architectures, data, models
from accelerated_smoothing.architectures import sll as sll_names
from accelerated_smoothing.counting import engines
from accelerated_smoothing.models.families.sll import SMALLEST, Narrowing, Padding, Scaled, Sll, SllConv, SllDense
from accelerated_smoothing.workflow import measuring

# Of a Jacobian's norm: sums of some hundred products, each rounded to half a last bit, and float32 has 2^-24 for that.
ROUNDED = {torch.float32: 1e-5, torch.float64: 1e-12}
HALF_BIT = 2.0**-8  # of bfloat16, relative
LAYERS: dict[str, tuple[Callable[[], Scaled], tuple[int, ...]]] = {
    "conv": (lambda: SllConv(3, 5), (3, 6, 5)),
    "conv, wide": (lambda: SllConv(2, 9), (2, 4, 4)),
    "conv, all border": (lambda: SllConv(3, 5), (3, 1, 2)),
    "dense": (lambda: SllDense(12, 20), (12,)),
    "dense, narrow": (lambda: SllDense(12, 5), (12,)),
    "narrowing of pixels": (lambda: Narrowing(6, 3, image=True), (6, 3, 2)),
    "narrowing of features": (lambda: Narrowing(30, 7, image=False), (30,)),
}
DTYPES = [torch.float32, torch.float64, torch.bfloat16]


def jacobian(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """[outputs, inputs] at one input x [*shape]: each row from a copy of x of its own."""
    with torch.no_grad():
        outputs = f(x[None]).numel()
    copies = x.expand(outputs, *x.shape).clone().requires_grad_()
    return torch.autograd.grad(f(copies).flatten(1), copies, torch.eye(outputs, dtype=x.dtype))[0].flatten(1)


def stretch(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> float:
    """The largest singular value of the Jacobian at x."""
    return torch.linalg.matrix_norm(jacobian(f, x).double(), 2).item()


def scramble(module: nn.Module, size: float, spread: float) -> None:
    """Random weights of some size, q far from 0, biases, and an output without any weight."""
    for layer in module.modules():
        if isinstance(layer, Scaled):
            nn.init.normal_(layer.weight, std=size)
            nn.init.normal_(layer.q, std=spread)
            layer.weight.data[0] = 0
            if hasattr(layer, "bias"):
                nn.init.normal_(layer.bias, std=size)


def rounded(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The module in a precision; in bfloat16 only its weights are, and it computes in float64."""
    return module.to(dtype).double() if dtype is torch.bfloat16 else module.to(dtype)


def limit(dtype: torch.dtype) -> float:
    return 1 + ROUNDED.get(dtype, ROUNDED[torch.float64])


def is_short(layer: Scaled) -> float:
    """The largest singular value of T^-1/2 W', as a convolution of an image if it is one."""
    weight, t = (part.detach() for part in layer.scaled())
    if weight.dim() == 2:
        return torch.linalg.matrix_norm((t.rsqrt()[:, None] * weight).double(), 2).item()
    scaled, border = weight * t.rsqrt().view(-1, 1, 1, 1), weight.shape[-1] // 2
    return stretch(lambda x: F.conv2d(x, scaled, padding=border), torch.zeros(weight.shape[1], 5, 4, dtype=t.dtype))


@pytest.mark.parametrize("size", [1e-8, 1e-3, 1.0, 1e3])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", list(LAYERS))
def test_no_layer_stretches(kind: str, dtype: torch.dtype, size: float) -> None:
    make, shape = LAYERS[kind]
    for seed in range(3):
        torch.manual_seed(seed)
        layer = make()
        scramble(layer, size, spread=2 * seed)
        layer = rounded(layer, dtype)
        assert is_short(layer) <= limit(dtype)
        for far in (0.1, 1, 100):  # of the zeros, about which biases switch ReLUs on and off
            assert stretch(layer, far * torch.randn(shape, dtype=next(layer.parameters()).dtype)) <= limit(dtype)


@pytest.mark.parametrize("far", [30, 1000])
def test_q_may_be_far_apart(far: float) -> None:
    """Quotients of 1e26, so that most columns count for next to nothing, and beyond what float32 holds."""
    for kind, (make, shape) in LAYERS.items():
        torch.manual_seed(0)
        layer = make()
        scramble(layer, 1.0, spread=0.0)
        layer.q.data = torch.linspace(-far, far, len(layer.q))
        assert is_short(layer) <= limit(torch.float32), kind
        assert stretch(layer, torch.randn(shape)) <= limit(torch.float32), kind


def test_a_layer_of_one_column_is_a_reflection_where_its_relu_is_on() -> None:
    """I - 2ww'/|w|^2: the bound is attained, and by what W does."""
    torch.manual_seed(0)
    layer, x = SllDense(6, 1).double(), torch.randn(6, dtype=torch.float64)
    for sign in (1, -1):
        layer.weight.data = sign * x[None].sign()  # whose product with x is positive, or negative
        w = layer.weight.data[0]
        expected = torch.eye(6, dtype=torch.float64)
        if sign > 0:
            expected -= 2 * torch.outer(w, w) / w.dot(w)
        torch.testing.assert_close(jacobian(layer, x), expected, rtol=0, atol=1e-12)
    narrow = Narrowing(9, 4, image=False).double()  # its fresh rows are orthonormal
    assert stretch(narrow, torch.randn(9, dtype=torch.float64)) == pytest.approx(1, abs=1e-5)  # made in float32


def signed(self: Scaled, weight: torch.Tensor) -> torch.Tensor:
    if weight.dim() == 2:
        return weight @ weight.T
    return F.conv2d(weight, weight, padding=weight.shape[-1] - 1).sum((2, 3))


@pytest.mark.parametrize("kind", ["dense", "conv"])
def test_without_the_absolute_value_a_layer_stretches(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A known fault of published code, of which these tests would tell: rows that cancel make T too small."""
    if kind == "dense":
        layer: Scaled = SllDense(2, 2)
        layer.weight.data = torch.tensor([[1.0, 0.0], [-0.5, 1.0]])
        shape: tuple[int, ...] = (2,)
    else:
        layer = SllConv(1, 1)
        layer.weight.data = torch.zeros(1, 1, 3, 3)
        layer.weight.data[0, 0, 1, 1:] = torch.tensor([1.0, -0.5])
        shape = (1, 4, 4)
    layer.bias.data.fill_(100)  # all ReLUs are on
    assert stretch(layer, torch.zeros(shape)) <= limit(torch.float32)
    monkeypatch.setattr(Scaled, "gram", signed)
    t = layer.scaled()[1]
    assert (t > 0.2).all()  # the fault does not show by itself, as T < 0 would
    assert stretch(layer, torch.zeros(shape)) > 1.01
    assert is_short(layer) > 1.01


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 2), (5, 4)])
def test_the_scaling_of_a_convolution_bounds_its_whole_matrix(size: tuple[int, int]) -> None:
    """T >= W'W (Loewner), W being that of an image with zeros around it."""
    torch.manual_seed(1)
    layer = SllConv(3, 4).double()
    scramble(layer, 1.0, spread=1.0)
    weight, t = layer.scaled()
    whole = jacobian(lambda x: F.conv2d(x, weight, padding=1), torch.zeros(3, *size, dtype=torch.float64))
    least = torch.linalg.eigvalsh(torch.diag(t.repeat_interleave(size[0] * size[1])) - whole @ whole.T).min()
    assert least >= -1e-10  # of float64, of eigenvalues up to some hundred


def test_what_only_moves_numbers_keeps_distances() -> None:
    x = torch.randn(5, 3, 8, 4, dtype=torch.float64)
    for layer in (nn.PixelUnshuffle(2), nn.PixelUnshuffle(4), Padding(7), Padding(3)):
        matrix = jacobian(layer, x[0])
        torch.testing.assert_close(matrix.T @ matrix, torch.eye(96, dtype=torch.float64), rtol=0, atol=0)
    assert torch.equal(Padding(7)(x)[:, :3], x)
    assert Padding(7)(x).shape == (5, 7, 8, 4)


# Whole networks.


def network(arch: str, channels: int, scrambled: bool) -> nn.Sequential:
    torch.manual_seed(2)
    model = models.build(arch, 10, [0.3] * channels, [0.25] * channels)
    if scrambled:
        scramble(model, 0.3, spread=0.5)
    return model.double().eval()


@pytest.mark.slow
@pytest.mark.parametrize("scrambled", [False, True], ids=["fresh", "scrambled"])
@pytest.mark.parametrize(("arch", "channels"), [("sll8-2", 1), ("sll32-1", 3)])
def test_no_backbone_stretches(arch: str, channels: int, scrambled: bool) -> None:
    linear = models.linear(network(arch, channels, scrambled))
    side = int(arch[3:].partition("-")[0])
    factor = stretch(linear.features, torch.rand(channels, side, side, dtype=torch.float64))
    assert factor <= limit(torch.float64)
    assert scrambled or factor > 0.1  # the bound is not idle


@pytest.fixture(scope="module")
def pixels(digits: SimpleNamespace) -> torch.Tensor:
    return torch.from_numpy(data.read(digits.test, ":300").pixels()).double()


def ratios(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """[n] how many times farther apart f(x) and f(y) are than x and y."""
    return (f(x) - f(y)).norm(dim=1) / (x - y).flatten(1).norm(dim=1)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_trained_backbone_stretches(backbones: dict[str, Path], pixels: torch.Tensor, precision: str) -> None:
    """At real digits, between them, and where a search finds it to stretch most.

    The search is one of pairs: the network is linear piece by piece, so its Jacobian has no slope to follow.
    """
    model, _ = models.load(backbones[precision], "base")
    with torch.no_grad():
        assert (model.double()(pixels).argmax(1)).unique().numel() == 10  # it has learnt something
    features = models.linear(model.double()).features
    assert max(stretch(features, x) for x in pixels[:10]) <= limit(torch.float64)
    assert max(stretch(features, x) for x in pixels[:10]) > 0.5
    with torch.no_grad():
        apart = torch.pdist(pixels.flatten(1))  # all pairs, so the nearest ones, too
        assert (torch.pdist(features(pixels)) <= apart * limit(torch.float64)).all()
        nudged = pixels + 1e-3 * torch.randn(pixels.shape, dtype=torch.float64)
        assert (ratios(features, pixels, nudged) <= 1 + 1e-9).all()  # of a difference of 1e-3, and float64

    torch.manual_seed(0)
    x = pixels[:20].clone().requires_grad_()
    y = (pixels[:20] + 0.1 * torch.randn_like(pixels[:20])).requires_grad_()
    search, history = torch.optim.Adam([x, y], 0.01), []
    for _ in range(40):
        history.append(ratios(features, x, y))
        search.zero_grad()
        (-history[-1].log().sum()).backward()
        search.step()
    assert history[-1].mean() > history[0].mean() + 0.1  # it does find
    assert torch.stack(history).max() <= 1 + 1e-9
    for one, other in zip(x.detach()[:5], y.detach()[:5], strict=True):
        assert stretch(features, one) <= limit(torch.float64)
        assert stretch(features, (one + other) / 2) <= limit(torch.float64)


def steepest(f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> float:
    """The largest singular value of the Jacobian at x, by power iteration: never more than that, and close below."""
    x = x.clone().requires_grad_()
    y = f(x)
    u, v = torch.ones_like(y, requires_grad=True), torch.randn_like(x)
    (back,) = torch.autograd.grad(y, x, u, create_graph=True)  # J'u, whose own slope is J
    for _ in range(20):
        v = v / v.norm()
        (along,) = torch.autograd.grad(back, u, v, retain_graph=True)
        (v,) = torch.autograd.grad(y, x, along, retain_graph=True)
    return along.double().norm().item()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_part_of_a_trained_backbone_stretches(
    backbones: dict[str, Path], pixels: torch.Tensor, precision: str
) -> None:
    """In float32, where layers are as they are trained, and under autocast: at what they see of real digits."""
    model = models.load(backbones[precision], "base")[0].requires_grad_(False)
    seen: dict[Scaled, torch.Tensor] = {}
    layers = [layer for layer in model.modules() if isinstance(layer, Scaled)]
    for layer in layers:
        layer.register_forward_pre_hook(lambda layer, inputs: seen.update({layer: inputs[0]}))
    digits = pixels[:3].float()
    model(digits)
    assert {type(layer) for layer in seen} == {SllConv, SllDense, Narrowing}
    torch.manual_seed(0)
    for layer in layers:
        assert is_short(layer) <= limit(torch.float32)
        for x in seen[layer].split(1):
            assert 0.5 < steepest(layer, x) <= limit(torch.float32)
            with torch.autocast("cpu", torch.bfloat16):
                # The slope of a pass rounds what the pass itself does, by as much of the norm of what it is taken of.
                assert 0.5 < steepest(layer, x) <= 1 + rounded_vectors(layer) * HALF_BIT
    features = models.linear(model).features
    assert max(stretch(features, x) for x in digits) <= limit(torch.float32)


# Arithmetic: float64, bfloat16, folding, the engine.


def fractions(tensor: torch.Tensor) -> list[Fraction]:
    return [Fraction(number) for number in tensor.double().flatten().tolist()]


def exponential(power: Fraction) -> Fraction:
    """To 60 digits."""
    with localcontext(prec=60):
        return Fraction((Decimal(power.numerator) / Decimal(power.denominator)).exp())


def true_layer(layer: Scaled, x: list[Fraction]) -> list[Fraction]:
    """What a layer of a matrix gives, in fractions; of a narrowing, T^1/2 to 60 digits."""
    w, q = [fractions(row) for row in layer.weight], fractions(layer.q)

    def dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
        return sum((p * r for p, r in zip(a, b, strict=True)), Fraction(0))

    t = [
        max(sum(abs(dot(a, b)) * exponential(r - p) for b, r in zip(w, q, strict=True)), Fraction(SMALLEST))
        for a, p in zip(w, q, strict=True)
    ]
    if isinstance(layer, Narrowing):
        with localcontext(prec=60):
            roots = [(Decimal(value.numerator) / Decimal(value.denominator)).sqrt() for value in t]
        return [dot(row, x) / Fraction(root) for row, root in zip(w, roots, strict=True)]
    s = [
        max(dot(row, x) + b, Fraction(0)) * 2 / value for row, b, value in zip(w, fractions(layer.bias), t, strict=True)
    ]
    return [value - dot([row[j] for row in w], s) for j, value in enumerate(x)]


@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("kind", ["dense", "dense, narrow", "narrowing of features"])
def test_the_rounding_of_a_layer_is_bounded(kind: str, size: float, spread: float) -> None:
    """Against fractions, and so is what it gives for zeros."""
    torch.manual_seed(0)
    layer, (features,) = LAYERS[kind][0](), LAYERS[kind][1]
    scramble(layer, size, spread)
    layer = layer.double().requires_grad_(False)
    folded = layer.folded()
    for far in (0.1, 1, 10):
        x = far * torch.randn(features, dtype=torch.float64)
        off, _ = layer.rounding(x.norm().item(), 1)
        computed = fractions(folded(x[None]))
        error = math.sqrt(sum((a - b) ** 2 for a, b in zip(computed, true_layer(layer, fractions(x)), strict=True)))
        assert 0 < error <= off < 1e-9 * (1 + x.norm())
    zeros = true_layer(layer, [Fraction(0)] * features)
    assert math.sqrt(sum(value**2 for value in zeros)) <= layer.rounding(1.0, 1)[1] * (1 + 1e-12)


def test_the_rounding_of_a_backbone_that_cancels_is_bounded() -> None:
    """Biases of 1e13 on every pixel, of which a narrowing takes differences, where float64 left a few thousandths."""
    torch.manual_seed(0)
    model = models.build("sll8-1", 10, [0.0], [1.0])
    model[1].images[2].bias.data.fill_(1e13)
    rows = torch.zeros(64, 32, 8, 8)
    for row in range(64):
        rows[row, row % 32, 3, 2 + row // 32 * 2 : 4 + row // 32 * 2] = torch.tensor([1.0, -1.0])
    model[1].vectors[0].weight.data = rows.flatten(1)
    exact, x = models.exact(model), torch.rand(20, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        z = exact.features(x)
        apart = (z - models.linear(copy.deepcopy(model).double()).features(x)).norm(dim=1)
    assert z.norm(dim=1).max() < 10
    assert 1e-4 < apart.max() <= exact.rounding


@pytest.mark.parametrize("arch", ["sll8-4", "sll32-2"])
@pytest.mark.parametrize("steps", [0, 3])
def test_what_float64_rounds_costs_no_certificate(arch: str, steps: int) -> None:
    """Radii are read to 1e-3, and curves of them in steps of that."""
    torch.manual_seed(0)
    side = int(arch[3:].partition("-")[0])
    model, x = models.build(arch, 10, [0.4] * 3, [1.0] * 3), torch.rand(16, 3, side, side)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(model(x), torch.arange(16) % 10).backward()
        optimizer.step()
    assert 0 < models.exact(model).rounding < 1e-5


def test_a_trained_backbone_rounds_next_to_nothing(backbones: dict[str, Path]) -> None:
    for path in backbones.values():
        assert 0 < models.exact(models.load(path, "base")[0]).rounding < 1e-7


def test_what_a_bound_is_for_runs_without_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scalings of layers, too."""
    convolve, enabled = F.conv2d, []

    def noting(*arguments: Any, **options: Any) -> torch.Tensor:
        enabled.append(torch.backends.cudnn.enabled)
        return convolve(*arguments, **options)

    monkeypatch.setattr(F, "conv2d", noting)
    exact = models.exact(models.build("sll8-1", 10, [0.3], [1.0]))
    scalings = len(enabled)
    exact.features(torch.rand(2, 1, 8, 8, dtype=torch.float64))
    assert 0 < scalings < len(enabled)
    assert not any(enabled)
    assert torch.backends.cudnn.enabled


@pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf])
def test_of_weights_that_are_no_numbers_no_bound_is_known(fault: float) -> None:
    for part in ("images.2.weight", "images.2.bias", "vectors.0.weight", "vectors.1.bias"):
        model = models.build("sll8-1", 10, [0.3], [1.0])
        model[1].get_parameter(part).data.view(-1)[1] = fault
        assert models.exact(model).rounding == math.inf, part
    assert models.exact(models.build("sll8-1", 10, [fault], [1.0])).rounding == math.inf
    assert models.linear(models.build("sll8-1", 10, [0.3], [1.0])).rounding == math.inf  # of float32, too


def rounded_vectors(layer: Scaled) -> float:
    """How many vectors of the norm of its input a layer's pass in bfloat16 rounds.

    A layer x - 2 W T^-1 s rounds its input, W'x, s and what it subtracts, each of which is worth at most 2|x|; a
    narrowing rounds its input, its output, and T^-1/2 W entry by entry.
    """
    if not isinstance(layer, Narrowing):
        return 8
    return 2 + torch.linalg.matrix_norm(layer.folded().weight.flatten(1).abs(), 2).item()


@pytest.mark.parametrize("kind", list(LAYERS))
def test_under_autocast_the_scaling_is_that_of_the_rounded_weights(kind: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[kind][0]()
    scramble(layer, 1.0, spread=1.0)
    with torch.autocast("cpu", torch.bfloat16):
        weight, t = layer.scaled()
    assert weight.dtype == t.dtype == torch.float32
    assert torch.equal(weight, layer.weight.bfloat16().float())
    layer.weight.data = weight
    assert torch.equal(t, layer.scaled()[1])


def test_under_autocast_only_activations_are_rounded_further(pixels: torch.Tensor) -> None:
    """Each pass rounds some vectors, by at most half a bit of their norm, and no layer makes that error larger.

    No norm exceeds |x|, as biases are 0.
    """
    model = network("sll8-2", 1, False).float()
    exact = network("sll8-2", 1, False).float()
    for layer in (*model.modules(), *exact.modules()):
        if isinstance(layer, Scaled):
            nn.init.normal_(layer.q, std=0.3, generator=torch.Generator().manual_seed(layer.q.numel()))
    errors = 0.0
    for layer in exact.modules():
        if isinstance(layer, Scaled):
            layer.weight.data = layer.weight.bfloat16().float()
            errors += rounded_vectors(layer)
    centred = pixels.float() - 0.3
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            features = model[1].backbone(centred).double()
        off = (features - exact.double()[1].backbone(centred.double())).norm(dim=1) / centred.flatten(1).norm(dim=1)
    assert 1e-4 < off.max() <= errors * HALF_BIT


@pytest.mark.parametrize("kind", list(LAYERS))
def test_a_layer_folded_does_the_same(kind: str) -> None:
    make, shape = LAYERS[kind]
    torch.manual_seed(0)
    layer, x = make().double(), torch.randn(4, *shape, dtype=torch.float64)
    scramble(layer, 1.0, spread=1.0)
    with torch.no_grad():
        folded = layer.folded()
        torch.testing.assert_close(folded(x), layer(x), rtol=1e-12, atol=1e-12)
    assert not any(isinstance(part, Scaled) for part in folded.modules())


@pytest.mark.parametrize(("arch", "channels"), [("sll8-2", 1), ("sll32-1", 3), ("linear", 6), ("mlp-8-5", 6)])
def test_fold_keeps_the_function(arch: str, channels: int) -> None:
    torch.manual_seed(3)
    side = int(arch[3:].partition("-")[0]) if arch.startswith("sll") else 1
    model = models.build(arch, 10, [0.1 * c for c in range(channels)], [0.5 + 0.1 * c for c in range(channels)])
    scramble(model, 0.3, spread=0.3)
    x = torch.rand(8, channels, side, side, dtype=torch.float64)
    # A product and a sum are reordered in each of a dozen layers of up to 8,192 inputs.
    for dtype, error in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        with torch.no_grad():
            before = model.to(dtype)(x.to(dtype))
            mean, folded = models.fold(model)
            torch.testing.assert_close(folded(x.to(dtype) - mean), before, rtol=error, atol=error)
    assert before.std() > 0.01


@pytest.mark.parametrize("arch", ["sll8-1", "mlp-8"])
def test_the_engine_predicts_as_the_network(backbones: dict[str, Path], pixels: torch.Tensor, arch: str) -> None:
    if arch == "mlp-8":
        torch.manual_seed(0)
        model, images = models.build(arch, 10, [0.1] * 64, [0.5] * 64), pixels.float().view(-1, 64, 1, 1)
    else:
        model, images = models.load(backbones["fp32"], "base")[0], pixels.float()
    engine = engines.build(model.eval(), images.shape[1:], device=torch.device("cpu"))
    with torch.no_grad():
        expected = model.double()(images.double())
    torch.testing.assert_close(engine.logits(images).double(), expected, rtol=1e-4, atol=1e-4)  # logits of order 1
    top = expected.topk(2).values
    clear = top[:, 0] - top[:, 1] > 1e-3
    assert clear.float().mean() > 0.9
    assert torch.equal(engine.logits(images).argmax(1)[clear], expected.argmax(1)[clear])


# Names.


@pytest.mark.parametrize(
    ("arch", "unshuffle", "stages", "features"),
    [
        ("sll8-2", 1, [(32, 8)], 64),
        ("sll28-1", 1, [(32, 28), (64, 14), (128, 7)], 224),
        ("sll32-3", 2, [(64, 16), (128, 8)], 256),
        ("sll64-1", 4, [(64, 16), (128, 8)], 512),
        ("sll224-2", 4, [(64, 56), (128, 28), (256, 14), (512, 7)], 1792),
    ],
)
def test_shapes(arch: str, unshuffle: int, stages: list[tuple[int, int]], features: int) -> None:
    shape = sll_names.shape(arch)
    assert shape == sll_names.SllShape(unshuffle, stages, int(arch[-1]), features)
    # Every stage has as many numbers as the image with its channels filled, or half of those of the one before.
    assert all(b[0] == 2 * a[0] and 2 * b[1] == a[1] for a, b in itertools.pairwise(stages))


@pytest.mark.parametrize(
    "arch", ["sll32", "sll-2", "sll8-0", "sll0-1", "sllx-1", "sll8-1-1", "sll30-1", "sll33-1", "sll"]
)
def test_networks_that_there_are_not(arch: str) -> None:
    for known in (sll_names.shape, architectures.cost):
        with pytest.raises(ValueError, match=rf"must be .*got '{arch}'"):
            known(arch)
    with pytest.raises(ValueError, match=r"must be .*got"):
        models.build(arch, 10, [0.5], [0.25])


def test_too_many_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="channels must be at most 32 for sll8-1, got 33"):
        Sll("sll8-1", 33, 10)
    with pytest.raises(ValueError, match="channels must be at most 16 for sll32-1, got 17"):
        Sll("sll32-1", 17, 10)


@pytest.mark.parametrize("arch", ["linear", "mlp-16", "mlp-16-8"])
def test_networks_on_embeddings(arch: str) -> None:
    widths = architectures.head(arch)
    model = models.build(arch, 7, [0.5] * 12, [0.25] * 12)
    assert model(torch.rand(3, 12, 1, 1)).shape == (3, 7)
    ends = [12, *widths, 7]
    assert sum(p.numel() for p in model.parameters()) == sum(a * b + b for a, b in itertools.pairwise(ends))
    assert architectures.cost(arch) > 0
    assert not architectures.embeds(arch)


@pytest.mark.parametrize("arch", ["mlp", "mlp-", "mlp-0", "mlp-8-", "linear-2", "resnet20"])
def test_what_is_no_network_on_embeddings(arch: str) -> None:
    assert architectures.head(arch) is None


@pytest.mark.parametrize(("arch", "channels"), [("sll8-2", 1), ("sll32-1", 3), ("sll64-1", 3)])
def test_the_cost_is_the_multiply_adds(arch: str, channels: int) -> None:
    side = int(arch[3:].partition("-")[0])
    _, folded = models.fold(models.build(arch, 10, [0.5] * channels, [0.25] * channels))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        folded(torch.rand(1, channels, side, side))
    adds = (counter.get_total_flops() - sum(counter.get_flop_counts()["Sll.fc"].values())) / 2  # the last layer is free
    cost = architectures.cost(arch) * architectures.LAYER * (side / 32) ** 2
    assert cost == pytest.approx(adds, rel=1e-9)
    assert 0.8 < cost / (counter.get_total_flops() / 2) < 1  # narrowings and the linear layer are left out


def test_a_plan_knows_their_weights() -> None:
    for arch, channels, side in (("sll8-1", 3, 8), ("linear", 256, 1), ("mlp-16", 256, 1)):
        model = models.build(arch, 10, [0.5] * channels, [0.25] * channels)
        whole = data.Shape(train=1, test=1, classes=10, channels=channels, size=side)
        assert measuring.weights(arch, whole) == sum(4 * tensor.numel() for tensor in model.state_dict().values())
