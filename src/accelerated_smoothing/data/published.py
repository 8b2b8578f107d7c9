"""Certification logs that others published, from which counts can be simulated. They are read, and not distributed."""

from pathlib import Path

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.files import sha256

REPOSITORY = "github.com/locuslab/smoothing"  # Cohen et al. 2019: ResNet-110 on CIFAR-10, every 20th test image
ALPHA, N = 0.001, 100_000
HASHES = {
    0.12: "a1587fd0f8bdbbe0a75baf2d8a10ffc29f920dbdab2f6d614c0b0af97595c7ee",
    0.25: "6b4e0247f027b2dc3ad0cef43cb6d463e67c15fceb9a3f94a62e02b209b3fed3",
    0.5: "71a062b786eab25779290a7a5c7670aad18590fd6940b1fb240db50f4e66e3b7",
    1.0: "a1d3f7731901cb7116f62993f7d79765d16191151a5c8a9a234dde7c9b8f3f82",
}


def log(folder: Path, sigma: float) -> Path:
    """Return where the log of a noise level is expected, such as folder/sigma_0.25.tsv."""
    return folder / f"sigma_{sigma:.2f}.tsv"


def advice(folder: Path, sigma: float) -> str:
    """Return how to get the log of a noise level; "" if its file exists.

    Raises:
        InputError: nobody published a log of this sigma.
    """
    if sigma not in HASHES:
        raise InputError(f"sigmas must be among {list(HASHES)}, those of the published logs, got {sigma}")
    path = log(folder, sigma)
    source = f"data/certify/cifar10/resnet110/noise_{sigma:.2f}/test/sigma_{sigma:.2f}"
    missing = f"{path}: no such file; copy {source} of {REPOSITORY} there (SHA-256 {HASHES[sigma]})"
    return "" if path.is_file() else missing


def check(path: Path, sigma: float) -> None:
    """Check that a file is the published one.

    Raises:
        InputError: it is another file.
    """
    if (actual := sha256(path)) != HASHES.get(sigma):
        raise InputError(f"{path} must be the published log, with SHA-256 {HASHES.get(sigma)}, got {actual}")
