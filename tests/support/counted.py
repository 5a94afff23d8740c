"""Models of true size that hold no memory: what training and search would take is counted, operation by operation.

Tensors are torch's fake ones: shapes and types without contents. Blocks, LoRA, checkpointing, attention backends, KV
cache, token trees and the loss are the real code; the products in 4 bits are bitsandbytes' own operations. Fused
kernels of a GPU are stood in for by one operation each: see `tests.support.gpu_kernels`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from bitsandbytes.autograd._functions import matmul_4bit
from bitsandbytes.functional import QuantState
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter
from transformers import AutoConfig, AutoModelForCausalLM, masking_utils

from submission.config import Adapt
from submission.model import checkpointing, lora
from submission.model.attention import register_backend
from submission.model.forward import predictions
from submission.model.memory_plan import Level, Shape
from tests.support.gpu_kernels import CAPABILITIES, COUNTED, StandIns

MINITRON = ("mistral", Shape(4096, 11520, 40, 32, 8, 128, vocabulary=81, tied=False, quantized=True, positions=8192))
LLAMA = ("llama", Shape(4096, 14336, 32, 32, 8, 128, vocabulary=81, tied=False, quantized=True, positions=8192))
QWEN = (
    "qwen3",
    Shape(2560, 9728, 36, 32, 8, 128, vocabulary=16, tied=True, quantized=True, positions=8192, head_norms=True),
)
TRUE_SIZES = {"Minitron-8B": MINITRON, "Llama-3-8B": LLAMA, "Qwen3-4B": QWEN}
"""Published models with the vocabularies of their ARC checkpoints: model_type, sizes."""


NO_KERNELS = ("aten::empty", "aten::new_empty", "aten::_unsafe_view", "aten::lift", "prim::", "profiler::")
"""What the names of operations begin with that launch nothing, views apart."""


class Counting(TorchDispatchMode):
    """Counts operations and kernels by name, and the bytes of the tensors that live at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.kernels: Counter[str] = Counter()
        """Operations that compute or copy something, each of which is a kernel on a GPU: an upper bound where it is
        told to take a list of tensors or several are fused, a lower one where an operation takes several kernels."""
        self.peak = 0
        """The most bytes so far."""
        self._living: dict[int, tuple[StorageWeakRef, int]] = {}
        self._total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations[func.name()] += 1
        if not func.is_view and not func.name().startswith(NO_KERNELS):
            self.kernels[func.name()] += 1
        for each in tree_iter(result):
            if isinstance(each, Tensor):
                self._note(each)
        return result

    def living(self) -> int:
        """Bytes that live now."""
        for key in [key for key, (reference, _) in self._living.items() if reference.expired()]:
            self._total -= self._living.pop(key)[1]
        return self._total

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        reference = StorageWeakRef(storage)
        known = self._living.get(reference.cdata)
        if known is not None and not known[0].expired():
            return
        self._total += storage.nbytes() - (known[1] if known else 0)
        self._living[reference.cdata] = (reference, storage.nbytes())
        if self._total > self.peak:
            self.peak = max(self.peak, self.living())


class Packed(nn.Linear):
    """A linear layer in NF4 with nested scales, as bitsandbytes keeps it; peft takes it for a plain one."""

    def __init__(self, like: nn.Linear) -> None:
        super().__init__(like.in_features, like.out_features, bias=False, device="meta")
        weights = like.in_features * like.out_features
        self.weight = nn.Parameter(torch.empty(weights // 2, 1, dtype=torch.uint8), requires_grad=False)
        for name, size, dtype in (
            ("scales", (weights // 64,), torch.uint8), ("outer", (weights // 64 // 256,), torch.float32),
            ("code", (256,), torch.float32), ("offset", (), torch.float32),
        ):  # fmt: skip
            self.register_buffer(name, torch.empty(size, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        outer = QuantState(absmax=self.outer, code=self.code, blocksize=256, dtype=torch.float32)
        state = QuantState(
            absmax=self.scales, shape=torch.Size((self.out_features, self.in_features)), code=self.code[:16],
            blocksize=64, quant_type="nf4", dtype=x.dtype, offset=self.offset, state2=outer,
        )  # fmt: skip
        product: Tensor = matmul_4bit(x, self.weight, state)
        return product


@dataclass(frozen=True)
class Fake:
    """A model without memory, and the counter of its operations and bytes."""

    adapted: nn.Module
    base: Any
    counting: Counting
    stand_ins: StandIns


@contextmanager
def faked(name: str, blocks: int, card: str, adapt: Adapt) -> Iterator[Fake]:
    """A model of a published shape with so many blocks and a LoRA, as it lies on this card; bytes are counted."""
    kind, shape = TRUE_SIZES[name]
    config = AutoConfig.for_model(
        kind, hidden_size=shape.hidden, intermediate_size=shape.intermediate, num_hidden_layers=blocks,
        num_attention_heads=shape.heads, num_key_value_heads=shape.key_heads, head_dim=shape.head,
        vocab_size=shape.vocabulary, tie_word_embeddings=shape.tied, max_position_embeddings=shape.positions,
        sliding_window=None, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    config._attn_implementation = register_backend(CAPABILITIES[card])
    with torch.device("meta"):
        base: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float16 if card == "t4" else torch.bfloat16)
        _with_stand_ins(base)
        adapted = lora.with_adapter(base.requires_grad_(False), adapt, 0)
    counting = Counting()
    # transformers looks whether positions begin anew within a row, which it cannot see here; those of ours do not.
    rows_are_whole = patch.object(masking_utils, "find_packed_sequence_indices", return_value=None)
    fused = patch.object(checkpointing, "ATTENTION", {*checkpointing.ATTENTION, COUNTED.attention.default})
    stand_ins = StandIns(card)
    attention = patch.object(nn.functional, "scaled_dot_product_attention", stand_ins.attention)
    with FakeTensorMode(), counting, stand_ins, rows_are_whole, fused, attention:
        _on_fake_memory(adapted)
        yield Fake(adapted, base, counting, stand_ins)


def _with_stand_ins(base: nn.Module) -> None:
    for name, module in list(base.named_modules()):
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in lora.PROJECTIONS:
            base.set_submodule(name, Packed(module))
        elif name.endswith("norm"):
            module.forward = partial(_normed, module)


def _normed(module: Any, x: Tensor) -> Tensor:
    normed: Tensor = COUNTED.norm(x, module.weight)[0]
    return normed


def _on_fake_memory(model: nn.Module) -> None:
    """Put fake tensors in the place of a model's meta tensors; a tied weight stays one."""
    known: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            if id(weight) not in known:
                empty = torch.empty(weight.shape, dtype=weight.dtype)
                known[id(weight)] = nn.Parameter(empty, requires_grad=weight.requires_grad)
            module._parameters[name] = known[id(weight)]
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype)


def train(fake: Fake, tokens: int, level: Level, steps: int = 2) -> None:
    """Steps of test-time training on one row of which every token is learned."""
    weights = [each for each in fake.adapted.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(weights, weight_decay=0.0, fused=True)
    for _ in range(steps):
        gradient(fake, tokens, level)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def gradient(fake: Fake, tokens: int, level: Level) -> None:
    """Forward and backward pass of such a step."""
    checkpointing.set_level(fake.base, level)
    fake.adapted.train()
    ids = torch.zeros(1, tokens, dtype=torch.int64)
    logits = fake.adapted(input_ids=ids, use_cache=False).logits[0, :-1].float()
    loss = nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum") / tokens
    del logits
    loss.backward()


def kept_by_autograd(model: nn.Module, ids: Tensor, learn: Tensor, positions: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass, weights apart; each piece of memory once.

    Of a real model and a real batch, see `model.forward.predictions`.
    """
    weights = {each.untyped_storage().data_ptr() for each in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}
    alive: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        logits, _ = predictions(model, ids, learn, positions)
        assert logits.requires_grad
    return sum(kept.values())
