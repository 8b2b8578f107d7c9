"""Training: the base classifier f in one of several ways (`ways/`, `base`), and the surrogate h (`surrogate`).

Both use the loop in `loop`.
"""

from typing import TYPE_CHECKING, Any, Protocol

from accelerated_smoothing import registry

if TYPE_CHECKING:  # the workflow reads settings without torch, which is slow to import
    import torch

    from accelerated_smoothing.config import Base
    from accelerated_smoothing.training.smoothed import Smoothed

PLUGINS = {"way": "training.ways"}


class Way(Protocol):
    """What a module in `ways/` offers. It imports torch in its functions alone.

    A way that learns from a teacher offers `lessons(settings)`, too: how many noisy copies of an image the teacher
    predicts in one step. If it learns from a teacher at each noise level up to its own, it has LEVELS = True.
    """

    @property
    def Settings(self) -> "type[Base]":  # noqa: N802
        """A `config.Base` with the way's own fields and their defaults."""

    def passes(self, settings: Any) -> int:
        """Return how many copies of an image go forward and backward through the network in one step."""

    def loss(
        self,
        f: "Smoothed",
        images: "torch.Tensor",
        labels: "torch.Tensor",
        sigma: "torch.Tensor",
        settings: Any,
    ) -> "torch.Tensor":
        """Return the mean loss over a batch, to be differentiated with respect to the weights.

        Args:
            f: the network, its noise and its radius.
            images: [b, *shape] in [0, 1].
            labels: [b].
            sigma: [b] scale of each image's noise.
            settings: of the way.
        """


def way(name: str) -> Way:
    """Return the way of training of this name.

    Raises:
        InputError: `name` is not the name of a way of training.
    """
    module: Way = registry.load("training.ways", name, "training")
    return module
