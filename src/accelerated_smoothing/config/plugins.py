"""What the config knows of plug-ins: their names, their settings, and the shapes of data sets."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from accelerated_smoothing import registry
from accelerated_smoothing.config.errors import one_line
from accelerated_smoothing.errors import InputError

if TYPE_CHECKING:
    from accelerated_smoothing.data import Shape


def load(room: str, name: object, key: str) -> Any:
    """Return the module of a plug-in that a key of the config names.

    Raises:
        ValueError: `name` is not the name of a plug-in in the room.
    """
    try:
        return registry.load(room, name, key)
    except InputError as error:
        raise ValueError(str(error)) from None


def settings(model: type[BaseModel], values: object, key: str) -> Any:
    """Return settings as a plug-in's model of them.

    Raises:
        ValueError: the model refuses them. The line names the key below `key`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ValueError(one_line(error, f"{key}.")) from None


def dataset_names() -> tuple[str, ...]:
    """Return the names of the data sets."""
    return registry.names("data.sets")


def kernel_names() -> tuple[str, ...]:
    """Return the names of the kernels for GPUs."""
    return registry.names("counting.kernels")


@functools.cache
def dataset_shape(name: str, folder: str, size: int) -> "Shape":
    """Return how many images, classes, channels and pixels a data set has, without fetching it.

    Args:
        name, folder, size: as in the section `dataset`. An imagefolder's file names are read to count its images.

    Raises:
        InputError: the folder of an imagefolder is missing or empty.
    """
    shape: Shape = registry.load("data.sets", name, "dataset.name").shape(Path(folder), size)
    return shape
