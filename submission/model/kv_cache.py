"""KV cache: one buffer for each transformer block, one cache row for each prompt, slots filled from the left.

A cache row holds the keys and values of a prompt and, behind them, those of the nodes of its token tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicLayer

from submission.arc.layouts import Ids

ACTIVATION_SHARE = 0.4
"""Share of the memory budget that is set aside for the activations of a pass; the rest holds keys and values."""

MASK_BYTES = 5
"""Bytes of the attention mask for each pair of token and slot: a boolean, and the float32 that SDPA makes of it."""


def block_count(model: nn.Module) -> int:
    """Transformer blocks of the model."""
    config: Any = model.config
    return int(config.get_text_config().num_hidden_layers)


@dataclass(frozen=True)
class TokenBytes:
    """Bytes that one token takes in a forward pass."""

    kv: int
    """Keys and values in all blocks: one slot of the cache."""
    activations: int
    """Activations while the pass runs, an upper bound."""
    logits: int
    """Logits, where they are computed: for each node, but only for the last token of a prompt."""

    @staticmethod
    def of(model: nn.Module) -> TokenBytes:
        """Read off the model's configuration and the type of its weights."""
        whole: Any = model.config
        config = whole.get_text_config()
        width = next(p.element_size() for p in model.parameters() if p.is_floating_point())
        channels = config.num_key_value_heads * config.head_dim
        return TokenBytes(
            kv=2 * config.num_hidden_layers * channels * width,
            activations=5 * width * (config.hidden_size + config.intermediate_size),
            logits=10 * config.vocab_size,
        )


@dataclass(frozen=True)
class CacheCapacity:
    """How a memory budget is divided between the KV cache and the activations of a pass."""

    parallel_prompts: int
    """Prompts whose keys and values are held at the same time; at least 1."""
    slots_per_prompt: int
    """Slots of each cache row: for the prompt and the nodes of its tree."""
    tokens_per_pass: int
    """Tokens that a pass should take at most, padding included."""

    @staticmethod
    def plan(
        token: TokenBytes, prompts: int, longest: int, nodes_per_prompt: int, megabytes: float
    ) -> CacheCapacity:  # fmt: skip
        """Divide `megabytes` (10^6 bytes) for this number of prompts.

        `longest`: tokens of the longest prompt with its longest answer, which is always held, even beyond the budget.
        `nodes_per_prompt`: the most nodes of one prompt in a pass.
        """
        one_prompt = longest * token.activations + min(longest, nodes_per_prompt) * token.logits
        activations = max(one_prompt, ACTIVATION_SHARE * megabytes * 1e6)
        slots = int(max(0.0, megabytes * 1e6 - activations) / token.kv)
        parallel = max(1, min(prompts, slots // longest))
        return CacheCapacity(
            parallel_prompts=parallel,
            slots_per_prompt=max(longest, slots // parallel),
            tokens_per_pass=int(activations / (token.activations + token.logits + MASK_BYTES * longest)),
        )


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

    @property
    def slots(self) -> Ids:
        """The slot of each token: int64 [rows, width]."""
        return np.array(self.used)[:, None] + np.arange(self.width)

    @property
    def end(self) -> int:
        """Slots taken after the pass in the cache row that has the most."""
        return max(self.used) + self.width


class KVBuffer:
    """Keys and values of one block: two tensors [cache rows, heads, slots, channels] that grow up to `max_slots`."""

    def __init__(self, rows: int, max_slots: int) -> None:
        """No memory is taken before the first pass."""
        self.rows, self.max_slots = rows, max_slots
        self.tensors: tuple[Tensor, Tensor] | None = None
        """Keys and values; None before the first pass."""

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
    return Cache(layers=[PassLayer(buffer, plan, row, slot) for buffer in buffers])
