"""Keys and values of what a model has read: a buffer for each block, in which each prompt has a row that fills up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from submission.arc.layouts import Ids


@dataclass(frozen=True)
class Sizes:
    """What a model takes, in bytes."""

    blocks: int
    slot: int
    """Keys and values of one token in all blocks."""
    token: int
    """What a pass needs besides for each token, on the safe side."""
    logits: int
    """And for each token whose logits are wanted: of a prompt only the last one's are."""

    @staticmethod
    def of(model: nn.Module) -> Sizes:
        whole: Any = model.config
        config = whole.get_text_config()
        width = next(p.element_size() for p in model.parameters() if p.is_floating_point())
        channels = config.num_key_value_heads * config.head_dim
        return Sizes(
            blocks=config.num_hidden_layers,
            slot=2 * config.num_hidden_layers * channels * width,
            token=5 * width * (config.hidden_size + config.intermediate_size),
            logits=10 * config.vocab_size,
        )


@dataclass(frozen=True)
class SlotPlan:
    """Where the tokens of a pass go."""

    rows: Sequence[int]
    """The row of the cache for each row of the pass, ascending unless it is the first pass over these."""
    used: Sequence[int]
    """Slots of them that are taken."""
    width: int
    """Tokens for each row."""
    first: bool
    """Whether these are prompts, which look at nothing but themselves."""
    apart: bool = False
    """Whether attention finds each row's part of the cache by itself (`attention.by_row`)."""

    @property
    def slots(self) -> Ids:
        """The slot of each token: [rows, width]."""
        return np.array(self.used)[:, None] + np.arange(self.width)

    @property
    def end(self) -> int:
        """Slots that the longest row has after the pass."""
        return max(self.used) + self.width


class Layer(DynamicLayer):
    """Keys and values of one block: a buffer [rows, heads, slots, channels] that grows with need, to `most` slots."""

    plan: SlotPlan
    indices: tuple[Tensor, Tensor]
    """Rows [rows, 1] and slots [rows, width] of the plan."""

    def __init__(self, rows: int, most: int) -> None:
        super().__init__()
        self.rows, self.most = rows, most
        self.held: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Put [rows, heads, new, channels] at their slots; returns all that the rows of this pass may look at.

        That is the whole cache where attention takes each row apart.
        """
        keys, values = self._grown(key_states)
        row, slot = self.indices
        keys[row, :, slot] = key_states.transpose(1, 2)
        values[row, :, slot] = value_states.transpose(1, 2)
        if self.plan.first:
            return key_states, value_states
        if self.plan.apart:
            return keys, values
        low, high = self.plan.rows[0], self.plan.rows[-1] + 1
        chosen: Any = slice(low, high) if high - low == len(self.plan.rows) else row[:, 0]
        return keys[chosen, :, : self.plan.end], values[chosen, :, : self.plan.end]

    def get_seq_length(self, *args: Any, **kwargs: Any) -> int:
        """Slots before the tokens of this pass, of the longest row."""
        return max(self.plan.used)

    def _grown(self, like: Tensor) -> tuple[Tensor, Tensor]:
        end = self.plan.end
        if self.held is None or self.held[0].shape[2] < end:
            room = max(end, min(self.most, end + max(256, end // 2)))
            # Whatever memory holds may do only where no slot is looked at before it is filled: masked values still
            # enter a product, and 0 * NaN is NaN.
            fresh = like.new_empty if self.plan.apart else like.new_zeros
            grown = [fresh(self.rows, like.shape[1], room, like.shape[3]) for _ in range(2)]
            if self.held is not None:
                for new, old in zip(grown, self.held, strict=True):
                    new[:, :, : old.shape[2]] = old
            self.held = (grown[0], grown[1])
        return self.held


def planned(layers: Sequence[Layer], plan: SlotPlan, device: torch.device) -> Cache:
    """The cache for a pass that goes by this plan."""
    indices = torch.tensor(plan.rows, device=device)[:, None], torch.from_numpy(plan.slots).to(device)
    for layer in layers:
        layer.plan, layer.indices = plan, indices
    return Cache(layers=list(layers))
