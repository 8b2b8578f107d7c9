# What the rules ask of the config: files, sizes, words.


def certificates(sigmas):
    return [
        f"{R}/certificates/sigma{sigma}/{method}.tsv"
        for sigma in sigmas
        for method in CONFIG.methods
    ]


def experiment(wildcards):
    """What was run, in words, for captions."""
    data, n = CONFIG.dataset, CONFIG.sampling.sizes[-1]
    return f"{data.name}, base {CONFIG.base.arch}, N = {n}, test images [{data.test}], alpha = {CONFIG.alpha:g}"


def sizes(split, purpose):
    """The nested sample sizes of one kind of counting."""
    n = CONFIG.sampling.sizes[-1]
    if split == "train":
        return [CONFIG.train_samples]
    return {
        "estimation": CONFIG.sampling.sizes,
        "selection": [CONFIG.n0],
        "variance": [n * repeat for repeat in range(1, CONFIG.variance.repeats + 1)],
    }[purpose]


def shards(split, purpose):
    """Into how many jobs it is cut; the draws that select are too few to be worth it."""
    return getattr(CONFIG.shards, split) if purpose == "estimation" else 1


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
    variance = [f"{R}/counts/sigma{sigma}/test-variance.npz" for sigma in CONFIG.sigmas]
    return {
        "1": certificates(CONFIG.sigmas),
        "2": [f"{R}/timing.tsv"],
        "3": certificates(CONFIG.figure_sigmas),
        "4": variance,
        "5": variance,
        "6": certificates(CONFIG.figure_sigmas),
    }[wildcards.number]


def evidence_of_figure(wildcards):
    """What each figure is made from: the second is a drawing of the method."""
    return {"1": [f"{R}/timing.tsv"], "2": [], "3": certificates(CONFIG.figure_sigmas)}[
        wildcards.number
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
