"""The training loop of `pretrain` and `finetune_base`: a schedule by time or steps, checkpoints, a log line a minute.

The learning rates warm up, stay, and fall linearly to zero over the last share of the call (warm-up, stable, decay:
MiniCPM, arXiv 2404.06395, section 4). The checkpoint of just before the fall can be trained on, with a bigger budget.

A step whose loss or gradient is not finite is left out and counted. MOST_NOT_FINITE of them in a row end the training,
and so do weights and a held-out loss that are not finite, before anything is saved: `TrainingFailed`, exit status 1.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from submission.errors import BadInput
from submission.model.forward import predictions
from submission.training.batches import Batch
from submission.training.settings import Training, TrainingFailed

logger = logging.getLogger(__name__)

Forward = Callable[[Any, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Logits and targets of the learned tokens of a batch, as `forward.predictions` gives them."""

LOG_SECONDS, CHECKPOINT_SECONDS = 60, 600
"""Between log lines, and between checkpoints."""

MOST_NOT_FINITE = 10
"""Steps in a row without a finite loss and gradient after which a training ends."""

MEAN_STEPS = 100
"""Steps over which the training loss is averaged."""

LARGEST_WEIGHT = torch.finfo(torch.float16).max
"""The largest weight that a saved model can hold."""


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    step: int = 0
    """Steps that made the weights, those of earlier calls included."""
    tokens: int = 0
    """Tokens of these steps, padding not counted."""
    loss: float = math.nan
    """Mean of the last MEAN_STEPS steps, in nats a learned token."""
    left_out: int = 0
    """Steps of this call that changed nothing, as their loss or gradient was not finite."""


@dataclass(frozen=True)
class Learner:
    """A model and how it takes a step."""

    model: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    dtype: torch.dtype
    """What the forward and the backward pass compute products in."""
    forward: Forward = predictions

    def step(self, batch: Batch, device: str) -> float:
        """Update the weights on one batch; its loss, in nats a learned token.

        NaN where loss or gradient are not finite: such a step changes nothing.
        """
        ids, learn, positions, _ = batch
        with computing(device, self.dtype):
            logits, targets = self.forward(self.model, ids, learn, positions)
        loss = F.cross_entropy(logits, targets)
        loss.backward()
        norm = nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], 1.0)
        value = torch.where(torch.isfinite(norm), loss.detach(), math.nan).item()
        for optimizer in self.optimizers:
            if math.isfinite(value):
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return value if math.isfinite(value) else math.nan


def train(
    learner: Learner,
    batches: Iterator[Batch],
    settings: Training,
    start: Progress,
    save_checkpoint: Callable[[Progress], None],
) -> Progress:
    """Train until the time or the steps of this call are over.

    `save_checkpoint` is called every CHECKPOINT_SECONDS, and a last time before the learning rates fall; never after a
    step that was not finite. TrainingFailed after MOST_NOT_FINITE such steps in a row, and where the weights are not
    finite when they are to be saved, at the end as well.
    """
    began = saved = time.monotonic()
    log = _Log(learner, settings.device, start)
    full_rates = [(group, group["lr"]) for optimizer in learner.optimizers for group in optimizer.param_groups]
    progress, losses = start, deque[float](maxlen=MEAN_STEPS)
    annealing, not_finite = False, 0
    learner.model.train()
    while (left := share_left(settings, progress.step - start.step, time.monotonic() - began)) > 0:
        if (
            not annealing
            and not not_finite
            and (left <= settings.anneal or time.monotonic() - saved > CHECKPOINT_SECONDS)
        ):
            annealing, saved = left <= settings.anneal, time.monotonic()
            require_finite_weights(learner.model, progress.step)
            save_checkpoint(progress)
        factor = rate_factor(settings, progress.step - start.step, left)
        for group, rate in full_rates:
            group["lr"] = rate * factor
        asked = time.monotonic()
        batch = next(batches)
        waited = time.monotonic() - asked
        loss = learner.step(batch, settings.device)
        ids, *_, tokens = batch
        if not math.isfinite(loss):
            not_finite += 1
            progress = replace(progress, left_out=progress.left_out + 1)
            logger.warning("step %d: loss or gradient is not a finite number; the step is left out", progress.step + 1)
            if not_finite == MOST_NOT_FINITE:
                raise TrainingFailed(
                    f"loss or gradient was not a finite number for {MOST_NOT_FINITE} steps in a row, after step "
                    f"{progress.step}; nothing was saved since the last checkpoint: lower the learning rate"
                )
            continue
        not_finite = 0
        losses.append(loss)
        mean = float(np.mean(losses))
        progress = Progress(progress.step + 1, progress.tokens + tokens, mean, progress.left_out)
        log.add(progress, left, waited, tokens, ids.shape[1])
    require_finite_weights(learner.model, progress.step)
    return progress


def require_finite_weights(model: nn.Module, step: int) -> None:
    """TrainingFailed where a trained weight is not a number, or too large for the 16 bits in which models are saved."""
    for name, weight in model.named_parameters():
        if weight.requires_grad and not bool((weight.detach().abs() <= LARGEST_WEIGHT).all()):
            raise TrainingFailed(
                f"after step {step} the weights {name} are not finite in 16 bits; nothing was saved since the last "
                "checkpoint: lower the learning rate"
            )


def require_finite_evaluation(loss: float) -> None:
    """TrainingFailed where the held-out loss is not finite: such a model replaces no other."""
    if not math.isfinite(loss):
        raise TrainingFailed(
            "the held-out loss is not a finite number; nothing was saved since the last checkpoint: lower the learning "
            "rate, or check the weights that the training started from"
        )


def computing(device: str, dtype: torch.dtype) -> torch.autocast:
    """A context in which products are computed in `dtype`, float32 or bfloat16, whatever the weights are kept in."""
    return torch.autocast(device, torch.bfloat16, enabled=dtype == torch.bfloat16)


def share_left(settings: Training, step: int, seconds: float) -> float:
    """The share of this call that is left after some steps and seconds of it, by whichever of the two ends it first."""
    by_steps = 1 - step / settings.steps if settings.steps else 1.0
    return min(by_steps, 1 - seconds / (60 * settings.minutes))


def rate_factor(settings: Training, step: int, left: float) -> float:
    """The share of the full learning rates at a step of this call, of which the share `left` is left."""
    return min(1.0, (step + 1) / settings.warmup) * min(1.0, left / settings.anneal)


def require_device(device: str) -> None:
    """BadInput unless this machine has the device."""
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: torch finds no GPU on this machine")


class _Log:
    """A log line a minute: loss, tokens a second, arithmetic against the device's peak, share of the time without data.

    The last two tell whether the device is used well, and whether more workers would help.
    """

    def __init__(self, learner: Learner, device: str, start: Progress) -> None:
        self.model, self.start = learner.model, start
        self.peak = peak_flops(device, learner.dtype)
        self.began = self.logged = time.monotonic()
        self.waited, self.flops = 0.0, 0.0

    def add(self, progress: Progress, left: float, waited: float, tokens: int, length: int) -> None:
        """Count one step: seconds waited for its batch, tokens, padded length of its rows; log when it is due."""
        self.waited += waited
        self.flops += tokens * flops_per_token(self.model, length)
        now = time.monotonic()
        if now - self.logged > LOG_SECONDS:
            self.logged, seconds = now, now - self.began
            logger.info(
                "step %d  loss %.3f  %.2f M tokens  %.0f tokens/s  %.0f %% of peak  data wait %.1f %%  %.0f %% left%s",
                progress.step, progress.loss, progress.tokens / 1e6, (progress.tokens - self.start.tokens) / seconds,
                100 * self.flops / seconds / self.peak, 100 * self.waited / seconds, 100 * left,
                f"  {progress.left_out} steps left out" if progress.left_out else "",
            )  # fmt: skip


def flops_per_token(model: nn.Module, length: int) -> float:
    """Arithmetic of a training step for each token of a row of `length` tokens.

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


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product on this device, the fastest of four tries."""
    side = 8192 if device == "cuda" else 1024
    matrix = torch.ones(side, side, dtype=dtype, device=device)
    best = math.inf
    for _ in range(4):
        began = time.perf_counter()
        (matrix @ matrix)[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 2.0 * side**3 / best
