"""1-Lipschitz networks of SDP-based Lipschitz layers (SLL; Araujo et al. 2023), with a linear layer behind them.

Every part but the last linear layer moves no two inputs apart, in l2: a shuffle of pixels into channels and padding
with zeros keep all distances, and the others are scaled by

    T_i = sum_j |W'W|_ij q_j / q_i,  q > 0,

of which the theorem asks diag(T) >= W'W (Loewner). It holds since the difference has the eigenvalues of
Q^-1 (diag(T) - W'W) Q, which is diagonally dominant. For that each entry counts with its absolute value: without it
rows may cancel, and the layer stretches.

Why a layer h(x) = x - 2 W T^-1 relu(W'x + b) is 1-Lipschitz then: let v and s be the changes of W'x + b and of its
ReLU. Each s_i (v_i - s_i) >= 0, as a ReLU's slope lies between 0 and 1. With d the change of x, that of h(x) has the
squared norm |d|^2 - 4 s'T^-1 v + 4 s'T^-1 W'W T^-1 s <= |d|^2 - 4 sum_i s_i (v_i - s_i) / T_i <= |d|^2.

A convolution with zeros around the image obeys the T of one on the infinite plane, C: its W is E'CR, where E places the
image on the plane and R keeps the hidden units on it, so W'W = R'C'EE'CR <= R'C'CR <= R'TR.

All of this is about real numbers. What is certified runs in float64 (`embedding.py`, `certify/margin.py`), and
`Sll.rounding` bounds how far that is from the network of real numbers. T is never computed in less than float32, and
under autocast to bfloat16 of the weights that the passes multiply with, so that a training in bfloat16 sees a
1-Lipschitz network, too, but for the rounding of its activations.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing.architectures import sll

SMALLEST = 1e-12  # of T: a column of zeros, whose output is zero whatever it is divided by
FARTHEST = 40  # of q from 1, as logarithms: any q will do, and no quotient of these overflows in float32
UNIT = 2.0**-53  # what one operation in float64 rounds, relative to its result


def scaling(gram: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """T [n] from |W'W| [n, n], summed over positions already where W is a convolution; q [n] are logarithms."""
    q = q.clamp(-FARTHEST, FARTHEST)
    return (gram * (q[None, :] - q[:, None]).exp()).sum(1)


class Scaled(nn.Module):
    """What the layers share: a weight, its scaling, and the weight as the passes will round it."""

    weight: nn.Parameter
    q: nn.Parameter

    def folded(self) -> nn.Module:
        """The same as plain layers."""
        raise NotImplementedError

    def scaled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The weight, and T [outputs]."""
        weight: torch.Tensor = self.weight
        device = weight.device.type
        if torch.is_autocast_enabled(device):
            weight = weight.to(torch.get_autocast_dtype(device))
        with torch.autocast(device, enabled=False):
            exact = weight.to(torch.promote_types(weight.dtype, torch.float32))
            return exact, scaling(self.gram(exact), self.q.to(exact.dtype)).clamp_min(SMALLEST)

    def gram(self, weight: torch.Tensor) -> torch.Tensor:
        """|W'W| [outputs, outputs]; of a convolution, the sum over all positions."""
        if weight.dim() == 2:
            return (weight @ weight.T).abs()
        return F.conv2d(weight, weight, padding=weight.shape[-1] - 1).abs().sum((2, 3))

    def rounding(self, size: float, positions: int) -> tuple[float, float]:
        """What a pass of the folded layer in float64 may be off by in l2, and the norm of what it gives for zeros.

        Args:
            size: largest norm of an input.
            positions: pixels of an image.
        """
        share, ratio, offset = self.shares(positions)
        return 2 * share * (ratio * size + offset) + UNIT * size, 2 * offset

    def shares(self, positions: int) -> tuple[float, float, float]:
        """Of `Sll.rounding`: c, which is infinite where it is no bound, the largest T+ / T, and |T+^1/2 T^-1 b|."""
        weight, t = self.scaled()
        whole = scaling(self.gram(weight.abs()), self.q)
        ratio = (whole / t).max().item()
        share = UNIT * (weight[0].numel() * (1 + ratio) + 2 * weight[:, 0].numel() + 128)
        bias = getattr(self, "bias", t.new_zeros(()))
        offset = (whole.sqrt() / t * bias).norm().item() * math.sqrt(positions if weight.dim() > 2 else 1)
        return share if share < 0.01 else math.inf, ratio, offset


class SllConv(Scaled):
    """An SLL of a 3x3 convolution: images [n, channels, height, width] to such images.

    Args:
        channels: of the images.
        hidden: columns of W, the ReLUs.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, channels, 3, 3))
        self.bias, self.q = nn.Parameter(torch.zeros(hidden)), nn.Parameter(torch.zeros(hidden))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, t = self.scaled()
        s = F.relu(F.conv2d(x, weight, self.bias, padding=1)) * (2 / t).view(-1, 1, 1)
        return x - F.conv2d(s, transposed(weight), padding=1)

    def folded(self) -> nn.Module:
        """The same as plain convolutions."""
        weight, t = self.scaled()
        return Folded(_plain(weight, self.bias), _plain(transposed(weight * (2 / t).view(-1, 1, 1, 1)), None))


class SllDense(Scaled):
    """An SLL of a matrix: vectors [n, features] to such vectors."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden, features))
        self.bias, self.q = nn.Parameter(torch.zeros(hidden)), nn.Parameter(torch.zeros(hidden))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, t = self.scaled()
        return x - F.linear(F.relu(F.linear(x, weight, self.bias)) * (2 / t), weight.T)

    def folded(self) -> nn.Module:
        """The same as plain linear layers."""
        weight, t = self.scaled()
        return Folded(_plain(weight, self.bias), _plain((weight * (2 / t)[:, None]).T, None))


class Narrowing(Scaled):
    """A linear map to fewer channels or features, T^-1/2 W: of T >= WW' its norm is at most 1 (Prach and Lampert 2022).

    Args:
        inputs, outputs: channels of images [n, inputs, height, width], pixel by pixel, or features of vectors.
        image: which of the two.
    """

    def __init__(self, inputs: int, outputs: int, image: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, *([1, 1] if image else [])))
        self.q = nn.Parameter(torch.zeros(outputs))
        nn.init.orthogonal_(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, t = self.scaled()
        # Scaled behind the product, so that passes which round the weight have the T of what they multiply with.
        if x.dim() == 2:
            return F.linear(x, weight) * t.rsqrt()
        return F.conv2d(x, weight) * t.rsqrt().view(-1, 1, 1)

    def folded(self) -> nn.Module:
        """The same as a plain layer."""
        weight, t = self.scaled()
        if weight.dim() == 2:
            return _plain(weight * t.rsqrt()[:, None], None)
        return _plain(weight * t.rsqrt().view(-1, 1, 1, 1), None)

    def rounding(self, size: float, positions: int) -> tuple[float, float]:
        """As of any layer; of zeros it makes zeros."""
        share, ratio, _ = self.shares(positions)
        return share * math.sqrt(ratio) * size, 0.0


class Padding(nn.Module):
    """Images with more channels, of zeros."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.pad(x, (0, 0, 0, 0, 0, self.channels - x.shape[1]))


class Folded(nn.Module):
    """x - second(relu(first(x))): an SLL whose scaling is in its weights."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x - self.second(F.relu(self.first(x)))


class Sll(nn.Module):
    """Stages of SLL convolutions, each on a quarter of the pixels and twice the channels of the one before; a narrowing
    to the embedding, dense SLLs, and a linear layer, which is free."""

    def __init__(self, arch: str, channels: int, classes: int) -> None:
        super().__init__()
        self.shape = shape = sll(arch)
        (first, _), (last, side) = shape.stages[0], shape.stages[-1]
        if channels * shape.unshuffle**2 > first:
            raise ValueError(f"{arch}: found {channels} channels; at most {first // shape.unshuffle**2} would do")
        images: list[nn.Module] = [nn.PixelUnshuffle(shape.unshuffle), Padding(first)]
        for number, (width, _) in enumerate(shape.stages):
            if number:
                images += [nn.PixelUnshuffle(2), Narrowing(2 * width, width, image=True)]
            images += [SllConv(width, width) for _ in range(shape.depth)]
        vectors: list[nn.Module] = [Narrowing(last * side**2, shape.features, image=False)]
        vectors += [SllDense(shape.features, 4 * shape.features) for _ in range(shape.depth)]
        self.images, self.vectors = nn.Sequential(*images), nn.Sequential(*vectors)
        self.fc = nn.Linear(shape.features, classes)

    def backbone(self, x: torch.Tensor) -> torch.Tensor:
        """Embeddings [n, features] of images [n, channels, side, side]; 1-Lipschitz in l2."""
        return self.vectors(self.images(x).flatten(1).to(self.fc.weight.dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.backbone(x))

    def rounding(self, mean: torch.Tensor) -> float:
        """How far in l2 embeddings by the folded network, run in float64, may be from those of real numbers.

        Exact layers move no two points apart, so what each rounds only adds up. Let u = 2^-53, and let a layer have m
        inputs to an output and k outputs to an input, border aside. A sum of n products is off by at most nu of the sum
        of their absolute values to first order in u, in any order, in blocks, and fused or not. (A convolution by a
        Winograd or Fourier transform is no such sum; in float64 a CPU has none, and cuDNN is trusted to choose none.)
        So W'x + b is off by (m + 1)u of |W|'|x| + |b|, and by the roundings of 2 / T, of its product with W, of the
        second sum and of the difference from x a layer is off by at most

            2c |W| T^-1 (|W|'|x| + |b|) + u|x|.

        T itself is off by mu T+ for its products, T+ being the T of |W|, and by (k + 107)u T for the sums of these, for
        a product, and for an exponential of at most 80 and its argument. Hence c = u(m + m max(T+ / T) + 2k + 128).

        Since diag(T+) >= |W|'|W| by the same theorem, |W| T+^-1/2 has a norm of at most 1, so that the l2 norm of the
        above is at most 2c (max(T+ / T) |x| + |T+^1/2 T^-1 b|) + u|x|, where b counts at each pixel, and units of
        weight 0 count nothing. A narrowing, T^-1/2 W, is off by at most c sqrt(max(T+ / T)) |x| for the same reason.
        The input of a layer has at most the norm of the one before, more by that of what it gives for zeros, which is
        at most 2 |T+^1/2 T^-1 b|, and by what is rounded. Twice all that covers what is of higher order in u, as long
        as c < 1/100. Underflow is far below the least that `embedding.input_radius` takes off for float32.

        Args:
            mean: [channels, 1, 1] what is subtracted from pixels in [0, 1].

        Returns:
            The bound; infinite where weights are no numbers, or too far apart for any bound.
        """
        pixels = (self.shape.unshuffle * self.shape.stages[0][1]) ** 2
        size = math.sqrt(pixels) * torch.maximum(mean.abs(), (1 - mean).abs()).norm().item()
        off = UNIT * size
        for layer in (*self.images, *self.vectors):
            if isinstance(layer, nn.PixelUnshuffle):
                pixels //= layer.downscale_factor**2
            if isinstance(layer, Scaled):
                local, zeros = layer.rounding(size, pixels)
                off, size = off + local, size + zeros + local
        return 2 * off if off < math.inf else math.inf


def transposed(weight: torch.Tensor) -> torch.Tensor:
    """The kernel of the transposed convolution, as one of a plain convolution."""
    return weight.flip(2, 3).transpose(0, 1)


def _plain(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """A linear layer or a convolution of this weight [outputs, inputs, ...]."""
    made: nn.Linear | nn.Conv2d
    outputs, inputs, *kernel = weight.shape
    if kernel:
        made = nn.Conv2d(inputs, outputs, kernel[0], padding=kernel[0] // 2, bias=bias is not None)
    else:
        made = nn.Linear(inputs, outputs, bias=bias is not None)
    made.weight = nn.Parameter(weight.detach().contiguous())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made
