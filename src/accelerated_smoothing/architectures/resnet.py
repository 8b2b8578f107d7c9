"""ResNets for small images with 6n + 2 layers (He et al. 2016, section 4.2), such as resnet110."""

PATTERN = r"resnet(?!(18|34)$)\d+"  # these two are of four stages
EXAMPLES = "resnet20, resnet56, resnet110"
LIPSCHITZ = False


def checked(depth: int) -> int:
    """Return the depth.

    Raises:
        ValueError: `depth` is not 6n + 2 with n >= 1.
    """
    if depth < 8 or (depth - 2) % 6:
        raise ValueError(f"must be 6n+2 layers of a CIFAR ResNet, such as 8, 14, 20, 56 or 110, got {depth}")
    return depth


def depth(arch: str) -> int:
    """Return the number of layers.

    Raises:
        ValueError: `arch` is not the name of a CIFAR ResNet.
    """
    try:
        return checked(int(arch.removeprefix("resnet")))
    except ValueError:
        raise ValueError(
            f"must be a ResNet with 6n+2 layers, such as resnet8, resnet20 or resnet110, got {arch!r}"
        ) from None


def cost(arch: str) -> float:
    """Return the number of layers but for the first and the last, which cost little."""
    return depth(arch) - 2


def side(arch: str) -> None:
    """Return None: a mean over all pixels stands before the last layer."""
