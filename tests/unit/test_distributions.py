import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import stats

from accelerated_smoothing import noise, registry
from accelerated_smoothing.certify import statistics
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.noise.distributions import gaussian, laplace, uniform

CPU = torch.device("cpu")
# Each distribution's law of one element at scale 1, and the greatest distance that a radius can be.
LAWS = {"gaussian": stats.norm(), "uniform": stats.uniform(-1, 2), "laplace": stats.laplace()}
LIMITS = {"gaussian": np.inf, "uniform": 1.0, "laplace": np.inf}
NAMES = sorted(LAWS)


def test_the_distributions_are_those_of_the_noise() -> None:
    assert list(registry.names("noise.distributions")) == NAMES
    assert [noise.distribution(name).NORM for name in NAMES] == ["l2", "l1", "l1"]


@pytest.mark.parametrize("name", ["cauchy", "", "__init__", "gaussian.py"])
def test_an_unknown_distribution_is_refused_with_those_that_there_are(name: str) -> None:
    with pytest.raises(InputError, match=f"^noise must be one of gaussian, laplace, uniform, got '{name}'$"):
        noise.distribution(name)


def test_certifying_needs_no_torch_and_no_compiler() -> None:
    code = "import sys; from accelerated_smoothing import noise, registry; "
    code += "[noise.distribution(name).radius(0.9, 1.0) for name in registry.names('noise.distributions')]; "
    code += "print({'torch', 'numba', 'triton'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("scale", [0.12, 0.25, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_a_radius_is_the_distance_of_a_threshold(name: str, scale: float) -> None:
    """The worst case: f(x) = [x_1 > 0] at distance d has p_a = F(d / scale) exactly, and changes at d."""
    distances = scale * np.linspace(0.001, min(LIMITS[name], 6.0) - 0.001, 300)
    radii = noise.distribution(name).radius(LAWS[name].cdf(distances / scale), scale)
    # Near p = 1 a probability has a resolution of 1.1e-16, so the radius has one of that by the density there.
    allowed = scale * 4 * 2.0**-53 / LAWS[name].pdf(distances / scale) + 4 * np.spacing(distances)
    assert (np.abs(radii - distances) <= allowed).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_radius_grows_with_the_probability_and_the_scale(name: str) -> None:
    p, scales = np.linspace(0.5, 1 - 1e-9, 1001), np.array([[0.1], [0.25], [1.0]])
    radii = noise.distribution(name).radius(p, scales)
    assert radii.shape == (3, 1001)
    assert (np.diff(radii, axis=1) > 0).all()
    assert (np.diff(radii[:, 1:], axis=0) > 0).all()
    assert (radii <= scales * LIMITS[name]).all()
    np.testing.assert_array_equal(noise.distribution(name).radius(p, 0.25), radii[1])
    each = noise.distribution(name).radius(p[[100, 500, 900]], scales[:, 0])  # one scale for each image
    np.testing.assert_array_equal(each, radii[[0, 1, 2], [100, 500, 900]])


@pytest.mark.parametrize("name", NAMES)
def test_a_radius_is_zero_up_to_one_half(name: str) -> None:
    radius = noise.distribution(name).radius
    radii = radius([0.0, 0.1, 0.4999, 0.5], 1.0)
    assert (radii == 0).all()
    assert not np.signbit(radii).any()
    assert radius(np.nextafter(0.5, 1), 1.0) > 0


def test_radii_are_those_of_the_papers() -> None:
    p = np.linspace(0.5001, 0.99999, 200)
    np.testing.assert_allclose(gaussian.radius(p, 0.25), 0.25 * stats.norm.ppf(p), rtol=1e-12)
    np.testing.assert_allclose(uniform.radius(p, 0.25), 0.5 * (p - 0.5), rtol=1e-12)
    best = np.maximum(0.125 * np.log(p / (1 - p)), -0.25 * np.log(1 - p + (1 - p)))
    np.testing.assert_allclose(laplace.radius(p, 0.25), best, rtol=1e-12)


def test_largest_radii_of_the_paper() -> None:
    """100,000 equal predictions at scale 0.25 and alpha 0.001 bound the probability by 0.001^(1e-5)."""
    p, exact = statistics.lower_bound(100_000, 100_000, 0.001), 0.001**1e-5
    assert gaussian.radius(p, 0.25) == pytest.approx(0.25 * stats.norm.ppf(exact), rel=1e-12)
    assert 0.95 < gaussian.radius(p, 0.25) < 0.96
    assert uniform.radius(p, 0.25) == pytest.approx(0.25 * (2 * exact - 1), rel=1e-12)
    assert laplace.radius(p, 0.25) == pytest.approx(-0.25 * np.log(2 * (1 - exact)), rel=1e-11)
    # Certainty itself is never bounded from samples; the cube is then the limit, the others have none.
    assert uniform.radius(1.0, 0.25) == 0.25
    assert gaussian.radius(1.0, 0.25) == laplace.radius(1.0, 0.25) == np.inf


@pytest.mark.parametrize("name", NAMES)
def test_a_margin_is_the_radius_of_two_probabilities(name: str) -> None:
    module, p = noise.distribution(name), np.linspace(0.501, 0.999, 100)
    p_a = torch.from_numpy(p)
    margins = module.margin(p_a, 1 - p_a, torch.full((100,), 0.25))
    np.testing.assert_allclose(margins.numpy(), module.radius(p, 0.25), rtol=1e-12)
    assert (module.margin(1 - p_a, p_a, 0.25) < 0).all()
    assert (module.margin(p_a, p_a, 0.25) == 0).all()
    # A second class that is less likely than the rest together leaves more room.
    assert (module.margin(p_a, (1 - p_a) / 2, 0.25) > margins).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_margin_has_the_gradient_of_its_formula(name: str) -> None:
    p_a, p_b, scale = (torch.tensor(values, dtype=torch.float64) for values in ([0.6, 0.9], [0.3, 0.05], [0.25, 0.5]))
    inputs = [tensor.requires_grad_() for tensor in (p_a, p_b, scale)]
    margin = noise.distribution(name).margin
    assert torch.autograd.gradcheck(margin, inputs)  # against finite differences
    gradients = torch.autograd.grad(margin(*inputs).sum(), inputs)
    a, b, s = (tensor.detach().numpy() for tensor in inputs)
    expected = {
        "gaussian": s / 2 / stats.norm.pdf(stats.norm.ppf(a)),
        "uniform": s,
        "laplace": s / (1 - a + b),
    }[name]
    np.testing.assert_allclose(gradients[0].numpy(), expected, rtol=1e-9)
    np.testing.assert_allclose(gradients[2].numpy(), (margin(*inputs) / scale).detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_noise_for_training_follows_its_law_and_its_generator(name: str) -> None:
    def drawn(seed: int) -> torch.Tensor:
        return noise.distribution(name).standard((20, 3, 40, 50), torch.Generator().manual_seed(seed), CPU)

    first = drawn(0)
    assert (first.shape, first.dtype) == ((20, 3, 40, 50), torch.float32)
    assert torch.equal(first, drawn(0))
    assert not torch.equal(first, drawn(1))
    assert stats.kstest(first.numpy().ravel(), LAWS[name].cdf).pvalue > 1e-4  # seeded; by chance once in ten thousand
    rows = first.reshape(60, -1).numpy()
    assert np.abs(np.corrcoef(rows) - np.eye(60)).max() < 6 / np.sqrt(2000)  # 1,770 pairs; each is about N(0, 1/n)
