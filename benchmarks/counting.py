"""Counting: our engine against a plain loop after Cohen et al.'s description, and against the limits of the machine."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from accelerated_smoothing import registry
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.errors import InputError
from benchmarks import CLASSES, IMAGE, Row, Size, defaults, flops, network, rates, rows

SIGMA = 0.25
LOOP_BATCHES = (1000, 100, 50)
# Expected of the engine, so that a timed run takes as long as one of the loop.
SPEEDUP = {"fp32": 3, "tf32": 6, "bf16": 6}


def plain_loop(model: torch.nn.Module, image: torch.Tensor, batch: int, samples: int) -> np.ndarray:
    """Return counts as in section 5 of Cohen et al. 2019: one image, fp32, whole batches, counted on the host."""
    counts = np.zeros(CLASSES, dtype=int)
    with torch.no_grad(), defaults():
        for start in range(0, samples, batch):
            copies = image.repeat((min(batch, samples - start), 1, 1, 1))
            predictions = model(copies + SIGMA * torch.randn_like(copies)).argmax(1)
            for predicted in predictions.cpu().numpy():
                counts[predicted] += 1
    return counts


def engine_counts(
    arch: str, device: torch.device, precision: str, kernels: str | None = None
) -> Callable[[int], object]:
    """Return a function of N that counts on one image by our engine, as the verb `count` does."""
    engine = engines.build(network(arch), IMAGE, device=device, precision=precision, kernels=kernels)
    image = np.random.default_rng(0).random((1, *IMAGE), np.float32)
    return lambda amount: sampling.count_predictions(engine, image, SIGMA, amount, 0, classes=CLASSES)


def precisions(device: torch.device) -> list[str]:
    """Return the precisions of counting that a device supports."""
    supported = []
    for precision in SPEEDUP:
        try:
            engines.build(network("resnet20"), IMAGE, device=device, precision=precision)
        except InputError:
            continue
        supported.append(precision)
    return supported


def engine_ways(device: torch.device) -> dict[str, tuple[str, str | None]]:
    """Return the precision and the kernels of each way that our engine has of counting on a device, by name."""
    kernels = registry.names("counting.kernels") if device.type == "cuda" else []
    ways = itertools.product(precisions(device), [None, *kernels])
    return {", ".join(filter(None, ["engine", *way])): way for way in ways}


def traffic(arch: str, precision: str) -> int:
    """Return the bytes of one image's forward pass if each convolution reads its input and writes its output once."""
    moved = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal moved
        moved += (inputs[0].numel() + output.numel()) * (2 if precision == "bf16" else 4)

    model = network(arch)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, *IMAGE))
    return moved


def convolution(
    channels: int, side: int, precision: str, device: torch.device, operations: float
) -> tuple[Callable[[int], None], int]:
    """Return PyTorch's 3x3 convolution alone, and the operations of one run, about as many as asked for."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    batch = 2**22 // (channels * side * side) * (8 if device.type == "cuda" else 1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(dtype).to(memory_format=torch.channels_last)

    inputs, weights = random(batch, channels, side, side), random(channels, channels, 3, 3)
    once = 2 * 9 * batch * side**2 * channels**2
    times = max(1, round(operations / once))

    def run(amount: int) -> None:
        flags = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=precision == "tf32")
        with torch.inference_mode(), flags:
            for _ in range(times):
                F.conv2d(inputs, weights, padding=1)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run, times * once


def copy(device: torch.device) -> tuple[Callable[[int], None], int]:
    """Return a function that copies memory on a GPU, and the bytes that one run reads and writes."""
    source = torch.zeros(2**28, device=device)
    target = torch.empty_like(source)

    def run(amount: int) -> None:
        for _ in range(10):
            target.copy_(source)
        torch.cuda.synchronize()

    return run, 10 * 2 * source.nbytes


def ceilings(precision: str, device: torch.device, size: Size) -> dict[str, tuple[Callable[[int], None], int]]:
    """Return convolutions alone: of many channels, the processor's best case, and of these networks' three shapes."""
    shapes = ((256, 32), (16, 32), (32, 16), (64, 8))
    return {
        f"ceiling, {precision}, {channels} channels": convolution(
            channels, side, precision, device, size.work(device) / 4
        )
        for channels, side in shapes
    }


def plain_ways(arch: str, device: torch.device, draws: int) -> dict[str, tuple[Callable[[int], object], int]]:
    """Return the plain loop at several batch sizes. Each counts `draws` noisy copies, but at least a batch."""
    model, image = network(arch).to(device), torch.rand(IMAGE, device=device)
    return {
        f"plain loop, fp32, batch {batch}": (partial(plain_loop, model, image, batch), max(draws, batch))
        for batch in LOOP_BATCHES
    }


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """Yield the speed of each network's loops and engines, and each engine's share of what limits it."""
    engine = engine_ways(device)
    for arch in size.networks:
        operations = flops(arch)
        draws = round(size.work(device) / operations)
        loops = plain_ways(arch, device, draws)
        ways = dict(loops)
        for way, (precision, kernels) in engine.items():
            ways[way] = engine_counts(arch, device, precision, kernels), draws * SPEEDUP[precision]
            ways |= {} if kernels else ceilings(precision, device, size)
        if device.type == "cuda":
            ways["memory"] = copy(device)
        speeds = rates(ways, size.repeats)
        median = {way: float(np.median(values)) for way, values in speeds.items()}
        counted = {way: speeds[way] for way in speeds if way in loops or way in engine}
        yield from rows("counting", arch, "images/s", counted, next(iter(loops)))
        best = max(loops, key=median.__getitem__)
        for way, (precision, _) in engine.items():
            dense, *stages = (median[name] / operations for name in median if name.startswith(f"ceiling, {precision}"))
            # The three stages of these networks have equally many operations, so their times add up evenly.
            bounds = {
                best: median[best],
                "convolutions of 256 channels": dense,
                "convolutions of its own three shapes": len(stages) / sum(1 / rate for rate in stages),
            }
            if device.type == "cuda":
                bounds["memory, each activation written and read once"] = median["memory"] / traffic(arch, precision)
            for name, rate in bounds.items():
                yield Row("share", arch, way, median[way], "images/s", ratio=median[way] / rate, against=name)
