"""Choosing sigmas: a whole split through one of the ways of `choose/`, and into a file (Alfarra et al. 2022, 3.4).

The draws that choose a sigma have purposes of their own, so those that certify with it are independent of the choice.
"""

import hashlib
from pathlib import Path

import numpy as np
import torch

from accelerated_smoothing import config, models, noise
from accelerated_smoothing.counting import engines
from accelerated_smoothing.data import Images
from accelerated_smoothing.files import sha256, write_arrays
from accelerated_smoothing.progress import Checkpoint, Progress, partial
from accelerated_smoothing.provenance.code import digest


def run(
    way: str,
    base: Path,
    images: Images,
    output: Path,
    *,
    at: list[int],
    settings: config.Section,
    sigma: float,
    distribution: str,
    seed: int,
    device: torch.device,
) -> None:
    """Choose the sigmas of some images and write them to `output`.

    Batches are of one size, the last one filled up, so that a sigma does not depend on which images are beside it.

    Args:
        way: a module of this package.
        base: weight file of f.
        images: of one split.
        at: numbers of steps or samples, ascending.
        settings: the way's.
        sigma: from which a choice starts: that of the base classifier's training.
        distribution: of the noise.

    Raises:
        InputError: f was trained for another number of classes or another kind of image.
    """
    model, _ = models.load(base, "base", images.meta)
    model = model.to(device).to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    forward = models.compiled(model) if device.type == "cuda" else model
    module, shape = config.chooser_module(way), images.images.shape[1:]
    margin = config.distribution_module(distribution).margin
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
    }
    identity = {
        **meta,
        "at": at,
        "idx": images.idx.tolist(),
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "code": digest("choose_sigmas", way=way, noise=distribution),
    }
    sigmas, done = np.full((len(at), len(images.idx)), sigma), 0
    checkpoint = Checkpoint(partial(output), identity, ["sigmas"])
    if kept := checkpoint.load():
        sigmas, done = kept[0]["sigmas"], kept[1]
    with Progress("choosing", len(images.idx), "images", show=True) as progress:
        progress.resume(done)
        for first in range(done, len(images.idx), size):
            rows = np.arange(first, first + size) % len(images.idx)  # beyond the end they are made, and not kept
            part = images.take(rows)

            def draw(step: int, samples: int, names: np.ndarray = part.idx) -> torch.Tensor:
                key = noise.key(seed, f"{way}/{step}")
                return engines.standard(names, samples, shape, key, distribution, device)

            start = torch.full((size,), sigma, device=device)
            chosen = module.choose(
                forward, torch.from_numpy(part.pixels()).to(device), start, draw, margin, at, settings
            )
            count = min(size, len(images.idx) - first)
            sigmas[:, first : first + count] = chosen[:, :count].double().cpu().numpy()
            progress.update(count)
            if progress.asked or checkpoint.due():
                checkpoint.save({"sigmas": sigmas}, first + count)
            if progress.asked and first + count < len(images.idx):
                progress.stop()
    write_arrays(output, {"idx": images.idx, "at": np.array(at), "sigmas": sigmas}, meta)
    checkpoint.clear()
