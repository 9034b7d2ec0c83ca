"""One trainer for every network: losses, schedule, averaged weights, early stopping, and resuming.

Sources: AdamW, Loshchilov and Hutter, ICLR 2019; one cycle, Smith and Topin, arXiv:1708.07120; Gaussian
likelihood, Nix and Weigend, ICNN 1994; averaged weights, Polyak and Juditsky, SIAM J. Control 30, 838 (1992).
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from niobe.config.atomic import write_whole
from niobe.config.version import code_version
from niobe.surrogates.identity import arrays_digest, require_same
from niobe.surrogates.representations.batches import Batch, Encoder, Item

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

FloatArray = NDArray[np.float64]
LossName = Literal["mae", "huber", "gaussian", "quantile"]
LOSSES: dict[LossName, int] = {"mae": 1, "huber": 1, "gaussian": 2, "quantile": 3}
QUANTILES = (0.05, 0.5, 0.95)
_CLIP = 5.0
_STEPS = 16
_MIN_BATCH = 4
_INFERENCE_BATCH = 32


@dataclass(frozen=True)
class Training:
    """How a network is trained. Rates per step.

    patience: epochs without a better one after which training stops, and the best epoch is kept; 0: never,
    and the last epoch is kept. average: decay of the averaged weights per step; those are what is kept.
    """

    epochs: int = 60
    batch: int = 64
    rate: float = 2e-3
    decay: float = 1e-2
    loss: LossName = "mae"
    average: float = 0.998
    warm: float = 0.1
    patience: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Rows:
    """Items with their labels, shape (n, targets), standardised; NaN is unknown."""

    items: Sequence[Item]
    labels: FloatArray


@dataclass
class History:
    """Losses on the training and the validation part by epoch, the best epoch and CPU seconds spent."""

    train: list[float] = field(default_factory=list)
    valid: list[float] = field(default_factory=list)
    best: int = 0
    seconds: float = 0.0


def train(
    network: nn.Module,
    encoder: Encoder,
    rows: Rows,
    valid: Rows,
    settings: Training,
    *,
    seed: int,
    binary: Sequence[bool],
    folder: Path | None = None,
    tick: Callable[[int, History], bool] | None = None,
) -> History:
    """Train in place; the network ends with the averaged weights of its last epoch, or its best on ``valid``.

    binary: which targets are classes (cross entropy instead of the loss). folder: where each epoch's state
    goes and from where an interrupted training goes on. tick: told of each epoch; False ends the training.
    encoder: collates items. rows, valid: trained and judged on. settings: how. seed: of order and noise.
    """
    run = _Run(network, encoder, rows, valid, settings, seed, list(binary))
    if folder is not None:
        run.resume(folder)
    while run.goes_on():
        run.epoch()
        if folder is not None:
            run.store(folder)
        if tick is not None and not tick(len(run.history.train), run.history):
            break
    network.load_state_dict(run.best)
    network.eval()
    return run.history


class _Run:
    """The state of one training between epochs."""

    def __init__(
        self,
        network: nn.Module,
        encoder: Encoder,
        rows: Rows,
        valid: Rows,
        settings: Training,
        seed: int,
        binary: list[bool],
    ) -> None:
        import torch

        self.network, self.encoder = network.to(settings.device), encoder
        self.rows, self.valid, self.settings, self.seed, self.binary = rows, valid, settings, seed, binary
        self._digest = _digest_of(rows, valid)
        self.averaged = copy.deepcopy(network)
        self.best = copy.deepcopy(network.state_dict())
        self.history = History()
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=settings.rate, weight_decay=settings.decay
        )

    def goes_on(self) -> bool:
        done, patience = len(self.history.train), self.settings.patience
        waited = done - 1 - self.history.best
        return done < self.settings.epochs and not (patience and waited >= patience)

    def epoch(self) -> None:
        """One pass over the rows in an order, and with noise, that follow from seed and epoch."""
        import torch

        done, started = len(self.history.train), time.process_time()
        rng = np.random.default_rng([self.seed, done])
        order = rng.permutation(len(self.rows.items))
        chunks = np.array_split(order, math.ceil(len(order) / self._batch()))
        self.network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            losses = [
                self._step(chunk, done * len(chunks) + i, len(chunks)) for i, chunk in enumerate(chunks)
            ]
        self.history.train.append(float(np.mean(losses)))
        self.history.valid.append(self._judge() if len(self.valid.items) else self.history.train[-1])
        if not self.settings.patience or self.history.valid[-1] <= self.history.valid[self.history.best]:
            self.history.best = done
            self.best = copy.deepcopy(self.averaged.state_dict())
        self.history.seconds += time.process_time() - started

    def _batch(self) -> int:
        """The batch asked for, smaller where an epoch would have fewer than 16 steps of 4 rows."""
        return min(self.settings.batch, max(len(self.rows.items) // _STEPS, _MIN_BATCH))

    def _step(self, chunk: NDArray[np.int64], step: int, steps: int) -> float:
        import torch

        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.rate * one_cycle(
                step / (steps * self.settings.epochs), self.settings.warm
            )
        loss = self._loss(self.network, self.rows, chunk)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), _CLIP)
        self.optimiser.step()
        self._average(min(self.settings.average, (1 + step) / (10 + step)))
        return float(loss.detach())

    def _average(self, kept: float) -> None:
        import torch

        with torch.no_grad():
            pairs = zip(self.averaged.state_dict().values(), self.network.state_dict().values(), strict=True)
            for old, new in pairs:
                if old.is_floating_point():
                    old.lerp_(new, 1 - kept)
                else:
                    old.copy_(new)

    def _judge(self) -> float:
        import torch

        self.averaged.eval()
        with torch.no_grad():
            chunks = np.array_split(np.arange(len(self.valid.items)), math.ceil(len(self.valid.items) / 64))
            losses = [float(self._loss(self.averaged, self.valid, c)) * len(c) for c in chunks]
        return sum(losses) / len(self.valid.items)

    def _loss(self, network: nn.Module, rows: Rows, chunk: NDArray[np.int64]) -> Tensor:
        import torch

        device = self.settings.device
        batch = to_device(self.encoder.collate([rows.items[i] for i in chunk]), device)
        labels = torch.tensor(rows.labels[chunk], dtype=torch.float32, device=device)
        return loss_of(network(batch), labels, self.settings.loss, self.binary)

    def resume(self, folder: Path) -> None:
        """Go on from the state in a folder, if any. Raises ValueError where it is of another identity.

        The device may differ: a training can be moved. The epochs may not: the rate follows from them.
        """
        from safetensors.torch import load_file

        note = folder / "training.json"
        if not note.is_file():
            return
        stored = json.loads(note.read_text())
        require_same(stored.get("identity", {}), self._identity(), folder)
        tensors = load_file(str(folder / f"training-{stored['epoch']}.safetensors"), self.settings.device)
        self.history = History(**stored["history"])
        self.network.load_state_dict(_part(tensors, "network"))
        self.averaged.load_state_dict(_part(tensors, "averaged"))
        self.best = _part(tensors, "best")
        self._load_optimiser(_part(tensors, "optimiser"))

    def _load_optimiser(self, moments: dict[str, Tensor]) -> None:
        state = self.optimiser.state_dict()
        for key, tensor in moments.items():
            number, name = key.split(".")
            state["state"].setdefault(int(number), {})[name] = tensor
        self.optimiser.load_state_dict(state)

    def store(self, folder: Path) -> None:
        """Write the state of this epoch; what was there before stays until the new one is whole."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        epoch = len(self.history.train)
        parts = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
            "optimiser": {
                f"{number}.{name}": tensor
                for number, moments in self.optimiser.state_dict()["state"].items()
                for name, tensor in moments.items()
            },
        }
        tensors = {f"{part}.{k}": t.clone() for part, held in parts.items() for k, t in held.items()}
        save_file(tensors, str(folder / f"training-{epoch}.safetensors"))
        note = {"epoch": epoch, "identity": self._identity(), "history": asdict(self.history)}
        write_whole(folder / "training.json", json.dumps(note))
        (folder / f"training-{epoch - 1}.safetensors").unlink(missing_ok=True)

    def _identity(self) -> dict[str, object]:
        settings = {name: value for name, value in asdict(self.settings).items() if name != "device"}
        return settings | {"seed": self.seed, "rows": self._digest, "code": code_version()}


def _digest_of(*parts: Rows) -> str:
    arrays = [item[name] for rows in parts for item in rows.items for name in sorted(item)]
    return arrays_digest([*arrays, *(rows.labels for rows in parts)])


def one_cycle(progress: float, warm: float) -> float:
    """Rate over its peak at ``progress`` 0..1: up in a line for ``warm`` of the time, down by a cosine."""
    if progress < warm:
        return 0.05 + 0.95 * progress / warm
    return 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))


def loss_of(outputs: Tensor, labels: Tensor, loss: LossName, binary: Sequence[bool]) -> Tensor:
    """Mean loss over known labels. outputs: (n, targets × LOSSES[loss]); labels: (n, targets).

    binary: which targets are classes.
    """
    import torch

    shaped = outputs.reshape(len(labels), labels.shape[1], LOSSES[loss])
    known = ~torch.isnan(labels)
    total, count = outputs.sum() * 0.0, int(known.sum())
    for column, is_class in enumerate(binary):
        answers, truth = shaped[known[:, column], column], labels[known[:, column], column]
        if len(truth):
            total = total + (_cross_entropy if is_class else _LOSS[loss])(answers, truth)
    return total / max(count, 1)


def _cross_entropy(answers: Tensor, truth: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.binary_cross_entropy_with_logits(answers[:, 0], truth, reduction="sum")


def _mae(answers: Tensor, truth: Tensor) -> Tensor:
    return (answers[:, 0] - truth).abs().sum()


def _huber(answers: Tensor, truth: Tensor) -> Tensor:
    import torch

    return torch.nn.functional.smooth_l1_loss(answers[:, 0], truth, beta=0.2, reduction="sum")


def _gaussian(answers: Tensor, truth: Tensor) -> Tensor:
    log_variance = answers[:, 1].clamp(-10.0, 5.0)
    return 0.5 * (log_variance + (answers[:, 0] - truth) ** 2 / log_variance.exp()).sum()


def _quantile(answers: Tensor, truth: Tensor) -> Tensor:
    """Pinball loss of Koenker and Bassett, Econometrica 46, 33 (1978); the median is the second output."""
    levels = answers.new_tensor(QUANTILES)
    error = truth[:, None] - answers
    import torch

    return torch.maximum(levels * error, (levels - 1) * error).sum()


_LOSS = {"mae": _mae, "huber": _huber, "gaussian": _gaussian, "quantile": _quantile}


def _part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): t for key, t in tensors.items() if key.startswith(f"{name}.")}


def to_device(batch: Batch, device: str) -> Batch:
    """The batch's tensors on a device."""
    return {name: tensor.to(device) for name, tensor in batch.items()}


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Consecutive runs of at most ``size`` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def embeddings(
    network: nn.Module, encoder: Encoder, items: Sequence[Item], device: str = "cpu"
) -> torch.Tensor:
    """What the network's head sees for items, (n, d), on the CPU.

    encoder: collates items. device: where the network is.
    """
    import torch

    embed: Any = network.embed
    with torch.inference_mode():
        return torch.cat(
            [embed(to_device(encoder.collate(run), device)).cpu() for run in batches(items, _INFERENCE_BATCH)]
        )
