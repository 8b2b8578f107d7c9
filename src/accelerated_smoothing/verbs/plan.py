"""Print what a config will cost: jobs, images, disk, hours and time limits."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from accelerated_smoothing import command, config
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.verbs import _flags

EXAMPLE = "--configfile presets/demo.yaml --measure"
CONFIG = Path("config.yaml")  # that every run of the workflow reads first


class Arguments(command.Arguments):
    configfile: list[Path] = Field([CONFIG], description="config files that override config.yaml; later ones win")
    experiment: str = Field("", description="an experiment of a sister paper, such as data-dependent/cohen")
    measure: bool = Field(False, description="measure the rates that this machine reaches now")
    rate: float | None = Field(None, gt=0, allow_inf_nan=False, description="images/s, instead of shards.rate")
    device: Literal["auto", "cpu", "cuda"] | None = Field(None, description="instead of compute.device")
    threads: int | None = Field(None, ge=1, description="instead of compute.threads")

    @model_validator(mode="after")
    def _one_rate(self) -> Self:
        if self.measure and self.rate:
            raise ValueError(f"rate must be unset with --measure, got {self.rate:g}")
        return self


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.workflow import plan

    files = arguments.configfile
    if CONFIG.is_file() and CONFIG not in files:  # as Snakemake does
        files = [CONFIG, *files]
    main = config.read(files)
    experiments = main.experiments()
    home = f"{arguments.experiment}/" if arguments.experiment else ""
    if home not in experiments:
        names = ", ".join(name.rstrip("/") for name in experiments if name) or "none: this config has none"
        raise InputError(f"--experiment must be one of {names}, got {arguments.experiment!r}")
    experiment = experiments[home]
    overrides = {name: value for name in ("device", "threads") if (value := getattr(arguments, name))}
    compute = config.check(_flags.Computing, {**experiment.compute.model_dump(), **overrides})
    shards = experiment.shards.model_copy(update={"rate": arguments.rate or experiment.shards.rate})
    experiments[home] = experiment.model_copy(update={"shards": shards, "compute": compute})
    device = _flags.device(compute) if arguments.measure else None
    print(plan.report(experiments, device, home))
