"""Checks of the keys of one experiment against one another: one function each.

The line of an error starts with the key to change.

Every function raises a ValueError if its check fails.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from accelerated_smoothing import registry
from accelerated_smoothing.architectures import embeds, head, of_file, parts, side
from accelerated_smoothing.config.errors import COMBINE, WORDS
from accelerated_smoothing.config.plugins import dataset_shape

if TYPE_CHECKING:
    from accelerated_smoothing.config.experiment import Config


def experiment(config: "Config") -> None:
    """Check one experiment."""
    for check in (
        noise_levels,
        rows,
        draws,
        reference,
        no_noise,
        combination,
        architecture,
        programs,
        precisions,
        certifiers,
        training_on_embeddings,
        distribution,
        image_size,
        crop,
        images,
        choosers,
        held_out,
        predictions,
        fresh_draws,
        drawn_online,
    ):
        check(config)


def noise_levels(config: "Config") -> None:
    for key, sigmas in {
        "figure_sigmas": config.figure_sigmas,
        "timing.sigma": [config.timing.sigma],
        "checkpoints": list(config.checkpoints),
    }.items():
        for sigma in sorted(set(sigmas) - set(config.sigmas)):
            raise ValueError(f"{key} must be among sigmas {config.sigmas}, got {sigma}")


def rows(config: "Config") -> None:
    """Check that rows are names of methods, and that all methods have valid settings."""
    selection("rows", config.rows, config.methods, "methods")
    for name in config.methods:
        config.method(name)


def draws(config: "Config") -> None:
    sizes = config.sampling.sizes
    for name in config.rows:
        n = getattr(config.method(name), "n", sizes[-1])
        if n not in sizes:
            raise ValueError(f"methods.{name}.n must be one of sampling.sizes {sizes}, got {n}")


def reference(config: "Config") -> None:
    if config.reference not in config.rows:
        raise ValueError(f"reference must be one of rows ({', '.join(config.rows)}), got {config.reference!r}")
    if not is_sound(config.certifier(config.reference)):
        raise ValueError(f"reference must be a sound method, got {config.reference!r}, which is estimated")


def no_noise(config: "Config") -> None:
    if 0 in config.sigmas and config.samples():
        sampled = [name for name in config.rows if is_sampled(config.certifier(name))]
        raise ValueError(f"sigmas must be at least 0.001, since {sampled[0]} counts under noise, got 0")


def combination(config: "Config") -> None:
    """Check that members and the way to combine them are both set, or that the architecture is one network."""
    if bool(config.members) != bool(config.combine):
        wanted = f"{WORDS[COMBINE]}, since members are set" if config.members else "null"
        raise ValueError(f"combine must be {wanted}, got {config.combine or 'null'}")
    if parts(config.base.arch) and not config.members:
        raise ValueError(f"base.arch must be one network, got {config.base.arch!r}; set members and combine instead")


def architecture(config: "Config") -> None:
    """Check that networks on embeddings have an embedding, and that other networks have none."""
    arch = config.base.arch
    if head(arch) is None and config.embedding:
        raise ValueError(f"base.arch must be linear or such as mlp-128, since embedding is set, got {arch!r}")
    if head(arch) is not None and not config.embedding:
        raise ValueError(f"base.arch must be a network on images, since embedding is null, got {arch!r}")


def programs(config: "Config") -> None:
    """Check that checkpoints that are programs (.onnx or .pt2) are not used in ways that need weights."""
    for sigma, file in config.checkpoints.items():
        arch, key = of_file(file), f"checkpoints.{sigma}"
        if arch and config.embedding:
            raise ValueError(f"{key} must be a checkpoint of weights, since embedding is set, got {file!r}")
        if arch == "onnx" and config.compute.device == "cuda":
            raise ValueError(f"{key} must be a .pt2 of torch.export, since compute.device is cuda, got {file!r}")
        if arch == "onnx" and config.chosen():
            raise ValueError(f"{key} must be a .pt2 of torch.export, since sigmas are chosen by it, got {file!r}")


def precisions(config: "Config") -> None:
    """Check that the processor has each precision, as far as the config names the processor."""
    compute = config.compute
    if compute.device == "cpu" and config.sampling.precision == "tf32":
        raise ValueError("sampling.precision must be fp32 or bf16, since compute.device is cpu, got 'tf32'")
    if not compute.portable or compute.device == "cuda":
        return
    for name in ("base", "surrogate", "sampling"):
        if getattr(config, name).precision == "bf16":
            raise ValueError(
                f"{name}.precision must be fp32, since compute.portable is true and AVX2 has no bf16, got 'bf16'"
            )


def certifiers(config: "Config") -> None:
    """Check that each method suits the architectures and the embedding."""
    for name, arch in itertools.product(config.rows, sorted({*config.archs().values()})):
        module, certifier = config.certifier(name), config.methods[name]["certifier"]
        key = f"methods.{name}.certifier"
        if "base" in module.NEEDS and not embeds(arch) and arch != "linear":
            suited = f"base.arch {arch}" if arch == config.base.arch else f"the {arch} program in checkpoints"
            raise ValueError(
                f"{key} must suit {suited}, got {certifier!r}, which needs a 1-Lipschitz network such as "
                "sll32-2, or linear on embeddings"
            )
        if is_sampled(module) and (certifier == "embedded") != (config.embedding is not None):
            wanted = "embedded, since embedding is set" if config.embedding else "of images, since embedding is null"
            raise ValueError(f"{key} must be {wanted}, got {certifier!r}")


def training_on_embeddings(config: "Config") -> None:
    if config.embedding and config.training == "smoothadv":
        raise ValueError("training must be a way without attacks, since embeddings leave [0, 1], got 'smoothadv'")


def distribution(config: "Config") -> None:
    names = registry.names("noise.distributions")
    if config.noise not in names:
        raise ValueError(f"noise must be one of {', '.join(names)}, got {config.noise!r}")
    if config.embedding and config.noise != "gaussian":
        raise ValueError(f"noise must be gaussian, since a backbone is 1-Lipschitz in l2, got {config.noise!r}")


def image_size(config: "Config") -> None:
    data, arch = config.dataset, config.base.arch
    # The images of an imagefolder are scaled to this size, so they need not be read.
    pixels = data.size if data.name == "imagefolder" else dataset_shape(data.name, data.folder, data.size).size
    if not config.embedding and side(arch) not in (None, pixels):
        raise ValueError(f"base.arch must be for {pixels} pixels a side, such as sll{pixels}-2, got {arch!r}")


def crop(config: "Config") -> None:
    if config.embedding and config.base.crop:
        raise ValueError(f"base.crop must be 0, since embeddings cannot be cropped, got {config.base.crop}")


def images(config: "Config") -> None:
    for split, count in config.images().items():
        if not count:
            part = getattr(config.dataset, split)
            raise ValueError(f"dataset.{split} must keep at least one image, got {part!r}")


def choosers(config: "Config") -> None:
    for way in {**config.choose, **config.chosen()}:
        config.chooser(way)


def held_out(config: "Config") -> None:
    if not config.published and config.calibrates() and not config.surrogate.holdout:
        named = next(name for name in config.rows if "belief" in config.certifier(name).NEEDS)
        raise ValueError(f"surrogate.holdout must be above 0, since {named} calibrates the surrogate, got 0")


def predictions(config: "Config") -> None:
    if config.published:
        return
    wanted = [name for name in config.rows if "predictions" in config.certifier(name).NEEDS]
    if wanted and not config.depths():
        raise ValueError(
            f"rows must include a method with the depth of a surrogate, since {wanted[0]} reads predictions"
        )


def fresh_draws(config: "Config") -> None:
    epochs = config.surrogate.epochs
    if config.surrogate.fresh and config.train_samples % epochs:
        raise ValueError(
            f"train_samples must be a multiple of surrogate.epochs ({epochs}), since surrogate.fresh is true, got "
            f"{config.train_samples}"
        )


def drawn_online(config: "Config") -> None:
    stored = [
        name
        for name in config.rows
        if "estimation" in config.certifier(name).NEEDS and not getattr(config.certifier(name), "ONLINE", False)
    ]
    if stored and not config.replay:
        raise ValueError(f"replay must be true, since {stored[0]} looks at all N draws, got false")


def selection(key: str, names: Sequence[str], catalogue: Iterable[str], kind: str) -> None:
    """Check that a list of names selects from a catalogue, each once."""
    options = list(catalogue)
    for name in names:
        if name not in options:
            raise ValueError(f"{key} must be names of {kind} ({', '.join(options)}), got {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{key} must be distinct, got {names}")


def one_of(key: str, name: str, options: Sequence[str]) -> None:
    if name not in options:
        raise ValueError(f"{key} must be one of {', '.join(options) or 'no experiments'}, got {name!r}")


def is_sound(certifier: Any) -> bool:
    """Return whether a method's radii are lower bounds."""
    return certifier.GUARANTEE in ("sound", "deterministic")


def is_sampled(certifier: Any) -> bool:
    """Return whether a method needs counts under noise."""
    return "selection" in certifier.NEEDS
