"""Which blocks other kernels replace, and cuDNN's fused convolutions, by the definition of what they compute."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from accelerated_smoothing import Smoothed, devices, models, registry
from accelerated_smoothing.counting import engines, fusing
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.models.families.resnet import BasicBlock
from accelerated_smoothing.provenance import code

from . import drawing
from .drawing import LIMITS, SHAPE

CPU = torch.device("cpu")
KINDS = registry.names("counting.kernels")


# cuDNN's fused convolutions, as PyTorch documents them.


def relu(x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> torch.Tensor:
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups).relu()


def add_relu(x: Any, weight: Any, z: Any, alpha: Any, bias: Any, *geometry: Any) -> torch.Tensor:
    return (F.conv2d(x, weight, bias, *geometry) + alpha * z).relu()


@pytest.fixture
def cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "cudnn_convolution_relu", relu)
    monkeypatch.setattr(torch, "cudnn_convolution_add_relu", add_relu)


@pytest.fixture(scope="module")
def case(settle: Any) -> SimpleNamespace:
    return drawing.case(settle)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_fused_convolutions_have_the_logits_of_plain_ones(case: SimpleNamespace, cudnn: None, precision: str) -> None:
    plain, fused = (
        Pytorch(case.model, SHAPE, batch=30, device=CPU, precision=precision, kernels=kernels)
        for kernels in (None, "cudnn")
    )
    assert (plain.arithmetic, fused.arithmetic) == (f"cpu-pytorch-{precision}-folded", f"{plain.arithmetic}-cudnn")
    expected, logits = plain.logits(case.images), fused.logits(case.images)
    assert (logits - expected).abs().max() < LIMITS[precision][0]
    network: Any = fused.network
    blocks = [module for module in network.modules() if type(module).__name__ in ("Block", "BasicBlock")]
    assert [type(block).__name__ for block in blocks] == ["Block"] * 3


@pytest.mark.parametrize(("arch", "blocks"), [("resnet18", 8), ("imagenet-resnet50", 16)])
def test_blocks_of_torchvision_are_fused_too(cudnn: None, settle: Any, arch: str, blocks: int) -> None:
    images = torch.rand((4, *SHAPE), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    model = models.build(arch, 10, [0.5, 0.4, 0.3], [0.25, 0.2, 0.3])
    settle(model, images, seed=3)
    _, network = models.fold(model)
    network.double()
    with torch.inference_mode():
        expected = network(images.double())
        assert fusing.fuse(network, "cudnn")
        logits = network(images.double())
    assert sum(type(module).__name__ == "Block" for module in network.modules()) == blocks
    torch.testing.assert_close(logits, expected)
    plain, fused = (
        Pytorch(model, SHAPE, batch=4, device=CPU, precision="bf16", kernels=kernels) for kernels in (None, "cudnn")
    )
    # The same steps on a CPU, so they round alike.
    torch.testing.assert_close(fused.logits(images), plain.logits(images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_networks_without_such_blocks_stay_as_they_are(kind: str) -> None:
    if kind == "triton":
        pytest.importorskip("triton")
    for arch, shape in (("mlp-8", (24, 1, 1)), ("sll8-1", (3, 8, 8))):
        model = models.build(arch, 10, [0.5] * shape[0], [0.25] * shape[0]).eval()
        engine = Pytorch(model, shape, batch=2, device=CPU, kernels=kind)
        assert engine.arithmetic == "cpu-pytorch-fp32-folded"


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_within_a_network_are_found(kind: str) -> None:
    if kind == "triton":
        pytest.importorskip("triton")
    model = models.build("ensemble2-resnet8", 10, [0.5], [0.25]).eval()
    _, network = models.fold(model)
    assert fusing.fuse(network, kind)
    assert not [module for module in network.modules() if isinstance(module, BasicBlock)]


def test_an_engine_on_a_gpu_has_the_kernels_that_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(model: Any, images: Any, **options: Any) -> dict[str, Any]:
        return options

    monkeypatch.setattr("accelerated_smoothing.counting.engines.pytorch.Pytorch", made)
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    for device, kernels in (("cuda", "cudnn"), ("cuda", None), ("cpu", "cudnn")):
        options: Any = engines.build(torch.nn.Sequential(), SHAPE, device=torch.device(device), kernels=kernels)
        assert options["kernels"] == (kernels if device == "cuda" else None)


def test_unknown_kernels_are_refused() -> None:
    with pytest.raises(InputError, match=r"compute\.kernels must be one of cudnn, .*got 'cutlass'"):
        fusing.fuse(torch.nn.Sequential(), "cutlass")


def test_a_classifier_of_ones_own_has_the_kernels_that_are_asked_for(
    base: Path, digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = engines.build

    def on_a_cpu(model: Any, images: Any, **options: Any) -> Any:
        if options["device"] == CPU:  # where each classifier is tried first
            return build(model, images, **options)
        raise InputError(f"runs by {options['kernels']}")

    monkeypatch.setattr(engines, "build", on_a_cpu)
    monkeypatch.setattr(devices, "choose", lambda kind, key: torch.device("cuda"))
    with pytest.raises(InputError, match="runs by cudnn"):
        Smoothed(base, 0.5, kernels="cudnn").certify(digits.test, n=10)


def test_kernels_are_for_a_gpu_only(base: Path, digits: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "choose", lambda kind, key: CPU)
    with pytest.raises(InputError, match=r"^kernels must be null on a CPU, got 'cudnn'$"):
        Smoothed(base, 0.5, kernels="cudnn").certify(digits.test, n=10)
    with pytest.raises(InputError, match=r"^kernels must be null or one of cudnn, triton, got 'cutlass'$"):
        Smoothed(base, 0.5, kernels="cutlass")


@pytest.mark.parametrize("verb", ["count", "certify-images"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_digest_holds_the_kernels_that_are_asked_for(kind: str, verb: str) -> None:
    held = code.modules(verb, code.plugins(verb, {"kernels": [kind]}))
    assert {name for name in held if name.startswith("counting.kernels.")} == {f"counting.kernels.{kind}"}
