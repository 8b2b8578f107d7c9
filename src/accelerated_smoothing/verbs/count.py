"""Count a base classifier's predictions under noise."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Output
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import code
from accelerated_smoothing.verbs._flags import Computing, Distributed, Seeded, Sliced, device

EXAMPLE = "--base base.safetensors --images test.npz --sigma 0.25 --sizes 100 1000 --output counts.npz"
MAKES = "Class counts of some images"
ARITHMETIC = True


def _shard(text: str) -> str:
    """Check `K/M`, the K-th of M shards, from 0."""
    parts = re.fullmatch(r"(\d+)/(\d+)", str(text))
    if not parts or int(parts[1]) >= int(parts[2]):
        raise ValueError("must be K/M with 0 <= K < M, such as 0/4")
    return str(text)


class Arguments(Seeded, Distributed, Sliced, Computing, config.Sampling):
    base: Input = Field(description="weights of f")
    images: Input = Field(description="images")
    sigma: config.Sampled = Field(description="scale of the noise, [0,1] pixels")
    spread: int | None = Field(None, ge=1, description="how many of the images, evenly spaced; all by default")
    shard: Annotated[str, BeforeValidator(_shard)] = Field("0/1", description="K/M: the K-th of M shards, from 0")
    purpose: str = Field("estimation", pattern="^[a-z]+$", description="draws of different purposes are independent")
    sigmas: Input | None = Field(None, description="file of each image's own sigma, which was chosen from --sigma")
    at: int | None = Field(None, ge=1, description="the number of steps or samples at which they were chosen")
    output: Output = Field(description="counts")


def run(arguments: Arguments) -> None:
    import numpy as np

    from accelerated_smoothing import data
    from accelerated_smoothing.counting import sampling
    from accelerated_smoothing.sigmas import chosen

    images = data.read(arguments.images, arguments.slice).spread(arguments.spread)
    position, shards = map(int, arguments.shard.split("/"))
    if shards > len(images.idx):
        raise InputError(f"--shard must have at most as many shards as images, {len(images.idx)}, got {shards}")
    images = images.take(np.array_split(np.arange(len(images.idx)), shards)[position])
    sigmas = None
    if arguments.sigmas:
        if not arguments.at:
            raise InputError("--at must be set with --sigmas, got none; it is the number at which they were chosen")
        sigmas = chosen.choose(arguments.sigmas, arguments.at, images, arguments.base, arguments.sigma, arguments.noise)
    sampling.count(
        arguments.base,
        images,
        arguments.output,
        sigma=arguments.sigma,
        distribution=arguments.noise,
        settings=arguments.section(config.Sampling),
        seed=arguments.seed,
        purpose=arguments.purpose,
        device=device(arguments),
        kernels=arguments.kernels,
        chosen=sigmas,
        code=code.digest("count", code.facts(arguments)),
    )
