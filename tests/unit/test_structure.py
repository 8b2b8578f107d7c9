"""The house rules: rooms use the rooms below them, nothing imports in a circle, and files stay short."""

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from accelerated_smoothing import registry
from accelerated_smoothing.provenance import code

ROOT = code.ROOT
# From top to bottom; a room imports only rooms below it. Rooms of one line stand beside each other.
ROOMS = [
    *(
        "__main__",
        "cli",
        "verbs",
        "smoothed",
        "workflow",
        "report",
        "provenance",
        "papers",
        "analysis",
        "attack",
        "certify",
    ),
    *("training", "sigmas", "counting", "models", "noise", "data", "command", "config", "architectures", "progress"),
    *("files", "registry", "devices", "errors"),
]
# Plug-ins of each room, and the Protocol that they follow.
PROTOCOLS = {
    "certify.methods": ("accelerated_smoothing.certify", "Method"),
    "training.ways": ("accelerated_smoothing.training", "Way"),
    "sigmas.ways": ("accelerated_smoothing.sigmas", "Way"),
    "noise.distributions": ("accelerated_smoothing.noise", "Distribution"),
    "counting.kernels": ("accelerated_smoothing.counting.fusing", "Kernels"),
    "data.sets": ("accelerated_smoothing.data", "DataSet"),
    "architectures": ("accelerated_smoothing.architectures", "Family"),
    "models.families": ("accelerated_smoothing.models", "Family"),
    "verbs": ("accelerated_smoothing.command", "Module"),
}


def modules() -> dict[str, ast.Module]:
    """Every module of the package, by its dotted path within it."""
    trees = {}
    for path in sorted(registry.PACKAGE.rglob("*.py")):
        parts = path.relative_to(registry.PACKAGE).with_suffix("").parts
        trees[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_bytes())
    trees.pop("", None)
    return trees


MODULES = modules()


def imports(tree: ast.Module) -> set[str]:
    return {name for name in code._imports(tree) if name in MODULES}


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: imports(tree) - {name} for name, tree in MODULES.items()}
    for name in graph:  # a package is loaded before its modules, and may not import them back
        graph[name] -= {name.rpartition(".")[0]}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_rooms_use_the_rooms_below_them() -> None:
    place = {room: number for number, room in enumerate(ROOMS)}
    assert {name.partition(".")[0] for name in MODULES} <= place.keys()
    for name, tree in MODULES.items():
        own = name.partition(".")[0]
        for other in {used.partition(".")[0] for used in imports(tree)} - {own}:
            assert place[own] < place[other], f"{name} imports {other}, which is a room above it"


@pytest.mark.parametrize("room", ["attack", "certify", "training", "sigmas", "counting", "models", "noise", "data"])
def test_domain_rooms_know_nothing_of_provenance(room: str) -> None:
    for name, tree in MODULES.items():
        if name.partition(".")[0] == room:
            assert not {used for used in imports(tree) if used.startswith(("provenance", "verbs", "workflow"))}, name


def test_provenance_imports_no_verb() -> None:
    for name, tree in MODULES.items():
        if name.startswith("provenance"):
            assert not {used for used in imports(tree) if used.startswith("verbs")}, name


def test_files_are_short() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in registry.PACKAGE.rglob("*.py")}
    assert {path.name: count for path, count in lines.items() if count > 355} == {}
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 100
    assert len((ROOT / "config.yaml").read_text().splitlines()) < 100
    assert len((registry.PACKAGE / "cli.py").read_text().splitlines()) < 100


def test_rules_hold_no_functions() -> None:
    for path in (ROOT / "rules").glob("*.smk"):
        assert not [line for line in path.read_text().splitlines() if line.startswith(("def ", "class "))], path


def test_presets_drop_nothing() -> None:
    for path in [*(ROOT / "presets").glob("*.yaml"), *(ROOT / "papers").glob("*.yaml")]:
        assert "null" not in path.read_text(), path


def test_plugins_follow_their_protocols(tmp_path: Path) -> None:
    """mypy takes a module for a value of a Protocol."""
    lines = []
    for number, (room, (home, protocol)) in enumerate(PROTOCOLS.items()):
        lines.append(f"from {home} import {protocol} as Protocol{number}")
        for name in registry.names(room):
            module = registry.module(room, name)
            package, _, own = module.rpartition(".")
            plugin = f"plugin_{len(lines)}"
            lines.append(f"from accelerated_smoothing.{package} import {own} as {plugin}")
            lines.append(f"checked_{plugin}: Protocol{number} = {plugin}")
    script = tmp_path / "check.py"
    script.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", str(script)],
        cwd=ROOT, env={**os.environ, "MYPYPATH": str(ROOT / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
