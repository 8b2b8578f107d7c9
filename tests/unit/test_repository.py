"""Files that are made from one another have not drifted, and what the README says can be typed."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from accelerated_smoothing import config

ROOT = Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("make", ROOT / "envs/make.py")
assert spec is not None
assert spec.loader is not None
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


def test_the_schema_is_that_of_the_models() -> None:
    # accelerated-smoothing schema > resources/config.schema.json
    assert (ROOT / "resources/config.schema.json").read_text() == config.schema()


def test_config_yaml_is_complete_and_the_default() -> None:
    written = yaml.safe_load((ROOT / "config.yaml").read_text())
    default = config.Config()
    assert config.load({key: value for key, value in written.items() if key != "papers"}) == default
    for key, value in default.model_dump(mode="json").items():
        assert key in written
        if isinstance(value, dict) and key not in ("methods", "papers"):
            assert written[key].keys() == value.keys()


@pytest.mark.parametrize("name", make.CONDA)
def test_conda_files_are_those_of_the_lock(name: str) -> None:
    assert (ROOT / f"envs/{name}.yaml").read_text() == make.conda(name)


def test_the_lock_fits_the_project_and_names_no_index() -> None:
    pins = make.pins()
    project = make.tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for line in project["dependencies"] + project["optional-dependencies"]["dev"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pins[wanted.name]), line
    lock = make.LOCK.read_text()
    assert "://" not in lock
    pinned = re.findall(r"^[\w.-]+==[^\n]*\n(    [^\n]+\n?)", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^\S+==", lock, re.MULTILINE))
    assert all("--hash=sha256:" in line for line in pinned)


def test_every_rule_has_the_environment_of_what_it_imports() -> None:
    rules = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    assert set(re.findall(r'"\.\./envs/(\w+)\.yaml"', rules)) == set(make.CONDA)


def readme_commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]


def test_the_readme_names_make_targets_that_there_are() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = re.findall(r"\bmake ([\w-]+)", " ".join(readme_commands()))
    assert {"demo", "test"} <= set(named)
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
