"""Fetch and verify a data set."""

from pathlib import Path

from pydantic import Field

from accelerated_smoothing import registry
from accelerated_smoothing.command import Arguments as Base
from accelerated_smoothing.command import Output
from accelerated_smoothing.verbs._flags import Dataset

EXAMPLE = "cifar10 --train train.npz --test test.npz"
MAKES = "Images"


class Arguments(Base):
    positional = ("dataset",)

    dataset: Dataset = Field(description=f"one of {', '.join(registry.names('data.sets'))}")
    folder: Path = Field(Path("data"), description="folder of the raw files")
    size: int = Field(32, ge=1, description="height and width of images of imagenette or an imagefolder, pixels")
    train: Output = Field(description="training images, .npz")
    test: Output = Field(description="test images, .npz")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import data

    outputs = {"train": arguments.train, "test": arguments.test}
    data.prepare(arguments.dataset, arguments.folder, arguments.size, outputs)
