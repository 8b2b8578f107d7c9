"""Counting: our engine against a plain loop after Cohen et al.'s description, and against the machine's own limits."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.errors import InputError
from benchmarks import CLASSES, IMAGE, NETWORKS, Row, defaults, network, rates, rows

SIGMA, REPEATS = 0.25, 5
LOOP_BATCHES = (1000, 400, 100, 50)
# Draws of one timed run of the loop, at least a batch: a second or so on two cores.
AMOUNTS = {"resnet20": 2000, "resnet56": 800, "resnet110": 400}


def plain_loop(model: torch.nn.Module, image: torch.Tensor, batch: int, samples: int) -> np.ndarray:
    """Counts as in section 5 of Cohen et al. 2019: one image, fp32, whole batches, counted on the host."""
    counts = np.zeros(CLASSES, dtype=int)
    with torch.no_grad(), defaults():
        for begin in range(0, samples, batch):
            copies = image.repeat((min(batch, samples - begin), 1, 1, 1))
            predictions = model(copies + SIGMA * torch.randn_like(copies)).argmax(1)
            for predicted in predictions.cpu().numpy():
                counts[predicted] += 1
    return counts


def engine_counts(arch: str, device: torch.device, precision: str) -> Callable[[int], object]:
    """Counting by our engine, as the verb `count` does it: the amount is N of one image."""
    engine = engines.build(network(arch), IMAGE, device=device, precision=precision)
    image = np.random.default_rng(0).random((1, *IMAGE), np.float32)
    return lambda amount: sampling.count_predictions(engine, image, SIGMA, amount, 0, classes=CLASSES)


def precisions(device: torch.device) -> list[str]:
    """The precisions that a device has."""
    found = []
    for precision in ("fp32", "bf16"):
        try:
            engines.build(network("resnet20"), IMAGE, device=device, precision=precision)
        except InputError:
            continue
        found.append(precision)
    return found


def flops(arch: str) -> int:
    """Floating-point operations of one image's forward pass, a multiplication and an addition being two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(arch)(torch.zeros(1, *IMAGE))
    return counter.get_total_flops()


def traffic(arch: str, precision: str) -> int:
    """Bytes that one image's forward pass moves if each convolution reads its input and writes its output once."""
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


def convolution(channels: int, size: int, precision: str, device: torch.device) -> tuple[Callable[[int], None], int]:
    """PyTorch's 3x3 convolution alone, and operations of one run: what the processor can do at best."""
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    batch = 2**22 // (channels * size * size) * (8 if device.type == "cuda" else 1)

    def made(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device).to(dtype).to(memory_format=torch.channels_last)

    inputs, weights = made(batch, channels, size, size), made(channels, channels, 3, 3)
    once = 2 * 9 * batch * size**2 * channels**2
    times = max(1, round(3e10 / once))

    def run(amount: int) -> None:
        with torch.inference_mode():
            for _ in range(times):
                F.conv2d(inputs, weights, padding=1)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return run, times * once


def copy(device: torch.device) -> tuple[Callable[[int], None], int]:
    """Copying memory on the device, and the bytes of one run, read and written."""
    source = torch.zeros(2**28, device=device)
    target = torch.empty_like(source)

    def run(amount: int) -> None:
        for _ in range(10):
            target.copy_(source)
        torch.cuda.synchronize()

    return run, 10 * 2 * source.nbytes


def ceilings(precision: str, device: torch.device) -> dict[str, tuple[Callable[[int], None], int]]:
    """Convolutions alone: of many channels, where the processor is at its best, and of these networks' three shapes."""
    shapes = ((256, 32), (16, 32), (32, 16), (64, 8))
    return {
        f"ceiling, {precision}, {channels} channels": convolution(channels, size, precision, device)
        for channels, size in shapes
    }


def plain_ways(arch: str, device: torch.device) -> dict[str, tuple[Callable[[int], object], int]]:
    """The plain loop at several batches."""
    model, image = network(arch).to(device), torch.rand(IMAGE, device=device)
    amount = AMOUNTS[arch] * (50 if device.type == "cuda" else 1)
    return {
        f"plain loop, fp32, batch {batch}": (partial(plain_loop, model, image, batch), max(amount, batch))
        for batch in LOOP_BATCHES
    }


def measure(device: torch.device) -> list[Row]:
    """Each network's loops and engines, and each engine's share of what bounds it."""
    made, known = [], precisions(device)
    for arch in NETWORKS:
        loops = plain_ways(arch, device)
        ways = dict(loops)
        for precision in known:
            amount = AMOUNTS[arch] * {"fp32": 3, "bf16": 12}[precision] * (50 if device.type == "cuda" else 1)
            ways[f"engine, {precision}"] = engine_counts(arch, device, precision), amount
            ways |= ceilings(precision, device)
        if device.type == "cuda":
            ways["memory"] = copy(device)
        taken = rates(ways, REPEATS)
        median = {way: float(np.median(values)) for way, values in taken.items()}
        compared = {way: taken[way] for way in taken if way in loops or way.startswith("engine")}
        made += rows("counting", arch, "images/s", compared, next(iter(loops)))
        best = max(loops, key=median.__getitem__)
        for precision in known:
            way = f"engine, {precision}"
            dense, *own = (median[name] / flops(arch) for name in median if name.startswith(f"ceiling, {precision}"))
            # The three stages of these networks have equally many operations, so their times add up evenly.
            bounds = {
                best: median[best],
                "convolutions of 256 channels": dense,
                "convolutions of its own three shapes": len(own) / sum(1 / rate for rate in own),
            }
            if device.type == "cuda":
                bounds["memory, each activation written and read once"] = median["memory"] / traffic(arch, precision)
            made += [
                Row("share", arch, way, median[way], "images/s", ratio=median[way] / rate, against=name)
                for name, rate in bounds.items()
            ]
    return made
