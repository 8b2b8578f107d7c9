"""PyTorch's engine where it is the engine: on a GPU. On a CPU the same tests test the reference, and themselves.

A machine with a GPU may have no OpenVINO, so no module here imports it.
"""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from accelerated_smoothing import devices, noise, progress, registry
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.counting.engines import Draws, Engine
from accelerated_smoothing.counting.engines.pytorch import BATCHES, Pytorch

from . import drawing
from .drawing import GPU, LIMITS, SHAPE, assert_same_but_for_ties, copies, plain, predicted


@pytest.fixture(scope="module")
def case(settle: Any) -> SimpleNamespace:
    return drawing.case(settle)


@pytest.fixture(scope="module", params=["cpu", GPU])
def device(request: pytest.FixtureRequest) -> str:
    return devices.choose(request.param, "device").type


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def pytorch(request: pytest.FixtureRequest, case: SimpleNamespace, device: str) -> Pytorch:
    return Pytorch(case.model, SHAPE, batch=64, device=torch.device(device), precision=request.param)


def counted(predictor: Engine, case: SimpleNamespace, rows: Any, **options: Any) -> np.ndarray:
    idx = np.arange(6)[rows]
    images = case.images[:6].numpy()[rows]
    return sampling.count_predictions(predictor, images, 0.5, [100, 250, 400], 0, classes=10, idx=idx, **options)[0]


def test_counts_of_pytorch_do_not_depend_on_the_shards(case: SimpleNamespace, pytorch: Pytorch) -> None:
    whole = counted(pytorch, case, slice(None))
    assert (whole.sum(2) == [100, 250, 400]).all()
    shards = [counted(pytorch, case, rows) for rows in ([0, 1], [2, 3], [4, 5])]
    np.testing.assert_array_equal(np.concatenate(shards), whole)


def test_counts_of_pytorch_do_not_depend_on_an_interruption(
    case: SimpleNamespace, pytorch: Pytorch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SAVE_SECONDS", -1.0)
    whole = counted(pytorch, case, slice(None))
    checkpoint = progress.Checkpoint(tmp_path / "work.npz", {}, ["tally", "seconds"])
    predictions = pytorch.predictions

    def stopped(draws: Draws, start: int = 0) -> Any:
        yield next(predictions(draws, start))
        raise InterruptedError

    monkeypatch.setattr(pytorch, "predictions", stopped)
    with pytest.raises(InterruptedError):
        counted(pytorch, case, slice(None), checkpoint=checkpoint)
    monkeypatch.undo()
    kept = checkpoint.load()
    assert kept is not None
    assert kept[1] == BATCHES * 64
    np.testing.assert_array_equal(counted(pytorch, case, slice(None), checkpoint=checkpoint), whole)


def test_predictions_of_pytorch_are_those_of_a_plain_loop(case: SimpleNamespace, pytorch: Pytorch) -> None:
    device = pytorch.device.type
    logits = plain(copy.deepcopy(case.model).to(device), copies(case.draws, device)).cpu()
    precision = "fp32" if "fp32" in pytorch.arithmetic else "bf16"
    assert_same_but_for_ties(predicted(pytorch, case.draws), logits, *LIMITS[precision][1:])


@pytest.mark.parametrize("kind", registry.names("noise.distributions"))
@pytest.mark.parametrize("shape", [SHAPE, (1, 8, 8), (1, 3, 3)])
def test_the_noise_of_the_devices_is_nearly_the_same(device: str, shape: tuple[int, ...], kind: str) -> None:
    images = np.random.default_rng(2).random((3, *shape), np.float32)
    sizes = np.array([1, 0.5, 0.25], np.float32)
    draws = Draws(images, np.array([5, 2**32 - 1, 0]), 500, sizes, noise.key(2, "estimation"), kind)
    # Up to 6.66 in float32, whose ulp is 4.8e-7, by logarithms and sines of a few ulps; Laplace variables of these
    # 4.6 million reach 16, whose ulp is 9.5e-7, by a logarithm alone.
    torch.testing.assert_close(copies(draws, device).cpu(), copies(draws), rtol=0, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_arithmetic_of_a_gpu_names_the_batch(case: SimpleNamespace) -> None:
    predictor = engines.build(case.model, SHAPE, device=torch.device("cuda"), batch_size=64)
    assert predictor.arithmetic == "cuda-pytorch-fp32-folded-batch64"
    assert torch.cuda.get_device_name() in predictor.build


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("kernels", [None, *registry.names("counting.kernels")])
def test_a_gpu_predicts_what_the_network_does(case: SimpleNamespace, kernels: str | None, precision: str) -> None:
    """In every arithmetic that it has; TF32 has more significant bits than bf16."""
    device, limits = devices.choose("cuda", "device"), LIMITS.get(precision, LIMITS["bf16"])
    predictor = Pytorch(case.model, SHAPE, batch=64, device=device, precision=precision, kernels=kernels)
    assert predictor.arithmetic == "-".join(filter(None, ["cuda-pytorch", precision, "folded", kernels, "batch64"]))
    logits = predictor.logits(case.images)
    assert (logits - plain(case.model, case.images)).abs().max() < limits[0]
    expected = plain(copy.deepcopy(case.model).to(device), copies(case.draws, "cuda")).cpu()
    assert_same_but_for_ties(predicted(predictor, case.draws), expected, *limits[1:])
    assert torch.equal(predictor.logits(case.images), logits)  # graphs leave one another's results alone
    assert not torch.backends.cudnn.allow_tf32
