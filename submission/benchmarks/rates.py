"""The rates of a worker, in tokens per second: training, prefill, forward passes.

They are stated for an 8B on Kaggle's GPUs, from a roofline model, and measured for a small model on this machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from submission.arc.layouts import CHAT16, Layout
from submission.arc.prompts import Prompt, Row
from submission.config import Settings
from submission.model.memory_plan import LEVELS, Level, Shape
from submission.rng import generator


@dataclass(frozen=True)
class Rates:
    """The speed of one worker."""

    training: float
    """Tokens per second of training steps that keep their activations."""
    selective: float
    """The same with selective checkpointing."""
    recomputing: float
    """The same where all activations of the blocks are recomputed."""
    prefill: float
    """Tokens per second of prompts, and of drafts in large passes."""
    pass_seconds: float
    """Seconds of a forward pass over a few tokens, whatever their number."""
    loading: float
    """Seconds until a worker has loaded its model."""
    source: str
    """Where these figures come from."""

    def training_at(self, level: Level) -> float:
        """Tokens per second of training steps at a level of checkpointing."""
        return {"keep": self.training, "selective": self.selective, "recompute": self.recomputing}[level]


SHAPE_8B = Shape(4096, 11520, 40, 32, 8, 128, vocabulary=78, tied=False, quantized=True, positions=8192)
"""Mistral-NeMo-Minitron-8B with the Architects' vocabulary: the model of the stated rates and of the recipe poe."""

SHAPES = {
    "poe": SHAPE_8B,
    "nvarc": Shape(2560, 9728, 36, 32, 8, 128, vocabulary=16, tied=True, quantized=False, positions=8192,
                   head_norms=True),
    "ttt": Shape(4096, 14336, 32, 32, 8, 128, vocabulary=75, tied=False, quantized=False, positions=8192),
}  # fmt: skip
"""The models of the recipes: Minitron 8B, Qwen3 4B, and Llama-3 8B with its vocabulary cut to layout numpy."""

NUMPY_LENGTHS = Layout(
    name="numpy", cells=tuple(range(15, 25)), cell_gap=(220,), row_gap=(933, 510), opening=(0,) * 50,
    input_open=(0,), input_to_output=(0,) * 3, output_close=(0,) * 2, context_close=(0,) * 2, query_open=(0,) * 6,
    query_to_answer=(0,) * 7, answer_close=(0,) * 3, pad=0,
)  # fmt: skip
"""The layout numpy with fragments about as long as Llama 3's: to count tokens without its tokenizer."""

LAYOUTS_OF = {"poe": CHAT16, "nvarc": CHAT16, "ttt": NUMPY_LENGTHS}
"""Recipe -> a layout with as many tokens a task as its own."""

EFFICIENCY = 0.6
"""Share of the roofline rates that is expected: programs reach 50 to 70 % of this upper bound."""

_ROOFLINE = "a roofline model of an 8B in NF4, at 60 % of its rates; measured on no GPU"

SELECTIVE, RECOMPUTING = 1.1, 1.4
"""Seconds of a step with checkpointing, in those of a step without. The products with base weights are three quarters
of a step, a third of them forward; what selective checkpointing computes again is a third of the remaining quarter."""

_TRAINING = {"t4": EFFICIENCY * 64 * 1427 / 130, "l4": EFFICIENCY * 64 * 1427 / 58}

STATED = {
    # The roofline: 64 rows of 1427 tokens, the mean of the ARC-AGI-1 evaluation tasks, in 130 s (T4) and 58 s (L4)
    # without recomputing; prompts at 1550 and 3460 tokens per second; 130 ms for a pass that has to dequantize the
    # weights.
    "t4": Rates(
        _TRAINING["t4"], _TRAINING["t4"] / SELECTIVE, _TRAINING["t4"] / RECOMPUTING, EFFICIENCY * 1550,
        0.130 / EFFICIENCY, 60.0, _ROOFLINE,
    ),
    "l4": Rates(
        _TRAINING["l4"], _TRAINING["l4"] / SELECTIVE, _TRAINING["l4"] / RECOMPUTING, EFFICIENCY * 3460,
        0.130 / EFFICIENCY, 60.0, _ROOFLINE,
    ),
}  # fmt: skip
"""Rates of an 8B on Kaggle's GPUs."""


def stated(card: str, shape: Shape) -> Rates:
    """Return the stated rates of a GPU of Kaggle's, scaled by the number of weights from an 8B to this shape."""
    of, part = STATED[card], shape.block_weights / SHAPE_8B.block_weights
    return Rates(
        of.training / part, of.selective / part, of.recomputing / part, of.prefill / part, of.pass_seconds * part,
        of.loading, of.source,
    )  # fmt: skip


def measured(model: Path, settings: Settings, length: int, seed: int = 0) -> Rates:
    """Measure a small model here: some steps on random rows of `length` tokens, prefill, and single tokens."""
    from submission.arc.views import identity
    from submission.deadline import NEVER
    from submission.inference.language_model import LanguageModel
    from submission.inference.test_time_training import finetune
    from submission.model.checkpointing import set_level
    from submission.solver.engine import Question

    began = time.monotonic()
    engine = LanguageModel(model, settings, seed)
    loading, layout = time.monotonic() - began, engine.layout
    rng = generator(seed, "plan")
    rows = [random_row(layout, length, rng) for _ in range(3 * settings.adapt.batch)]
    training: dict[Level, float] = {}
    for level in LEVELS:
        set_level(engine.base, level)
        fit = finetune(engine.model, layout, rows, settings.adapt, NEVER, rng) if settings.adapt.rank else None
        training[level] = sum(len(each.ids) for each in rows) / fit.seconds if fit else float("inf")
    set_level(engine.base, "keep")
    engine.forget()
    questions = [Question(identity(1), Prompt(each.ids, 0)) for each in rows[:4]]
    with engine.inference(questions) as inference:
        began = time.monotonic()
        inference.forest.evaluate({k: [()] for k in range(len(questions))}, NEVER)
        prefill = sum(len(each.prompt.ids) for each in questions) / (time.monotonic() - began)
        began, tokens = time.monotonic(), 20
        for n in range(1, tokens + 1):
            inference.forest.evaluate({0: [(layout.cells[0],) * n]}, NEVER)
        pass_seconds = (time.monotonic() - began) / tokens
    source = f"measured here on rows of {length} tokens"
    keep, selective, recompute = (training[level] for level in LEVELS)
    return Rates(keep, selective, recompute, prefill, pass_seconds, loading, source)


def random_row(layout: Layout, length: int, rng: np.random.Generator) -> Row:
    """Return a training row of random cells; the second half counts in the loss."""
    ids = rng.choice(np.array(layout.cells, np.int64), length)
    ids[0] = (layout.opening or layout.input_open)[0]
    return Row(ids, np.arange(length) >= length // 2)
