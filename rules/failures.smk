# What becomes of a job that fails or is stopped, where Snakemake alone would do something else.
import contextlib
import tempfile

import psutil
import snakemake.jobs
import snakemake.scheduling.job_scheduler

# By the clock of the file system, which on a cluster is that of no machine that we run on.
with tempfile.TemporaryFile(dir=".") as fresh:
    STARTED = os.fstat(fresh.fileno()).st_mtime


def fault(log):
    """What a verb has said in this run is wrong, in its log, or nothing."""
    try:
        with open(log, errors="replace") as stream:
            if os.fstat(stream.fileno()).st_mtime < STARTED:
                return ""
            lines = stream.read().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if "accelerated-smoothing: error:" in line), "")


# Snakemake's retries do not ask why a job failed; one that has told a fault would end in the same way again.
snakemake.jobs.Job.restart_times = property(
    lambda job: 0 if any(map(fault, job.log)) else job.rule.restart_times
)


def passing_on(graceful):
    """A handler of SIGTERM that lets the verb know, too: SLURM may tell a job's first process alone."""

    def handler(scheduler, *signal):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):  # it may end by itself
                if child.cmdline()[1:3] == ["-m", "accelerated_smoothing"]:
                    child.terminate()
        graceful(scheduler, *signal)

    return handler


if workflow.remote_exec:
    scheduler = snakemake.scheduling.job_scheduler.JobScheduler
    scheduler.exit_gracefully = passing_on(scheduler.exit_gracefully)


onerror:
    for log in sorted(Path(R, "logs").rglob("*.log")):
        if told := fault(log):
            print(f"{log}: {told}", file=sys.stderr)
