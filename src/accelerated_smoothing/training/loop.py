"""The epoch loop that all ways of training share: a log line for each epoch, and resumption after a stop.

All that is random in an epoch comes from one generator seeded by (seed, purpose, epoch), or from that of a batch. So an
interrupted training ends with the same weights as one without a break. It is saved after each epoch, and within an
epoch as `Resumable` says.
"""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from accelerated_smoothing import models
from accelerated_smoothing.config import Base, Surrogate
from accelerated_smoothing.files import atomic, write_text
from accelerated_smoothing.progress import Resumable

Network = Callable[[torch.Tensor], torch.Tensor]
RISE = 0.3  # share of a one-cycle training in which the learning rate rises


def generator(seed: int, purpose: str, device: torch.device) -> torch.Generator:
    """Return a generator on the device whose stream depends on the seed and the purpose alone."""
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=4).digest()  # a CPU generator keeps 32 bits
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "little"))


def batches(
    images: torch.Tensor,
    targets: torch.Tensor,
    batch_size: int,
    crop: int,
    flip: bool,
    random: torch.Generator,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield shuffled, augmented batches of one epoch.

    Args:
        images: [n, channels, height, width] float32 in [0, 1] on the device.
        targets: [n, ...].
        crop: padding of the random crop, pixels; 0 for none.
        flip: whether half of the images are mirrored.
        random: the epoch's generator.
    """
    n, _, height, width = images.shape
    device = images.device
    padded = F.pad(images, [crop] * 4) if crop else images
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    for chosen in torch.randperm(n, generator=random, device=device).split(batch_size):
        size = (len(chosen), 1)
        y = rows + torch.randint(2 * crop + 1, size, generator=random, device=device)
        x = columns + torch.randint(2 * crop + 1, size, generator=random, device=device)
        if flip:
            mirrored = torch.rand(size, generator=random, device=device) < 0.5
            x = torch.where(mirrored, x.flip(1), x)
        # One gather does crop and mirror; the channel axis comes last, which is channels-last memory.
        batch = padded.permute(0, 2, 3, 1)[chosen[:, None, None], y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)
        yield batch, targets[chosen]


def schedule(settings: Base | Surrogate) -> Callable[[float], float]:
    """Return the factor of the learning rate after a number of epochs, which need not be whole.

    "steps" multiplies it by `gamma` every `step_size` epochs. "one-cycle" raises it from 1/25 to 1 over the first 30 %
    of the training and lowers it to 0, along cosines: Smith and Topin 2017, as PyTorch's `OneCycleLR`.
    """

    def steps(done: float) -> float:
        return settings.gamma ** (int(done) // settings.step_size)

    def one_cycle(done: float) -> float:
        progress = done / settings.epochs
        if progress < RISE:
            return 1 - (1 - 1 / 25) * (1 + math.cos(math.pi * progress / RISE)) / 2
        return (1 + math.cos(math.pi * (progress - RISE) / (1 - RISE))) / 2

    return one_cycle if settings.schedule == "one-cycle" else steps


def placed(model: nn.Module, device: torch.device) -> Network:
    """Move a model to the device, in channels-last memory, and return what runs it."""
    model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    # Compiling gains nothing on a CPU, and needs a C++ compiler.
    return models.compiled(model) if device.type == "cuda" else model


class Step:
    """One step of training: a batch in, its loss out, left on the device.

    Attributes:
        model: moved to the device, in channels-last memory.
        optimizer: of its parameters.
        loss: called as `loss(step, *batch)`; runs its passes through the step.
        precision: "fp32", or "bf16" for passes in bfloat16, while weights, sums and the loss stay in float32.
        batch_size: of a whole batch. The last of an epoch may be smaller, and is not compiled: that would take longer.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Callable[..., torch.Tensor],
        precision: str | None,
        device: torch.device,
        batch_size: int = 1,
    ) -> None:
        if precision is None:
            fit = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            precision = "bf16" if fit else "fp32"
        self.precision, self.batch_size = precision, batch_size
        self.model = model.train()
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimizer, self.loss, self.device = optimizer, loss, device
        self.passes = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
        self.network = placed(self.model, device)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of images [n, *shape], in float32."""
        return self.run(self.network, inputs)

    def run(self, network: Network, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits of any network on images [n, *shape], in float32."""
        with self.passes:
            logits = network(inputs)
        return logits.float()

    def frozen(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the same in evaluation mode and with constant weights, for gradients with respect to the inputs."""
        self.model.eval()
        for weight in self.weights:
            weight.requires_grad_(False)
        logits = self.forward(inputs)
        self.model.train()
        for weight in self.weights:
            weight.requires_grad_(True)
        return logits

    def __call__(self, *batch: Any) -> torch.Tensor:
        whole = len(batch[0]) >= self.batch_size
        with contextlib.nullcontext() if whole else torch.compiler.set_stance("force_eager"):
            value = self.loss(self, *batch)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.optimizer.step()
        return value.detach()


@dataclass
class Work:
    """The finished part of a training.

    Attributes:
        epochs: finished epochs.
        images: trained on so far.
        log: a row for each finished epoch.
        batches: finished batches of the epoch that is not finished.
        loss: summed over the images of these batches.
        seconds: that these batches took.
    """

    epochs: int = 0
    images: int = 0
    log: list[dict[str, float]] = field(default_factory=list)
    batches: int = 0
    loss: float = 0.0
    seconds: float = 0.0


def run(
    step: Step,
    epoch_batches: Callable[[int, torch.Generator], Iterator[tuple[Any, ...]]],
    *,
    images: int,
    epochs: int,
    rate: Callable[[float], float],
    seed: int,
    purpose: str,
    output: Path,
    identity: dict[str, Any],
    evaluate: Callable[[int], dict[str, float]] = lambda epoch: {},
    carried: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Train a model in place.

    Args:
        step: of the model; its loss is a mean over the batch.
        epoch_batches: called as `epoch_batches(epoch, generator)`, with epochs from 0; returns the batches, each of
            which starts with the inputs. A step must draw from a generator in its batch, since a resumed epoch makes
            the finished batches again, but not their steps.
        images: in one epoch.
        epochs: to train.
        rate: factor of the learning rate after a number of epochs, see `schedule`.
        seed: the root seed.
        purpose: of the random numbers.
        output: the future weight file; `<stem>.csv` beside it logs each epoch, and `<output>.partial` holds the state
            until the caller has saved the weights.
        identity: whatever determines the training, but for the precision and the device; a state with another
            identity is not continued.
        evaluate: returns further columns of the log after an epoch.
        carried: tensors that steps change in place, by name; they are saved and resumed with the weights.
    """
    model, optimizer = step.model, step.optimizer
    identity = {**identity, "precision": step.precision, "device": step.device.type}
    state_file, log_file = partial(output), output.with_suffix(".csv")
    carried = carried or {}
    work = _resume(model, optimizer, state_file, identity, carried) or Work()
    if work.log:
        write_text(log_file, _as_csv(work.log))
    base_rate = optimizer.param_groups[0]["lr"]
    begun, total = 0.0, torch.tensor(0.0)

    def save(done: int) -> None:
        work.images = done
        if work.batches:
            work.loss, work.seconds = total.item(), time.perf_counter() - begun
        _save(model, optimizer, state_file, identity, work, carried)

    with Resumable("training", epochs * images, "images", work.images, save) as progress:
        while work.epochs < epochs:
            begun = time.perf_counter() - work.seconds
            model.train()
            total = torch.tensor(work.loss, device=step.device)
            # An epoch that was interrupted is made again from its start, without the steps that are done.
            batches = epoch_batches(work.epochs, generator(seed, f"{purpose}/epoch{work.epochs}", step.device))
            for batch in itertools.islice(batches, work.batches, None):
                for group in optimizer.param_groups:
                    group["lr"] = base_rate * rate(progress.done / images)
                total += step(*batch) * len(batch[0])
                work.batches += 1
                progress.advance(len(batch[0]))
            model.eval()
            seconds = time.perf_counter() - begun
            lr, loss = optimizer.param_groups[0]["lr"], total.item() / images
            row = {"epoch": work.epochs + 1, "lr": lr, "loss": loss, **evaluate(work.epochs)}
            row["seconds"] = round(seconds, 3)
            work = Work(work.epochs + 1, log=[*work.log, row])
            text = ", ".join(f"{name} {value:.5g}" for name, value in row.items() if name != "epoch")
            progress.note(f"epoch {work.epochs} of {epochs}: {text}")
            progress.keep()
            write_text(log_file, _as_csv(work.log))
    for group in optimizer.param_groups:
        group["lr"] = base_rate


def partial(output: Path) -> Path:
    """Return the file that holds the state of an unfinished training."""
    return output.with_name(output.name + ".partial")


def _as_csv(log: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(log[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(log)
    return text.getvalue()


def _save(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    path: Path,
    identity: dict[str, Any],
    work: Work,
    carried: Mapping[str, torch.Tensor],
) -> None:
    tensors = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    for parameter, values in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer/{parameter}/{name}": value for name, value in values.items()}
    tensors |= {f"carried/{name}": tensor for name, tensor in carried.items()}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    described = {"identity": json.dumps(identity), "work": json.dumps(asdict(work))}
    with atomic(path) as draft:
        draft.write_bytes(safetensors.torch.save(tensors, described))


def _resume(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    path: Path,
    identity: dict[str, Any],
    carried: Mapping[str, torch.Tensor],
) -> Work | None:
    try:
        with safetensors.safe_open(path, "pt") as stored:
            described = stored.metadata()
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, safetensors.SafetensorError):
        return None
    if described.get("identity") != json.dumps(identity) or "work" not in described:
        return None
    model.load_state_dict({name[6:]: tensor for name, tensor in tensors.items() if name.startswith("model/")})
    for name, tensor in carried.items():
        tensor.copy_(tensors[f"carried/{name}"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer/"):
            _, parameter, key = name.split("/")
            state.setdefault(int(parameter), {})[key] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return Work(**json.loads(described["work"]))
