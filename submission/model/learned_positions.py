"""A GridLM's forward pass for training that leaves out what the loss does not need.

Keys and values of the last block are needed of all tokens. Its attention output, its feed-forward network and the head
are needed only where the next token is learned: three tokens in ten. Loss and gradient are those of the whole pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.qwen3_vl.modeling_qwen3_vl import apply_rotary_pos_emb

from submission.model.cpu_attention import causal_attention
from submission.model.grid_lm import GridLM

Block = Callable[[Any, Tensor, tuple[Tensor, Tensor], Tensor], Tensor]
"""`block_at`, or what torch.compile makes of it."""


def block_at(block: Any, hidden: Tensor, rotary: tuple[Tensor, Tensor], at: Tensor) -> Tensor:
    """The output [n, channels] of a block at the positions `at` [n] of hidden [batch, length, channels], flattened.

    `rotary` is the cosine and the sine of the positions, each [batch, length, channels of a head].
    """
    attention = block.self_attn
    normed = block.input_layernorm(hidden)
    by_head = (*hidden.shape[:-1], -1, attention.head_dim)
    query = attention.q_norm(attention.q_proj(normed).view(by_head)).transpose(1, 2)
    key = attention.k_norm(attention.k_proj(normed).view(by_head)).transpose(1, 2)
    value = attention.v_proj(normed).view(by_head).transpose(1, 2)
    query, key = apply_rotary_pos_emb(query, key, *rotary)
    attended = causal_attention(query, key, value, attention.scaling)
    attended = attended.transpose(1, 2).flatten(2)
    chosen = hidden.flatten(0, 1)[at] + attention.o_proj(attended.flatten(0, 1)[at])
    output: Tensor = chosen + block.mlp(block.post_attention_layernorm(chosen))
    return output


def predictions(model: GridLM, ids: Tensor, learn: Tensor, where: Tensor, last: Block) -> tuple[Tensor, Tensor]:
    """What `forward.predictions` returns of a GridLM, with the last block computed by `last` where it is learned."""
    device = model.lm_head.weight.device
    ids, learn, where = (each.to(device, non_blocking=True) for each in (ids, learn, where))
    decoder = model.model
    hidden = decoder.embed_tokens(ids)
    rotary = decoder.rotary_emb(hidden, where.expand(3, -1, -1))
    for block in decoder.layers[:-1]:
        hidden = block(hidden, position_embeddings=rotary, attention_mask=None)
    learned = learn[:, 1:]
    at = torch.nonzero(F.pad(learned, (0, 1)).flatten()).squeeze(1)
    logits = model.lm_head(decoder.norm(last(decoder.layers[-1], hidden, rotary, at)))
    return logits.float(), ids[:, 1:][learned]
