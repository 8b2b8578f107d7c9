"""Table 3: every paragraph of the survey, with the row of tables 1 and 2 that answers it, or why there is none."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from accelerated_smoothing import analysis
from accelerated_smoothing.analysis.items import Table
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.papers import survey as paper

KEYS = ["section", "works"]
COHEN = paper.COHEN


class Paragraph(NamedTuple):
    """What the survey says in one place.

    Attributes:
        section: of the survey.
        works: that it speaks of.
        classifier, method: the row that answers it; "" for none.
        note: what the row is, or why there is none, with the source.
    """

    section: str
    works: str
    classifier: str
    method: str
    note: str


GAUSSIAN = "gaussian"
PARAGRAPHS = (
    Paragraph("1.1", "Cohen et al. 2019", GAUSSIAN, COHEN, "the procedure that all others are compared with"),
    Paragraph("2.1", "Pfrommer et al. 2023", "projected", COHEN, "noise on principal components"),
    Paragraph("2.1", "Li et al. 2022 (DSRS)", "", "", "not built: a second distribution doubles the draws"),
    Paragraph("2.2", "Horvath et al. 2022 (ACES)", "", "", "not built: dual, whose second level certifies radius 0"),
    Paragraph("2.2", "Dual Randomized Smoothing 2025", GAUSSIAN, "dual", "a smoothed router chooses the noise, sound"),
    Paragraph("2.2", "Jeong and Shin 2024", GAUSSIAN, "cascade", "noise by input, sound"),
    Paragraph("2.3", "Chen et al. 2022 (ISS)", GAUSSIAN, "iss", "draws by input, sound"),
    Paragraph("2.3", "Ugare et al. 2024 (IRS)", GAUSSIAN, "irs", "rounded weights, by the counts of the original"),
    Paragraph("2.3", "Accelerated Smoothing 2024", GAUSSIAN, "surrogate", "one pass of a surrogate, estimated"),
    Paragraph("2.3", "plans by a surrogate", GAUSSIAN, "planned", "ours: the surrogate plans the draws, sound"),
    Paragraph("3.1", "Cohen et al. 2019, without noise", "clean", COHEN, "what smoothing is without its training"),
    Paragraph("3.1", "Salman et al. 2019 (SmoothAdv)", "smoothadv", COHEN, "training on adversaries under noise"),
    Paragraph("3.1", "Zhai et al. 2020 (MACER)", "macer", COHEN, "training on the radius"),
    Paragraph("3.1", "Jeong and Shin 2020", "consistency", COHEN, "training on agreement under noise"),
    Paragraph("3.1", "Jeong et al. 2021 (SmoothMix)", "smoothmix", COHEN, "training on mixtures with adversaries"),
    Paragraph("3.1", "Jeong et al. 2023 (CAT-RS)", "catrs", COHEN, "training by confidence"),
    Paragraph("3.1", "Vaishnavi et al. 2022 (CRT)", "crt", COHEN, "training on a teacher's logits"),
    Paragraph("3.2", "Salman et al. 2020", "denoised", COHEN, "a denoiser before a classifier trained without noise"),
    Paragraph("3.2", "Carlini et al. 2023", "", "", "needs a pretrained diffusion model; import it as a program"),
    Paragraph("3.3", "Levine et al. 2020, second order", "", "", "not built: ACR .5344 to .5355 in their own logs"),
    Paragraph("3.3", "Mohapatra et al. 2020", "", "", "not built: higher orders need more draws than they save"),
    Paragraph("3.4", "Horvath et al. 2022", "ensemble", COHEN, "mean logits of three"),
    Paragraph("3.4", "Horvath et al. 2022, consensus", "consensus", COHEN, "two of three if they agree"),
    Paragraph("3.4", "Liu et al. 2020 (SWEEN)", "sween", COHEN, "weighted softmaxes of three"),
    Paragraph("3.5", "Alfarra et al. 2022", GAUSSIAN, "ascent", "sigma by input; holds with a memory only"),
    Paragraph("3.5", "Kung and Chen 2023 (QCRS)", GAUSSIAN, "qcrs", "sigma by bisection; holds with a memory only"),
    Paragraph(
        "3.5", "Sukenik et al. 2022", GAUSSIAN, "idrs", "sigma that changes slowly, sound; falls with the dimension"
    ),
    Paragraph(
        "3.5", "Eiras et al. 2022 (ANCER)", "", "", "not built: certifies ellipsoids, which have no common radius"
    ),
    Paragraph("3.5", "Delattre et al. 2025 (CPM)", GAUSSIAN, "cpm", "not in the survey: a bound on the runner-up"),
)


def files(run: Run) -> list[str]:
    """Return the certificates of the rows that are named."""
    return [
        file
        for classifier, method in dict.fromkeys((each.classifier, each.method) for each in PARAGRAPHS)
        if (home := f"{paper.FOLDER}/{classifier}/") in run.experiments and method in run.methods(home)
        for file in run.certificates(home, methods=[method])
    ]


def make(logs: pd.DataFrame, settings: analysis.Settings) -> pd.DataFrame:
    """Return a row for each paragraph, with the ACR of its answer at each noise level."""
    groups = analysis.groups(logs)
    sigmas = sorted({key.sigma for key in groups})
    rows: list[dict[str, Any]] = []
    for each in PARAGRAPHS:
        home = f"{paper.FOLDER}/{each.classifier}"
        logs_by_sigma = {sigma: groups.get(analysis.Key(home, sigma, each.method)) for sigma in sigmas}
        certified = [log for log in logs_by_sigma.values() if log is not None]
        rows.append(
            {
                **each._asdict(),
                "guarantee": analysis.guarantee(certified[0]) if certified else "",
                "passes": float(np.mean([log["passes"].mean() for log in certified])) if certified else np.nan,
                **{
                    f"ACR {sigma:g}": np.nan if log is None else analysis.average_certified_radius(log)
                    for sigma, log in logs_by_sigma.items()
                },
            }
        )
    return pd.DataFrame(rows)


TABLES = {
    "table3": Table(
        title="Table 3: the survey's paragraphs, and the rows that answer them",
        note="Classifier and method: a row of tables 1 and 2; a paragraph without one says why. Passes: of one network "
        "for a certificate, the mean over noise levels. ACR: at each sigma.",
        keys=KEYS,
        inputs=files,
        load=analysis.read_logs,
        make=make,
        resample=analysis.resample_logs,
        caption=paper.caption,
        comparable=paper.comparable,
    )
}
