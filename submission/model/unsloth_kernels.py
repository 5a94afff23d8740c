"""unsloth's Triton kernels, for training alone: LoRA projections, RMS norms, rotary positions and the gated MLP.

They are put on the modules of one model. A pass goes through them while the module trains and a gradient is wanted; all
other passes, the whole search among them, run the code that was there before.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from submission.errors import BadInput
from submission.model.gradient_check import gradient_distance, gradients, random_row, trial_adapter
from submission.model.kv_cache import CACHE
from submission.model.unsloth_import import Kernels

logger = logging.getLogger(__name__)

T = TypeVar("T")

FAMILIES = ("llama", "mistral", "qwen3")
"""The model_type of the models that the kernels are put on: others have norms, biases or activations of their own."""

LIMITS = {torch.float32: 1e-4, torch.float16: 0.03, torch.bfloat16: 0.12}
"""How far the kernels' gradients may be off the native ones, by the type of the computation; see `gradient_distance`.
Rounding alone gives 1e-6, 0.003 and 0.024 (peft's way and `lora.fuse` compared: 40 blocks, narrow, random weights). A
scale that is off by a half in one of the seven projections is beyond them: a test, in float32 and float16."""

CHECKED_TOKENS = 256
"""Tokens of the row on which the gradients are compared."""

_OF_ATTENTION = {"hidden_states", "position_embeddings", "attention_mask", CACHE}
"""The arguments of transformers' attention that the backend of attention does not get."""


class TrainingKernels:
    """The kernels on one adapted model; `on` until one of them fails."""

    def __init__(self, adapted: nn.Module, base: Any, kernels: Kernels) -> None:
        """Put the kernels on the blocks of a base that has its LoRA; BadInput for a model that they are not for."""
        require_fit(adapted, base)
        self.adapted, self.base, self.kernels, self.on = adapted, base, kernels, True
        self.check_seconds = math.nan  # of `require_right`, in which Triton compiles
        for block in base.model.layers:
            attention, mlp = block.self_attn, block.mlp
            attention.forward = partial(self._attention, attention, attention.forward)
            mlp.forward = partial(self._mlp, mlp, mlp.forward)
            for norm in (block.input_layernorm, block.post_attention_layernorm):
                norm.forward = partial(self._norm, norm, norm.forward)
        base.model.norm.forward = partial(self._norm, base.model.norm, base.model.norm.forward)

    def guarded(self, train: Callable[[], T], reset: Callable[[], object]) -> T:
        """What `train` returns; where it fails with the kernels on, they are taken off, and `reset` and `train` follow.

        Errors of memory and of the GPU are raised as they are: they are not the kernels' own, and go by their type.
        """
        try:
            return train()
        except (MemoryError, torch.OutOfMemoryError, torch.AcceleratorError):
            raise
        except Exception as error:
            if not self.on:
                raise
            self.on = False
            why = f"{type(error).__name__}: {' '.join(str(error).split())}"
            sentence = "model.backend=unsloth: a kernel failed (%s); the kernels are off, and training goes on natively"
            logger.warning(sentence, why, exc_info=True)
        reset()
        return train()

    def require_right(self) -> None:
        """BadInput where the kernels' gradients are not the native ones on this device.

        Where a kernel fails outright, they are taken off.
        """
        began = time.perf_counter()
        distance = self.guarded(self.distance, self._clear)
        self.check_seconds = time.perf_counter() - began
        if not distance <= LIMITS[compute_dtype_of(self.base)]:  # NaN is not
            raise BadInput(
                f"model.backend=unsloth: on this GPU its gradients are {100 * distance:.1f} % off the native ones; use "
                "model.backend=native"
            )
        if self.on:
            logger.info("unsloth's kernels train: their gradients are %.2g %% off the native ones", 100 * distance)

    def distance(self) -> float:
        """How far the kernels' gradients are off the native ones, on a row of random tokens; 0 where they are off."""
        if not self.on:
            return 0.0
        with trial_adapter(self.adapted):
            batch = random_row(self.base, CHECKED_TOKENS)
            with self.turned(False):
                _, native = gradients(self.adapted, batch)
            _, ours = gradients(self.adapted, batch)
        return gradient_distance(native, ours)

    @contextmanager
    def turned(self, on: bool) -> Iterator[None]:
        """While this is entered, training goes through the kernels or natively."""
        before, self.on = self.on, on
        try:
            yield
        finally:
            self.on = before

    def _clear(self) -> None:
        self.adapted.zero_grad(set_to_none=True)

    def _trains(self, module: nn.Module) -> bool:
        return self.on and module.training and torch.is_grad_enabled()

    def _norm(self, norm: Any, plain: Callable[..., Any], x: Tensor) -> Any:
        """The norm of x [..., channels]. A residual stream in a wider type than the weight keeps that type."""
        if not self._trains(norm) or x.dtype != norm.weight.dtype:
            return plain(x)
        return self.kernels.norm(norm, x)

    def _mlp(self, mlp: Any, plain: Callable[..., Any], x: Tensor) -> Any:
        """The gated MLP of x [batch, length, channels]."""
        if not self._trains(mlp):
            return plain(x)
        with computing(mlp.down_proj, x) as inner:
            return gated_mlp(self.kernels.lora, mlp, inner).to(x.dtype)

    def _attention(self, attention: Any, plain: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """The attention of whole rows, projections and rotations by the kernels; with a mask or a cache as before."""
        x: Tensor = named["hidden_states"] if "hidden_states" in named else arguments[0]
        whole = named.get("attention_mask") is None and named.get(CACHE) is None
        if not self._trains(attention) or not whole or len(arguments) > 1:
            return plain(*arguments, **named)
        rest = {name: value for name, value in named.items() if name not in _OF_ATTENTION}
        with computing(attention.o_proj, x) as inner:
            return self._attended(attention, inner, named["position_embeddings"], rest).to(x.dtype), None

    def _attended(self, attention: Any, x: Tensor, angles: tuple[Tensor, Tensor], rest: dict[str, Any]) -> Tensor:
        """transformers' attention of x [batch, length, channels]; `angles`: cos and sin [batch, length, head]."""
        shape = x.shape[:-1]
        q, k, v = (each.view(*shape, -1, attention.head_dim) for each in self.kernels.lora.apply_lora_qkv(attention, x))
        if hasattr(attention, "q_norm"):
            q, k = self.kernels.norm(attention.q_norm, q), self.kernels.norm(attention.k_norm, k)
        # A row of cos and sin for each token, whatever its position: the kernel looks them up by the token's number.
        cos, sin = (each.to(x.dtype).expand(*shape, -1).flatten(0, 1) for each in angles)
        rows = torch.arange(shape.numel(), dtype=torch.int32, device=x.device)
        q, k = self.kernels.rope(q.transpose(1, 2), k.transpose(1, 2), cos, sin, rows)
        attend = ALL_ATTENTION_FUNCTIONS[attention.config._attn_implementation]
        seen, _ = attend(attention, q, k, v.transpose(1, 2), None, dropout=0.0, scaling=attention.scaling, **rest)
        projected: Tensor = self.kernels.lora.apply_lora_o(attention, seen.reshape(*shape, -1).contiguous())
        return projected


def kernels_on(adapted: nn.Module, base: Any, kernels: Kernels) -> TrainingKernels:
    """Put the kernels on a model and compare their gradients with the native ones; BadInput where they are wrong."""
    made = TrainingKernels(adapted, base, kernels)
    made.require_right()
    return made


def require_fit(adapted: nn.Module, base: Any) -> None:
    """BadInput for a model that the kernels would compute another function of."""
    model = base.config.model_type
    if model in FAMILIES and base.config.hidden_act != "silu":
        model += f" with {base.config.hidden_act}"
    if model not in FAMILIES:
        raise BadInput(f"model.backend=unsloth knows Llama, Mistral and Qwen3; this model is a {model}")
    adapted_layers: list[Any] = [each.base_layer for each in adapted.modules() if hasattr(each, "lora_A")]
    if any(isinstance(each, nn.Linear) and each.bias is not None for each in adapted_layers):
        raise BadInput("model.backend=unsloth: this model's projections have biases, which its kernels leave out")


@contextmanager
def computing(projection: Any, x: Tensor) -> Iterator[Tensor]:
    """x in the type that the projection's base computes in; autocast is off, as the kernels do not know of it.

    Its backward pass returns a gradient of x's own type.
    """
    with torch.autocast(x.device.type, enabled=False):
        yield x.to(dtype_of(projection.base_layer))


def dtype_of(layer: Any) -> torch.dtype:
    """The type that a linear layer, in 4 bits or in 16, computes in."""
    dtype: torch.dtype = layer.compute_dtype if hasattr(layer, "compute_dtype") else layer.weight.dtype
    return dtype


def compute_dtype_of(base: Any) -> torch.dtype:
    """The type that the blocks of an adapted base compute in."""
    return dtype_of(base.model.layers[0].self_attn.q_proj.base_layer)


def gated_mlp(lora: Any, mlp: Any, x: Tensor) -> Tensor:
    """The gated MLP of x [batch, length, channels] by the kernels.

    When a checkpointed block is computed again, in the backward pass, nobody reads the product of its last projection:
    unsloth's function keeps what its own backward pass needs only after that product, a quarter of the block's
    arithmetic. There it is left out.
    """
    if torch._C._current_graph_task_id() == -1:  # No backward pass is running.
        return lora.apply_lora_mlp_swiglu(mlp, x)  # type: ignore[no-any-return]
    product, last = lora.matmul_lora, mlp.down_proj.base_layer.weight

    def without_last(h: Tensor, weight: Tensor, *rest: Any, **named: Any) -> Any:
        if weight is last:
            return h.new_empty((*h.shape[:-1], x.shape[-1]))
        return product(h, weight, *rest, **named)

    lora.matmul_lora = without_last
    try:
        return lora.apply_lora_mlp_swiglu(mlp, x)  # type: ignore[no-any-return]
    finally:
        lora.matmul_lora = product
