"""Checkpoints of Cohen et al.'s repository (locuslab/smoothing) as base classifiers."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from accelerated_smoothing import models
from accelerated_smoothing.errors import InputError


def convert(checkpoint: Path, images: dict[str, Any], sigma: float, output: Path) -> None:
    """Turn a `checkpoint.pth.tar`, with its `arch` and `state_dict`, into a base classifier's weight file.

    The file is a pickle. The loader accepts only tensors and plain containers, and runs no code.

    Args:
        checkpoint: the file.
        images: description of the data set that it was trained on.
        sigma: the noise that it was trained with, in [0,1] pixels.
        output: the weight file.

    Raises:
        InputError: the file is not a checkpoint of locuslab/smoothing, or no network here fits its architecture or
            weights.
    """
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{checkpoint}: no such file; name a checkpoint in the config's checkpoints") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of weights ({type(error).__name__})") from error
    if not isinstance(stored, dict) or not {"arch", "state_dict"} <= stored.keys():
        raise InputError(f"{checkpoint} must have arch and state_dict, as in locuslab/smoothing, got neither or one")
    match = re.fullmatch(r"cifar_(resnet\d+)", str(stored["arch"]))
    if not match:
        raise InputError(f"{checkpoint} must hold an arch such as cifar_resnet110, got {stored['arch']!r}")
    arch = match[1]
    try:
        model = models.build(arch, images["classes"], images["mean"], images["std"])
    except ValueError as error:
        raise InputError(f"{checkpoint}: arch {error}") from None
    # Their model is a normalisation layer without state, then the network, as ours. The network may be wrapped for
    # several GPUs. Counters of batch norm's updates are not used in evaluation.
    weights = {name.replace("module.", ""): tensor for name, tensor in stored["state_dict"].items()}
    fresh = model.state_dict()
    kept = {name: fresh[name] for name in fresh if name.startswith("0.") or name.endswith("num_batches_tracked")}
    models.fit(model, {**kept, **weights}, checkpoint)
    description = {"kind": "base", "arch": arch, "sigma": sigma, "imported": checkpoint.name}
    models.save(output, model, {**description, **{key: images[key] for key in ("dataset", "classes", "mean", "std")}})
