"""Classifiers: built, saved and loaded.

A family of networks is one file in `families/`, found by the name of the architecture. A weight file is a safetensors
file whose metadata names the architecture and the input.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import nn

from accelerated_smoothing import registry
from accelerated_smoothing.architectures import embeds, family, parts
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic, sha256
from accelerated_smoothing.models.folding import fold
from accelerated_smoothing.models.lipschitz import Linear, exact, linear
from accelerated_smoothing.models.normalize import Normalize

__all__ = [
    "Family",
    "Linear",
    "Normalize",
    "assemble",
    "build",
    "compiled",
    "exact",
    "fit",
    "fold",
    "linear",
    "load",
    "prepare",
    "save",
    "sources",
    "take",
]

PLUGINS = {"family": "models.families"}
INPUT = ("dataset", "classes", "mean", "std")  # what a description says about the images and their classes


class Family(Protocol):
    """What a module in `families/` offers; `folding.py` and `lipschitz.py` say what its networks may offer."""

    def build(self, arch: str, channels: int, classes: int) -> nn.Module:
        """Return a new network from normalised images [n, channels, height, width] to logits [n, classes].

        Raises:
            ValueError: `arch` is not the name of a network of the family, or the network does not take `channels`.
        """


def build(arch: str, classes: int, mean: list[float], std: list[float]) -> nn.Sequential:
    """Return a new classifier from images [n, len(mean), height, width] in [0,1] to logits [n, classes].

    A network of 1-Lipschitz layers divides by no standard deviation, since that would stretch.

    Raises:
        ValueError: `arch` is not the name of an architecture, or the architecture does not take len(mean) channels.
    """
    module: Family = registry.load("models.families", family(arch))
    deviations = [1.0] * len(mean) if embeds(arch) else std
    return nn.Sequential(Normalize(mean, deviations), module.build(arch, len(mean), classes))


def compiled(network: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a network compiled for a GPU, without kernels that are chosen by a race, which could change bits."""
    # All our ResNets are one piece of code to the compiler, which gives up after eight of a kind.
    torch._dynamo.config.recompile_limit = 256
    return torch.compile(network, fullgraph=True, dynamic=False, options={"deterministic": True})


def save(path: Path, model: nn.Module, description: dict[str, Any]) -> None:
    """Write weights; `description` holds at least arch, classes, mean and std."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic(path) as draft:
        draft.write_bytes(safetensors.torch.save(tensors, {"description": json.dumps(description, sort_keys=True)}))


def load(path: Path, kind: str, images: dict[str, Any] | None = None) -> tuple[nn.Sequential, dict[str, Any]]:
    """Read what `save` wrote, in evaluation mode.

    Args:
        path: the weight file.
        kind: what the description's kind must be: "base" or "surrogate".
        images: the description of the images to predict.

    Raises:
        InputError: the file is missing, truncated, of another kind, not of the architecture that it names, or made for
            another data set or number of classes.
    """
    try:
        with safetensors.safe_open(path, "pt") as stored:
            description = json.loads(stored.metadata()["description"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the weights of a {kind} model are needed here") from None
    except (safetensors.SafetensorError, TypeError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a whole weight file ({error}); build it again") from error
    if description.get("kind") != kind:
        raise InputError(f"{path} must hold a {kind} model, got a {description.get('kind')} model")
    for key in ("dataset", "classes"):
        if images and description[key] != images[key]:
            raise InputError(f"{path} must be made for {key} {images[key]}, as the images, got {description[key]}")
    try:
        model = build(description["arch"], description["classes"], description["mean"], description["std"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} must describe a model that this version has ({error})") from error
    if "1.program" in tensors and hasattr(model[1], "read"):
        take(model, tensors["1.program"], path)
    fit(model, tensors, path)
    if embeds(description["arch"]) and (tensors["0.std"] != 1).any():
        raise InputError(f"{path} must divide pixels by 1, got {tensors['0.std'].flatten().tolist()}; train it again")
    return model.eval(), description


def sources(**files: Path | Sequence[Path] | None) -> dict[str, dict[str, list[str]]]:
    """Return, for a description, the hashes of the weight files that a model is made from, by their part in it."""
    named = {part: [given] if isinstance(given, Path) else list(given or ()) for part, given in files.items()}
    hashes = {part: [sha256(path) for path in paths] for part, paths in named.items() if paths}
    return {"sources": hashes} if hashes else {}


def assemble(model: nn.Sequential, members: Sequence[Path], description: dict[str, Any]) -> None:
    """Put the weights of base classifiers into the members of a network that is made of them.

    Args:
        model: new, of such an architecture.
        members: weight files.
        description: of the model.

    Raises:
        InputError: a file is of another architecture or data set, or there are more or fewer files than members.
    """
    wanted = parts(description["arch"])
    if len(members) != len(wanted):
        raise InputError(
            f"members must be {len(wanted)} files of weights for {description['arch']}, got {len(members)}"
        )
    for place, (path, arch) in enumerate(zip(members, wanted, strict=True)):
        member, stored = load(path, "base")
        for key, value in {"arch": arch, **{key: description[key] for key in INPUT}}.items():
            if stored[key] != value:
                raise InputError(f"{path} must be made for {key} {value}, got {stored[key]}")
        network: Any = model[1]
        network.members[place].load_state_dict(member[1].state_dict())


def prepare(model: nn.Sequential, pixels: np.ndarray) -> None:
    """Set the weights that no training changes, but that follow from the training images.

    A network that has some offers a method `prepare(images)`.

    Args:
        model: new.
        pixels: [n, channels, height, width] float32 training images in [0, 1].
    """
    network: Any = model[1]
    if hasattr(network, "prepare"):
        network.prepare(model[0](torch.from_numpy(pixels)))


def take(model: nn.Sequential, program: torch.Tensor, path: Path) -> None:
    """Let a model of the family `program` read its program, [bytes] uint8.

    Raises:
        InputError: it is not one; the message names the file.
    """
    network: Any = model[1]
    try:
        network.read(program)
    except InputError as error:
        raise InputError(f"{path} {error}") from error


def fit(model: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put tensors into a model.

    Raises:
        InputError: a tensor is missing, unknown, or of another shape; the message names the first.
    """
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            raise InputError(f"{path} must hold {name}, got none; name the architecture of the weights")
        if name not in wanted:
            raise InputError(f"{path} must not hold {name}; name the architecture of the weights")
        shape, needed = list(tensors[name].shape), list(wanted[name].shape)
        if shape != needed:
            raise InputError(f"{path}: {name} must have shape {needed} in this architecture, got {shape}")
    model.load_state_dict(tensors)
