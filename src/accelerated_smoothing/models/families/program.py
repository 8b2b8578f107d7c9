"""Networks that others exported as programs. They normalise the images themselves.

The weights of such a network are the bytes of its file, `program`, read by `read`.
"""

import torch
from torch import nn

from accelerated_smoothing.errors import InputError
from accelerated_smoothing.models import exported

ADVICE = "export it for this shape, with a dynamic batch"


class Program(nn.Module):
    """A file as a network.

    Attributes:
        program: [bytes] uint8.
        as_it_is: engines must change neither its layers, nor its precision, nor the layout of its tensors.
    """

    program: torch.Tensor
    as_it_is = True

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("program", torch.empty(0, dtype=torch.uint8))

    def read(self, program: torch.Tensor) -> None:
        """Take a program, [bytes] uint8.

        Raises:
            InputError: it cannot be used; the line begins with "must".
        """
        self.program = program


class Onnx(Program):
    """An ONNX file, which OpenVINO runs, and PyTorch cannot."""

    def onnx(self) -> bytes:
        """Return the file."""
        return self.program.cpu().numpy().tobytes()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        raise InputError(
            "an ONNX program must be run by OpenVINO, with compute.device cpu and without choosing sigmas; "
            "else export the network by torch.export to a .pt2"
        )


class Exported(Program):
    """A file of torch.export."""

    shape: list[int | None]

    def read(self, program: torch.Tensor) -> None:
        super().read(program)
        self.network, self.shape = exported.read(program.numpy().tobytes())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if list(images.shape[1:]) != self.shape[1:]:
            raise InputError(f"must take images of shape {list(images.shape[1:])}, got {self.shape[1:]}; {ADVICE}")
        logits: torch.Tensor = self.network(images)
        return logits


def build(arch: str, channels: int, classes: int) -> Program:
    """Return a network from images [n, channels, height, width] in [0, 1] to logits; call `read` before use."""
    return Onnx() if arch == "onnx" else Exported()
