"""Arguments and outputs of a model's forward pass over padded rows of tokens."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def predictions(model: nn.Module, ids: Tensor, learn: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and targets of the tokens of a batch that carry loss; see `prompts.padded`.

    ids int64 [batch, length]; learn bool [batch, length], the tokens that carry loss; positions int64
    [axes, batch, length]. Returns logits float32 [n, vocabulary] and targets int64 [n].
    """
    device = next(model.parameters()).device
    ids, learn, positions = (each.to(device, non_blocking=True) for each in (ids, learn, positions))
    # Right padding needs no mask: a causal model never attends to what comes later.
    logits = model(input_ids=ids, position_ids=position_ids(positions), use_cache=False).logits
    learned = learn[:, 1:]
    return logits[:, :-1][learned].float(), ids[:, 1:][learned]


def position_ids(positions: Tensor) -> Any:
    """Positions [axes, batch, length] as transformers wants them: [batch, length] where there is one axis."""
    return positions[0] if len(positions) == 1 else positions
