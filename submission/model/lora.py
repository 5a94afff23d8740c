"""LoRA: attached with peft, a fused forward pass, whole ends, weight deltas, and a merged model for inference."""

from __future__ import annotations

import copy
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import bitsandbytes
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from submission.checkpoint import families
from submission.config import Adapt
from submission.errors import BadInput
from submission.model.checkpointing import set_level
from submission.versions import is_old_torchao

PROJECTIONS = list(families.PROJECTIONS)
"""The linear layers of a block, by the names that Llama, Mistral and Qwen3 share in transformers."""

ENDS = (families.EMBEDDINGS, families.HEAD)
"""What the names of the weights of embeddings and language head end in."""

ADAPTER = "default"
"""peft's name of the one adapter."""


def with_adapter(base: Any, settings: Adapt, seed: int) -> nn.Module:
    """The base with a LoRA on the projections in `adapt.targets` of each block.

    With `adapt.ends` embeddings and head are trained as well, whole: `with_whole_ends` has to be called before. The
    LoRA's initial weights depend on the seed alone. BadInput for a model without the seven projections.
    """
    require_projections(base, [name for name, _ in projections(base)])
    targets = families.TARGETS[settings.targets]
    set_level(base, "recompute" if settings.checkpointing == "on" else "keep")
    hide_old_torchao()
    lora = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        use_rslora=settings.scaling == "rslora",
        lora_dropout=0.0,
        target_modules=list(targets),
    )
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft calls a method that transformers has deprecated.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(seed)
        adapted: nn.Module = get_peft_model(base, lora)
    require_projections(base, [name for name, module in adapted.named_modules() if _is_adapted(module)], targets)
    fuse(adapted)
    if settings.ends == "full":
        for end in ends_of(base):
            end.weight.requires_grad_(True)
    return adapted


def projections(base: nn.Module) -> list[tuple[str, nn.Linear]]:
    """The seven projections of each block, by name, in 4 bits or 16."""
    return [
        (name, module)
        for name, module in base.named_modules()
        if name.rpartition(".")[2] in PROJECTIONS and isinstance(module, nn.Linear)
    ]


def require_projections(base: Any, names: Sequence[str], targets: Sequence[str] = PROJECTIONS) -> None:
    """BadInput unless these names are those of the projections `targets` of each block.

    peft adapts the layers that it finds, be it a part of them, without a word.
    """
    config = base.config.get_text_config()
    found = Counter(name.rpartition(".")[2] for name in names)
    wanted = dict.fromkeys(targets, config.num_hidden_layers)
    if found != wanted:
        have = ", ".join(f"{found[each]} {each}" for each in PROJECTIONS)
        raise BadInput(
            f"{base.name_or_path}: the LoRA needs the seven projections of {config.num_hidden_layers} blocks, "
            f"{7 * config.num_hidden_layers} linear layers, and this model ({config.model_type}) has {have}: a family "
            "that joins projections or has experts cannot be adapted"
        )


def hide_old_torchao() -> None:
    """Make a torchao before `versions.OLDEST_TORCHAO` impossible to import, since peft refuses to adapt beside it.

    Nothing here needs torchao. Kaggle's image has 0.10 beside peft 0.19; to be dropped when it has none, or a newer
    one. None in `sys.modules` makes Python's import fail.
    """
    try:
        installed = version("torchao")
    except PackageNotFoundError:
        return
    if is_old_torchao(installed):
        sys.modules["torchao"] = None  # type: ignore[assignment]


# -- the fused forward pass -------------------------------------------------------------------------------------------


LAST_PROJECTION = "down_proj"
"""The projection whose product is the last of a block."""


def fuse(model: nn.Module) -> None:
    """Replace the forward pass of each adapted projection by one with fewer passes over the widest activations.

    peft copies the projection's output, scales the LoRA's, and adds them: a tenth of a training step on the CPU. In 16
    bits it also computes the LoRA in float32, from a float32 copy of the input that it keeps for the backward pass;
    here only the LoRA's weights are float32, for the optimizer. The function is the same up to rounding.
    """
    for name, module in model.named_modules():
        if _is_adapted(module):
            module.forward = partial(_fused, module, module.forward, name.endswith(LAST_PROJECTION))


def _fused(module: Any, unfused: Callable[[Tensor], Tensor], last: bool, x: Tensor) -> Tensor:
    """The adapted projection of x [..., in]: [..., out]; `last`: whether it is the last product of its block."""
    down, up = module.lora_A[ADAPTER].weight, module.lora_B[ADAPTER].weight
    scale: float = module.scaling[ADAPTER]
    if module.merged or module.disable_adapters or x.dtype not in (up.dtype, torch.float16, torch.bfloat16):
        return unfused(x)
    down, up = down.to(x.dtype), up.to(x.dtype)
    if last and x.dtype != torch.float32:
        # The LoRA before the base: recomputation under checkpointing stops at the last tensor that the backward pass
        # needs, and the base's product saves none.
        added = F.linear(F.linear(x, down), up)
        return torch.add(module.base_layer(x), added, alpha=scale)
    # The LoRA is added by its own product: two passes over the widest tensor instead of four.
    projected: Tensor = module.base_layer(x)
    low_rank = F.linear(x, down).flatten(0, -2)
    return torch.addmm(projected.flatten(0, -2), low_rank, up.t(), alpha=scale).view_as(projected)


def _is_adapted(module: Any) -> bool:
    return hasattr(module, "lora_A") and ADAPTER in module.lora_A


# -- embeddings and head ----------------------------------------------------------------------------------------------


def ends_of(base: Any) -> tuple[Any, Any]:
    """The modules of embeddings and language head."""
    return base.get_input_embeddings(), base.get_output_embeddings()


def of_ends(name: str) -> bool:
    """Whether a weight's name is that of embeddings or language head."""
    return name.endswith(ENDS)


def with_whole_ends(base: Any) -> None:
    """Give embeddings and head float32 weights of their own, to be trained whole; they compute as before.

    As PoE and NVARC train them: peft copies both modules, so that tied ones learn apart, and unsloth keeps the copies
    in float32. The blocks get their inputs in the type that they got before; the logits become float32.
    """
    embeddings, head = ends_of(base)
    if isinstance(head, bitsandbytes.nn.Linear4bit):
        head = _dense(head)
        base.set_output_embeddings(head)
    dtype = embeddings.weight.dtype
    for end in (embeddings, head):
        end.weight = nn.Parameter(end.weight.detach().float().clone(), requires_grad=False)
    if dtype is not torch.float32:
        embeddings.register_forward_hook(lambda module, inputs, output: output.to(dtype))
        head.register_forward_pre_hook(lambda module, inputs: (inputs[0].float(),))


# -- merged weights ---------------------------------------------------------------------------------------------------


def lora_deltas(model: Any) -> Iterator[tuple[str, Tensor]]:
    """The name in the base of each adapted weight [out, in], and scale * B A, its delta of that shape in float32.

    One at a time: the deltas of an 8B take more memory together than a GPU has.
    """
    for name, module in model.named_modules():
        if _is_adapted(module):
            a, b = module.lora_A[ADAPTER].weight.detach(), module.lora_B[ADAPTER].weight.detach()
            scale: float = module.scaling[ADAPTER]
            yield name.removeprefix("base_model.model."), scale * (b @ a)


def dense_bytes(base: nn.Module) -> int:
    """Bytes that the weights of the merged layers would take dequantized, in the type that they compute in.

    0 for a model without any 4-bit weight, to which a merged copy is of no use.
    """
    layers = merged_layers(base)
    four_bit = [each for each in layers.values() if isinstance(each, bitsandbytes.nn.Linear4bit)]
    if not four_bit:
        return 0
    width: int = four_bit[0].compute_dtype.itemsize
    return sum(each.in_features * each.out_features * width for each in layers.values())


def merged_layers(base: nn.Module) -> dict[str, Any]:
    """By name the linear layers that a merged model has its own weights of: all in 4 bits, all that a LoRA adapts."""
    four_bit = {name: each for name, each in base.named_modules() if isinstance(each, bitsandbytes.nn.Linear4bit)}
    return four_bit | dict(projections(base))


def _dense(module: Any) -> nn.Linear:
    """A linear layer with a copy of this one's weights, dequantized where they are in 4 bits."""
    weight = module.weight.data
    if isinstance(module, bitsandbytes.nn.Linear4bit):
        state = module.weight.quant_state
        weight = bitsandbytes.functional.dequantize_4bit(weight, state).to(module.compute_dtype)
    dense = nn.Linear(module.in_features, module.out_features, bias=False, device="meta")
    dense.weight = nn.Parameter(weight.clone(), requires_grad=False)
    dense.bias = module.bias
    return dense


class MergedModel:
    """A copy of a 4-bit model for inference: weights dequantized, the LoRA merged into them; the ends are shared.

    The same function up to rounding, at a fraction of the operations of a pass over few tokens. Takes twice
    `dense_bytes`: the merged weights, and those without the LoRA to merge the next one into.
    """

    def __init__(self, base: nn.Module) -> None:
        """Copy and dequantize a base that has no adapter yet; layers in 16 bits are kept as they are."""
        self.model = copy.deepcopy(base).eval()
        for ours, theirs in zip(ends_of(self.model), ends_of(base), strict=True):
            ours.weight = theirs.weight
        self._base_weights: dict[str, Tensor] = {}
        for name, module in merged_layers(self.model).items():
            dense = _dense(module)
            self.model.set_submodule(name, dense)
            self._base_weights[name] = dense.weight.detach().clone()

    @torch.no_grad()
    def merge(self, adapted: nn.Module) -> nn.Module:
        """The copy, with the present LoRA of the adapted model merged into it."""
        for name, delta in lora_deltas(adapted):
            layer: Any = self.model.get_submodule(name)
            layer.weight.copy_(self._base_weights[name] + delta)
        return self.model
