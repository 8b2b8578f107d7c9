"""The classifier under attack."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.architectures import embeds
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.config import Passes
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.data import Images, is_embedded
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.models.lipschitz import without_cudnn

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Target:
    """A classifier: the form that is attacked, and the form that is certified.

    Attributes:
        features: images to the inputs of the head, in float32: embeddings as images of one pixel, or the images.
        head: inputs to logits, in float32.
        shape: of an input of the head.
        classes: number of classes.
        sigma: scale of the noise on the inputs of the head; 0 is none.
        noise: its distribution.
        decide: images [m, *shape] float32 and the names [m] of their noise to the predicted classes [m] and
            whether each is sure [m]: without noise all, and with noise those that Cohen et al.'s PREDICT returns.
        arithmetic: of `decide`.
        device: of the networks.
    """

    features: Forward
    head: Forward
    shape: tuple[int, ...]
    classes: int
    sigma: float
    noise: str
    decide: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    arithmetic: str
    device: torch.device


def load(base: Path, backbone: Path | None, images: Images) -> tuple[nn.Sequential, nn.Sequential | None]:
    """Return the head and its backbone, or the whole network and None.

    Raises:
        InputError: the images are embeddings, the backbone is not 1-Lipschitz, or the head was trained behind another.
    """
    if is_embedded(images.meta):
        raise InputError("--images must be the images themselves, got embeddings")
    if backbone is None:
        return models.load(base, "base", images.meta)[0], None
    network, description = models.load(backbone, "base", images.meta)
    if not embeds(description["arch"]):
        raise InputError(f"{backbone} must hold a 1-Lipschitz network, such as sll32-2, got {description['arch']}")
    head, description = models.load(base, "base")
    wanted = f"{images.meta['dataset']}@{sha256(backbone)}"
    if description["dataset"] != wanted:
        raise InputError(
            f"{base} must be made for dataset {wanted}, the embeddings by {backbone}, got {description['dataset']}; "
            "name the backbone behind which it was trained"
        )
    return head, network


def build(
    base: Path,
    backbone: Path | None,
    images: Images,
    *,
    sigma: float,
    distribution: str,
    n: int,
    seed: int,
    alpha: float,
    passes: Passes,
    device: torch.device,
    kernels: str | None = None,
) -> Target:
    """Return the classifier of weight files; arguments as for `attack.run`.

    With noise, n draws decide on a prediction.

    Raises:
        InputError: as `load`.
    """
    head, network = load(base, backbone, images)
    shape, classes = images.images.shape[1:], images.meta["classes"]
    logits, embed, exact_features = _folded(head, device, "forward"), None, None
    if network:
        shape = (models.linear(network).weight.shape[1], 1, 1)
        embed = _folded(network, device, "backbone")
        exact_features = models.exact(network.to(device)).features
    engine = None
    if sigma:
        engine = engines.build(
            head,
            shape,
            device=device,
            precision=passes.precision,
            batch_size=passes.batch_size,
            kernels=kernels,
        )
    exact_head = without_cudnn(head.double().to(device).forward)

    def features(x: torch.Tensor) -> torch.Tensor:
        return embed(x).unflatten(1, shape) if embed else x

    def decide(points: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            z = torch.from_numpy(points).to(device)
            if exact_features:
                z = exact_features(z.double()).float().unflatten(1, shape)
            if engine is None:
                return exact_head(z.double()).argmax(1).cpu().numpy(), np.full(len(z), True)
        counts, _ = sampling.count_predictions(
            engine,
            z.cpu().numpy(),
            sigma,
            n,
            seed,
            classes=classes,
            idx=names,
            purpose="attack",
            noise=distribution,
        )
        top = counts[:, 0].argmax(axis=1)
        return top, statistics.predict(counts[:, 0], alpha) != statistics.ABSTAIN

    arithmetic = engine.arithmetic if engine else f"{device.type}-pytorch-fp64"
    return Target(features, logits, shape, classes, sigma, distribution, decide, arithmetic, device)


def _folded(model: nn.Sequential, device: torch.device, part: str) -> Forward:
    """Return a method of a folded network, in float32."""
    mean, network = models.fold(model)
    mean, run = mean.to(device), getattr(network.to(device).requires_grad_(False), part)
    return lambda x: run(x - mean)
