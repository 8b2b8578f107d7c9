"""What trained surrogates predict, apart from their training, which runs no engine and draws no noise."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from accelerated_smoothing import models
from accelerated_smoothing.config.slices import spaced
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.predictions import Predictions
from accelerated_smoothing.data import Images
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.training import surrogate


def predictions(paths: Sequence[Path], images: Images, only_held_out: bool) -> Predictions:
    """Return what surrogates of one base classifier predict for images, in fp32 on the CPU.

    Args:
        paths: weight files of the surrogates.
        images: of one split.
        only_held_out: take only those images that no surrogate was trained on. The images must then be all that were
            counted.

    Raises:
        InputError: the surrogates belong to different base classifiers or have different holdouts, one depth comes
            twice, or no image was held out.
    """
    if only_held_out and images.meta["split"] != "train":
        raise InputError(f"--held-out must go with images of the train split, got {images.meta['split']}")
    loaded = [models.load(path, "surrogate", images.meta) for path in paths]
    first = loaded[0][1]
    for path, (_, description) in zip(paths, loaded, strict=True):
        for key in (*surrogate.SHARED, "holdout"):
            if description[key] != first[key]:
                raise InputError(f"{path}: {key} must be that of {paths[0]}, {first[key]}, got {description[key]}")
    depths = np.array([int(description["arch"].removeprefix("resnet")) for _, description in loaded])
    if len(np.unique(depths)) < len(depths):
        raise InputError(f"SURROGATES must have distinct depths, got {', '.join(map(str, depths))}")
    if only_held_out:
        rows = np.flatnonzero(spaced(len(images.idx), first["holdout"]))
        if not len(rows):
            raise InputError(f"{paths[0]} must leave out images, got holdout {first['holdout']} of {len(images.idx)}")
        images = images.take(rows)
    h, seconds = [], []
    order = np.argsort(depths)
    for i in order:
        pixels = images.pixels()
        engine = engines.build(loaded[i][0], pixels.shape[1:], device=torch.device("cpu"), draws=len(pixels))
        engine.logits(torch.from_numpy(pixels[:1]))  # compiling is not counted
        begun = time.perf_counter()
        h.append(surrogate.predict(engine, pixels))
        seconds.append((time.perf_counter() - begun) / len(pixels))
    surrogates = [{key: loaded[i][1].get(key) for key in surrogate.TRAINING} for i in order]
    meta = {
        **{key: first[key] for key in surrogate.SHARED},
        "surrogates": surrogates,
        "split": images.meta["split"],
        "held_out": only_held_out,
    }
    return Predictions(
        images.idx, images.labels, np.sort(depths), np.stack(h), np.array(seconds), {"kind": "predictions", **meta}
    )
