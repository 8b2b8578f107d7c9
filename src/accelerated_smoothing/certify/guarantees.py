"""What a radius is worth, for people: an explanation of each `Guarantee`, the strongest first.

The words themselves are in `certify`. An edit of the explanations certifies nothing again.
"""

from collections.abc import Iterable

from accelerated_smoothing.certify import Guarantee

GUARANTEES: dict[Guarantee, str] = {
    "deterministic": "The radius holds with certainty: it follows from the weights of the network, without samples.",
    "sound": "The radius follows from sampling. With probability 1 - \u03b1 over the noise that was drawn, no change "
    "of the image that is shorter than the radius changes the prediction of the smoothed classifier.",
    "memory": "The radius follows from sampling with a noise level for each image. It holds for the memory-enhanced "
    "classifier only, whose answers depend on the images that it has answered before.",
    "conformal": "The radius is an estimate that was corrected on other images. It may be too large for a stated share "
    "of images, on average over images that are exchangeable with those. It says nothing about one image, and nothing "
    "about images that an attacker chose or that come from another distribution.",
    "estimated": "The radius is a guess, without a proof. The column exceeds, or violations, shows the share of images "
    "whose estimated radius is larger than the one that the reference method certifies for the same image.",
}


def weakest(words: Iterable[str]) -> str:
    """Return the weakest of some guarantees; "" if there is none."""
    present = set(words)
    return next((word for word in reversed(GUARANTEES) if word in present), "")
