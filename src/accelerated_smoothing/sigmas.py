"""Sigmas that inputs have of their own, chosen before anything is counted with them (Alfarra et al. 2022, section 3.4).

The draws that choose a sigma have purposes of their own, so those that certify with it are independent of the choice.
Ways of choosing are the modules of `choose/`; here a whole split goes through one, and into a file.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accelerated_smoothing import config, engines, models, noise
from accelerated_smoothing.data import Images
from accelerated_smoothing.files import InputError, read_arrays, sha256, write_arrays
from accelerated_smoothing.progress import Checkpoint, Progress, partial
from accelerated_smoothing.provenance.code import digest

ARRAYS = ("idx", "at", "sigmas")


@dataclass(frozen=True)
class Sigmas:
    """What was chosen.

    Attributes:
        idx: [images] positions in the split.
        at: [numbers] steps or samples, ascending.
        sigmas: [numbers, images].
        meta: way, sigma (that of the base classifier), noise, base (SHA-256 of the weights), split, ...
    """

    idx: np.ndarray
    at: np.ndarray
    sigmas: np.ndarray
    meta: dict[str, Any]

    def check(self, images: dict[str, Any], base: str, sigma: float, distribution: str) -> None:
        """Refuse sigmas that were chosen for something else.

        Raises:
            InputError: naming the first difference.
        """
        wanted = {key: images[key] for key in ("dataset", "split")} | {
            "base": base,
            "sigma": sigma,
            "noise": distribution,
        }
        for key, value in wanted.items():
            if self.meta[key] != value:
                raise InputError(f"--sigmas: were chosen for {key} {self.meta[key]}, not {value}; choose them again")

    def of(self, idx: np.ndarray, number: int) -> np.ndarray:
        """The sigmas of some images at one number.

        Raises:
            InputError: none were chosen at this number, or for one of these images.
        """
        if number not in self.at:
            raise InputError(f"--at: found {number}; sigmas were chosen at {self.at.tolist()}")
        if missing := set(idx.tolist()) - set(self.idx.tolist()):
            raise InputError(f"--sigmas: has none for image {min(missing)}; choose them for all that are counted")
        places = np.searchsorted(self.idx, idx)
        return np.asarray(self.sigmas[self.at.tolist().index(number), places])


def read(path: Path) -> Sigmas:
    """Read what `run` wrote.

    Raises:
        InputError: missing, truncated, or something else.
    """
    arrays, meta = read_arrays(path, ARRAYS, "sigmas")
    return Sigmas(**arrays, meta=meta)


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
    size = engines.batch(shape, device)
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
        "device": device.type,
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
