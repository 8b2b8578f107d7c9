# The front door: the config, the targets by name, and the rules of each stage.
import sys
from pathlib import Path

from snakemake.utils import min_version

# The code beside this file, which its jobs run, too.
sys.path.insert(0, str(Path(workflow.basedir, "src")))
from accelerated_smoothing import papers
from accelerated_smoothing.workflow import retries
from accelerated_smoothing.workflow.items import Items
from accelerated_smoothing.workflow.jobs import anyof
from accelerated_smoothing.workflow.simulations import Simulations
from accelerated_smoothing.workflow.start import start

min_version("9.27")  # `retries` changes parts of Snakemake


configfile: "config.yaml"


jobs = start(config, workflow)
items, simulations = Items(jobs.run), Simulations(jobs.run)
R = jobs.run.results
reported_error = retries.patch(workflow.remote_exec)

TABLES, FIGURES = items.targets("", ("table",)), items.targets("", ("figure",))


wildcard_constraints:
    **jobs.constraints(),
    **items.constraints(),


rule all:
    input:
        TABLES,
        FIGURES,
        items.notebooks(),
        f"{R}/report.html",
    localrule: True


rule tables:
    input:
        TABLES,
    localrule: True


rule figures:
    input:
        FIGURES,
    localrule: True


rule notebooks:
    input:
        items.notebooks(),
    localrule: True


# Each sister paper by its name: `snakemake data_dependent`, `snakemake fars`, ...
for paper in filter(None, papers.papers()):

    rule:
        name:
            paper.replace("-", "_")
        input:
            items.targets(paper),
            f"{R}/{paper}/report.html",
        localrule: True


include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/sample.smk"
include: "rules/certify.smk"
include: "rules/items.smk"
include: "rules/report.smk"


onerror:
    for log in sorted(Path(R, "logs").rglob("*.log")):
        if error := reported_error(str(log)):
            print(f"{log}: {error}", file=sys.stderr)
