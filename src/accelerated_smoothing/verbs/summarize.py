"""Print certified accuracy and ACR of any log in Cohen et al.'s format, as CSV."""

from pydantic import Field

from accelerated_smoothing import command, config
from accelerated_smoothing.command import Input
from accelerated_smoothing.errors import InputError

EXAMPLE = "results/certificates/sigma0.25/cohen.tsv --radii 0.25,0.5"


class Arguments(command.Arguments):
    positional = ("log",)

    log: Input = Field(description="the log, .tsv")
    radii: str = Field(",".join(f"{r:g}" for r in config.Config().radii), description="radii with commas, [0,1] pixels")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import analysis
    from accelerated_smoothing.certify import log as logs

    try:
        radii = [float(r) for r in arguments.radii.split(",")]
    except ValueError:
        raise InputError(f"--radii must be numbers with commas, such as 0.25,0.5, got {arguments.radii!r}") from None
    log = logs.read(arguments.log)
    accuracy = analysis.certified_accuracy(log, radii)
    print(",".join(["images", *(f"r={r:g}" for r in radii), "ACR"]))
    print(",".join([str(len(log)), *map(str, accuracy), str(analysis.average_certified_radius(log))]))
