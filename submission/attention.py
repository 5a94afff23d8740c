"""Attention for GPUs without FlashAttention, such as the T4: keys and values repeated for each query head.

transformers asks torch to share them between query heads wherever there is no mask. Below compute capability 8.0 only
torch's plain kernel can do that, which holds all scores of all pairs of tokens at once: gigabytes for a long row. Its
memory-efficient kernel needs them repeated (transformers issue 48633, seen on Kaggle's T4 with its own versions; to be
dropped once a version that looks at the GPU is the oldest one supported).
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

REPEATED = "sdpa_repeated"
"""The name under which transformers knows it."""


def implementation(capability: tuple[int, int] | None) -> str:
    """What `attn_implementation` should be on a GPU of this compute capability, or on the CPU (None)."""
    if capability is None or capability >= (8, 0):
        return "sdpa"
    AttentionInterface.register(REPEATED, repeated)
    AttentionMaskInterface.register(REPEATED, sdpa_mask)
    return REPEATED


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
