"""Join the shards of one split."""

from pydantic import Field

from accelerated_smoothing import command
from accelerated_smoothing.command import Inputs, Output

EXAMPLE = "shard0.npz shard1.npz --output counts.npz"
MAKES = "Class counts"
QUICK = True
ARITHMETIC = True


class Arguments(command.Arguments):
    positional = ("shards",)

    shards: Inputs = Field(min_length=1, description="counts of some images each")
    output: Output = Field(description="counts of all of them")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.counting import counts

    counts.gather([counts.read(path) for path in arguments.shards]).write(arguments.output)
