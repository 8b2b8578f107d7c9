"""Images per second of a network on this machine, and the size of its weights."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from accelerated_smoothing.architectures import of_file, outputs
from accelerated_smoothing.config import Config

if TYPE_CHECKING:
    import torch

    from accelerated_smoothing.data import Shape
    from accelerated_smoothing.workflow.plan import Stage

MEASURE_SECONDS = 2.0


def network(arch: str, images: "Shape") -> "torch.nn.Sequential":
    """Return a network with random weights for images of this shape."""
    from accelerated_smoothing import models

    return models.build(arch, images.classes, [0.5] * images.channels, [0.25] * images.channels)


def weights(arch: str, images: "Shape") -> int:
    """Return the bytes of a network's weights."""
    import torch

    with torch.device("meta"):  # takes no memory and no time
        return sum(tensor.nbytes for tensor in network(arch, images).state_dict().values())


def rate(stage: "Stage", config: Config, images: "Shape", device: "torch.device") -> float:
    """Return the images per second of a stage on this machine, from noise to counts or in training.

    Weights are random, but for a program. If sigmas ascend in training, they do so in every measured step.
    """
    import numpy as np
    import torch

    from accelerated_smoothing import models
    from accelerated_smoothing.counting import engines, sampling
    from accelerated_smoothing.models import embedding, importing
    from accelerated_smoothing.training import base, loop, surrogate

    size = (images.channels, images.size, images.size)
    file = next((file for file in config.checkpoints.values() if of_file(file) == stage.arch), "")
    about = {"dataset": config.dataset.name, "classes": images.classes, "mean": [0.0] * images.channels}
    model = importing.program(Path(file), stage.arch, about, 0)[0] if file else network(stage.arch, images)
    if stage.trains:
        batch = getattr(config, stage.trains).batch_size
        inputs = torch.rand((batch, *size), device=device).to(memory_format=torch.channels_last)
        rest: tuple[object, ...]
        if stage.trains == "base":
            sigma_x, rows = torch.full((batch,), config.sigmas[0], device=device), torch.arange(batch, device=device)
            levels = config.taught_at(config.sigmas[-1]) if config.teacher else []
            teachers = [(network(stage.arch, images).eval(), sigma) for sigma in levels]  # as if they were f
            step = base.step(model, config.training, config.base, config.noise, sigma_x, device, teachers)
            rest = (rows % images.classes, rows, config.base.epochs - 1, loop.generator(0, "measure", device))
        else:
            step = surrogate.step(model, config.surrogate, device)
            rest = (torch.full((batch, images.classes), 1 / images.classes, device=device),)

        def work(amount: int) -> None:
            for _ in range(0, amount, batch):
                loss = step(inputs, *rest)
            loss.item()
    elif stage.exact:
        batch = embedding.BATCH
        linear = models.exact(model.eval().to(device))
        pixels = torch.rand((batch, *size), dtype=torch.float64, device=device)

        def work(amount: int) -> None:
            with torch.inference_mode():
                for _ in range(0, amount, batch):
                    linear.features(pixels).cpu()
    else:
        sampled, batch = config.sampling, 256
        engine = engines.build(
            model.eval(),
            size,
            device=device,
            precision=sampled.precision,
            batch_size=sampled.batch_size,
            kernels=config.compute.kernels,
        )

        def work(amount: int) -> None:
            image = np.zeros((1, *size), np.float32)
            sampling.count_predictions(engine, image, 0.25, amount, 0, classes=outputs(stage.arch, images.classes))

    amount = batch
    while True:
        work(amount)  # the first run is slower
        start = time.perf_counter()
        work(amount)
        seconds = time.perf_counter() - start
        if seconds > MEASURE_SECONDS / 2:
            return amount / seconds
        amount *= 2
