# FaRS: Fast Randomized Smoothing: what its tables and its figure are made from.
FARS = "fars/"
LAYERS = ["original", "lmt", "backbone"]


def margin(method):
    return method == "margin"


def variants():
    """What the paper compares, its future work, and the network as it was trained."""
    return of_experiments(FARS, [*LAYERS, "mlp"])


def attacked():
    """The same, and what attacks make of it."""
    return [
        *variants(),
        *(
            f"{R}/{FARS}{name}/attacks/sigma{sigma}.tsv"
            for name in [*LAYERS, "mlp"]
            for sigma in EXPERIMENTS[f"{FARS}{name}/"].sigmas
        ),
    ]


def beside():
    """What certifies best of each classifier, Cohen et al., and the main experiment."""
    return [
        *of_experiments(FARS, LAYERS, margin),
        *of_experiments(FARS, ["mlp", "cohen"]),
        *certificates(CONFIG.sigmas),
    ]


def at_one_sigma():
    """The same, at the largest noise level that all have that have noise."""
    sampled = [*(EXPERIMENTS[f"{FARS}{name}/"] for name in ("mlp", "cohen")), CONFIG]
    common = set.intersection(*(set(made.sigmas) for made in sampled))
    if not common:
        raise WorkflowError(
            f"{FARS}figure3: mlp, cohen and the main experiment have no sigma in common; one would do"
        )
    level = f"/sigma{max(common)}/"
    return [path for path in beside() if level in path or Path(path).stem == "margin"]


EVIDENCE[FARS] = {
    "table1": variants,
    "table2": attacked,
    "table3": beside,
    "table4": lambda: [f"{R}/{FARS}mlp/timing.tsv"],
    "figure3": at_one_sigma,
}
