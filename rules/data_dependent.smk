# Data-dependent randomized smoothing (Alfarra et al. 2022): what its tables and figures are made from.
DATA_DEPENDENT = "data-dependent/"


def fixed(method):
    return method == "cohen"


def ascent(method):
    return method.startswith("ascent")


def against(base):
    """A fixed sigma and chosen ones for one base classifier, and chosen ones for one trained with chosen ones."""
    return lambda: [
        *of_experiments(
            DATA_DEPENDENT, [base], lambda method: fixed(method) or ascent(method)
        ),
        *of_experiments(DATA_DEPENDENT, [f"{base}-ds"], ascent),
    ]


def pictures():
    """The images, and the certificates that tell their sigmas."""
    made = EXPERIMENTS[f"{DATA_DEPENDENT}cohen/"]
    sigma = made.figure_sigmas[-1]
    longest = f"ascent{made.chosen()['ascent'][-1]}"
    folder = f"{R}/{DATA_DEPENDENT}cohen/certificates/sigma{sigma}"
    return [
        f"{R}/data/test.npz",
        f"{folder}/cohen.tsv",
        f"{folder}/{longest}.tsv",
    ]


EVIDENCE[DATA_DEPENDENT] = {
    "table1": against("cohen"),
    "table2": against("smoothadv"),
    "table3": against("macer"),
    "table4": lambda: of_experiments(
        DATA_DEPENDENT, ["yang"], lambda method: fixed(method) or ascent(method)
    ),
    "table5": lambda: of_experiments(
        DATA_DEPENDENT,
        ["smoothadv", "macer", "yang"],
        lambda method: not method.startswith(("ascent", "grid")),
    ),
    "figure3": against("cohen"),
    "figure4": against("smoothadv"),
    "figure5": against("macer"),
    "figure6": pictures,
    "figure7": lambda: of_experiments(
        DATA_DEPENDENT,
        ["smoothadv", "smoothadv-ds"],
        lambda method: fixed(method) or ascent(method),
    ),
    "figure8": lambda: of_experiments(
        DATA_DEPENDENT,
        ["smoothadv"],
        lambda method: fixed(method)
        or method.startswith("grid")
        or method
        == f"ascent{EXPERIMENTS[f'{DATA_DEPENDENT}smoothadv/'].chosen()['ascent'][0]}",
    ),
}
