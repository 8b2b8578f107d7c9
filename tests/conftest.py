"""Fixtures that several tests share: the digits, a small base classifier for them, and a run of the workflow."""

import os

# Before anything imports torch: tests share the machine, and threads that wait must not keep a core busy.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[1]
PARTS = [
    *("Snakefile", "config.yaml", "rules", "presets", "profiles", "envs", "resources", "notebooks", "slurm", "src"),
    *("papers", "pyproject.toml", "Makefile", "README.md", "LICENSE", "CITATION.cff"),
]


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of one file, and all that need the tiny preset's results, run in one process, which builds them once.

    The longest of these groups comes first, so that the others fill the time of the other processes. What needs a whole
    experiment is slow.
    """
    for item in items:
        needs_results = "tiny" in getattr(item, "fixturenames", ())
        if "built" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
        if item.config.pluginmanager.hasplugin("xdist"):  # a machine that is lent for its GPU may lack it
            item.add_marker(pytest.mark.xdist_group("tiny" if needs_results else str(item.path)))
    items.sort(key=lambda item: "tiny" not in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository, with the tiny preset, so that no run of the workflow touches the user's own results."""
    folder = tmp_path_factory.mktemp("clone")
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    shutil.copy(ROOT / "tests/workflow/tiny.yaml", folder / "presets/tiny.yaml")
    return folder


@pytest.fixture(scope="session")
def snakemake(clone: Path) -> Run:
    """Run Snakemake in the copy, as a user would type it."""

    def run(*words: str, folder: Path = clone) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", *words]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def tiny(clone: Path, snakemake: Run) -> Path:
    """The results of the tiny preset, whole."""
    done = snakemake("all", "--configfile", "presets/tiny.yaml", "--cores", "2")
    assert done.returncode == 0, done.stderr
    return clone / "results/tiny"


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The two splits of the digits, as `prepare` writes them."""
    from accelerated_smoothing import data
    from accelerated_smoothing.config.slices import SPLITS

    folder = tmp_path_factory.mktemp("digits")
    files = {split: folder / f"{split}.npz" for split in SPLITS}
    data.prepare("digits", folder, 32, files)
    return SimpleNamespace(**files)


@pytest.fixture(scope="session")
def base(digits: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained base classifier whose predictions spread over classes under noise."""
    import torch

    from accelerated_smoothing import data, models

    images = data.read(digits.train, ":200")
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    torch.manual_seed(1)
    model = models.build("resnet8", 10, images.meta["mean"], images.meta["std"])
    settle(model, torch.from_numpy(images.pixels()), seed=1)
    described = {key: images.meta[key] for key in ("dataset", "classes", "mean", "std")}
    models.save(path, model, {"kind": "base", "arch": "resnet8", "sigma": 0.5, **described})
    return path


def settle(model: object, images: object, seed: int) -> None:
    """Random weights and batch-norm statistics of noisy images: otherwise one class wins everywhere."""
    import torch

    torch.manual_seed(seed)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
            module.momentum = 0.5
        elif isinstance(module, torch.nn.Linear):
            module.weight.data.normal_(0, 1)
    model.train()
    with torch.no_grad():
        for _ in range(5):
            model(images + 0.5 * torch.randn_like(images))
        model[-1].fc.bias.data = -model(images + 0.5 * torch.randn_like(images)).mean(0)
    model.eval()


@pytest.fixture(scope="session", name="settle")
def settle_fixture() -> object:
    return settle


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def precision(request: pytest.FixtureRequest) -> str:
    """Every precision that OpenVINO has on this processor."""
    from accelerated_smoothing.counting.engines.openvino import CAPABILITIES

    if request.param == "bf16" and "BF16" not in CAPABILITIES:
        pytest.skip("this CPU has no bf16")
    return request.param
