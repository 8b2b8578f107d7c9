"""Embed images by a 1-Lipschitz backbone."""

from pathlib import Path

from pydantic import Field

from accelerated_smoothing.command import Input
from accelerated_smoothing.provenance import code
from accelerated_smoothing.verbs._flags import Computing, device

EXAMPLE = "--base base.safetensors --train train.npz --test test.npz --output embeddings"
MAKES = "Embeddings"


class Arguments(Computing):
    base: Input = Field(description="weights of an SLL network")
    train: Input = Field(description="training images")
    test: Input = Field(description="test images")
    output: Path = Field(description="folder of the embeddings: train.npz and test.npz")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.models import embedding

    splits = {"train": data.read(arguments.train), "test": data.read(arguments.test)}
    outputs = {split: arguments.output / f"{split}.npz" for split in splits}
    embedding.embed(
        arguments.base, splits, outputs, device(arguments), code=code.digest("embed", code.facts(arguments))
    )
