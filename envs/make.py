"""Make the lock file and the rules' conda files from pyproject.toml, the one source: `python envs/make.py`.

The lock pins everything with hashes and names no index; the conda files pin what the rules import, at the lock's
versions. `python envs/make.py --conda` rewrites the conda files alone.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
LOCK = HERE / "lock.txt"
PYTHON = "3.11"
# What a rule of each environment imports: `models` runs models, `analysis` makes tables, figures and notebooks.
# `report` audits what both made, so it has their packages, to compare versions with, and Snakemake, to ask.
CONDA = {
    "models": "adversarial-robustness-toolbox cyclopts numba numpy openvino pandas pillow pydantic pyyaml safetensors "
    "scikit-learn scipy torch torchvision tqdm",
    "analysis": "cyclopts ipykernel matplotlib nbconvert numpy pandas papermill pydantic pyyaml rocrate scipy "
    "statsmodels",
}
CONDA["report"] = " ".join(sorted({*" ".join(CONDA.values()).split(), "jinja2", "snakemake"}))


def lock() -> None:
    """Resolve pyproject.toml's dependencies, the developers' too, for every platform."""
    subprocess.run(
        ["uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON, "--generate-hashes",
         "--no-emit-index-url", "--no-annotate", "--no-header", "--extra", "dev", "-o", LOCK, ROOT / "pyproject.toml"],
        check=True,
    )  # fmt: skip


def pins() -> dict[str, str]:
    """Return the versions in the lock for `PYTHON`, by package."""
    versions = {}
    for name, version, marker in re.findall(r"^([\w.-]+)==([^\s;]+)(?: ; (.*?))? \\$", LOCK.read_text(), re.MULTILINE):
        if f"python_full_version >= '{PYTHON[0]}.{int(PYTHON[2:]) + 1}'" not in marker:
            versions[name] = version
    return versions


def conda(name: str) -> str:
    """Return the text of `envs/<name>.yaml`."""
    versions = pins()
    lines = [f"      - {package}=={versions[package]}" for package in CONDA[name].split()]
    head = [
        "# Made by envs/make.py from lock.txt.",
        "channels:",
        "  - conda-forge",
        "  - nodefaults",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
    ]
    return "\n".join([*head, *lines]) + "\n"


def dependencies() -> list[str]:
    """Return the names of the packages that pyproject.toml asks for at run time."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [re.split(r"[<>=!~\[ ]", line)[0] for line in project["dependencies"]]


if __name__ == "__main__":
    if sys.argv[1:] != ["--conda"]:
        lock()
    for name in CONDA:
        (HERE / f"{name}.yaml").write_text(conda(name))
