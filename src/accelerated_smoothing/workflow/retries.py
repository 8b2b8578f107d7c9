"""What happens after a job fails or is stopped, where Snakemake alone would do something else."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import snakemake.jobs
import snakemake.scheduling.job_scheduler

MARK = "accelerated-smoothing: error:"


def patch(on_cluster: bool) -> Callable[[str], str]:
    """Change Snakemake's retries, and how a job on a cluster ends.

    - A job whose verb has reported an error of the user is not retried: it would end in the same way again.
    - On a cluster, SIGTERM is passed on to the verb, since SLURM may signal a job's first process alone.

    Args:
        on_cluster: whether this Snakemake runs inside a job.

    Returns:
        A function from a log file to the error that a verb has written there in this run, or "".
    """
    # The file system's clock: on a cluster, it can differ from the clocks of the machines.
    with tempfile.TemporaryFile(dir=".") as fresh:
        started = os.fstat(fresh.fileno()).st_mtime

    def reported(log: str) -> str:
        try:
            with Path(log).open(errors="replace") as stream:
                if os.fstat(stream.fileno()).st_mtime < started:
                    return ""
                return next((line.rstrip("\n") for line in stream if MARK in line), "")
        except OSError:
            return ""

    retries = property(lambda job: 0 if any(map(reported, job.log)) else job.rule.restart_times)
    snakemake.jobs.Job.restart_times = retries
    if on_cluster:
        scheduler = snakemake.scheduling.job_scheduler.JobScheduler
        scheduler.exit_gracefully = _passing_on(scheduler.exit_gracefully)
    return reported


def _passing_on(graceful: Callable[..., None]) -> Callable[..., None]:
    """Return a handler of SIGTERM that also terminates the verb."""

    def handler(scheduler: Any, *signal: Any) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):  # it may end by itself
                if child.cmdline()[1:3] == ["-m", "accelerated_smoothing"]:
                    child.terminate()
        graceful(scheduler, *signal)

    return handler
