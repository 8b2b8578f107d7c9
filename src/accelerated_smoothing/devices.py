"""Where models run: a CPU, or a GPU that is checked before any work."""

import os
import re
import shutil
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    import torch

HIDDEN = ("", "-1", "NoDevFiles")  # values of CUDA_VISIBLE_DEVICES that hide all GPUs; the last is SLURM's
NODE = Path("/dev/nvidia0")  # of the first GPU


def choose(kind: str, key: str) -> "torch.device":
    """Return the torch device of a kind, and set torch to one arithmetic on a GPU: no TF32, no kernels from a race.

    Args:
        kind: "cpu", "cuda", or "auto": a GPU if there is one.
        key: name of the setting in errors.

    Raises:
        InputError: torch cannot use the GPU that is asked for or that is there, or kernels cannot be compiled for it.
    """
    import torch

    if kind == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        _check_architecture(key)
        _check_compiler(key)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        return torch.device("cuda")
    if _meant():
        remedy = f"update its driver for CUDA {torch.version.cuda}" if torch.version.cuda else "install torch with CUDA"
        raise InputError(f"{key} must be cpu while torch cannot use the GPU, got {kind}; {remedy} to use it")
    if kind == "cuda":
        raise InputError(f"{key} must be cpu or auto on a machine without a GPU, got cuda")
    return torch.device("cpu")


def check_kernels(kernels: str | None, device: "torch.device", key: str) -> None:
    """Check that kernels for a GPU are asked for on a GPU only.

    Args:
        kernels: name of a module in `counting/kernels/`, or None.
        device: that was chosen.
        key: name of the setting in errors.

    Raises:
        InputError: they are asked for on a CPU.
    """
    if kernels and device.type == "cpu":
        raise InputError(f"{key} must be null on a CPU, got {kernels!r}")


def _meant() -> bool:
    """Return whether a job holds a GPU, or the machine has one that is not hidden."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return visible not in HIDDEN
    return bool(os.environ.get("SLURM_JOB_GPUS")) or os.access(NODE, os.R_OK)  # SLURM may forbid a job to read it


def _check_architecture(key: str) -> None:
    """Check that torch has kernels for the GPU: of its generation and not newer, or code that its driver compiles.

    Raises:
        InputError: it has none; the first kernel would fail.
    """
    import torch

    gpu, served = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    for name in served:
        form, major, minor = re.fullmatch(r"(sm|compute)_(\d+)(\d)\w?", name).groups()  # type: ignore[union-attr]
        known = int(major), int(minor)
        if known <= gpu and (form == "compute" or known[0] == gpu[0]):
            return
    name = f"{torch.cuda.get_device_name()} (sm_{gpu[0]}{gpu[1]})"
    raise InputError(
        f"{key} must be cpu, or a GPU that torch {torch.__version__} has kernels for ({', '.join(served)}), got {name}"
    )


def _check_compiler(key: str) -> None:
    """Check that Triton can compile the C functions that launch its kernels.

    Raises:
        InputError: a compiler or Python's header is missing.
    """
    compilers = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
    if not any(map(shutil.which, compilers)):
        raise InputError(f"{key} must be cpu without a C compiler ({' or '.join(compilers)}), got a GPU; install gcc")
    scheme = sysconfig.get_default_scheme()  # as Triton has it: Debian's own scheme holds no headers
    folder = sysconfig.get_path("include", "posix_prefix" if scheme == "posix_local" else scheme)
    if not Path(folder, "Python.h").is_file():
        raise InputError(f"{key} must be cpu without {folder}/Python.h, got a GPU; install python3-dev")
