"""Figure 6: images under noise of the fixed sigma and of the sigma_x that Algorithm 1 chooses (section 4.5)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib.figure
import numpy as np
import pandas as pd

from accelerated_smoothing import analysis, data
from accelerated_smoothing.analysis import style
from accelerated_smoothing.analysis.items import Figure
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent

TITLE = f"Figure 6 of {data_dependent.NAME}: images under noise of the fixed σ, and of a σₓ of their own"
KINDS = ["cohen", "ascent"]
WANTED = dict.fromkeys(data_dependent.GAUSSIAN, KINDS)
SEED = 0  # of the noise


def inputs(run: Run) -> list[str]:
    """Return the images, then the logs `cohen` and the longest `ascent<K>` at the largest sigma."""
    home = f"{data_dependent.FOLDER}/cohen/"
    methods = ["cohen", data_dependent.ascents(run, home)[-1]]
    return [run.images("test"), *run.certificates(home, run.config(home).figure_sigmas[-1:], methods)]


def load(paths: Sequence[Path]) -> tuple[Images, pd.DataFrame]:
    """Read the images, which come first, and return them with the `pairs` of the logs.

    Raises:
        InputError: as `data_dependent.read_logs`; several experiments; not one log `cohen` and one `ascent<K>` at each
            sigma; logs of other images; or no image that is certified correctly by both.
    """
    if len(paths) < 3:
        raise InputError(f"INPUT must be images, then logs by cohen and ascent<K>, got {len(paths)} files")
    images = data.read(paths[0])
    logs = data_dependent.read_logs(paths[1:], WANTED)
    experiment = data_dependent.one_experiment(logs)
    fixed, chosen = (data_dependent.settings(logs, experiment, kind) for kind in KINDS)
    if [sigma for sigma, _ in fixed] != [sigma for sigma, _ in chosen]:
        names = ", ".join(map(analysis.words, analysis.groups(logs)))
        raise InputError(f"the certificates must be one cohen and one ascent<K> at each sigma, got {names}")
    both = pairs(list(fixed.values()), list(chosen.values()))
    if both.empty:
        raise InputError("at least one image must be certified correctly under both sigmas, got none")
    idx = both["idx"].to_numpy()
    if idx.max() >= len(images.idx) or not np.array_equal(images.labels[idx], both["label"]):
        raise InputError(f"{paths[0]} must be the certified images of {paths[1]}, got others")
    return images, both


def pairs(fixed: list[pd.DataFrame], chosen: list[pd.DataFrame]) -> pd.DataFrame:
    """Return rows for all images that are certified correctly under both sigmas, the largest decrease of sigma first.

    Args:
        fixed: logs with the fixed sigma.
        chosen: logs with each image's own sigma, in the same order.

    Returns:
        idx, label, sigma_fixed, radius_fixed, sigma_own, radius_own.
    """
    parts = []
    for one, other in zip(fixed, chosen, strict=True):
        joined = one.merge(other, on=["idx", "label"], suffixes=("_fixed", "_own"))
        correct = (joined["correct_fixed"] == 1) & (joined["correct_own"] == 1)
        parts.append(joined[correct])
    columns = ["idx", "label", "sigma_fixed", "radius_fixed", "sigma_own", "radius_own"]
    both = pd.concat(parts, ignore_index=True)[columns]
    return both.iloc[(both["sigma_own"] - both["sigma_fixed"]).argsort(kind="stable")].reset_index(drop=True)


def draw(loaded: tuple[Images, pd.DataFrame], settings: analysis.Settings, caption: str) -> matplotlib.figure.Figure:
    """Draw two rows, the largest decrease of sigma and the largest increase: clean, under sigma, and under sigma_x."""
    images, both = loaded
    text = (
        f"{TITLE}. {caption}. {len(both)} pairs of an image and a σ are certified correctly with both σ and σₓ. Top: "
        "the smallest σₓ - σ. Bottom: the largest. Both noisy images of a row use the same draw; pixels are clipped to "
        f"[0, 1]. r: certified radius. {data_dependent.MEMORY}"
    )
    figure = style.figure(6, 5.6, text)
    grid = figure.subplots(2, 3)
    noise = np.random.default_rng(SEED).standard_normal((2, *images.images.shape[1:]))
    for axes, draw, (_, row) in zip(grid, noise, both.iloc[[0, -1]].iterrows(), strict=True):
        clean = images.pixels()[int(row["idx"])]
        pictures = {
            f"image {row['idx']:.0f}, class {row['label']:.0f}": clean,
            f"σ = {row['sigma_fixed']:.3g}\nr = {row['radius_fixed']:.3g} (sound)": clean + row["sigma_fixed"] * draw,
            f"σₓ = {row['sigma_own']:.3g}\nr = {row['radius_own']:.3g} (memory)": clean + row["sigma_own"] * draw,
        }
        for panel, (title, pixels) in zip(axes, pictures.items(), strict=True):
            channels_last = pixels.clip(0, 1).transpose(1, 2, 0)
            panel.imshow(channels_last if len(pixels) == 3 else channels_last[:, :, 0], "gray", vmin=0, vmax=1)
            panel.set_title(title)
            panel.axis("off")
    return figure


def words(loaded: tuple[Images, pd.DataFrame], settings: analysis.Settings) -> str:
    """Return what the figure shows."""
    _, both = loaded
    rows = [
        f"image {row['idx']:.0f} with σ = {row['sigma_fixed']:.3g}, radius {row['radius_fixed']:.3g} (sound), and with "
        f"σₓ = {row['sigma_own']:.3g}, radius {row['radius_own']:.3g} (memory)"
        for _, row in both.iloc[[0, -1]].iterrows()
    ]
    return f"Two rows of three pictures, clean, under σ and under σₓ: {'; '.join(rows)}."


FIGURES = {
    "figure6": Figure(title=TITLE, inputs=inputs, load=load, draw=draw, words=words, caption=data_dependent.caption)
}
