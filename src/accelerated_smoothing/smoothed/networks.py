"""A module or a file as a classifier on an engine, tried on noisy images before any work."""

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from accelerated_smoothing import architectures, devices, models
from accelerated_smoothing.counting import engines, trial
from accelerated_smoothing.counting.engines import Engine
from accelerated_smoothing.counting.engines.pytorch import Pytorch
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256
from accelerated_smoothing.models import foreign, importing
from accelerated_smoothing.smoothed.settings import Smoothing

COPIES = 8  # noisy copies of two images, on which OpenVINO's graph of a module is compared with the module
WEIGHTS = ".safetensors"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Classifier:
    """A base classifier f, ready to run.

    Attributes:
        engine: that runs it.
        classes: number of logits.
        identity: SHA-256 of its file; or a hash of a module's structure, weights and logits of two images.
    """

    engine: Engine
    classes: int
    identity: str


def check(source: nn.Module | Path) -> None:
    """Check that a classifier is a module or a file that can be read without running its code.

    Raises:
        InputError: it is not.
    """
    if isinstance(source, nn.Module):
        return
    if not isinstance(source, Path):
        raise InputError(f"model must be a torch.nn.Module or the path of a file, got {type(source).__name__}")
    if source.suffix.lower() != WEIGHTS and not architectures.of_file(str(source)):
        raise InputError(
            f"{source} must be an .onnx, a .pt2 or weights of this workflow, got another suffix; {importing.EXPORT}"
        )
    if not source.is_file():
        raise InputError(f"{source}: no such file; a classifier is needed here")


def build(source: nn.Module | Path, images: Images, settings: Smoothing) -> Classifier:
    """Return a classifier for images of one shape.

    A module runs under OpenVINO on a CPU, unless it cannot be converted, or predicts other logits when it is; then it
    runs under PyTorch.

    Args:
        source: a module, or a file that `check` accepts.
        images: of this shape.
        settings: of the smoothed classifier.

    Raises:
        InputError: the network returns logits that are not finite; or as `devices.choose` and `devices.check_kernels`.
    """
    channels, module = images.images.shape[1], isinstance(source, nn.Module)
    model = foreign.classifier(source, channels) if isinstance(source, nn.Module) else _read(source, channels, settings)
    only_cpu = settings.device == "auto" and hasattr(model[1], "onnx")
    device = devices.choose("cpu" if only_cpu else settings.device, "device")
    devices.check_kernels(settings.kernels, device, "kernels")
    try:
        classes = trial.run(model, images, settings.sigma, settings.classes, plain=module)
        plain = module and device == CPU and not _faithful(model, images, settings.sigma)
        if plain:
            warnings.warn("OpenVINO does not run this module as it is, so PyTorch does, more slowly", stacklevel=2)
        engine = _engine(model, images.images.shape[1:], device, plain, settings)
        logits = trial.logits(engine, trial.noisy(images, settings.sigma, 1))
    except InputError as error:
        raise InputError(f"{'model' if module else source} {error}") from error
    identity = _identity(source, logits) if isinstance(source, nn.Module) else sha256(source)
    return Classifier(engine, classes, identity)


def _engine(
    model: nn.Sequential, shape: tuple[int, ...], device: torch.device, plain: bool, settings: Smoothing
) -> Engine:
    if plain:
        batch = engines.batch(shape, device, settings.batch_size)
        return Pytorch(model, shape, batch=batch, device=device, precision=settings.precision)
    return engines.build(
        model,
        shape,
        device=device,
        precision=settings.precision,
        batch_size=settings.batch_size,
        kernels=settings.kernels,
    )


def _read(path: Path, channels: int, settings: Smoothing) -> nn.Sequential:
    """Return the classifier in a file.

    Raises:
        InputError: it cannot be read.
    """
    program = architectures.of_file(str(path))
    if program is None:
        return models.load(path, "base")[0]
    about: dict[str, Any] = {"dataset": "own", "classes": settings.classes or 0, "mean": [0.0] * channels}
    return importing.program(path, program, about, settings.sigma)[0]


def _faithful(model: nn.Sequential, images: Images, sigma: float) -> bool:
    """Return whether OpenVINO converts a module into a graph that computes the same."""
    copies = trial.noisy(images, sigma, COPIES)
    with torch.inference_mode():
        wanted = model(copies)
    try:
        engine = engines.build(model, copies.shape[1:], device=CPU, batch_size=len(copies), draws=len(copies))
        converted = engine.logits(copies)
    except Exception:  # of whatever kind: tracing runs the module's own code
        return False
    return trial.near(converted, wanted, wanted)


def _identity(module: nn.Module, logits: torch.Tensor) -> str:
    digest = hashlib.sha256(repr((type(module).__qualname__, str(module))).encode())
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    digest.update(logits.numpy().tobytes())
    return digest.hexdigest()
