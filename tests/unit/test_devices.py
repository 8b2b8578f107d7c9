"""Which device models run on, with GPUs that are not there."""

import shutil
import sysconfig
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from accelerated_smoothing import cli, devices
from accelerated_smoothing.errors import InputError

ARCHITECTURES = ["sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120"]


FLAGS = {
    (torch.backends.cudnn, "deterministic"): True,
    (torch.backends.cudnn, "benchmark"): False,
    (torch.backends.cudnn, "allow_tf32"): False,
    (torch.backends.cuda.matmul, "allow_tf32"): False,
}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without a GPU, whatever this one is."""
    for name in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_GPUS", "CC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(devices, "NODE", tmp_path / "nvidia0")
    return monkeypatch


@pytest.fixture
def gpu(machine: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The same with an H100 that torch can use."""
    (tmp_path / "Python.h").touch()
    machine.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    machine.setattr(shutil, "which", {"gcc": "/usr/bin/gcc"}.get)
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    machine.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    machine.setattr(torch.cuda, "get_arch_list", lambda: ARCHITECTURES)
    for flags, name in FLAGS:  # each is put back after the test
        machine.setattr(flags, name, not FLAGS[flags, name])
    return machine


def refused(kind: str = "auto") -> str:
    with pytest.raises(InputError) as caught:
        devices.choose(kind, "device")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_machine_without_a_gpu(machine: pytest.MonkeyPatch) -> None:
    assert devices.choose("auto", "device") == devices.choose("cpu", "device") == torch.device("cpu")
    assert refused("cuda") == "device must be cpu or auto on a machine without a GPU, got cuda"


def test_a_machine_with_a_gpu(gpu: pytest.MonkeyPatch) -> None:
    assert devices.choose("auto", "device") == devices.choose("cuda", "device") == torch.device("cuda")
    assert devices.choose("cpu", "device") == torch.device("cpu")


def test_a_gpu_computes_without_tf32_and_races(gpu: pytest.MonkeyPatch) -> None:
    """Whatever runs there: an attack without noise compiles no network."""
    devices.choose("cpu", "device")
    assert {(flags, name): not getattr(flags, name) for flags, name in FLAGS} == FLAGS
    devices.choose("cuda", "device")
    assert {(flags, name): getattr(flags, name) for flags, name in FLAGS} == FLAGS


@pytest.mark.parametrize(
    "held", [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "GPU-3b4e"}, {"SLURM_JOB_GPUS": "1,2"}, {}]
)
def test_a_gpu_that_torch_cannot_use_is_not_left_idle(machine: pytest.MonkeyPatch, held: dict[str, str]) -> None:
    for name, value in held.items():
        machine.setenv(name, value)
    if not held:
        devices.NODE.touch()
    asked = "device must be cpu while torch cannot use the GPU, got "
    assert refused("auto") == f"{asked}auto; update its driver for CUDA 13.0 to use it"
    assert refused("cuda") == f"{asked}cuda; update its driver for CUDA 13.0 to use it"
    machine.setattr(torch.version, "cuda", None)
    assert refused() == f"{asked}auto; install torch with CUDA to use it"
    assert devices.choose("cpu", "device") == torch.device("cpu")


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_a_gpu_may_be_hidden(machine: pytest.MonkeyPatch, hidden: str) -> None:
    machine.setenv("CUDA_VISIBLE_DEVICES", hidden)
    machine.setenv("SLURM_JOB_GPUS", "0")
    devices.NODE.touch()
    assert devices.choose("auto", "device") == torch.device("cpu")


@pytest.mark.parametrize("capability", [(7, 5), (8, 0), (8, 9), (9, 0), (10, 3), (12, 1)])
def test_kernels_run_on_gpus_of_their_generation_that_are_not_older(
    gpu: pytest.MonkeyPatch, capability: tuple[int, int]
) -> None:
    gpu.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert devices.choose("cuda", "device") == torch.device("cuda")


@pytest.mark.parametrize("capability", [(6, 1), (7, 0), (7, 2), (11, 0), (13, 0)])
def test_a_gpu_without_kernels_is_refused(gpu: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    gpu.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert refused() == (
        f"device must be cpu, or a GPU that torch {torch.__version__} has kernels for ({', '.join(ARCHITECTURES)}), "
        f"got NVIDIA H100 (sm_{capability[0]}{capability[1]})"
    )


def test_a_driver_compiles_code_for_newer_gpus(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90a", "compute_90"])
    for capability in ((9, 0), (12, 0)):
        gpu.setattr(torch.cuda, "get_device_capability", lambda capability=capability: capability)
        assert devices.choose("cuda", "device") == torch.device("cuda")
    gpu.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    assert "got NVIDIA H100 (sm_80)" in refused()


def test_a_gpu_needs_a_compiler(gpu: pytest.MonkeyPatch) -> None:
    gpu.setattr(shutil, "which", {"clang": "clang", "icx": "icx"}.get)
    assert devices.choose("cuda", "device") == torch.device("cuda")
    for named in ("icx", "gcc-9"):
        gpu.setenv("CC", named)
        if named == "icx":
            assert devices.choose("cuda", "device") == torch.device("cuda")
    assert refused() == "device must be cpu without a C compiler (gcc-9), got a GPU; install gcc"
    gpu.delenv("CC")
    gpu.setattr(shutil, "which", lambda name: None)
    assert refused() == "device must be cpu without a C compiler (gcc or clang), got a GPU; install gcc"
    assert devices.choose("cpu", "device") == torch.device("cpu")


def test_a_gpu_needs_the_header_of_python(gpu: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "Python.h").unlink()
    assert refused() == f"device must be cpu without {tmp_path}/Python.h, got a GPU; install python3-dev"


def test_a_verb_tells_it_in_one_line_before_any_work(
    gpu: pytest.MonkeyPatch, base: Path, digits: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With exit code 2 and the mark of an error that Snakemake does not retry (`workflow/retries.py`)."""
    gpu.setattr(torch.cuda, "get_device_capability", lambda: (7, 0))
    output = tmp_path / "made/counts.npz"
    words = f"count --base {base} --images {digits.test} --slice :2 --sigma 0.5 --sizes 10 --output {output}"
    assert cli.main(words.split()) == 2
    line = capsys.readouterr().err
    assert line.startswith("accelerated-smoothing: error: compute.device (--device) must be cpu, or a GPU that torch")
    assert line.count("\n") == 1
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ("--kernels cudnn", "compute.kernels (--kernels) must be null on a CPU, got 'cudnn'"),
        (
            "--portable --precision bf16",
            "precision (--precision) must be fp32 with --portable, since AVX2 has no bf16, got 'bf16'",
        ),
    ],
)
def test_what_a_cpu_lacks_is_refused_before_any_work(
    machine: pytest.MonkeyPatch,
    base: Path,
    digits: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: str,
    line: str,
) -> None:
    machine.setattr(cli, "PORTABLE", {})  # variables that would stay set in this process
    output = tmp_path / "made/counts.npz"
    words = f"count --base {base} --images {digits.test} --slice :2 --sigma 0.5 --sizes 10 --output {output}"
    assert cli.main([*words.split(), *flags.split()]) == 2
    assert capsys.readouterr().err == f"accelerated-smoothing: error: {line}\n"
    assert not output.parent.exists()
