"""Ways of training f: each loss against a slow reference, and training with a sigma of each image's own."""

import copy
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, ndtri, softmax
from scipy.stats import entropy, norm

from accelerated_smoothing import config, data, models, progress, registry, training
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.counting import sampling
from accelerated_smoothing.counting.engines import build
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.noise.distributions import gaussian as distribution
from accelerated_smoothing.sigmas.ways.ascent import FLOOR, ascend
from accelerated_smoothing.training import base, loop
from accelerated_smoothing.training.smoothed import Teacher
from accelerated_smoothing.training.ways import (
    catrs,
    consistency,
    crt,
    gaussian,
    macer,
    margin,
    router,
    smoothadv,
    smoothmix,
)

CPU = torch.device("cpu")
SHAPE = (2, 3, 4)
CLASSES = 5
SIGMA = torch.tensor([0.1, 0.25, 0.5, 1.0, 0.05, 0.3], dtype=torch.float64)


def problem(samples: int, scale: float = 1.0, epoch: int = 0) -> SimpleNamespace:
    """A linear f in float64, images, labels, and the noise that it will be given, whatever its sigma."""
    torch.manual_seed(3)
    weights = scale * torch.randn(CLASSES, math.prod(SHAPE), dtype=torch.float64)
    weights.requires_grad_()
    images, labels = torch.rand(len(SIGMA), *SHAPE, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 4, 0])
    eps = torch.randn(len(SIGMA), samples, *SHAPE, dtype=torch.float64)

    def noise(sigma: torch.Tensor, count: int) -> torch.Tensor:
        assert count == samples
        return (sigma.view(-1, 1, 1, 1, 1) * eps).flatten(0, 1)

    f = base.Smoothed(
        lambda x: x.flatten(1) @ weights.T,
        lambda x: x.flatten(1) @ weights.detach().T,
        noise,
        distribution.margin,
        None,
        epoch,
        torch.Generator().manual_seed(8),
    )
    return SimpleNamespace(f=f, weights=weights, images=images, labels=labels, eps=eps)


def logits(p: SimpleNamespace, image: np.ndarray, i: int, j: int) -> np.ndarray:
    """[classes] of f on copy j of image i, moved to where `image` is."""
    return p.weights.detach().numpy() @ (image + SIGMA[i].item() * p.eps[i, j].numpy()).ravel()


def test_gaussian_is_the_cross_entropy_on_one_copy() -> None:
    p = problem(1)
    expected = [-log_softmax(logits(p, p.images[i].numpy(), i, 0))[label] for i, label in enumerate(p.labels.tolist())]
    loss = gaussian.loss(p.f, p.images, p.labels, SIGMA, gaussian.Settings())
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize("samples", [1, 3])
def test_consistency_is_its_three_parts(samples: int) -> None:
    p = problem(samples)
    terms = []
    for i, label in enumerate(p.labels.tolist()):
        z = [softmax(logits(p, p.images[i].numpy(), i, j)) for j in range(samples)]
        mean = np.mean(z, axis=0)
        divergence = np.mean([entropy(mean, own) for own in z])
        terms.append(np.mean([-np.log(own[label]) for own in z]) + 7 * divergence + 0.3 * entropy(mean))
    settings = consistency.Settings(samples=samples, weight=7, entropy=0.3)
    loss = consistency.loss(p.f, p.images, p.labels, SIGMA, settings)
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-10)
    assert torch.autograd.grad(loss, p.weights)[0].isfinite().all()


def test_consistency_without_its_terms_is_gaussian() -> None:
    p = problem(1)
    loss = consistency.loss(p.f, p.images, p.labels, SIGMA, consistency.Settings(samples=1, weight=0, entropy=0))
    assert loss.item() == gaussian.loss(p.f, p.images, p.labels, SIGMA, gaussian.Settings()).item()


@pytest.mark.parametrize(("epoch", "one_step"), [(0, False), (4, False), (4, True), (20, True), (20, False)])
def test_smoothmix_is_its_parts(epoch: int, one_step: bool) -> None:
    """With an f that is linear, so that gradients can be written out, and the uniform shares drawn again."""
    p = problem(2, scale=0.3, epoch=epoch)
    settings = smoothmix.Settings(samples=2, steps=3, step_length=0.4, weight=3, one_step=one_step)
    shares = torch.rand(len(SIGMA), generator=torch.Generator().manual_seed(8), dtype=torch.float64).numpy() / 2
    weights, warmth, terms = p.weights.detach().numpy(), min(1, epoch / 10), []
    for i, label in enumerate(p.labels.tolist()):
        x = p.images[i].numpy()
        path = [x]
        for _ in range(settings.steps):
            z = [softmax(logits(p, path[-1], i, j)) for j in range(2)]
            gradient = -sum(own[label] * (weights[label] - own @ weights) for own in z) / sum(own[label] for own in z)
            path.append(np.clip(path[-1] + 0.4 * (gradient / np.linalg.norm(gradient)).reshape(x.shape), 0, 1))
        clean = x
        if one_step:
            delta = path[1] - x
            clean = np.clip(x + delta * min(1, 0.4 * warmth / np.linalg.norm(delta)), 0, 1)
        z = [softmax(logits(p, clean, i, j)) for j in range(2)]
        mean, share = np.mean(z, axis=0), shares[i]
        target = (1 - share) * mean + share / CLASSES
        mixed = (1 - share) * clean + share * path[-1]
        divergence = np.mean([entropy(target, softmax(logits(p, mixed, i, j))) for j in range(2)])
        right = mean.argmax() == label
        terms.append(np.mean([-np.log(own[label]) for own in z]) + 3 * warmth * right * divergence)
    loss = smoothmix.loss(p.f, p.images, p.labels, SIGMA, settings)
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-10)


def test_smoothmix_begins_as_noise_augmentation() -> None:
    p, plain = problem(2), consistency.Settings(samples=2, weight=0, entropy=0)
    loss = smoothmix.loss(p.f, p.images, p.labels, SIGMA, smoothmix.Settings(samples=2))
    assert loss.item() == pytest.approx(consistency.loss(p.f, p.images, p.labels, SIGMA, plain).item(), rel=1e-12)


def taught(p: SimpleNamespace, teacher: torch.Tensor) -> base.Smoothed:
    """The f of a problem with another linear classifier as its teacher."""
    return replace(p.f, teachers=[Teacher(lambda x: x.flatten(1) @ teacher.T, 1.0)])


def test_crt_is_the_distance_of_two_logits() -> None:
    p, teacher = problem(1), torch.randn(CLASSES, math.prod(SHAPE), dtype=torch.float64)
    expected = []
    for i in range(len(SIGMA)):
        x = (p.images[i] + SIGMA[i] * p.eps[i, 0]).numpy().ravel()
        expected.append(np.linalg.norm(p.weights.detach().numpy() @ x - teacher.numpy() @ x))
    loss = crt.loss(taught(p, teacher), p.images, p.labels, SIGMA, crt.Settings())
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-12)
    alike = crt.loss(taught(p, p.weights.detach()), p.images, p.labels, SIGMA, crt.Settings())
    assert alike.item() == 0
    assert torch.autograd.grad(alike, p.weights)[0].isfinite().all()


@pytest.mark.parametrize(("epsilon", "steps"), [(0.5, 1), (0.3, 4), (0.0, 2)])
def test_catrs_is_its_parts(epsilon: float, steps: int) -> None:
    """With an f that is linear, so that gradients can be written out, and the numbers of kept copies drawn again."""
    m = 3
    p, settings = problem(m, scale=0.3), catrs.Settings(samples=m, steps=steps, epsilon=epsilon, weight=2)
    weights, teacher = p.weights.detach().numpy(), torch.randn(CLASSES, math.prod(SHAPE), dtype=torch.float64)
    for i in (0, 1, 2):  # of which f is sure on most copies
        p.labels[i] = int(sum(softmax(logits(p, p.images[i].numpy(), i, j)) for j in range(m)).argmax())
    z = np.array([[logits(p, p.images[i].numpy(), i, j) for j in range(m)] for i in range(len(SIGMA))])
    right = (z.argmax(2) == p.labels.numpy()[:, None]).mean(1)
    kept = torch.binomial(
        torch.full((len(SIGMA),), m, dtype=torch.float64),
        torch.from_numpy(right),
        generator=torch.Generator().manual_seed(8),
    ).clamp_min(1)
    assert {1, m} <= set(kept.tolist())  # both parts of the loss are tried
    expected = []
    for i, label in enumerate(p.labels.tolist()):
        x, k = p.images[i].numpy(), int(kept[i])
        low = sum(sorted(-log_softmax(own)[label] for own in z[i])[:k]) / m
        noisy = [x + SIGMA[i].item() * p.eps[i, j].numpy() for j in range(m)]
        answers = [(teacher.numpy() @ copy.ravel()).argmax() for copy in noisy]
        target, worst = np.bincount(answers, minlength=CLASSES) / m, []
        for copy_ in noisy:
            delta = copy_ - x
            attacking = delta
            for _ in range(steps):
                gradient = ((softmax(weights @ (x + attacking).ravel()) - target) @ weights).reshape(x.shape)
                moved = attacking + 2 * epsilon / steps * gradient / np.linalg.norm(gradient) - delta
                attacking = delta + moved * min(1, epsilon / max(np.linalg.norm(moved), 1e-300))
            back = (attacking - attacking.mean()) / attacking.std() * delta.std() + delta.mean()
            worst.append(entropy(target, softmax(weights @ (x + back).ravel())))
        expected.append(low + 2 * (k == m) * max(worst))
    loss = catrs.loss(taught(p, teacher), p.images, p.labels, SIGMA, settings)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-10)
    assert torch.autograd.grad(loss, p.weights)[0].isfinite().all()


def test_catrs_of_one_copy_without_the_worst_is_gaussian() -> None:
    p = problem(1)
    f = taught(p, torch.zeros_like(p.weights))
    loss = catrs.loss(f, p.images, p.labels, SIGMA, catrs.Settings(samples=1, weight=0))
    plain = gaussian.loss(p.f, p.images, p.labels, SIGMA, gaussian.Settings())
    assert loss.item() == pytest.approx(plain.item(), rel=1e-12)  # their means sum in another order


def test_the_labels_of_catrs_are_those_of_counts() -> None:
    """The expected divergence over the teacher's answers is that to its counts of many draws, but for a constant."""
    torch.manual_seed(1)
    p = np.array([0.6, 0.3, 0.1])
    answers = torch.from_numpy(np.random.default_rng(0).multinomial(4, p, 200_000) / 4)
    first, second = torch.randn(2, 3, dtype=torch.float64)
    gap = catrs.divergence(answers, first.expand(len(answers), 3)) - catrs.divergence(
        answers, second.expand(len(answers), 3)
    )
    whole = torch.from_numpy(p)[None]
    exact = catrs.divergence(whole, first[None]) - catrs.divergence(whole, second[None])
    assert abs(gap.mean() - exact) < 5 * gap.std() / len(gap) ** 0.5  # five standard errors


def slow_attack(p: SimpleNamespace, i: int, settings: smoothadv.Settings) -> np.ndarray:
    """Of one image, with the gradient of -log mean_j softmax_y of a linear f written out."""
    x, weights, label = p.images[i].numpy(), p.weights.detach().numpy(), p.labels[i].item()
    attacking = x.copy()
    for _ in range(settings.steps):
        mean, gradient = 0.0, np.zeros(x.size)
        for j in range(settings.samples):
            z = softmax(logits(p, attacking, i, j))
            mean += z[label]
            gradient -= z[label] * (weights[label] - z @ weights)
        gradient = (gradient / mean).reshape(x.shape)
        delta = attacking + 2 * settings.epsilon / settings.steps * gradient / np.linalg.norm(gradient) - x
        if np.linalg.norm(delta) > settings.epsilon:
            delta *= settings.epsilon / np.linalg.norm(delta)
        attacking = np.clip(x + delta, 0, 1)
    return attacking


@pytest.mark.parametrize(("steps", "epsilon", "samples"), [(1, 0.1, 1), (2, 0.25, 1), (3, 1.0, 4), (10, 3.0, 2)])
def test_smoothadv_is_the_attack_and_the_cross_entropy_on_the_same_noise(
    steps: int, epsilon: float, samples: int
) -> None:
    p, settings = problem(samples, 0.3), smoothadv.Settings(steps=steps, epsilon=epsilon, samples=samples)
    attacked = smoothadv.attack(p.f, p.images, p.labels, p.f.noise(SIGMA, samples), settings)
    expected = []
    for i, label in enumerate(p.labels.tolist()):
        attacking = slow_attack(p, i, settings)
        np.testing.assert_allclose(attacked[i].numpy(), attacking, rtol=0, atol=1e-10)
        expected += [-log_softmax(logits(p, attacking, i, j))[label] for j in range(samples)]
    loss = smoothadv.loss(p.f, p.images, p.labels, SIGMA, settings)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-10)
    loss.backward()
    assert p.weights.grad.isfinite().all()


def network() -> loop.Step:
    """A small one with batch norm, whose loss is not asked for."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(2, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU())
    model.extend([torch.nn.Flatten(), torch.nn.Linear(8 * 3 * 4, CLASSES)])
    return loop.Step(model, torch.optim.SGD(model.parameters(), 0.1), lambda *_: torch.zeros(()), "fp32", CPU)


def state(step: loop.Step) -> dict[str, torch.Tensor]:
    return copy.deepcopy(step.model.state_dict())


@pytest.mark.parametrize("epsilon", [0.01, 0.25, 1.0])
def test_the_attack_stays_in_the_ball_and_among_pixels_and_raises_the_loss(epsilon: float) -> None:
    step, samples = network(), 3
    images, labels = torch.rand(64, *SHAPE).round(decimals=1), torch.randint(CLASSES, (64,))
    noise = 0.25 * torch.randn(64 * samples, *SHAPE)
    f = base.Smoothed(step.forward, step.frozen, lambda *_: noise, distribution.margin, None, 0, torch.Generator())
    before = state(step)
    settings = smoothadv.Settings(epsilon=epsilon, samples=samples, steps=4)
    attacking = smoothadv.attack(f, images, labels, noise, settings)
    assert not attacking.requires_grad
    assert (attacking >= 0).all()
    assert (attacking <= 1).all()
    assert ((attacking - images).flatten(1).norm(dim=1) <= epsilon * (1 + 1e-5)).all()

    def objective(x: torch.Tensor) -> torch.Tensor:
        p = step.frozen(x.repeat_interleave(samples, 0) + noise).softmax(1).unflatten(0, (64, samples)).mean(1)
        return -p[torch.arange(64), labels].log()

    assert (objective(attacking) > objective(images)).all()
    for name, tensor in state(step).items():
        assert torch.equal(tensor, before[name]), name
    assert step.model.training
    assert all(weight.grad is None and weight.requires_grad for weight in step.model.parameters())


def test_an_attack_without_a_gradient_stays_where_it_is() -> None:
    p = problem(1, 0.0)
    attacked = smoothadv.attack(p.f, p.images, p.labels, p.f.noise(SIGMA, 1), smoothadv.Settings())
    assert torch.equal(attacked, p.images)


@pytest.mark.parametrize(("samples", "gamma", "beta", "scale"), [(1, 8, 16, 0.1), (5, 2, 1, 0.2), (16, 8, 4, 0.2)])
def test_macer_is_its_two_parts(samples: int, gamma: float, beta: float, scale: float) -> None:
    p = problem(samples, scale)
    for i in range(4):  # some are right
        means = sum(softmax(beta * logits(p, p.images[i].numpy(), i, j)) for j in range(samples))
        p.labels[i] = int(means.argmax())
    expected, hinges = 0.0, 0
    for i, label in enumerate(p.labels.tolist()):
        every = [logits(p, p.images[i].numpy(), i, j) for j in range(samples)]
        expected -= math.log(np.mean([softmax(one) for one in every], axis=0)[label])
        z = np.mean([softmax(beta * one) for one in every], axis=0)
        second, top = np.sort(z)[-2:]
        if z.argmax() == label:
            hinge = max(gamma - (norm.ppf(top) - norm.ppf(second)), 0)
            hinges += hinge > 0
            expected += 12 * SIGMA[i].item() / 2 * hinge
    assert hinges > 1
    settings = macer.Settings(samples=samples, margin_gamma=gamma, beta=beta)
    loss = macer.loss(p.f, p.images, p.labels, SIGMA, settings)
    assert loss.item() == pytest.approx(expected / len(SIGMA), rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda w: macer.loss(
            replace(p.f, forward=lambda x: x.flatten(1) @ w.T),
            p.images, p.labels, SIGMA, settings,
        ),
        p.weights,
    )  # fmt: skip


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_macer_has_a_finite_gradient(scale: float, dtype: torch.dtype) -> None:
    """Though quantiles of probabilities that round to 0 and 1 are infinite."""
    p = problem(4, scale)
    weights = p.weights.detach().to(dtype).requires_grad_()
    f = base.Smoothed(
        lambda x: x.flatten(1) @ weights.T,
        p.f.frozen,
        lambda s, n: p.f.noise(s, n).to(dtype),
        distribution.margin,
        None,
        0,
        torch.Generator().manual_seed(8),
    )
    labels = f.forward(p.images.to(dtype)).argmax(1)
    loss = macer.loss(f, p.images.to(dtype), labels, SIGMA.to(dtype), macer.Settings(samples=4))
    loss.backward()
    assert loss.isfinite()
    assert weights.grad.isfinite().all()


def with_weights(p: SimpleNamespace, weights: torch.Tensor) -> base.Smoothed:
    """The f of a problem as a linear layer behind a map that does nothing."""
    linear = models.Linear(lambda x: x.flatten(1), weights, torch.zeros(CLASSES))
    return replace(p.f, forward=lambda x: x.flatten(1) @ weights.T, linear=lambda: linear)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0])
@pytest.mark.parametrize("clean", [True, False])
def test_margin_is_the_cross_entropy_of_logits_that_an_attack_has_raised(epsilon: float, clean: bool) -> None:
    p = problem(1)
    f, sigma = with_weights(p, p.weights), torch.zeros_like(SIGMA) if clean else SIGMA
    expected = []
    for i, label in enumerate(p.labels.tolist()):
        w = p.weights.detach().numpy()
        z = w @ (p.images[i] + sigma[i] * p.eps[i, 0]).numpy().ravel()
        for j in range(CLASSES):
            z[j] += epsilon * np.linalg.norm(w[label] - w[j])
        expected.append(-log_softmax(z)[label])
    settings = margin.Settings(epsilon=epsilon)
    loss = margin.loss(f, p.images, p.labels, sigma, settings)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-9)  # of norms whose squares are at least 1e-24
    assert torch.autograd.gradcheck(
        lambda w: margin.loss(with_weights(p, w), p.images, p.labels, sigma, settings), p.weights
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_margin_has_a_finite_gradient_where_classes_have_the_same_weights(dtype: torch.dtype) -> None:
    """A root's slope is infinite at 0."""
    p = problem(1)
    weights = p.weights.detach().to(dtype)
    weights[1] = weights[0]
    weights[2] = weights[3] * (1 + torch.finfo(dtype).eps)
    weights.requires_grad_()
    f = with_weights(p, weights)
    f = replace(f, noise=lambda s, n: p.f.noise(s, n).to(dtype))
    loss = margin.loss(f, p.images.to(dtype), p.labels, SIGMA.to(dtype), margin.Settings())
    loss.backward()
    assert loss.isfinite()
    assert weights.grad.isfinite().all()
    assert (weights.grad != 0).any(1).all()


@pytest.mark.parametrize("arch", ["resnet20", "mlp-16", "imagenet-resnet50"])
def test_margin_refuses_what_is_not_lipschitz(arch: str) -> None:
    message = f"must be a 1-Lipschitz network such as sll32-2, or linear on embeddings, got '{arch}'"
    with pytest.raises(InputError, match=message):
        config.check(margin.Settings, {"arch": arch})
    assert config.check(margin.Settings, {"arch": "linear"}).arch == "linear"


def test_adam_is_torchs_own() -> None:
    """Three steps, with a weight decay that does not go through the gradients."""
    ended = []
    for own in (True, False):
        torch.manual_seed(0)
        model = models.build("sll8-1", CLASSES, [0.5, 0.5], [0.25, 0.25])
        images, labels = torch.rand(12, 2, 8, 8), torch.arange(12) % CLASSES
        settings = config.Base(optimizer="adamw", lr=0.01, momentum=0.8, weight_decay=0.1, precision="fp32")
        step = base.step(model, "gaussian", settings, "gaussian", torch.zeros(12), CPU)
        adam = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.8, 0.999), weight_decay=0.1)
        for _ in range(3):
            if own:
                step(images, labels, torch.arange(12), False, torch.Generator())
            else:
                adam.zero_grad()
                torch.nn.functional.cross_entropy(model(images), labels).backward()
                adam.step()
        ended.append(copy.deepcopy(model.state_dict()))
    for name, tensor in ended[0].items():  # memory in another order, so other sums, and Adam enlarges small gradients
        torch.testing.assert_close(tensor, ended[1][name], rtol=1e-3, atol=1e-4, msg=name)


# Algorithm 1, a step of it.


@pytest.mark.parametrize(("steps", "n"), [(1, 1), (3, 4)])
def test_ascent_is_a_plain_loop(steps: int, n: int) -> None:
    """With derivatives of the radius by finite differences."""
    p = problem(1, 0.2)
    eps = torch.randn(steps, len(SIGMA), n, *SHAPE, dtype=torch.float64)
    weights = p.weights.detach().numpy()

    def radius(i: int, sigma: float, k: int) -> float:
        copies = [p.images[i].numpy() + sigma * eps[k, i, j].numpy() for j in range(n)]
        z = np.mean([softmax(weights @ copy.ravel()) for copy in copies], axis=0)
        second, top = np.clip(np.sort(z)[-2:], 0.02, 0.98)
        return sigma / 2 * (norm.ppf(top) - norm.ppf(second))

    expected = []
    for i, sigma in enumerate(SIGMA.tolist()):
        for k in range(steps):
            sigma += 0.01 * (radius(i, sigma + 1e-6, k) - radius(i, sigma - 1e-6, k)) / 2e-6
        expected.append(sigma)
    sigmas = ascend(p.f.frozen, p.images, SIGMA, lambda k: eps[k], distribution.margin, range(steps), 0.01)
    np.testing.assert_allclose(sigmas.numpy(), expected, rtol=1e-7)
    assert not sigmas.requires_grad


def test_sigma_rises_where_the_radius_does_and_keeps_its_floor() -> None:
    """Images far from the boundary of a linear f in one direction, and such whose copies are on either side."""
    images = torch.zeros(200, *SHAPE)
    images[:100, 0, 0, 0], images[100:, 0, 0, 0] = 3.0, 0.05

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([20 * x[:, 0, 0, 0], -20 * x[:, 0, 0, 0]], 1)

    random = torch.Generator().manual_seed(0)
    start = torch.full((200,), 0.5)

    def draw(_: int) -> torch.Tensor:
        return torch.randn(200, 64, *SHAPE, generator=random)

    def falling(p_a: torch.Tensor, p_b: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return -sigma

    sigmas = ascend(f, images, start, draw, distribution.margin, range(5), 0.01)
    assert (sigmas[:100] > 0.5).all()
    assert sigmas[:100].mean() > sigmas[100:].mean()
    assert torch.equal(start, torch.full((200,), 0.5))
    assert torch.equal(ascend(f, images, start, draw, falling, range(3), 1.0), torch.full((200,), FLOOR))


def test_a_router_learns_the_level_with_the_largest_radius() -> None:
    """The loss on a linear router and linear teachers of three levels, written out."""
    p, single, settings = problem(2), problem(1), router.Settings(samples=2)
    levels = [0.5, 0.25, 0.1]
    weights = [0.5 * torch.randn(CLASSES, math.prod(SHAPE), dtype=torch.float64) for _ in levels]

    def noise(sigma: torch.Tensor, count: int) -> torch.Tensor:
        return (p if count == 2 else single).f.noise(sigma, count)

    teachers = [Teacher(lambda x, w=w: x.flatten(1) @ w.T, sigma) for w, sigma in zip(weights, levels, strict=True)]
    f = replace(single.f, noise=noise, teachers=teachers)
    places, terms = [], []
    for i, label in enumerate(p.labels.tolist()):
        x, radii = p.images[i].numpy(), []
        for w, sigma in zip(weights, levels, strict=True):
            copies = [softmax(w.numpy() @ (x + sigma * p.eps[i, j].numpy()).ravel()) for j in range(2)]
            mean = np.mean(copies, axis=0)
            radii.append(sigma / 2 * (ndtri(mean[label]) - ndtri(np.delete(mean, label).max())))
        places.append(int(np.argmax(radii)))
        terms.append(-log_softmax(logits(single, x, i, 0))[places[-1]])
    assert len(set(places)) > 1
    assert router.best(f, p.images, p.labels, 2).tolist() == places
    loss = router.loss(f, p.images, p.labels, SIGMA, settings)
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-10)


def test_a_router_with_one_level_has_nothing_to_choose() -> None:
    p = problem(1)
    f = replace(p.f, teachers=[Teacher(lambda x: x.flatten(1)[:, :CLASSES], 0.25)])
    expected = gaussian.loss(p.f, p.images, torch.zeros_like(p.labels), SIGMA, gaussian.Settings())
    assert router.loss(f, p.images, p.labels, SIGMA, router.Settings(samples=1)).item() == expected.item()


# Training as a whole.


@pytest.fixture(scope="module")
def splits(digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    train, teacher = data.read(digits.train, ":200"), tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    torch.manual_seed(5)
    about = {key: train.meta[key] for key in ("dataset", "classes", "mean", "std")}
    model = models.build("resnet14", about["classes"], about["mean"], about["std"])
    models.save(teacher, model, {"kind": "base", "arch": "resnet14", "sigma": 0.25, **about})
    return SimpleNamespace(train=train, test=data.read(digits.test, ":60"), teacher=teacher)


SMALL = {"arch": "resnet8", "epochs": 3, "batch_size": 64, "lr": 0.05, "crop": 1, "flip": False}
OWN = {
    "gaussian": {},
    "smoothadv": {"samples": 2},
    "macer": {"samples": 2},
    "consistency": {"samples": 3},
    "smoothmix": {"steps": 2},
    "crt": {},
    "clean": {},
    "stability": {},
    "catrs": {"samples": 2, "steps": 2},
    "router": {"samples": 2},
    "margin": {"arch": "sll8-1", "optimizer": "adamw", "lr": 0.01},
}
ASCENT = {"ascent": 2, "ascent_from": 1, "ascent_samples": 2, "ascent_lr": 0.01}


def trained(
    splits: SimpleNamespace, output: Path, way: str, seed: int = 0, initial: Path | None = None, **more: object
) -> dict[str, torch.Tensor]:
    settings = training.way(way).Settings(**SMALL | OWN[way] | more)
    teachers = [splits.teacher] if hasattr(training.way(way), "lessons") else []
    base.train(
        splits.train, splits.test, output, way, settings, 0.25, "gaussian", seed, CPU, initial, teachers, code=""
    )
    return models.load(output, "base")[0].state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_ways_are_found() -> None:
    assert set(OWN) <= set(registry.names("training.ways"))
    with pytest.raises(
        InputError,
        match=f"training must be one of {', '.join(registry.names('training.ways'))}, got 'none'",
    ):
        training.way("none")
    assert [training.way(way).passes(training.way(way).Settings()) for way in OWN] == [
        1,
        3,
        64,
        2,
        12,
        1,
        1,
        1,
        24,
        1,
        1,
    ]


@pytest.mark.parametrize("way", list(OWN))
@pytest.mark.parametrize("extra", [{}, ASCENT], ids=["one sigma", "own sigmas"])
def test_training_is_seeded_and_goes_on_midway(
    splits: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, extra: dict[str, object]
) -> None:
    """An epoch has four batches."""
    whole = trained(splits, tmp_path / "whole.safetensors", way, **extra)
    assert not same(whole, trained(splits, tmp_path / "other.safetensors", way, seed=1, **extra))
    assert ("sigma" in (tmp_path / "whole.csv").read_text().splitlines()[0].split(",")) == bool(extra)
    original, steps = loop.Step.__call__, []

    def step(self: loop.Step, *batch: object) -> torch.Tensor:
        steps.append(len(steps))
        if len(steps) == 7:
            raise InterruptedError
        return original(self, *batch)

    monkeypatch.setattr(loop.Step, "__call__", step)
    monkeypatch.setattr(progress, "SAVE_SECONDS", -1.0)
    with pytest.raises(InterruptedError):
        trained(splits, tmp_path / "broken.safetensors", way, **extra)
    torch.manual_seed(9)
    trained(splits, tmp_path / "broken.safetensors", way, **extra)
    assert len(steps) == 3 * 4 + 1
    assert (tmp_path / "broken.safetensors").read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    strip = [
        [line.rpartition(",")[0] for line in (tmp_path / f"{name}.csv").read_text().splitlines()]
        for name in ("whole", "broken")
    ]
    assert strip[0] == strip[1]


def test_sigma_stays_until_the_ascent_and_is_carried_on(splits: SimpleNamespace, tmp_path: Path) -> None:
    trained(splits, tmp_path / "f.safetensors", "gaussian", **{**ASCENT, "ascent_from": 2, "epochs": 4})
    header, *lines = (line.split(",") for line in (tmp_path / "f.csv").read_text().splitlines())
    sigma = [float(line[header.index("sigma")]) for line in lines]
    assert sigma[:2] == [0.25, 0.25]
    assert len(set(sigma)) == 3


def test_ascent_leaves_the_network_alone() -> None:
    """A step with it and one without, of a rate of nothing, end with the same weights and statistics."""
    ended, sigmas = [], []
    for ascending in (False, True):
        torch.manual_seed(0)
        model = models.build("resnet8", CLASSES, [0.5, 0.5], [0.25, 0.25])
        settings = config.Base(lr=1e-30, momentum=0, weight_decay=0, precision="fp32", **ASCENT)
        sigma_x = torch.full((20,), 0.25)
        step = base.step(model, "gaussian", settings, "gaussian", sigma_x, CPU)
        seen: list[bool] = []
        model.register_forward_hook(lambda module, *_, seen=seen: seen.append(module.training))
        chosen = torch.arange(3, 19)
        images, labels = torch.full((16, 2, 8, 8), 0.5), chosen % CLASSES
        images += torch.linspace(0, 0.4, 16).view(-1, 1, 1, 1)
        step(images, labels, chosen, ascending, torch.Generator().manual_seed(0))
        assert seen == [False] * 2 * ascending + [True]
        assert model.training
        ended.append(state(step))
        sigmas.append(sigma_x)
    assert torch.equal(sigmas[0], torch.full((20,), 0.25))
    assert (sigmas[1][3:19] != 0.25).all()
    assert torch.equal(sigmas[1][[0, 1, 2, 19]], torch.full((4,), 0.25))
    for name, tensor in ended[0].items():
        if "num_batches" in name:
            assert ended[1][name] == tensor == 1  # the pass of training, and no other


def test_fine_tuning_starts_from_the_weights(splits: SimpleNamespace, tmp_path: Path) -> None:
    first = tmp_path / "first.safetensors"
    start = trained(splits, first, "gaussian")
    near = trained(splits, tmp_path / "near.safetensors", "macer", initial=first, lr=1e-12, weight_decay=0, epochs=1)
    for name, tensor in start.items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(near[name], tensor, rtol=1e-5, atol=1e-6)
    fresh = trained(splits, tmp_path / "again.safetensors", "macer", lr=1e-12, weight_decay=0, epochs=1)
    assert not same(near, fresh)
    with pytest.raises(InputError, match=r"first\.safetensors must be made for arch resnet14, got resnet8"):
        trained(splits, tmp_path / "x.safetensors", "gaussian", initial=first, arch="resnet14")


@pytest.mark.slow
def test_ways_on_digits(digits: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ACR of the digits at sigma 0.5, certified by counting: 0.220, 0.257 and 0.243 where this was written.

    The weight of MACER's radius is less than the paper's: with 12, thirty epochs end at 0.188, below gaussian.
    """
    train, test = data.read(digits.train), data.read(digits.test)
    common = {**SMALL, "epochs": 30, "step_size": 12}
    ways: dict[str, dict[str, object]] = {
        "gaussian": {},
        "smoothadv": {"epsilon": 0.5},
        "macer": {"samples": 8, "weight": 4},
    }
    acr = {}
    for way, own in ways.items():
        output = tmp_path / f"{way}.safetensors"
        settings = training.way(way).Settings(**common | own)
        base.train(train, test, output, way, settings, 0.5, "gaussian", 0, CPU, code="")
        model, description = models.load(output, "base")
        assert description["training"] == way
        pixels = test.pixels()
        engine = build(model, pixels.shape[1:], device=CPU)
        selected, counted = (
            sampling.count_predictions(engine, pixels, 0.5, n, 0, classes=10, idx=test.idx, purpose=purpose)[0][:, 0]
            for purpose, n in (("selection", 100), ("estimation", 1000))
        )
        top = selected.argmax(1)
        p_lower = statistics.lower_bound(counted[np.arange(len(top)), top], 1000, 0.001)
        acr[way] = float(np.where(top == test.labels, distribution.radius(p_lower, 0.5), 0).mean())
    with capsys.disabled():
        print(acr)
    assert acr["smoothadv"] > acr["gaussian"]
    assert acr["macer"] > acr["gaussian"]
