"""Embeddings by a 1-Lipschitz backbone: what FaRS certifies and samples in place of images (section 2.1).

A ball of radius r around an image is mapped into the ball of radius r around its embedding. So whatever certifies that
a classifier of embeddings is constant on the latter certifies that it is so on the former, behind the backbone
(Proposition 1). The backbone runs once an image, in float64, and a bound on what that rounds is stored with embeddings.
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
from accelerated_smoothing.progress import Checkpoint, Progress, partial
from accelerated_smoothing.provenance.code import digest

BATCH = 100  # images in one pass of the backbone
HALF_BIT = 2.0**-24  # the last of float32, relative


def embed(base: Path, splits: Mapping[str, Images], outputs: Mapping[str, Path], device: torch.device) -> None:
    """Write the embeddings of whole splits, as images of one pixel and as many channels as there are features.

    They are normalised with the means and deviations of the training split's.

    Args:
        base: weights of an SLL network, of whose last layer nothing is used.
        splits: train and test, all images of each.
        outputs: where to write them; while the run lasts, `<output>.partial.npz` holds what is done.

    Raises:
        InputError: the network is not 1-Lipschitz, or made for other images.
    """
    model, description = models.load(base, "base", splits["train"].meta)
    if not embeds(description["arch"]):
        raise InputError(f"{base}: its {description['arch']} is not 1-Lipschitz; a network such as sll32-2 would do")
    backbone = models.exact(model.to(device))
    made, seconds = {}, {}
    for split, images in splits.items():
        made[split], seconds[split] = _features(backbone, sha256(base), images, outputs[split], device)
    mean, std = made["train"].mean(axis=0), made["train"].std(axis=0)
    std[std == 0] = 1  # a feature that never changes tells nothing, whatever it is divided by
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
        arrays = {"images": made[split].astype(np.float32)[:, :, None, None], "labels": images.labels}
        write_arrays(outputs[split], arrays, meta)
    for split in splits:
        Checkpoint(partial(outputs[split]), {}, ["features", "seconds"]).clear()


def described(images: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The description of images as one of their embeddings: their data set names the backbone, so that nothing that
    belongs to two of these is ever mixed."""
    return {**images, "dataset": f"{images['dataset']}@{sha256(base)}"}


def _features(
    backbone: models.Linear, weights: str, images: Images, output: Path, device: torch.device
) -> tuple[np.ndarray, float]:
    """Embeddings [n, d] float64 of images, and the seconds that one took in the mean."""
    identity = {
        "backbone": weights,
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "device": device.type,
        "code": digest("embed"),
    }
    checkpoint = Checkpoint(partial(output), identity, ["features", "seconds"])
    features, seconds, done = np.zeros((len(images.idx), backbone.weight.shape[1])), np.zeros(()), 0
    if kept := checkpoint.load():
        (features, seconds), done = kept[0].values(), kept[1]
    with (
        Progress(f"embedding {images.meta['split']}", len(features), "images", True) as progress,
        torch.inference_mode(),
    ):
        progress.resume(done)
        backbone.features(
            torch.from_numpy(images.take(np.arange(1)).pixels()).double().to(device)
        )  # the first is slower
        while done < len(features):
            begun = time.perf_counter()
            rows = np.arange(done, min(done + BATCH, len(features)))
            pixels = torch.from_numpy(images.take(rows).pixels()).double()
            features[rows] = backbone.features(pixels.to(device)).cpu().numpy()
            seconds, done = seconds + time.perf_counter() - begun, done + len(rows)
            progress.update(len(rows))
            stopping = progress.asked and done < len(features)
            if stopping or checkpoint.due() or done == len(features):
                checkpoint.save({"features": features, "seconds": seconds}, done)
            if stopping:
                progress.stop()
    return features, float(seconds) / len(features)


def input_radius(radius: np.ndarray, images: Images, rounding: float = 0.0) -> np.ndarray:
    """Radii [n] in the space of images from radii [n] in that of their embeddings, less what rounding may have moved.

    What they are certified of is the network of real numbers. Taken off is half a last bit of float32 for each stored
    entry; as much of the radius, for what float64 rounds on the way to it, which is no more than 2^-28 of it even
    where the weights of two classes differ by a last bit; and what the backbone rounds.

    Args:
        rounding: of a network that takes the images themselves, `models.Linear.rounding`.

    Raises:
        InputError: the images are embeddings that do not tell what their backbone rounds.
    """
    if is_embedded(images.meta):
        if "rounding" not in images.meta:
            raise InputError("--images: embeddings without a bound on the rounding of their backbone; embed them again")
        rounding += images.meta["rounding"]
    parts = np.array_split(np.arange(len(radius)), -(-len(radius) // BATCH))
    norm = [np.linalg.norm(images.take(rows).pixels().reshape(len(rows), -1).astype(float), axis=1) for rows in parts]
    left = radius * (1 - HALF_BIT) - HALF_BIT * (1 + np.concatenate(norm)) - rounding
    return np.fmax(left, 0.0)  # which is 0 of what is no number


def seconds(images: Images) -> float:
    """What one embedding took; 0 of images that are none."""
    return float(images.meta.get("seconds", 0.0))
