# What the rules ask of the config: files, sizes, words.


def certificates(sigmas):
    return [
        f"{R}/certificates/sigma{sigma}/{method}.tsv"
        for sigma in sigmas
        for method in CONFIG.methods
    ]


def experiment(wildcards):
    """What was run, in words, for captions: tables and figures are not all of the same images."""
    data, timing = CONFIG.dataset, CONFIG.timing
    base = (
        "imported base classifiers"
        if CONFIG.checkpoints
        else f"base {CONFIG.base.arch}"
    )
    certified = "all test images" if data.test == ":" else f"test images [{data.test}]"
    timed = (
        f"sigma = {timing.sigma}, {timing.count} test images, {timing.repeats} repeats"
    )
    repeated = f"{counting('train', 'variance').images} training images, {CONFIG.variance.repeats} repeats"
    images = {
        "table2": timed,
        "figure1": f"sigma = {timing.sigma}",
        "table4": repeated,
        "table5": repeated,
    }
    shown = "".join(next(iter(wildcards.items()), ()))
    return f"{data.name}, {base}, N = {CONFIG.sampling.sizes[-1]}, {images.get(shown, certified)}, alpha = {CONFIG.alpha:g}"


def comparable():
    """Whether this is the paper's experiment, so that its numbers may be held against ours."""
    data = CONFIG.dataset
    return (
        data.name == "cifar10"
        and data.test == data.train == ":"
        and CONFIG.sampling.sizes[-1] == 100000
    )


@functools.cache
def counting(split, purpose):
    """The images, sizes and shards of one kind of counting."""
    return plan.counting(CONFIG, split, purpose)


def runtime(stage):
    """A time limit that grows with the attempt; `stage` is a name in the plan, in which wildcards may stand."""
    return lambda wildcards, attempt: attempt * LIMITS[stage.format(**wildcards)]


def evidence(wildcards):
    """The files that a method needs, by the names of its NEEDS."""
    settings = CONFIG.method(wildcards.method)
    files = {
        "selection": f"{R}/counts/sigma{wildcards.sigma}/test-selection.npz",
        "estimation": f"{R}/counts/sigma{wildcards.sigma}/test-estimation.npz",
        "images": f"{R}/data/test.npz",
        "surrogate": f"{R}/surrogates/sigma{wildcards.sigma}/resnet{getattr(settings, 'depth', 0)}.safetensors",
    }
    needs = certifier_module(CONFIG.methods[wildcards.method]["certifier"]).NEEDS
    return {need: files[need] for need in needs}


def evidence_of_table(wildcards):
    """What each table is made from, and nothing else."""
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
    return {"1": [f"{R}/timing.tsv"], "2": [], "3": certificates(CONFIG.figure_sigmas)}[
        wildcards.figure
    ]


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
