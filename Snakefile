# The front door: the config, the stages, and the targets by name.
import functools
import os
import sys
from pathlib import Path

from accelerated_smoothing import plan
from accelerated_smoothing.cli import flags
from accelerated_smoothing.config import certifier_module, load
from accelerated_smoothing.files import InputError, check_writable
from accelerated_smoothing.provenance.code import digest


configfile: "config.yaml"


report: "resources/captions/workflow.rst"


try:
    CONFIG = load(config)
    check_writable(Path(CONFIG.results))
    LIMITS = plan.limits(CONFIG)
except InputError as error:
    print(f"config: error: {error}", file=sys.stderr)
    sys.exit(2)

R = CONFIG.results
# Of a job that runs the base classifier, or trains.
GPU = int(CONFIG.compute.device != "cpu")
TABLES = [f"{R}/table{number}.csv" for number in range(1, 7)]
FIGURES = [f"{R}/figure{number}.svg" for number in range(1, 4)]
NOTEBOOKS = [f"{R}/notebooks/{name}.html" for name in ("table1", "image")]
PAGE = f"{R}/report.html"


wildcard_constraints:
    sigma="|".join(str(sigma).replace(".", r"\.") for sigma in CONFIG.sigmas),
    method="|".join(CONFIG.methods),
    depth="|".join(map(str, CONFIG.depths())) or "none",
    split="train|test",
    purpose="estimation|selection|variance",
    shard=r"\d+",
    table="[1-6]",
    figure="[1-3]",
    notebook="table1|image",


# Short, or in need of the network: on a cluster, too, these run where Snakemake does.
localrules:
    all,
    tables,
    figures,
    notebooks,
    data,
    counts,
    table,
    figure,
    notebook,
    crate,
    archive,
    report,


rule all:
    input:
        TABLES,
        FIGURES,
        NOTEBOOKS,
        PAGE,


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,


rule notebooks:
    input:
        NOTEBOOKS,


include: "rules/jobs.smk"
include: "rules/common.smk"
include: "rules/failures.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/sample.smk"
include: "rules/certify.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
