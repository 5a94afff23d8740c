"""The LoRA multiplied out: into the product it is added to, into each matrix, into a dense twin of a small model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import bitsandbytes
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def fuse(model: nn.Module) -> None:
    """Have each adapted projection add its LoRA in fewer passes over its activations, the widest ones that there are.

    peft copies the projection's output, scales the LoRA's, and adds that, which takes a tenth of a training step on the
    CPU. In 16 bits it also computes the LoRA in float32, from a copy of its input that it keeps; here only the weights
    are in float32, for the optimizer's sake. The function is the same up to rounding.
    """
    for module in model.modules():
        if _is_adapted(module):
            module.forward = partial(_fused, module, module.forward)


def _fused(module: Any, unfused: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The adapted projection of x [..., in]: [..., out]."""
    down, up = module.lora_A["default"].weight, module.lora_B["default"].weight
    scale: float = module.scaling["default"]
    if module.merged or module.disable_adapters or x.dtype not in (up.dtype, torch.float16, torch.bfloat16):
        return unfused(x)
    if x.dtype != up.dtype:
        # The LoRA comes first: a block that is computed again for the backward pass ends with the last tensor that was
        # kept, and the base's product keeps none.
        added = F.linear(F.linear(x, down.to(x.dtype)), up.to(x.dtype))
        return torch.add(module.base_layer(x), added, alpha=scale)
    plain: Tensor = module.base_layer(x)
    return torch.addmm(plain.flatten(0, -2), F.linear(x, down).flatten(0, -2), up.t(), alpha=scale).view_as(plain)


def _is_adapted(module: Any) -> bool:
    return hasattr(module, "lora_A") and "default" in module.lora_A


def products(model: Any) -> Iterator[tuple[str, Tensor]]:
    """The name of each matrix in the base, and what the LoRA adds to it: of an 8B more together than a GPU holds."""
    for name, module in model.named_modules():
        if _is_adapted(module):
            a, b = module.lora_A["default"].weight.detach(), module.lora_B["default"].weight.detach()
            scale: float = module.scaling["default"]
            yield name.removeprefix("base_model.model."), scale * (b @ a)


def dense_bytes(base: nn.Module) -> int:
    """Memory that the matrices of the blocks would take if they were not in four bits."""
    return sum(
        each.in_features * each.out_features * each.compute_dtype.itemsize
        for each in base.modules()
        if isinstance(each, bitsandbytes.nn.Linear4bit)
    )


class Twin:
    """A model with the weights of another as that one computes with them: dequantized, the LoRA added.

    The same function up to rounding, at a fraction of the operations of a pass over a few tokens.
    """

    def __init__(self, base: nn.Module) -> None:
        """Copy a base that has no adapter yet."""
        self.model = copy.deepcopy(base).eval()
        self._plain: dict[str, Tensor] = {}
        for name, module in list(self.model.named_modules()):
            if isinstance(module, bitsandbytes.nn.Linear4bit):
                state = module.weight.quant_state
                weight = bitsandbytes.functional.dequantize_4bit(module.weight.data, state).to(module.compute_dtype)
                dense = nn.Linear(module.in_features, module.out_features, bias=False, device="meta")
                dense.weight = nn.Parameter(weight.clone(), requires_grad=False)
                dense.bias = module.bias
                self.model.set_submodule(name, dense)
                self._plain[name] = weight

    @torch.no_grad()
    def follow(self, adapted: nn.Module) -> nn.Module:
        """The twin with what the adapter says now."""
        for name, added in products(adapted):
            there: Any = self.model.get_submodule(name)
            there.weight.copy_(self._plain[name] + added)
        return self.model
