"""Training: images per second of the base trainer's step, noise included, against a plain step."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import get_args

import torch
import torch.nn.functional as F

from accelerated_smoothing.config import Base, Precision
from accelerated_smoothing.training import base, loop
from benchmarks import CLASSES, IMAGE, Row, Size, defaults, flops, network, rates, rows
from benchmarks.counting import precisions

BATCH, SIGMA = 128, 0.25
PASSES = 3  # a step's operations, in those of a forward pass


def plain_step(arch: str, device: torch.device) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a step in the simplest PyTorch."""
    model = network(arch).to(device).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        with defaults():
            loss = F.cross_entropy(model(inputs + SIGMA * torch.randn_like(inputs)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.detach()

    return step


def train(
    step: Callable[..., torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
    rest: tuple[object, ...],
    amount: int,
) -> None:
    """Train on `amount` images, the same batch again and again."""
    for _ in range(amount // BATCH):
        loss = step(inputs, targets, *rest)
    loss.item()


def measure(device: torch.device, size: Size) -> Iterator[Row]:
    """Yield the speed of a plain step and of the trainer's step in each precision, for each network."""
    for arch in size.networks:
        inputs = torch.rand((BATCH, *IMAGE), device=device)
        targets = torch.randint(CLASSES, (BATCH,), device=device)
        amount = max(1, round(size.work(device) / (PASSES * flops(arch) * BATCH))) * BATCH
        ways = {"plain step, fp32": (partial(train, plain_step(arch, device), inputs, targets, ()), amount)}
        for precision in (p for p in precisions(device) if p in get_args(Precision)):
            settings = Base(arch=arch, precision=precision, batch_size=BATCH)
            sigma_x = torch.full((BATCH,), SIGMA, device=device)
            step = base.step(network(arch), "gaussian", settings, "gaussian", sigma_x, device)
            rest = (torch.arange(BATCH, device=device), 0, loop.generator(0, "benchmark", device))
            packed = inputs.to(memory_format=torch.channels_last)
            ways[f"trainer, {precision}"] = partial(train, step, packed, targets, rest), amount
        yield from rows("training", arch, "images/s", rates(ways, size.repeats), "plain step, fp32")
