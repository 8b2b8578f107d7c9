"""Figure 6: images under noise of the fixed sigma and of the sigma_x that Algorithm 1 chooses (section 4.5)."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from accelerated_smoothing import analysis, data
from accelerated_smoothing.analysis import style
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.papers import data_dependent

TITLE = f"Figure 6 of {data_dependent.PAPER}: images under noise of the fixed σ, and of a σₓ of their own"
KINDS = ["cohen", "ascent"]
SEED = 0  # of the noise


def load(inputs: list[Path]) -> tuple[Images, pd.DataFrame]:
    """The images, which come first, and `pairs` of the logs, which are one experiment's.

    Raises:
        InputError: as `data_dependent.read_logs`; at some sigma not one log `cohen` and one `ascent<K>`; logs of other
            images; or no image that both certify rightly.
    """
    if len(inputs) < 3:
        raise InputError(f"INPUT: found {len(inputs)} files; images, then logs cohen and ascent<K> would do")
    images = data.read(inputs[0])
    logs = data_dependent.read_logs(inputs[1:], {(name, kind) for name in data_dependent.GAUSSIAN for kind in KINDS})
    experiments = {key.partition("/")[0] for _, key in logs}
    fixed, own = (data_dependent.settings(logs, min(experiments), kind) for kind in KINDS)
    if len(experiments) > 1 or [sigma for sigma, _ in fixed] != [sigma for sigma, _ in own]:
        there = ", ".join(f"{key} at sigma {sigma}" for sigma, key in logs)
        raise InputError(f"found {there}; of one experiment, cohen and one ascent<K> at each sigma would do")
    found = pairs(list(fixed.values()), list(own.values()))
    if found.empty:
        raise InputError("no image is certified rightly under both sigmas; logs of a better classifier would do")
    idx = found["idx"].to_numpy()
    if idx.max() >= len(images.idx) or not np.array_equal(images.labels[idx], found["label"]):
        raise InputError(f"{inputs[0]}: holds other images than {inputs[1]} is of; pass those that were certified")
    return images, found


def pairs(fixed: list[pd.DataFrame], own: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows for all images that are certified rightly under both sigmas, the largest decrease of sigma first.

    Returns:
        idx, label, sigma_fixed, radius_fixed, sigma_own, radius_own.
    """
    parts = []
    for one, other in zip(fixed, own, strict=True):
        joined = one.merge(other, on=["idx", "label"], suffixes=("_fixed", "_own"))
        right = (joined["correct_fixed"] == 1) & (joined["correct_own"] == 1)
        parts.append(joined[right])
    columns = ["idx", "label", "sigma_fixed", "radius_fixed", "sigma_own", "radius_own"]
    found = pd.concat(parts, ignore_index=True)[columns]
    return found.iloc[(found["sigma_own"] - found["sigma_fixed"]).argsort(kind="stable")].reset_index(drop=True)


def draw(loaded: tuple[Images, pd.DataFrame], settings: analysis.Settings, experiment: str) -> Figure:
    """Two rows, the largest decrease of sigma and the largest increase; clean, under sigma, and under sigma_x."""
    images, found = loaded
    caption = (
        f"{TITLE}. {experiment}. Of {len(found)} pairs of an image and a σ that are certified rightly under both, "
        "above the one with the least σₓ - σ and below the one with the greatest. Both noisy pictures of a row have "
        f"the same draw, times σ and times σₓ; pixels are cut to [0, 1]. r: certified radius. {data_dependent.MEMORY}"
    )
    figure = style.figure(6, 5.6, caption)
    grid = figure.subplots(2, 3)
    noise = np.random.default_rng(SEED).standard_normal((2, *images.images.shape[1:]))
    for axes, draw, (_, row) in zip(grid, noise, found.iloc[[0, -1]].iterrows(), strict=True):
        clean = images.pixels()[int(row["idx"])]
        shown = {
            f"image {row['idx']:.0f}, class {row['label']:.0f}": clean,
            f"σ = {row['sigma_fixed']:.3g}\nr = {row['radius_fixed']:.3g} (sound)": clean + row["sigma_fixed"] * draw,
            f"σₓ = {row['sigma_own']:.3g}\nr = {row['radius_own']:.3g} (memory)": clean + row["sigma_own"] * draw,
        }
        for panel, (title, pixels) in zip(axes, shown.items(), strict=True):
            channels_last = pixels.clip(0, 1).transpose(1, 2, 0)
            panel.imshow(channels_last if len(pixels) == 3 else channels_last[:, :, 0], "gray", vmin=0, vmax=1)
            panel.set_title(title)
            panel.axis("off")
    return figure
