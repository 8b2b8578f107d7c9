"""What was run, in words, for the captions of tables and figures: they do not all show the same images."""

from accelerated_smoothing.config import Config


def base(config: Config) -> str:
    """Return the base classifier in words."""
    return "imported base classifiers" if config.checkpoints else f"base {config.base.arch}"


def samples(config: Config) -> str:
    """Return the number of samples in words. Where the config itself samples nothing, some experiments of it may."""
    return f"N = {config.sampling.sizes[-1]}" + ("" if config.samples() else " where sampled")


def images(config: Config) -> str:
    """Return the certified images in words."""
    return "all test images" if config.dataset.test == ":" else f"test images [{config.dataset.test}]"


def timed(config: Config) -> str:
    """Return in words what was timed."""
    timing = config.timing
    return f"sigma = {timing.sigma}, {timing.count} test images, {timing.repeats} repeats"


def join(config: Config, *parts: str) -> str:
    """Return a caption: the data set, what the parts say, and alpha."""
    return ", ".join([config.dataset.name, *parts, f"alpha = {config.alpha:g}"])


def certified(config: Config) -> str:
    """Return the caption of what is made from certificates."""
    return join(config, base(config), samples(config), images(config))
