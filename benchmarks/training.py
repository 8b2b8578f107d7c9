"""Training: images per second of the base trainer's step, noise and all, against a plain one."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from accelerated_smoothing.config import Base
from accelerated_smoothing.training import base, loop
from benchmarks import CLASSES, IMAGE, NETWORKS, Row, defaults, network, rates, rows
from benchmarks.counting import precisions

BATCH, REPEATS, SIGMA = 128, 4, 0.25
STEPS = {"resnet20": 4, "resnet56": 2, "resnet110": 1}


def plain_step(arch: str, device: torch.device) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A step as one would write it first."""
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
    """Train on some images, the same ones again and again."""
    for _ in range(amount // BATCH):
        loss = step(inputs, targets, *rest)
    loss.item()


def measure(device: torch.device) -> list[Row]:
    made = []
    for arch in NETWORKS:
        inputs = torch.rand((BATCH, *IMAGE), device=device)
        targets = torch.randint(CLASSES, (BATCH,), device=device)
        amount = STEPS[arch] * BATCH
        ways = {"plain step, fp32": (partial(train, plain_step(arch, device), inputs, targets, ()), amount)}
        for precision in precisions(device):
            settings, sigma_x = Base(arch=arch, precision=precision), torch.full((BATCH,), SIGMA, device=device)
            step = base.step(network(arch), "gaussian", settings, "gaussian", sigma_x, device)
            rest = (torch.arange(BATCH, device=device), False, loop.generator(0, "benchmark", device))
            packed = inputs.to(memory_format=torch.channels_last)
            ways[f"trainer, {precision}"] = partial(train, step, packed, targets, rest), amount
        made += rows("training", arch, "images/s", rates(ways, REPEATS), "plain step, fp32")
    return made
