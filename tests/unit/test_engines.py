import contextlib
import copy
import functools
import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from accelerated_smoothing import models, noise, registry
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.engines import Draws, Engine
from accelerated_smoothing.counting.engines.pytorch import PROGRAMS, Pytorch
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.noise import philox

from . import drawing
from .drawing import LIMITS, SHAPE, assert_same_but_for_ties, copies, plain, predicted, scales

openvino_engine = pytest.importorskip("accelerated_smoothing.counting.engines.openvino")
OpenVino = openvino_engine.OpenVino
CPU = torch.device("cpu")
Build = Callable[..., Engine]


def built(
    kind: str, model: Any, shape: tuple[int, ...], batch: int, streams: int = 1, precision: str = "fp32"
) -> Engine:
    """An engine on the CPU; the reference has one stream whatever is asked for."""
    if kind == "pytorch":
        return Pytorch(model, shape, batch=batch, device=CPU, precision=precision)
    return OpenVino(model, shape, batch=batch, streams=streams, precision=precision)


@pytest.fixture(scope="module")
def case(settle: Any) -> SimpleNamespace:
    return drawing.case(settle)


@pytest.fixture(scope="module")
def logits(case: SimpleNamespace) -> torch.Tensor:
    """What the model itself, in evaluation mode and not folded, says of every draw."""
    return plain(case.model, copies(case.draws))


@pytest.fixture(scope="module")
def engine(case: SimpleNamespace) -> Build:
    """Engines on the CPU, each built once."""

    @functools.cache
    def build(kind: str, batch: int = 16, streams: int = 1, precision: str = "fp32") -> Engine:
        return built(kind, case.model, SHAPE, batch, streams, precision)

    return build


ENGINES = [("pytorch", 7, 1), ("pytorch", 64, 1), ("openvino", 16, 1), ("openvino", 7, 2)]


@pytest.mark.parametrize(("kind", "batch", "streams"), ENGINES)
def test_logits_are_those_of_the_plain_model(
    case: SimpleNamespace, engine: Build, precision: str, kind: str, batch: int, streams: int
) -> None:
    logits = engine(kind, batch, streams, precision).logits(case.images)
    assert (logits.dtype, logits.shape, logits.device) == (torch.float32, (60, 10), CPU)
    expected = plain(case.model, case.images)
    assert expected.std() > 1
    error = (logits - expected).abs().max()
    assert error < LIMITS[precision][0]
    assert precision == "fp32" or error > 1e-3  # bf16 is not fp32 by another name


@pytest.mark.parametrize(("kind", "batch", "streams"), ENGINES)
def test_predictions_are_those_of_a_plain_loop(
    case: SimpleNamespace,
    engine: Build,
    logits: torch.Tensor,
    precision: str,
    kind: str,
    batch: int,
    streams: int,
) -> None:
    parts = [part.clone() for part in engine(kind, batch, streams, precision).predictions(case.draws)]
    assert {(part.dtype, part.device) for part in parts} == {(torch.int64, CPU)}
    classes = torch.cat(parts).numpy()
    assert len(np.unique(classes)) > 5  # else the test would compare little
    assert_same_but_for_ties(classes, logits, *LIMITS[precision][1:])


def test_the_engine_of_the_cpu_predicts_what_the_reference_does(
    case: SimpleNamespace, engine: Build, logits: torch.Tensor
) -> None:
    differ = predicted(engine("openvino"), case.draws) != predicted(engine("pytorch"), case.draws)
    assert differ.sum() <= 3
    first, second = logits.topk(2, dim=1).values.T
    assert (first - second)[torch.from_numpy(differ)].lt(1e-4).all()


@pytest.fixture(scope="module")
def reference(case: SimpleNamespace, engine: Build, precision: str) -> np.ndarray:
    return predicted(engine("openvino", precision=precision), case.draws)


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_predictions_do_not_depend_on_batch_and_streams(
    case: SimpleNamespace, engine: Build, reference: np.ndarray, precision: str, batch: int, streams: int
) -> None:
    predictor = engine("openvino", batch, streams, precision)
    np.testing.assert_array_equal(predicted(predictor, case.draws), reference)


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_logits_do_not_depend_on_the_batch(case: SimpleNamespace, engine: Build, precision: str, batch: int) -> None:
    """Bit by bit: classes alone would show a difference in rounding only where two of them nearly tie."""
    expected = engine("openvino", precision=precision).logits(case.images)
    predictor = engine("openvino", batch, 1, precision)
    assert torch.equal(predictor.logits(case.images), expected)
    assert torch.equal(predictor.logits(case.images[37:38]), expected[37:38])
    assert torch.equal(predictor.logits(case.images.flip(0)).flip(0), expected)


@pytest.mark.parametrize("start", [0, 1, 17, 299, 300, 301, 599, 600])
def test_predictions_go_on_from_any_draw(
    case: SimpleNamespace, engine: Build, reference: np.ndarray, precision: str, start: int
) -> None:
    for batch, streams in ((16, 1), (7, 2)):
        predictor = engine("openvino", batch, streams, precision)
        np.testing.assert_array_equal(predicted(predictor, case.draws, start), reference[start:])


@pytest.mark.parametrize("start", [1, 299, 400, 600])
def test_predictions_of_the_reference_go_on_from_any_draw(case: SimpleNamespace, engine: Build, start: int) -> None:
    predictor = engine("pytorch")
    np.testing.assert_array_equal(predicted(predictor, case.draws, start), predicted(predictor, case.draws)[start:])


@pytest.mark.parametrize("kind", registry.names("noise.distributions"))
@pytest.mark.parametrize("name", ["openvino", "pytorch"])
def test_predictions_from_a_later_draw_on_are_those_of_a_longer_run(
    case: SimpleNamespace, engine: Build, name: str, kind: str
) -> None:
    """Each image from its own draw on, and from any copy."""
    predictor = engine(name, 7)
    whole = predicted(predictor, replace(case.draws, noise=kind)).reshape(2, 300)
    assert (whole[0] != whole[1]).any()
    for first, samples in ((np.array([93, 0]), 61), (np.array([10, 239]), 61), (299, 1)):
        draws = replace(case.draws, samples=samples, noise=kind, first=first)
        expected = np.concatenate([row[k : k + samples] for row, k in zip(whole, draws.firsts, strict=True)])
        np.testing.assert_array_equal(predicted(predictor, draws), expected)
        np.testing.assert_array_equal(predicted(predictor, draws, samples // 3), expected[samples // 3 :])


def test_predictions_belong_to_the_name_of_the_image(
    case: SimpleNamespace, engine: Build, reference: np.ndarray, precision: str
) -> None:
    swapped = replace(case.draws, images=case.draws.images[::-1].copy(), names=case.draws.names[::-1])
    classes = predicted(engine("openvino", precision=precision), swapped)
    np.testing.assert_array_equal(classes, np.roll(reference, 300))


COUNT = """
import sys, numpy, torch
from accelerated_smoothing import models, noise
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.engines import openvino
torch.set_num_threads(1)
arrays = numpy.load(sys.argv[1])
model, _ = models.load(sys.argv[2], "base")
draws = engines.Draws(arrays["images"], numpy.arange(20), 100, arrays["scales"], noise.key(0, "estimation"))
engine = engines.build(model, (3, 32, 32), device=torch.device("cpu"))
classes = torch.cat([part.clone() for part in engine.predictions(draws)]).numpy()
graph = openvino._graph(models.fold(model)[1], (8, 3, 32, 32))
fp32 = openvino.CORE.compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
operations = fp32.get_runtime_model().get_ops()
kernels = " ".join(str(operation.get_rt_info()["primitiveType"].value) for operation in operations)
numpy.savez(sys.argv[3], classes=classes, logits=engine.logits(torch.from_numpy(arrays["images"])), kernels=kernels)
"""


def test_fp32_has_the_same_bits_with_avx2_as_with_avx512(settle: Any, tmp_path: Path) -> None:
    """OpenVINO's convolutions are capped at AVX2, in another process. Its smaller kernels cannot be."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("this CPU has no AVX-512")
    images = torch.rand((60, *SHAPE), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(3)
    model = models.build("resnet20", 10, [0.5, 0.4, 0.3], [0.25, 0.2, 0.3])
    settle(model, images, seed=3)
    described = {"kind": "base", "arch": "resnet20", "sigma": 0.5, "dataset": "cifar10", "classes": 10}
    described |= {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.2, 0.3]}
    models.save(tmp_path / "base.safetensors", model, described)
    np.savez(tmp_path / "images.npz", images=images[:20].numpy(), scales=scales(0.5, 20))
    results = []
    for name, environment in (("whole", {}), ("capped", {"ONEDNN_MAX_CPU_ISA": "AVX2"})):
        files = [str(tmp_path / file) for file in ("images.npz", "base.safetensors", f"{name}.npz")]
        subprocess.run([sys.executable, "-c", COUNT, *files], env={**os.environ, **environment}, check=True)
        results.append(np.load(files[-1]))
    whole, capped = results
    assert "brgconv_avx512_f32" in str(whole["kernels"])
    assert "brgconv_avx512_f32" not in str(capped["kernels"])
    assert "avx2" in str(capped["kernels"])
    np.testing.assert_array_equal(whole["logits"], capped["logits"])
    np.testing.assert_array_equal(whole["classes"], capped["classes"])
    assert len(np.unique(whole["classes"])) > 3


@pytest.mark.parametrize("kind", ["openvino", "pytorch"])
def test_engines_say_what_they_are(engine: Build, precision: str, kind: str) -> None:
    one, other = engine(kind, precision=precision), engine(kind, 7, 2, precision)
    portable = "-avx2" if (kind, precision) == ("openvino", "fp32") else ""
    assert one.arithmetic == other.arithmetic == f"cpu-{kind}-{precision}-folded{portable}"
    assert one.build == other.build
    assert {"openvino": f"openvino {version('openvino')}, ", "pytorch": f"torch {torch.__version__}, "}[
        kind
    ] in one.build
    assert one.device == CPU


@pytest.mark.parametrize("kind", ["openvino", "pytorch"])
def test_the_model_is_left_as_it_is(case: SimpleNamespace, kind: str, precision: str) -> None:
    model = copy.deepcopy(case.model)
    layers, before = str(model), {name: tensor.clone() for name, tensor in model.state_dict().items()}
    built(kind, model, SHAPE, batch=2, precision=precision).logits(case.images[:2])
    assert str(model) == layers
    assert not model.training
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("kind", ["openvino", "pytorch"])
def test_the_model_is_not_looked_at_again(case: SimpleNamespace, kind: str) -> None:
    """It may be trained further, or be given other weights."""
    model = copy.deepcopy(case.model)
    predictor = built(kind, model, SHAPE, batch=2)
    logits = predictor.logits(case.images[:2])
    for tensor in model.state_dict().values():
        tensor.zero_()
    assert torch.equal(predictor.logits(case.images[:2]), logits)


def test_other_images_have_engines_too(settle: Any) -> None:
    """Grey ones, and sizes that are no power of two."""
    for shape in ((1, 8, 8), (2, 9, 7)):
        images = torch.rand((40, *shape), generator=torch.Generator().manual_seed(1))
        torch.manual_seed(3)
        model = models.build("resnet8", 4, [0.5] * shape[0], [0.25] * shape[0])
        settle(model, images, seed=3)
        draws = Draws(images[:3].numpy(), np.arange(3), 50, scales(0.5, 3), noise.key(0, "estimation"))
        for kind in ("openvino", "pytorch"):
            classes = predicted(built(kind, model, shape, batch=16), draws)
            assert_same_but_for_ties(classes, plain(model, copies(draws)), margin=1e-4, share=0.01)


# Which engine, and how large a batch.


class Recorded:
    def __init__(self, model: Any, images: Any, **options: Any) -> None:
        self.options = {name: value for name, value in options.items() if name in ("batch", "streams", "precision")}


@pytest.mark.parametrize(
    ("device", "shape", "threads", "options", "expected"),
    [
        ("cpu", SHAPE, 1, {}, {"batch": 32, "streams": 1}),
        ("cpu", SHAPE, 3, {}, {"batch": 32, "streams": 3}),
        ("cpu", (1, 8, 8), 1, {}, {"batch": 512, "streams": 1}),
        ("cpu", (3, 224, 224), 1, {}, {"batch": 1, "streams": 1}),
        ("cpu", SHAPE, 1, {"draws": 32}, {"batch": 32, "streams": 1}),
        ("cpu", SHAPE, 1, {"draws": 33}, {"batch": 17, "streams": 1}),  # and not 32 and 1
        ("cpu", SHAPE, 2, {"draws": 100}, {"batch": 25, "streams": 2}),  # two for each thread
        ("cpu", SHAPE, 2, {"draws": 1}, {"batch": 1, "streams": 2}),
        ("cpu", SHAPE, 1, {"batch_size": 100}, {"batch": 100, "streams": 1}),
        ("cpu", SHAPE, 2, {"batch_size": 100, "draws": 150}, {"batch": 100, "streams": 2}),
        ("cpu", SHAPE, 2, {"batch_size": 100, "draws": 10}, {"batch": 10, "streams": 2}),
        ("cpu", (3, 1, 1), 1, {}, {"batch": 2**15, "streams": 1}),
        ("cuda", SHAPE, 2, {}, {"batch": 8192}),
        ("cuda", (3, 224, 224), 2, {}, {"batch": 167}),
        ("cuda", (1, 8, 8), 2, {}, {"batch": 2**16}),
        ("cuda", (512, 1, 1), 2, {}, {"batch": 2**16}),
        ("cuda", SHAPE, 2, {"draws": 10}, {"batch": 8192}),  # part of the arithmetic, so the same for every number
        ("cuda", SHAPE, 2, {"batch_size": 100, "draws": 10}, {"batch": 100}),
    ],
)
def test_the_batch_suits_device_image_and_draws(
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    shape: tuple[int, ...],
    threads: int,
    options: dict[str, int],
    expected: dict[str, int],
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(openvino_engine, "OpenVino", type("OpenVino", (Recorded,), {}))
    monkeypatch.setattr("accelerated_smoothing.counting.engines.pytorch.Pytorch", type("Pytorch", (Recorded,), {}))
    predictor: Any = engines.build(torch.nn.Sequential(), shape, device=torch.device(device), **options)
    assert type(predictor).__name__ == {"cpu": "OpenVino", "cuda": "Pytorch"}[device]
    assert predictor.options == {**expected, "precision": "fp32"}


def test_pytorch_takes_the_place_of_openvino_where_it_is_not_installed(
    case: SimpleNamespace, engine: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, openvino_engine.__name__)
    predictor: Any = engines.build(case.model, SHAPE, device=CPU, batch_size=64, draws=10)
    assert (predictor.arithmetic, predictor.batch) == ("cpu-pytorch-fp32-folded", 64)
    np.testing.assert_array_equal(predicted(predictor, case.draws), predicted(engine("pytorch", 64), case.draws))


def test_a_precision_that_the_cpu_has_not_is_refused(case: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_engine, "CAPABILITIES", ["FP32", "INT8"])
    with pytest.raises(InputError, match="precision must be 'fp32' on this CPU, got 'bf16'"):
        engines.build(case.model, SHAPE, device=CPU, precision="bf16")


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_precision_that_the_gpu_has_not_is_refused(
    case: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    with pytest.raises(InputError, match=f"precision must be 'fp32' on this GPU, got '{precision}'"):
        engines.build(case.model, SHAPE, device=torch.device("cuda"), precision=precision)


def test_tf32_is_a_precision_of_gpus(case: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="precision must be 'fp32' or 'bf16' on a CPU, got 'tf32'"):
        engines.build(case.model, SHAPE, device=CPU, precision="tf32")


def test_tf32_holds_for_the_passes_of_its_engine_alone(case: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU has no TF32, but the flag can be seen there."""
    cudnn, found = torch.backends.cudnn, []
    monkeypatch.setattr(cudnn, "allow_tf32", False)
    logits = plain(case.model, case.images)

    def network(images: torch.Tensor) -> torch.Tensor:
        found.append((cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark, torch.backends.cuda.matmul.allow_tf32))
        return logits[: len(images)]

    exact, coarse = (Pytorch(network, SHAPE, batch=4, device=CPU, precision=name) for name in ("fp32", "tf32"))
    for predictor in (coarse, exact):
        predictor.logits(case.images[:4])
        predicted(predictor, replace(case.draws, samples=2))
    assert coarse.arithmetic == "cpu-pytorch-tf32-folded"
    assert found[0] == (True, True, False, False)
    assert {flags[0] for flags in found[: len(found) // 2]} == {True}
    assert {flags[0] for flags in found[len(found) // 2 :]} == {False}


# What several runs of one engine share.


def all_free(predictor: OpenVino) -> None:
    """Wait until no worker has anything to do."""
    barrier = threading.Barrier(predictor.streams + 1)
    for _ in range(predictor.streams):
        predictor.workers.submit(barrier.wait, 60)
    barrier.wait(60)
    assert predictor.requests.qsize() == predictor.streams


@pytest.mark.parametrize("streams", [1, 2])
def test_predictions_that_are_stopped_early_leave_nothing_running(
    case: SimpleNamespace, engine: Build, monkeypatch: pytest.MonkeyPatch, streams: int
) -> None:
    predictor = OpenVino(case.model, SHAPE, batch=2, streams=streams)
    stride, begun, stopped = 2 * openvino_engine.BATCHES, set(), threading.Event()
    perturb = philox.perturb

    def spy(*arguments: Any) -> None:
        begun.add(arguments[4] // stride)
        if arguments[4] >= stride:  # each stream is at work on what comes after the first piece
            assert stopped.wait(60)
        perturb(*arguments)

    monkeypatch.setattr(philox, "perturb", spy)
    running = predictor.predictions(case.draws)
    next(running)
    running.close()
    stopped.set()
    all_free(predictor)
    assert begun <= set(range(1 + streams))
    monkeypatch.undo()
    np.testing.assert_array_equal(predicted(predictor, case.draws), predicted(engine("openvino"), case.draws))
    all_free(predictor)


@pytest.mark.parametrize("streams", [1, 2])
def test_an_error_in_a_stream_is_told_and_the_engine_can_be_used_again(
    case: SimpleNamespace, engine: Build, monkeypatch: pytest.MonkeyPatch, streams: int
) -> None:
    predictor = OpenVino(case.model, SHAPE, batch=2, streams=streams)
    perturb = philox.perturb

    def failing(*arguments: Any) -> None:
        if arguments[4] == 100:
            raise MemoryError
        perturb(*arguments)

    monkeypatch.setattr(philox, "perturb", failing)
    with pytest.raises(MemoryError):
        predicted(predictor, case.draws)
    monkeypatch.undo()
    all_free(predictor)
    np.testing.assert_array_equal(predicted(predictor, case.draws), predicted(engine("openvino"), case.draws))


def other_draws(case: SimpleNamespace) -> list[Draws]:
    """Draws that differ in each thing that an engine may have made ready, and one in the images alone."""
    first = replace(case.draws, samples=90)
    return [
        first,
        replace(first, images=case.images[2:4].numpy()),
        replace(first, names=np.array([7, 8])),
        replace(first, images=case.images[:1].numpy(), names=np.array([4]), scales=scales(0.5, 1)),
        replace(first, images=case.images[:3].numpy(), names=np.arange(3), scales=scales(0.5, 3)),
        replace(first, samples=80),
        replace(first, first=np.array([90, 3])),
        replace(first, scales=np.array([0.25, 1], np.float32)),
        replace(first, noise="uniform"),
        replace(first, noise="laplace"),
        replace(first, key=noise.key(0, "selection")),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["openvino", "pytorch"])
def test_draws_that_take_turns_do_not_disturb_each_other(case: SimpleNamespace, engine: Build, kind: str) -> None:
    predictor = engine(kind, 7)
    expected = [plain(case.model, copies(draws)) for draws in other_draws(case)]
    for _ in range(2):
        for draws, logits in zip(other_draws(case), expected, strict=True):
            assert_same_but_for_ties(predicted(predictor, draws), logits, margin=1e-4, share=0.02)


def test_a_program_serves_all_draws_of_one_noise(case: SimpleNamespace) -> None:
    """Of any scales, number and first draw, and of as many images as to the next power of two."""
    predictor = Pytorch(case.model, SHAPE, batch=7, device=CPU)
    for sigma, samples, first in ((0.5, 10, 0), (0.25, 10, 0), (0.5, 3, 0), (0.5, 10, 5)):
        predicted(predictor, replace(case.draws, samples=samples, scales=scales(sigma, 2), first=first))
    assert len(predictor.programs) == 1
    predicted(predictor, replace(case.draws, samples=10, noise="uniform"))
    assert len(predictor.programs) == 2
    for n in (5, 6, 8, 7):
        images = case.images[:n].numpy()
        draws = replace(case.draws, images=images, names=np.arange(n), samples=3, scales=scales(0.5, n))
        assert_same_but_for_ties(predicted(predictor, draws), plain(case.model, copies(draws)), margin=1e-4, share=0.05)
    assert len(predictor.programs) == 3


@pytest.mark.parametrize("kind", ["openvino", "pytorch"])
def test_two_runs_may_go_on_by_turns(case: SimpleNamespace, engine: Build, kind: str) -> None:
    predictor = engine(kind, 7)
    both = [case.draws, replace(case.draws, key=noise.key(0, "selection"))]
    expected = [predicted(predictor, draws) for draws in both]
    assert (expected[0] != expected[1]).any()
    got: list[list[np.ndarray]] = [[], []]
    for parts in zip(*(predictor.predictions(draws) for draws in both), strict=True):
        for kept, part in zip(got, parts, strict=True):
            kept.append(part.numpy().copy())
    assert len(got[0]) >= 3
    for kept, whole in zip(got, expected, strict=True):
        np.testing.assert_array_equal(np.concatenate(kept), whole)


def test_logits_and_predictions_may_take_turns(case: SimpleNamespace, engine: Build) -> None:
    for kind in ("openvino", "pytorch"):
        predictor = engine(kind, 7)
        expected, logits = predicted(predictor, case.draws), predictor.logits(case.images)
        parts = []
        for part in predictor.predictions(case.draws):
            parts.append(part.numpy().copy())
            assert torch.equal(predictor.logits(case.images), logits)
        np.testing.assert_array_equal(np.concatenate(parts), expected)


QUIET = """
import sys
import numpy as np, torch
from accelerated_smoothing.counting import engines
from accelerated_smoothing import models, noise
image, scale = np.zeros((1, 1, 8, 8), np.float32), np.ones(1, np.float32)
draws = engines.Draws(image, np.zeros(1, int), 10, scale, noise.key(0, "p"))
engine = engines.build(models.build("resnet8", 10, [0.5], [0.25]).eval(), (1, 8, 8), device=torch.device("cpu"))
assert sum(len(part) for part in engine.predictions(draws)) == 10
assert "openvino" in sys.modules
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module])
"""


@pytest.mark.slow
def test_openvino_reports_to_nobody_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    done = subprocess.run(
        [sys.executable, "-c", QUIET],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[]\n"
    assert list(tmp_path.iterdir()) == []


def test_a_program_keeps_all_that_its_step_reads(case: SimpleNamespace) -> None:
    """A graph goes on reading the memory of its capture, when the step that was captured is gone."""
    predictor = Pytorch(case.model, SHAPE, batch=4, device=CPU)
    program = predictor._program(2, case.draws.key, "gaussian")
    kept = {id(value) for value in vars(program).values()}
    read = [cell.cell_contents for cell in program.run.__closure__ or ()]
    tensors = [value for value in read if isinstance(value, torch.Tensor)]
    assert len(tensors) >= 9
    assert {id(tensor) for tensor in tensors} <= kept


SIGNALLED = """
import gc, os, signal
import torch
from accelerated_smoothing.counting import engines
from accelerated_smoothing import models
for _ in range(2):
    model = models.build("resnet8", 10, [0.5], [0.25]).eval()
    engine = engines.build(model, (1, 8, 8), device=torch.device("cpu"))
    del engine
    gc.collect()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.slow
def test_a_signal_after_the_last_engine_is_handled() -> None:
    """OpenVINO's CPU plugin, unloaded, would leave handlers without a stack."""
    done = subprocess.run([sys.executable, "-c", SIGNALLED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n")


COLLECT = """
import sys, pytest
sys.modules["openvino"] = None
sys.exit(pytest.main(["-m", "gpu", "--collect-only", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "tests/unit"]))
"""


@pytest.mark.slow
def test_the_tests_for_a_gpu_are_found_without_openvino() -> None:
    """Nor does a machine that is lent for its GPU run tests side by side."""
    root, plain = Path(__file__).parents[2], {**os.environ, "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], cwd=root, env=plain, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    for file in ("test_gpu_engine", "test_gpu_verbs"):
        assert f"{file}.py::" in done.stdout


# bf16 of PyTorch's engine, for networks of every family.


@pytest.mark.parametrize(
    ("arch", "shape"),
    [
        *((arch, (3, 16, 16)) for arch in ("resnet18", "resnet34", "imagenet-resnet50", "ensemble2-resnet8")),
        ("denoised-resnet18", (3, 16, 16)),
        *((arch, (24, 1, 1)) for arch in ("linear", "mlp-16", "mlp-16-8")),
        ("sll16-2", (3, 16, 16)),
    ],
)
def test_bf16_multiplies_in_bf16_and_has_logits_of_fp32(arch: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    model = models.build(arch, 10, [0.5] * shape[0], [0.25] * shape[0]).eval()
    images = torch.rand((4, *shape))
    exact, half = (Pytorch(model, shape, batch=4, device=CPU, precision=precision) for precision in LIMITS)
    expected, logits = exact.logits(images), half.logits(images)
    scale = expected.abs().max()
    assert 1e-4 * scale < (logits - expected).abs().max() < 0.05 * scale
    layers: Any = half.network
    hidden = {
        name: layer.weight.dtype for name, layer in layers.named_modules() if getattr(layer, "weight", None) is not None
    }
    last = {name for name in hidden if name.endswith("fc")}
    assert {hidden.pop(name) for name in last} == {torch.float32}
    assert set(hidden.values()) <= {torch.bfloat16}
    compiled = torch.compile(layers, backend="eager", fullgraph=True, dynamic=False)  # as on a GPU, in one graph
    with torch.inference_mode():
        assert torch.equal(compiled(half.input), layers(half.input))


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Streams and graphs that do nothing, in place of a GPU's: the captures' memory, and whether one is under way."""
    seen = SimpleNamespace(pools=[], running=False)

    @contextlib.contextmanager
    def capture(graph: Any, pool: Any) -> Any:
        seen.pools.append(pool)
        seen.running = True
        yield
        seen.running = False

    stream = SimpleNamespace(wait_stream=lambda _: None)
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda _: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
    monkeypatch.setattr(torch.cuda, "graph", capture)
    return seen


@pytest.mark.parametrize("fails", [False, True])
def test_no_garbage_is_collected_during_a_capture(
    case: SimpleNamespace, captures: SimpleNamespace, fails: bool
) -> None:
    enabled = []

    def step() -> None:
        if captures.running:
            enabled.append(gc.isenabled())
            if fails:
                raise MemoryError

    predictor = Pytorch(case.model, SHAPE, batch=4, device=CPU)
    with pytest.raises(MemoryError) if fails else contextlib.nullcontext():
        predictor._captured(step)
    assert enabled == [False]
    assert gc.isenabled()


def test_graphs_of_an_engine_share_their_memory(case: SimpleNamespace, captures: SimpleNamespace) -> None:
    predictor: Any = Pytorch(case.model, SHAPE, batch=4, device=CPU)
    assert predictor.pool is None
    predictor.pool = "its own"
    for kind in ("gaussian", "uniform", "gaussian"):
        predicted(predictor, replace(case.draws, samples=3, noise=kind))
        predictor.logits(case.images[:2])
    assert captures.pools == ["its own"] * 3  # two of draws, and one of logits


def test_an_engine_keeps_the_programs_that_ran_last(case: SimpleNamespace) -> None:
    predictor = Pytorch(case.model, SHAPE, batch=4, device=CPU)
    purposes = [replace(case.draws, samples=1, key=noise.key(0, str(number))) for number in range(PROGRAMS + 1)]
    expected = [predicted(predictor, draws) for draws in purposes[:PROGRAMS]]
    first, second = list(predictor.programs.values())[:2]
    predicted(predictor, purposes[0])
    predicted(predictor, purposes[-1])
    assert len(predictor.programs) == PROGRAMS
    assert any(program is first for program in predictor.programs.values())
    assert not any(program is second for program in predictor.programs.values())
    for draws, classes in zip(purposes, expected, strict=False):  # one of them is made anew
        np.testing.assert_array_equal(predicted(predictor, draws), classes)
