"""Test-time training: AdamW on the LoRA weights over a task's training rows, until done, converged, or out of time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from submission.arc.layouts import Layout
from submission.arc.prompts import Row, padded
from submission.config import Adapt
from submission.deadline import Deadline
from submission.model.forward import predictions
from submission.model.lora import of_ends
from submission.solver.engine import Fit, Stopped

SCALE = 1024.0
"""Loss scale where float16 computes gradients: small ones would underflow (arXiv 1710.03740, section 3.2)."""

SCALE_DIVISOR = 16
"""By what the loss scale is divided after a gradient that is not finite."""

CONVERGENCE_WINDOW = 8
"""Steps over which the loss is averaged to decide that training has converged (`adapt.converged`)."""


def finetune(
    model: nn.Module,
    layout: Layout,
    rows: Sequence[Row],
    settings: Adapt,
    until: Deadline,
    rng: np.random.Generator,
) -> Fit:
    """Train the weights of `model` that require a gradient, in `adapt.epochs` epochs over the training rows.

    Learning rates: `schedule` over the steps, or over the time where that is further on, so that a training that its
    deadline cuts short has warm-up and decay all the same (`steps_due`). Embeddings and head have a peak of their own.
    A gradient that is not finite never reaches the weights: in float16 the step is skipped and the loss scale lowered;
    where the scale is at its lowest, or in another type, training stops as "not finite".
    """
    began = time.monotonic()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameter_groups(model, settings), weight_decay=settings.weight_decay, fused=True)
    scale = SCALE if any(each.dtype == torch.float16 for each in model.parameters()) else 1.0
    steps = [batch for _ in range(settings.epochs) for batch in batches(rows, settings.batch, rng)]
    warmup = warmup_steps(len(rows), len(steps), settings)
    seconds = until.left()
    losses: list[float] = []
    stopped: Stopped = "done"
    model.train()
    for k, batch in enumerate(steps):
        if until.passed():
            stopped = "deadline"
            break
        step = max(k, steps_due(until, seconds, len(steps)))
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(step, len(steps), warmup)
        loss = backward(model, layout, batch, settings.tokens, scale)
        norm = nn.utils.clip_grad_norm_(weights, settings.clip)
        if not torch.isfinite(norm):
            optimizer.zero_grad(set_to_none=True)
            scale /= SCALE_DIVISOR
            if scale >= 1:
                continue
            stopped = "not finite"
            break
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss)
        if np.mean(losses[-CONVERGENCE_WINDOW:]) < settings.converged and k >= CONVERGENCE_WINDOW:
            stopped = "converged"
            break
    model.eval()
    return Fit(len(losses), tuple(losses), time.monotonic() - began, stopped)


def steps_due(until: Deadline, seconds: float, steps: int) -> int:
    """Steps of `steps` that the time gone by is worth, of the `seconds` that there were at first; 0 without a deadline.

    Rounded down: as long as training keeps up with the clock, its rates are the same to the last bit on every run.
    """
    return math.floor((1 - until.left() / seconds) * steps) if 0 < seconds < math.inf else 0


def schedule(step: int, steps: int, warmup: int) -> float:
    """The learning rate at a step, as a share of the peak: from 0 in a line over `warmup` steps, then by half a cosine.

    transformers' `get_cosine_schedule_with_warmup`: the first step has rate 0 where there is a warm-up, and the cosine
    reaches 0 at `steps`, one step after the last.
    """
    if step < warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))


def warmup_steps(rows: int, steps: int, settings: Adapt) -> int:
    """The steps in which the rate rises, of all `steps` of a training on `rows` rows.

    up: the share of the steps, rounded up, as transformers does. down: the share of the whole batches that the rows of
    all epochs make, rounded down, as the TTT paper's code does.
    """
    if settings.warmup_rounding == "up":
        return math.ceil(settings.warmup * steps)
    return math.floor(settings.warmup * (rows * settings.epochs // settings.batch))


def parameter_groups(model: nn.Module, settings: Adapt) -> list[dict[str, Any]]:
    """The weights that require a gradient, for the optimizer: those of the adapter, and embeddings and head.

    Each group has its peak learning rate as "peak".
    """
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    groups = [
        {"params": [p for name, p in trained if not of_ends(name)], "peak": settings.rate},
        {"params": [p for name, p in trained if of_ends(name)], "peak": settings.ends_rate},
    ]
    return [each for each in groups if each["params"]]


def batches(rows: Sequence[Row], size: int, rng: np.random.Generator) -> list[list[Row]]:
    """Batches of `size` rows of similar length, so that little is padded, in random order; the last may be smaller."""
    order = sorted(range(len(rows)), key=lambda k: len(rows[k].ids))
    groups = [[rows[k] for k in order[at : at + size]] for at in range(0, len(order), size)]
    return [groups[k] for k in rng.permutation(len(groups))]


def backward(model: nn.Module, layout: Layout, batch: Sequence[Row], tokens: int, scale: float = 1.0) -> float:
    """Add the gradient of a batch's loss to the weights; returns the loss.

    The loss is the mean cross-entropy over all tokens that carry loss, in nats. Gradients are accumulated over parts of
    the batch with at most `tokens` tokens, or one row. `scale` multiplies the loss before the backward pass and divides
    the gradient after it.
    """
    learned = sum(int(each.learn[1:].sum()) for each in batch)
    longest = max(len(each.ids) for each in batch)
    size, loss = max(1, tokens // longest), 0.0
    for at in range(0, len(batch), size):
        arrays = padded(layout, batch[at : at + size])
        logits, targets = predictions(model, *(torch.from_numpy(each) for each in arrays))
        part = F.cross_entropy(logits, targets, reduction="sum") / learned
        (scale * part).backward()
        loss += part.item()
    for each in model.parameters() if scale != 1.0 else ():
        if each.grad is not None:
            each.grad /= scale
    return loss
