"""What the workflow in this folder would run now, from a dry run of Snakemake."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

from accelerated_smoothing import command
from accelerated_smoothing.command import Call
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance.records import Workflow, plain, relative


def calls(workflow: Workflow, targets: list[Path]) -> dict[str, Call]:
    """Return the calls of all verbs that targets need, with the config as it is now.

    Args:
        workflow: the config files and overrides.
        targets: files of the workflow in this folder.

    Returns:
        Calls by the file, or the folder, that each writes.

    Raises:
        InputError: the config is wrong, or the workflow does not have the target.
    """
    words = [sys.executable, "-m", "snakemake", *map(relative, targets), "--dry-run", "--forceall", "--printshellcmds"]
    if workflow.configfiles:
        words += ["--configfile", *workflow.configfiles]
    if workflow.config:
        words += ["--config", *workflow.config]
    run = subprocess.run([*words, "--nolock"], capture_output=True, text=True, check=False)
    if run.returncode:
        errors = [line for line in run.stderr.splitlines() if line.strip() and not line.startswith("Using workflow")]
        raise InputError(f"the workflow cannot make the targets now: {errors[0] if errors else run.stdout.strip()}")
    planned = {}
    for line in re.findall(r"python -m accelerated_smoothing (.*) 2> \S+$", run.stdout, re.MULTILINE):
        call = command.parse(shlex.split(line))
        if call:
            planned[output(plain(call.arguments))] = call
    return planned


def output(arguments: dict[str, object]) -> str:
    """Return the file, or the folder, that identifies a command."""
    return str(arguments.get("output", arguments.get("train")))
