"""Plug-ins by name: every module of a room is one, and nothing else lists them.

A room is a folder of the package, such as `certify.methods`. A plug-in's name is that of its file, with `-` for `_`.
A package that loads plug-ins says so in `PLUGINS`: a dictionary from a fact, such as `noise`, to the room whose module
the fact names. Code digests (`provenance.code`) read it, so they cover the plug-ins that a verb loads and no others.
"""

import functools
import importlib
from pathlib import Path
from typing import Any

from accelerated_smoothing.errors import InputError

PACKAGE = Path(__file__).parent


@functools.cache
def names(room: str) -> tuple[str, ...]:
    """Return the names of the plug-ins in a room, sorted.

    Args:
        room: dotted path of a folder in this package, such as "certify.methods".
    """
    folder = PACKAGE.joinpath(*room.split("."))
    stems = (path.stem for path in folder.glob("*.py"))
    return tuple(sorted(stem.replace("_", "-") for stem in stems if not stem.startswith("_")))


def module(room: str, name: str) -> str:
    """Return the dotted path, within this package, of a plug-in's module."""
    return f"{room}.{name.replace('-', '_')}"


def load(room: str, name: object, key: str = "name") -> Any:
    """Import a plug-in.

    Args:
        room: as for `names`.
        name: of the plug-in.
        key: what the error calls the name: the key or flag that holds it.

    Raises:
        InputError: `name` is not the name of a plug-in in the room.
    """
    if not isinstance(name, str) or name.replace("_", "-") not in names(room):
        raise InputError(f"{key} must be one of {', '.join(names(room))}, got {name!r}")
    return importlib.import_module(f"{PACKAGE.name}.{module(room, name)}")
