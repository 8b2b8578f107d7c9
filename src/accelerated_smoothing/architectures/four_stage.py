"""ResNets of four stages (He et al. 2016, table 1)."""

PATTERN = r"resnet18|resnet34|imagenet-resnet50"
EXAMPLES = "resnet18, resnet34, imagenet-resnet50"
LIPSCHITZ = False
# By the cost of a pass: resnet18 and resnet34 take 0.555e9 and 1.16e9 multiply-adds on 32 pixels a side, and a
# ResNet-50 takes 4.1e9 on 224.
COSTS = {"resnet18": 245, "resnet34": 511, "imagenet-resnet50": 37}


def cost(arch: str) -> float:
    """Return the cost of a pass, in layers of a CIFAR ResNet on as many pixels."""
    return COSTS[arch]


def side(arch: str) -> None:
    """Return None: a mean over all pixels stands before the last layer."""
