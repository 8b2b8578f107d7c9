"""ResNets of four stages (He et al. 2016, table 1), from torchvision.

resnet18 and resnet34 have a first convolution for small images, as is common on CIFAR-10.
"""

from torch import nn


def build(arch: str, channels: int, classes: int) -> nn.Module:
    """Return a new network from normalised images [n, channels, height, width] to logits [n, classes]."""
    import torchvision.models  # takes seconds, and most networks are CIFAR ResNets

    network: nn.Module = getattr(torchvision.models, arch.removeprefix("imagenet-"))(num_classes=classes)
    if arch.startswith("imagenet-"):
        if channels != 3:
            network.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
    else:  # 32 pixels would be 8 after the large convolution and the pooling
        network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network
