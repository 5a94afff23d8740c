"""Gradient checkpointing at three levels: keep all activations of a block, only the expensive ones, or none.

Between "keep" and "recompute" lies selective checkpointing: of each block the outputs of the products with the base's
weights and of attention are kept, and what is cheap (norms, rotary embedding, activation, the LoRA's products) is
computed again. A row that is too long to keep everything then costs no product with a base weight twice. The gradient
is the same at each level.
"""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import CheckpointPolicy, create_selective_checkpoint_contexts

from submission.model.memory_plan import Level

_ATEN = torch.ops.aten
ATTENTION = {
    _ATEN._scaled_dot_product_flash_attention.default,
    _ATEN._scaled_dot_product_efficient_attention.default,
    _ATEN._scaled_dot_product_cudnn_attention.default,
    _ATEN._scaled_dot_product_flash_attention_for_cpu.default,
}
"""The fused kernels of attention; the math kernel is several operations, which are computed again."""


def set_level(base: Any, level: Level) -> None:
    """Have the blocks of a transformers model keep or recompute their activations in training."""
    with warnings.catch_warnings():
        # transformers 5.23 deprecates the only names that 5.0 has.
        warnings.simplefilter("ignore", FutureWarning)
        if level == "keep":
            if base.is_gradient_checkpointing:
                base.gradient_checkpointing_disable()
            return
        options: dict[str, Any] = {"use_reentrant": False}
        if level == "selective":
            rank = min((len(each.weight) for name, each in base.named_modules() if ".lora_A." in name), default=0)
            options["context_fn"] = partial(create_selective_checkpoint_contexts, partial(_policy, rank))
        base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)


def _policy(rank: int, context: Any, operation: Any, *arguments: Any, **named: Any) -> CheckpointPolicy:
    """Whether the output of an operation is kept; `rank` is that of the LoRA."""
    kept = operation in ATTENTION or _is_base_product(operation, arguments, rank)
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


def _is_base_product(operation: Any, arguments: tuple[Any, ...], rank: int) -> bool:
    """Whether an operation multiplies activations with a weight of the base, in 4 bits or 16."""
    if operation.name() == "bitsandbytes::gemm_4bit":
        return True
    # The LoRA's second product sums over its rank, all others over channels of the model.
    return operation is _ATEN.mm.default and int(arguments[0].shape[-1]) > rank
