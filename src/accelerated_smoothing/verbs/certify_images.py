"""Certify images of one's own by a classifier of one's own."""

from pydantic import Field

from accelerated_smoothing.command import Output, Source
from accelerated_smoothing.smoothed import settings
from accelerated_smoothing.smoothed.settings import Certifying, Smoothing
from accelerated_smoothing.verbs._flags import Sliced

EXAMPLE = "model.onnx images.npz --sigma 0.25 --budget 1000 --output certificates.tsv"
MAKES = "Certificates"
ARITHMETIC = True


class Arguments(Sliced, Smoothing, Certifying):
    positional = ("model", "images")
    untracked = ("threads",)

    model: Source = Field(description="the classifier: an .onnx, a .pt2 of torch.export, or weights of this workflow")
    images: Source = Field(description="a folder of pictures or of one folder per class, an .npy, or an .npz")
    size: int = Field(224, ge=1, description="pixels a side of the squares that the pictures of a folder become")
    output: Output = Field(description="certificates, .tsv")

    def facts(self) -> dict[str, list[str]]:
        return settings.facts(self.model, self.section(Smoothing))


def run(arguments: Arguments) -> None:
    from accelerated_smoothing.smoothed.classifier import Smoothed

    smoothed = Smoothed(arguments.model, **arguments.section(Smoothing).model_dump())
    smoothed.certify(
        arguments.images,
        **arguments.section(Certifying).model_dump(),
        size=arguments.size,
        part=arguments.slice,
        output=arguments.output,
    )
