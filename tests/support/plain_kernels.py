"""What unsloth's kernels compute, written in torch: for tests of everything around the kernels, without Triton."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from submission.model.lora import ADAPTER
from submission.model.unsloth_import import Kernels


def projected(layer: Any, x: Tensor) -> Tensor:
    """An adapted linear layer, by peft's formula."""
    a, b = layer.lora_A[ADAPTER].weight.to(x.dtype), layer.lora_B[ADAPTER].weight.to(x.dtype)
    product: Tensor = layer.base_layer(x) + layer.scaling[ADAPTER] * (x @ a.t() @ b.t())
    return product


def gated(mlp: Any, x: Tensor) -> Tensor:
    return projected(mlp.down_proj, F.silu(projected(mlp.gate_proj, x)) * projected(mlp.up_proj, x))


def normed(norm: Any, x: Tensor) -> Tensor:
    scaled: Tensor = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon) * norm.weight
    return scaled


def rotated(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """q and k [batch, heads, length, head]; cos and sin [rows, head]; the row of each token."""
    batch, _, length, head = q.shape
    at_cos, at_sin = (each[rows].view(batch, 1, length, head) for each in (cos, sin))

    def turned(x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=-1)
        return x * at_cos + torch.cat((-right, left), dim=-1) * at_sin

    return turned(q), turned(k)


def plain_kernels() -> Kernels:
    """A stand-in for `load_kernels`."""
    lora = SimpleNamespace(
        apply_lora_qkv=lambda attention, x: tuple(
            projected(each, x) for each in (attention.q_proj, attention.k_proj, attention.v_proj)
        ),
        apply_lora_o=lambda attention, x: projected(attention.o_proj, x),
        apply_lora_mlp_swiglu=gated,
        matmul_lora=None,
    )
    return Kernels(lora, normed, rotated, SimpleNamespace(_USE_NF4_KERNELS=True))
