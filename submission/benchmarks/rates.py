"""The rates of a worker, in tokens per second: training, prefill, forward passes.

They are stated for large models on GPUs, from a roofline model (`roofline`), and measured for a small model on this
machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from submission.arc.layouts import CHAT16, Layout
from submission.arc.prompts import Prompt, Row
from submission.benchmarks.roofline import (
    CARDS,
    attention_flops,
    dequantizing_bytes,
    forward_flops,
    pass_seconds,
    search_pass_seconds,
    step_flops,
    step_launch_seconds,
)
from submission.config import Settings
from submission.deadline import NEVER, Deadline
from submission.model.memory_plan import LEVELS, Level, Shape
from submission.rng import generator

if TYPE_CHECKING:
    from submission.inference.language_model import LanguageModel


@dataclass(frozen=True)
class Rates:
    """The speed of one worker."""

    training: float
    """Tokens per second of training steps that keep their activations, the part of attention apart."""
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
    attention: float = 0.0
    """Seconds of attention's forward pass for a token, for each token of its row; 0: the other rates include it."""
    search_pass_seconds: float = 0.0
    """Seconds of a pass of the search; 0: `pass_seconds`."""
    least_step: float = 0.0
    """Seconds that a training step takes at least, however few its tokens."""

    def training_at(self, level: Level) -> float:
        """Tokens per second of training steps at a level of checkpointing."""
        return {"keep": self.training, "selective": self.selective, "recompute": self.recomputing}[level]

    def training_seconds(self, tokens: int, steps: int, row: float, level: Level) -> float:
        """Seconds of so many steps over so many tokens, in rows of `row` tokens on average."""
        attention = ATTENTION_IN_A_STEP[level] * self.attention * row
        return max(steps * self.least_step, tokens * (1 / self.training_at(level) + attention))

    def search_seconds(self, passes: float) -> float:
        """Seconds of so many passes of the search."""
        return passes * (self.search_pass_seconds or self.pass_seconds)

    def prefill_seconds(self, tokens: int, row: float) -> float:
        """Seconds of the prefill of prompts of `row` tokens on average."""
        return tokens * (1 / self.prefill + self.attention * row)


ATTENTION_IN_A_STEP: dict[Level, float] = {"keep": 3.5, "selective": 3.5, "recompute": 4.5}
"""Attention in a training step, in that of a forward pass, see `roofline.step_flops`."""

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
"""Share of the roofline rates that is expected: programs reach 50 to 70 % of this upper bound. Norms, gates, residuals
and other passes over activations are in it."""

_ROOFLINE = "a roofline model at 60 % of its rates; measured on no GPU"

SELECTIVE = 1.1
"""Seconds of a step with selective checkpointing, in those of a step without. The products with base weights are three
quarters of a step; what selective checkpointing computes again is about a third of the remaining quarter."""

STEP_TOKENS = 1427
"""Tokens of a step over which the dequantization of the weights is spread: the mean row of the ARC-AGI-1 evaluation
tasks."""

LOADING_SECONDS = 60.0


def stated(card: str, shape: Shape, settings: Settings | None = None) -> Rates:
    """Return the rates of a model of this shape on a kind of GPU, from the roofline model.

    Weights are in 4 bits if the checkpoint or the settings say so; `settings` None: the defaults.
    """
    settings = settings or Settings()
    of, adapt, four_bit = CARDS[card], settings.adapt, settings.model.four_bit or shape.quantized
    dequantizing = dequantizing_bytes(shape) / of.bandwidth / STEP_TOKENS if four_bit else 0.0

    def training(level: Level) -> float:
        times = 3 if level == "recompute" else 2
        return EFFICIENCY / (step_flops(shape, adapt, 0, level) / of.flops + times * dequantizing)

    return Rates(
        training=training("keep"),
        selective=training("keep") / SELECTIVE,
        recomputing=training("recompute"),
        prefill=EFFICIENCY * of.flops / forward_flops(shape, adapt, 0),
        pass_seconds=pass_seconds(shape, of, four_bit, EFFICIENCY),
        search_pass_seconds=search_pass_seconds(shape, of, four_bit, EFFICIENCY, settings.search.views),
        loading=LOADING_SECONDS,
        source=_ROOFLINE,
        attention=attention_flops(shape, 0.5) / of.flops / EFFICIENCY,
        least_step=step_launch_seconds(shape, "keep"),
    )


def measured(model: Path, settings: Settings, length: int, seed: int = 0) -> Rates:
    """Measure a small model here: some steps on random rows of `length` tokens, prefill, and single tokens."""
    from submission.inference.language_model import LanguageModel

    began = time.monotonic()
    engine = LanguageModel(model, settings, seed)
    loading = time.monotonic() - began
    rng = generator(seed, "plan")
    rows = [random_row(engine.layout, length, rng) for _ in range(3 * settings.adapt.batch)]
    training = {level: training_rate(engine, rows, level, NEVER) for level in LEVELS}
    prefill, pass_seconds = inference_rates(engine, rows[:4], NEVER)
    source = f"measured here on rows of {length} tokens"
    keep, selective, recompute = (training[level] for level in LEVELS)
    return Rates(keep, selective, recompute, prefill, pass_seconds, loading, source)


def training_rate(engine: LanguageModel, rows: Sequence[Row], level: Level, until: Deadline) -> float:
    """Tokens per second of a training on these rows at a level of checkpointing; infinite where nothing is trained.

    NaN where the time is over before the last row. What is learned is forgotten, and the level is back at "keep".
    """
    import torch

    from submission.inference.test_time_training import finetune
    from submission.model.checkpointing import set_level

    adapt = engine.settings.adapt
    if not adapt.rank:
        return math.inf
    set_level(engine.base, level)
    try:
        began = time.monotonic()
        fit = finetune(engine.model, engine.layout, rows, adapt, until, generator(0, "plan", level))
        if engine.device == "cuda":
            torch.cuda.synchronize()
        seconds = time.monotonic() - began
    finally:
        set_level(engine.base, "keep")
        engine.forget()
    tokens = adapt.epochs * sum(len(each.ids) for each in rows)
    return math.nan if fit.stopped == "deadline" else tokens / seconds


def inference_rates(
    engine: LanguageModel, rows: Sequence[Row], until: Deadline, passes: int = 20
) -> tuple[float, float]:
    """Tokens per second of a prefill of these rows as prompts, and seconds of a pass over a token behind the first."""
    from submission.arc.views import identity
    from submission.solver.engine import Question

    questions = [Question(identity(1), Prompt(each.ids, 0)) for each in rows]
    with engine.inference(questions) as inference:
        began = time.monotonic()
        inference.forest.evaluate({k: [()] for k in range(len(questions))}, until)
        prefill = sum(len(each.prompt.ids) for each in questions) / (time.monotonic() - began)
        began = time.monotonic()
        for n in range(1, passes + 1):
            inference.forest.evaluate({0: [(engine.layout.cells[0],) * n]}, until)
        return prefill, (time.monotonic() - began) / passes


def random_row(layout: Layout, length: int, rng: np.random.Generator) -> Row:
    """Return a training row of random cells; the second half counts in the loss."""
    ids = rng.choice(np.array(layout.cells, np.int64), length)
    ids[0] = (layout.opening or layout.input_open)[0]
    return Row(ids, np.arange(length) >= length // 2)
