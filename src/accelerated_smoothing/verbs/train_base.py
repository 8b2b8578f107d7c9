"""Train a base classifier under noise."""

from typing import Any

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Inputs, Output
from accelerated_smoothing.provenance import code
from accelerated_smoothing.verbs._flags import Computing, Distributed, Seeded, device

EXAMPLE = (
    "gaussian --train train.npz --test test.npz --sigma 0.25 --arch resnet20 --epochs 10 --output base.safetensors"
)
MAKES = "Base classifier"
VARIANTS = ("way", "training.ways")


class Arguments(Seeded, Distributed, Computing):
    train: Input = Field(description="training images")
    test: Input = Field(description="images for the accuracy in the log")
    output: Output = Field(description="weights")
    sigma: config.Sigma = Field(description="scale of the noise, [0,1] pixels")
    initial: Input | None = Field(None, description="weights to start from, instead of fresh ones")
    members: Inputs = Field([], description="weights of the members of a network that is made of them")
    teacher: Inputs = Field(
        [], description="weights that crt, catrs and stability learn from; for router those of all levels, descending"
    )


def run(arguments: Any) -> None:
    from accelerated_smoothing import data, training
    from accelerated_smoothing.training import base

    base.train(
        data.read(arguments.train),
        data.read(arguments.test),
        arguments.output,
        arguments.way,
        arguments.section(training.way(arguments.way).Settings),
        arguments.sigma,
        arguments.noise,
        arguments.seed,
        device(arguments),
        arguments.initial,
        arguments.teacher,
        arguments.members,
        code=code.digest("train-base", code.facts(arguments)),
    )
