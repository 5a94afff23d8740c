"""How queries meet keys and values where transformers' way is not the best: GPUs without FlashAttention, and the CPU.

On such GPUs, the T4 for one, keys and values are repeated for each query head. transformers asks torch to share them
wherever there is no mask. Below compute capability 8.0 only torch's plain kernel can do that, which holds all scores of
all pairs of tokens at once: gigabytes for a long row. Its memory-efficient kernel needs them repeated (transformers
issue 48633, seen on Kaggle's T4 with its own versions; to be dropped once a version that looks at the GPU is the oldest
one supported).

On the CPU a pass over a cache attends row by row. One call for all rows computes as far as the longest row has come,
and has to copy the rows out of the cache first where they do not lie side by side.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from submission.cache import Plan

REPEATED, BY_ROW = "sdpa_repeated", "sdpa_by_row"
"""The names under which transformers knows them."""


def implementation(capability: tuple[int, int] | None) -> str:
    """What `attn_implementation` should be on a GPU of this compute capability, or on the CPU (None)."""
    if capability is not None and capability >= (8, 0):
        return "sdpa"
    name, function = (BY_ROW, by_row) if capability is None else (REPEATED, repeated)
    AttentionInterface.register(name, function)
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
    plan: Plan | None = None,
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
