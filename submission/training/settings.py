"""Settings of a training on many tasks: from scratch (`Pretraining`) or of a large base (`FineTuning`)."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal

from submission.config import _require


@dataclass(frozen=True)
class Training:
    """A training on many tasks, of whatever kind; see `training`."""

    minutes: float = math.inf
    """Wall time of this call, the anneal included."""
    steps: int = 0
    """Steps of this call, the anneal included; 0 for as many as the minutes allow."""
    tokens: int = 6144
    """Tokens a step, padding included."""
    limit: int = 768
    """Tokens a row."""
    first_learned: int = 1
    """The first pair of a row whose output counts in the loss: 0 or 1."""
    new_rules: float = 0.3
    """Share of the rows that follow a rule made from a known one, see `rules`."""
    warmup: int = 60
    """Steps of linear warm-up."""
    anneal: float = 0.3
    """Last share of the call, in which the rates fall linearly to zero."""
    rate: float = 0.02
    """The learning rate of the blocks' matrices."""
    other_rate: float = 0.003
    """The learning rate of what is not in a block: embeddings and head."""
    seed: int = 0
    """Of the first weights and of the rows."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the model is trained; the rows are made on the CPU."""
    workers: int = 0
    """Processes that make rows; with 0 they are made between the steps, which a CPU does not notice."""

    def __post_init__(self) -> None:
        _require(self.minutes > 0, "--minutes must be above 0")
        _require(self.minutes < math.inf or self.steps > 0, "a training needs an end: --minutes or --steps")
        _require(self.first_learned in (0, 1), "--first-learned must be 0 or 1")
        _require(0 <= self.new_rules <= 1, "--new-rules must lie between 0 and 1")
        _require(0 < self.anneal <= 1, "--anneal must lie above 0 and at most at 1")
        for name in ("rate", "other_rate"):
            _require(0 < asdict(self)[name] < math.inf, f"--{name.replace('_', '-')} must be above 0 and finite")
        for name, least in {"steps": 0, "tokens": 1, "limit": 1, "warmup": 1, "workers": 0}.items():
            _require(asdict(self)[name] >= least, f"--{name} must be at least {least}")

    @property
    def layout(self) -> str:
        """How rows are written, see `layouts.NAMED`."""
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
    """Weight decay of the matrices."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """What products are computed in, with the weights in float32; auto: on a CPU what a measurement finds faster."""
    compiled: bool = False
    """Whether the blocks go through torch.compile, which needs a C++ compiler and a minute at the start."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.hidden > 0 and self.hidden % 64 == 0, "--hidden must be a multiple of 64")
        _require(self.layers >= 1, "--layers must be at least 1")
        _require(0 <= self.decay < math.inf, "--decay must not be negative")

    @property
    def layout(self) -> str:
        """How rows are written, see `layouts.NAMED`."""
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
        _require(self.rank >= 1, "--rank must be at least 1")
        _require(0 < self.alpha < math.inf, "--alpha must be above 0 and finite")
