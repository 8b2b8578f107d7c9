"""PyTorch's engine. On a GPU, a batch is one CUDA graph from noise to predicted classes. On a CPU, it is the reference.

The position in the draws is stored on the device, so that the graph runs `BATCHES` times without the host.
"""

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.counting import fusing
from accelerated_smoothing.counting.engines import Draws
from accelerated_smoothing.errors import InputError
from accelerated_smoothing.noise import philox

BATCHES = 4  # with large batches, more would let a signal to stop wait
PROGRAMS = 8  # kept by an engine: rounds of counting come back to sizes and purposes of draws
DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Program:
    """One batch of draws of up to n images, under one key and distribution of noise, ready to run.

    Attributes:
        run: predicts the next batch, writes its classes to `predicted` and advances `position`.
        images: [n, d] float32, the mean subtracted.
        names: [n] int64 of the images in the randomness contract.
        firsts: [n] int64 numbers of the first draw of each image.
        scales: [n] float32 of the noise.
        samples: draws of each image.
        position: of the next draw.
        begun: the draw whose class stands first in `predicted`.
        predicted: [BATCHES * batch] int64.
        lanes: [batch] 0, 1, ...: kept here, since a graph reads the memory of its capture.
    """

    run: Callable[[], None]
    images: torch.Tensor
    names: torch.Tensor
    firsts: torch.Tensor
    scales: torch.Tensor
    samples: torch.Tensor
    position: torch.Tensor
    begun: torch.Tensor
    predicted: torch.Tensor
    lanes: torch.Tensor


class Pytorch:
    """See `Engine`. `model` may also be any function from [batch, *shape] to logits, in fp32."""

    def __init__(
        self,
        model: nn.Sequential | Callable[[torch.Tensor], torch.Tensor],
        images: Sequence[int],
        *,
        batch: int,
        device: torch.device,
        precision: str = "fp32",
        kernels: str | None = None,
    ) -> None:
        self.device, self.batch, self.shape = device, batch, tuple(images)
        self.arithmetic = f"{device.type}-pytorch-{precision}-folded"
        self.build = f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}"
        self.input = torch.zeros((batch, *self.shape), device=device, dtype=DTYPES[precision])
        self.mean: torch.Tensor = torch.zeros(())
        self.network: Callable[[torch.Tensor], torch.Tensor] = model
        fused = False
        if isinstance(model, nn.Sequential):
            self.mean, network = models.fold(model)
            if getattr(network, "as_it_is", False):
                _check(network, precision)
                self.network = network.to(device)
            else:
                if precision == "bf16":
                    _halve(network)
                self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                self.input = self.input.to(memory_format=torch.channels_last)
                fused = kernels is not None and fusing.fuse(network, kernels)
        if fused:
            self.arithmetic += f"-{kernels}"
        if device.type == "cuda":
            self.arithmetic += f"-batch{batch}"
            self.build = f"torch {torch.__version__}, {torch.cuda.get_device_name(device)}"
            if not fused:  # these kernels are what the compiler would make fewer of
                self.network = models.compiled(self.network)
        if precision == "tf32":
            self.network = _in_tf32(self.network)
        self.answer: tuple[Callable[[], None], torch.Tensor] | None = None
        self.programs: dict[tuple[object, ...], Program] = {}  # the one that ran last comes last
        # Graphs share the memory of what they compute on the way, since they run one after another, and what they leave
        # behind lies elsewhere.
        self.pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    def predictions(self, draws: Draws, start: int = 0) -> Iterator[torch.Tensor]:
        n = len(draws.images)
        room = 1 << max(n - 1, 0).bit_length()  # so that rounds of counting, of fewer images each, share a few programs
        shape = (room, draws.noise, *draws.key.tolist())
        program = self.programs.pop(shape, None) or self._program(room, draws.key, draws.noise)
        self.programs[shape] = program
        if len(self.programs) > PROGRAMS:
            del self.programs[next(iter(self.programs))]
        program.images[:n].copy_((torch.from_numpy(draws.images) - self.mean).flatten(1))
        program.names[:n].copy_(torch.from_numpy(draws.names.astype(np.int64)))
        program.firsts[:n].copy_(torch.from_numpy(draws.firsts))
        program.scales[:n].copy_(torch.from_numpy(draws.scales))
        program.samples.fill_(draws.samples)
        stride = len(program.predicted)
        for first in range(start, len(draws), stride):
            count = min(stride, len(draws) - first)
            program.position.fill_(first)
            program.begun.fill_(first)
            with torch.inference_mode():
                for _ in range(-(-count // self.batch)):
                    program.run()
            yield program.predicted[:count]

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        logits = []
        with torch.inference_mode():
            if self.answer is None:
                self.answer = self._answering()
            run, answer = self.answer
            for part in (images - self.mean).split(self.batch):
                self.input[: len(part)] = part.to(self.device)
                run()
                logits.append(answer[: len(part)].to("cpu", copy=True))
        return torch.cat(logits)

    def _answering(self) -> tuple[Callable[[], None], torch.Tensor]:
        """Return what runs the network on `input`, and where its logits [batch, classes] float32 then are."""
        answer = torch.empty_like(self.network(self.input), dtype=torch.float32)

        def step() -> None:
            answer.copy_(self.network(self.input))

        return (self._captured(step) if self.pool else step), answer

    def _program(self, room: int, key: np.ndarray, noise: str) -> Program:
        images = torch.zeros((room, int(np.prod(self.shape))), device=self.device)
        names = torch.zeros(room, dtype=torch.int64, device=self.device)
        firsts, scales = names.clone(), torch.zeros(room, device=self.device)
        samples = torch.ones((), dtype=torch.int64, device=self.device)  # a capture runs, and divides by it
        position = torch.zeros_like(samples)
        begun, lanes = position.clone(), torch.arange(self.batch, device=self.device)
        predicted = torch.zeros(self.batch * BATCHES, dtype=torch.int64, device=self.device)
        perturb = _perturbation(self.device)

        def step() -> None:
            perturb(self.input, images, names, samples, position, firsts, scales, key, noise)
            classes = self.network(self.input).argmax(1)
            predicted.index_copy_(0, position - begun + lanes, classes)
            position.add_(self.batch)

        run = self._captured(step, position.zero_) if self.pool else step
        return Program(run, images, names, firsts, scales, samples, position, begun, predicted, lanes)

    def _captured(self, step: Callable[[], None], undo: Callable[[], object] = lambda: None) -> Callable[[], None]:
        """Return the step as a CUDA graph. Run it before without one, so that libraries allocate and choose kernels.

        Args:
            undo: what a step changed for the next one.
        """
        with torch.inference_mode():
            aside = torch.cuda.Stream(self.device)
            aside.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(aside):
                for _ in range(3):
                    step()
                    undo()
            torch.cuda.current_stream(self.device).wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with _uncollected(), torch.cuda.graph(graph, pool=self.pool):
                step()
        return graph.replay


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep Python's garbage collector from running in the block: what it frees on a GPU would break a capture."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _in_tf32(network: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a network that uses TF32 in convolutions only. Linear layers stay in fp32."""

    def run(images: torch.Tensor) -> torch.Tensor:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=True):
            return network(images)

    return run


def _halve(network: nn.Module) -> None:
    """Let all layers multiply in bfloat16, but the last, which is called `fc`: logits of few bits would tie."""
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            if name.rpartition(".")[2] != "fc":
                layer.to(torch.bfloat16)
            layer.register_forward_pre_hook(_cast)


def _cast(layer: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
    """Return the input of a layer in the precision of its weight."""
    weight: Any = layer.weight
    return (inputs[0].to(weight.dtype),)


def _check(program: nn.Module, precision: str) -> None:
    """Check that PyTorch can run a program.

    Raises:
        InputError: it is an ONNX file, or is to run in another precision than its own.
    """
    if hasattr(program, "onnx"):
        raise InputError(
            "compute.device must be cpu for an ONNX program, with OpenVINO installed, got PyTorch; "
            "export the network to a .pt2"
        )
    if precision != "fp32":
        raise InputError(f"precision must be 'fp32' for a program under PyTorch, got {precision!r}")


def noisy(draws: Draws, device: torch.device) -> torch.Tensor:
    """Return all noisy copies at once, [len(draws), *shape] float32 on the device."""
    out = torch.empty((len(draws), *draws.images.shape[1:]), device=device)
    images = torch.from_numpy(draws.images).flatten(1).to(device)
    names = torch.from_numpy(draws.names.astype(np.int64)).to(device)
    firsts, scales = torch.from_numpy(draws.firsts).to(device), torch.from_numpy(draws.scales).to(device)
    samples = torch.tensor(draws.samples, device=device)
    position = torch.zeros_like(samples)
    _perturbation(device)(out, images, names, samples, position, firsts, scales, draws.key, draws.noise)
    return out


def _perturbation(device: torch.device) -> Callable[..., None]:
    """Return the function that fills a batch with noisy copies on a kind of device; its arguments are `_perturb`'s."""
    if device.type == "cpu":
        return _perturb
    from accelerated_smoothing.noise import triton

    return triton.perturb


def _perturb(
    out: torch.Tensor,
    images: torch.Tensor,
    names: torch.Tensor,
    samples: torch.Tensor,
    position: torch.Tensor,
    firsts: torch.Tensor,
    scales: torch.Tensor,
    key: np.ndarray,
    noise: str,
) -> None:
    """Fill a batch on the CPU with the noisy copies from a position on; the last batch may reach beyond the end."""
    each, begun = int(samples), int(position)
    rows = min(len(out), len(images) * each - begun)
    copies = np.empty((rows, images.shape[1]), np.float32)
    philox.perturb(copies, images.numpy(), names.numpy(), each, begun, firsts.numpy(), scales.numpy(), key, noise)
    out[:rows] = torch.from_numpy(copies).view(rows, *out.shape[1:])
