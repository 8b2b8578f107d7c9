"""`Smoothed`: certificates for a classifier of one's own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import nn

from accelerated_smoothing import architectures
from accelerated_smoothing.certify import log, planning, radii, statistics
from accelerated_smoothing.certify.evidence import Evidence
from accelerated_smoothing.certify.methods import cohen, ladder, pilot
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.online import Online
from accelerated_smoothing.data import Images
from accelerated_smoothing.data.browsing import UNKNOWN
from accelerated_smoothing.noise import key
from accelerated_smoothing.provenance import code
from accelerated_smoothing.smoothed import inputs, networks
from accelerated_smoothing.smoothed.blocks import Blocks
from accelerated_smoothing.smoothed.networks import Classifier
from accelerated_smoothing.smoothed.settings import Certifying, Smoothing, checked, facts

if TYPE_CHECKING:
    import pandas as pd

VERB = "certify-images"  # whose code may run here


class Smoothed:
    """A classifier g smoothed by noise: g(x) is the class that f most probably predicts for x with noise.

    The network f maps images in [0, 1] to logits, and normalises them itself. It stays as it is: a copy runs, in
    evaluation mode, under OpenVINO on a CPU, and under PyTorch on a GPU or if OpenVINO cannot run it. The column
    `arithmetic` of the certificates says which.
    """

    def __init__(self, model: nn.Module | str | Path, sigma: float, classes: int | None = None, **options: Any) -> None:
        """Smooth a classifier; nothing runs yet.

        Args:
            model: a module, or the path of an .onnx, a .pt2 of torch.export, or weights of this workflow.
            sigma: scale of the noise, in pixels of [0, 1].
            classes: number of logits; by default what the network returns.
            options: noise, precision, device, kernels, batch_size and threads, see `settings.Smoothing`.

        Raises:
            InputError: an argument is wrong, or the file is missing or of another kind.
        """
        self.model = Path(model) if isinstance(model, str) else model
        networks.check(self.model)
        self.settings = checked(Smoothing, sigma=sigma, classes=classes, **options)
        self._classifiers: dict[tuple[int, ...], Classifier] = {}

    def certify(
        self,
        images: Any,
        *,
        budget: float | None = None,
        radii: list[float] | None = None,
        n: int | None = None,
        labels: ArrayLike | None = None,
        size: int = 224,
        part: str = ":",
        output: str | Path | None = None,
        show: bool = True,
        **options: Any,
    ) -> "pd.DataFrame":
        """Certify images: each certificate holds with probability 1 - alpha, by itself.

        One of three ways must be chosen. With a budget, a few pilot draws of each image, which are then discarded, plan
        how many draws each is worth. With radii, draws of an image stop when its largest radius is certified, or
        when further draws are not worth their cost. With n, run CERTIFY of Cohen et al. (2019).

        Args:
            images: an array or tensor [n, channels, height, width], uint8 or in [0, 1]; or a file or folder, see
                `inputs.as_images`. They are read in blocks.
            budget: mean passes of an image, pilot included.
            radii: to certify, ascending, in pixels of [0, 1].
            n: estimation draws of each image.
            labels: [n] true classes; by default those of the file or of the class folders, if any.
            size: pixels a side, to which the pictures of a folder are scaled and cropped.
            part: the images of a file or folder to take, as a Python slice.
            output: a log of certificates to write. While the run lasts, what it has drawn is saved beside it, and the
                same call goes on after a stop or a kill.
            show: whether progress is shown.
            options: alpha, n0, seed, bound, pilot and most, see `settings.Certifying`.

        Returns:
            One row per image: idx, predict (-1: abstains), radius (pixels of [0, 1]), time (seconds), guarantee,
            passes, p_lower, count, n, ...; with label and correct if there are labels.

        Raises:
            InputError: an argument is wrong, or the network does not map images of this shape to finite logits.
        """
        request = checked(Certifying, budget=budget, radii=radii, n=n, **options)
        loaded = inputs.as_images(images, labels, size, part)
        with self._threads():
            path = None if output is None else Path(output)
            run = Run(self._blocks(loaded, request.seed, path, show), request)
            certificates = run.certificates()
            if path is not None:
                log.write(path, certificates)
                run.clear()
        has_labels = (loaded.labels != UNKNOWN).any()
        return certificates if has_labels else certificates.drop(columns=["label", "correct"])

    def predict(
        self,
        images: Any,
        n: int = 1000,
        *,
        alpha: float = 0.001,
        seed: int = 0,
        size: int = 224,
        part: str = ":",
        show: bool = True,
    ) -> np.ndarray:
        """Predict images by PREDICT of Cohen et al. (2019).

        Args:
            images, size, part, show: as for `certify`.
            n: draws of each image.
            alpha: largest probability that the returned class is not g(x).
            seed: the root seed.

        Returns:
            [images] classes, or -1 where no class leads significantly.

        Raises:
            InputError: as for `certify`.
        """
        request = checked(Certifying, n=n, alpha=alpha, seed=seed)
        with self._threads():
            blocks = self._blocks(inputs.as_images(images, None, size, part), seed, None, show)
            counts = blocks.counts("prediction", n, "predicting")
        return statistics.predict(counts.at(n).astype(np.int64), request.alpha)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        """Let PyTorch have the threads of the settings inside the block."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.settings.threads or before)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _classifier(self, images: Images) -> Classifier:
        shape = images.images.shape[1:]
        if shape not in self._classifiers:
            self._classifiers[shape] = networks.build(self.model, images, self.settings)
        return self._classifiers[shape]

    def _blocks(self, images: Images, seed: int, output: Path | None, show: bool) -> Blocks:
        """Return the images, ready to be counted; the classifier was tried on two of them."""
        classifier, noise = self._classifier(images), self.settings.noise
        engine = classifier.engine
        # Compiling and other work that a process does once is not counted as an image's time.
        engines.standard(images.idx[:1], 1, images.images.shape[1:], key(seed, "trial"), noise, engine.device)
        meta = {
            **{"sigma": self.settings.sigma, "noise": noise, "choice": None, "choice_passes": 0, "sigmas": None},
            **{"seed": seed, "dataset": images.meta["dataset"], "split": images.meta["split"]},
            **{"classes": classifier.classes, "base": classifier.identity, "arithmetic": engine.arithmetic},
        }
        identity = {}
        if output is not None:
            known = facts(self.model, self.settings)
            families = set().union(*map(architectures.families, known["arch"]))
            digest = code.digest(VERB, known | {"family": families})
            identity = {"images": inputs.fingerprint(images), "build": engine.build, "code": digest}
        return Blocks(engine, classifier.classes, images, meta, output, identity, show)


@dataclass(frozen=True)
class Run:
    """Certificates of one kind for some images."""

    blocks: Blocks
    request: Certifying
    counted: dict[str, list[int]] = field(default_factory=dict)  # sizes by purpose

    def certificates(self) -> "pd.DataFrame":
        """Return the certificates of all images."""
        if self.request.budget is not None:
            return self._within(self.request.budget)
        if self.request.radii is not None:
            return self._at(self.request.radii)
        return self._of(self.request.sizes[0])

    def clear(self) -> None:
        """Remove what was saved while the run lasted."""
        self.blocks.clear(self.counted)

    def _within(self, budget: float) -> "pd.DataFrame":
        """Certify with draws that the pilots of all images plan."""
        settings = pilot.Settings(budget=budget, draws=self.request.pilot_draws, bound=self.request.bound)
        piloted, sizes = self._piloted("pilot"), np.array(self.request.sizes)
        positions = pilot.plan(piloted, settings, sizes)
        cost = planning.cost(positions, sizes)
        return self._each(
            piloted,
            lambda evidence, rows, tallies: pilot.carry_out(evidence, settings, positions[rows]),
            lambda rows: int(cost[rows].sum()),
        )

    def _at(self, pixels: list[float]) -> "pd.DataFrame":
        """Certify at radii in pixels, by the bets of a ladder whose belief is from the pilots."""
        piloted = self._piloted("ladder")
        assert piloted.pilot is not None
        # Rounded up, so that a radius in units of the noise's scale is no less than that in pixels.
        units = [float(np.nextafter(radius / np.float32(piloted.pilot.sigma).item(), np.inf)) for radius in pixels]
        settings, draws = ladder.Settings(radii=units), self.request.pilot_draws
        population, prior = pilot.expected(piloted.pilot.at(draws), draws)
        levels = np.array([0.0, *pixels])

        def certify(evidence: Evidence, rows: slice, tallies: Online) -> "pd.DataFrame":
            assert evidence.pilot is not None
            shares = pilot.shares(evidence.pilot.at(draws))
            climbed = ladder.climb(evidence, settings, prior[rows], population, shares)
            seconds = evidence.pilot.seconds_at(draws)
            table = radii.certificates(evidence, settings, climbed, before=draws, seconds=seconds)
            return table.assign(radius=levels[climbed.rung], at=pixels[-1])

        return self._each(piloted, certify)

    def _of(self, n: int) -> "pd.DataFrame":
        """Certify with n draws of each image, and n0 for its class."""
        settings = cohen.Settings(n=n, bound=self.request.bound)
        selection = self._all("selection", self.request.n0, "selecting")

        def certify(evidence: Evidence, rows: slice, tallies: Online) -> "pd.DataFrame":
            counts = self.blocks.stored(rows, tallies, "estimation")
            return cohen.certify(replace(evidence, estimation=counts), settings)

        return self._each(
            Evidence(self.request.alpha, self.request.n0, selection, experiment="own", method="cohen"), certify
        )

    def _piloted(self, method: str) -> Evidence:
        counts = self._all("pilot", self.request.pilot_draws, "piloting")
        return Evidence(self.request.alpha, 0, selection=counts, pilot=counts, experiment="own", method=method)

    def _all(self, purpose: str, draws: int, what: str) -> Any:
        self.counted[purpose] = [draws]
        return self.blocks.counts(purpose, draws, what)

    def _each(
        self,
        evidence: Evidence,
        certify: Callable[[Evidence, slice, Online], "pd.DataFrame"],
        expected: Callable[[slice], int] = lambda rows: 0,
    ) -> "pd.DataFrame":
        """Return the certificates of all images, whose estimation draws are made block by block."""
        import pandas as pd

        def work(rows: slice, tallies: Online) -> "pd.DataFrame":
            parts = {name: getattr(evidence, name) for name in ("selection", "pilot")}
            parts_of_block = {name: part and part.take(rows) for name, part in parts.items()}
            return certify(replace(evidence, estimation=tallies, **parts_of_block), rows, tallies)

        self.counted["estimation"] = self.request.sizes
        parts = self.blocks.each("estimation", self.request.sizes, work, "certifying", expected)
        return pd.concat(parts, ignore_index=True)
