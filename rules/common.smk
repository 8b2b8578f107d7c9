# What the rules ask of the config: files, sizes, words.
import functools
import re

from accelerated_smoothing.config import embedder

TABLES = [f"{R}/table{number}.csv" for number in range(1, 7)]
FIGURES = [f"{R}/figure{number}.svg" for number in range(1, 4)]
NOTEBOOKS = [f"{R}/notebooks/{name}.html" for name in ("table1", "image")]
PAGE = f"{R}/report.html"
# Of a job that runs the base classifier, or trains.
GPU = int(CONFIG.compute.device != "cpu")
# What the experiments of each sister paper have in common; and what its tables and figures are made from, as its own
# file in rules/ tells.
PAPERS = {paper: CONFIG.paper(paper) for paper in CONFIG.papers}
EVIDENCE = {}


def anyof(words):
    """An expression for one of these words, of which one may be empty."""
    return (
        "|".join(
            sorted({re.escape(str(word)) for word in words}, key=len, reverse=True)
        )
        or "none"
    )


def of(wildcards):
    """The config of the experiment that a file belongs to."""
    made = EXPERIMENTS[wildcards.home]
    for name, known in (
        ("sigma", [str(sigma) for sigma in made.sigmas]),
        ("method", made.methods),
    ):
        found = wildcards.get(name)
        if found is not None and found not in known:
            where = wildcards.home or "the main experiment"
            raise WorkflowError(
                f"{where} has no {name} {found}; one of {', '.join(known)} would do"
            )
    return made


def certificates(sigmas):
    return [
        f"{R}/certificates/sigma{sigma}/{method}.tsv"
        for sigma in sigmas
        for method in CONFIG.methods
    ]


def of_experiments(paper, names, methods=lambda method: True):
    """Certificates of experiments of a sister paper at all their sigmas, by the methods that pass."""
    if missing := [name for name in names if f"{paper}{name}/" not in EXPERIMENTS]:
        raise WorkflowError(
            f"{paper}{missing[0]}: is no experiment of this config, and this is made from it"
        )
    return [
        f"{R}/{paper}{name}/certificates/sigma{sigma}/{method}.tsv"
        for name in names
        for made in [EXPERIMENTS[f"{paper}{name}/"]]
        for sigma in made.sigmas
        for method in made.methods
        if methods(method)
    ]


def targets(paper):
    """The tables and figures of a sister paper."""
    return [
        f"{R}/{paper}{name}.{'csv' if name.startswith('table') else 'svg'}"
        for name in EVIDENCE[paper]
    ]


def laid(wildcards):
    """The config of a table or a figure: what all experiments of its paper have in common."""
    return PAPERS.get(Path(wildcards.get("paper", "")).name, CONFIG)


def experiment(wildcards):
    """What was run, in words, for captions: tables and figures are not all of the same images."""
    config = laid(wildcards)
    data = config.dataset
    kind = next((kind for kind in ("table", "figure") if kind in wildcards.keys()), "")
    shown = wildcards.get("paper", "") + kind + wildcards.get(kind, "")
    sampled = EXPERIMENTS[f"{FARS}mlp/"] if shown == f"{FARS}table4" else config
    base = (
        "imported base classifiers"
        if config.checkpoints
        else f"base {config.base.arch}"
    )
    if sampled is not config:
        base += f", head {sampled.base.arch}"
    if shown in (f"{FARS}table3", f"{FARS}figure3"):
        base += f" and, in the main experiment, {CONFIG.base.arch}"
    samples = f"N = {config.sampling.sizes[-1]}"
    if not config.samples():  # but some of the paper's experiments do
        samples += " where sampled"
    if shown == f"{FARS}table2":
        told = config.attack
        samples += f", attacks of {told.steps} steps and {told.restarts} starts, judged by {told.n} draws where sampled"
    timing = sampled.timing
    timed = (
        f"sigma = {timing.sigma}, {timing.count} test images, {timing.repeats} repeats"
    )
    repeated = f"{samples}, {counting('', 'train', 'variance').images} training images, {CONFIG.variance.repeats} repeats"
    certified = "all test images" if data.test == ":" else f"test images [{data.test}]"
    of_some = {
        "table2": timed,
        f"{FARS}table4": timed,
        "figure1": f"{samples}, sigma = {timing.sigma}",
        "table4": repeated,
        "table5": repeated,
    }
    return f"{data.name}, {base}, {of_some.get(shown, f'{samples}, {certified}')}, alpha = {config.alpha:g}"


def comparable(wildcards):
    """Whether this is the paper's experiment, so that its numbers may be held against ours, as a flag."""
    config = laid(wildcards)
    data = config.dataset
    same = (
        wildcards.get("paper") != FARS  # whose backbone was trained on ImageNet-1k
        and data.name == "cifar10"
        and data.test == data.train == ":"
        and config.sampling.sizes[-1] == 100000
        and config.training == config.noise == "gaussian"
    )
    return "--comparable" if same else "--no-comparable"


@functools.cache
def counting(home, split, purpose):
    """The images, sizes and shards of one kind of counting."""
    return plan.counting(EXPERIMENTS[home], split, purpose)


def runtime(stage):
    """A time limit that grows with the attempt; `stage` is a name in the plan, in which wildcards may stand."""

    def minutes(wildcards, attempt):
        home, name = wildcards.get("home", ""), stage.format(**wildcards)
        if name not in LIMITS[home]:
            where = home or "the main experiment"
            raise WorkflowError(
                f"{where} has no {name}, since nothing is made from it; one of {', '.join(LIMITS[home])} would do"
            )
        return attempt * LIMITS[home][name]

    return minutes


def evidence(wildcards):
    """The files that a method needs, by the names of its NEEDS."""
    settings, home = of(wildcards).method(wildcards.method), f"{R}/{wildcards.home}"
    choice = getattr(settings, "choice", None)
    level = f"sigma{wildcards.sigma}" + (f"-{choice}{settings.at}" if choice else "")
    files = {
        "selection": f"{home}counts/{level}/test-selection.npz",
        "estimation": f"{home}counts/{level}/test-estimation.npz",
        "images": seen("test")(wildcards),
        "base": f"{home}base/sigma{wildcards.sigma}.safetensors",
        "surrogate": f"{home}surrogates/sigma{wildcards.sigma}/resnet{getattr(settings, 'depth', 0)}.safetensors",
    }
    return {
        need: files[need] for need in of(wildcards).certifier(wildcards.method).NEEDS
    }


def seen(split=None):
    """The images that an experiment sees, of one split or of the wildcard's: their embeddings where it names some."""

    def file(wildcards):
        folder, home = f"{R}/data", embedder(EXPERIMENTS, wildcards.home)
        if home:
            (sigma,) = EXPERIMENTS[home].sigmas
            folder = f"{R}/{home}embeddings/sigma{sigma}"
        return f"{folder}/{split or wildcards.split}.npz"

    return file


def backbone(wildcards):
    """The weights of the network that embeds an experiment's images, where one does."""
    home = embedder(EXPERIMENTS, wildcards.home)
    if not home:
        return {}
    (sigma,) = EXPERIMENTS[home].sigmas
    return {"backbone": f"{R}/{home}base/sigma{sigma}.safetensors"}


def timed(wildcards):
    """The networks whose certificates are timed: the base and its surrogates, or a backbone and the head behind it."""
    made, home = of(wildcards), f"{R}/{wildcards.home}"
    level = f"sigma{made.timing.sigma}"
    own = f"{home}base/{level}.safetensors"
    if made.embedding:
        return {"base": backbone(wildcards)["backbone"], "head": own}
    files = [f"{home}surrogates/{level}/resnet{n}.safetensors" for n in made.depths()]
    return {"base": own, "surrogates": files}


def start(wildcards):
    """The weights that training starts from, where an experiment names some."""
    initial, paper = of(wildcards).initial, Path(wildcards.home).parent
    file = f"{R}/{paper}/{initial}/base/sigma{wildcards.sigma}.safetensors"
    return {"initial": file} if initial else {}


def chosen(wildcards):
    """The sigmas that inputs have of their own, where a choice is named."""
    if not wildcards.choice:
        return {}
    way = re.fullmatch(r"-(\D+)\d+", wildcards.choice)[1]
    return {"sigmas": f"{R}/{wildcards.home}sigmas/sigma{wildcards.sigma}/{way}.npz"}


def evidence_of_table(wildcards):
    """What each table is made from, and nothing else."""
    if wildcards.paper:
        return evidence_of_paper(wildcards.paper, f"table{wildcards.table}")
    variance = [
        f"{R}/counts/sigma{sigma}/train-variance.npz" for sigma in CONFIG.sigmas
    ]
    return {
        "1": certificates(CONFIG.sigmas),
        "2": [f"{R}/timing.tsv"],
        "3": certificates(CONFIG.figure_sigmas),
        "4": variance,
        "5": variance,
        "6": certificates(CONFIG.figure_sigmas),
    }[wildcards.table]


def evidence_of_figure(wildcards):
    """What each figure is made from: the second is a drawing of the method."""
    if wildcards.paper:
        return evidence_of_paper(wildcards.paper, f"figure{wildcards.figure}")
    return {"1": [f"{R}/timing.tsv"], "2": [], "3": certificates(CONFIG.figure_sigmas)}[
        wildcards.figure
    ]


def reported(wildcards):
    """The numbers in print; of images of one's own, those of ImageNet if the paper has some."""
    name = f"resources/reported/{wildcards.paper}table{wildcards.table}"
    other = f"{name}_imagenet.csv"
    own = laid(wildcards).dataset.name == "imagefolder"
    return other if own and os.path.exists(other) else f"{name}.csv"


def evidence_of_paper(paper, shown):
    """What a table or a figure of a sister paper is made from: as its file in rules/ tells."""
    if shown not in EVIDENCE.get(paper, {}):
        raise WorkflowError(f"{paper}{shown}: the paper has no such table or figure")
    return EVIDENCE[paper][shown]()


def evidence_of_notebook(wildcards):
    """What each notebook reads: one tells the story of Table I, one explores a single image."""
    sigma = CONFIG.figure_sigmas[0]
    return {
        "table1": [
            f"{R}/table1.csv",
            f"{R}/table1.md",
            f"{R}/table6.csv",
            f"{R}/timing.tsv",
            *certificates(CONFIG.figure_sigmas),
        ],
        "image": [
            f"{R}/data/test.npz",
            f"{R}/counts/sigma{sigma}/test-selection.npz",
            f"{R}/counts/sigma{sigma}/test-estimation.npz",
            *certificates([sigma]),
        ],
    }[wildcards.notebook]


def untracked(section):
    """A section as flags that make no job run again: Snakemake does not track what is computed from `threads`.

    The number of threads changes the speed; the device, which changes the arithmetic, is a parameter of its own.
    """
    return lambda wildcards, threads: flags(section)


def fingerprint(wildcards):
    """Of the workflow that goes into the crate."""
    from accelerated_smoothing.provenance import release

    return release.fingerprint()
