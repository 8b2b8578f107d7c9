"""Checkpoints of locuslab/smoothing: importing without running code, refused where they do not fit."""

import os
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from accelerated_smoothing import cli, data, models
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.models import importing

IMAGES = {"dataset": "cifar10", "classes": 10, "mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}


def checkpoint(
    path: Path, arch: str = "cifar_resnet8", wrapped: bool = False, **changes: torch.Tensor
) -> torch.nn.Module:
    """A file as their train.py writes it: epoch, arch, state_dict and the optimizer's state."""
    torch.manual_seed(0)
    model = models.build("resnet8", 10, IMAGES["mean"], IMAGES["std"]).eval()
    prefix = "1.module." if wrapped else "1."
    state = OrderedDict(
        (prefix + name, tensor) for name, tensor in model[1].state_dict().items() if "num_batches" not in name
    )
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9).state_dict()
    torch.save({"epoch": 90, "arch": arch, "state_dict": {**state, **changes}, "optimizer": optimizer}, path)
    return model


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_importing_classifier_is_the_same_function(tmp_path: Path, wrapped: bool) -> None:
    original = checkpoint(tmp_path / "checkpoint.pth.tar", wrapped=wrapped)
    imported, description = importing.weights(tmp_path / "checkpoint.pth.tar", "resnet8", IMAGES, 0.25)
    models.save(tmp_path / "base.safetensors", imported, description)
    model, description = models.load(tmp_path / "base.safetensors", "base")
    images = torch.rand(5, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model(images), original(images))
    assert description["arch"] == "resnet8"
    assert description["sigma"] == 0.25


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "attacked"),)

    torch.save({"arch": "cifar_resnet8", "state_dict": Attack()}, tmp_path / "checkpoint.pth.tar")
    with pytest.raises(InputError, match="not a checkpoint of weights"):
        importing.weights(tmp_path / "checkpoint.pth.tar", "resnet8", IMAGES, 0.25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pth.tar"]


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("cifar_resnet14", {}, "must hold 1.layer1.1.bn1.bias, got none"),
        ("cifar_resnet21", {}, "arch must be a ResNet with .* got 'resnet21'"),
        (
            "cifar_resnet8",
            {"1.fc.weight": torch.zeros(100, 64)},
            r"1.fc.weight must .* got \[100, 64\]",
        ),
        ("cifar_resnet8", {"1.extra": torch.zeros(1)}, "must not hold 1.extra"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, arch: str, changes: dict, message: str) -> None:
    checkpoint(tmp_path / "checkpoint.pth.tar", arch, **changes)
    with pytest.raises(InputError, match=message):
        importing.weights(tmp_path / "checkpoint.pth.tar", arch.removeprefix("cifar_"), IMAGES, 0.25)


@pytest.mark.parametrize("theirs", ["cifar_resnet20", "resnet50", "resnet8"])
def test_another_architecture_than_the_configs_is_refused(tmp_path: Path, theirs: str) -> None:
    checkpoint(tmp_path / "checkpoint.pth.tar", theirs)
    with pytest.raises(InputError, match=f"must hold the architecture resnet8 .base.arch., got '{theirs}'"):
        importing.weights(tmp_path / "checkpoint.pth.tar", "resnet8", IMAGES, 0.25)


def test_a_classifier_that_fails_is_refused(
    tmp_path: Path, digits: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = data.read(digits.train).meta
    model = models.build("resnet8", 10, meta["mean"], meta["std"])
    weights = {name: tensor for name, tensor in model.state_dict().items() if name.startswith("1.")}
    weights["1.fc.bias"] = torch.full((10,), torch.nan)
    torch.save({"arch": "cifar_resnet8", "state_dict": weights}, tmp_path / "checkpoint.pth.tar")
    words = f"import-base {tmp_path}/checkpoint.pth.tar --arch resnet8 --images {digits.train} --sigma 0.5 --output"
    assert cli.main([*words.split(), str(tmp_path / "base.safetensors")]) == 2
    assert "checkpoint.pth.tar must return finite logits, got NaN" in capsys.readouterr().err
    assert not (tmp_path / "base.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_resnet50_of_imagenet(tmp_path: Path, wrapped: bool) -> None:
    """Theirs: a normalisation by fixed moments without state, then torchvision's network, perhaps for several GPUs."""
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet50(num_classes=20).eval()
    prefix = "1.module." if wrapped else "1."
    state = OrderedDict((prefix + name, tensor) for name, tensor in network.state_dict().items())
    torch.save({"epoch": 90, "arch": "resnet50", "state_dict": state}, tmp_path / "checkpoint.pth.tar")
    images = {"dataset": "imagefolder", "classes": 20, "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    model, described = importing.weights(tmp_path / "checkpoint.pth.tar", "imagenet-resnet50", images, 0.25)
    assert (described["mean"], described["std"]) == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    pixels = torch.rand(2, 3, 64, 64)
    normalised = torchvision.transforms.functional.normalize(pixels, described["mean"], described["std"])
    with torch.inference_mode():
        torch.testing.assert_close(model(pixels), network(normalised), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pth.tar").write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint of weights"):
        importing.weights(tmp_path / "checkpoint.pth.tar", "resnet8", IMAGES, 0.25)
