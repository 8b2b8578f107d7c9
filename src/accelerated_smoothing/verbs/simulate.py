"""Simulate the counts and the surrogate that a published certification log implies."""

from pathlib import Path

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Output, Source
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.verbs._flags import Seeded

EXAMPLE = (
    "sigma_0.25.tsv --sigma 0.25 --spread 0.5 --sizes 100 1000 --pilots 50 --selection selection.npz "
    "--estimation estimation.npz --pilot pilot.npz --predictions predictions.npz --belief belief.npz"
)
MAKES = "Simulated evidence"
QUICK = True


class Arguments(Seeded):
    positional = ("log",)

    log: Source = Field(description="the published log of this noise level")
    sigma: config.Sampled = Field(description="scale of the noise, [0,1] pixels")
    spread: float | None = Field(None, gt=0, description="standard deviation of the surrogate's error in the logit")
    like: Input | None = Field(None, description="belief whose typical spread is taken if there is no --spread")
    n0: int = Field(100, ge=1, description="selection draws")
    sizes: list[int] = Field(min_length=1, description="nested numbers of estimation draws")
    pilots: list[int] = Field(min_length=1, description="numbers of pilot draws")
    selection: Output = Field(description="counts that select the top class")
    estimation: Output = Field(description="counts that bounds come from")
    pilot: Output = Field(description="counts that plan")
    predictions: Output = Field(description="predictions of the surrogate")
    belief: Output = Field(description="belief about the probability of the top class")

    def facts(self) -> dict[str, list[str]]:
        return {"noise": ["gaussian"]}


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.certify import beliefs, log, simulation
    from accelerated_smoothing.data import published

    if (arguments.spread is None) == (arguments.like is None):
        got = "neither" if arguments.like is None else "both"
        raise InputError(f"--spread or --like must be set, but not both, got {got}")
    published.check(Path(arguments.log), arguments.sigma)
    spread = arguments.spread or beliefs.read(arguments.like).typical_spread()  # type: ignore[arg-type]
    evidence = simulation.simulate(
        log.read(arguments.log),
        sigma=arguments.sigma,
        spread=spread,
        published=(published.N, published.ALPHA),
        sizes=arguments.sizes,
        n0=arguments.n0,
        pilots=arguments.pilots,
        seed=arguments.seed,
    )
    for name in ("selection", "estimation", "pilot", "predictions", "belief"):
        getattr(evidence, name).write(getattr(arguments, name))
