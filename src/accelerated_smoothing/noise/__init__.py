"""The noise under which a classifier is smoothed: the randomness contract, and the distributions.

**The contract.** Draw j of image i comes from Philox4x32-10 (Salmon et al. 2011) with the counters (quad, j, i, 0) and
a key that is a hash of (seed, purpose). No state passes from one draw to the next, so batches, shards and restarts
change nothing. An image with d pixels and channels takes ceil(d/4) quads. Quad q makes the elements q, q + quads,
q + 2 quads and q + 3 quads, counted channel by channel and row by row, from its four words. A distribution turns words
0 and 1 into the first two of these elements, and words 2 and 3 into the others.

**On a CPU** (`philox.py`), only operations are used that IEEE 754 rounds in one way: no fused multiply-add and no
library function. So every CPU makes the same bits. **On a GPU** (`triton.py`), the words are the same, and the
logarithm, sine and cosine are those of the device. The logarithm takes 31 bits, never 0. This truncates normal
variables at 6.66 (one in 4e10 exceeds it) and Laplace variables at 22.2 (one in 4e9). Uniform noise has 23 bits and
lies within (-1, 1).

**A distribution** is one file in `distributions/`. It has a scale (sigma of the Gaussian, lambda of the uniform, b of
the Laplace distribution), in pixels of [0, 1], which may differ between images (Alfarra et al. 2022).
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from accelerated_smoothing import registry

if TYPE_CHECKING:  # certifiers need no torch, which is slow to import
    import torch

PLUGINS = {"noise": "noise.distributions"}
LIMIT = 2**32  # one word of the counter names an image, and another one a draw


class Distribution(Protocol):
    """What a module in `distributions/` offers.

    Such a module imports neither torch, numba nor Triton, since certifiers load it for `radius` alone. Its two
    `transform` functions are plain Python, which `philox.py` and `triton.py` compile together with the plain functions
    that they call.

    Attributes:
        NORM: "l1" or "l2", the norm of the certified ball.
    """

    NORM: str

    def radius(self, p_lower: ArrayLike, scale: ArrayLike) -> np.ndarray:
        """Return the certified radii, in pixels of [0, 1].

        Args:
            p_lower: lower bounds of the top class's probability. Every other class has at most 1 - p_lower.
            scale: of the noise; its shape broadcasts with that of `p_lower`.

        Returns:
            The radii; 0 where p_lower <= 1/2.
        """

    def margin(self, p_a: "torch.Tensor", p_b: "torch.Tensor", scale: "torch.Tensor | float") -> "torch.Tensor":
        """Return the radius from the probabilities of a class and of the best other class, with gradients.

        It is negative where p_a < p_b, and equal to `radius` where p_b = 1 - p_a.
        """

    def standard(self, shape: Sequence[int], random: "torch.Generator", device: "torch.device") -> "torch.Tensor":
        """Return independent float32 elements at scale 1, for training."""

    def transform(self, words: np.ndarray, out: np.ndarray, scratch: np.ndarray, n: int) -> None:
        """Turn words into standard noise on a CPU.

        Args:
            words: [4, m] uint32, of which the first n columns are used.
            out: [4, m] float32, of which the first n columns are written.
            scratch: [2, m] float32 to work in.
            n: number of quads.
        """

    def transform_on_gpu(self, a: Any, b: Any) -> tuple[Any, Any]:
        """Turn two blocks of words into two blocks of standard noise on a GPU; `tl` is Triton's language."""


def distribution(name: str) -> Distribution:
    """Return the distribution of this name.

    Raises:
        InputError: `name` is not the name of a distribution.
    """
    module: Distribution = registry.load("noise.distributions", name, "noise")
    return module


def key(seed: int, purpose: str) -> np.ndarray:
    """Return the two words [2] uint32 of Philox's key for a seed and a purpose."""
    return np.frombuffer(hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest(), "<u4")
