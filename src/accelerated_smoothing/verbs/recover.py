"""Show the jobs of this folder that SLURM still has, after the Snakemake that submitted them was killed."""

import platform
from pathlib import Path

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.errors import InputError

EXAMPLE = "--cancel"


class Arguments(command.Arguments):
    cancel: bool = Field(
        False,
        description="cancel the jobs, wait until they have saved their work, and unlock the folder. Refused while a "
        "Snakemake runs here; one on another machine cannot be seen",
    )


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.workflow import cluster

    folder = Path.cwd()
    if not (folder / ".snakemake").is_dir():
        raise InputError(f"recover must run in the folder where snakemake runs, got {folder}")
    jobs = cluster.jobs(folder)
    print(cluster.table(jobs) if jobs else f"no jobs of {folder} are queued or running")
    if arguments.cancel:
        cluster.cancel(folder)
        print(f"cancelled {len(jobs)} jobs and unlocked the folder; the same snakemake command continues")
    elif masters := cluster.masters(folder):
        print(f"a Snakemake is running here, process {masters[0]}")
    else:
        host = platform.node()
        print(f"no Snakemake is running here on {host}; if none runs on another machine, use --cancel")
