"""ResNets of four stages (He et al. 2016, table 1), torchvision's: resnet18 and resnet34 with a first convolution for
small images, as is common on CIFAR-10, and imagenet-resnet50 as it is."""

from torch import nn

from accelerated_smoothing.architectures import FOUR_STAGES


def resnet(arch: str, channels: int, classes: int) -> nn.Module:
    """The network that `arch` names, a key of `FOUR_STAGES`."""
    import torchvision.models  # takes seconds, and most networks are CIFAR ResNets

    assert arch in FOUR_STAGES
    network = getattr(torchvision.models, arch.removeprefix("imagenet-"))(num_classes=classes)
    if arch.startswith("imagenet-"):
        if channels != 3:
            network.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
    else:  # 32 pixels would be 8 after the large convolution and the pooling
        network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network
