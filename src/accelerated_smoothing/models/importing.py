"""Files of others as base classifiers: checkpoints of Cohen et al.'s repository, and exported programs."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import read_bytes

EXPORT = "export the network by torch.export.save to a .pt2, or by torch.onnx.export to a .onnx"
# Of the normalisation layer of locuslab/smoothing, `architectures.py`: their weights are only right with these.
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def weights(checkpoint: Path, arch: str, images: dict[str, Any], sigma: float) -> tuple[nn.Sequential, dict[str, Any]]:
    """Return the base classifier in a `checkpoint.pth.tar`, with its `arch` and `state_dict`, and its description.

    The file is a pickle. The loader accepts only tensors and plain containers, and runs no code.

    Args:
        checkpoint: the file.
        arch: the architecture, as it is named here.
        images: description of the data set that it was trained on.
        sigma: the noise that it was trained with, in [0,1] pixels.

    Raises:
        InputError: the file is not a checkpoint of locuslab/smoothing, or is of another architecture, or its weights do
            not fit.
    """
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise _missing(checkpoint) from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of weights ({type(error).__name__}); {EXPORT}") from error
    if not isinstance(stored, dict) or not {"arch", "state_dict"} <= stored.keys():
        raise InputError(
            f"{checkpoint} must have arch and state_dict, as in locuslab/smoothing, got neither or one; {EXPORT}"
        )
    theirs = str(stored["arch"])
    own = re.sub(r"^cifar_", "", theirs) if theirs.startswith("cifar_resnet") else f"imagenet-{theirs}"
    if own != arch:
        raise InputError(f"{checkpoint} must hold the architecture {arch} (base.arch), got {theirs!r}, here {own}")
    moments = IMAGENET if arch.startswith("imagenet-") else {key: images[key] for key in ("mean", "std")}
    try:
        model = models.build(arch, images["classes"], moments["mean"], moments["std"])
    except ValueError as error:
        raise InputError(f"{checkpoint}: arch {error}") from None
    # Their model is a normalisation layer without state, then the network, as ours. The network may be wrapped for
    # several GPUs. Counters of batch norm's updates are not used in evaluation.
    tensors = {name.replace("module.", ""): tensor for name, tensor in stored["state_dict"].items()}
    fresh = model.state_dict()
    kept = {name: fresh[name] for name in fresh if name.startswith("0.") or name.endswith("num_batches_tracked")}
    models.fit(model, {**kept, **tensors}, checkpoint)
    return model.eval(), _description(checkpoint, arch, images, sigma) | moments


def program(path: Path, arch: str, images: dict[str, Any], sigma: float) -> tuple[nn.Sequential, dict[str, Any]]:
    """Return the base classifier that is a program, which normalises images itself, and its description.

    Args:
        path: the file.
        arch: "onnx" or "exported".
        images, sigma: as for `weights`.

    Raises:
        InputError: the file is missing or no such program.
    """
    if not path.is_file():
        raise _missing(path)
    channels = len(images["mean"])
    moments = {"mean": [0.0] * channels, "std": [1.0] * channels}
    model = models.build(arch, images["classes"], moments["mean"], moments["std"])
    models.take(model, torch.from_numpy(np.frombuffer(bytearray(read_bytes(path)), np.uint8)), path)
    return model.eval(), _description(path, arch, images, sigma) | moments


def _description(path: Path, arch: str, images: dict[str, Any], sigma: float) -> dict[str, Any]:
    about = {"kind": "base", "arch": arch, "sigma": sigma, "imported": path.name}
    return {**about, **{key: images[key] for key in ("dataset", "classes")}}


def _missing(path: Path) -> InputError:
    return InputError(f"{path}: no such file; name a checkpoint in the config's checkpoints")
