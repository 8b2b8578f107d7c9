"""Measure the time of a certificate."""

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Inputs, Output
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.verbs._flags import Computing, Confident, Distributed, Seeded, Sliced, device

EXAMPLE = "--base base.safetensors --images test.npz --surrogates resnet20.safetensors --output timing.tsv"
MAKES = "Times of certificates"
MEASURES = True


class Arguments(Seeded, Distributed, Sliced, Confident, Computing, config.Sampling, config.Timing):
    base: Input = Field(description="weights of f")
    images: Input = Field(description="images")
    surrogates: Inputs = Field([], description="weights of each h")
    head: Input | None = Field(None, description="weights of a network on the embeddings by f's backbone")
    output: Output = Field(description="measurements, .tsv")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.certify import timing

    if not arguments.sigma:
        raise InputError("--sigma must be at least 0.001, got 0: a certificate without noise takes no draws")
    timing.measure(
        arguments.base,
        arguments.surrogates,
        data.read(arguments.images, arguments.slice).spread(arguments.count),
        arguments.output,
        sampled=arguments.section(config.Sampling),
        sigma=arguments.sigma,
        distribution=arguments.noise,
        n0=arguments.n0,
        alpha=arguments.alpha,
        seed=arguments.seed,
        repeats=arguments.repeats,
        device=device(arguments),
        kernels=arguments.kernels,
        head=arguments.head,
    )
