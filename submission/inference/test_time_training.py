"""Test-time training: a plain torch loop over the adapter's weights, until done, converged, or out of time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from submission.arc.layouts import Layout
from submission.arc.prompts import Row, padded
from submission.config import Adapt
from submission.deadline import Deadline
from submission.model.forward import predictions
from submission.solver.engine import Fit, Stopped

SCALE = 1024.0
"""By what a loss is multiplied, and its gradient divided, where float16 computes it (arXiv 1710.03740, section 3.2)."""

CONVERGENCE_WINDOW = 8
"""Steps whose mean loss decides that training has converged."""


def finetune(
    model: nn.Module,
    layout: Layout,
    rows: Sequence[Row],
    settings: Adapt,
    until: Deadline,
    rng: np.random.Generator,
) -> Fit:
    """Train whatever in `model` requires a gradient, once through the rows.

    The learning rate rises over the first `warmup` share and falls by a cosine to zero. Where the clock runs
    faster than the steps, the clock sets the rate, so that a training cut by its deadline rises and falls all the same.
    A gradient that is not finite never reaches the weights: in float16 the loss is scaled by less from then on, and
    where that was not the reason the training ends.
    """
    began = time.monotonic()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings.rate, weight_decay=0.0, fused=True)
    scale = SCALE if any(each.dtype == torch.float16 for each in model.parameters()) else 1.0
    steps = batches(rows, settings.batch, rng)
    whole = until.left()
    losses: list[float] = []
    stopped: Stopped = "done"
    model.train()
    for k, batch in enumerate(steps):
        if until.passed():
            stopped = "deadline"
            break
        step = max(k, steps_due(until, whole, len(steps)))
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * schedule(step, len(steps), settings.warmup)
        loss = backward(model, layout, batch, settings.tokens, scale)
        norm = nn.utils.clip_grad_norm_(weights, settings.clip)
        if not torch.isfinite(norm):
            optimizer.zero_grad(set_to_none=True)
            scale /= 16
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
    """Whole steps that should be done by now, of so many in the `seconds` that there were; 0 without a deadline.

    Rounded down: a training that keeps up with the clock then has the same rates, to the last bit, on every run.
    """
    return math.floor((1 - until.left() / seconds) * steps) if 0 < seconds < math.inf else 0


def schedule(done: float, steps: int, warmup: float) -> float:
    """The share of the peak rate after `done` of the steps: a cosine, and a linear rise over the share `warmup`."""
    return min(1.0, (done + 1) / max(1.0, warmup * steps)) * 0.5 * (1 + math.cos(math.pi * min(1.0, done / steps)))


def batches(rows: Sequence[Row], size: int, rng: np.random.Generator) -> list[list[Row]]:
    """Rows of like length together, so that little is padded; the batches in random order."""
    order = sorted(range(len(rows)), key=lambda k: len(rows[k].ids))
    groups = [[rows[k] for k in order[at : at + size]] for at in range(0, len(order), size)]
    return [groups[k] for k in rng.permutation(len(groups))]


def backward(model: nn.Module, layout: Layout, batch: Sequence[Row], tokens: int, scale: float = 1.0) -> float:
    """Add the gradient of the batch's loss, a few rows at a time so that memory holds no more than so many tokens.

    On its way back it is `scale` times as large. Returns the loss: the mean cross-entropy of all learned tokens, in
    nats.
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
