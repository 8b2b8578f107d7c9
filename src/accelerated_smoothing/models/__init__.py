"""Classifiers: an architecture family is one file here; this one builds, folds, saves and loads them.

A weight file is a safetensors file that describes itself: its metadata names the architecture and the input.
"""

import copy
import itertools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import nn

from accelerated_smoothing.architectures import FOUR_STAGES, embeds, head
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic
from accelerated_smoothing.models import four_stage
from accelerated_smoothing.models.heads import Head
from accelerated_smoothing.models.resnet import resnet
from accelerated_smoothing.models.sll import Scaled, Sll


class Normalize(nn.Module):
    """(x - mean) / std per channel: inside the model, so that noise is added in [0,1] pixel space."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


def build(arch: str, classes: int, mean: list[float], std: list[float]) -> nn.Sequential:
    """A fresh classifier from images [n, len(mean), height, width] in [0,1] to logits [n, classes].

    A network of 1-Lipschitz layers divides by no standard deviation, since that would stretch.
    """
    if embeds(arch):
        return nn.Sequential(Normalize(mean, [1.0] * len(mean)), Sll(arch, len(mean), classes))
    if head(arch) is not None:
        return nn.Sequential(Normalize(mean, std), Head(arch, len(mean), classes))
    family = four_stage.resnet if arch in FOUR_STAGES else resnet
    return nn.Sequential(Normalize(mean, std), family(arch, channels=len(mean), classes=classes))


@dataclass(frozen=True)
class Linear:
    """A classifier as a linear layer behind a 1-Lipschitz map.

    Attributes:
        features: inputs [n, *shape] to vectors [n, d], no two of which lie farther apart in l2 than their inputs.
        weight: [classes, d].
        bias: [classes].
        rounding: how far features may be in l2 from what they are in real numbers, of inputs in [0,1]; 0 of a head,
            whose features are its inputs but for a shift, and infinite where nothing is known, as in float32.
    """

    features: Callable[[torch.Tensor], torch.Tensor]
    weight: torch.Tensor
    bias: torch.Tensor
    rounding: float = math.inf


def linear(model: nn.Sequential) -> Linear:
    """What is linear in a classifier: the last layer of an SLL network, and all of one linear layer on embeddings.

    Raises:
        ValueError: it is another network, of which no such thing is known.
    """
    normalize, network = model[0], model[1]
    assert isinstance(normalize, Normalize)
    if isinstance(network, Sll):
        return Linear(lambda x: network.backbone(normalize(x)), network.fc.weight, network.fc.bias)
    if isinstance(network, Head) and not network.hidden:
        # In the bias, the mean would have to cancel with features again.
        mean, std = normalize.mean.flatten(), normalize.std.flatten()
        return Linear(lambda z: z.flatten(1) - mean, network.fc.weight / std, network.fc.bias, 0.0)
    raise ValueError("no linear layer behind a 1-Lipschitz map; a network such as sll32-2 is, or linear on embeddings")


def exact(model: nn.Sequential) -> Linear:
    """The same in float64, the scalings of its layers made once and not in every pass; the model is left as it is.

    Raises:
        ValueError: as `linear`.
    """
    double = copy.deepcopy(model).double().requires_grad_(False)
    mean, network = fold(double)
    normalize = Normalize([0.0] * len(mean), [1.0] * len(mean)).double()
    normalize.mean.copy_(mean)
    made = nn.Sequential(normalize, network).to(next(model.parameters()).device)
    found = linear(made.requires_grad_(False))
    return replace(found, rounding=double[1].rounding(mean)) if isinstance(double[1], Sll) else found


def compiled(network: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A network compiled for a GPU, in one arithmetic: without TF32, and without kernels that are chosen by a race."""
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    # All our ResNets are one piece of code to the compiler, which gives up after eight of a kind.
    torch._dynamo.config.recompile_limit = 256
    return torch.compile(network, fullgraph=True, dynamic=False)


def save(path: Path, model: nn.Module, description: dict[str, Any]) -> None:
    """Write weights; `description` holds at least arch, classes, mean and std."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic(path) as draft:
        draft.write_bytes(safetensors.torch.save(tensors, {"description": json.dumps(description, sort_keys=True)}))


def load(path: Path, kind: str, images: dict[str, Any] | None = None) -> tuple[nn.Sequential, dict[str, Any]]:
    """Read what `save` wrote, in evaluation mode.

    Args:
        path: the weight file.
        kind: what the description's kind must say: "base" or "surrogate".
        images: the description of the images that it shall predict.

    Raises:
        InputError: missing, truncated, of another kind, not of the architecture that it names, or made for another
            dataset or number of classes.
    """
    try:
        with safetensors.safe_open(path, "pt") as stored:
            description = json.loads(stored.metadata()["description"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the weights of a {kind} model are needed here") from None
    except (safetensors.SafetensorError, TypeError, KeyError, ValueError, OSError) as error:
        raise InputError(f"{path}: not a whole weight file ({error}); delete it and build it again") from error
    if description.get("kind") != kind:
        raise InputError(f"{path}: holds a {description.get('kind')} model, where a {kind} model is needed")
    for key in ("dataset", "classes"):
        if images and description[key] != images[key]:
            raise InputError(f"{path}: made for {key} {description[key]}, the images have {key} {images[key]}")
    try:
        model = build(description["arch"], description["classes"], description["mean"], description["std"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: describes no model that is known here ({error})") from error
    fit(model, tensors, path)
    if embeds(description["arch"]) and (tensors["0.std"] != 1).any():
        raise InputError(
            f"{path}: divides pixels by {tensors['0.std'].flatten().tolist()}, which stretches; train it again"
        )
    return model.eval(), description


def fit(model: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Put tensors into a model.

    Raises:
        InputError: a tensor is missing, unknown, or of another shape; the message names the first.
    """
    wanted = model.state_dict()
    for name in sorted(wanted.keys() | tensors.keys()):
        if name not in tensors:
            raise InputError(
                f"{path}: has no {name}, which this architecture needs; name the architecture it was made for"
            )
        if name not in wanted:
            raise InputError(
                f"{path}: has {name}, which this architecture does not; name the architecture it was made for"
            )
        found, needed = list(tensors[name].shape), list(wanted[name].shape)
        if found != needed:
            raise InputError(f"{path}: {name} has shape {found}, this architecture needs {needed}")
    model.load_state_dict(tensors)


def fold(model: nn.Sequential) -> tuple[torch.Tensor, nn.Module]:
    """A copy of a classifier that does the same with fewer passes over memory.

    Each batch norm goes into the convolution before it, the scaling of a 1-Lipschitz layer into its weights, and the
    division by the standard deviation into the first layer. The mean cannot: a convolution pads with zeros after it is
    subtracted.

    Relies on a batch norm being declared right after its convolution, as all our architectures do.

    Returns:
        The mean [channels, 1, 1] that is to be subtracted from images, and the network for what is left of them.
    """
    normalize, network = model[0], copy.deepcopy(model[1])
    assert isinstance(normalize, Normalize)
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, Scaled):
                setattr(module, name, child.folded())
        children = list(module.named_children())
        for (name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, name, nn.utils.fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity())
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear))
    if (normalize.std != 1).any():
        first.weight.data /= normalize.std.view(-1, *[1] * (first.weight.dim() - 2))
    return normalize.mean.cpu().clone(), network
