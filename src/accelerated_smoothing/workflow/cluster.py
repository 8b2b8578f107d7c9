"""The jobs of this folder that SLURM still has, after the Snakemake that submitted them is gone."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from accelerated_smoothing.errors import InputError

PREFIX = "accelerated-smoothing_"  # of our jobs' names: slurm-jobname-prefix in slurm/config.yaml
PATIENCE = 180.0  # seconds for cancelled jobs to save their work and go; SLURM's KillWait is 30 unless a site says more


@dataclass(frozen=True)
class Job:
    """A job as `squeue` shows it; `reason` is why it waits, `what` are its rule and wildcards."""

    id: str
    state: str
    reason: str
    partition: str
    elapsed: str
    limit: str
    what: str


def jobs(folder: Path) -> list[Job]:
    """Return this user's queued and running jobs that were submitted from a folder.

    Raises:
        InputError: SLURM is not installed, or it does not answer.
    """
    form = "%j|%Z|%i|%T|%r|%P|%M|%l|%k"  # the last is free text of anyone's jobs
    try:
        listed = subprocess.run(
            ["squeue", "--me", "--noheader", f"--format={form}"], capture_output=True, text=True, check=True
        ).stdout
    except FileNotFoundError:
        raise InputError("squeue: not found; run this on the machine that you submit from") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise InputError(
            f"squeue: {lines[0]}; try again when SLURM answers, on a machine that you submit from"
        ) from None
    rows = [line.split("|", 8) for line in listed.splitlines() if line.startswith(PREFIX)]
    for row in rows:  # an empty wildcard, such as the main experiment's home, leaves two separators
        row[8] = re.sub("_+", "_", row[8])
    return [Job(*row[2:]) for row in rows if Path(row[1]) == folder]


def masters(folder: Path) -> list[int]:
    """Return the process ids of the Snakemakes of this machine that were started in a folder, but for those in jobs."""
    processes = []
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        words = process.info["cmdline"] or [""]
        is_snakemake = "python" in Path(words[0]).name and any(Path(word).name == "snakemake" for word in words[:3])
        started = process.info["cwd"] == str(folder) and is_snakemake
        if started and "--target-jobs" not in words:
            processes.append(process.info["pid"])
    return processes


def table(listed: list[Job]) -> str:
    """Return jobs as text in columns."""
    names = [field.name for field in fields(Job)]
    rows = [names, *([getattr(job, name) for name in names] for job in listed)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def cancel(folder: Path) -> None:
    """Cancel a folder's jobs, wait until they have saved their work and gone, and take away Snakemake's lock.

    Raises:
        InputError: a Snakemake is at work there, or a job does not end.
    """
    if running := masters(folder):
        raise InputError(f"{folder}: Snakemake is still running (process {running[0]}); stop it with Ctrl-C first")
    if left := jobs(folder):
        subprocess.run(["scancel", *(job.id for job in left)], check=False)  # one may have ended by itself
    deadline = time.monotonic() + PATIENCE
    while left := jobs(folder):
        if time.monotonic() > deadline:
            raise InputError(
                f"job {left[0].id} is still {left[0].state.lower()} {PATIENCE:.0f} s after scancel; try again later"
            )
        time.sleep(1)
    unlocked = subprocess.run(
        [sys.executable, "-m", "snakemake", "--unlock", "--quiet"], cwd=folder, capture_output=True, text=True
    )
    if unlocked.returncode:
        raise InputError(f"{folder}: could not be unlocked; run 'snakemake --unlock' to see why")
