"""Attention by batched products in bfloat16: on a CPU without AMX two to three times as fast as torch's own.

`causal_attention` is for whole rows, in blocks of queries; `masked_attention` for many nodes of a token tree.

torch's kernel for CPUs (`_scaled_dot_product_flash_attention_for_cpu`) multiplies small tiles by a routine that is slow
in bfloat16, and was half of a training step. Here a block of queries is multiplied with all keys that it may see in one
batched product, which oneDNN computes. As in torch's kernel the probabilities are not kept but computed again for the
backward pass, as FlashAttention does (Dao et al., arXiv 2205.14135, section 3.1), and rounded to bfloat16 before the
product with the values; here the scores are rounded as well. A CPU with AMX runs torch's kernel 1.3 to 2 times as fast
forward, the products as fast or faster backward: there each does its part.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCK = 128
"""Queries of a block."""

SCORES = 16 * 128 * 1024
"""Scores that are computed together, of one head or of several: they stay in the cache, and memory stays small."""

WIDE = 32
"""With a mask products are faster for this many queries or more; for fewer, torch's kernel is."""

LEAST = -1e30
"""What is added at least to a score: with nothing but -infinity a softmax has no value."""


def causal_attention(query: Tensor, key: Tensor, value: Tensor, scale: float | None = None) -> Tensor:
    """Attention of each token to itself and those before it; all are [rows, heads, length, channels].

    `scale` is that of the scores, by default 1 / sqrt(channels). In blocks where that is faster.
    """
    if query.device.type == "cpu" and query.shape == key.shape and query.shape[2] > 1:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else query.dtype
        if dtype == torch.bfloat16:
            scale = query.shape[-1] ** -0.5 if scale is None else scale
            attended: Tensor = in_blocks(query.to(dtype), key.to(dtype), value.to(dtype), scale)
            return attended
    return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)


@functools.cache
def has_amx() -> bool:
    """Whether this CPU has AMX, which multiplies tiles of bfloat16."""
    return bool(torch.cpu._is_amx_tile_supported())


@torch.compiler.disable  # type: ignore[untyped-decorator]
def in_blocks(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """`causal_attention` in blocks, in any type; torch.compile leaves it as it is, for any length."""
    result: Tensor = _InBlocks.apply(query, key, value, scale)  # type: ignore[no-untyped-call]
    return result


class _InBlocks(torch.autograd.Function):
    """Both passes; inside, rows and heads are one axis."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
        """The attention."""
        q, k, v = (each.flatten(0, 1) for each in (query * scale, key, value))
        ctx.save_for_backward(q, k, v)
        ctx.scale = scale
        with torch.autocast("cpu", enabled=False):
            if has_amx():
                return F.scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
            attended, future = torch.empty_like(v), _future(q.dtype)
            for group, block in _blocks(*q.shape[:2]):
                probabilities = _probabilities(q[group, block], k[group, : block.stop], future)
                attended[group, block] = torch.bmm(probabilities, v[group, : block.stop])
        return attended.view(value.shape)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """The gradients of query, key and value; those of key and value are summed over blocks in float32."""
        q, k, v = ctx.saved_tensors
        from_above, of_q, future = gradient.flatten(0, 1), torch.empty_like(q), _future(q.dtype)
        of_k, of_v = (torch.zeros(each.shape, dtype=torch.float32) for each in (k, v))
        for group, block in _blocks(*q.shape[:2]):
            above, seen = from_above[group, block], slice(block.stop)
            probabilities = _probabilities(q[group, block], k[group, seen], future)
            of_v[group, seen] += torch.bmm(probabilities.mT, above)
            of_probabilities = torch.bmm(above, v[group, seen].mT)
            of_scores = torch._softmax_backward_data(of_probabilities, probabilities, -1, probabilities.dtype)
            of_q[group, block] = torch.bmm(of_scores, k[group, seen])
            of_k[group, seen] += torch.bmm(of_scores.mT, q[group, block])
        shape = gradient.shape
        return (of_q * ctx.scale).view(shape), of_k.to(k.dtype).view(shape), of_v.to(v.dtype).view(shape), None


def _future(dtype: torch.dtype) -> Tensor:
    """What is added to the scores of BLOCK queries and their own keys: -infinity where a key is later."""
    return torch.full((BLOCK, BLOCK), -torch.inf, dtype=dtype).triu_(1)


def _blocks(heads: int, length: int) -> list[tuple[slice, slice]]:
    """Groups of heads, and in each the blocks of queries."""
    return [(group, block) for group in _pieces(heads, _together(length)) for block in _pieces(length, BLOCK)]


def _together(length: int) -> int:
    """Heads whose blocks of queries are computed together, with keys of this length."""
    return max(1, SCORES // (BLOCK * length))


def _probabilities(query: Tensor, key: Tensor, future: Tensor) -> Tensor:
    """[heads, n, m]: how much each of the last n tokens attends to all m so far; the scores are scaled already."""
    scores = torch.bmm(query, key.mT)
    n = query.shape[1]
    scores[..., -n:] += future[:n, :n]
    return torch.softmax(scores, -1)


def takes_products(query: Tensor, key: Tensor) -> bool:
    """Whether `masked_attention` is for these queries [rows, heads, n, channels] and keys, and faster than torch's."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or torch.is_grad_enabled() or has_amx():
        return False
    return query.shape[2] >= WIDE and query.shape[1] == key.shape[1]


def masked_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, scale: float | None = None) -> Tensor:
    """Attention of one row's queries [1, heads, n, channels] to keys and values [1, heads, m, channels], by products.

    `mask` [1, 1, n, m] is added to the scores; a query that may see nothing gets a mean of the values.
    """
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    attended = torch.empty_like(query[0])
    for block in _pieces(query.shape[2], BLOCK):
        scores = torch.baddbmm(mask[0, :, block].clamp(min=LEAST), query[0, :, block], key[0].mT, alpha=scale)
        attended[:, block] = torch.bmm(torch.softmax(scores, -1), value[0])
    return attended[None]


def _pieces(number: int, size: int) -> list[slice]:
    """0 to `number` in slices of at most `size`."""
    return [slice(at, min(number, at + size)) for at in range(0, number, size)]
