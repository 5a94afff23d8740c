"""The gradients of two ways to train one adapted model, compared on a row of random tokens."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from submission.model.forward import predictions

LOSS_SCALE = 1024.0
"""By what a loss in float16 is multiplied, as small gradients would underflow."""

Batch = tuple[Tensor, Tensor, Tensor]
"""ids [batch, length], which of them carry loss, and positions [axes, batch, length], as `predictions` takes them."""


def random_row(base: Any, tokens: int) -> Batch:
    """A row of random tokens, the second half of which carries loss; the same each time."""
    ids = torch.randint(base.config.vocab_size, (1, tokens), generator=torch.Generator().manual_seed(0))
    places = torch.arange(tokens)
    return ids, (places >= tokens // 2)[None], places[None, None]


@contextmanager
def trial_adapter(adapted: nn.Module) -> Iterator[None]:
    """While this is entered, the LoRA has random weights: with B zero, as it is at first, A would have no gradient."""
    weights = [weight for name, weight in adapted.named_parameters() if ".lora_B." in name]
    first = [weight.detach().clone() for weight in weights]
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in weights:
            weight.copy_(torch.randn(weight.shape, generator=chance) * 0.02)
    try:
        yield
    finally:
        with torch.no_grad():
            for weight, was in zip(weights, first, strict=True):
                weight.copy_(was)


def gradients(adapted: nn.Module, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """Loss (nats a token) and gradient of each trained weight by its name, of a batch; the model's own stay unset."""
    ids, learn, positions = batch
    scale = LOSS_SCALE if any(each.dtype is torch.float16 for each in adapted.parameters()) else 1.0
    trained = adapted.training
    adapted.train()
    adapted.zero_grad(set_to_none=True)
    try:
        logits, targets = predictions(adapted, ids, learn, positions)
        loss = F.cross_entropy(logits, targets)
        (scale * loss).backward()  # type: ignore[no-untyped-call]
        found = {name: weight.grad / scale for name, weight in adapted.named_parameters() if weight.grad is not None}
    finally:
        adapted.zero_grad(set_to_none=True)
        adapted.train(trained)
    return loss.item(), found


def gradient_distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """|a - b| / |a| over all weights together."""
    difference = math.sqrt(sum(float((a - other[name]).norm()) ** 2 for name, a in one.items()))
    return difference / math.sqrt(sum(float(each.norm()) ** 2 for each in one.values()))
