"""How much memory a model takes to be trained and searched, from its config.json alone, before anything is loaded.

    weights           blocks in NF4 (4 bits, and 8 bits for every 64 weights), ends and norms in what is computed in
    adapter           the LoRA in float32, and its first state, kept to forget by
    training          gradients and Adam's two moments; activations of the longest row; its logits
    search            keys and values of prompts and answers, and what a pass works with: `search.megabytes`
    reserve           the device's own context, workspaces, fragmentation

Training and search follow each other, so the larger of the two counts. All figures are bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submission.config import Settings, require_model_folder
from submission.errors import BadInput

NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes a weight: 4 bits, a scale of 8 bits for each 64, and one of 32 bits for each 256 of these (QLoRA)."""

RESERVE = 0.8e9
"""What CUDA, cuBLAS and fragmentation take of a GPU: a guess, on the safe side."""

CARDS = {"t4": 14.6e9, "l4": 22.0e9}
"""Usable memory of Kaggle's GPUs: a T4 has 14.56 GiB and an L4 22.03 GiB, taken as GB: a margin."""

LARGE = 1e8
"""Weights of the blocks from which on a model is none for a CPU: it would take hours for a task."""

SIXTEEN_BITS, FLOAT32 = 2, 4


@dataclass(frozen=True)
class Shape:
    """The size of a causal language model of the Llama kind, as its config.json tells it."""

    hidden: int
    intermediate: int
    blocks: int
    heads: int
    key_heads: int
    head: int
    """Channels of one head."""
    vocabulary: int
    tied: bool
    """Whether the head is the embeddings."""
    quantized: bool
    """Whether the checkpoint is in 4 bits already, whatever `model.four_bit` says."""
    positions: int
    """Tokens that the model was made for."""
    window: int | None = None
    """Tokens that attention looks back, if not all of them."""
    head_norms: bool = False
    """Whether queries and keys are normalised head by head, as in Qwen3."""

    @property
    def queries(self) -> int:
        """Channels of all queries of a token."""
        return self.heads * self.head

    @property
    def keys(self) -> int:
        """Channels of all keys of a token, and of all its values."""
        return self.key_heads * self.head

    @property
    def block_weights(self) -> int:
        """Weights of the seven projections of all blocks: those that are quantized."""
        each = 2 * self.hidden * (self.queries + self.keys) + 3 * self.hidden * self.intermediate
        return self.blocks * each

    @property
    def end_weights(self) -> int:
        """Weights that stay in 16 bits: embeddings, head and norms."""
        norms = (2 * self.blocks + 1) * self.hidden
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + norms

    def lora_weights(self, rank: int, ends: bool) -> int:
        """Weights of a LoRA on the seven projections, and on embeddings and head."""
        pairs = 2 * (self.hidden + self.queries) + 2 * (self.hidden + self.keys) + 3 * (self.hidden + self.intermediate)
        return rank * (self.blocks * pairs + (2 * (self.hidden + self.vocabulary) if ends else 0))


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes that each part takes at its most."""

    weights: float
    adapter: float
    optimizer: float
    """Gradients and moments, and the adapter in what is computed in, while training."""
    activations: float
    logits: float
    search: float
    reserve: float
    checkpointing: bool
    tokens: int
    """Of the longest row that is planned for, padding included."""

    @property
    def training(self) -> float:
        """What training takes beside the weights and the adapter."""
        return self.optimizer + self.activations + self.logits

    @property
    def total(self) -> float:
        """The peak."""
        return self.weights + self.adapter + max(self.training, self.search) + self.reserve

    def sentence(self) -> str:
        """The plan in one line, in GB."""
        parts = {
            "weights": self.weights, "adapter": self.adapter, "training": self.training, "search": self.search,
            "reserve": self.reserve,
        }  # fmt: skip
        told = ", ".join(f"{name} {value / 1e9:.2f}" for name, value in parts.items())
        how = "with" if self.checkpointing else "without"
        return f"{self.total / 1e9:.1f} GB at {self.tokens} tokens {how} checkpointing ({told})"


def shape_of(model: Path) -> Shape:
    """The size of the checkpoint in this folder; BadInput where its config.json does not tell it."""
    require_model_folder(model)
    try:
        config: Mapping[str, Any] = json.loads((model / "config.json").read_text())
        return read_shape(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{model}: its config.json does not tell the size of a model ({error!r})") from None


def is_large(model: Path) -> bool:
    """Whether this is a model for GPUs; a folder that does not tell is not."""
    try:
        return shape_of(model).block_weights > LARGE
    except BadInput:
        return False


def read_shape(config: Mapping[str, Any]) -> Shape:
    """The size in a config of transformers; KeyError where it lacks a figure."""
    heads = int(config["num_attention_heads"])
    head = config.get("head_dim") or config["hidden_size"] // heads
    return Shape(
        hidden=int(config["hidden_size"]),
        intermediate=int(config["intermediate_size"]),
        blocks=int(config["num_hidden_layers"]),
        heads=heads,
        key_heads=int(config.get("num_key_value_heads") or heads),
        head=int(head),
        vocabulary=int(config["vocab_size"]),
        tied=bool(config.get("tie_word_embeddings", False)),
        quantized="quantization_config" in config,
        positions=int(config.get("max_position_embeddings", 1 << 30)),
        window=config.get("sliding_window") if config.get("use_sliding_window", True) else None,
        head_norms=str(config.get("model_type", "")).startswith("qwen3"),
    )


def plan(shape: Shape, settings: Settings, width: int, tokens: int, checkpointing: bool) -> MemoryPlan:
    """What a model of this shape takes with these settings, computing in numbers of `width` bytes.

    `tokens` go through the model at a time in training: see `at_once`. Where `adapt.rank` is 0 nothing is trained.
    """
    adapt, four_bit = settings.adapt, settings.model.four_bit or shape.quantized
    lora = shape.lora_weights(adapt.rank, adapt.ends)
    dense = shape.block_weights * width
    twin = 2 * dense if four_bit and not adapt.ends and dense <= settings.model.dense_megabytes * 1e6 else 0
    slots = settings.model.context * key_bytes(shape, width)
    return MemoryPlan(
        weights=shape.block_weights * (NF4 if four_bit else width) + shape.end_weights * width + twin,
        adapter=2 * FLOAT32 * lora,
        optimizer=(3 * FLOAT32 + width) * lora,
        activations=activations(shape, adapt.rank, width, tokens, checkpointing) if adapt.rank else 0.0,
        # In the width of the rest, in float32, and in float32 again for the loss's gradient; all tokens may be learned.
        logits=tokens * shape.vocabulary * (2 * width + 3 * FLOAT32) if adapt.rank else 0.0,
        search=max(settings.search.megabytes * 1e6, float(slots)),
        reserve=RESERVE,
        checkpointing=checkpointing,
        tokens=tokens,
    )


def at_once(settings: Settings, longest: int) -> int:
    """Tokens that training takes memory for at a time, where the longest row has so many: see `finetune.backward`."""
    rows = max(1, min(settings.adapt.batch, settings.adapt.tokens // max(1, longest)))
    return -(-longest // 32) * 32 * rows


def key_bytes(shape: Shape, width: int) -> int:
    """Keys and values of one token in all blocks."""
    return 2 * shape.blocks * shape.keys * width


def activations(shape: Shape, rank: int, width: int, tokens: int, checkpointing: bool) -> float:
    """What the backward pass keeps of so many tokens: of every block; or its input, and the whole of one block.

    Counted per token off the Llama block with a LoRA as in `merging.fuse`: the two norms keep float32; the adapted
    projections their inputs and the LoRA's inner products; attention its queries, keys, values and output; the gated
    layer three products.
    `tests/test_memory.py` holds the count against what autograd really keeps.
    """
    hidden, inner, queries, keys = shape.hidden, shape.intermediate, shape.queries, shape.keys
    # Keys and values once more at the queries' width: GPUs without FlashAttention repeat them for each query head.
    block = FLOAT32 * 2 * hidden + width * (2 * hidden + inner + 7 * rank + 4 * queries + 2 * keys + 3 * inner)
    if shape.head_norms:
        block += FLOAT32 * (queries + keys)
    kept = shape.blocks * hidden * width + block if checkpointing else shape.blocks * block
    # The final norm, and the gradient that flows back through the widest layer.
    return float(tokens * (kept + FLOAT32 * hidden + 2 * width * inner))


def planned(shape: Shape, settings: Settings, width: int, longest: int, room: float) -> MemoryPlan:
    """The plan that `adapt.checkpointing` means for rows of at most so many tokens in so many bytes.

    auto: without, wherever that fits. The plan may be larger than the room: the caller says what follows.
    """
    tokens = at_once(settings, longest)
    made = plan(shape, settings, width, tokens, settings.adapt.checkpointing == "on")
    if settings.adapt.checkpointing == "auto" and made.training > room_to_train(made, room):
        return plan(shape, settings, width, tokens, True)
    return made


def room_to_train(made: MemoryPlan, room: float) -> float:
    """What training may take beside the weights, the adapter and the reserve."""
    return room - made.weights - made.adapter - made.reserve


def longest_row(shape: Shape, settings: Settings, width: int, room: float) -> int:
    """Tokens of the longest row that fits, checkpointing as the settings say; 0 where none does."""
    low, high = 0, settings.model.context
    while low < high:
        middle = (low + high + 1) // 2
        made = planned(shape, settings, width, middle, room)
        low, high = (middle, high) if made.training <= room_to_train(made, room) else (low, middle - 1)
    return low
