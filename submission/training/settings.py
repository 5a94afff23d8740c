"""Settings of a training on many tasks: from scratch (`Pretraining`) or of a large base (`FineTuning`)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from submission.errors import MOST_SECONDS, SEED, Range, require

_LARGE = Range(0, 1e38, above=True)
"""Up to the largest power of ten that float32 holds."""

RANGES = {
    "minutes": Range(0, MOST_SECONDS // 60, above=True), "steps": Range(0, 1_000_000_000),
    "tokens": Range(1, 100_000_000), "limit": Range(1, 1_000_000), "first_learned": Range(0, 1),
    "new_rules": Range(0, 1), "warmup": Range(1, 1_000_000_000), "anneal": Range(0, 1, above=True), "rate": _LARGE,
    "other_rate": _LARGE, "seed": SEED, "workers": Range(0, 1024), "hidden": Range(64, 65_536),
    "layers": Range(1, 1024), "decay": Range(0, 1e38), "rank": Range(1, 65_536), "alpha": _LARGE,
}  # fmt: skip
"""Every number among the settings -> its range."""


class TrainingFailed(ArithmeticError):
    """A training that cannot go on; its message is a sentence for the user."""


@dataclass(frozen=True)
class Training:
    """What both trainings have; BadInput for a value that cannot be used."""

    minutes: float = math.inf
    """Wall time of this call; infinity for as long as the steps take."""
    steps: int = 0
    """Steps of this call; 0 for as many as the minutes allow."""
    tokens: int = 6144
    """Tokens a step, padding included."""
    limit: int = 768
    """Tokens a row, at most."""
    first_learned: int = 1
    """The first pair of a row whose output counts in the loss: 0 or 1."""
    new_rules: float = 0.3
    """Share of the rows whose rule is changed, see `rule_augmentation`."""
    warmup: int = 60
    """Steps of linear warm-up."""
    anneal: float = 0.3
    """Last share of the call, in which the learning rates fall linearly to zero."""
    rate: float = 0.02
    """The learning rate of the blocks' matrices."""
    other_rate: float = 0.003
    """The learning rate of embeddings, head and norms."""
    seed: int = 0
    """Of the first weights and of the rows."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the model is trained; rows are made on the CPU."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What products are computed in, with the trained weights in float32; auto measures on a CPU which is faster."""
    workers: int = 0
    """Processes that make batches ahead of their use; 0 to make them between the steps, for 0.2 % of a CPU's time."""

    def __post_init__(self) -> None:
        require(self.minutes < math.inf or self.steps > 0, "a training needs an end: --minutes or --steps")
        for name, allowed in RANGES.items():
            if hasattr(self, name) and not (name == "minutes" and self.minutes == math.inf):
                allowed.require(f"--{name.replace('_', '-')}", getattr(self, name))

    @property
    def layout(self) -> str:
        """The layout of the rows, a key of `layouts.NAMED`."""
        return "chat16"


@dataclass(frozen=True)
class Pretraining(Training):
    """A training from scratch: Muon for the blocks' matrices, AdamW for embeddings, head and norms."""

    hidden: int = 256
    """Channels; a multiple of 64."""
    layers: int = 6
    """Blocks."""
    positions: Literal["grid", "line"] = "grid"
    """Rotary positions: (segment, row, column), or one running number."""
    decay: float = 0.01
    """Weight decay of the blocks' matrices."""
    compiled: bool = False
    """Whether the blocks go through torch.compile: a fifth more tokens a second on a CPU, after a minute or two at the
    start; it needs a C++ compiler."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.hidden % 64 == 0, "--hidden must be a multiple of 64")

    @property
    def layout(self) -> str:
        """The layout of the rows, a key of `layouts.NAMED`."""
        return "grid16" if self.positions == "grid" else "chat16"


@dataclass(frozen=True)
class FineTuning(Training):
    """A fine-tuning of a large base: AdamW for a LoRA on its blocks, and for embeddings and head."""

    rate: float = 1e-4
    """The learning rate of the LoRA."""
    other_rate: float = 1e-5
    """The learning rate of embeddings and head."""
    rank: int = 256
    """LoRA rank on all seven projections of each block."""
    alpha: float = 32.0
    """The LoRA product is scaled by alpha / sqrt(rank)."""
    four_bit: bool = True
    """The frozen blocks in NF4 (QLoRA), or in 16 bits."""
    checkpointing: Literal["on", "off"] = "on"
    """Recompute activations in the backward pass: less memory, a third more time."""
    backend: Literal["native", "unsloth"] = "native"
    """What the blocks are trained with: torch, or unsloth's kernels, see `model.unsloth_kernels` (CUDA only)."""
