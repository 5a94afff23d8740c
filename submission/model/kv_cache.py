"""KV cache: one buffer for each transformer block, one cache row for each prompt, slots filled from the left.

A cache row holds the keys and values of a prompt and, behind them, those of the nodes of its token tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from submission.arc.layouts import Ids
from submission.versions import numbers

CACHE = "cache" if numbers(transformers.__version__) >= (5, 24) else "past_key_values"
"""The argument of a model, and the field of its output, that holds the KV cache: transformers 5.24 renamed it. An older
one takes the new name in silence and does nothing with it; with 5.40 the old one goes."""


def block_count(model: nn.Module) -> int:
    """Transformer blocks of the model."""
    config: Any = model.config
    return int(config.get_text_config().num_hidden_layers)


@dataclass(frozen=True)
class SlotPlan:
    """Into which slots of the cache the tokens of one pass go."""

    rows: Sequence[int]
    """The cache row of each row of the pass; ascending unless it is a prefill."""
    used: Sequence[int]
    """Slots of these cache rows that are taken before the pass."""
    width: int
    """Tokens in each row of the pass."""
    prefill: bool
    """Whether the pass reads whole prompts, which attend to themselves only."""
    by_row: bool = False
    """Whether attention takes each cache row apart (`attention.by_row`)."""
    up_to: int = 0
    """Slots of the cache that the pass attends to; 0: those that are taken after it."""

    @property
    def slots(self) -> Ids:
        """The slot of each token: int64 [rows, width]."""
        return np.array(self.used)[:, None] + np.arange(self.width)

    @property
    def end(self) -> int:
        """Slots that the pass attends to: if not told, those taken after it in the cache row that has the most."""
        return self.up_to or max(self.used) + self.width


class KVBuffer:
    """Keys and values of one block: two tensors [cache rows, heads, slots, channels] that grow up to `max_slots`."""

    def __init__(self, rows: int, max_slots: int) -> None:
        """No memory is taken before the first pass."""
        self.rows, self.max_slots = rows, max_slots
        self.tensors: tuple[Tensor, Tensor] | None = None
        """Keys and values; None before the first pass."""
        self.version = 0
        """How often they were allocated: with each time they lie elsewhere."""

    def grown(self, slots: int, like: Tensor, zeroed: bool) -> tuple[Tensor, Tensor]:
        """Keys and values with at least `slots` slots; new ones have the type, heads and channels of `like`.

        `like` is [rows, heads, tokens, channels]. Where not `zeroed`, new slots hold whatever memory held.
        """
        if self.tensors is None or self.tensors[0].shape[2] < slots:
            size = max(slots, min(self.max_slots, slots + max(256, slots // 2)))
            allocate = like.new_zeros if zeroed else like.new_empty
            grown = [allocate(self.rows, like.shape[1], size, like.shape[3]) for _ in range(2)]
            if self.tensors is not None:
                for new, old in zip(grown, self.tensors, strict=True):
                    new[:, :, : old.shape[2]] = old
            self.tensors = (grown[0], grown[1])
            self.version += 1
        return self.tensors


class PassLayer(DynamicLayer):
    """One block's part of the cache as transformers sees it in one pass: a buffer, and where the tokens go in it."""

    def __init__(self, buffer: KVBuffer, plan: SlotPlan, row: Tensor, slot: Tensor) -> None:
        """`row` [rows, 1] and `slot` [rows, width] are the plan's cache rows and slots as tensors on the device."""
        super().__init__()
        self.buffer, self.plan, self.row, self.slot = buffer, plan, row, slot

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Write [rows, heads, width, channels] to their slots; returns the keys and values to attend to.

        These are the pass's own in a prefill; the whole buffer where attention takes each cache row apart; otherwise
        the cache rows of this pass up to `plan.end`: [rows, heads, end, channels].
        """
        plan = self.plan
        # Unwritten slots have to be finite unless attention cuts them off: a masked value still enters a product, and
        # 0 * NaN is NaN.
        keys, values = self.buffer.grown(plan.end, key_states, zeroed=not plan.by_row)
        keys[self.row, :, self.slot] = key_states.transpose(1, 2)
        values[self.row, :, self.slot] = value_states.transpose(1, 2)
        if plan.prefill:
            return key_states, value_states
        if plan.by_row:
            return keys, values
        low, high = plan.rows[0], plan.rows[-1] + 1
        chosen: Any = slice(low, high) if high - low == len(plan.rows) else self.row[:, 0]
        return keys[chosen, :, : plan.end], values[chosen, :, : plan.end]

    def get_seq_length(self, *args: Any, **kwargs: Any) -> int:
        """Slots taken before this pass in the cache row that has the most."""
        return max(self.plan.used)


def pass_cache(buffers: Sequence[KVBuffer], plan: SlotPlan, device: torch.device) -> Cache:
    """The `past_key_values` for one pass that follows this plan, one buffer for each block."""
    row, slot = torch.tensor(plan.rows, device=device)[:, None], torch.from_numpy(plan.slots).to(device)
    return cache_at(buffers, plan, row, slot)


def cache_at(buffers: Sequence[KVBuffer], plan: SlotPlan, row: Tensor, slot: Tensor) -> Cache:
    """The same with the plan's cache rows [rows, 1] and slots [rows, width] as tensors on the device."""
    return Cache(layers=[PassLayer(buffer, plan, row, slot) for buffer in buffers])
