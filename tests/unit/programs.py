"""Small networks of others, and their files."""

import warnings
from pathlib import Path

import torch
from torch import nn

ANY = ({0: torch.export.Dim("n")},)  # any number of images


class Net(nn.Module):
    """Two convolutions; it normalises images itself."""

    def __init__(self, channels: int = 1, side: int = 8, classes: int = 10) -> None:
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        self.fc = nn.Linear(8 * (side // 2) ** 2, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn(self.conv1((x - 0.3) / torch.tensor([0.2]))))
        x = torch.relu(self.conv2(x))
        return self.fc(x.view(x.shape[0], -1))


class Vit(nn.Module):
    """A vision transformer in plain PyTorch; its code splits heads with the size of the batch."""

    def __init__(self, channels: int = 1, side: int = 8, classes: int = 10, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.patch, self.heads = nn.Conv2d(channels, width, 4, 4), heads
        self.cls = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, (side // 4) ** 2 + 1, width))
        self.norm, self.qkv, self.out = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 64), nn.GELU(), nn.Linear(64, width))
        self.fc = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.patch(x).flatten(2).transpose(1, 2)
        n, t = z.shape[0], z.shape[1] + 1
        z = torch.cat([self.cls.expand(n, -1, -1), z], 1) + self.position
        q, k, v = self.qkv(self.norm(z)).view(n, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        z = z + self.out(attended.transpose(1, 2).reshape(n, t, -1))
        z = z + self.mlp(z)
        return self.fc(z.mean(1))


def seeded(network: type[nn.Module], **shape: int) -> nn.Module:
    """A network whose predictions spread over classes."""
    torch.manual_seed(0)
    model = network(**shape).eval()
    with torch.no_grad():
        model.fc.weight.mul_(5)
        model.fc.bias.zero_()
    return model


def export(model: nn.Module, path: Path, shape: tuple[int, ...] = (1, 8, 8), sizes: object = ANY) -> Path:
    """Write a network for images of a shape as a .pt2 or .onnx; `sizes` None: for two images."""
    images = (torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)),)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if path.suffix == ".pt2":
            torch.export.save(torch.export.export(model, images, dynamic_shapes=sizes), path)
        else:
            torch.onnx.export(model, images, path, dynamic_shapes=sizes, external_data=False, verbose=False)
    return path
