"""Attack a classifier by l2-PGD, to check its certificates."""

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Output
from accelerated_smoothing.provenance import code
from accelerated_smoothing.verbs._flags import Computing, Distributed, Seeded, Sliced, device

EXAMPLE = "--base head.safetensors --backbone base.safetensors --images test.npz --sigma 0 --output attacks.tsv"
MAKES = "Attacks on a classifier"
ARITHMETIC = True


class Arguments(Seeded, Distributed, Sliced, Computing, config.Attack, config.Passes):
    experiment: str = Field("main", description="name of the experiment, for the log")
    base: Input = Field(description="weights of a head, or of f")
    backbone: Input | None = Field(None, description="weights of the SLL network in front of a head")
    images: Input = Field(description="images, not embedded")
    certificates: Input | None = Field(
        None, description="certificates of the same images; each is attacked at 0.999 of its radius, too"
    )
    epsilons: list[config.Radius] = Field(config.Config().radii, description="l2 sizes of attacks, [0,1] pixels")
    sigma: config.Sigma = Field(description="scale of the noise, [0,1] pixels; 0 is none")
    alpha: config.Alpha = Field(0.001, description="probability that a prediction marked sure is wrong")
    output: Output = Field(description="attacks, .tsv")

    def facts(self) -> dict[str, list[str]]:
        return {**super().facts(), "noise": self.noises(self.noise, self.sigma)}


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import attack, data

    attack.run(
        arguments.base,
        arguments.backbone,
        data.read(arguments.images, arguments.slice),
        arguments.output,
        experiment=arguments.experiment,
        epsilons=arguments.epsilons,
        settings=arguments.section(config.Attack),
        sigma=arguments.sigma,
        distribution=arguments.noise,
        seed=arguments.seed,
        alpha=arguments.alpha,
        passes=arguments.section(config.Passes),
        device=device(arguments),
        kernels=arguments.kernels,
        certificates=arguments.certificates,
        code=code.digest("attack", code.facts(arguments)),
    )
