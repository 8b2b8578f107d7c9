"""Accelerated Smoothing: A Scalable Approach to Randomized Smoothing (arXiv 2402.07498): its tables and figures."""

from accelerated_smoothing.config import Config
from accelerated_smoothing.config.run import Run
from accelerated_smoothing.papers import captions

NAME = "Accelerated Smoothing"
FOLDER = ""


def caption(run: Run) -> str:
    """Return what was run, in words."""
    return captions.certified(run.config())


def comparable(run: Run) -> bool:
    """Return whether a run is the paper's experiment: all of CIFAR-10, N = 100,000, Gaussian noise, its training."""
    config, default = run.config(), Config()
    return is_papers(config) and all(
        getattr(config, name) == getattr(default, name) for name in ("base", "train_samples", "surrogate")
    )


def is_papers(config: Config) -> bool:
    """Return whether a config has the images, passes, confidence, noise and training of the papers on CIFAR-10."""
    data, default = config.dataset, Config()
    return (
        data.name == "cifar10"
        and data.test == data.train == ":"
        and (config.sampling.sizes[-1], config.n0, config.alpha) == (100000, default.n0, default.alpha)
        and config.sampling.precision == default.sampling.precision
        and config.training == config.noise == "gaussian"
    )
