"""Share a results folder: copy the workflow into it, and pack everything that its metadata lists."""

import hashlib
import json
import shutil
import stat
import struct
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic, sha256
from accelerated_smoothing.provenance import code, records
from accelerated_smoothing.provenance.records import record_of

WORKFLOW = "workflow"  # the folder of the copy
# The files and folders that the workflow needs to run. Of folders all files count, except hidden and compiled ones.
PARTS = [
    *("Snakefile", "rules", "config.yaml", "presets", "profiles", "slurm", "src", "envs", "resources", "notebooks"),
    *("papers", "pyproject.toml", "Makefile", "README.md", "LICENSE", "CITATION.cff"),
]
WELCOME = """# Results of Accelerated Smoothing

{start}These files are the results. Everything that they were made from lies beside them:

{targets}

Beside every file lies its record, `<file>.record.json`. `ro-crate-metadata.json` describes all files as an RO-Crate.
`workflow/` is a copy of the workflow that made them. Its `README.md` says how to install it and how to cite it. Then,
in `workflow/`:

    accelerated-smoothing audit ../{target}
    snakemake ../{target} {configs}--config results=.. --forcerun table figure --cores 2

The first command checks a result and all files behind it, back to the images. The second makes it again from the
certificates, and runs no model.
"""


def parts() -> list[Path]:
    """Return the files that a copy of this workflow needs."""
    files = [code.ROOT / part for part in PARTS]
    files += [file for folder in files if folder.is_dir() for file in folder.rglob("*")]

    def wanted(file: Path) -> bool:
        names = file.relative_to(code.ROOT).parts
        return file.is_file() and not any(name.startswith((".", "__pycache__")) for name in names)

    return sorted(filter(wanted, files))


def fingerprint() -> str:
    """Return a hash that changes with any file of the workflow."""
    hashes = [(file.relative_to(code.ROOT).as_posix(), sha256(file)) for file in parts()]
    return hashlib.sha256(json.dumps(hashes).encode()).hexdigest()[:16]


def copy_workflow(root: Path, configs: Iterable[str]) -> None:
    """Copy this workflow into a results folder, in place of an earlier copy.

    Args:
        root: the results folder.
        configs: config files that the copy needs, too, where they lie in the folder of the workflow.
    """
    home = code.ROOT.resolve()
    if (root / WORKFLOW).resolve() == home:  # this workflow is such a copy itself
        return
    named = [Path(file).resolve() for file in configs]
    with tempfile.TemporaryDirectory(prefix=f".{WORKFLOW}.", dir=root) as draft:
        for file in [*parts(), *(file for file in named if file.is_file() and file.is_relative_to(home))]:
            copy = Path(draft, "new", file.relative_to(code.ROOT if file.is_relative_to(code.ROOT) else home))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
        with suppress(FileNotFoundError):
            (root / WORKFLOW).rename(Path(draft, "old"))
        Path(draft, "new").rename(root / WORKFLOW)


def archive(metadata: Path, output: Path) -> None:
    """Pack a crate, to be unpacked as the results folder.

    The workflow comes first, then all else in the order in which it was made. So Snakemake builds nothing again, even
    where unpacking does not restore times.

    Raises:
        InputError: a file differs from what the metadata says.
    """
    root = metadata.parent
    if sha256(metadata) != records.read(metadata).sha256:
        raise InputError(f"{metadata}: changed since it was made; build it again")
    try:
        graph = {entity["@id"]: entity for entity in json.loads(metadata.read_text(encoding="utf-8"))["@graph"]}
        hashes = {unquote(name): entity["sha256"] for name, entity in graph.items() if "File" in entity["@type"]}
        text = welcome(graph)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"{metadata}: cannot be read as a crate ({error}); build it again") from error
    for name, recorded in hashes.items():
        if ".." in Path(name).parts or not (root / name).is_file() or sha256(root / name) != recorded:
            raise InputError(f"{root / name} must have the hash in {metadata}, got another; build {metadata} again")
    built = [name for name in hashes if not name.startswith(f"{WORKFLOW}/")]
    built += [path.name for path in (metadata, record_of(metadata)) if path.is_file()]
    times = {name: (root / name).stat().st_mtime for name in built}
    first = min(times.values())
    times |= {name: first for name in hashes if name not in times}  # the workflow's own times are those of a checkout
    with atomic(output) as draft, zipfile.ZipFile(draft, "w") as packed:
        packed.writestr(zipfile.ZipInfo("README.md", time.gmtime(first)[:6]), text)
        for name in sorted(times, key=lambda name: (name in built, times[name], name)):
            entry = zipfile.ZipInfo(name, time.gmtime(times[name])[:6])
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            entry.extra = struct.pack("<HHBl", 0x5455, 5, 1, int(times[name]))  # seconds since 1970, whatever the zone
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.file_size = (root / name).stat().st_size
            with packed.open(entry, "w") as stream, (root / name).open("rb") as source:
                shutil.copyfileobj(source, stream)


def welcome(graph: Mapping[str, dict[str, Any]]) -> str:
    """Return what a reader of a crate should know first.

    Args:
        graph: the crate's entities by their `@id`.
    """

    def links(name: str, term: str) -> list[str]:
        """Return the files that a property of an entity refers to."""
        value = graph.get(name, {}).get(term, [])
        return [unquote(entry["@id"]) for entry in (value if isinstance(value, list) else [value])]

    targets = links("#run", "result")
    tables = [name for name in targets if name.endswith(".csv")]
    configs = [name.removeprefix(f"{WORKFLOW}/") for name in links("#workflow/config", "workExample")]
    presets = " ".join(sorted(name for name in configs if name != "config.yaml"))
    pages = [name for name in targets if Path(name).name == "report.html"]
    return WELCOME.format(
        start="".join(f"Begin with the page `{name}`: all tables and figures of a paper.\n\n" for name in pages),
        targets="\n".join(f"- `{name}`" for name in targets),
        target=(tables or targets)[0],
        configs=f"--configfile {presets} " if presets else "",
    )
