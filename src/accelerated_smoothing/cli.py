"""The verbs of the command line: thin, one per rule of the workflow, and a few for people."""

import argparse
import os
import platform
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, PositiveInt, TypeAdapter, ValidationError

from accelerated_smoothing import config, progress
from accelerated_smoothing.data import DATASETS
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.provenance import code, records

Verb = Callable[[argparse.Namespace], int | None]  # an exit code, if not 0
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h


def flags(settings: BaseModel) -> str:
    """A section of the config as the flags that `add_flags` reads: `--epochs 90 --lr 0.1 --no-flip ...`."""
    words = []
    for name, value in settings.model_dump(mode="json").items():
        flag = name.replace("_", "-")
        if value is None:  # the verb's own default
            continue
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", *(str(v) for v in (value if isinstance(value, list) else [value]))]
    return " ".join(words)


def add_flags(parser: argparse.ArgumentParser, model: type[config.Section]) -> None:
    """Give a verb one flag per field of a section; values are checked by the section itself."""
    for name, field in model.model_fields.items():
        default = "" if field.default is None else f"(default {field.default})"
        text = " ".join(part for part in (field.description, default) if part)
        options: dict[str, Any] = {"help": text.replace("%", "%%"), "default": argparse.SUPPRESS}
        if field.annotation is bool:
            options["action"] = argparse.BooleanOptionalAction
        elif get_origin(field.annotation) in (list, tuple):
            options |= {"nargs": "+", "metavar": name[:1].upper()}
        else:
            literals = [kind for kind in (field.annotation, *get_args(field.annotation)) if get_origin(kind) is Literal]
            choices = [str(choice) for kind in literals for choice in get_args(kind)]
            options["metavar"] = "|".join(choices) if choices else name.upper()
        parser.add_argument(f"--{name.replace('_', '-')}", **options)


def section(model: type[config.T], arguments: argparse.Namespace) -> config.T:
    """The section of which `add_flags` made flags, checked."""
    given = {name: getattr(arguments, name) for name in model.model_fields if hasattr(arguments, name)}
    return config.check(model, given)


def device(arguments: argparse.Namespace) -> Any:
    """Set the threads, and return the torch device that was asked for."""
    import torch

    compute = section(config.Compute, arguments)
    torch.set_num_threads(compute.threads)
    kind = compute.device
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("--device: found 'cuda', and torch sees no GPU here; 'cpu' or 'auto' would do")
    return torch.device(kind)


def checked(name: str, kind: Any) -> Callable[[str], Any]:
    """A reader of the flag `--name`, whose value must be of a kind that pydantic can check."""

    def read(text: str) -> Any:
        try:
            return TypeAdapter(kind).validate_python(text)
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise InputError(f"--{name}: found {text!r}: {message[0].lower()}{message[1:]}") from None

    return read


def shard(text: str) -> tuple[int, int]:
    """`2/50` as (2, 50): the third of fifty."""
    position, _, total = text.partition("/")
    try:
        if 0 <= int(position) < int(total):
            return int(position), int(total)
    except ValueError:
        pass
    raise InputError(f"--shard: found {text!r}; K/M with 0 <= K < M would do, such as 0/4")


def parameter(text: str) -> tuple[str, Any]:
    """`sigma=0.25` as ("sigma", 0.25)."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"found {text!r}; NAME=VALUE would do, such as sigma=0.25")
    return name, yaml.safe_load(value)


def prepare_data(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import data

    outputs = {"train": arguments.train, "test": arguments.test}
    data.prepare(arguments.dataset, arguments.folder, arguments.size, outputs)


def train_base(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.training import base

    settings = section(config.trainer_module(arguments.way).Settings, arguments)
    where = device(arguments)
    base.train(
        data.read(arguments.train),
        data.read(arguments.test),
        arguments.output,
        arguments.way,
        settings,
        arguments.sigma,
        arguments.noise,
        arguments.seed,
        where,
        arguments.initial,
    )


def embed(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.models import embedding

    splits = {"train": data.read(arguments.train), "test": data.read(arguments.test)}
    outputs = {split: arguments.output / f"{split}.npz" for split in splits}
    embedding.embed(arguments.base, splits, outputs, device(arguments))


def import_base(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.models import imported

    imported.convert(arguments.checkpoint, data.read(arguments.images).meta, arguments.sigma, arguments.output)


def count(arguments: argparse.Namespace) -> None:
    import numpy as np

    from accelerated_smoothing import data
    from accelerated_smoothing.counting import sampling
    from accelerated_smoothing.files import sha256
    from accelerated_smoothing.sigmas import chosen as chosen_sigmas

    settings = section(config.Sampling, arguments)
    where = device(arguments)
    images = data.read(arguments.images, arguments.slice).spread(arguments.spread)
    position, total = arguments.shard
    if total > len(images.idx):
        raise InputError(f"--shard: {total} shards of {len(images.idx)} images; at most one an image would do")
    images = images.take(np.array_split(np.arange(len(images.idx)), total)[position])
    sigmas, choice, file = None, None, None
    if arguments.sigmas:
        if not arguments.at:
            raise InputError("--at: missing; --sigmas needs the number at which they were chosen")
        chosen = chosen_sigmas.read(arguments.sigmas)
        chosen.check(images.meta, sha256(arguments.base), arguments.sigma, arguments.noise)
        sigmas, choice = chosen.of(images.idx, arguments.at), f"{chosen.meta['way']}{arguments.at}"
        file = sha256(arguments.sigmas)
    sampling.count(
        arguments.base,
        images,
        arguments.output,
        sigma=arguments.sigma,
        distribution=arguments.noise,
        settings=settings,
        seed=arguments.seed,
        purpose=arguments.purpose,
        device=where,
        sigmas=sigmas,
        choice=choice,
        chosen=file,
    )


def choose_sigmas(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.sigmas import choosing

    settings = section(config.chooser_module(arguments.way).Settings, arguments)
    where = device(arguments)
    choosing.run(
        arguments.way,
        arguments.base,
        data.read(arguments.images, arguments.slice),
        arguments.output,
        at=sorted(set(arguments.at)),
        settings=settings,
        sigma=arguments.sigma,
        distribution=arguments.noise,
        seed=arguments.seed,
        device=where,
    )


def gather(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing.counting import counts

    counts.gather([counts.read(path) for path in arguments.shards]).write(arguments.output)


def train_surrogate(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.counting import counts
    from accelerated_smoothing.training import surrogate

    settings = section(config.Surrogate, arguments)
    where = device(arguments)
    images = data.read(arguments.images, arguments.slice)
    counted = counts.read(arguments.counts)
    surrogate.train(images, counted, arguments.output, settings, arguments.depth, arguments.seed, where)


def certify(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import certify as common
    from accelerated_smoothing import data
    from accelerated_smoothing.counting import counts

    method = config.certifier_module(arguments.certifier)
    settings = section(method.Settings, arguments)
    read: dict[str, Callable[[Path], Any]] = {
        "selection": counts.read,
        "estimation": counts.read,
        "images": lambda path: data.read(path, arguments.slice),
        "surrogate": Path,
        "base": Path,
    }
    evidence = common.Evidence(
        alpha=arguments.alpha,
        n0=arguments.n0,
        **{need: read[need](getattr(arguments, need)) for need in method.NEEDS},
    )
    evidence.check(method.NEEDS)
    common.write(arguments.output, method.certify(evidence, settings))


def time_certificates(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import data
    from accelerated_smoothing.certify import timing

    settings, sampling = section(config.Timing, arguments), section(config.Sampling, arguments)
    if not settings.sigma:
        raise InputError("--sigma: found 0, which is no noise; at least 0.001 would do")
    where = device(arguments)
    images = data.read(arguments.images, arguments.slice).spread(settings.count)
    timing.measure(
        arguments.base,
        arguments.surrogates,
        images,
        arguments.output,
        sampled=sampling,
        sigma=settings.sigma,
        distribution=arguments.noise,
        n0=arguments.n0,
        alpha=arguments.alpha,
        seed=arguments.seed,
        repeats=settings.repeats,
        device=where,
        head=arguments.head,
    )


def attack(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import attack, data

    settings = section(config.Attack, arguments)
    where = device(arguments)
    attack.run(
        arguments.base,
        arguments.backbone,
        data.read(arguments.images, arguments.slice),
        arguments.output,
        epsilons=arguments.epsilons,
        settings=settings,
        sigma=arguments.sigma,
        distribution=arguments.noise,
        seed=arguments.seed,
        alpha=arguments.alpha,
        precision=arguments.precision,
        device=where,
        certificates=arguments.certificates,
    )


def analysis_settings(arguments: argparse.Namespace) -> Any:
    from accelerated_smoothing import analysis

    return analysis.Settings(arguments.radii, arguments.reference, arguments.error_radius)


def module_of(arguments: argparse.Namespace) -> Any:
    """The module of a table or figure, which has as many inputs as it says in `FILES`, or else at least one."""
    import importlib

    module = importlib.import_module(f"accelerated_smoothing.{code.numbered(arguments.verb, arguments.number)}")
    found, wanted = len(arguments.inputs), getattr(module, "FILES", None)
    if (found != wanted) if wanted is not None else not found:
        raise InputError(f"INPUT: found {found} files; {'at least one' if wanted is None else wanted} would do")
    return module


def table(arguments: argparse.Namespace) -> None:
    import pandas as pd

    from accelerated_smoothing import analysis
    from accelerated_smoothing.analysis import paper
    from accelerated_smoothing.files import write_text

    module = module_of(arguments)
    settings, tolerance = analysis_settings(arguments), section(config.Comparison, arguments)
    loaded = module.load(arguments.inputs)
    made = module.make(loaded, settings)
    shares = module.SHARES | {column for column in made if column.startswith("r=")}
    note = f"{module.TITLE}. {arguments.experiment}.\n\n"
    write_text(arguments.output, made.to_csv(index=False))
    write_text(arguments.output.with_suffix(".md"), note + analysis.markdown(made, shares, module.KEYS))
    if arguments.reported:
        try:
            reported = pd.read_csv(arguments.reported)
        except OSError as error:
            raise InputError(f"{arguments.reported}: cannot be read ({error.strerror})") from error
        beside = paper.compare(
            module, loaded, settings, reported, tolerance, arguments.comparable, arguments.experiment
        )
        versus = arguments.output.with_name(f"{arguments.output.stem}_vs_paper.csv")
        write_text(versus, beside.to_csv(index=False))


def figure(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing.files import atomic

    module = module_of(arguments)
    drawn = module.draw(module.load(arguments.inputs), analysis_settings(arguments), arguments.experiment)
    with atomic(arguments.output) as svg:
        drawn.savefig(svg, format="svg", metadata={"Date": None, "Title": module.TITLE})
    with atomic(arguments.output.with_suffix(".png")) as png:
        drawn.savefig(png, format="png", dpi=200, metadata={"Software": None})


def execute_notebook(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing.report import notebook

    notebook.execute(arguments.source, arguments.output, dict(arguments.parameters))


def report(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import report

    report.write(arguments.files, arguments.output, arguments.template, arguments.experiment, arguments.comparable)


def summarize(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing import analysis, certify

    try:
        radii = [float(r) for r in arguments.radii.split(",")]
    except ValueError:
        raise InputError(
            f"--radii: found {arguments.radii!r}; numbers with commas would do, such as 0.25,0.5"
        ) from None
    log = certify.read(arguments.log)
    accuracy = analysis.certified_accuracy(log, radii)
    print(",".join(["images", *(f"r={r:g}" for r in radii), "ACR"]))
    print(",".join([str(len(log)), *map(str, accuracy), str(analysis.average_certified_radius(log))]))


def plan(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing.workflow import plan

    main = config.read(arguments.configfile)
    experiments = main.experiments()
    home = f"{arguments.experiment}/" if arguments.experiment else ""
    if home not in experiments:
        known = ", ".join(name.rstrip("/") for name in experiments if name)
        raise InputError(f"--experiment: found {arguments.experiment!r}; one of {known or 'none at all'} would do")
    settings = experiments[home]
    for name, value in (("device", arguments.device), ("threads", arguments.threads)):
        setattr(arguments, name, value or getattr(settings.compute, name))
    if arguments.rate:
        given = settings.shards.model_copy(update={"rate": arguments.rate})
        experiments[home] = settings.model_copy(update={"shards": given})
    print(plan.report(experiments, device(arguments) if arguments.measure else None, home))


def recover(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing.workflow import cluster

    folder = Path.cwd()
    if not (folder / ".snakemake").is_dir():
        raise InputError(f"{folder}: no Snakemake has run here; run this in the folder where you run snakemake")
    found = cluster.jobs(folder)
    print(cluster.table(found) if found else f"no jobs of {folder} are queued or running")
    if arguments.cancel:
        cluster.cancel(folder)
        print(f"{len(found)} jobs cancelled, and unlocked; the same snakemake command goes on from what is saved")
    elif masters := cluster.masters(folder):
        print(f"a Snakemake is at work here, process {masters[0]}")
    else:
        host = platform.node()
        print(f"no Snakemake is at work here on {host}; if none is on another machine, --cancel clears the way")


def audit(arguments: argparse.Namespace) -> int:
    from accelerated_smoothing.provenance import audit

    roots = audit.audit(arguments.targets)
    said: list[str] = []
    more: dict[str, Any] = {}
    if arguments.cell is not None:
        from accelerated_smoothing.provenance import cell

        if len(roots) > 1:
            raise InputError(f"--cell: found {len(roots)} targets; one table would do")
        found = cell.cell(roots[0], arguments.cell)
        roots = [found.table]
        said.append(cell.report(found))
        more["cell"] = {"name": found.name, "value": found.text, "again": found.again, **cell.facts(found)}
        more["cell"] |= {"images": found.idx.tolist(), "of": found.images}
    if arguments.rebuild or arguments.sample:
        import numpy as np

        from accelerated_smoothing.provenance import recompute

        done = [recompute.rebuild(roots)] if arguments.rebuild else []
        if arguments.sample:
            done += recompute.sample(roots, arguments.sample, np.random.default_rng())
        said += done
        more["recomputed"] = done
    print(audit.as_json(roots, **more) if arguments.json else "\n".join([*said, audit.tree(roots)]))
    return 0 if all(root.holds() for root in roots) else 1


def diff(arguments: argparse.Namespace) -> int:
    from accelerated_smoothing.provenance import differences

    told, differ = differences.report(arguments.a, arguments.b)
    print(told)
    return int(differ)


def crate(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing.provenance import crate

    crate.write(arguments.targets, arguments.output)


def archive(arguments: argparse.Namespace) -> None:
    from accelerated_smoothing.provenance import release

    release.archive(arguments.metadata, arguments.output)


def schema(arguments: argparse.Namespace) -> None:
    print({"config": config.schema, "record": records.schema}[arguments.of](), end="")


class Parser(argparse.ArgumentParser):
    """A parser whose faults are told like all others: in one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; '{self.prog} --help' tells what would do")


def parser() -> argparse.ArgumentParser:
    """The command line, whole."""
    text = "Randomized smoothing, sampled and estimated: each step of the workflow as a verb, and a few for people."
    top = Parser("accelerated-smoothing", description=text)
    verbs = top.add_subparsers(required=True, metavar="VERB", dest="verb")

    def verb(name: str, run: Verb, text: str, example: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(
            name, help=text, description=text, epilog=f"example: accelerated-smoothing {name} {example}"
        )
        made.set_defaults(run=run)
        return made

    def needs(made: argparse.ArgumentParser, **options: str) -> None:
        for name, text in options.items():
            made.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)

    def rooted(made: argparse.ArgumentParser) -> None:
        made.add_argument("--seed", type=checked("seed", config.Seed), default=0, help="the root seed (default 0)")

    def noisy(made: argparse.ArgumentParser, kind: Any) -> None:
        sigma = checked("sigma", kind)
        made.add_argument("--sigma", type=sigma, required=True, help="scale of the noise, [0,1] pixels")

    def distributed(made: argparse.ArgumentParser) -> None:
        names = config.modules("noise.distributions")
        made.add_argument("--noise", choices=names, default="gaussian", help="its distribution (default gaussian)")

    def noise(made: argparse.ArgumentParser, kind: Any) -> None:
        noisy(made, kind)
        distributed(made)
        rooted(made)

    def confidence(made: argparse.ArgumentParser) -> None:
        alpha, n0 = checked("alpha", config.Alpha), checked("n0", PositiveInt)
        made.add_argument(
            "--alpha", type=alpha, default=0.001, help="probability of a wrong certificate (default 0.001)"
        )
        made.add_argument("--n0", type=n0, default=100, help="draws that select or verify the top class (default 100)")

    def part(made: argparse.ArgumentParser) -> None:
        made.add_argument("--slice", default=":", help="which images, as a Python slice (default all)")

    def described(made: argparse.ArgumentParser, where: str) -> None:
        made.add_argument("--experiment", default="", help=f"what was run, in words, for the {where}")

    def compared(made: argparse.ArgumentParser) -> None:
        text = "whether the paper's own experiment was run"
        made.add_argument("--comparable", action=argparse.BooleanOptionalAction, default=False, help=text)

    made = verb("data", prepare_data, "Fetch and verify a dataset.", "cifar10 --train train.npz --test test.npz")
    made.add_argument("dataset", choices=list(DATASETS))
    made.add_argument("--folder", type=Path, default=Path("data"), help="of the raw files (default data)")
    size = checked("size", PositiveInt)
    made.add_argument("--size", type=size, default=32, help="of images of imagenette or an imagefolder (default 32)")
    needs(made, train="output", test="output")

    made = verb(
        "train-base",
        train_base,
        "Train a base classifier under noise.",
        "gaussian --train train.npz --test test.npz --sigma 0.25 --arch resnet20 --epochs 10 --output base.safetensors",
    )
    ways = made.add_subparsers(required=True, dest="way", metavar="WAY")
    for name in config.modules("training.ways"):
        way = config.trainer_module(name)
        made = ways.add_parser(name, help=way.__doc__.splitlines()[0], description=way.__doc__)
        needs(made, train="training images", test="images for the log", output="weights")
        noise(made, config.Sigma)
        made.add_argument("--initial", type=Path, metavar="FILE", help="weights to start from, instead of fresh ones")
        add_flags(made, way.Settings)
        add_flags(made, config.Compute)

    made = verb(
        "import-base",
        import_base,
        "Turn a checkpoint of locuslab/smoothing into a base classifier.",
        "checkpoint.pth.tar --images train.npz --sigma 0.25 --output base.safetensors",
    )
    made.add_argument("checkpoint", type=Path)
    needs(made, images="images of its dataset", output="weights")
    noisy(made, config.Sigma)

    made = verb(
        "embed",
        embed,
        "Embed images by a 1-Lipschitz backbone.",
        "--base base.safetensors --train train.npz --test test.npz --output embeddings",
    )
    needs(made, base="weights of an SLL network", train="training images", test="test images")
    made.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="of their embeddings, by split")
    add_flags(made, config.Compute)

    made = verb(
        "count",
        count,
        "Count a base classifier's predictions under noise.",
        "--base base.safetensors --images test.npz --sigma 0.25 --sizes 100 1000 --output counts.npz",
    )
    needs(made, base="weights of f", images="images", output="counts")
    noise(made, config.Sampled)
    part(made)
    made.add_argument("--spread", type=checked("spread", PositiveInt), metavar="K", help="K of them, evenly spaced")
    made.add_argument("--shard", type=shard, default=(0, 1), metavar="K/M", help="the K-th of M shards, from 0")
    purpose = checked("purpose", Annotated[str, Field(pattern="^[a-z]+$")])  # those that choose sigmas have others
    text = "draws of different purposes are independent"
    made.add_argument("--purpose", type=purpose, default="estimation", help=text)
    made.add_argument("--sigmas", type=Path, metavar="FILE", help="each image's own sigma, chosen from --sigma")
    made.add_argument("--at", type=checked("at", PositiveInt), metavar="K", help="the number at which they were chosen")
    add_flags(made, config.Sampling)
    add_flags(made, config.Compute)

    made = verb(
        "choose",
        choose_sigmas,
        "Choose each image's own sigma.",
        "ascent --at 100 --base base.safetensors --images test.npz --sigma 0.25 --output sigmas.npz",
    )
    ways = made.add_subparsers(required=True, dest="way", metavar="WAY")
    for name in config.modules("sigmas.ways"):
        chooser = config.chooser_module(name)
        made = ways.add_parser(name, help=chooser.__doc__.splitlines()[0], description=chooser.__doc__)
        add_flags(made, chooser.Settings)
        number = checked("at", PositiveInt)
        made.add_argument("--at", type=number, nargs="+", required=True, metavar="K", help="steps, or samples a point")
        needs(made, base="weights of f", images="images", output="sigmas")
        noise(made, config.Sampled)
        part(made)
        add_flags(made, config.Compute)

    made = verb("gather", gather, "Join the shards of one split.", "shard0.npz shard1.npz --output counts.npz")
    made.add_argument("shards", type=Path, nargs="+", metavar="SHARD")
    needs(made, output="counts")

    made = verb(
        "train-surrogate",
        train_surrogate,
        "Train a surrogate on counts.",
        "--images train.npz --counts counts.npz --depth 20 --output surrogate.safetensors",
    )
    needs(made, images="training images", counts="their counts", output="weights")
    part(made)
    depth = checked("depth", config.Depth)
    made.add_argument("--depth", type=depth, default=20, help="of the CIFAR ResNet (default 20)")
    rooted(made)
    add_flags(made, config.Surrogate)
    add_flags(made, config.Compute)

    made = verb(
        "certify",
        certify,
        "Certify images by one method.",
        "cohen --n 100000 --selection selection.npz --estimation estimation.npz --output cohen.tsv",
    )
    methods = made.add_subparsers(required=True, dest="certifier", metavar="METHOD")
    for name in config.modules("certify.methods"):
        method = config.certifier_module(name)
        made = methods.add_parser(name, help=method.__doc__.splitlines()[0], description=method.__doc__)
        add_flags(made, method.Settings)
        for need in method.NEEDS:
            made.add_argument(f"--{need}", type=Path, required=True, metavar="FILE")
        needs(made, output="certificates, TSV")
        part(made)
        confidence(made)

    made = verb(
        "time",
        time_certificates,
        "Measure the time of a certificate.",
        "--base base.safetensors --images test.npz --surrogates resnet20.safetensors --output timing.tsv",
    )
    needs(made, base="weights of f", images="images", output="measurements, TSV")
    made.add_argument("--surrogates", type=Path, nargs="*", default=[], metavar="FILE", help="weights of each h")
    text = "weights of a network on the embeddings by f's backbone"
    made.add_argument("--head", type=Path, metavar="FILE", help=text)
    distributed(made)
    rooted(made)
    part(made)
    confidence(made)
    add_flags(made, config.Timing)
    add_flags(made, config.Sampling)
    add_flags(made, config.Compute)

    made = verb(
        "attack",
        attack,
        "Attack a classifier by l2-PGD, to check its certificates.",
        "--base head.safetensors --backbone base.safetensors --images test.npz --sigma 0 --output attacks.tsv",
    )
    needs(made, base="weights of a head, or of f", images="images, not embedded", output="attacks, TSV")
    made.add_argument("--backbone", type=Path, metavar="FILE", help="weights of the SLL network behind which a head is")
    radius = checked("epsilons", config.Radius)
    text = "of the same images, each of which is attacked at 0.999 of its own radius, too"
    made.add_argument("--certificates", type=Path, metavar="FILE", help=text)
    text = "l2 sizes, [0,1] pixels (default those of Table I)"
    made.add_argument("--epsilons", type=radius, nargs="+", default=config.Config().radii, metavar="E", help=text)
    noise(made, config.Sigma)
    part(made)
    alpha = checked("alpha", config.Alpha)
    text = "probability that a prediction marked sure is wrong (default 0.001)"
    made.add_argument("--alpha", type=alpha, default=0.001, help=text)
    precisions = get_args(config.Precision)
    made.add_argument("--precision", choices=precisions, default="fp32", help="of the draws that decide (default fp32)")
    add_flags(made, config.Attack)
    add_flags(made, config.Compute)

    for kind, run, output in (("table", table, "csv"), ("figure", figure, "svg")):
        example = f"3 cohen.tsv resnet20.tsv --output {kind}3.{output}"
        made = verb(kind, run, f"Make one {kind} of a paper.", example)
        text = "3 of Accelerated Smoothing, data-dependent/3 of another paper: %(choices)s"
        made.add_argument("number", choices=code.numbers(kind), metavar="NUMBER", help=text)
        text = "certificates, counts, timings or images"
        made.add_argument("inputs", type=Path, nargs="*", metavar="INPUT", help=text)
        needs(made, output="CSV" if kind == "table" else "SVG")
        described(made, "caption")
        radius = checked("radii", config.Radius)
        made.add_argument("--radii", type=radius, nargs="+", default=config.Config().radii, metavar="R")
        made.add_argument("--reference", default="cohen", help="method that estimates are held against (default cohen)")
        made.add_argument("--error-radius", type=radius, default=0.25, help="of the error analysis (default 0.25)")
        if kind == "table":
            made.add_argument("--reported", type=Path, metavar="FILE", help="the paper's table, to compare with")
            compared(made)
            add_flags(made, config.Comparison)

    made = verb(
        "notebook",
        execute_notebook,
        "Execute a notebook, and write it and an HTML page of it.",
        "notebooks/table1.ipynb --parameters results=results/demo --output table1.ipynb",
    )
    made.add_argument("source", type=Path)
    made.add_argument("--parameters", type=parameter, nargs="*", default=[], metavar="NAME=VALUE")
    made.add_argument("--reads", type=Path, nargs="*", default=[], metavar="FILE", help="what it reads, for its record")
    needs(made, output="executed notebook, .ipynb")

    made = verb(
        "report",
        report,
        "Make one HTML page of a run: its tables and figures, and where each came from.",
        "results/demo/table*.* results/demo/timing.tsv --template page.html.j2 --output report.html",
    )
    made.add_argument("files", type=Path, nargs="+", metavar="FILE", help="tables, figures and notebooks, timing.tsv")
    needs(made, template="what the page looks like", output="HTML")
    described(made, "head")
    compared(made)

    made = verb(
        "summarize",
        summarize,
        "Print certified accuracy and ACR of any log in Cohen et al.'s format, as CSV.",
        "results/certificates/sigma0.25/cohen.tsv --radii 0.25,0.5",
    )
    made.add_argument("log", type=Path)
    made.add_argument("--radii", default="0.25,0.5,0.75,1,1.25,1.5", help="with commas, [0,1] pixels")

    made = verb(
        "plan",
        plan,
        "Print what a config will cost.",
        "--configfile config.yaml presets/demo.yaml --measure",
    )
    made.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[Path("config.yaml")],
        help="later ones override (default config.yaml)",
    )
    made.add_argument("--experiment", metavar="NAME", help="of a sister paper: data-dependent/cohen, for instance")
    rates = made.add_mutually_exclusive_group()
    rates.add_argument("--measure", action="store_true", help="rates that this machine reaches now")
    rate = checked("rate", Annotated[float, Field(gt=0, allow_inf_nan=False)])
    rates.add_argument("--rate", type=rate, metavar="R", help="instead of the config's shards.rate")
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], help="instead of the config's")
    made.add_argument("--threads", type=int, help="instead of the config's")

    made = verb(
        "audit",
        audit,
        "Walk from files back to the images, and say of each whether what made it still holds.",
        "results/table1.csv",
    )
    made.add_argument("targets", type=Path, nargs="+", metavar="TARGET", help="built files")
    made.add_argument("--json", action="store_true", help="for programs")
    text = "one number of a table, such as sigma=0.25,method=resnet20,r=0.5: down to its images"
    made.add_argument("--cell", metavar="KEY=VALUE,...,COLUMN", help=text)
    text = "make tables and figures from certificates again, certificates from counts, counts from shards, and compare"
    made.add_argument("--rebuild", action="store_true", help=text)
    text = "count K random images again, with the noise of the recorded seed, and compare"
    made.add_argument("--sample", type=checked("sample", PositiveInt), metavar="K", help=text)

    made = verb(
        "diff",
        diff,
        "Say which numbers differ between two results folders, or two files, and the first thing that explains it.",
        "results/demo results/other",
    )
    made.add_argument("a", type=Path, metavar="A")
    made.add_argument("b", type=Path, metavar="B")

    made = verb(
        "crate",
        crate,
        "Describe files and all that they go back to as an RO-Crate, the folder of the metadata file.",
        "results/table1.csv --output results/ro-crate-metadata.json",
    )
    made.add_argument("targets", type=Path, nargs="+", metavar="TARGET", help="built files")
    needs(made, output="ro-crate-metadata.json in the results folder")

    made = verb(
        "archive",
        archive,
        "Pack an RO-Crate, to be unpacked as the results folder.",
        "results/ro-crate-metadata.json --output results/crate.zip",
    )
    made.add_argument("metadata", type=Path, help="the crate's ro-crate-metadata.json")
    needs(made, output=".zip")

    made = verb(
        "recover",
        recover,
        "After a Snakemake on a cluster was killed: show the jobs of this folder that SLURM still has.",
        "--cancel",
    )
    text = "cancel them, wait until they have saved their work, and unlock; refused while a Snakemake is at work here, "
    text += "but one on another machine cannot be seen"
    made.add_argument("--cancel", action="store_true", help=text)

    made = verb("schema", schema, "Print a JSON schema.", "record > record.schema.json")
    made.add_argument(
        "of",
        choices=["config", "record"],
        nargs="?",
        default="config",
        help="the config, or what lies beside every built file",
    )
    return top


def main(words: list[str] | None = None) -> int:
    """Run one verb.

    Returns:
        0; 1 after an audit that does not hold; 2 after an error of the user's, which is told in one line and would come
        again; 130 after Ctrl-C, and TRY_AGAIN after SIGTERM, when the same command goes on from what is saved.
    """
    before = signal.signal(signal.SIGTERM, progress.stop)
    try:
        arguments = parser().parse_args(words)
        with records.recorded(arguments, sys.argv[1:] if words is None else words):
            return arguments.run(arguments) or 0
    except InputError as error:
        print(f"accelerated-smoothing: error: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, progress.Stopped) as asked:
        print("accelerated-smoothing: stopped; the same command goes on from the last saved step", file=sys.stderr)
        return 130 if isinstance(asked, KeyboardInterrupt) else TRY_AGAIN
    except BrokenPipeError:  # the reader of a printed table has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0
