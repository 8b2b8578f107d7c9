"""Classifiers of others as ONNX files and programs of torch.export: the same function, and no code of a file runs."""

import io
import json
import pickle
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from accelerated_smoothing import architectures, cli, data, models, noise
from accelerated_smoothing.counting import counts, engines, sampling
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.errors import InputError

from . import programs

CPU = torch.device("cpu")
SUFFIXES = (".onnx", ".pt2")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A folder with each network in each format, and the networks themselves."""
    folder = tmp_path_factory.mktemp("programs")
    networks = {"net": programs.seeded(programs.Net), "vit": programs.seeded(programs.Vit)}
    for name, network in networks.items():
        for suffix in SUFFIXES:
            programs.export(network, folder / f"{name}{suffix}")
    return SimpleNamespace(folder=folder, **networks)


def imported(file: Path, images: Path, folder: Path) -> int:
    words = f"import-base {file} --images {images} --sigma 0.5 --output {folder}/base.safetensors"
    return cli.main(words.split())


def refused(
    capsys: pytest.CaptureFixture[str], file: Path, digits: SimpleNamespace, folder: Path, *messages: str
) -> None:
    """Check that the import ends with one line, and that nothing is written."""
    assert imported(file, digits.train, folder) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"accelerated-smoothing: error: {file}"), error
    assert len(error.splitlines()) == 1
    for message in messages:
        assert message in error
    assert not (folder / "base.safetensors").exists()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["net", "vit"])
def test_counts_are_those_of_the_network(
    files: SimpleNamespace, digits: SimpleNamespace, tmp_path: Path, name: str, suffix: str
) -> None:
    assert imported(files.folder / f"{name}{suffix}", digits.train, tmp_path) == 0
    described = models.load(tmp_path / "base.safetensors", "base")[1]
    assert described == {
        **{"kind": "base", "arch": architectures.PROGRAMS[suffix], "sigma": 0.5, "imported": f"{name}{suffix}"},
        **{"dataset": "digits", "classes": 10, "mean": [0.0], "std": [1.0]},
    }
    words = (
        f"count --base {tmp_path}/base.safetensors --images {digits.test} --slice :20 --sigma 0.5 --sizes 500 "
        f"--threads 1 --output {tmp_path}/counts.npz"
    )
    assert cli.main(words.split()) == 0
    found = counts.read(tmp_path / "counts.npz").at(500)
    images = data.read(digits.test, ":20")
    draws = engines.standard(images.idx, 500, (1, 8, 8), noise.key(0, "estimation"), "gaussian", CPU)
    pixels = torch.from_numpy(images.pixels())[:, None] + 0.5 * draws
    with torch.inference_mode():
        classes = getattr(files, name)(pixels.flatten(0, 1)).argmax(1).view(20, 500)
    wanted = np.array([np.bincount(row, minlength=10) for row in classes.numpy()])
    assert (wanted.max(1) < 500).any()
    # Rounding moves a draw only where two logits are within about 1e-6 of one another.
    assert np.abs(found - wanted).sum() / 2 <= 1e-3 * wanted.sum()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_network_of_torchvision(tmp_path: Path, settle: object, suffix: str) -> None:
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=7).eval()
    file = programs.export(network, tmp_path / f"resnet18{suffix}", (3, 32, 32))
    about = {"dataset": "own", "classes": 7, "mean": [0.5] * 3}
    model, _ = importing_program(file, about)
    images = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted = network(images)
    logits = engines.build(model, (3, 32, 32), device=CPU).logits(images)
    torch.testing.assert_close(logits, wanted, rtol=1e-4, atol=1e-4)
    if suffix == ".pt2":
        torch.testing.assert_close(model(images), wanted, rtol=1e-6, atol=1e-6)


def importing_program(file: Path, about: dict) -> tuple[nn.Sequential, dict]:
    from accelerated_smoothing.models import importing

    return importing.program(file, architectures.of_file(str(file)) or "", about, 0.5)


ABOUT = {"dataset": "digits", "classes": 10, "mean": [0.3]}


@pytest.mark.parametrize("name", ["net", "vit"])
def test_both_engines_predict_alike(files: SimpleNamespace, name: str) -> None:
    model, _ = importing_program(files.folder / f"{name}.pt2", ABOUT)
    images = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    ours = engines.build(model, (1, 8, 8), device=CPU)
    reference = Pytorch(model, (1, 8, 8), batch=16, device=CPU)
    one, two = (sampling.count_predictions(engine, images, 0.5, 1000, 0, classes=10)[0] for engine in (ours, reference))
    assert np.abs(one - two).sum() / 2 <= 4


def test_pixels_have_gradients_through_a_pt2(files: SimpleNamespace) -> None:
    model, _ = importing_program(files.folder / "net.pt2", ABOUT)
    images = torch.rand(3, 1, 8, 8, requires_grad=True)
    (own,) = torch.autograd.grad(model(images).sum(), images)
    (wanted,) = torch.autograd.grad(files.net(images).sum(), images)
    torch.testing.assert_close(own, wanted)


def test_an_onnx_runs_under_openvino_alone(files: SimpleNamespace) -> None:
    model, _ = importing_program(files.folder / "net.onnx", ABOUT)
    with pytest.raises(InputError, match=r"compute.device must be cpu for an ONNX program.*\.pt2"):
        Pytorch(model, (1, 8, 8), batch=16, device=CPU)
    with pytest.raises(InputError, match=r"must be run by OpenVINO.*\.pt2"):
        model(torch.zeros(1, 1, 8, 8))


def test_a_program_keeps_its_precision_under_pytorch(files: SimpleNamespace) -> None:
    model, _ = importing_program(files.folder / "net.pt2", ABOUT)
    with pytest.raises(InputError, match="precision must be 'fp32' for a program"):
        Pytorch(model, (1, 8, 8), batch=16, device=CPU, precision="bf16")


def test_a_damaged_weight_file_is_refused(files: SimpleNamespace, tmp_path: Path) -> None:
    model, description = importing_program(files.folder / "net.pt2", ABOUT)
    model[1].program = model[1].program[:-1000].clone()
    models.save(tmp_path / "base.safetensors", model, description)
    with pytest.raises(InputError, match=r"base\.safetensors must be a program that torch\.export\.save wrote"):
        models.load(tmp_path / "base.safetensors", "base")


def test_no_config_trains_a_program() -> None:
    with pytest.raises(ValueError, match="must be a network that can be trained, got 'onnx'"):
        architectures.cost("onnx")


# What a program must be


class Wrong(programs.Net):
    """A network with a fault; `fault` turns its logits into something else."""

    def __init__(self, fault: str, **shape: int) -> None:
        super().__init__(**shape)
        self.fault = fault

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = super().forward(x)
        if self.fault == "nan":
            return logits / (logits - logits)
        if self.fault == "squeezed":
            return logits[:, :, None]
        if self.fault == "double":
            return logits.double()
        if self.fault == "neighbours":
            return logits - logits.mean(0)
        if self.fault == "pair":
            return logits, logits.softmax(1)  # type: ignore[return-value]
        return logits


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", "must return finite logits, got NaN"),
        ("squeezed", "must return logits [n, classes], n = 2, got [2, 10, 1]"),
        ("double", "must return float32 logits, got f64"),
        ("neighbours", "must predict an image alike at any time and in any batch"),
        ("pair", "output"),
    ],
)
def test_what_is_no_classifier_is_refused(
    capsys: pytest.CaptureFixture[str],
    digits: SimpleNamespace,
    tmp_path: Path,
    fault: str,
    message: str,
    suffix: str,
) -> None:
    torch.manual_seed(0)
    file = programs.export(Wrong(fault).eval(), tmp_path / f"wrong{suffix}")
    refused(capsys, file, digits, tmp_path, message)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_other_shapes_are_refused(
    capsys: pytest.CaptureFixture[str], digits: SimpleNamespace, tmp_path: Path, suffix: str
) -> None:
    file = programs.export(programs.seeded(programs.Net, classes=7), tmp_path / f"classes{suffix}")
    refused(capsys, file, digits, tmp_path, "must return 10 logits, one for each class of digits, got 7")
    file = programs.export(programs.seeded(programs.Net, side=16), tmp_path / f"side{suffix}", (1, 16, 16))
    refused(capsys, file, digits, tmp_path, "must take images of shape [1, 8, 8], got", "16")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_fixed_batch_is_used_if_it_can_be_reshaped(
    capsys: pytest.CaptureFixture[str], digits: SimpleNamespace, tmp_path: Path, suffix: str
) -> None:
    whole = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))
    assert imported(programs.export(whole.eval(), tmp_path / f"any{suffix}", sizes=None), digits.train, tmp_path) == 0
    (tmp_path / "base.safetensors").unlink()
    file = programs.export(programs.seeded(programs.Vit), tmp_path / f"fixed{suffix}", sizes=None)
    refused(capsys, file, digits, tmp_path, "dynamic batch")


def test_a_network_in_training_mode_is_refused(
    capsys: pytest.CaptureFixture[str], digits: SimpleNamespace, tmp_path: Path
) -> None:
    file = programs.export(programs.Net().train(), tmp_path / "training.pt2")
    refused(capsys, file, digits, tmp_path, "model.eval()")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"no program at all", b"PK\x05\x06" + 18 * b"\0"])
def test_other_files_are_refused(
    capsys: pytest.CaptureFixture[str], digits: SimpleNamespace, tmp_path: Path, suffix: str, content: bytes
) -> None:
    file = tmp_path / f"file{suffix}"
    refused(capsys, file, digits, tmp_path, "no such file")
    file.write_bytes(content)
    refused(capsys, file, digits, tmp_path, "must be a")


def test_an_onnx_in_two_files_is_refused(
    capsys: pytest.CaptureFixture[str],
    digits: SimpleNamespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = (torch.rand(2, 1, 8, 8),)
    monkeypatch.chdir(tmp_path)  # where OpenVINO would find the other one
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = programs.seeded(programs.Net)
        torch.onnx.export(model, images, "two.onnx", dynamic_shapes=programs.ANY, external_data=True, verbose=False)
    assert Path("two.onnx.data").exists()
    refused(capsys, tmp_path / "two.onnx", digits, tmp_path, "must be one file", "external_data=False")


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_pickle_is_refused(
    capsys: pytest.CaptureFixture[str], digits: SimpleNamespace, tmp_path: Path, suffix: str
) -> None:
    network = programs.seeded(programs.Net)
    for name, content in (("whole", network), ("state", network.state_dict())):
        torch.save(content, tmp_path / f"{name}{suffix}")
        refused(capsys, tmp_path / f"{name}{suffix}", digits, tmp_path, "torch.export.save to a .pt2")


# No code of a file is run


def altered(file: Path, path: Path, changes: dict[str, bytes], model: object = lambda program: None) -> Path:
    """Copy an archive with some members replaced or added, and its model.json changed by a function."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(path, "w") as target:
        root = source.namelist()[0].partition("/")[0]
        members = {name.removeprefix(f"{root}/"): source.read(name) for name in source.namelist()}
        program = json.loads(members["models/model.json"])
        model(program)  # type: ignore[operator]
        members |= {"models/model.json": json.dumps(program).encode(), **changes}
        for name, content in members.items():
            target.writestr(f"{root}/{name}", content)
    return path


@pytest.fixture
def attack(tmp_path: Path) -> bytes:
    """A pickle that makes a folder where it is loaded."""

    class Attack:
        def __reduce__(self) -> tuple:
            return exec, (f"import os; os.mkdir({str(tmp_path / 'attacked')!r})",)

    stream = io.BytesIO()
    torch.save(Attack(), stream)
    return stream.getvalue()


def test_example_inputs_are_not_unpickled(files: SimpleNamespace, tmp_path: Path, attack: bytes) -> None:
    """`torch.export.load` does so: if loading tensors alone fails, it loads anything."""
    file = altered(files.folder / "net.pt2", tmp_path / "attack.pt2", {"data/sample_inputs/model.pt": attack})
    model, _ = importing_program(file, ABOUT)
    images = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(model(images), files.net(images))
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("kind", ["weights", "constants"])
def test_pickled_tensors_are_refused(files: SimpleNamespace, tmp_path: Path, attack: bytes, kind: str) -> None:
    for path_name in ("weight_0", "opaque_obj_0", "../weight_0"):
        meta = {"path_name": path_name, "is_param": False, "use_pickle": path_name == "weight_0", "tensor_meta": None}
        config = json.dumps({"config": {"fc.weight": meta}}).encode()
        changes = {f"data/{kind}/model_{kind}_config.json": config, f"data/{kind}/{path_name}": attack}
        file = altered(files.folder / "net.pt2", tmp_path / "attack.pt2", changes)
        with pytest.raises(InputError, match="must hold plain tensors only, got a pickled object"):
            importing_program(file, ABOUT)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    "target",
    [
        *(
            "torch.os.system",
            "torch.ops.aten.__class__.mro",
            "torch.ops.aten.from_file.default",
            "_operator.attrgetter",
        ),
        *("torch.ops.higher_order.cond", "builtins.exec", "torch.ops.aten.save.default", "torch.hub.load"),
    ],
)
def test_other_functions_are_refused(files: SimpleNamespace, tmp_path: Path, target: str) -> None:
    def change(program: dict) -> None:
        program["graph_module"]["graph"]["nodes"][0]["target"] = target

    file = altered(files.folder / "net.pt2", tmp_path / "attack.pt2", {}, change)
    with pytest.raises(InputError, match=f"must use operators of ATen, got '{target}'"):
        importing_program(file, ABOUT)


def test_names_and_sizes_of_a_file_never_become_code(files: SimpleNamespace, tmp_path: Path) -> None:
    code = f"__import__('os').mkdir('{tmp_path / 'attacked'}')"

    def change(program: dict) -> None:
        name = f"x={code}"
        text = json.dumps(program["graph_module"]).replace('"name": "x"', f'"name": "{name}"')
        program["graph_module"] = json.loads(text)
        graph = program["graph_module"]["graph"]
        graph["tensor_values"][name] = graph["tensor_values"].pop("x")
        graph["tensor_values"][name]["sizes"][0] = {"as_expr": {"expr_str": code, "hint": None}}
        program["guards_code"] = [code]
        program["range_constraints"] = {code: {"min_val": 0, "max_val": None}}
        node = graph["nodes"][0]
        node["name"] = code
        node["inputs"][-1] |= {"name": f"x={code}", "kind": 2}

    file = altered(files.folder / "net.pt2", tmp_path / "attack.pt2", {}, change)
    model, _ = importing_program(file, ABOUT)
    images = torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(model(images), files.net(images))
    assert not (tmp_path / "attacked").exists()


def test_libraries_in_an_archive_are_refused(tmp_path: Path) -> None:
    """As AOTInductor writes them: without a program."""
    with zipfile.ZipFile(tmp_path / "compiled.pt2", "w") as archive:
        archive.writestr("compiled/archive_format", "pt2")
        archive.writestr("compiled/data/aotinductor/model/model.so", b"\x7fELF")
    with pytest.raises(InputError, match="must be a program that torch"):
        importing_program(tmp_path / "compiled.pt2", ABOUT)


def test_a_pickle_by_the_name_of_a_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pt2").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="must be a program that torch"):
        importing_program(tmp_path / "a.pt2", ABOUT)
