"""Settings of a training on many tasks: from scratch (`Pretraining`) or of a large base (`FineTuning`)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

from submission.errors import require


class TrainingFailed(ArithmeticError):
    """A training that cannot go on; its message is a sentence for the user."""


@dataclass(frozen=True)
class Training:
    """What both trainings have; BadInput for a value that cannot be used."""

    minutes: float = math.inf
    """Wall time of this call."""
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
    workers: int = 0
    """Processes that make batches ahead of their use; 0 to make them between the steps, for 0.2 % of a CPU's time."""

    def __post_init__(self) -> None:
        require(self.minutes > 0, "--minutes must be above 0")
        require(self.minutes < math.inf or self.steps > 0, "a training needs an end: --minutes or --steps")
        require(self.first_learned in (0, 1), "--first-learned must be 0 or 1")
        require(0 <= self.new_rules <= 1, "--new-rules must lie between 0 and 1")
        require(0 < self.anneal <= 1, "--anneal must lie above 0 and at most at 1")
        for name in ("rate", "other_rate"):
            require(0 < asdict(self)[name] < math.inf, f"--{name.replace('_', '-')} must be above 0 and finite")
        for name, least in {"steps": 0, "tokens": 1, "limit": 1, "warmup": 1, "workers": 0}.items():
            require(asdict(self)[name] >= least, f"--{name} must be at least {least}")

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
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What products are computed in, with the weights in float32; auto measures on a CPU which is faster."""
    compiled: bool = False
    """Whether the blocks go through torch.compile: a fifth more tokens a second on a CPU, after a minute or two at the
    start; it needs a C++ compiler."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.hidden > 0 and self.hidden % 64 == 0, "--hidden must be a multiple of 64")
        require(self.layers >= 1, "--layers must be at least 1")
        require(0 <= self.decay < math.inf, "--decay must be at least 0 and finite")

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

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.rank >= 1, "--rank must be at least 1")
        require(0 < self.alpha < math.inf, "--alpha must be above 0 and finite")
