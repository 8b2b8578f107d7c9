"""Measured certification time per image (section V-C): Cohen et al.'s CERTIFY and Algorithm 1, side by side."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import models
from accelerated_smoothing.certify import Guarantee, statistics
from accelerated_smoothing.certify.methods import accelerated
from accelerated_smoothing.config import Sampling
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import write_text
from accelerated_smoothing.models import embedding
from accelerated_smoothing.noise import distribution as distribution_of
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
    kernels: str | None = None,
    head: Path | None = None,
) -> None:
    """Time one whole certificate at a time, from the image to its radius, and write every measurement.

    Each method first runs once untimed at each N. The repeats interleave methods and sizes, so that other load on the
    machine affects all of them alike. The surrogate's pass does not depend on N; it is measured at each N nevertheless.

    Args:
        base: weight file of f.
        surrogates: weight files. The name of the architecture is the method in the output.
        images: that are certified, one at a time.
        output: TSV with the columns method, guarantee, n, image, repeat, seconds, arithmetic.
        sampled: how f is sampled. Its sizes are the values of N.
        sigma: scale of the noise.
        distribution: of the noise.
        n0: draws that select or verify the top class.
        alpha: probability that a certificate is wrong, at most.
        seed: of the noise.
        repeats: measurements of each image, method and N.
        device: on which the networks run.
        kernels: of f's blocks on a GPU, see `engines.build`.
        head: weight file of a network on the embeddings by f's backbone, where f is an SLL network. The method
            `embedded` is CERTIFY with noise on the embedding, and its time includes the backbone (FaRS, section 2.1).

    Raises:
        InputError: a surrogate was trained for another sigma, or the head for embeddings by another backbone.
    """
    model, description = models.load(base, "base")
    pixels, shape = images.pixels(), images.images.shape[1:]
    # What does not depend on the image is built before the clock starts.
    build = partial(engines.build, device=device)
    # A GPU's batch is part of the arithmetic in counts, but a certificate of few draws need not wait for a whole one.
    batches = {n: min(n, engines.batch(shape, device, sampled.batch_size, n)) for n in {n0, *sampled.sizes}}
    f = {
        batch: build(model, shape, precision=sampled.precision, batch_size=batch, kernels=kernels)
        for batch in set(batches.values())
    }

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

    radius = partial(distribution_of(distribution).radius, scale=sigma)

    def cohen(image: np.ndarray, n: int, by: Callable[[int], engines.Engine | None] = lambda _: None) -> None:
        top = draw(image, n0, "selection", by(n0))[0].argmax()
        radius(statistics.lower_bound(draw(image, n, "estimation", by(n))[0, top], n, alpha))

    def by_surrogate(h: engines.Engine) -> Callable[[np.ndarray, int], None]:
        def certify(image: np.ndarray, n: int) -> None:
            predicted = statistics.predict(draw(image, n0, "selection"), alpha)
            accelerated.radii(surrogate.predict(h, image[None]), predicted, n, alpha, radius)

        return certify

    methods: dict[str, Callable[[np.ndarray, int], None]] = {"cohen": cohen}
    guarantees: dict[str, Guarantee] = {"cohen": "sound"}
    for path in surrogates:
        h, described = models.load(path, "surrogate")
        if described["sigma"] != sigma:
            raise InputError(f"{path} must be trained for sigma {sigma}, got sigma {described['sigma']}")
        methods[described["arch"]] = by_surrogate(build(h, shape, batch_size=1, draws=1))
        guarantees[described["arch"]] = accelerated.GUARANTEE

    if head:
        layers, described = models.load(head, "base", embedding.described(images.meta, base))
        backbone, features = models.exact(model.to(device)), (len(described["mean"]), 1, 1)
        sizes = {n: min(n, engines.batch(features, device, draws=n)) for n in batches}
        on = {n: build(layers, features, precision=sampled.precision, batch_size=sizes[n]) for n in batches}

        def embedded(image: np.ndarray, n: int) -> None:
            with torch.inference_mode():
                z = backbone.features(torch.from_numpy(image[None]).double().to(device)).float().cpu().numpy()
            cohen(z.reshape(features), n, on.__getitem__)

        methods["embedded"], guarantees["embedded"] = embedded, "sound"

    for certify in methods.values():
        for n in sampled.sizes:  # a GPU builds its graphs, a CPU has an engine for each
            certify(pixels[0], n)
    rows, arithmetic = [], f[batches[sampled.sizes[-1]]].arithmetic
    for repeat in range(repeats):
        for row, image in enumerate(pixels):
            for n in sampled.sizes:
                for name, certify in methods.items():
                    begun = time.perf_counter()
                    certify(image, n)
                    seconds = time.perf_counter() - begun
                    rows.append((name, guarantees[name], n, int(images.idx[row]), repeat, seconds, arithmetic))
    table = pd.DataFrame(rows, columns=["method", "guarantee", "n", "image", "repeat", "seconds", "arithmetic"])
    write_text(output, table.to_csv(sep="\t", index=False))
