"""Principal components as a 1-Lipschitz backbone: what is kept, and what never stretches."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from accelerated_smoothing import architectures, config, data, models
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.models.families.pca import Pca
from accelerated_smoothing.training import base

CPU = torch.device("cpu")


def images(n: int, seed: int = 0) -> torch.Tensor:
    """[n, 2, 4, 4] near a space of three dimensions."""
    random = torch.Generator().manual_seed(seed)
    directions = torch.randn(3, 32, generator=random) * torch.tensor([3.0, 2.0, 1.0])[:, None]
    x = torch.randn(n, 3, generator=random) @ directions + 0.01 * torch.randn(n, 32, generator=random)
    return x.view(n, 2, 4, 4)


def prepared(components: int, x: torch.Tensor) -> Pca:
    model = Pca(f"pca4-{components}", 2, 5)
    model.prepare(x)
    return model


def test_components_are_those_of_a_singular_value_decomposition() -> None:
    x = images(200)
    weight = prepared(3, x).vectors[0].weight.double().numpy()
    flat = x.flatten(1).double().numpy()
    expected = np.linalg.svd(flat - flat.mean(0))[2][:3]
    np.testing.assert_allclose(np.abs((weight * expected).sum(1)), 1, atol=1e-6)


def test_all_components_keep_all_distances() -> None:
    """Float32 holds each entry of U to 2^-24, and its scaling takes no more than the sum of such errors."""
    x, model = images(100), prepared(32, images(100))
    whole, embedded = torch.pdist(x.flatten(1).double()), torch.pdist(model.double().backbone(x.double()))
    torch.testing.assert_close(embedded, whole, rtol=1e-5, atol=0)
    assert (embedded <= whole).all()


@pytest.mark.parametrize("weight", ["prepared", "random"])
def test_nothing_stretches(weight: str) -> None:
    """Whatever the weights: those of a file may be any."""
    model = prepared(6, images(50)).double()
    narrowing = model.vectors[0]
    if weight == "random":
        narrowing.weight.data = torch.randn(narrowing.weight.shape, dtype=torch.float64)
    map_of = torch.func.jacrev(lambda x: model.backbone(x[None])[0])(torch.zeros(2, 4, 4, dtype=torch.float64))
    assert torch.linalg.matrix_norm(map_of.flatten(1), 2) <= 1 + 1e-12
    exact = models.exact(torch.nn.Sequential(models.Normalize([0.5, 0.5], [1.0, 1.0]), model))
    assert 0 < exact.rounding < 1e-12


def test_training_takes_the_components_of_the_training_images(digits: SimpleNamespace, tmp_path: Path) -> None:
    train, output = data.read(digits.train, ":300"), tmp_path / "f.safetensors"
    settings = config.Base(arch="pca8-12", epochs=2, batch_size=64, crop=0, flip=False)
    base.train(train, data.read(digits.test, ":50"), output, "gaussian", settings, 0.0, "gaussian", 0, CPU, code="")
    model, _ = models.load(output, "base", train.meta)
    expected = Pca("pca8-12", 1, 10)
    expected.prepare(model[0](torch.from_numpy(train.pixels())))
    assert torch.equal(model[1].vectors[0].weight, expected.vectors[0].weight)
    assert not torch.equal(model[1].fc.weight, expected.fc.weight)


def test_names() -> None:
    assert architectures.features("pca32-64") == 64
    assert architectures.side("pca32-64") == 32
    assert architectures.embeds("pca32-64")
    assert architectures.features("sll8-4") == 64
    with pytest.raises(ValueError, match="components must be at most 64 for pca8-65, got 65"):
        models.build("pca8-65", 10, [0.5], [1.0])
    with pytest.raises(ValueError, match="must be pca<side of the images>-<components>, such as pca32-64, got 'pca32'"):
        architectures.side("pca32")


def test_it_is_for_images_of_one_size(digits: SimpleNamespace, tmp_path: Path) -> None:
    train = data.read(digits.train, ":8")
    settings = config.Base(arch="pca32-12", epochs=1, crop=0, flip=False)
    with pytest.raises(InputError, match="arch must be for images of 8x8 pixels, got 'pca32-12'"):
        base.train(train, train, tmp_path / "f", "gaussian", settings, 0.0, "gaussian", 0, CPU, code="")
