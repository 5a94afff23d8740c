"""How much memory a model takes for training and for search, from its files' headers, before anything is loaded.

    weights           blocks in NF4 (4 bits, and 8 bits for every 64 weights), the rest in the compute type
    adapter           the LoRA in float32, and embeddings and head likewise where they are trained
    training          gradients and Adam's two moments; activations of the longest training row; its logits
    search            KV cache and the activations of a pass: `search.megabytes`
    reserve           workspaces, fragmentation

Training and search take turns, so the larger of the two counts. All figures are bytes.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from submission.checkpoint.checkpoint import Checkpoint, read_checkpoint
from submission.checkpoint.config_json import Config
from submission.checkpoint.families import TARGETS, Sizes, projection_shapes
from submission.config import Adapt, Settings
from submission.model.search_memory import NODES_PER_PROMPT, TokenBytes

NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight: 4 bits, an 8-bit scale for each 64, a 32-bit one for each 256 of these (arXiv 2305.14314)."""

RESERVE = 0.5e9
"""Bytes that cuBLAS and fragmentation take of what is free on a GPU: an estimate, not measured."""

KERNELS_RESERVE = 0.1e9
"""Bytes more with `model.backend=unsloth`: its kernels keep the space of one 16-bit weight, 94 MB for an 8B."""

CARDS = {"t4": 14.6e9, "l4": 22.0e9, "h100": 79.1e9, "h200": 140.4e9}
"""Bytes that may be used: a T4 has 14.56 GiB, an L4 22.03, others what is here; taken as GB, which leaves 7 %."""

LARGE = 1e8
"""Weights of the blocks above which a model needs a GPU: on a CPU it would take hours for a task."""

SIXTEEN_BITS, FLOAT32 = 2, 4  # Bytes of a number.

Level = Literal["keep", "selective", "recompute"]
"""What training keeps of a block for its backward pass, see `model.checkpointing`. keep: every activation. selective:
outputs of the products with base weights and of attention. recompute: the block's input alone."""

LEVELS: tuple[Level, ...] = get_args(Level)
"""From the fastest to the slowest."""

Device = Literal["cpu", "turing", "ampere"]
"""What a device computes with. ampere: GPUs such as the L4, and later ones: norms are one kernel, query heads share
keys and values. turing: earlier ones such as the T4: keys and values are repeated. cpu: norms in float32."""

DEVICE_OF: dict[str, Device] = {"t4": "turing", "l4": "ampere", "h100": "ampere", "h200": "ampere"}


@dataclass(frozen=True)
class Shape(Sizes):
    """The sizes of a causal language model of the Llama kind, and what else its memory depends on."""

    tied: bool
    """Whether the language head shares the embeddings' weights."""
    quantized: bool
    """Whether the checkpoint is quantized already, whatever `model.four_bit` says."""
    positions: int
    """Longest sequence that the model was made for, in tokens."""
    window: int | None = None
    """Sliding window of attention, in tokens; None for full attention."""
    head_norms: bool = False
    """Whether queries and keys are normalised head by head, as in Qwen3."""
    kept: int = 0
    """Weights of the projections that a quantized checkpoint has in 16 bits: 0 unless its quantization is mixed."""

    @property
    def block_weights(self) -> int:
        """Weights of the seven projections of all blocks: those that are quantized to NF4."""
        each = 2 * self.hidden * (self.queries + self.keys) + 3 * self.hidden * self.intermediate
        return self.blocks * each

    @property
    def end_weights(self) -> int:
        """Weights that are never quantized: embeddings, head and norms."""
        norms = (2 * self.blocks + 1) * self.hidden
        return (1 if self.tied else 2) * self.vocabulary * self.hidden + norms

    def lora_weights(self, adapt: Adapt) -> int:
        """Weights of the LoRA that these settings ask for."""
        shapes = {name.partition(".")[2]: shape for name, shape in projection_shapes(self).items()}
        return adapt.rank * self.blocks * sum(sum(shapes[name]) for name in TARGETS[adapt.targets])

    def whole_weights(self, adapt: Adapt) -> int:
        """Weights of embeddings and head, tied or not, that are trained whole; 0 where they are frozen."""
        return 2 * self.vocabulary * self.hidden if adapt.rank and adapt.ends == "full" else 0


@dataclass(frozen=True)
class MemoryPlan:
    """Peak bytes of each part, see the module's docstring."""

    weights: float
    adapter: float
    optimizer: float
    """Gradients, Adam's moments, and while training a copy of the adapter in the compute type."""
    activations: float
    logits: float
    search: float
    reserve: float
    level: Level
    """What training keeps of each block."""
    tokens: int
    """Tokens in one forward and backward pass, padding included: see `microbatch_tokens`."""

    @property
    def checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass (gradient checkpointing)."""
        return self.level != "keep"

    @property
    def training(self) -> float:
        """Bytes that training takes besides the weights and the adapter."""
        return self.optimizer + self.activations + self.logits

    @property
    def total(self) -> float:
        """Peak bytes of all parts together."""
        return self.weights + self.adapter + max(self.training, self.search) + self.reserve

    def sentence(self) -> str:
        """The plan in one line, in GB."""
        parts = {
            "weights": self.weights, "adapter": self.adapter, "training": self.training, "search": self.search,
            "reserve": self.reserve,
        }  # fmt: skip
        listed = ", ".join(f"{name} {value / 1e9:.2f}" for name, value in parts.items())
        how = {"keep": "without", "selective": "with selective", "recompute": "with"}[self.level]
        return f"{self.total / 1e9:.1f} GB at {self.tokens} tokens {how} checkpointing ({listed})"


def shape_of(model: Path) -> Shape:
    """The sizes of the checkpoint in this folder; BadInput where it cannot be used: see `read_checkpoint`."""
    return shape_of_checkpoint(read_checkpoint(model))


def shape_of_checkpoint(checkpoint: Checkpoint) -> Shape:
    """The sizes of a checkpoint, and which of its projections are quantized already."""
    shape = read_shape(checkpoint.config, checkpoint.quantized)
    blocks = range(shape.blocks)
    kept = sum(
        math.prod(each)
        for name, each in projection_shapes(checkpoint.config.sizes).items()
        for k in blocks
        if f"model.layers.{k}.{name}.weight" not in checkpoint.four_bit
    )
    return replace(shape, kept=kept if checkpoint.quantized else 0)


def is_large(model: Path) -> bool:
    """Whether this model needs a GPU; BadInput where the folder cannot be used."""
    return shape_of(model).block_weights > LARGE


def read_shape(config: Config, quantized: bool) -> Shape:
    """The sizes in a config; `quantized`: whether the weights are."""
    return Shape(
        **asdict(config.sizes),
        tied=config.tied,
        quantized=quantized,
        positions=config.positions,
        window=config.window,
        head_norms=bool(config.family.head_norms),
    )


def plan(
    shape: Shape, settings: Settings, width: int, tokens: int, level: Level, device: Device = "cpu"
) -> MemoryPlan:  # fmt: skip
    """What a model of this shape takes with these settings at a level of gradient checkpointing.

    `width`: bytes of a number of the compute type. `tokens`: those of one training pass, see `microbatch_tokens`. Where
    `adapt.rank` is 0 nothing is trained.
    """
    adapt, four_bit = settings.adapt, settings.model.four_bit or shape.quantized
    lora, whole = shape.lora_weights(adapt), shape.whole_weights(adapt)
    kernels = settings.model.backend == "unsloth"
    dense = shape.block_weights * width
    merged = 2 * dense if four_bit and dense <= settings.model.dense_megabytes * 1e6 else 0
    # Ends that are trained have no weights in the compute type.
    frozen_ends = shape.end_weights - (whole // 2 if shape.tied else whole)
    head_width = FLOAT32 if whole else width
    token, context = TokenBytes.of_sizes(shape, width), settings.model.context
    one_prompt = context * token.kv + token.one_prompt(context, NODES_PER_PROMPT)
    packed = (shape.block_weights - shape.kept) * NF4 + shape.kept * width
    return MemoryPlan(
        weights=(packed if four_bit else dense) + frozen_ends * width + merged,
        adapter=FLOAT32 * (lora + whole),
        optimizer=(3 * FLOAT32 + width) * lora + 3 * FLOAT32 * whole,
        activations=activations(shape, adapt.rank, width, tokens, level, device, kernels) if adapt.rank else 0.0,
        # Logits and their gradient, in float32 where the head is; a float32 copy, its log-softmax, and the gradient of
        # that. Every token may carry loss.
        logits=tokens * shape.vocabulary * (2 * head_width + 3 * FLOAT32) if adapt.rank else 0.0,
        search=max(settings.search.megabytes * 1e6, float(one_prompt)),
        reserve=RESERVE + (KERNELS_RESERVE if kernels else 0),
        level=level,
        tokens=tokens,
    )


def microbatch_tokens(settings: Settings, longest: int) -> int:
    """Tokens in one training pass whose longest row has `longest` tokens: see `test_time_training.backward`.

    Rows are padded to multiples of 32.
    """
    rows = max(1, min(settings.adapt.batch, settings.adapt.tokens // max(1, longest)))
    return -(-longest // 32) * 32 * rows


def activations(
    shape: Shape, rank: int, width: int, tokens: int, level: Level, device: Device = "cpu", kernels: bool = False
) -> float:  # fmt: skip
    """Bytes kept for the backward pass of `tokens` tokens: those of every block at this level, and one block whole.

    `kernels`: by `model.unsloth_kernels`, not as in `lora.fuse`.
    """
    hidden, inner = shape.hidden, shape.intermediate
    block = kernel_block(shape, width) if kernels else native_block(shape, rank, width, device)
    each = {"keep": block, "selective": selective_block(shape, width), "recompute": hidden * width}[level]
    # The block that is gone through again keeps everything, and gives up what it had kept.
    kept = (shape.blocks - 1) * each + block
    # The final norm, and the gradient that flows back through the widest layer.
    return float(tokens * (kept + FLOAT32 * hidden + 2 * width * inner))


def native_block(shape: Shape, rank: int, width: int, device: Device = "cpu") -> int:
    """Bytes that a block keeps of a token.

    Counted of a Llama block with a LoRA as in `lora.fuse`. In the compute type: the inputs of the adapted projections
    and the LoRA's inner products; queries, keys, values and output of attention; three products of the gated MLP. The
    inputs of the two norms: in float32 on a CPU, in the compute type where a norm is one kernel. Tests compare it with
    what autograd really keeps, and with models of true size (`tests/support/counted.py`).
    """
    hidden, inner, queries, keys = shape.hidden, shape.intermediate, shape.queries, shape.keys
    norms = FLOAT32 if device == "cpu" else width
    # On the T4 keys and values are kept at the queries' width, as they are repeated for each query head.
    attention = {"cpu": 4 * queries + 2 * keys, "turing": 5 * queries, "ampere": 3 * queries + 2 * keys}[device]
    block = norms * 2 * hidden + width * (2 * hidden + inner + 7 * rank + attention + 3 * inner)
    block += FLOAT32 * (shape.heads + 2) if device != "cpu" else 0
    if shape.head_norms:
        block += norms * (queries + keys)
    return block


def selective_block(shape: Shape, width: int) -> int:
    """Bytes that a block keeps of a token with selective checkpointing: its input, and what is not computed again.

    The outputs of the seven projections and of attention in the compute type, and a float32 for each query head.
    """
    outputs = 2 * shape.queries + 2 * shape.keys + 2 * shape.hidden + 2 * shape.intermediate
    return width * (shape.hidden + outputs) + FLOAT32 * shape.heads


def kernel_block(shape: Shape, width: int) -> int:
    """Bytes that a block keeps of a token with `model.unsloth_kernels`; a test holds it against autograd.

    In the compute type: inputs and outputs of the two norms; queries, keys, values and output of attention, keys and
    values at the queries' width, as the T4 repeats them for each query head; two products of the gated MLP. In float32:
    a number for each norm and query head. Norms of heads keep their inputs, and a number for each head.
    """
    block = width * (4 * shape.hidden + 4 * shape.queries + 2 * shape.intermediate) + FLOAT32 * (2 + shape.heads)
    if shape.head_norms:
        block += width * (shape.queries + shape.keys) + FLOAT32 * (shape.heads + shape.key_heads)
    return block


def choose_plan(
    shape: Shape, settings: Settings, width: int, longest: int, budget_bytes: float, device: Device = "cpu"
) -> MemoryPlan:  # fmt: skip
    """The plan for training rows of at most `longest` tokens, with checkpointing as `adapt.checkpointing` says.

    auto: the fastest level that fits into the budget. The plan may exceed the budget: the caller has to compare.
    """
    tokens = microbatch_tokens(settings, longest)
    for level in levels_of(settings):
        made = plan(shape, settings, width, tokens, level, device)
        if made.training <= training_budget(made, budget_bytes):
            break
    return made


def levels_of(settings: Settings) -> tuple[Level, ...]:
    """The levels that the settings allow, from the fastest on.

    unsloth's kernels keep what they need themselves: between their products there is nothing to select.
    """
    match settings.adapt.checkpointing:
        case "auto" if settings.model.backend == "native":
            return LEVELS
        case "auto":
            return ("keep", "recompute")
        case told:
            named: dict[str, Level] = {"off": "keep", "selective": "selective", "on": "recompute"}
            return (named[told],)


def training_budget(made: MemoryPlan, budget_bytes: float) -> float:
    """Bytes of the budget that weights, adapter and reserve leave to training."""
    return budget_bytes - made.weights - made.adapter - made.reserve


def longest_row(
    shape: Shape, settings: Settings, width: int, budget_bytes: float, device: Device = "cpu"
) -> int:  # fmt: skip
    """Tokens of the longest training row that fits into the budget, at most `model.context`; 0 where none does."""
    low, high = 0, settings.model.context
    while low < high:
        middle = (low + high + 1) // 2
        made = choose_plan(shape, settings, width, middle, budget_bytes, device)
        low, high = (middle, high) if made.training <= training_budget(made, budget_bytes) else (low, middle - 1)
    return low
