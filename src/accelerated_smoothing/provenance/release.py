"""Share a results folder: put a copy of the workflow into it, and pack everything that its metadata lists."""

import hashlib
import json
import shutil
import stat
import struct
import tempfile
import time
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import atomic, sha256
from accelerated_smoothing.provenance import code, records
from accelerated_smoothing.provenance.records import record_of

WORKFLOW = "workflow"  # the folder of the copy
# Files and folders that the workflow needs to run; folders whole, without what starts with a dot or was compiled.
PARTS = [
    *("Snakefile", "rules", "config.yaml", "presets", "profiles", "slurm", "src", "envs", "resources", "notebooks"),
    *("papers", "pyproject.toml", "Makefile", "README.md", "LICENSE", "CITATION.cff"),
]


WELCOME = """# Results of Accelerated Smoothing

Begin with `report.html`: every table and figure, beside the paper's numbers, and where each came from.

Beside every file lies its record, `<file>.record.json`; `ro-crate-metadata.json` tells all of it as an RO-Crate.
`workflow/` is a copy of what made it: its `README.md` says how to set it up and how to cite it. Set up, from there:

    accelerated-smoothing audit ../table1.csv
    snakemake tables figures --configfile presets/demo.yaml --config results=.. --forcerun table figure --cores 2

The first walks from a table back to the images; the second makes tables and figures again from the certificates, and
runs no model. Instead of `presets/demo.yaml`, name the preset that the records name under `workflow`.
"""


def parts() -> list[Path]:
    """Return the files of this workflow that a copy of it needs."""
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
    """Put a copy of this workflow, with these config files of it, into a results folder in place of another."""
    own = code.ROOT.resolve()
    if (root / WORKFLOW).resolve() == own:  # these results are at home in an unpacked crate
        return
    named = [Path(file).resolve() for file in configs]
    with tempfile.TemporaryDirectory(prefix=f".{WORKFLOW}.", dir=root) as draft:
        for file in [*parts(), *(file for file in named if file.is_file() and file.is_relative_to(own))]:
            copy = Path(draft, "new", file.relative_to(code.ROOT if file.is_relative_to(code.ROOT) else own))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)
        with suppress(FileNotFoundError):
            (root / WORKFLOW).rename(Path(draft, "old"))
        Path(draft, "new").rename(root / WORKFLOW)


def archive(metadata: Path, output: Path) -> None:
    """Pack a crate, to be unpacked as the results folder.

    The workflow comes first and then all else in the order in which it was made, so that Snakemake builds nothing anew
    even where unpacking restores no times.

    Raises:
        InputError: a file is not as the metadata says.
    """
    root = metadata.parent
    if sha256(metadata) != records.read(metadata).sha256:
        raise InputError(f"{metadata}: changed since it was made; build it again")
    try:
        graph = json.loads(metadata.read_text(encoding="utf-8"))["@graph"]
        hashes = {unquote(entity["@id"]): entity["sha256"] for entity in graph if "File" in entity["@type"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{metadata}: cannot be read as a crate ({error}); build it again") from error
    for name, known in hashes.items():
        if ".." in Path(name).parts or not (root / name).is_file() or sha256(root / name) != known:
            raise InputError(f"{root / name}: is not as {metadata} says; build that again")
    built = [name for name in hashes if not name.startswith(f"{WORKFLOW}/")]
    built += [path.name for path in (metadata, record_of(metadata)) if path.is_file()]
    times = {name: (root / name).stat().st_mtime for name in built}
    first = min(times.values())
    times |= {name: first for name in hashes if name not in times}  # that of a file of the workflow is of a checkout
    with atomic(output) as draft, zipfile.ZipFile(draft, "w") as packed:
        packed.writestr(zipfile.ZipInfo("README.md", time.gmtime(first)[:6]), WELCOME)
        for name in sorted(times, key=lambda name: (name in built, times[name], name)):
            entry = zipfile.ZipInfo(name, time.gmtime(times[name])[:6])
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            entry.extra = struct.pack("<HHBl", 0x5455, 5, 1, int(times[name]))  # seconds since 1970, whatever the zone
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            entry.file_size = (root / name).stat().st_size
            with packed.open(entry, "w") as stream, (root / name).open("rb") as source:
                shutil.copyfileobj(source, stream)
