"""Checkpoints of locuslab/smoothing: importing without running code, refused where they do not fit."""

import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from accelerated_smoothing import models
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
    importing.convert(tmp_path / "checkpoint.pth.tar", IMAGES, 0.25, tmp_path / "base.safetensors")
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
        importing.convert(tmp_path / "checkpoint.pth.tar", IMAGES, 0.25, tmp_path / "base.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pth.tar"]


@pytest.mark.parametrize(
    ("arch", "changes", "message"),
    [
        ("cifar_resnet14", {}, "must hold 1.layer1.1.bn1.bias, got none"),
        ("resnet50", {}, "got 'resnet50'"),
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
        importing.convert(tmp_path / "checkpoint.pth.tar", IMAGES, 0.25, tmp_path / "base.safetensors")
    assert not (tmp_path / "base.safetensors").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pth.tar").write_bytes(content)
    with pytest.raises(InputError, match="not a checkpoint of weights"):
        importing.convert(tmp_path / "checkpoint.pth.tar", IMAGES, 0.25, tmp_path / "base.safetensors")
