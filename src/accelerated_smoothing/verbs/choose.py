"""Choose each image's own sigma."""

from typing import Annotated, Any

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Output
from accelerated_smoothing.provenance import code
from accelerated_smoothing.verbs._flags import Computing, Distributed, Seeded, Sliced, device

EXAMPLE = "ascent --at 100 --base base.safetensors --images test.npz --sigma 0.25 --output sigmas.npz"
MAKES = "Sigmas of images"
VARIANTS = ("chooser", "sigmas.ways")


class Arguments(Seeded, Distributed, Sliced, Computing):
    at: list[Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="numbers of steps, or of samples at each point of a grid"
    )
    base: Input = Field(description="weights of f")
    images: Input = Field(description="images")
    train: Input | None = Field(None, description="training images, for idrs")
    sigma: config.Sampled = Field(description="scale of the noise from which a choice starts, [0,1] pixels")
    output: Output = Field(description="sigmas")


def run(arguments: Any) -> None:
    from accelerated_smoothing import data, sigmas
    from accelerated_smoothing.sigmas import choosing

    choosing.run(
        arguments.chooser,
        arguments.base,
        data.read(arguments.images, arguments.slice),
        arguments.output,
        data.read(arguments.train) if arguments.train else None,
        at=sorted(set(arguments.at)),
        settings=arguments.section(sigmas.way(arguments.chooser).Settings),
        sigma=arguments.sigma,
        distribution=arguments.noise,
        seed=arguments.seed,
        device=device(arguments),
        code=code.digest("choose", code.facts(arguments)),
    )
