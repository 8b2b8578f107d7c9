"""OpenVINO's engine for CPUs. Each stream is a thread with its own request, generator and buffers.

The batch is static: OpenVINO then makes the same bits for any batch size and for any place of a copy in the batch. It
is small, so that a layer's output is still in the cache when the next layer reads it.

In fp32 it makes the same bits with vectors of 8 numbers (AVX2) as of 16 (AVX-512): each output is summed in one order,
whatever number of outputs is computed at once. So this arithmetic is named after AVX2, and not after the processor.
"""

import io
import queue
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import openvino as ov
import torch
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.counting import engines
from accelerated_smoothing.counting.engines import Draws
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.noise import philox

BATCHES = 8  # predicted by a stream in one go
# It lives as long as the process: with its last Core, the CPU plugin removes the stack on which signal handlers run,
# and the next signal, such as SIGTERM, would crash Python.
CORE = ov.Core()
EXTERNAL = b"\n\x08location\x12"  # in an ONNX file, where a tensor says in which other file it is
DYNAMIC = "export it with a dynamic batch: dynamic_shapes=({0: torch.export.Dim('n')},)"
AVX2 = ("AVX2", "AVX512")  # torch's names of processors that have it
CAPABILITIES = CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVino:
    """See `Engine`."""

    def __init__(
        self, model: nn.Sequential, images: Sequence[int], *, batch: int, streams: int, precision: str = "fp32"
    ) -> None:
        if precision == "bf16" and "BF16" not in CAPABILITIES:
            raise InputError("precision must be 'fp32' on this CPU, got 'bf16'")
        mean, network = models.fold(model)
        self.device, self.batch, self.streams = torch.device("cpu"), batch, streams
        self.shape, self.mean = tuple(images), mean
        portable = precision == "fp32" and torch.backends.cpu.get_cpu_capability() in AVX2
        self.arithmetic = f"cpu-openvino-{precision}-folded" + (engines.PORTABLE if portable else "")
        version, processor = ov.__version__.split("-")[0], CORE.get_property("CPU", "FULL_DEVICE_NAME")
        self.build = f"openvino {version}, " + ("any processor" if portable else processor)
        compiled = CORE.compile_model(
            _graph(network, (batch, *self.shape)),
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
                "NUM_STREAMS": streams,
                "INFERENCE_NUM_THREADS": streams,
                "ENABLE_CPU_PINNING": False,  # two jobs on one machine would be pinned to the same cores
            },
        )
        self.requests: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        for _ in range(streams):
            self.requests.put(compiled.create_infer_request())
        self.workers = ThreadPoolExecutor(streams)

    def predictions(self, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        philox.kernel(draws.noise)  # compiled here, so that no two streams do so at once
        images = (torch.from_numpy(draws.images) - self.mean).flatten(1).numpy()
        names, firsts, total = draws.names.astype(np.int64), draws.firsts, len(draws)

        def predict(first: int, stop: int) -> np.ndarray:
            request = self.requests.get()
            try:
                buffer = request.get_input_tensor().data
                flat, predicted = buffer.reshape(len(buffer), -1), np.empty(stop - first, np.int64)
                for begin in range(first, stop, self.batch):
                    rows = min(self.batch, stop - begin)
                    philox.perturb(
                        flat[:rows], images, names, draws.samples, begin, firsts, draws.scales, draws.key, draws.noise
                    )
                    request.infer()
                    predicted[begin - first : begin - first + rows] = request.get_output_tensor().data[:rows].argmax(1)
                return predicted
            finally:
                self.requests.put(request)

        batches = -(-(total - start) // self.batch)
        stride = self.batch * max(1, min(BATCHES, batches // self.streams))
        if total - start <= stride:  # for small networks, handing it to a thread takes longer
            yield torch.from_numpy(predict(start, total))
            return
        waiting: deque[Future[np.ndarray]] = deque()
        try:
            for first in range(start, total, stride):
                waiting.append(self.workers.submit(predict, first, min(first + stride, total)))
                if len(waiting) > 2 * self.streams:
                    yield torch.from_numpy(waiting.popleft().result())
            while waiting:
                yield torch.from_numpy(waiting.popleft().result())
        finally:  # the caller may stop early
            for future in waiting:
                future.cancel()

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        request = self.requests.get()
        try:
            buffer, logits = request.get_input_tensor().data, []
            for part in (images - self.mean).split(self.batch):
                buffer[: len(part)] = part
                request.infer()
                logits.append(torch.from_numpy(request.get_output_tensor().data[: len(part)].copy()))
            return torch.cat(logits)
        finally:
            self.requests.put(request)


def _graph(network: nn.Module, shape: tuple[int, ...]) -> ov.Model:
    """Return a network as OpenVINO's graph for inputs of one shape.

    Raises:
        InputError: OpenVINO cannot run it, or it does not return one row of float32 logits for each image.
    """
    onnx = getattr(network, "onnx", None)
    if onnx:
        graph = _reshaped(onnx(), shape)
    else:
        # The sizes of another batch may stand in a program; then the network itself would fail.
        example = torch.zeros(shape if getattr(network, "as_it_is", False) else (1, *shape[1:]))
        try:
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # PyTorch recommends its newer tracer
                network(example)
                graph = ov.convert_model(network, example_input=example, input=list(shape))
        except RuntimeError as error:
            raise InputError(f"must run under OpenVINO for {shape[0]} images, got {_line(error)}; {DYNAMIC}") from error
    if len(graph.outputs) != 1:
        raise InputError(f"must have one output, the logits, got {len(graph.outputs)}; export it so")
    logits = graph.output(0)
    if logits.get_element_type() != ov.Type.f32:
        raise InputError(f"must return float32 logits, got {logits.get_element_type().get_type_name()}; export it so")
    sizes = [int(size.get_length()) if size.is_static else "?" for size in logits.get_partial_shape()]
    if len(sizes) != 2 or sizes[0] != shape[0]:
        raise InputError(f"must return logits [n, classes], n = {shape[0]}, got {sizes}; {DYNAMIC}")
    return graph


def _reshaped(program: bytes, shape: tuple[int, ...]) -> ov.Model:
    """Return the graph of an ONNX program for inputs of one shape.

    Raises:
        InputError: it is no whole ONNX program, or takes something else.
    """
    if EXTERNAL in program:
        raise InputError(
            "must be one file, got weights in another one; export it with external_data=False, or as a .pt2 above 2 GB"
        )
    try:
        graph = CORE.read_model(io.BytesIO(program))
    except RuntimeError as error:
        raise InputError("must be a whole ONNX program, got what OpenVINO cannot read") from error
    if len(graph.inputs) != 1 or graph.input(0).get_element_type() != ov.Type.f32:
        taken = ", ".join(each.get_element_type().get_type_name() for each in graph.inputs) or "none"
        raise InputError(f"must have one input, float32 images, got {taken}; export it so")
    declared = graph.input(0).get_partial_shape()
    if not declared.compatible(ov.PartialShape([-1, *shape[1:]])):
        raise InputError(f"must take images of shape {list(shape[1:])}, got {declared}; export it for this shape")
    try:
        graph.reshape(list(shape))
    except RuntimeError as error:
        raise InputError(f"must take {shape[0]} images at once, got a program of another number; {DYNAMIC}") from error
    return graph


def _line(error: Exception) -> str:
    """Return the first line of an error that says something."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.startswith("Exception from")), type(error).__name__)
