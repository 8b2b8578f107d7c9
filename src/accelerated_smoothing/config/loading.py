"""Reading and checking: from files and settings to a `Config`, from a model to the JSON schema."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from accelerated_smoothing import registry
from accelerated_smoothing.config import relations
from accelerated_smoothing.config.errors import one_line
from accelerated_smoothing.config.experiment import Config
from accelerated_smoothing.config.papers import merge
from accelerated_smoothing.config.sections import T
from accelerated_smoothing.errors import InputError


def load(settings: Mapping[str, Any], folder: Path | None = None) -> Config:
    """Check a config.

    Args:
        settings: config.yaml with a preset and --config merged into it, as Snakemake does. Its `papers` override
            papers/*.yaml key by key.
        folder: that of the Snakefile, with papers/*.yaml; None: no papers but those in `settings`.

    Raises:
        InputError: one line with the key, what it must be and what it is.
    """
    values = dict(settings)
    if folder is not None:
        values = {"papers": {path.stem: read_yaml(path) for path in sorted(Path(folder, "papers").glob("*.yaml"))}}
        merge(values, settings)
    config = check(Config, values)
    for key in ("initial", "teacher", "members", "embedding", "classifier", "published"):
        if name := getattr(config, key):
            unset = "[]" if key == "members" else "null"
            raise InputError(f"{key} must be {unset} in the main experiment, got {name!r}; set it under papers")
    try:
        relations.taught("teacher", config)
        relations.other("", config, [], {})
    except ValueError as error:
        raise InputError(str(error)) from None
    return config


def read(paths: Sequence[Path], folder: Path | None = None) -> Config:
    """Read config files.

    Args:
        paths: each overrides the ones before it key by key, as in Snakemake.
        folder: as in `load`; None: the folder of the first file.

    Raises:
        InputError: a file is missing, is not YAML, or the config is wrong.
    """
    merged: dict[str, Any] = {}
    for path in paths:
        merge(merged, read_yaml(path))
    return load(merged, Path(paths[0]).parent if folder is None else folder)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file with keys at its top.

    Raises:
        InputError: the file is missing, is not YAML, or has no keys.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise InputError(f"{path} must be a readable config file, got {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} must be valid YAML, got {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} must hold key: value lines, got a {type(content).__name__}")
    return content


def check(model: type[T], values: Mapping[str, Any], flag: bool = False) -> T:
    """Return values as a section.

    Args:
        model: the section.
        values: by key.
        flag: write keys as flags of the command line in errors.

    Raises:
        InputError: one line with the key, what it must be and what it is.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        raise InputError(one_line(error, flag=flag)) from None


def schema() -> str:
    """Return the JSON schema of the config."""
    content = Config.model_json_schema()
    ways = [registry.load("training.ways", name).Settings for name in registry.names("training.ways")]
    content["properties"]["base"] = {"anyOf": [way.model_json_schema() for way in ways]}
    return json.dumps(content, indent=2) + "\n"
