"""Sister papers: their experiments are the main one with some keys changed.

First come the keys that all experiments of a paper change (`common`), then those of one experiment (`experiments`).
Mappings are merged key by key and lists are replaced, as Snakemake merges config files.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from accelerated_smoothing.architectures import cost, ensemble
from accelerated_smoothing.config import checks, relations
from accelerated_smoothing.config.errors import one_line
from accelerated_smoothing.config.sections import Base, Paper

if TYPE_CHECKING:
    from accelerated_smoothing.config.experiment import Config

AT_THE_TOP = ("results", "seed", "papers", "compute")  # keys that are the same for all experiments


def merge(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Override a mapping key by key, in place."""
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(key), dict):
            merge(below[key], value)
        else:
            below[key] = value


def check(config: "Config") -> None:
    """Check the experiments of all papers.

    Raises:
        ValueError: a key of an experiment is wrong, or experiments do not fit together.
    """
    for name, paper in config.papers.items():
        checks.selection(f"papers.{name}.select", paper.select or [], paper.experiments, "experiments")
        experiments = of(config, name)
        relations.paper(name, experiments)
        for each, experiment in experiments.items():
            relations.shared(f"papers.{name}.experiments.{each}", experiment, config)


def of(config: "Config", name: str) -> dict[str, "Config"]:
    """Return the experiments of a paper that are in use, by name, in the order of the catalogue."""
    paper = config.papers[name]
    shared = common(config, name)
    names = [each for each in paper.experiments if paper.select is None or each in paper.select]
    experiments = {each: experiment(shared, paper, f"papers.{name}", each) for each in names}
    for each, own in experiments.items():
        if own.combine and own.members and own.members[0] in experiments:
            try:
                experiments[each] = _combined(own, own.combine, experiments[own.members[0]].base.arch)
            except ValueError as error:
                raise ValueError(f"papers.{name}.experiments.{each}.members {error}") from None
    for each, own in experiments.items():
        if own.classifier:
            if own.checkpoints:
                key = f"papers.{name}.experiments.{each}.checkpoints"
                raise ValueError(f"{key} must be {{}}, since classifier is main, got {own.checkpoints}")
            files = {sigma: file for sigma, file in config.checkpoints.items() if sigma in own.sigmas}
            experiments[each] = own.model_copy(update={"checkpoints": files})
    if not paper.seeds:
        return experiments
    for each, own in experiments.items():
        if own.train_seed != config.train_seed:
            key = f"papers.{name}.experiments.{each}.train_seed"
            raise ValueError(f"{key} must not be set, since papers.{name}.seeds is, got {own.train_seed}")
    return {
        f"{each}-seed{seed}": own.model_copy(update={"train_seed": seed})
        for each, own in experiments.items()
        for seed in paper.seeds
    }


def _combined(own: "Config", combine: str, member: str) -> "Config":
    """Return an experiment with the architecture that its members decide, and with the rate of such a network.

    Raises:
        ValueError: the members cannot be combined in this way.
    """
    arch = ensemble.combined(combine, member, len(own.members))
    rate = own.shards.rate * cost(member) / cost(arch)
    base, shards = own.base.model_copy(update={"arch": arch}), own.shards.model_copy(update={"rate": rate})
    return own.model_copy(update={"base": base, "shards": shards})


def common(config: "Config", name: str) -> "Config":
    """Return the main experiment with the common keys of a paper changed.

    Raises:
        ValueError: a key is wrong.
    """
    changes = config.papers[name].common
    key = f"papers.{name}.common"
    if "checkpoints" in changes:
        raise ValueError(f"{key}.checkpoints must be set in one experiment, got {changes['checkpoints']!r}")
    return _changed(config, changes, key)


def experiment(shared: "Config", paper: Paper, key: str, name: str) -> "Config":
    """Return one experiment of a paper.

    Args:
        shared: the common experiment of the paper.
        paper: its section.
        key: of this section, for errors.
        name: of the experiment.

    Raises:
        ValueError: a key is wrong.
    """
    return _changed(shared, paper.experiments[name], f"{key}.experiments.{name}")


def _changed(config: "Config", changes: Mapping[str, Any], key: str) -> "Config":
    """Return an experiment with some keys changed. Checkpoints belong to one base classifier, so they are left out."""
    for name in AT_THE_TOP:
        if name in changes:
            raise ValueError(f"{key}.{name} must be set at the top, for all experiments, got {changes[name]!r}")
    values = config.model_dump(mode="json", exclude={"papers", "checkpoints"})
    sigmas = changes.get("sigmas")
    if sigmas and isinstance(sigmas, list):  # the choices of the experiment below may not be among them
        if not set(values["figure_sigmas"]) <= set(sigmas):
            values["figure_sigmas"] = sigmas
        if values["timing"]["sigma"] not in sigmas:
            values["timing"]["sigma"] = sigmas[0]
    if changes.get("training", config.training) != config.training:  # whose further settings do not apply
        values["base"] = {name: value for name, value in values["base"].items() if name in Base.model_fields}
    merge(values, changes)
    try:
        changed = type(config).model_validate(values)
    except ValidationError as error:
        raise ValueError(one_line(error, f"{key}.")) from None
    for name in ("name", "folder", "size"):
        value = getattr(changed.dataset, name)
        if value != getattr(config.dataset, name):
            raise ValueError(f"{key}.dataset.{name} must be set at the top, for all experiments, got {value!r}")
    return changed
