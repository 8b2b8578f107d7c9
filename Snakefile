# The front door: the config, the stages, and the targets by name.
import os
import sys
from pathlib import Path

from accelerated_smoothing.cli import flags
from accelerated_smoothing.config import certifier_module, load
from accelerated_smoothing.files import InputError


configfile: "config.yaml"


try:
    CONFIG = load(config)
except InputError as error:
    print(f"config: error: {error}", file=sys.stderr)
    sys.exit(2)

R = CONFIG.results
TABLES = [f"{R}/table{number}.csv" for number in range(1, 7)]
FIGURES = [f"{R}/figure{number}.svg" for number in range(1, 4)]
NOTEBOOKS = [f"{R}/notebooks/{name}.html" for name in ("table1", "image")]

# A job runs `python -m accelerated_smoothing` with the Python of its own environment (--sdm conda), else with ours.
os.environ.update(
    PATH=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    ),
    PYTHONPATH=str(Path(workflow.basedir) / "src"),
)


wildcard_constraints:
    sigma=r"\d+\.\d+",
    split="train|test",
    purpose="estimation|selection|variance",
    number=r"\d",
    notebook="table1|image",
    depth=r"\d+",


localrules:
    all,
    tables,
    figures,
    notebooks,


rule all:
    input:
        TABLES,
        FIGURES,
        NOTEBOOKS,


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,


rule notebooks:
    input:
        NOTEBOOKS,


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/sample.smk"
include: "rules/certify.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
