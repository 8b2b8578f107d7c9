"""A residual block as one kernel of Triton, without a GPU: interpreted on the CPU, and compiled for GPUs."""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from accelerated_smoothing import models
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.models.families.resnet import BasicBlock

from .drawing import LIMITS

# Inputs, outputs, height, width and stride: each stage of a CIFAR ResNet and the blocks between them, and odd sizes.
BLOCKS = [
    *((16, 16, 32, 32, 1), (16, 32, 32, 32, 2), (32, 32, 16, 16, 1), (32, 64, 16, 16, 2), (64, 64, 8, 8, 1)),
    *((16, 16, 9, 7, 1), (16, 32, 9, 7, 2), (32, 64, 2, 2, 2)),
]
DTYPES = [torch.float32, torch.bfloat16]
IMAGES = 5  # a whole program of small images and a part of one


def some_block(
    inputs: int, outputs: int, height: int, width: int, stride: int, dtype: torch.dtype
) -> tuple[BasicBlock, torch.Tensor]:
    """A folded block, and images as the block before it would make them."""
    torch.manual_seed(height)
    block = BasicBlock(inputs, outputs, stride).eval()
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
    _, network = models.fold(torch.nn.Sequential(models.Normalize([0.0] * inputs, [1.0] * inputs), block))
    images = torch.randn(IMAGES, inputs, height, width).relu()
    assert isinstance(network, BasicBlock)
    return network.to(dtype), images.to(dtype, memory_format=torch.channels_last)


def interpreted(output: Path) -> None:
    """Run Triton's kernel on every case, and write what it makes."""
    from triton import language as tl
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    from accelerated_smoothing.counting.kernels import triton

    dot = InterpreterBuilder.create_dot

    def wide(factor: Any) -> Any:
        if factor.dtype != tl.bfloat16:
            return factor
        return TensorHandle((factor.data.astype(np.uint32) << 16).view(np.float32), tl.float32)

    # Triton 3.7's interpreter multiplies the bits of bf16 numbers as integers.
    InterpreterBuilder.create_dot = lambda builder, a, b, *rest: dot(builder, wide(a), wide(b), *rest)
    arrays = {}
    for sizes in BLOCKS:
        for dtype in DTYPES:
            block, images = some_block(*sizes, dtype)
            with torch.inference_mode():
                made = triton.Block(block)(images)
            assert made.is_contiguous(memory_format=torch.channels_last)
            assert made.dtype == dtype
            arrays[f"{sizes} {dtype}"] = made.float().numpy()
    model, images = torch.load(output.with_name("network.pt"), weights_only=False)
    for precision in ("fp32", "bf16"):
        engine = Pytorch(
            model, images.shape[1:], batch=9, device=torch.device("cpu"), precision=precision, kernels="triton"
        )
        assert engine.arithmetic == f"cpu-pytorch-{precision}-folded-triton"
        arrays[precision] = engine.logits(images).numpy()
    np.savez(output, **arrays)


@pytest.fixture(scope="module")
def small(settle: Any) -> tuple[torch.nn.Sequential, torch.Tensor]:
    """A network on images of 8x8 pixels."""
    images = torch.rand((20, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    model = models.build("resnet8", 10, [0.5, 0.4, 0.3], [0.25, 0.2, 0.3])
    settle(model, images, seed=3)
    return model, images


@pytest.fixture(scope="module")
def made(
    small: tuple[torch.nn.Sequential, torch.Tensor], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """By a process of its own, since Triton looks at its environment when it is imported."""
    pytest.importorskip("triton")
    output = tmp_path_factory.mktemp("triton") / "made.npz"
    torch.save(small, output.with_name("network.pt"))
    code = f"import pathlib; from unit import test_block; test_block.interpreted(pathlib.Path({str(output)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(output))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", BLOCKS, ids=str)
def test_the_kernel_computes_a_block(
    made: dict[str, np.ndarray], sizes: tuple[int, int, int, int, int], dtype: torch.dtype
) -> None:
    """Up to rounding, of which the bound follows from the sizes of all summands."""
    block, images = some_block(*sizes, dtype)
    block, x = block.double(), images.double()
    with torch.inference_mode():
        expected = block(x)
        middle = F.relu(block.conv1(x))
        absolute = copy.deepcopy(block)
        for parameter in absolute.parameters():
            parameter.abs_()
        summands1 = absolute.conv1(x)
        through = F.conv2d(summands1, absolute.conv2.weight, padding=1)
        summands2 = absolute.conv2(middle) + (x if block.downsample is None else absolute.downsample(x))
        # What is written has 8 or 24 significant bits, and so has what is kept between the convolutions; where a GPU
        # rounds to bf16, the interpreter cuts off. Each sum of n products is in fp32, and errs by n + 2 last bits.
        unit, sums = (2**-7 if dtype == torch.bfloat16 else 2**-23), 2**-24
        kept = F.conv2d(middle, absolute.conv2.weight, padding=1) * unit
        bound = kept + unit * expected
        bound += sums * ((9 * sizes[0] + 2) * through + (9 * sizes[1] + sizes[0] + 4) * summands2)
    error = (torch.from_numpy(made[f"{sizes} {dtype}"]) - expected).abs()
    assert (error <= bound).all()
    assert expected.std() > 0.5
    assert error.max() < (0.2 if dtype == torch.bfloat16 else 1e-4)  # as large as the bound it would prove little


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_network_has_its_logits(
    made: dict[str, np.ndarray], small: tuple[torch.nn.Sequential, torch.Tensor], precision: str
) -> None:
    model, images = small
    with torch.inference_mode():
        expected = model(images).numpy()
    assert np.abs(made[precision] - expected).max() < 2 * LIMITS[precision][0]  # bf16 is cut off here, and not rounded


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("generation", [80, 90])
def test_the_kernel_compiles_for_gpus(generation: int, dtype: str) -> None:
    """Which needs no GPU: the compiler refuses much that the interpreter takes."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from accelerated_smoothing.counting.kernels import triton as ours

    constants = {**ours.sizes(16, 32, 8, 8, 2), "images": 1, "read": 64, "rows": 16, "precision": "ieee"}
    types = {name: f"*{dtype}" for name in ours.kernel.arg_names if name not in constants} | {"count": "i32"}
    source = ASTSource(
        fn=ours.kernel,
        signature=types | dict.fromkeys(constants, "constexpr"),
        constexprs={(ours.kernel.arg_names.index(name),): value for name, value in constants.items()},
    )
    target = GPUTarget("cuda", generation, 32)
    assert "ptx" in triton.compile(source, target=target, options={"num_warps": ours.WARPS}).asm


def test_a_program_has_as_much_of_any_stage() -> None:
    pytest.importorskip("triton")
    from accelerated_smoothing.counting.kernels import triton

    found = [triton.sizes(*sizes) for sizes in BLOCKS]
    assert [sizes["images"] for sizes in found] == [1, 1, 2, 2, 4, 16, 16, 128]
    assert [sizes["read"] for sizes in found] == [1024, 1024, 512, 512, 256, 1024, 1024, 512]
    assert [sizes["rows"] for sizes in found] == [1024, 256, 512, 128, 256, 1024, 512, 128]
    assert [sizes["shortcut"] for sizes in found] == [False, True, False, True, False, False, True, True]
