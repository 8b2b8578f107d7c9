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

    The file is a pickle; it is read by a loader that knows tensors and plain containers only and runs no code.

    Args:
        images: description of the dataset that it was trained on.
        sigma: the noise that it was trained with, in [0,1] pixels.

    Raises:
        InputError: not such a checkpoint, an architecture that is none of ours, or weights that do not fit it.
    """
    try:
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{checkpoint}: no such file; name a checkpoint in the config's checkpoints") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of weights ({type(error).__name__})") from error
    if not isinstance(stored, dict) or not {"arch", "state_dict"} <= stored.keys():
        raise InputError(f"{checkpoint}: has no arch and state_dict; a checkpoint of locuslab/smoothing has both")
    found = re.fullmatch(r"cifar_(resnet\d+)", str(stored["arch"]))
    if not found:
        raise InputError(f"{checkpoint}: its arch is {stored['arch']!r}; cifar_resnet20, 56 or 110 can be imported")
    arch = found[1]
    model = models.build(arch, images["classes"], images["mean"], images["std"])
    # Their model is a normalisation layer without state followed by the network, as ours is; the network may have
    # been wrapped for several GPUs. Counters of batch norm's updates play no part in evaluation.
    weights = {name.replace("module.", ""): tensor for name, tensor in stored["state_dict"].items()}
    own = model.state_dict()
    kept = {name: own[name] for name in own if name.startswith("0.") or name.endswith("num_batches_tracked")}
    models.fit(model, {**kept, **weights}, checkpoint)
    description = {"kind": "base", "arch": arch, "sigma": sigma, "imported": checkpoint.name}
    models.save(output, model, {**description, **{key: images[key] for key in ("dataset", "classes", "mean", "std")}})
