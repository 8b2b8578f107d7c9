"""OpenVINO's engine for CPUs. Each stream is a thread with a request, a generator and buffers of its own.

The batch is static: OpenVINO then makes the same bits whatever its size, and wherever in it a copy stands. It is small,
so that a layer's output is still in the cache when the next one reads it.
"""

import queue
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import openvino as ov
import torch
from torch import nn

from accelerated_smoothing import models, noise
from accelerated_smoothing.counting.engines import Draws
from accelerated_smoothing.errors import InputError

BATCHES = 8  # predicted by a stream in one go
# One for as long as the process lasts: with its last Core the CPU plugin takes away the stack that handlers of signals
# run on, and the next signal, SIGTERM for instance, would crash Python.
CORE = ov.Core()
CAPABILITIES = CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVino:
    """See `Engine`."""

    def __init__(
        self, model: nn.Sequential, images: Sequence[int], *, batch: int, streams: int, precision: str = "fp32"
    ) -> None:
        if precision == "bf16" and "BF16" not in CAPABILITIES:
            raise InputError("precision: found 'bf16', which this CPU has not; 'fp32' would do")
        mean, network = models.fold(model)
        self.device, self.batch, self.streams = torch.device("cpu"), batch, streams
        self.shape, self.mean = tuple(images), mean
        self.arithmetic = f"cpu-openvino-{precision}-folded"
        self.build = f"openvino {ov.__version__.split('-')[0]}, {CORE.get_property('CPU', 'FULL_DEVICE_NAME')}"
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
        images = (torch.from_numpy(draws.images) - self.mean).flatten(1).numpy()
        names, total, kind = draws.names.astype(np.int64), len(draws), noise.KINDS.index(draws.noise)

        def predict(first: int, stop: int) -> np.ndarray:
            request = self.requests.get()
            try:
                room = request.get_input_tensor().data
                flat, predicted = room.reshape(len(room), -1), np.empty(stop - first, np.int64)
                for begin in range(first, stop, self.batch):
                    rows = min(self.batch, stop - begin)
                    noise.perturb(flat[:rows], images, names, draws.samples, begin, draws.scales, draws.key, kind)
                    request.infer()
                    predicted[begin - first : begin - first + rows] = request.get_output_tensor().data[:rows].argmax(1)
                return predicted
            finally:
                self.requests.put(request)

        batches = -(-(total - start) // self.batch)
        stride = self.batch * max(1, min(BATCHES, batches // self.streams))
        if total - start <= stride:  # to hand it to a thread would take longer than small networks do
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
        finally:  # whoever stops early leaves no work waiting
            for future in waiting:
                future.cancel()

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        request = self.requests.get()
        try:
            room, made = request.get_input_tensor().data, []
            for part in (images - self.mean).split(self.batch):
                room[: len(part)] = part
                request.infer()
                made.append(torch.from_numpy(request.get_output_tensor().data[: len(part)].copy()))
            return torch.cat(made)
        finally:
            self.requests.put(request)


def _graph(network: nn.Module, shape: tuple[int, ...]) -> ov.Model:
    """A network as OpenVINO's graph for inputs of one shape."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch would rather have its newer tracer used
        return ov.convert_model(network, example_input=torch.zeros(1, *shape[1:]), input=list(shape))
