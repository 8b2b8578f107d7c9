"""Embeddings by a 1-Lipschitz backbone, which FaRS certifies and samples in place of images (section 2.1).

The backbone maps a ball of radius r around an image into the ball of radius r around its embedding. So a certificate
that a classifier of embeddings is constant on the second ball holds for backbone and classifier together on the first
(Proposition 1). The backbone runs once for each image, in float64. A bound on its rounding is stored with embeddings.
"""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from accelerated_smoothing import models
from accelerated_smoothing.architectures import embeds
from accelerated_smoothing.data import Images, is_embedded
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_arrays
from accelerated_smoothing.progress import Checkpoint, Resumable, partial

BATCH = 100  # images in one pass of the backbone
HALF_BIT = 2.0**-24  # unit roundoff of float32


def embed(
    base: Path, splits: Mapping[str, Images], outputs: Mapping[str, Path], device: torch.device, *, code: str
) -> None:
    """Write the embeddings of whole splits, as images of one pixel with one channel for each feature.

    Their description holds the means and deviations of the embedded training split, for normalisation.

    Args:
        base: weights of an SLL network; its last layer is not used.
        splits: train and test, all images of each.
        outputs: where to write them; while the run lasts, `<output>.partial.npz` holds what is done.
        code: digest of the code; work of other code is not continued.

    Raises:
        InputError: the network is not 1-Lipschitz, or made for other images.
    """
    model, description = models.load(base, "base", splits["train"].meta)
    if not embeds(description["arch"]):
        raise InputError(f"{base} must hold a 1-Lipschitz network, such as sll32-2, got {description['arch']}")
    backbone = models.exact(model.to(device))
    features, seconds = {}, {}
    for split, images in splits.items():
        features[split], seconds[split] = _features(backbone, sha256(base), images, outputs[split], device, code)
    mean, std = features["train"].mean(axis=0), features["train"].std(axis=0)
    std[std == 0] = 1  # a constant feature holds no information, whatever it is divided by
    for split, images in splits.items():
        meta = {
            **described(images.meta, base),
            "white": 1,
            "mean": mean.tolist(),
            "std": std.tolist(),
            "rounding": backbone.rounding,
            "seconds": seconds[split],
            "arithmetic": f"{device.type}-pytorch-fp64",
        }
        arrays = {"images": features[split].astype(np.float32)[:, :, None, None], "labels": images.labels}
        write_arrays(outputs[split], arrays, meta)
    for split in splits:
        Checkpoint(partial(outputs[split]), {}, ["features", "seconds"]).clear()


def described(images: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return the description of embeddings from that of their images.

    The data set's name gets the hash of the backbone, so that files of two backbones are never mixed.
    """
    return {**images, "dataset": f"{images['dataset']}@{sha256(base)}"}


def _features(
    backbone: models.Linear, weights: str, images: Images, output: Path, device: torch.device, code: str
) -> tuple[np.ndarray, float]:
    """Return embeddings [n, d] float64 of images, and the mean seconds that one took."""
    identity = {
        "backbone": weights,
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "device": device.type,
        "code": code,
    }
    total = len(images.idx)
    work = {"features": np.zeros((total, backbone.weight.shape[1])), "seconds": np.zeros(())}
    checkpoint = Checkpoint(partial(output), identity, list(work))
    done = checkpoint.resume(work)

    def embedded(rows: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(images.take(rows).pixels()).double()
        return backbone.features(pixels.to(device)).cpu().numpy()

    def save(done: int) -> None:
        checkpoint.save(work, done)

    with (
        Resumable(f"embedding {images.meta['split']}", total, "images", done, save) as progress,
        torch.inference_mode(),
    ):
        embedded(np.arange(1))  # the first pass is slower
        for first in range(done, total, BATCH):
            begun = time.perf_counter()
            rows = np.arange(first, min(first + BATCH, total))
            work["features"][rows] = embedded(rows)
            work["seconds"] = work["seconds"] + time.perf_counter() - begun
            progress.advance(len(rows))
        progress.finish()  # the output is written after the other split
    return work["features"], float(work["seconds"]) / total


def input_radius(radius: np.ndarray, images: Images, rounding: float = 0.0) -> np.ndarray:
    """Return radii [n] in the space of images from radii [n] in that of their embeddings, less possible rounding.

    The certificate is about the network of real numbers. Three errors are subtracted: half a last bit of float32 for
    each stored entry; the same share of the radius, for its computation in float64, which rounds no more than 2^-28 of
    it even if the weights of two classes differ by a last bit; and what the backbone rounds.

    Args:
        radius: [n] in l2.
        images: the embeddings, or the images themselves.
        rounding: `models.Linear.rounding` of a network on the images themselves.

    Raises:
        InputError: the images are embeddings without a bound on the rounding of their backbone.
    """
    if is_embedded(images.meta):
        if "rounding" not in images.meta:
            raise InputError("--images must hold a bound on the rounding of the backbone, got none; embed them again")
        rounding += images.meta["rounding"]
    parts = np.array_split(np.arange(len(radius)), -(-len(radius) // BATCH))
    norm = [np.linalg.norm(images.take(rows).pixels().reshape(len(rows), -1).astype(float), axis=1) for rows in parts]
    left = radius * (1 - HALF_BIT) - HALF_BIT * (1 + np.concatenate(norm)) - rounding
    return np.fmax(left, 0.0)  # this is 0 for NaN


def seconds(images: Images) -> float:
    """Return the seconds that one embedding took; 0 for images that are not embeddings."""
    return float(images.meta.get("seconds", 0.0))
