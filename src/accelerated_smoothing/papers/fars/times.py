"""Table 4: what a certificate costs when the whole network is sampled, and when only the head is. Not in the paper."""

import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import captions, fars
from accelerated_smoothing.papers.accelerated_smoothing import times

METHODS = ["cohen", "embedded"]


def caption(run: Run) -> str:
    """Return what was run, in words."""
    config, head = run.paper(fars.FOLDER), run.config(fars.home("mlp"))
    return captions.join(config, f"{captions.base(config)}, head {head.base.arch}", captions.timed(head))


def make(timings: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return one row per N: CERTIFY with noise on the image, with noise on its embedding, and the ratio of the times.

    Both are whole certificates, from the image to the radius. The second includes the backbone.

    Raises:
        InputError: the timings are of other methods.
    """
    methods = timings["method"].unique().tolist()
    if sorted(methods) != METHODS:
        raise InputError(f"the methods of the timings must be cohen and embedded, got {', '.join(methods)}")
    medians = timings.groupby(["n", "method"])["seconds"].median().unstack() * 1000
    table = medians[METHODS].assign(ratio=medians["cohen"] / medians["embedded"])
    return table.rename_axis(index="N", columns=None).reset_index()


TABLES = {
    "table4": Table(
        note="Milliseconds for one whole certificate, from the image to its radius: cohen adds noise to the image, and "
        "embedded to its embedding, after one pass of the backbone. This table is not in the paper.",
        title="Table 4: time per certificate in milliseconds, median, sampling the whole network or the head",
        keys=["N"],
        inputs=lambda run: [run.timing(fars.home("mlp"))],
        files=1,
        load=times.load,
        make=make,
        resample=times.resample,
        caption=caption,
        comparable=fars.comparable,
        reported="fars/table4.csv",
    )
}
