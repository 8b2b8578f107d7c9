"""Certification time per image, measured (section V-C): Cohen et al.'s CERTIFY and Algorithm 1, side by side."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import models, sampling, statistics
from accelerated_smoothing.certify import accelerated
from accelerated_smoothing.data import Images
from accelerated_smoothing.files import InputError, write_text
from accelerated_smoothing.training import surrogate


def measure(
    base: Path,
    surrogates: list[Path],
    images: Images,
    output: Path,
    *,
    sigma: float,
    sizes: list[int],
    batch_size: int,
    n0: int,
    alpha: float,
    seed: int,
    repeats: int,
    device: torch.device,
) -> None:
    """Time one whole certificate at a time, from the image to its radius, and write every measurement.

    Each method runs once untimed first; the repeats interleave methods and sizes, so that whatever else the machine
    does falls on all of them alike. The surrogate's pass does not depend on N; it is measured at each N all the same.

    Args:
        surrogates: weight files; a row's method is the architecture's name.
        output: TSV with columns method, sound, n, image, repeat, seconds, arithmetic.

    Raises:
        InputError: a surrogate was trained for another sigma.
    """
    model, description = models.load(base, "base")
    model = sampling.prepare(model, device)
    pixels = torch.from_numpy(images.pixels()).to(device)

    def draw(image: torch.Tensor, samples: int, purpose: str) -> np.ndarray:
        counted, _ = sampling.count_predictions(
            model,
            image[None],
            sigma,
            samples,
            seed,
            classes=description["classes"],
            purpose=purpose,
            batch_size=batch_size,
        )
        return counted[0]

    def cohen(image: torch.Tensor, n: int) -> None:
        top = draw(image, n0, "selection")[0].argmax()
        statistics.radius(statistics.lower_bound(draw(image, n, "estimation")[0, top], n, alpha), sigma)

    def ours(h: torch.nn.Module) -> Callable[[torch.Tensor, int], None]:
        def certify(image: torch.Tensor, n: int) -> None:
            predicted = statistics.predict(draw(image, n0, "selection"), alpha)
            accelerated.radii(surrogate.predict(h, image[None]), predicted, n, alpha, sigma)

        return certify

    methods: dict[str, Callable[[torch.Tensor, int], None]] = {"cohen": cohen}
    for path in surrogates:
        h, described = models.load(path, "surrogate")
        if described["sigma"] != sigma:
            raise InputError(f"{path}: was trained for sigma {described['sigma']}, not {sigma}")
        methods[described["arch"]] = ours(sampling.prepare(h, device))

    for certify in methods.values():
        certify(pixels[0], sizes[0])
    rows, arithmetic = [], sampling.arithmetic(device, batch_size)
    for repeat in range(repeats):
        for row, image in enumerate(pixels):
            for n in sizes:
                for name, certify in methods.items():
                    begun = time.perf_counter()
                    certify(image, n)
                    seconds = time.perf_counter() - begun
                    rows.append((name, int(name == "cohen"), n, int(images.idx[row]), repeat, seconds, arithmetic))
    table = pd.DataFrame(rows, columns=["method", "sound", "n", "image", "repeat", "seconds", "arithmetic"])
    write_text(output, table.to_csv(sep="\t", index=False))
