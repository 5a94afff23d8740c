"""What is changed in the modules of a loaded model: storage and type of weights, dropout, norms, head."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import bitsandbytes
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from submission.checkpoint.checkpoint import listed
from submission.errors import require


def require_finite(path: Path, model: nn.Module) -> None:
    """BadInput where a weight is NaN or infinite: the model would answer nothing, one task after the other.

    Checked in the compute type, so that a bfloat16 checkpoint whose numbers float16 does not hold is told as well.
    """
    wrong = sorted(
        f"{name}.{part}" if name else part
        for name, module in model.named_modules()
        for part, weight in module.named_parameters(recurse=False)
        if not all(bool(torch.isfinite(numbers).all()) for numbers in _numbers(weight))
    )
    require(
        not wrong,
        f"{path}: NaN or infinity in {listed(wrong)}: the weights are damaged, or too large for model.dtype",
    )


def _numbers(weight: Tensor) -> list[Tensor]:
    """The floating-point numbers of a weight: of a packed one its scales."""
    if not isinstance(weight, bitsandbytes.nn.Params4bit):
        return [weight.detach()] if weight.is_floating_point() else []
    state = weight.quant_state
    if state is None:
        return []
    return [state.absmax] if not state.nested else [state.state2.absmax, state.offset]


def without_cpu_packing(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights in place on the CPU.

    On CPUs with AVX512-BF16 a pass in evaluation mode replaces the weights by a packed form, whose forward pass has no
    gradient and which is saved wrongly: training after inference would have wrong gradients without an error
    (bitsandbytes 0.50; to be dropped when a test, which compares gradients before and after, passes without it).
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


ALIGNMENT = 64
"""Bytes: torch allocates tensors at multiples of this address."""


def with_packed_bytes(model: nn.Module) -> None:
    """Have every 4-bit weight packed into bytes, the same bits in the same order.

    bitsandbytes can pack weights into a type of floating numbers (FSDP needs that). Whatever takes such a type for the
    weights' meaning, as peft and `nn.Module.to` do, would convert the bits as numbers.
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit) and module.weight.dtype is not torch.uint8:
            weight = module.weight
            weight.requires_grad_(False)
            weight.data = weight.data.contiguous().view(torch.uint8).reshape(-1, 1)
            weight.quant_storage = module.quant_storage = torch.uint8


DROPOUT = ("dropout", "pdrop", "layerdrop")
"""What the names contain under which transformers' modules and configs keep probabilities of dropout."""


def without_dropout(model: nn.Module) -> None:
    """Turn off the dropout that a config asks for, as in Granite's attention.

    A LoRA that learns one task for a minute is not regularised by it, and its random numbers would make a task's
    answers depend on the tasks before it.
    """
    config: Any = model.config
    for holder in [*model.modules(), config, config.get_text_config()]:
        for name, value in list(vars(holder).items()):
            if isinstance(value, int | float) and any(each in name for each in DROPOUT):
                setattr(holder, name, 0.0)
        if isinstance(holder, nn.modules.dropout._DropoutNd):
            holder.p = 0.0


def set_compute_dtype(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert unquantized weights to this type, and have 4-bit layers compute in it.

    A checkpoint saved in 4 bits brings its own compute type, mostly bfloat16, for which a T4 has no arithmetic. Weights
    that were mapped from an unaligned offset of a file are copied: on some CPUs the last bits of a product depend on
    the alignment.
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.compute_dtype = dtype
            module.weight.quant_state.dtype = dtype
    for weight in model.parameters():
        if not isinstance(weight, bitsandbytes.nn.Params4bit) and weight.is_floating_point():
            weight.data = weight.data.to(dtype)
            if weight.data_ptr() % ALIGNMENT:
                weight.data = weight.data.clone()


NORMS = {"LlamaRMSNorm", "MistralRMSNorm", "Qwen2RMSNorm", "Qwen3RMSNorm", "Qwen3VLTextRMSNorm"}
"""transformers' RMS norms that multiply by their weight, as torch's does (others by 1 + weight)."""


SMALL_VOCABULARY = 1024
"""Ids of a vocabulary up to which a language head in float32 costs nothing noticeable."""


def with_fused_norms(model: nn.Module) -> None:
    """Compute the RMS norms by torch's one kernel, in place of transformers' six passes over float32 copies.

    The function is the same up to rounding. For GPUs: on a CPU it is no faster.
    """
    for module in model.modules():
        if type(module).__name__ in NORMS:
            module.forward = partial(_normed, module, module.forward)


def _normed(module: Any, unfused: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if x.dtype != module.weight.dtype:
        return unfused(x)
    return F.rms_norm(x, module.weight.shape, module.weight, module.variance_epsilon)


def with_exact_head(model: Any) -> None:
    """Compute the logits of a small vocabulary in float32: bfloat16 rounds them by up to an eighth of a nat.

    A head that is tied to the embeddings keeps its type.
    """
    head = model.get_output_embeddings()
    tied = head.weight is model.get_input_embeddings().weight
    small = type(head) is nn.Linear and len(head.weight) <= SMALL_VOCABULARY and head.weight.dtype is not torch.float32
    if small and not tied:
        head.float()
        head.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
