"""Attacks by projected gradient descent (PGD) in l2: the sanity check of certificates (FaRS, section 3, Table 2).

What an attack finds is one image, so it bounds from above how robust a classifier is, and proves nothing that holds:
where it fails, another may succeed. But a sound radius that is larger than the size of an attack which does succeed
would be refuted.

An attack leads away from the class that the image itself is given, right or wrong, since that is what a certificate
speaks of. It goes through the backbone and the head together, in pixels of [0, 1] and in float32; a head that is
sampled is attacked through the mean of its softmax over some noisy embeddings. Then the image that was found is judged
by the classifier that is certified: the backbone in float64, its embedding as it would be stored (`embedding.py`), and
without noise the head in float64, too, else the majority of n draws of it, which are independent of those that the
attack saw.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from art.attacks.evasion import ProjectedGradientDescentPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from accelerated_smoothing import certify, models, noise
from accelerated_smoothing.architectures import embeds
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.config import Attack
from accelerated_smoothing.counting import engines, sampling
from accelerated_smoothing.data import Images, is_embedded
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_text
from accelerated_smoothing.progress import Checkpoint, Progress, partial
from accelerated_smoothing.provenance.code import digest

STEP = 2.5  # epsilons that all steps together can go: far enough to reach the sphere from any point, and to move on it
HALF_BIT = 2.0**-25  # what rounding a pixel of [0, 1] to float32 may move it by
LEAST = 1e-12  # an epsilon of 0 is no attack; the library wants more
EDGE = 0.999  # of a certified radius: inside it, by more than the attack's passes in float32 may err

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Target:
    """A classifier, as an attack sees it and as it is certified.

    Attributes:
        features: images to what the head takes, in float32: embeddings as images of one pixel, or just these images.
        head: to logits, in float32.
        shape: of what it takes.
        classes: number of them.
        sigma: scale of the noise on what the head takes; 0 is none.
        noise: its distribution.
        decide: images [m, *shape] float32 and the names [m] of their noise to classes [m] and whether each is sure [m]:
            without noise always, else where PREDICT returns it.
        arithmetic: of `decide`.
        device: of all of it.
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


class Pgd(ProjectedGradientDescentPyTorch):
    """The library's attack from given points; its own random ones depend on which images share a batch."""

    def __init__(self, start: torch.Tensor, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.start: torch.Tensor | None = start

    def _compute_pytorch(self, x: torch.Tensor, *rest: object) -> torch.Tensor:
        x, self.start = x if self.start is None else self.start, None
        return super()._compute_pytorch(x, *rest)


class Mean(nn.Module):
    """What an attack sees: the logarithm of a head's mean softmax over copies of embeddings, all with the same noise.

    Attributes:
        features: images to embeddings.
        head: embeddings to logits.
        noise: [images, samples, *shape] that is added to embeddings; None for none, and the logits themselves.
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
        return log_p.unflatten(0, self.noise.shape[:2]).logsumexp(1)  # but for a constant, which changes no gradient


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
    """PGD in l2 by the Adversarial Robustness Toolbox (Madry et al. 2018): steps along the gradient's direction.

    Args:
        model: images to logits, or to what has the same softmax.
        images: [m, *shape] float32 in [0, 1].
        classes: [m] from which each is to be led away, by raising their cross-entropy.
        epsilon: [m] how far each may be moved in l2.
        steps: of each attack, of the size 2.5 epsilon / steps.
        count: of classes.
        device: where the model is.
        start: [m, *shape] where the attacks start; from the images themselves unless told.

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
    first = torch.from_numpy(images if start is None else start).to(device)
    attack = Pgd(
        first,
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
    """Points [m, *shape] float32 brought to at most epsilon [m] from images, so that no rounding takes them beyond."""
    reach = np.maximum(epsilon - HALF_BIT * np.sqrt(images[0].size), 0.0)
    moved = points.astype(float) - images
    scale = np.minimum(1.0, reach / np.maximum(length(moved), LEAST))
    return (images + moved * _column(scale, images)).astype(np.float32)


def length(moved: np.ndarray) -> np.ndarray:
    """[m] l2 norms of [m, *shape] float64."""
    return np.linalg.norm(moved.reshape(len(moved), -1), axis=1)


def _column(values: np.ndarray, images: np.ndarray) -> np.ndarray:
    """One value [m] for each of images [m, *shape], to be multiplied with them."""
    return values.reshape(-1, *[1] * (images.ndim - 1))


def load(base: Path, backbone: Path | None, images: Images) -> tuple[nn.Sequential, nn.Sequential | None]:
    """The head and its backbone, or the whole network and None.

    Raises:
        InputError: the images are embeddings, the backbone is not 1-Lipschitz, or not the one that the head was trained
            behind.
    """
    if is_embedded(images.meta):
        raise InputError("--images: are embeddings; the images that these were made of would do")
    if backbone is None:
        return models.load(base, "base", images.meta)[0], None
    network, description = models.load(backbone, "base", images.meta)
    if not embeds(description["arch"]):
        raise InputError(
            f"{backbone}: its {description['arch']} is not 1-Lipschitz; a network such as sll32-2 would do"
        )
    head, description = models.load(base, "base")
    wanted = f"{images.meta['dataset']}@{sha256(backbone)}"
    if description["dataset"] != wanted:
        raise InputError(
            f"{base}: made for dataset {description['dataset']}, and embeddings by {backbone} are {wanted}; "
            "the backbone that it was trained behind would do"
        )
    return head, network


def target(
    base: Path,
    backbone: Path | None,
    images: Images,
    *,
    sigma: float,
    distribution: str,
    n: int,
    seed: int,
    alpha: float,
    precision: str,
    device: torch.device,
) -> Target:
    """The classifier of weight files; arguments as for `run`, n being the draws that decide where there is noise.

    Raises:
        InputError: as `load`.
    """
    head, network = load(base, backbone, images)
    shape, classes = images.images.shape[1:], images.meta["classes"]
    logits, embed, stored = _folded(head, device, "forward"), None, None
    if network:
        shape = (models.linear(network).weight.shape[1], 1, 1)
        embed = _folded(network, device, "backbone")
        stored = models.exact(network.to(device)).features
    engine = engines.build(head, shape, device=device, precision=precision) if sigma else None
    exact = head.double().to(device)

    def seen(x: torch.Tensor) -> torch.Tensor:
        return embed(x).unflatten(1, shape) if embed else x

    def decide(points: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.inference_mode():
            z = torch.from_numpy(points).to(device)
            if stored:
                z = stored(z.double()).float().unflatten(1, shape)
            if engine is None:
                return exact(z.double()).argmax(1).cpu().numpy(), np.full(len(z), True)
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
    return Target(seen, logits, shape, classes, sigma, distribution, decide, arithmetic, device)


def _folded(model: nn.Sequential, device: torch.device, part: str) -> Forward:
    """A method of a network, in float32; what else would be computed from the weights in each pass is so once."""
    mean, network = models.fold(model)
    mean, run = mean.to(device), getattr(network.to(device).requires_grad_(False), part)
    return lambda x: run(x - mean)


def attack(
    target: Target, images: Images, classes: np.ndarray, epsilon: np.ndarray, settings: Attack, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Attack each image at each of its sizes.

    The first try starts from the image, others from random points at the distance epsilon. Kept is one that changes the
    prediction, surely if it can be, else the first.

    Args:
        classes: [m] from which to lead away: what the images are given.
        epsilon: [m, sizes] in [0,1] pixels.
        seed: the root seed.

    Returns:
        [m, sizes] class that is given to what was found; whether that is sure; its l2 distance from the image.
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
        given, certain = target.decide(points, names)
        rank = np.where(given == away, 0, 1 + certain)
        kept = rank > best
        best[kept], predict[kept], sure[kept] = rank[kept], given[kept], certain[kept]
        norm[kept] = length(points.astype(float) - pixels)[kept]
    return predict.reshape(epsilon.shape), sure.reshape(epsilon.shape), norm.reshape(epsilon.shape)


def run(
    base: Path,
    backbone: Path | None,
    images: Images,
    output: Path,
    *,
    epsilons: list[float],
    settings: Attack,
    sigma: float,
    distribution: str,
    seed: int,
    alpha: float,
    precision: str,
    device: torch.device,
    certificates: Path | None = None,
) -> None:
    """Attack some images at some sizes, and write what became of them: a TSV with one row per image and size.

    Args:
        base: weight file of a head, or of a whole network.
        backbone: weight file of the SLL network whose embeddings the head takes.
        images: of one split, not embedded.
        output: the log; while the run lasts, `<output>.partial.npz` holds what is done. Its rows of epsilon 0 are of
            the images as they are.
        epsilons: l2 sizes, in [0,1] pixels.
        settings: how many steps, restarts, noisy copies and draws.
        sigma: scale of the noise on what the base takes; 0 is none.
        distribution: of the noise.
        alpha: the probability with which a prediction that is marked sure may be wrong; without noise 0.
        precision: of the passes under noise that decide.
        certificates: of the same images; each is attacked at 0.999 of its own radius, too, where a radius that is a
            little too large would be refuted first. The column `edge` is 1 in these rows.

    Raises:
        InputError: as `load`, or certificates of other images.
    """
    attacked = target(
        base,
        backbone,
        images,
        sigma=sigma,
        distribution=distribution,
        n=settings.n,
        seed=seed,
        alpha=alpha / settings.restarts,  # of several tries the surest is kept
        precision=precision,
        device=device,
    )
    sizes = np.tile(sorted({0.0, *epsilons}), (len(images.idx), 1))
    edge = np.zeros(sizes.shape[1], int)
    if certificates:
        sizes = np.column_stack([sizes, EDGE * _radii(certificates, images.idx)])
        edge = np.append(edge, 1)
    identity = {
        "base": sha256(base),
        "backbone": backbone and sha256(backbone),
        "images": hashlib.sha256(images.images.tobytes()).hexdigest(),
        "idx": images.idx.tolist(),
        "epsilons": hashlib.sha256(sizes.tobytes()).hexdigest(),
        "settings": settings.model_dump(mode="json"),
        "sigma": sigma,
        "noise": distribution,
        "seed": seed,
        "alpha": alpha,
        "arithmetic": attacked.arithmetic,
        "code": digest("attack"),
    }
    checkpoint, done = Checkpoint(partial(output), identity, ["predict", "sure", "norm"]), 0
    found = {name: np.zeros(sizes.shape, kind) for name, kind in (("predict", int), ("sure", bool), ("norm", float))}
    if kept := checkpoint.load():
        found, done = kept
    batch = max(1, engines.batch(images.images.shape[1:], device) // len(edge))
    with Progress("attacking", len(images.idx), "images", True) as progress:
        progress.resume(done)
        while done < len(images.idx):
            rows = np.arange(done, min(done + batch, len(images.idx)))
            part = images.take(rows)
            found["predict"][rows, 0], found["sure"][rows, 0] = attacked.decide(part.pixels(), part.idx)
            if len(edge) > 1:
                made = attack(attacked, part, found["predict"][rows, 0], sizes[rows, 1:], settings, seed)
                for values, own in zip(found.values(), made, strict=True):
                    values[rows, 1:] = own
            done += len(rows)
            progress.update(len(rows))
            stopping = progress.asked and done < len(images.idx)
            if stopping or checkpoint.due():
                checkpoint.save(found, done)
            if stopping:
                progress.stop()
    log = pd.DataFrame(
        {
            "idx": np.repeat(images.idx, len(edge)),
            "label": np.repeat(images.labels, len(edge)),
            "epsilon": sizes.ravel(),
            "edge": np.tile(edge, len(images.idx)),
            "predict": found["predict"].ravel(),
            "sure": found["sure"].ravel().astype(int),
            "norm": found["norm"].ravel(),
        }
    ).assign(
        n=settings.n if sigma else 0,
        alpha=alpha if sigma else 0.0,
        sigma=sigma,
        noise=distribution,
        steps=settings.steps,
        restarts=settings.restarts,
        samples=settings.samples if sigma else 0,
        arithmetic=attacked.arithmetic,
    )
    write_text(output, log.to_csv(sep="\t", index=False))
    checkpoint.clear()


def _radii(path: Path, idx: np.ndarray) -> np.ndarray:
    """[images] the radii that certificates claim for the images idx [images]; 0 where they abstain."""
    log = certify.read(path)
    if not np.array_equal(log["idx"], idx):
        raise InputError(f"{path}: is not of the images that are attacked; certificates with the same --slice would do")
    return log["radius"].to_numpy()
