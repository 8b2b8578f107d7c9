"""Certificates that are made online: methods run as in a replay, but draws are made when they ask for them."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from accelerated_smoothing import models
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.online import Online
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256, write_text


def measure(
    evidence: Evidence,
    methods: Mapping[str, tuple[Any, Any]],
    base: Path,
    output: Path,
    *,
    count: int,
    precision: str,
    device: torch.device,
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
        precision, device: of f's passes.

    Raises:
        InputError: f is not the classifier that was counted, or counts in another arithmetic.
    """
    stored, images = evidence.stored, evidence.images
    assert images is not None
    if sha256(base) != stored.meta["base"]:
        raise InputError(f"{base} must be the classifier that was counted, got another")
    model, _ = models.load(base, "base", images.meta)
    some = np.arange(min(count, len(stored.idx))) * len(stored.idx) // min(count, len(stored.idx))
    part = evidence.take(some)
    pixels = images.take(some).pixels()
    engine = engines.build(model, pixels.shape[1:], device=device, precision=precision)
    if engine.arithmetic != stored.meta["arithmetic"]:
        raise InputError(f"--device must count as {stored.meta['arithmetic']}, got {engine.arithmetic}")
    engine.logits(torch.from_numpy(pixels[:1]))  # compiling is not counted
    rows = []
    for name, (method, settings) in methods.items():
        replayed = method.certify(part, settings)  # what does not depend on images is computed before the clock starts
        online = Online(
            engine,
            pixels,
            part.stored.sigmas,
            stored.sizes,
            stored.meta["seed"],
            classes=stored.counts.shape[2],
            idx=part.stored.idx,
            purpose=stored.meta["purpose"],
            noise=stored.meta["noise"],
        )
        begun = time.perf_counter()
        made = method.certify(replace(part, estimation=online), settings)
        took = time.perf_counter() - begun
        before = made["time"] - online.seconds_of(np.arange(len(some)), len(stored.sizes) - 1)
        same = made.drop(columns="time").equals(replayed.drop(columns="time"))
        rows.append(
            {
                "sigma": stored.sigma,
                "method": name,
                "images": len(some),
                "passes": made["passes"].mean(),
                "seconds": took / len(some) + before.mean(),
                "same": int(same),
                "arithmetic": engine.arithmetic,
            }
        )
    write_text(output, pd.DataFrame(rows).to_csv(sep="\t", index=False))
