import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from accelerated_smoothing import models
from accelerated_smoothing.errors import InputError

DESCRIPTION = {"kind": "base", "arch": "resnet8", "classes": 10, "mean": [0.5] * 3, "std": [0.25] * 3, "sigma": 0.5}


def fresh(settle: Any, arch: str = "resnet8") -> torch.nn.Sequential:
    images = torch.rand((40, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    model = models.build(arch, 10, [0.5, 0.4, 0.3], [0.25, 0.2, 0.3])
    settle(model, images, seed=0)
    return model


def by_hand(depth: int, channels: int, classes: int) -> int:
    """Convolutions without bias, two numbers a channel for each batch norm, 1x1 shortcuts into stages 2 and 3."""
    blocks = (depth - 2) // 6
    stem = 9 * channels * 16 + 2 * 16
    total = stem
    width = 16
    for stage in (16, 32, 64):
        for block in range(blocks):
            inputs = width if block == 0 else stage
            total += 9 * inputs * stage + 9 * stage * stage + 2 * 2 * stage
        if stage != width:
            total += width * stage + 2 * stage
        width = stage
    return total + 64 * classes + classes


@pytest.mark.parametrize(
    ("depth", "known"),
    # He et al.'s 0.27 M, 0.85 M and 1.7 M, which have no parameters in their shortcuts, and 2,752 for those
    [(20, 269_722 + 2_752), (56, 853_018 + 2_752), (110, 1_727_962 + 2_752)],
)
def test_parameters(depth: int, known: int) -> None:
    model = models.build(f"resnet{depth}", 10, [0.5] * 3, [0.25] * 3)
    assert sum(p.numel() for p in model.parameters()) == known == by_hand(depth, 3, 10)
    convolutions = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    assert len(convolutions) + 1 == depth


def test_parameters_of_grey_images() -> None:
    model = models.build("resnet14", 7, [0.5], [0.25])
    assert sum(p.numel() for p in model.parameters()) == by_hand(14, 1, 7)
    assert model(torch.rand(2, 1, 8, 8)).shape == (2, 7)


@pytest.mark.parametrize("arch", ["resnet21", "resnet2", "vit", "resnet20x", ""])
def test_unknown_architectures(arch: str) -> None:
    with pytest.raises(ValueError, match=r"must be an architecture|must be a ResNet with 6n\+2"):
        models.build(arch, 10, [0.5], [0.25])


def test_names_are_those_of_cohens_checkpoints() -> None:
    names = models.build("resnet14", 10, [0.5] * 3, [0.25] * 3)[1].state_dict().keys()
    some = {"conv1.weight", "bn1.running_var", "layer1.1.conv2.weight", "layer2.0.downsample.0.weight", "fc.bias"}
    assert some <= names
    assert not any(name.startswith("layer1.0.downsample") for name in names)


def test_normalisation_is_inside_the_model() -> None:
    layer = models.Normalize([0.5, 0.25], [0.5, 2.0])
    x = torch.rand(3, 2, 4, 4)
    expected = torch.stack([(x[:, 0] - 0.5) / 0.5, (x[:, 1] - 0.25) / 2.0], dim=1)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("arch", ["resnet8", "resnet20"])
def test_fold_keeps_the_function(settle: Any, arch: str) -> None:
    model = fresh(settle, arch).double()
    x = torch.rand((20, 3, 16, 16), dtype=torch.float64)
    with torch.no_grad():
        before = model(x)
        mean, folded = models.fold(model)
        after = folded(x - mean)
    assert mean.shape == (3, 1, 1)
    left = {type(module) for module in folded.modules()}
    assert not left & {torch.nn.BatchNorm2d, models.Normalize}
    assert before.std() > 0.1
    # Folding reorders a product and a sum in each layer: rounding of float64 over 20 layers stays far below 1e-9.
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9)


def test_fold_leaves_the_model_as_it_is(settle: Any) -> None:
    model = fresh(settle)
    layers, before = str(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    x = torch.rand((5, 3, 16, 16))
    with torch.no_grad():
        expected = model(x)
        _, folded = models.fold(model)
        for tensor in folded.state_dict().values():  # it shares no memory with the copy
            tensor.fill_(7)
        assert torch.equal(model(x), expected)
    assert str(model) == layers
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("channels", [1, 2])
def test_fold_divides_each_channel_by_its_own_deviation(settle: Any, channels: int) -> None:
    """The border, too, where the first convolution pads with zeros: of the mean subtracted, whence it is no zero."""
    torch.manual_seed(0)
    model = models.build("resnet8", 4, [0.7, 0.2][:channels], [0.1, 2.0][:channels]).double().eval()
    x = torch.rand((4, channels, 9, 7), dtype=torch.float64)
    mean, folded = models.fold(model)
    with torch.no_grad():
        first = model[1].bn1(model[1].conv1(model[0](x)))
        torch.testing.assert_close(folded.bn1(folded.conv1(x - mean)), first, rtol=1e-12, atol=1e-12)


def test_save_and_load(settle: Any, tmp_path: Path) -> None:
    model = fresh(settle)
    description = {**DESCRIPTION, "mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3]}
    models.save(tmp_path / "a.safetensors", model.to(memory_format=torch.channels_last), description)
    loaded, described = models.load(tmp_path / "a.safetensors", "base")
    assert described == description
    assert not loaded.training
    assert not any(module.training for module in loaded.modules())
    assert list(loaded.state_dict()) == list(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_saving_the_same_weights_gives_the_same_bytes(settle: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        models.save(tmp_path / name, fresh(settle), DESCRIPTION)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_full_disk(settle: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safetensors tells it with an error of its own, not with an OSError."""

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse_in_its_own_way(*_: Any) -> None:
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    model = fresh(settle)
    monkeypatch.setattr(safetensors.torch, "save_file", refuse_in_its_own_way)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError, match=r"a\.safetensors: cannot be written .*No space left"):
        models.save(tmp_path / "a.safetensors", model, DESCRIPTION)
    assert list(tmp_path.iterdir()) == []


def refused(path: Path, match: str | None, kind: str = "base") -> None:
    with pytest.raises(InputError, match=match) as error:
        models.load(path, kind)
    assert str(error.value).startswith(f"{path}")
    assert "\n" not in str(error.value)


def test_missing_weights(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "no such file")
    refused(tmp_path, "not a whole weight file")


def test_truncated_weights(settle: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    models.save(path, fresh(settle), DESCRIPTION)
    whole = path.read_bytes()
    for length in (0, 4, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path, "not a whole weight file")


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(3)}, tmp_path / "a.pt")
    refused(tmp_path / "a.pt", "not a whole weight file")


def test_weights_of_another_kind(settle: Any, tmp_path: Path) -> None:
    models.save(tmp_path / "a", fresh(settle), DESCRIPTION)
    refused(tmp_path / "a", "must hold a surrogate model, got a base model", kind="surrogate")


@pytest.mark.parametrize("description", [None, {}, {"arch": "resnet8"}, {**DESCRIPTION, "arch": "vit"}])
def test_weights_of_others(settle: Any, tmp_path: Path, description: Any) -> None:
    metadata = None if description is None else {"description": json.dumps(description)}
    safetensors.torch.save_file(fresh(settle).state_dict(), tmp_path / "a", metadata)
    refused(tmp_path / "a", None)


def test_weights_of_another_architecture(settle: Any, tmp_path: Path) -> None:
    path = tmp_path / "a"
    models.save(path, fresh(settle), {**DESCRIPTION, "arch": "resnet14"})
    refused(path, r"must hold 1\.layer1\.1\.bn1\.bias, got none")
    models.save(path, fresh(settle, "resnet14"), DESCRIPTION)
    refused(path, r"must not hold 1\.layer1\.1\.bn1\.bias")
    models.save(path, fresh(settle), {**DESCRIPTION, "classes": 11})
    refused(path, r"1\.fc\.bias must have shape \[11\] in this architecture, got \[10\]")


def test_weights_without_one_tensor(settle: Any, tmp_path: Path) -> None:
    tensors = fresh(settle).state_dict()
    del tensors["1.layer3.0.bn2.running_mean"]
    safetensors.torch.save_file(tensors, tmp_path / "a", {"description": json.dumps(DESCRIPTION)})
    refused(tmp_path / "a", r"must hold 1\.layer3\.0\.bn2\.running_mean")


LOADED = """
import sys
from accelerated_smoothing import models
models.build("{arch}", 10, [0.5], [0.25])
print(sorted(name for name in sys.modules if name.startswith("accelerated_smoothing.") and name.split(".")[-2] in
             ("families", "architectures")))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "family"), [("resnet8", "resnet"), ("sll8-1", "sll"), ("mlp-8", "heads")])
def test_a_network_loads_its_own_family_alone(arch: str, family: str) -> None:
    code = LOADED.replace("{arch}", arch)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rooms = ("architectures", "models.families")
    assert done.stdout == f"{[f'accelerated_smoothing.{room}.{family}' for room in rooms]}\n"


def test_a_network_is_compiled_without_races(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the fastest kernel sums, and the order of a sum depends on what was measured to be fastest."""
    options: list[dict[str, Any]] = []

    def compiler(graph: Any, inputs: Any, *, config_patches: dict[str, Any], **_: Any) -> Any:
        options.append(config_patches)
        return graph.forward

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", compiler)
    models.compiled(torch.nn.Linear(2, 2))(torch.zeros(1, 2))
    assert options == [{"deterministic": True}]
