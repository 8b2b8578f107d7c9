"""Certification time per image, measured (section V-C): Cohen et al.'s CERTIFY and Algorithm 1, side by side."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import models
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.certify.methods import accelerated
from accelerated_smoothing.config import Sampling, distribution_module
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import write_text
from accelerated_smoothing.models import embedding
from accelerated_smoothing.training import surrogate


def measure(
    base: Path,
    surrogates: list[Path],
    images: Images,
    output: Path,
    *,
    sampled: Sampling,
    sigma: float,
    distribution: str,
    n0: int,
    alpha: float,
    seed: int,
    repeats: int,
    device: torch.device,
    head: Path | None = None,
) -> None:
    """Time one whole certificate at a time, from the image to its radius, and write every measurement.

    Each method runs once untimed at each N first; the repeats interleave methods and sizes, so that whatever else the
    machine does falls on all of them alike. The surrogate's pass does not depend on N; it is measured at each N all the
    same.

    Args:
        surrogates: weight files; a row's method is the architecture's name.
        head: weights of a network on the embeddings by f's backbone, f being an SLL network. The method `embedded` is
            CERTIFY with noise on the embedding, backbone and all (FaRS, section 2.1).
        sampled: how f is sampled; its sizes are the N.
        distribution: of the noise.
        output: TSV with columns method, sound, n, image, repeat, seconds, arithmetic.

    Raises:
        InputError: a surrogate was trained for another sigma, or the head for embeddings by another backbone.
    """
    model, description = models.load(base, "base")
    pixels, shape = images.pixels(), images.images.shape[1:]
    # Everything that does not depend on the image is made ready before the clock starts.
    build = partial(engines.build, device=device)
    batches = {n: engines.batch(shape, device, sampled.batch_size, n) for n in {n0, *sampled.sizes}}
    f = {batch: build(model, shape, precision=sampled.precision, batch_size=batch) for batch in set(batches.values())}

    def draw(image: np.ndarray, samples: int, purpose: str, by: engines.Engine | None = None) -> np.ndarray:
        return sampling.count_predictions(
            by or f[batches[samples]],
            image[None],
            sigma,
            samples,
            seed,
            classes=description["classes"],
            purpose=purpose,
            noise=distribution,
        )[0][0]

    radius = partial(distribution_module(distribution).radius, scale=sigma)

    def cohen(image: np.ndarray, n: int, by: Callable[[int], engines.Engine | None] = lambda _: None) -> None:
        top = draw(image, n0, "selection", by(n0))[0].argmax()
        radius(statistics.lower_bound(draw(image, n, "estimation", by(n))[0, top], n, alpha))

    def ours(h: engines.Engine) -> Callable[[np.ndarray, int], None]:
        def certify(image: np.ndarray, n: int) -> None:
            predicted = statistics.predict(draw(image, n0, "selection"), alpha)
            accelerated.radii(surrogate.predict(h, image[None]), predicted, n, alpha, radius)

        return certify

    methods: dict[str, Callable[[np.ndarray, int], None]] = {"cohen": cohen}
    for path in surrogates:
        h, described = models.load(path, "surrogate")
        if described["sigma"] != sigma:
            raise InputError(f"{path}: was trained for sigma {described['sigma']}, not {sigma}")
        methods[described["arch"]] = ours(build(h, shape, batch_size=1, draws=1))

    if head:
        layers, described = models.load(head, "base", embedding.described(images.meta, base))
        backbone, features = models.exact(model.to(device)), (len(described["mean"]), 1, 1)
        on = {n: build(layers, features, precision=sampled.precision, draws=n) for n in batches}

        def embedded(image: np.ndarray, n: int) -> None:
            with torch.inference_mode():
                z = backbone.features(torch.from_numpy(image[None]).double().to(device)).float().cpu().numpy()
            cohen(z.reshape(features), n, on.__getitem__)

        methods["embedded"] = embedded

    for certify in methods.values():
        for n in sampled.sizes:  # a GPU prepares a graph for each
            certify(pixels[0], n)
    rows, arithmetic = [], f[batches[sampled.sizes[-1]]].arithmetic
    for repeat in range(repeats):
        for row, image in enumerate(pixels):
            for n in sampled.sizes:
                for name, certify in methods.items():
                    begun = time.perf_counter()
                    certify(image, n)
                    seconds = time.perf_counter() - begun
                    rows.append(
                        (name, int(name in ("cohen", "embedded")), n, int(images.idx[row]), repeat, seconds, arithmetic)
                    )
    table = pd.DataFrame(rows, columns=["method", "sound", "n", "image", "repeat", "seconds", "arithmetic"])
    write_text(output, table.to_csv(sep="\t", index=False))
