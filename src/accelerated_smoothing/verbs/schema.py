"""Print a JSON schema."""

from typing import Literal

from pydantic import Field

from accelerated_smoothing import command, config

EXAMPLE = "record > record.schema.json"


class Arguments(command.Arguments):
    positional = ("subject",)

    subject: Literal["config", "record"] = Field("config", description="the config, or the record of a built file")


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.provenance import records

    print({"config": config.schema, "record": records.schema}[arguments.subject](), end="")
