"""Validation errors as one line: `KEY must be ..., got ...`.

A validator of one value raises `ValueError("must be ...")`; the key and the value are added here. A validator of
several keys raises a whole line that starts with one of them: `ValueError("ascent_from must be less than 3, got 5")`.
"""

import difflib
import shlex
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

# Patterns of text, and what they mean in words.
SLICE = r"^(-?\d+)?:(-?\d+)?(:[1-9]\d*)?$"
NAME = r"^[a-z][a-z0-9-]*$"
PATH = r"^[\w./-]+$"
EDIT = r"^(rounded|pruned[1-9]\d?)$"
COMBINE = rf"^(ensemble|sween|denoised|agreement|consensus[1-9]\d*)$|{EDIT}"
WORDS = {
    SLICE: "first:stop:step as in Python, such as ':500' or '::20'",
    NAME: "a name of lower-case letters, digits and dashes",
    EDIT: "rounded or such as pruned30",
    COMBINE: "ensemble, sween, denoised, agreement, rounded, or such as consensus2 or pruned30",
    PATH: "a path of letters, digits, '_', '.', '-' and '/'",
}
# What a value must be, by the type of pydantic's error; braces hold what the error says.
MUST_BE = {
    "greater_than": "greater than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "dict_type": "a mapping of keys to values",
    "list_type": "a list",
    "tuple_type": "a list",
    "string_type": "text",
    "none_required": "null",
    "invalid_key": "text",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), "an integer"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("model_type", "model_attributes_type"), "a mapping of keys to values"),
}


def unknown_key(key: object, keys: Iterable[str]) -> PydanticCustomError:
    """Return the error of a key that a section does not have."""
    return PydanticCustomError("unknown_key", "{key} is not one of {keys}", {"key": key, "keys": list(keys)})


def one_line(error: ValidationError, prefix: str = "", flag: bool = False) -> str:
    """Return the first fault of a validation error as one line.

    Args:
        error: of a section, the config or a `TypeAdapter`.
        prefix: what the keys are below, with a dot at its end, such as "base."; or the key itself, such as "alpha".
        flag: write keys as flags of the command line, such as `--batch-size`.
    """
    fault = error.errors()[0]
    path = [part for part in fault["loc"] if part != "[key]"]
    got = fault["input"]
    if fault["type"] == "missing" and isinstance(path[-1], int):  # an entry of a list of a fixed length
        path.pop()
    if flag:
        path = path[:1]
    key = (prefix + ".".join(map(str, path))).rstrip(".")
    if fault["type"] == "unknown_key":
        return _unknown(fault["ctx"]["key"], fault["ctx"]["keys"], key, flag)
    message = _must_be(fault, flag)
    if not fault["loc"] and (not prefix or prefix.endswith(".")):  # a fault of several keys
        name, _, rest = message.partition(" ")
        return f"{_flag(prefix + name) if flag else prefix + name} {rest}"
    if not message.startswith("must "):
        message = f"is wrong: {message}"
    if ", got " not in message:
        message += f", got {_value(got, flag)}"
    return f"{_flag(key) if flag else key} {message}"


def _must_be(fault: ErrorDetails, flag: bool) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch":
        return f"must be {WORDS.get(context['pattern'], 'text that matches ' + context['pattern'])}"
    if kind == "missing":
        last = fault["loc"][-1]
        return f"must have at least {_entries(last + 1)}" if isinstance(last, int) else "must be set"
    if kind in ("too_short", "string_too_short"):
        return f"must have at least {_entries(context['min_length'], kind)}"
    if kind in ("too_long", "string_too_long"):
        return f"must have at most {_entries(context['max_length'], kind)}"
    if kind in MUST_BE:
        words = MUST_BE[kind].format(**{name: _number(value) for name, value in context.items()})
        return "must be " + (words.replace("'", "") if flag else words)
    return str(fault["msg"])


def _number(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


def _entries(count: int, kind: str = "") -> str:
    word = "character" if kind.startswith("string") else "entry"
    return f"{count} {word if count == 1 else {'entry': 'entries'}.get(word, word + 's')}"


def _unknown(key: object, keys: list[str], section: str, flag: bool) -> str:
    close = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.75)
    hint = f"; did you mean {close[0]}?" if close else ""
    if flag:
        return f"{_flag(str(key))} is not a flag; flags: {', '.join(map(_flag, keys))}{hint}"
    name = f"{section}.{key}" if section else str(key)
    return f"{name} is not a key of {section or 'the config'}; keys: {', '.join(keys)}{hint}"


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


def _value(value: Any, flag: bool) -> str:
    """Return a value as Python or, for a flag, the command line writes it."""
    words = value if isinstance(value, list) else [value]
    return shlex.join(words) if flag and all(isinstance(word, str) for word in words) else repr(value)
