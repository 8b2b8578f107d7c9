"""Certificates that are made online: methods run as in a replay, but draws are made when they ask for them."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import models
from accelerated_smoothing.certify import log
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.config import Passes
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.counts import Counts
from accelerated_smoothing.counting.engines import Engine
from accelerated_smoothing.counting.online import ARRAYS, Online
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_text
from accelerated_smoothing.progress import Checkpoint, partial


def measure(
    evidence: Evidence,
    methods: Mapping[str, tuple[Any, Any]],
    base: Path,
    output: Path,
    *,
    count: int,
    passes: Passes,
    device: torch.device,
    kernels: str | None = None,
) -> None:
    """Certify some images by each method online and from stored counts, and write what it took.

    Args:
        evidence: complete, with stored counts.
        methods: module and settings by name.
        base: weight file of f.
        output: TSV with a row per method: sigma, method, images, passes (mean), seconds (mean time of a certificate,
            its selection, pilot and surrogate included), same (whether online and stored certificates agree),
            arithmetic.
        count: number of images, evenly spaced; all are certified together.
        passes, device, kernels: how f runs, see `engines.build`.

    Raises:
        InputError: f is not the classifier that was counted, or counts in another arithmetic.
    """
    stored, images = evidence.stored, evidence.images
    assert images is not None
    chosen = np.arange(min(count, len(stored.idx))) * len(stored.idx) // min(count, len(stored.idx))
    part = evidence.take(chosen)
    assert part.images is not None
    pixels = part.images.pixels()
    engine = _engine(base, stored, pixels, images.meta, passes, device, kernels)
    rows = []
    for name, (method, settings) in methods.items():
        replayed = method.certify(part, settings)  # what does not depend on images is computed before the clock starts
        online = _online(engine, pixels, part.stored, stored.sizes)
        begun = time.perf_counter()
        table = method.certify(replace(part, estimation=online), settings)
        took = time.perf_counter() - begun
        seconds_before = table["time"] - online.seconds_of(np.arange(len(chosen)), len(stored.sizes) - 1)
        same = table.drop(columns="time").equals(replayed.drop(columns="time"))
        rows.append(
            {
                "sigma": stored.sigma,
                "method": name,
                "images": len(chosen),
                "passes": table["passes"].mean(),
                "seconds": took / len(chosen) + seconds_before.mean(),
                "same": int(same),
                "arithmetic": engine.arithmetic,
            }
        )
    write_text(output, pd.DataFrame(rows).to_csv(sep="\t", index=False))


def certify(
    evidence: Evidence,
    method: Any,
    settings: Any,
    sizes: Sequence[int],
    base: Path,
    output: Path,
    *,
    passes: Passes,
    device: torch.device,
    kernels: str | None = None,
    code: str,
) -> None:
    """Certify images by one method and write the certificates. Draws are made when the method asks for them.

    A run that was stopped goes on from what is saved.

    Args:
        evidence: complete but for the estimation counts.
        method: its module.
        settings: of the method.
        sizes: ascending nested numbers of draws, at which the method may look.
        base: weight file of f.
        output: certificates, TSV.
        passes, device, kernels: how f runs, see `engines.build`.
        code: digest of the code; unfinished work of other code is not continued.

    Raises:
        InputError: f is not the classifier of the other evidence, or counts in another arithmetic.
    """
    selection, images = evidence.selection, evidence.images
    assert selection is not None
    assert images is not None
    pixels = images.pixels()
    engine = _engine(base, selection, pixels, images.meta, passes, device, kernels)
    identity = {  # of the draws: those that are saved serve any method and any plan
        **{key: selection.meta[key] for key in ("base", "sigma", "noise", "seed", "dataset", "split", "arithmetic")},
        **{"idx": selection.idx.tolist(), "sizes": list(sizes)},
        **{"images": hashlib.sha256(images.images.tobytes()).hexdigest(), "build": engine.build, "code": code},
    }
    checkpoint = Checkpoint(partial(output), identity, list(ARRAYS))
    expected = round(len(pixels) * getattr(settings, "budget", sizes[-1]))
    with _online(engine, pixels, selection, sizes, checkpoint=checkpoint, show=True, expected=expected) as online:
        certificates = method.certify(replace(evidence, estimation=online), settings)
        online.finish()
    log.write(output, certificates)
    checkpoint.clear()


def _engine(
    base: Path,
    counts: Counts,
    pixels: np.ndarray,
    about: Mapping[str, Any],
    passes: Passes,
    device: torch.device,
    kernels: str | None,
) -> Engine:
    """Return the engine of a base classifier that was counted, compiled.

    Raises:
        InputError: f is another classifier, or it counts in another arithmetic here.
    """
    if sha256(base) != counts.meta["base"]:
        raise InputError(f"{base} must be the classifier that was counted, got another")
    model, _ = models.load(base, "base", dict(about))
    engine = engines.build(
        model,
        pixels.shape[1:],
        device=device,
        precision=passes.precision,
        batch_size=passes.batch_size,
        kernels=kernels,
    )
    if engine.arithmetic != counts.meta["arithmetic"]:
        raise InputError(
            "--device, --precision, --batch-size and --kernels must count as "
            f"{counts.meta['arithmetic']}, got {engine.arithmetic}"
        )
    engine.logits(torch.from_numpy(pixels[:1]))  # compiling is not counted
    return engine


def _online(
    engine: Engine, pixels: np.ndarray, like: Counts, sizes: Sequence[int] | np.ndarray, **options: Any
) -> Online:
    """Return estimation counts of the images of other counts, with their seed and noise; nothing is drawn yet."""
    return Online(
        engine,
        pixels,
        like.sigmas,
        sizes,
        like.meta["seed"],
        classes=like.counts.shape[2],
        idx=like.idx,
        noise=like.meta["noise"],
        **options,
    )
