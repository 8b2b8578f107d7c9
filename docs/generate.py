"""MkDocs hook: the first page from README.md, two reference pages from the typed config and the verbs, and figures.

mkdocs.yml names this file under `hooks`. Nothing that it writes is kept in git.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel

from accelerated_smoothing import command, config, registry

ROOT = Path(__file__).parents[1]
COPIES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
# Pages of the site that take the place of files outside docs/, to which pages of docs/ link.
LINKED = {**COPIES, "config.yaml": "configuration.md"}
# Settings that stand below a key of the config, by the room of their modules.
ROOMS = {
    "training.ways": "`training` names one of these modules. Its settings are keys of `base`.",
    "certify.methods": "`methods.<name>.certifier` names one of these modules. Its settings are keys beside it.",
    "sigmas.ways": "`choose.<name>` holds the settings of one of these modules.",
}
# Results in the repository that pages show: by their place there, and in the site.
SHOWN = {"results/cifar10/figure3.svg": "figures/cifar10-figure3.svg"}
NAMES = {"data.sets": "dataset.name", "noise.distributions": "noise"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not files in docs/."""
    pages = {target: linked((ROOT / source).read_text(encoding="utf-8")) for source, target in COPIES.items()}
    pages |= {"configuration.md": configuration(), "verbs.md": verbs()}
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    for source, target in SHOWN.items():
        files.append(File.generated(config, target, content=(ROOT / source).read_bytes()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let a page of docs/ link to files outside docs/, and show results, by their place in the repository."""
    for source, target in {**LINKED, **SHOWN}.items():
        markdown = re.sub(rf"\]\(\.\./{re.escape(source)}(?=[)#])", f"]({target}", markdown)
    return markdown


def linked(text: str) -> str:
    """Return a page of the repository's root with its links as they are from docs/."""
    text = re.sub(r"\]\(docs/", "](", text)
    for source, target in SHOWN.items():
        text = text.replace(f"]({source})", f"]({target})")
    for source, target in COPIES.items():
        text = text.replace(f"]({source}", f"]({target}")
    return text


def configuration() -> str:
    """Return the page of the config: every key with its type, default and meaning."""
    schema = config.Config.model_json_schema()
    definitions = schema["$defs"]
    parts = [
        "# Configuration",
        "This page is made from the typed config in `src/accelerated_smoothing/config/`. `config.yaml` holds the "
        "paper's values with comments. A preset (`--configfile presets/demo.yaml`) or `--config KEY=VALUE` overrides "
        "it: mappings are merged, lists are replaced. Unknown keys and wrong values stop a run with a one-line error "
        "before any work.",
        "## Top level",
        table(schema),
    ]
    for name, value in schema["properties"].items():
        definition = definitions.get(reference(value), {})
        if definition.get("properties"):
            parts += [f"## `{name}`", definition["description"], table(definition, f"{name}.")]
    parts += ["## `papers`", definitions["Paper"]["description"], table(definitions["Paper"], "papers.<name>.")]
    for room, words in ROOMS.items():
        parts += [f"## Modules of `{room.replace('.', '/')}/`", words]
        for name in registry.names(room):
            module = registry.load(room, name)
            parts += [f"### `{name}` {{ #{room.replace('.', '-')}-{name} }}", sentence(module.__doc__)]
            parts.append(table(own(module.Settings)))
    for room, key in NAMES.items():
        parts += [f"## Names for `{key}`", "| name | what it is |\n|---|---|"]
        lines = [f"| `{name}` | {sentence(registry.load(room, name).__doc__)} |" for name in registry.names(room)]
        parts[-1] += "\n" + "\n".join(lines)
    return "\n\n".join(parts) + "\n"


def own(settings: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of settings without the keys that every way of training has."""
    schema = settings.model_json_schema()
    shared = config.Base.model_json_schema()["properties"] if issubclass(settings, config.Base) else {}
    schema["properties"] = {
        name: value for name, value in schema.get("properties", {}).items() if value != shared.get(name)
    }
    return schema


def verbs() -> str:
    """Return the page of the command line: every verb with its flags."""
    parts = [
        "# Verbs",
        "This page is made from the modules of `src/accelerated_smoothing/verbs/`. Every rule of the workflow runs one "
        "verb. Each can be run by hand, and `accelerated-smoothing VERB --help` prints the same. Paths are relative to "
        "the folder where the verb runs. A verb that writes a file leaves a [record](provenance.md) beside it.",
    ]
    for name in registry.names("verbs"):
        verb = command.verb(name)
        parts += [
            f"## `{name}`",
            sentence(verb.module.__doc__),
            f"```sh\naccelerated-smoothing {name} {verb.module.EXAMPLE}\n```",
        ]
        parts.append(flags(verb.module.Arguments.model_json_schema(), verb.module.Arguments.positional))
        if verb.variants is None:
            continue
        field, room = verb.variants
        parts.append(f"The first word after `{name}` is a module of `{room.replace('.', '/')}/`. It adds flags:")
        common = set(verb.module.Arguments.model_fields) | {field}
        for choice in registry.names(room):
            schema = command.variant(verb, choice).model_json_schema()
            schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in common}
            parts += [f"### `{name} {choice}` {{ #{name}-{choice} }}", flags(schema)]
    return "\n\n".join(parts) + "\n"


def table(schema: Mapping[str, Any], prefix: str = "") -> str:
    """Return the keys of a section as a table in Markdown."""
    rows = list(properties(schema))
    if not rows:
        return "It has no settings."
    lines = [f"| `{prefix}{name}` | {kind} | {default} | {words} |" for name, kind, default, words in rows]
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *lines])


def flags(schema: Mapping[str, Any], positional: tuple[str, ...] = ()) -> str:
    """Return the flags of a verb as a table in Markdown."""
    names = {"as_json": "json"}
    lines = []
    for name, kind, default, words in properties(schema):
        flag = name.upper() if name in positional else f"--{names.get(name, name).replace('_', '-')}"
        lines.append(f"| `{flag}` | {kind} | {default} | {words} |")
    return (
        "\n".join(["| flag | type | default | meaning |", "|---|---|---|---|", *lines]) if lines else "It has no flags."
    )


def properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and description of each property of a JSON schema."""
    required = schema.get("required", [])
    for name, value in schema.get("properties", {}).items():
        section = reference(value)
        if section:
            yield name, f"section [`{name}`](#{name})", "", schema["$defs"][section].get("description", "")
            continue
        default = "required" if name in required else shown(value.get("default"))
        yield name, escaped(kind_of(value)), escaped(default), escaped(value.get("description", ""))


def reference(value: Mapping[str, Any]) -> str:
    """Return the name of the definition that a property refers to; "" for none."""
    parts = [value, *value.get("allOf", [])]
    return next((part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part), "")


def kind_of(value: Mapping[str, Any]) -> str:
    """Return the type of a property in words, with its limits."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(kind_of(part) for part in value["anyOf"]))
    if "const" in value or "enum" in value:
        return " or ".join(f"`{choice}`" for choice in value.get("enum", [value.get("const")]))
    if value.get("type") == "array":
        items = value.get("items") or {}
        pair = f"{len(value['prefixItems'])} numbers" if "prefixItems" in value else ""
        return pair or f"list of {kind_of(items)}"
    if value.get("type") == "object":
        extra = value.get("additionalProperties")
        return f"mapping to {kind_of(extra)}" if isinstance(extra, dict) and extra else "mapping"
    if "$ref" in value:
        return "section"
    words = "path" if value.get("format") in ("path", "file-path") else str(value.get("type", "any"))
    limits = [
        f"{sign} {'2^63' if value[limit] == 2**63 else format(value[limit], 'g')}"
        for limit, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if limit in value
    ]
    return ", ".join([words, *limits])


def shown(default: Any) -> str:
    """Return a default as YAML has it."""
    if default is None:
        return "`null`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str):
        return f"`{default}`" if default else "empty"
    if isinstance(default, dict):
        return "see `config.yaml`" if default else "none"
    if isinstance(default, list | tuple):
        return f"`[{', '.join(map(str, default))}]`" if default else "none"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def escaped(text: str) -> str:
    """Return text that can stand in a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def sentence(doc: str | None) -> str:
    """Return the first paragraph of a docstring, as text for Markdown."""
    first = (doc or "").strip().partition("\n\n")[0]
    return escaped(first).replace("*", "\\*").replace("_", "\\_").replace("<", "&lt;")
