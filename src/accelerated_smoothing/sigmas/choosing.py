"""Choosing sigmas for a whole split, in one of the `ways/` (Alfarra et al. 2022, section 3.4).

The draws that choose a sigma have their own purposes, so the draws that certify with it are independent of the choice.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

from accelerated_smoothing import models, noise, sigmas
from accelerated_smoothing.config import Section
from accelerated_smoothing.counting import engines
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_arrays
from accelerated_smoothing.progress import Checkpoint, Resumable, partial


def run(
    way: str,
    base: Path,
    images: Images,
    output: Path,
    train: Images | None = None,
    *,
    at: list[int],
    settings: Section,
    sigma: float,
    distribution: str,
    seed: int,
    device: torch.device,
    code: str,
) -> None:
    """Choose the sigmas of some images and write them to `output`.

    All batches have the same size, and the last is filled up, so that a sigma does not depend on other images.

    Args:
        way: name of the way.
        base: weight file of f.
        images: of one split.
        train: training images, for a way that needs them.
        output: the sigmas; while the run lasts, `<output>.partial.npz` holds what is done.
        at: numbers of steps or samples, ascending.
        settings: of the way.
        sigma: of the base classifier's training, where the choice starts.
        distribution: of the noise.
        seed: the root seed.
        code: digest of the code; work of other code is not continued.

    Raises:
        InputError: f was trained for another number of classes or another data set, or training images are missing.
    """
    model, _ = models.load(base, "base", images.meta)
    layout = torch.contiguous_format if hasattr(model[1], "as_it_is") else torch.channels_last
    model = model.to(device).to(memory_format=layout).requires_grad_(False)  # type: ignore[call-overload]
    forward = models.compiled(model) if device.type == "cuda" else model
    module, shape = sigmas.way(way), images.images.shape[1:]
    if hasattr(module, "REFERENCE") != (train is not None):
        wanted, got = ("none", "some") if train else ("training images", "none")
        raise InputError(f"--train must be {wanted}, since sigmas are chosen by {way}, got {got}")
    more = {"train": torch.from_numpy(train.pixels()).to(device)} if train else {}
    margin = noise.distribution(distribution).margin
    size = max(1, engines.batch(shape, device) // module.copies(settings, at))
    meta = {
        "kind": "sigmas",
        "way": way,
        "sigma": sigma,
        "noise": distribution,
        "seed": seed,
        "base": sha256(base),
        "dataset": images.meta["dataset"],
        "split": images.meta["split"],
        **settings.model_dump(mode="json"),
        **({"train": hashlib.sha256(train.images.tobytes()).hexdigest()} if train else {}),
    }
    identity = {
        **meta,
        "at": at,
        "idx": images.idx.tolist(),
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "code": code,
    }
    work = {"sigmas": np.full((len(at), len(images.idx)), sigma)}
    checkpoint = Checkpoint(partial(output), identity, list(work))
    done = checkpoint.resume(work)

    def save(done: int) -> None:
        checkpoint.save(work, done)

    with Resumable("choosing", len(images.idx), "images", done, save) as progress:
        for first in range(done, len(images.idx), size):
            rows = np.arange(first, first + size) % len(images.idx)  # those beyond the end fill the batch
            part = images.take(rows)

            def draw(step: int, samples: int, names: np.ndarray = part.idx) -> torch.Tensor:
                key = noise.key(seed, f"{way}/{step}")
                return engines.standard(names, samples, shape, key, distribution, device)

            start = torch.full((size,), sigma, device=device)
            chosen = module.choose(
                forward, torch.from_numpy(part.pixels()).to(device), start, draw, margin, at, settings, **more
            )
            count = min(size, len(images.idx) - first)
            work["sigmas"][:, first : first + count] = chosen[:, :count].double().cpu().numpy()
            progress.advance(count)
    write_arrays(output, {"idx": images.idx, "at": np.array(at), **work}, meta)
    checkpoint.clear()
