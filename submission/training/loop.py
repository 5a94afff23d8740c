"""The training loop behind `pretrain` and `initial`: a schedule that can be cut at any time, data ahead of its use.

The rates warm up, stay, and fall linearly to zero over the last share of the call (warm-up, stable, decay: MiniCPM,
arXiv 2404.06395, section 4). What is kept just before the fall can be trained on later, with a bigger budget.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from submission.arc.layouts import NAMED, Ids, Layout
from submission.arc.prompts import Row, padded, row
from submission.errors import BadInput
from submission.model.forward import predictions
from submission.rng import generator
from submission.training.batches import batches, rows
from submission.training.corpus import Family
from submission.training.settings import Training

logger = logging.getLogger(__name__)

Batch = tuple[Tensor, Tensor, Tensor, int]
"""ids [rows, length], learn [rows, length], positions [axes, rows, length], and how many tokens are not padding."""

Arrays = tuple[Ids, NDArray[np.bool_], Ids, int]
"""The same as numpy has it."""

Forward = Callable[[Any, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Logits and targets of the learned tokens of a batch, as `predictions` gives them."""

TOLD_EVERY, KEPT_EVERY = 60, 600
"""Seconds between progress lines, and between what is kept on disk."""


@dataclass
class Progress:
    """How far a training is."""

    step: int = 0
    """Steps behind the weights, those of earlier calls included."""
    seen: int = 0
    """Tokens behind them, padding not counted."""
    loss: float = math.nan
    """Mean of the last 100 steps, in nats a learned token."""


def train(
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    source: Iterator[Batch],
    settings: Training,
    progress: Progress,
    keep: Callable[[Progress], None],
    dtype: torch.dtype,
    forward: Forward = predictions,
) -> Progress:
    """Train until the time or the steps are over, annealed; `keep` is called now and then, last before the anneal.

    A line a minute tells the loss, the tokens a second, the share of this device's peak arithmetic that the training
    amounts to, and the share of the time that was spent waiting for data.
    """
    peak = peak_flops(settings.device)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    weights = [p for p in model.parameters() if p.requires_grad]
    started = told = saved = time.monotonic()
    first, losses = progress, list[float]()
    waited, computed = 0.0, 0.0
    annealing = False
    model.train()
    while (left := _share_left(settings, progress.step - first.step, time.monotonic() - started)) > 0:
        if not annealing and (left <= settings.anneal or time.monotonic() - saved > KEPT_EVERY):
            annealing, saved = left <= settings.anneal, time.monotonic()
            keep(progress)
        ramp = min(1.0, (progress.step - first.step + 1) / settings.warmup) * min(1.0, left / settings.anneal)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * ramp

        asked = time.monotonic()
        ids, learn, where, tokens = next(source)
        waited += time.monotonic() - asked
        with computing(settings.device, dtype):
            logits, targets = forward(model, ids, learn, where)
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        progress = Progress(progress.step + 1, progress.seen + tokens, float(np.mean(losses[-100:])))
        computed += tokens * flops_a_token(model, ids.shape[1])

        if (now := time.monotonic()) - told > TOLD_EVERY:
            told, spent = now, now - started
            logger.info(
                "step %d  loss %.3f  %.2f M tokens  %.0f tokens/s  %.0f %% of peak  data wait %.1f %%  %.0f %% left",
                progress.step, progress.loss, progress.seen / 1e6, (progress.seen - first.seen) / spent,
                100 * computed / spent / peak, 100 * waited / spent, 100 * left,
            )  # fmt: skip
    return progress


def computing(device: str, dtype: torch.dtype) -> torch.autocast:
    """A context in which products are computed in `dtype`, float32 or bfloat16, whatever the weights are kept in."""
    return torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16)


def _share_left(settings: Training, step: int, seconds: float) -> float:
    """The share of this call that is still to come, by the clock or by the steps, whichever ends first."""
    by_steps = 1 - step / settings.steps if settings.steps else 1.0
    return min(by_steps, 1 - seconds / (60 * settings.minutes))


def require_device(device: str) -> None:
    """BadInput unless this machine has the device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda, but torch sees no GPU here")


def loader(families: Sequence[Family], settings: Training, step: int) -> Iterator[Batch]:
    """Endless batches, made by `settings.workers` processes ahead of their use.

    They come as arrays through pipes: tensors would come through shared memory, of which containers have little.
    """
    arrays = DataLoader(
        _Stream(families, settings, step),
        batch_size=None,
        num_workers=settings.workers,
        prefetch_factor=8 if settings.workers else None,
        collate_fn=_as_it_is,
    )
    return ((*map(torch.from_numpy, made), tokens) for *made, tokens in arrays)


def _as_it_is(batch: Any) -> Any:
    return batch


class _Stream(IterableDataset[Arrays]):
    """The batches of one worker; each worker, and each call that goes on from another step, draws its own rows."""

    def __init__(self, families: Sequence[Family], settings: Training, step: int) -> None:
        self.families, self.settings, self.step = families, settings, step
        self.layout = NAMED[settings.layout]

    def __iter__(self) -> Iterator[Arrays]:
        worker = get_worker_info()
        s = self.settings
        rng = generator(s.seed, "training", str(self.step), str(worker.id if worker else 0))
        drawn = rows(self.families, s.limit, rng, self.layout, s.first_learned, s.new_rules)
        for group in batches(drawn, s.tokens, rng):
            yield *padded(self.layout, group), sum(len(each.ids) for each in group)


def flops_a_token(model: nn.Module, length: int) -> float:
    """Arithmetic of a training step for each token of a row of `length`.

    6 for each trained weight of a matrix, 4 for a frozen one (it has no gradient of its own); for attention
    12 * channels * length / 2 (causal) in each block.
    """
    config: Any = model.config
    total: float = 6.0 * config.num_hidden_layers * config.hidden_size * length
    for name, weight in model.named_parameters():
        if weight.ndim == 2 and "embed" not in name:
            packed = weight.quant_state if hasattr(weight, "quant_state") else None
            total += (6 if weight.requires_grad else 4) * (packed.shape if packed else weight.shape).numel()
    return total


def peak_flops(device: str) -> float:
    """What a large matrix product reaches on this device, in operations a second: the peak that is in reach."""
    side, kind = (8192, torch.bfloat16) if device == "cuda" else (1024, torch.float32)
    a = torch.ones(side, side, dtype=kind, device=device)
    best = math.inf
    for _ in range(4):
        began = time.perf_counter()
        (a @ a)[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best


@dataclass(frozen=True)
class Examined:
    """How well answers are predicted, without test-time training, each token given the true ones before it."""

    nats: float
    """Loss a token."""
    cells: float
    """Per cent of the answers' tokens that are right."""
    whole: int
    """Answers that are right throughout, ..."""
    asked: int
    """... of so many rows."""


def examination(held_out: Sequence[Family], limit: int, layout: Layout) -> list[Row]:
    """One fixed row for each held-out family: up to 5 pairs as they are, only the last one's answer counts."""
    rows = []
    for family in held_out:
        rng = generator(0, "examination", family.name)
        pairs = [family.pairs[k] for k in rng.permutation(len(family.pairs))[:5]]
        rows.append(row(layout, pairs, limit, first_learned=len(pairs)))
    return rows


@torch.no_grad()
def examine(model: nn.Module, rows: Sequence[Row], layout: Layout) -> Examined:
    """Predict what the rows ask; without rows all figures are 0.

    A model in float32 computes in float32, however it is trained, so that figures are comparable.
    """
    was_training = model.training
    device = next(model.parameters()).device.type
    dtype = torch.float32 if device == "cpu" or in_float32(model) else torch.bfloat16
    model.eval()
    nats, right, tokens, whole = 0.0, 0, 0, 0
    for each in rows:
        with computing(device, dtype):
            logits, targets = predictions(model, *(torch.from_numpy(part) for part in padded(layout, [each])))
        nats += F.cross_entropy(logits, targets, reduction="sum").item()
        hits = int((logits.argmax(-1) == targets).sum())
        right, tokens, whole = right + hits, tokens + len(targets), whole + (hits == len(targets))
    model.train(was_training)
    return Examined(nats / max(tokens, 1), 100 * right / max(tokens, 1), whole, len(rows))


def in_float32(model: nn.Module) -> bool:
    """Whether all weights of a model are in float32: those of a large base are in 16 or 4 bits."""
    return all(weight.dtype == torch.float32 for weight in model.parameters())


def tell(result: Examined) -> None:
    """A line in the log."""
    logger.info(
        "held out: loss %.3f, %.1f %% of cells, %d of %d grids", result.nats, result.cells, result.whole, result.asked
    )
