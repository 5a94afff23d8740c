"""How queries meet keys and values where transformers' way is not the best.

A few tokens that look at a cache through a mask: transformers repeats keys and values of the whole cache for each query
head, in every block. Here the queries of the heads that share keys are laid behind each other instead: nothing of the
cache is copied. That is for GPUs, and for few tokens, as the mask grows with them.

Whole rows on GPUs without FlashAttention, the T4 for one: keys and values are repeated for each query head.
transformers asks torch to share them wherever there is no mask. Below compute capability 8.0 only torch's plain kernel
can do that, which holds all scores of all pairs of tokens at once: gigabytes for a long row. Its memory-efficient
kernel needs them repeated (transformers issue 48633, seen on Kaggle's T4 with its own versions; to be dropped once a
version that looks at the GPU is the oldest one supported).

On the CPU a pass over a cache attends row by row. One call for all rows computes as far as the longest row has come,
and has to copy the rows out of the cache first where they do not lie side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from submission.model.kv_cache import SlotPlan

SHARED, REPEATED, BY_ROW = "sdpa_shared", "sdpa_repeated", "sdpa_by_row"
"""The names under which transformers knows them."""

Attended = tuple[Tensor, None]
Attention = Callable[..., Attended]
"""A way to attend, with transformers' arguments; the second of what it returns are weights that nobody wants."""

FEW = 256
"""Tokens of a row from which on a mask for each head costs as much as keys and values for each."""


def implementation(capability: tuple[int, int] | None) -> str:
    """What `attn_implementation` should be on a GPU of this compute capability, or on the CPU (None)."""
    name = BY_ROW if capability is None else SHARED if capability >= (8, 0) else REPEATED
    ways = {SHARED: sharing(sdpa_attention_forward), REPEATED: sharing(repeated), BY_ROW: by_row}
    AttentionInterface.register(name, ways[name])
    AttentionMaskInterface.register(name, sdpa_mask)
    return name


def takes_rows_apart(model: nn.Module) -> bool:
    """Whether this model's attention is `by_row`."""
    config: Any = model.config
    return bool(config.get_text_config()._attn_implementation == BY_ROW)


def by_row(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    plan: SlotPlan | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attention of queries [rows, heads, n, channels] to the rows of the cache that `plan` names, as far as each goes.

    `key` and `value` are the whole cache: [its rows, key heads, slots, channels]; the mask is [rows, 1, n, slots].
    Without a plan they are the queries' own, as usual. Returns [rows, n, heads, channels].
    """
    if plan is None:
        seen, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
        return seen, None
    assert attention_mask is not None
    rows = []
    for at, (row, used) in enumerate(zip(plan.rows, plan.used, strict=True)):
        end = used + plan.width
        seen, _ = sdpa_attention_forward(
            module, query[at : at + 1], key[row : row + 1, :, :end], value[row : row + 1, :, :end],
            attention_mask[at : at + 1, :, :, :end], **rest,
        )  # fmt: skip
        rows.append(seen)
    return torch.cat(rows), None


def sharing(whole: Attention) -> Attention:
    """A way for a few tokens with a mask to share keys and values; all else goes the way `whole`."""

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **rest: Any) -> Attended:
        if mask is None or query.shape[2] > FEW:
            return whole(module, query, key, value, mask, **rest)
        return _folded(query, key, value, mask, rest.get("scaling")), None

    return attend


def _folded(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    """Attention of queries [rows, heads, n, channels] to keys and values [rows, key heads, m, channels].

    The mask is [rows, 1, n, m]. Returns [rows, n, heads, channels].
    """
    rows, heads, n, channels = query.shape
    times = heads // key.shape[1]
    folded = query.reshape(rows, key.shape[1], times * n, channels)
    seen = F.scaled_dot_product_attention(folded, key, value, attn_mask=mask.repeat(1, 1, times, 1), scale=scaling)
    return seen.reshape(rows, heads, n, channels).transpose(1, 2).contiguous()


def repeated(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Attention of queries [batch, heads, n, channels] to keys and values [batch, key heads, m, channels].

    Without a mask it is causal, and n is m. Returns [batch, n, heads, channels], as transformers wants it.
    """
    times = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(times, dim=1) for each in (key, value))
    causal = attention_mask is None and query.shape[2] > 1
    seen = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, is_causal=causal, scale=scaling)
    return seen.transpose(1, 2).contiguous(), None
