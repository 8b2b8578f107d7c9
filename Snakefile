# The front door: the config, the stages, and the targets by name.
import sys
from pathlib import Path

from accelerated_smoothing.workflow import plan
from accelerated_smoothing.cli import flags
from accelerated_smoothing.config import load, modules
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import check_writable
from accelerated_smoothing.provenance.code import digest


configfile: "config.yaml"


try:
    CONFIG = load(config)
    check_writable(Path(CONFIG.results))
    EXPERIMENTS = CONFIG.experiments()
    LIMITS = {home: plan.limits(EXPERIMENTS, home) for home in EXPERIMENTS}
except InputError as error:
    print(f"config: error: {error}", file=sys.stderr)
    sys.exit(2)


R = CONFIG.results


include: "rules/jobs.smk"
include: "rules/common.smk"
include: "rules/data_dependent.smk"
include: "rules/fars.smk"


# `home` is where an experiment of a sister paper lies, data-dependent/cohen/ for instance, and nothing for the main one;
# `choice` is what chose the sigmas of inputs from the one that is named, if something did: -ascent100.
wildcard_constraints:
    home=anyof(EXPERIMENTS),
    paper=anyof(["", *(f"{paper}/" for paper in PAPERS)]),
    sigma=anyof(sigma for made in EXPERIMENTS.values() for sigma in made.sigmas),
    method=anyof(method for made in EXPERIMENTS.values() for method in made.methods),
    depth=anyof(depth for made in EXPERIMENTS.values() for depth in made.depths()),
    way=anyof(modules("sigmas.ways")),
    choice=rf"(-({anyof(modules('sigmas.ways'))})\d+)?",
    split="train|test",
    purpose="estimation|selection|variance",
    shard=r"\d+",
    table=r"\d+",
    figure=r"\d+",
    notebook="table1|image",


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


rule data_dependent:
    input:
        targets(DATA_DEPENDENT),


rule fars:
    input:
        targets(FARS),


include: "rules/failures.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/sample.smk"
include: "rules/certify.smk"
include: "rules/attack.smk"
include: "rules/tables.smk"
include: "rules/figures.smk"
include: "rules/report.smk"
