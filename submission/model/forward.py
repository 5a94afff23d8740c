"""One forward pass over a padded batch of training rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def predictions(model: nn.Module, ids: Tensor, learn: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [n, vocabulary] in float32 and targets [n] of the learned tokens of a batch; see `prompts.padded`."""
    device = next(model.parameters()).device
    ids, learn, where = (each.to(device, non_blocking=True) for each in (ids, learn, where))
    # Right padding needs no mask: a causal model never looks at what comes later.
    logits = model(input_ids=ids, position_ids=position_ids(where), use_cache=False).logits
    learned = learn[:, 1:]
    return logits[:, :-1][learned].float(), ids[:, 1:][learned]


def position_ids(where: Tensor) -> Any:
    """Positions [axes, batch, length] as transformers wants them: [batch, length] where there is one axis."""
    return where[0] if len(where) == 1 else where
