"""What a verb of the command line is, and how words become its arguments.

A verb is a module of `verbs/`: the typed fields of its `Arguments` are its flags, and `run` does the work. Fields say
which files a verb reads and writes, so records, audits and crates need no list of verbs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol, cast

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter, RepeatArgumentError
from pydantic import BaseModel, Field, ValidationError, create_model

from accelerated_smoothing import config, registry
from accelerated_smoothing.errors import InputError


class Role(Enum):
    """What a verb does with the file that a field names."""

    INPUT = "reads a file that a verb made"
    SOURCE = "reads a file that no verb makes"
    OUTPUT = "writes a file"


File = Annotated[Path, Parameter(allow_leading_hyphen=False)]
Input = Annotated[File, Role.INPUT]
Inputs = Annotated[list[Path], Role.INPUT]
Source = Annotated[File, Role.SOURCE]
Output = Annotated[File, Role.OUTPUT]


class Arguments(config.Section):
    """The arguments of one verb.

    Attributes:
        positional: fields that stand without a flag, in order.
        untracked: fields that change the speed only, so that a file need not be built again after a change.
    """

    positional: ClassVar[tuple[str, ...]] = ()
    untracked: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        fields = cls.model_fields
        for name in sorted(fields, key=lambda name: name not in cls.positional):
            fields[name] = field = fields.pop(name)  # positional fields come first: cyclopts finds them by their place
            field.kw_only = name not in cls.positional

    def section(self, model: type[config.T]) -> config.T:
        """Return the arguments that are one section of the config."""
        return model(**{name: getattr(self, name) for name in model.model_fields})

    def paths(self, *roles: Role) -> list[Path]:
        """Return the files that fields of these roles name."""
        values = [getattr(self, name) for name, field in type(self).model_fields.items() if _role(field) in roles]
        return [path for value in values for path in (value if isinstance(value, list) else [value]) if path]

    def facts(self) -> dict[str, list[str]]:
        """Return the words that may name plug-ins, by fact (`registry`)."""
        return {name: [value] for name in type(self).model_fields if isinstance(value := getattr(self, name), str)}


def _role(field: Any) -> Role | None:
    roles = [item for item in field.metadata if isinstance(item, Role)]
    for inner in getattr(field.annotation, "__args__", ()):  # Input | None
        roles += [item for item in getattr(inner, "__metadata__", ()) if isinstance(item, Role)]
    return roles[0] if roles else None


class Module(Protocol):
    """What a module of `verbs/` must hold; `Verb` says what else it may. Its docstring says what the verb does.

    Attributes:
        EXAMPLE: arguments of a typical call.
        Arguments: its flags, without those of a variant.
    """

    EXAMPLE: str

    @property
    def Arguments(self) -> type[Arguments]: ...  # noqa: N802

    def run(self, arguments: Any) -> int | None:
        """Do the work; return an exit code other than 0, if any."""


@dataclass(frozen=True)
class Verb:
    """A verb. Each attribute but `module` is an optional constant of its module, in capitals, such as `MAKES`.

    Attributes:
        module: the module itself.
        makes: what it makes, in words, for pages and crates; "" for a verb that makes no file.
        quick: whether it takes seconds, so that an audit can run it again.
        shows: whether its file only displays the content of its inputs, with measured times.
        measures: whether its numbers are measured times, which differ from run to run.
        arithmetic: whether its file depends on the arithmetic of a model's passes.
        variants: the field that names a plug-in with settings of its own, and the plug-in's room; or None.
        extra: flags of a variant, from its plug-in.
    """

    module: Module
    makes: str = ""
    quick: bool = False
    shows: bool = False
    measures: bool = False
    arithmetic: bool = False
    variants: tuple[str, str] | None = None
    extra: Callable[[Any], dict[str, Any]] = lambda plugin: {}


def verb(name: str) -> Verb:
    """Import a verb.

    Raises:
        InputError: `name` is not the name of a verb.
    """
    module: Module = registry.load("verbs", name, "VERB")
    optional = {field.name: getattr(module, field.name.upper(), None) for field in fields(Verb)[1:]}
    return Verb(module, **{field: value for field, value in optional.items() if value is not None})


def variant(command: Verb, name: str) -> type[Arguments]:
    """Return the arguments of a verb whose plug-in is `name`: the verb's own, and the plug-in's settings."""
    assert command.variants is not None
    field, room = command.variants
    plugin = registry.load(room, name, field.upper())
    own, extra = command.module.Arguments, command.extra(plugin)
    fixed = (Annotated[Literal[name], Parameter(parse=False)], name)
    bases = (own, plugin.Settings)
    model = create_model(own.__name__, __base__=bases, **{field: fixed}, **extra)  # type: ignore[call-overload]
    model.__doc__ = plugin.__doc__
    return cast("type[Arguments]", model)


@dataclass(frozen=True)
class Call:
    """A verb with its arguments."""

    verb: str
    arguments: Arguments

    def run(self) -> int | None:
        return verb(self.verb).module.run(self.arguments)


def parse(words: Sequence[str]) -> Call | None:
    """Return the call that words on the command line ask for; None after they asked for help.

    Raises:
        InputError: an unknown verb or flag, a missing argument, or a value that is out of range.
    """
    options: dict[str, Any] = {"exit_on_error": False, "print_error": False, "help_on_error": False}
    try:
        chosen, bound, _ = _app(words).parse_args(list(words), **options)
    except MissingArgumentError as error:
        _check_flags(words)
        name = error.argument.name if error.argument else "an argument"
        raise InputError(f"{name} is required; see '{_usage(words)} --help'") from None
    except RepeatArgumentError as error:
        raise InputError(f"{error.token.keyword} must be given once") from None
    except CycloptsError as error:
        cause = error.__cause__
        if isinstance(cause, ValidationError):
            raise InputError(config.one_line(cause, flag=True)) from None
        _check_flags(words)
        raise InputError(f"{' '.join(str(error).split()).rstrip('.')}; see '{_usage(words)} --help'") from None
    if "arguments" not in bound.signature.parameters:  # a request for help, or for the version
        chosen(*bound.args, **bound.kwargs)
        return None
    bound.apply_defaults()
    return Call(words[0], bound.arguments["arguments"])


def _check_flags(words: Sequence[str]) -> None:
    """Report an unknown flag, which cyclopts would report after a missing one.

    Raises:
        InputError: a word is a flag that the verb does not have.
    """
    if not words or words[0] not in registry.names("verbs"):
        return
    command = verb(words[0])
    model = command.module.Arguments
    if command.variants and len(words) > 1 and words[1] in registry.names(command.variants[1]):
        model = variant(command, words[1])
    flags = {f"--{name.removeprefix('as_').replace('_', '-')}" for name in model.model_fields} | {"--help"}
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag.replace("--no-", "--", 1) not in flags:
            close = difflib.get_close_matches(flag, flags, n=1)
            hint = f"; did you mean {close[0]}?" if close else f"; see '{_usage(words)} --help'"
            raise InputError(f"{flag} is not a flag of {words[0]}{hint}")


def _usage(words: Sequence[str]) -> str:
    known = words[:1] if words and words[0] in registry.names("verbs") else []
    return " ".join(["accelerated-smoothing", *known])


def _app(words: Sequence[str]) -> App:
    """Return the command line, limited to the verb in `words` if there is one."""
    defaults = Parameter(negative_iterable=(), consume_multiple=True)
    text = "Certify images by randomized smoothing: each step of the workflow as a verb, and a few for people."
    app = App("accelerated-smoothing", help=text, default_parameter=defaults)
    names = registry.names("verbs")
    named = next((word for word in words if not word.startswith("-")), None)
    for name in [named] if named in names else names:
        command = verb(name)
        example = f"Example: accelerated-smoothing {name} {command.module.EXAMPLE}"
        doc = command.module.__doc__ or ""
        if command.variants is None or named != name:
            app.command(_function(command.module.Arguments, doc), name=name, help_epilogue=example)
            continue
        below = App(name, help=doc, help_epilogue=example)
        for choice in registry.names(command.variants[1]):
            model = variant(command, choice)
            below.command(_function(model, model.__doc__ or ""), name=choice)
        app.command(below)
    return app


def _function(model: type[Arguments], doc: str) -> Any:
    """Return a function that cyclopts can make flags from."""

    def command(arguments: Any) -> None: ...

    command.__annotations__ = {"arguments": Annotated[model, Parameter(name="*")], "return": None}
    if not any(field.is_required() for field in model.model_fields.values()):
        command.__defaults__ = (model(),)
    command.__doc__ = doc
    return command


def flags(settings: BaseModel) -> str:
    """Return a section of the config as flags: `--epochs 90 --lr 0.1 --no-flip`."""
    words = []
    for name, value in settings.model_dump(mode="json").items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:  # null is the verb's own default
            words += [f"--{flag}", *(str(v) for v in (value if isinstance(value, list) else [value]))]
    return " ".join(words)


__all__ = ["Arguments", "Call", "Field", "Input", "Inputs", "Output", "Role", "Source", "flags", "parse"]
