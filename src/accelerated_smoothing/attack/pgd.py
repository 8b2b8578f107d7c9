"""Attacks by projected gradient descent in l2, on one classifier, from several starting points."""

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from accelerated_smoothing import noise
from accelerated_smoothing.attack.target import Forward, Target
from accelerated_smoothing.config import Attack
from accelerated_smoothing.counting import engines
from accelerated_smoothing.data import Images

STEP = 2.5  # epsilons that all steps together can go: enough to reach the sphere from any point, and to move on it
HALF_BIT = 2.0**-25  # how far rounding a pixel of [0, 1] to float32 may move it
LEAST = 1e-12  # the library needs an epsilon above 0


class Pgd(ProjectedGradientDescentPyTorch):
    """The library's attack from given points; its own random points depend on which images share a batch."""

    def __init__(self, start: torch.Tensor, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.start: torch.Tensor | None = start

    def _compute_pytorch(self, x: torch.Tensor, *rest: object) -> torch.Tensor:
        x, self.start = x if self.start is None else self.start, None
        return super()._compute_pytorch(x, *rest)


class Mean(nn.Module):
    """The model that is attacked: the logarithm of a head's mean softmax over copies of embeddings with the same noise.

    Attributes:
        features: images to embeddings.
        head: embeddings to logits.
        noise: [images, samples, *shape] that is added to embeddings; with None, the output is the logits.
    """

    def __init__(self, features: Forward, head: Forward) -> None:
        super().__init__()
        self.features, self.head = features, head
        self.noise: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.features(x)
        if self.noise is None:
            return self.head(z)
        log_p = self.head((z[:, None] + self.noise).flatten(0, 1)).log_softmax(1)
        return log_p.unflatten(0, self.noise.shape[:2]).logsumexp(1)  # up to a constant, which changes no gradient


def pgd(
    model: nn.Module,
    images: np.ndarray,
    classes: np.ndarray,
    epsilon: np.ndarray,
    steps: int,
    count: int,
    device: torch.device,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Attack by PGD in l2 (Madry et al. 2018) with the Adversarial Robustness Toolbox: steps along the gradient.

    Args:
        model: images to logits, or to values with the same softmax.
        images: [m, *shape] float32 in [0, 1].
        classes: [m] class of each image; the attack raises its cross-entropy.
        epsilon: [m] how far each may be moved in l2.
        steps: of each attack; one has the size 2.5 epsilon / steps.
        count: number of classes.
        device: where the model is.
        start: [m, *shape] where the attacks start; by default the images.

    Returns:
        [m, *shape] float32 in [0, 1], no farther than epsilon from the images.
    """
    estimator = PyTorchClassifier(
        model,
        loss=nn.CrossEntropyLoss(),
        input_shape=images.shape[1:],
        nb_classes=count,
        clip_values=(0.0, 1.0),
        device_type="gpu" if device.type == "cuda" else "cpu",
    )
    eps = _column(np.maximum(epsilon, LEAST), images).astype(np.float32)
    attack = Pgd(
        torch.from_numpy(images if start is None else start).to(device),
        estimator,
        norm=2,
        eps=eps,
        eps_step=eps * np.float32(STEP / steps),
        max_iter=steps,
        batch_size=len(images),
        verbose=False,
    )
    return within(attack.generate(images, classes), images, epsilon)


def within(points: np.ndarray, images: np.ndarray, epsilon: np.ndarray) -> np.ndarray:
    """Return points [m, *shape] float32 moved to at most epsilon [m] from images, rounding included."""
    reach = np.maximum(epsilon - HALF_BIT * np.sqrt(images[0].size), 0.0)
    moved = points.astype(float) - images
    scale = np.minimum(1.0, reach / np.maximum(length(moved), LEAST))
    return (images + moved * _column(scale, images)).astype(np.float32)


def length(moved: np.ndarray) -> np.ndarray:
    """Return the l2 norms [m] of [m, *shape] float64."""
    return np.linalg.norm(moved.reshape(len(moved), -1), axis=1)


def _column(values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return one value [m] for each of images [m, *shape], in a shape that broadcasts with them."""
    return values.reshape(-1, *[1] * (images.ndim - 1))


def attack(
    target: Target, images: Images, classes: np.ndarray, epsilon: np.ndarray, settings: Attack, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Attack each image at each of its sizes.

    The first try starts from the image, and others from random points at the distance epsilon. The result is the first
    try that surely changes the prediction, else the first that changes it, else the first.

    Args:
        target: the classifier.
        images: [m].
        classes: [m] predictions for the images themselves.
        epsilon: [m, sizes] in [0,1] pixels.
        settings: steps, restarts and noisy copies.
        seed: the root seed.

    Returns:
        [m, sizes] predicted class after the attack; whether it is sure; the l2 distance from the image.
    """
    sizes, dims = epsilon.shape[1], images.images.shape[1:]
    pixels, names = np.repeat(images.pixels(), sizes, axis=0), np.repeat(images.idx, sizes)
    away, reach = np.repeat(classes, sizes), epsilon.ravel()

    def draw(samples: int, shape: tuple[int, ...], purpose: str, kind: str) -> torch.Tensor:
        return engines.standard(images.idx, samples, shape, noise.key(seed, purpose), kind, target.device)

    model = Mean(target.features, target.head)
    if target.sigma:
        copies = draw(settings.samples, target.shape, "attack/gradient", target.noise)
        model.noise = (target.sigma * copies).repeat_interleave(sizes, 0)
    best = np.full(len(pixels), -1)
    predict, sure, norm = np.zeros(len(pixels), np.int64), np.zeros(len(pixels), bool), np.zeros(len(pixels))
    for restart in range(settings.restarts):
        start = pixels
        if restart:
            direction = draw(1, dims, f"attack/start{restart}", "gaussian")[:, 0].cpu().numpy().astype(float)
            direction /= _column(length(direction), direction)
            far = pixels + _column(reach, pixels) * np.repeat(direction, sizes, axis=0)
            start = within(far.clip(0, 1), pixels, reach)
        points = pgd(model, pixels, away, reach, settings.steps, target.classes, target.device, start)
        after, certain = target.decide(points, names)
        rank = np.where(after == away, 0, 1 + certain)
        better = rank > best
        best[better], predict[better], sure[better] = rank[better], after[better], certain[better]
        norm[better] = length(points.astype(float) - pixels)[better]
    return predict.reshape(epsilon.shape), sure.reshape(epsilon.shape), norm.reshape(epsilon.shape)
