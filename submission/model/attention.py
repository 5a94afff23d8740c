"""Custom SDPA backends: grouped KV, repeated KV on GPUs before Ampere, and row by row on the CPU.

Grouped (queries with a mask, on GPUs): with grouped-query attention transformers repeats the keys and values of the
whole cache for each query head, in every block. Here the queries of the heads that share keys are stacked along the
query axis instead, and nothing of the cache is copied. The mask is repeated with them: once a pass, in the form that
the kernels take (`pass_mask`), not once a block. Up to 2048 queries that takes less memory than the repeated keys.

Repeated (whole rows, on GPUs before compute capability 8.0, such as the T4): without a mask transformers asks SDPA for
grouped-query attention, which only torch's math kernel supports there, and that one holds the scores of all pairs of
tokens: gigabytes for a long row. The memory-efficient kernel needs keys and values repeated for each query head
(transformers issue 48633, seen on Kaggle's T4 with its own versions; to be dropped once the oldest supported
transformers checks the GPU).

By row (on the CPU): whole rows without a mask are attended to in blocks, see `cpu_attention`. In decode passes one
call for all rows computes up to the length of the longest row, and has to copy the rows out of the cache first where
they are not adjacent.
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

from submission.model.cpu_attention import causal_attention, masked_attention, takes_products
from submission.model.kv_cache import SlotPlan

GROUPED, REPEATED, BY_ROW = "sdpa_grouped", "sdpa_repeated", "sdpa_by_row"
"""Names of the backends in transformers' registry (`attn_implementation`)."""

Attended = tuple[Tensor, None]
"""[rows, queries, heads, channels], and None in place of the attention weights."""

Attention = Callable[..., Attended]
"""A backend with transformers' arguments: module, query, key, value, mask, and keywords."""


def register_backend(capability: tuple[int, int] | None) -> str:
    """Register the backend for a GPU of this compute capability, or for the CPU (None); returns its name."""
    name = BY_ROW if capability is None else GROUPED if capability >= (8, 0) else REPEATED
    backends = {GROUPED: grouped(sdpa_attention_forward), REPEATED: grouped(repeated), BY_ROW: by_row}
    AttentionInterface.register(name, backends[name])
    AttentionMaskInterface.register(name, sdpa_mask)
    return name


MASK_ALIGNMENT = 8
"""Numbers to a multiple of which a row of a mask is padded: the memory-efficient kernel copies any other one."""


def query_group(model: nn.Module) -> int:
    """Query heads that share one head of keys and values."""
    whole: Any = model.config
    config = whole.get_text_config()
    return int(config.num_attention_heads) // int(config.num_key_value_heads)


def attention_dtype(model: nn.Module) -> torch.dtype:
    """The type in which a model's blocks compute.

    Embeddings, head and adapter may be kept in float32 beside blocks in 16 bits; norms are not. OLMo's norms have no
    weights: there the first weight decides.
    """
    weights = [(name, each.dtype) for name, each in model.named_parameters() if each.is_floating_point()]
    return next((dtype for name, dtype in weights if "norm" in name), weights[0][1])


def pass_mask(mask: Tensor, dtype: torch.dtype, group: int = 1) -> Tensor:
    """A mask that all blocks of a pass share, as what is added to the scores: 0 where a query may look, else -infinity.

    bool [rows, queries, slots] to [rows, 1, queries, slots] of the compute type; for queries whose heads are stacked
    along the query axis (`grouped`), `group` times one after the other: [rows, 1, group * queries, slots].
    """
    rows, queries, slots = mask.shape
    width = -(-slots // MASK_ALIGNMENT) * MASK_ALIGNMENT
    added = torch.full((rows, group, queries, width), -torch.inf, dtype=dtype, device=mask.device)
    added[..., :slots].masked_fill_(mask[:, None], 0.0)
    return added.view(rows, 1, group * queries, width)[..., :slots]


def attends_by_row(model: nn.Module) -> bool:
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
) -> Attended:
    """Attention of queries [rows, heads, n, channels] to the cache rows that `plan` names, each up to its own length.

    With a plan `key` and `value` are the whole cache [cache rows, key heads, slots, channels], and the mask is
    [rows, 1, n, slots]. Without one they are those of the pass itself, which is causal where it has no mask either.
    Returns [rows, n, heads, channels].
    """
    if plan is None and attention_mask is None and query.shape == key.shape:
        attended = causal_attention(query, key, value, rest.get("scaling"))
        return attended.transpose(1, 2).contiguous(), None
    if plan is None:
        attended, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
        return attended, None
    assert attention_mask is not None
    rows = []
    for at, (row, used) in enumerate(zip(plan.rows, plan.used, strict=True)):
        end = used + plan.width
        of_row = (
            query[at : at + 1], key[row : row + 1, :, :end], value[row : row + 1, :, :end],
            attention_mask[at : at + 1, :, :, :end],
        )  # fmt: skip
        if takes_products(query, key):
            rows.append(masked_attention(*of_row, rest.get("scaling")).transpose(1, 2))
        else:
            rows.append(sdpa_attention_forward(module, *of_row, **rest)[0])
    return torch.cat(rows), None


def grouped(otherwise: Attention) -> Attention:
    """A backend that groups queries with a mask, and leaves whole rows without one to `otherwise`."""

    def attend(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **rest: Any) -> Attended:
        if mask is None:
            return otherwise(module, query, key, value, mask, **rest)
        return _attend_grouped(query, key, value, mask, rest.get("scaling")), None

    return attend


def _attend_grouped(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scaling: float | None) -> Tensor:
    """Attention of queries [rows, heads, n, channels] to keys and values [rows, key heads, m, channels].

    The mask is [rows, 1, n, m], or [rows, 1, group * n, m] as `pass_mask` repeats it. Returns [rows, n, heads,
    channels].
    """
    rows, heads, n, channels = query.shape
    group = heads // key.shape[1]
    stacked = query.reshape(rows, key.shape[1], group * n, channels)
    mask = mask if mask.shape[2] == group * n else mask.repeat(1, 1, group, 1)
    attended = F.scaled_dot_product_attention(stacked, key, value, attn_mask=mask, scale=scaling)
    # One copy: the kernels lay their output out as [rows, group * n, key heads, channels].
    apart = attended.view(rows, key.shape[1], group, n, channels)
    return apart.permute(0, 3, 1, 2, 4).reshape(rows, n, heads, channels)


def repeated(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> Attended:
    """Attention of queries [rows, heads, n, channels] to keys and values [rows, key heads, m, channels].

    Without a mask it is causal, and n is m. Returns [rows, n, heads, channels].
    """
    group = query.shape[1] // key.shape[1]
    key, value = (each.repeat_interleave(group, dim=1) for each in (key, value))
    causal = attention_mask is None and query.shape[2] > 1
    attended = F.scaled_dot_product_attention(
        query, key, value, attn_mask=attention_mask, is_causal=causal, scale=scaling
    )
    return attended.transpose(1, 2).contiguous(), None
