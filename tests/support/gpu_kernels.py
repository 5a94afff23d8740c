"""What a GPU has and a CPU has not, for tensors without contents: fused kernels, each declared as one operation.

    attention    keeps what the flash and the memory-efficient kernel keep: its inputs, its output, a float32 a row
    norm         torch's fused RMS norm: keeps its input and a float32 a row

The operations are never run: they have shapes, gradients, and numbers of floating-point operations. Attention takes the
calls that a fused kernel of the GPU takes, and refuses all others, for which torch has its math kernel.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import register_flop_formula

CAPABILITIES = {"t4": (7, 5), "l4": (8, 9)}
"""Compute capability of Kaggle's GPUs."""

KERNEL_ALIGNMENT = 8
"""Numbers of 16 bits to whose multiples the kernels want rows of a mask and channels of a head aligned."""

# -- declared operations ---------------------------------------------------------------------------------------------

torch.library.define("counted::attention", "(Tensor query, Tensor key, Tensor value, bool causal) -> (Tensor, Tensor)")
torch.library.define(
    "counted::attention_backward",
    "(Tensor gradient, Tensor query, Tensor key, Tensor value, Tensor output, Tensor sums, bool causal)"
    " -> (Tensor, Tensor, Tensor)",
)
torch.library.define("counted::norm", "(Tensor x, Tensor weight) -> (Tensor, Tensor)")
torch.library.define("counted::norm_backward", "(Tensor gradient, Tensor x, Tensor weight, Tensor scale) -> Tensor")
COUNTED: Any = torch.ops.counted


def _attended(query: Tensor, key: Tensor, value: Tensor, causal: bool) -> tuple[Tensor, Tensor]:
    """Both kernels lay their output out as [rows, queries, heads, channels], whatever the layout of the queries."""
    rows, heads, queries, channels = query.shape
    return query.new_empty(rows, queries, heads, channels).transpose(1, 2), query.new_empty(
        rows, heads, queries
    ).float()


def _keep_attention(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.causal = inputs[3]
    ctx.save_for_backward(*inputs[:3], *output)


torch.library.register_fake("counted::attention", _attended)
torch.library.register_fake(
    "counted::attention_backward",
    lambda gradient, query, key, value, output, sums, causal: tuple(map(torch.empty_like, (query, key, value))),
)
torch.library.register_autograd(
    "counted::attention",
    lambda ctx, gradient, _: (*COUNTED.attention_backward(gradient, *ctx.saved_tensors, ctx.causal), None),
    setup_context=_keep_attention,
)
torch.library.register_fake(
    "counted::norm", lambda x, weight: (torch.empty_like(x), x.new_empty(x.shape[:-1], dtype=torch.float32))
)
torch.library.register_fake("counted::norm_backward", lambda gradient, x, weight, scale: torch.empty_like(x))
torch.library.register_autograd(
    "counted::norm",
    lambda ctx, gradient, _: (COUNTED.norm_backward(gradient, *ctx.saved_tensors), None),
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs, output[1]),
)


# -- floating-point operations ---------------------------------------------------------------------------------------


def attention_flops(query: Any, key: Any, causal: bool) -> int:
    """Two products of each query with the keys that it sees: all of them, or half where they are causal."""
    rows, heads, queries, channels = query
    return 4 * rows * heads * queries * channels * key[2] // (2 if causal else 1)


@register_flop_formula(COUNTED.attention)
def _forward_flops(query: Any, key: Any, value: Any, causal: bool, *, out_shape: Any = None, **rest: Any) -> int:
    return attention_flops(query, key, causal)


@register_flop_formula(COUNTED.attention_backward)
def _backward_flops(
    gradient: Any, query: Any, key: Any, value: Any, output: Any, sums: Any, causal: bool, *, out_shape: Any = None,
    **rest: Any,
) -> int:  # fmt: skip
    """Five products where the forward pass has two: the scores are computed again."""
    return attention_flops(query, key, causal) * 5 // 2


@register_flop_formula(torch.ops.bitsandbytes.gemm_4bit)
def _packed_flops(x: Any, packed: Any, shape: Any, *arguments: Any, out_shape: Any = None, **rest: Any) -> int:
    """A product of x [..., in] with a weight of this shape [out, in]."""
    return 2 * int(np.prod(x[:-1])) * int(np.prod(shape))


# -- calls of torch --------------------------------------------------------------------------------------------------


def fused_kernel(
    capability: tuple[int, int], query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool,
    shared: bool,
) -> Literal["flash", "efficient"] | None:  # fmt: skip
    """The fused kernel of torch that takes this call of scaled_dot_product_attention on a GPU; None: the math kernel.

    As in torch's aten/src/ATen/native/transformers/cuda/sdp_utils.cpp. `shared`: keys have fewer heads than queries.
    """
    (rows, heads, queries, channels), slots = query.shape, key.shape[2]
    types = {torch.float16, torch.bfloat16} if capability >= (8, 0) else {torch.float16}
    alike = len({each.dtype for each in (query, key, value)}) == 1 and key.shape == value.shape
    lanes = all(each.stride(-1) == 1 and each.shape[-1] == channels for each in (query, key, value))
    if not (alike and lanes and query.dtype in types and channels % KERNEL_ALIGNMENT == 0 and rows == len(key)):
        return None
    grouped = heads % key.shape[1] == 0 if shared else heads == key.shape[1]
    if capability >= (8, 0) and mask is None and channels <= 256 and grouped:
        return "flash"
    if heads != key.shape[1] or (mask is not None and causal):
        return None
    if mask is not None:
        spread = all(have in (1, want) for have, want in zip(mask.shape, (rows, heads, queries, slots), strict=True))
        if not spread or mask.dtype != query.dtype or mask.requires_grad or mask.stride(-1) != 1:
            return None
    return "efficient"


class StandIns(TorchFunctionMode):
    """Has calls of torch meet the declared operations, and host and GPU exchange tensors without contents."""

    def __init__(self, card: str, said: float = -math.log(11)) -> None:
        """`said`: the number that the host reads wherever it reads the GPU's: log p of each token, in a search."""
        super().__init__()
        self.capability, self.said = CAPABILITIES[card], said
        self.kernels: set[str] = set()
        """The kernels of attention that were called."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is torch.from_numpy:
            return torch.empty(args[0].shape, dtype=_dtype(args[0]))
        if function is Tensor.numpy and isinstance(args[0], FakeTensor):
            return np.full(args[0].shape, self.said, np.float32)
        return function(*args, **kwargs)

    def attention(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0,
        is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False,
    ) -> Tensor:  # fmt: skip
        """In the place of torch's scaled_dot_product_attention; AssertionError where its math kernel would compute."""
        kernel = fused_kernel(self.capability, query, key, value, attn_mask, is_causal, enable_gqa)
        mask = None if attn_mask is None else (list(attn_mask.shape), attn_mask.dtype)
        assert kernel, f"the math kernel: {list(query.shape)} {query.dtype}, {list(key.shape)}, mask {mask}"
        assert attn_mask is None or all(each % KERNEL_ALIGNMENT == 0 for each in attn_mask.stride()[:-1]), (
            "the kernel copies a mask whose rows are not aligned"
        )
        self.kernels.add(kernel)
        attended: Tensor = COUNTED.attention(query, key, value, is_causal)[0]
        return attended


def _dtype(array: NDArray[Any]) -> torch.dtype:
    return {np.dtype(np.int64): torch.int64, np.dtype(bool): torch.bool}[array.dtype]
