"""1-Lipschitz networks of SDP-based Lipschitz layers (SLL; Araujo et al. 2023), with a linear layer behind them.

Every part but the last linear layer is 1-Lipschitz in l2. Shuffling pixels into channels and padding with zeros keep
all distances. The other parts are scaled by

    T_i = sum_j |W'W|_ij q_j / q_i,  q > 0.

The theorem needs diag(T) >= W'W (Loewner). This holds, since the difference has the eigenvalues of
Q^-1 (diag(T) - W'W) Q, which is diagonally dominant. The sum is over absolute values: otherwise entries of a row may
cancel, and the layer stretches.

Then a layer h(x) = x - 2 W T^-1 relu(W'x + b) is 1-Lipschitz. Let v and s be the changes of W'x + b and of its ReLU.
Each s_i (v_i - s_i) >= 0, since the slope of a ReLU lies between 0 and 1. With d the change of x, the change of h(x)
has the squared norm |d|^2 - 4 s'T^-1 v + 4 s'T^-1 W'W T^-1 s <= |d|^2 - 4 sum_i s_i (v_i - s_i) / T_i <= |d|^2.

A convolution with zeros around the image may use the T of the convolution C on the infinite plane: its W is E'CR, where
E places the image on the plane and R keeps the hidden units on it, so W'W = R'C'EE'CR <= R'C'CR <= R'TR.

All of this holds for real numbers. Certificates are computed in float64 (`models/embedding.py`,
`certify/methods/margin.py`), and `Sll.rounding` bounds the distance to the network of real numbers. T is computed in
float32 or better. Under autocast to bfloat16, T is that of the rounded weights, with which the passes multiply. So a
training in bfloat16 sees a 1-Lipschitz network, too, up to the rounding of its activations.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing.architectures.sll import shape
from accelerated_smoothing.models.lipschitz import Linear
from accelerated_smoothing.models.normalize import Normalize

SMALLEST = 1e-12  # of T, for a column of zeros: its output is zero, whatever it is divided by
FARTHEST = 40  # of q from 1, as logarithms: any q is valid, and no quotient of these overflows in float32
UNIT = 2.0**-53  # what one operation in float64 rounds, relative to its result


def scaling(gram: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """Return T [n] from |W'W| [n, n], which for a convolution is summed over positions; q [n] are logarithms."""
    q = q.clamp(-FARTHEST, FARTHEST)
    return (gram * (q[None, :] - q[:, None]).exp()).sum(1)


class Scaled(nn.Module):
    """What all scaled layers have: a weight, its scaling, and the weight as the passes round it."""

    weight: nn.Parameter
    q: nn.Parameter

    def folded(self) -> nn.Module:
        """Return the same as plain layers."""
        raise NotImplementedError

    def scaled(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weight and T [outputs]."""
        weight: torch.Tensor = self.weight
        device = weight.device.type
        if torch.is_autocast_enabled(device):
            weight = weight.to(torch.get_autocast_dtype(device))
        with torch.autocast(device, enabled=False):
            exact = weight.to(torch.promote_types(weight.dtype, torch.float32))
            return exact, scaling(self.gram(exact), self.q.to(exact.dtype)).clamp_min(SMALLEST)

    def gram(self, weight: torch.Tensor) -> torch.Tensor:
        """Return |W'W| [outputs, outputs], for a convolution summed over all positions."""
        if weight.dim() == 2:
            return (weight @ weight.T).abs()
        return F.conv2d(weight, weight, padding=weight.shape[-1] - 1).abs().sum((2, 3))

    def rounding(self, size: float, positions: int) -> tuple[float, float]:
        """Return bounds on the l2 error of a folded pass in float64, and on the norm of the output for zeros.

        Args:
            size: largest norm of an input.
            positions: pixels of an image.
        """
        share, ratio, offset = self.shares(positions)
        return 2 * share * (ratio * size + offset) + UNIT * size, 2 * offset

    def shares(self, positions: int) -> tuple[float, float, float]:
        """Return c of `Sll.rounding`, infinite if it is no bound; the largest T+ / T; and |T+^1/2 T^-1 b|."""
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
        """Return the same as plain convolutions."""
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
        """Return the same as plain linear layers."""
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
        # Scaled behind the product, so that passes that round the weight have the T of the rounded weight.
        if x.dim() == 2:
            return F.linear(x, weight) * t.rsqrt()
        return F.conv2d(x, weight) * t.rsqrt().view(-1, 1, 1)

    def folded(self) -> nn.Module:
        """Return the same as a plain layer."""
        weight, t = self.scaled()
        if weight.dim() == 2:
            return _plain(weight * t.rsqrt()[:, None], None)
        return _plain(weight * t.rsqrt().view(-1, 1, 1, 1), None)

    def rounding(self, size: float, positions: int) -> tuple[float, float]:
        """Return the same bounds; the output for zeros is zero."""
        share, ratio, _ = self.shares(positions)
        return share * math.sqrt(ratio) * size, 0.0


class Padding(nn.Module):
    """Images with additional channels of zeros."""

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


class Backbone(nn.Module):
    """A 1-Lipschitz map to embeddings, and an unconstrained linear layer behind it.

    Args:
        side: pixels a side of the images.
        images: layers on images.
        vectors: layers on what these return, as vectors.
        fc: the last layer.
    """

    def __init__(self, side: int, images: nn.Sequential, vectors: nn.Sequential, fc: nn.Linear) -> None:
        super().__init__()
        self.side, self.images, self.vectors, self.fc = side, images, vectors, fc

    def backbone(self, x: torch.Tensor) -> torch.Tensor:
        """Return embeddings [n, features] of images [n, channels, side, side]; 1-Lipschitz in l2."""
        return self.vectors(self.images(x).flatten(1).to(self.fc.weight.dtype))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.backbone(x))

    def linear(self, normalize: Normalize) -> Linear:
        """Return the backbone with the last layer."""
        return Linear(lambda x: self.backbone(normalize(x)), self.fc.weight, self.fc.bias)

    def rounding(self, mean: torch.Tensor) -> float:
        """Return a bound on the l2 distance between embeddings by the folded network in float64 and in real numbers.

        Exact layers are 1-Lipschitz, so the rounding errors of the layers add up. Let u = 2^-53. Let a layer have m
        inputs for each output and k outputs for each input, border aside. The error of a sum of n products is at most
        nu times the sum of their absolute values to first order in u: in any order, in blocks, and fused or not. (This
        excludes Winograd and Fourier convolutions. CPU libraries do not use them in float64, and `models.exact` runs
        without cuDNN.) So the error of W'x + b is at most (m + 1)u (|W|'|x| + |b|). With the roundings of 2 / T, of
        its product with W, of the second sum and of the difference from x, the error of a layer is at most

            2c |W| T^-1 (|W|'|x| + |b|) + u|x|.

        The error of T is at most mu T+ for its products, where T+ is the T of |W|, and (k + 107)u T for the sums of
        these, for a product, and for an exponential of at most 80 and its argument. So
        c = u(m + m max(T+ / T) + 2k + 128).

        Since diag(T+) >= |W|'|W| by the same theorem, |W| T+^-1/2 has a norm of at most 1. So the l2 norm of the error
        is at most 2c (max(T+ / T) |x| + |T+^1/2 T^-1 b|) + u|x|, where b counts at each pixel, and units of weight 0
        count nothing. For the same reason, the error of a narrowing, T^-1/2 W, is at most c sqrt(max(T+ / T)) |x|. The
        norm of a layer's output is at most that of its input, plus that of its output for zeros, which is at most
        2 |T+^1/2 T^-1 b|, plus its error. Twice the sum covers terms of higher order in u, as long as c < 1/100.
        Underflow is far below the least that `embedding.input_radius` subtracts for float32.

        Args:
            mean: [channels, 1, 1] that is subtracted from pixels in [0, 1].

        Returns:
            The bound; infinite if weights are not finite, or too far apart for any bound.
        """
        pixels = self.side**2
        size = math.sqrt(pixels) * torch.maximum(mean.abs(), (1 - mean).abs()).norm().item()
        off = UNIT * size
        for layer in (*self.images, *self.vectors):
            if isinstance(layer, nn.PixelUnshuffle):
                pixels //= layer.downscale_factor**2
            if isinstance(layer, Scaled):
                local, zeros = layer.rounding(size, pixels)
                off, size = off + local, size + zeros + local
        return 2 * off if off < math.inf else math.inf


class Sll(Backbone):
    """Stages of SLL convolutions, a narrowing to the embedding, dense SLLs, and an unconstrained linear layer.

    Each stage has a quarter of the pixels and twice the channels of the stage before.
    """

    def __init__(self, arch: str, channels: int, classes: int) -> None:
        whole = shape(arch)
        (first, _), (last, side) = whole.stages[0], whole.stages[-1]
        most = first // whole.unshuffle**2
        if channels > most:
            raise ValueError(f"channels must be at most {most} for {arch}, got {channels}")
        images: list[nn.Module] = [nn.PixelUnshuffle(whole.unshuffle), Padding(first)]
        for number, (width, _) in enumerate(whole.stages):
            if number:
                images += [nn.PixelUnshuffle(2), Narrowing(2 * width, width, image=True)]
            images += [SllConv(width, width) for _ in range(whole.depth)]
        vectors: list[nn.Module] = [Narrowing(last * side**2, whole.features, image=False)]
        vectors += [SllDense(whole.features, 4 * whole.features) for _ in range(whole.depth)]
        fc = nn.Linear(whole.features, classes)
        super().__init__(whole.unshuffle * whole.stages[0][1], nn.Sequential(*images), nn.Sequential(*vectors), fc)


def transposed(weight: torch.Tensor) -> torch.Tensor:
    """Return the kernel of the transposed convolution, as that of a plain convolution."""
    return weight.flip(2, 3).transpose(0, 1)


def _plain(weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    """Return a linear layer or a convolution with this weight [outputs, inputs, ...]."""
    layer: nn.Linear | nn.Conv2d
    outputs, inputs, *kernel = weight.shape
    if kernel:
        layer = nn.Conv2d(inputs, outputs, kernel[0], padding=kernel[0] // 2, bias=bias is not None)
    else:
        layer = nn.Linear(inputs, outputs, bias=bias is not None)
    layer.weight = nn.Parameter(weight.detach().contiguous())
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone())
    return layer


def build(arch: str, channels: int, classes: int) -> nn.Module:
    """Return a new network.

    Raises:
        ValueError: `arch` is not the name of an SLL network, or the network does not take `channels`.
    """
    return Sll(arch, channels, classes)
