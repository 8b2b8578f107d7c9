"""How an input's own sigma is chosen, before anything is counted with it; one file a way.

A way is a module here with

- `Settings`: what the config's entry for it may say;
- `copies(settings, at)`: noisy copies of an image that go through the network at once;
- `passes(settings, at)`: those that do so in all, and those that go back, for the plan;
- `choose(forward, images, sigma, draw, margin, at, settings)`: sigmas [len(at), images], one row for each of the
  ascending numbers `at`, which count what the way has more or less of: steps, or samples.

Modules import torch inside of functions only: the workflow reads their settings, and does without it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    Forward = Callable[[torch.Tensor], torch.Tensor]  # [n, *shape] in [0, 1] to logits [n, classes]
    Draw = Callable[[int, int], torch.Tensor]  # of a step and n: standard noise [b, n, *shape], n draws of each image
    Margin = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # radii of p_A, p_B and sigma, all [b]
