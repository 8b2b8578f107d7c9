"""Certify some images online by several methods, drawing only what each spends, and measure the time."""

import json
from typing import Any

from pydantic import Field, field_validator

from accelerated_smoothing import config
from accelerated_smoothing.command import Input, Output
from accelerated_smoothing.verbs._flags import Computing, Confident, Sliced, device

EXAMPLE = (
    '--methods \'{"planned200": {"certifier": "planned", "budget": 200}}\' --base base.safetensors --images test.npz '
    "--selection selection.npz --estimation estimation.npz --pilot pilot.npz --predictions predictions.npz "
    "--belief belief.npz --output online.tsv"
)
MAKES = "Times of certificates that are made online"
MEASURES = True
PLUGINS = {"certifier": "certify.methods"}


class Arguments(Sliced, Confident, Computing, config.Passes):
    methods: str = Field(description="settings of the methods by name, as JSON")
    count: int = Field(50, ge=1, description="images that are certified, evenly spaced")
    base: Input = Field(description="weights of f")
    images: Input = Field(description="images")
    selection: Input = Field(description="counts that select the top class")
    estimation: Input = Field(description="counts that online draws must repeat")
    pilot: Input | None = Field(None, description="counts that plan, if a method needs them")
    predictions: Input | None = Field(None, description="what surrogates predict for the images, if a method needs it")
    belief: Input | None = Field(None, description="calibrated belief about the top class, if a method needs it")
    output: Output = Field(description="measurements, .tsv")

    @field_validator("methods")
    @classmethod
    def _settings(cls, methods: str) -> str:
        try:
            named = [settings["certifier"] for settings in json.loads(methods).values()]
        except (ValueError, AttributeError, KeyError, TypeError):
            raise ValueError('must be JSON such as {"name": {"certifier": "planned", "budget": 200}}') from None
        if not named:
            raise ValueError("must name at least one method")
        return methods

    def facts(self) -> dict[str, list[str]]:
        return {"certifier": [settings["certifier"] for settings in json.loads(self.methods).values()]}


def run(arguments: Any) -> None:
    from accelerated_smoothing import certify, data
    from accelerated_smoothing.certify import beliefs, live
    from accelerated_smoothing.certify.evidence import Evidence
    from accelerated_smoothing.counting import counts, predictions

    methods = {}
    for name, settings in json.loads(arguments.methods).items():
        method = certify.method(settings.pop("certifier"))
        methods[name] = (method, config.check(method.Settings, settings))
    evidence = Evidence(
        arguments.alpha,
        arguments.n0,
        counts.read(arguments.selection),
        counts.read(arguments.estimation),
        arguments.pilot and counts.read(arguments.pilot),
        images=data.read(arguments.images, arguments.slice),
        predictions=arguments.predictions and predictions.read(arguments.predictions),
        belief=arguments.belief and beliefs.read(arguments.belief),
    )
    for method, _ in methods.values():
        evidence.check(method.NEEDS)
    live.measure(
        evidence,
        methods,
        arguments.base,
        arguments.output,
        count=arguments.count,
        passes=arguments.section(config.Passes),
        device=device(arguments),
        kernels=arguments.kernels,
    )
