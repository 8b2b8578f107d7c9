# What every job is told by its environment: which Python, which code, and which config it runs under.
import json
import os
from importlib.metadata import version

from accelerated_smoothing.provenance.records import WORKFLOW

# A job runs `python -m accelerated_smoothing` with the Python of its own environment (--sdm conda), else with ours; by
# `exec`, since a shell between would die of a signal that the verb answers by saving its work.
os.environ.update(
    PATH=os.pathsep.join(
        [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    ),
    PYTHONPATH=str(Path(workflow.basedir) / "src"),
)
# For its records.
os.environ[WORKFLOW] = json.dumps(
    {
        "snakemake": version("snakemake"),
        "configfiles": [
            os.path.relpath(path) for path in workflow.overwrite_configfiles
        ],
        "config": list(workflow.config_settings.config_args or []),
    }
)


# Short, or in need of the network: on a cluster, too, these run where Snakemake does.
localrules:
    all,
    tables,
    figures,
    notebooks,
    data_dependent,
    fars,
    data,
    counts,
    table,
    figure,
    notebook,
    crate,
    archive,
    report,
