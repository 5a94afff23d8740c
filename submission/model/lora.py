"""The LoRA multiplied out: into the product it is added to, into each matrix, into a dense twin of a small model."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import bitsandbytes
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from submission.config import Adapt
from submission.versions import is_old_torchao


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


class MergedModel:
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


PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


ENDS = ["embed_tokens", "lm_head"]
"""What a LoRA can be put on, by transformers' names, which Llama, Mistral and Qwen3 share."""


def with_adapter(base: Any, settings: Adapt, seed: int) -> nn.Module:
    """The base with a LoRA on all seven projections of each block, and on its ends if the settings say so.

    Its first weights depend on the seed alone.
    """
    recomputing(base, settings.checkpointing == "on")
    hide_old_torchao()
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_rslora=True,
        lora_dropout=0.0,
        target_modules=[*PROJECTIONS, *(ENDS if settings.ends else [])],
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft asks for a method name that transformers has just deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        # That tied ends get an adapter each is what is wanted: neither is ever merged into the weights they share.
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings", category=UserWarning)
        torch.manual_seed(seed)
        adapted: nn.Module = get_peft_model(base, lora)
    fuse(adapted)
    return adapted


def recomputing(base: Any, wanted: bool) -> None:
    """Have the backward pass compute the activations of each block anew, or keep them; the gradient is the same."""
    with warnings.catch_warnings():
        # transformers 5.23 deprecates the only names that 5.0 knows.
        warnings.simplefilter("ignore", FutureWarning)
        if wanted == base.is_gradient_checkpointing:
            return
        if wanted:
            base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        else:
            base.gradient_checkpointing_disable()


def hide_old_torchao() -> None:
    """Keep an old torchao, which nothing here needs, from being found: peft would refuse to adapt anything.

    Kaggle's image has torchao 0.10 beside peft 0.19. None in `sys.modules` is Python's own word for "not to be
    imported"; to be dropped when the image has none, or a newer one.
    """
    try:
        found = version("torchao")
    except PackageNotFoundError:
        return
    if is_old_torchao(found):
        sys.modules["torchao"] = None  # type: ignore[assignment]
