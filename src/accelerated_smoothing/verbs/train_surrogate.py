"""Train a surrogate on counts."""

from pydantic import Field

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Output
from accelerated_smoothing.provenance import code
from accelerated_smoothing.verbs._flags import Computing, Seeded, Sliced, device

EXAMPLE = "--images train.npz --counts counts.npz --depth 20 --output surrogate.safetensors"
MAKES = "Surrogate"


class Arguments(Seeded, Sliced, Computing, config.Surrogate):
    images: Input = Field(description="training images")
    counts: Input = Field(description="their counts")
    depth: config.Depth = Field(20, description="of the CIFAR ResNet")
    base: Input | None = Field(None, description="weights of the base classifier, for --from-base")
    output: Output = Field(description="weights")

    def facts(self) -> dict[str, list[str]]:
        return {**super().facts(), "arch": [f"resnet{self.depth}"]}


def run(arguments: Arguments) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.counting import counts
    from accelerated_smoothing.training import surrogate

    surrogate.train(
        data.read(arguments.images, arguments.slice),
        counts.read(arguments.counts),
        arguments.output,
        arguments.section(config.Surrogate),
        arguments.depth,
        arguments.seed,
        device(arguments),
        arguments.base,
        code=code.digest("train-surrogate", code.facts(arguments)),
    )
