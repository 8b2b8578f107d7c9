"""A noise level for each image: ways of choosing it (`ways/`), whole splits (`choosing`), and the file (`chosen`)."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from accelerated_smoothing import registry

if TYPE_CHECKING:  # the plan of a config needs no torch, which is slow to import
    import torch

    from accelerated_smoothing.config import Section

    Forward = Callable[[torch.Tensor], torch.Tensor]  # [n, *shape] in [0, 1] to logits [n, classes]
    Draw = Callable[[int, int], torch.Tensor]  # step and n to standard noise [b, n, *shape], n draws of each image
    Margin = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # p_A, p_B and sigma to radii, all [b]

PLUGINS = {"chooser": "sigmas.ways"}


class Way(Protocol):
    """What a module in `ways/` offers. It imports torch in its functions alone.

    If a module sets `REFERENCE`, its `choose` also gets the training images, `train` [n, *shape] in [0, 1].
    """

    @property
    def Settings(self) -> "type[Section]":  # noqa: N802
        """Its section of the config."""

    def copies(self, settings: Any, at: list[int]) -> int:
        """Return how many noisy copies of an image go through the network at once."""

    def passes(self, settings: Any, at: list[int]) -> int:
        """Return how many passes of the network an image takes, forward and backward."""

    def choose(
        self,
        forward: "Forward",
        images: "torch.Tensor",
        sigma: "torch.Tensor",
        draw: "Draw",
        margin: "Margin",
        at: list[int],
        settings: Any,
    ) -> "torch.Tensor":
        """Return sigmas [len(at), b].

        Args:
            forward: the network in evaluation mode.
            images: [b, *shape] in [0, 1].
            sigma: [b] where the choice starts.
            draw: noise at scale 1.
            margin: the certified radius.
            at: ascending numbers of steps or samples; one row of the result for each.
            settings: of the way.
        """


def way(name: str) -> Way:
    """Return the way of choosing of this name.

    Raises:
        InputError: `name` is not the name of a way of choosing.
    """
    module: Way = registry.load("sigmas.ways", name, "chooser")
    return module
