"""Networks that others exported as programs: an ONNX file, or a file of torch.export.

Their architecture is known only to the file, so none is built here, and none can be trained.
"""

from typing import NoReturn

PATTERN = r"onnx|exported"
EXAMPLES = ""  # no config can ask for one by its name
LIPSCHITZ = False


def cost(arch: str) -> NoReturn:
    """Raise a ValueError: only the program's own rate is known, `shards.rate`."""
    raise ValueError(f"must be a network that can be trained, got {arch!r}; name a program in checkpoints")


def side(arch: str) -> None:
    """Return None: the program is asked when it is imported."""
