"""Native training against unsloth's kernels, on one model and one device: gradients, search, seconds, memory.

Both are measured in turn on the same weights. What is compared, and how far apart the two may be, is for a card that
has not run the kernels before; on a CPU it runs in Triton's interpreter, where seconds mean nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import bitsandbytes
import numpy as np
import torch
from torch import nn

from submission.arc.prompts import Row, prompt, row
from submission.arc.tasks import Pair, Task, grid
from submission.arc.views import identity
from submission.config import Settings
from submission.deadline import Deadline
from submission.errors import BadInput
from submission.inference import test_time_training
from submission.inference.language_model import LanguageModel
from submission.model import memory_plan, unsloth_kernels
from submission.model.checkpointing import set_level
from submission.model.gradient_check import gradient_distance, gradients, random_row, trial_adapter
from submission.model.loading import device_kind
from submission.model.memory_plan import Shape
from submission.model.unsloth_kernels import TrainingKernels, compute_dtype_of
from submission.rng import generator
from submission.solver.engine import Question

NEAR = {torch.float32: 1e-5, torch.float16: 0.01, torch.bfloat16: 0.05}
"""How far apart the gradients are expected to be, by the type of the computation."""

FARTHER = 1.5
"""How much farther than the native gradients the kernels' may be from those in float32."""

REPEATS = 2
"""Measured steps of each, after one that warms up; the fastest counts."""


@dataclass(frozen=True)
class StepSpeed:
    """A training step, without its optimizer, on one row."""

    tokens: int
    checkpointing: bool
    """Whether blocks are computed again; as the memory plan of the kernels has it, for both."""
    native_seconds: float
    kernel_seconds: float
    native_bytes: int
    """Peak memory of the GPU; 0 on a CPU."""
    kernel_bytes: int
    planned_bytes: float
    """What the memory plan has for the kernels: weights, adapter, training."""


@dataclass(frozen=True)
class Comparison:
    """What was measured."""

    device: str
    dtype: str
    on: bool
    """Whether the kernels were still on at the end: False where one failed, see the log."""
    first_seconds: float = math.nan
    """Seconds of the first use, in which Triton compiles."""
    native_loss: float = math.nan
    kernel_loss: float = math.nan
    distance: float = math.nan
    """Between the gradients, see `gradient_distance`, on a row of random tokens."""
    recomputed_distance: float = math.nan
    """The same with gradient checkpointing."""
    native_rounding: float = 0.0
    """From the gradients in float32 to the native ones; 0 where float32 is the type of the computation."""
    kernel_rounding: float = 0.0
    search_equal: bool = False
    """Whether a token tree that is read before a training and after it, forgotten, has the same bits."""
    dequantizes: bool = False
    """Whether unsloth's kernel dequantizes; False where it has fallen back to bitsandbytes."""
    steps: tuple[StepSpeed, ...] = ()

    def problems(self) -> list[str]:
        """A sentence for each thing that is not as it should be."""
        if not self.on:
            return ["a kernel failed and was taken off: use model.backend=native"]
        near = NEAR[_dtype_named(self.dtype)]
        found = []
        for name, distance in (("", self.distance), (" with checkpointing", self.recomputed_distance)):
            if not distance <= near:
                found.append(f"gradients{name} are {100 * distance:.2g} % off the native ones, over {100 * near:.2g} %")
        if not self.kernel_rounding <= FARTHER * self.native_rounding:
            found.append(
                f"the kernels' gradients are {100 * self.kernel_rounding:.2g} % off those in float32, "
                f"the native ones {100 * self.native_rounding:.2g} %"
            )
        if not self.search_equal:
            found.append("a search after training and forgetting differs from the one before")
        if not self.dequantizes:
            found.append("the NF4 kernel has fallen back to bitsandbytes")
        for each in self.steps:
            if each.kernel_bytes > each.planned_bytes:
                found.append(
                    f"a row of {each.tokens} tokens took {each.kernel_bytes / 1e9:.1f} GB, "
                    f"planned were {each.planned_bytes / 1e9:.1f} GB"
                )
            if each.kernel_seconds > each.native_seconds:
                found.append(
                    f"a step on {each.tokens} tokens took {each.kernel_seconds:.2f} s, natively "
                    f"{each.native_seconds:.2f} s: use model.backend=native"
                )
        return found


def compare(model: Path, settings: Settings, lengths: Sequence[int], until: Deadline) -> Comparison:
    """Load a checkpoint with the kernels and compare; BadInput where they cannot be had or are wrong.

    `lengths`: tokens of the rows whose steps are timed, the shortest first; once the time is over the rest is left out,
    and so are rows that do not fit into the memory.
    """
    backend = replace(settings.model, backend="unsloth")
    return compared(LanguageModel(model, replace(settings, model=backend)), memory_plan.shape_of(model), lengths, until)


def compared(engine: LanguageModel, shape: Shape, lengths: Sequence[int], until: Deadline) -> Comparison:
    """`compare` for a model in memory; BadInput where it is trained natively."""
    kernels = engine.kernels
    if kernels is None:
        raise BadInput("there are no kernels to compare with: model.backend is native, or adapt.rank is 0")
    device = torch.cuda.get_device_name() if engine.device == "cuda" else "cpu"
    dtype = str(compute_dtype_of(engine.base)).removeprefix("torch.")

    def measured() -> Comparison:
        made = Comparison(device, dtype, on=kernels.on, first_seconds=kernels.check_seconds)
        return _measured(engine, kernels, shape, lengths, until, made) if kernels.on else made

    return kernels.guarded(measured, engine.forget)


def _measured(
    engine: LanguageModel,
    kernels: TrainingKernels,
    shape: Shape,
    lengths: Sequence[int],
    until: Deadline,
    made: Comparison,
) -> Comparison:
    """The comparison with all its figures."""
    model, base = engine.model, engine.base
    batch = random_row(base, unsloth_kernels.CHECKED_TOKENS)
    with trial_adapter(model):
        set_level(base, "keep")
        with kernels.turned(False):
            native_loss, native = gradients(model, batch)
        kernel_loss, ours = gradients(model, batch)
        set_level(base, "recompute")
        _, recomputed = gradients(model, batch)
        set_level(base, "keep")
        roundings = (0.0, 0.0)
        if made.dtype != "float32":
            with kernels.turned(False), in_float32(model):
                _, exact = gradients(model, batch)
            roundings = (gradient_distance(exact, native), gradient_distance(exact, ours))
    return replace(
        made,
        native_loss=native_loss,
        kernel_loss=kernel_loss,
        distance=gradient_distance(native, ours),
        recomputed_distance=gradient_distance(native, recomputed),
        native_rounding=roundings[0],
        kernel_rounding=roundings[1],
        search_equal=searches_equally(engine, until),
        dequantizes=kernels.kernels.dequantizes,
        steps=tuple(_steps(engine, kernels, shape, lengths, until)),
    )


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """While this is entered, the model computes in float32; NF4 weights stay what they are."""
    layers = [each for each in model.modules() if isinstance(each, bitsandbytes.nn.Linear4bit)]
    types = [each.compute_dtype for each in layers]
    weights = [
        (each, each.dtype)
        for each in model.parameters()
        if each.is_floating_point() and not isinstance(each, bitsandbytes.nn.Params4bit)
    ]
    try:
        for layer in layers:
            layer.compute_dtype = layer.weight.quant_state.dtype = torch.float32
        for weight, _ in weights:
            weight.data = weight.data.float()
        yield
    finally:
        for layer, dtype in zip(layers, types, strict=True):
            layer.compute_dtype = layer.weight.quant_state.dtype = dtype
        for weight, dtype in weights:
            weight.data = weight.data.to(dtype)


def searches_equally(engine: LanguageModel, until: Deadline) -> bool:
    """Whether two answers have the same log p, to the last bit, before a training and after it is forgotten."""
    rng = generator(0, "kernels")
    inputs = [grid(rng.integers(0, 10, (2, 3))) for _ in range(4)]
    task = Task("tiny", tuple(Pair(each, grid(each[::-1])) for each in inputs[:3]), (inputs[3],))
    limit = engine.settings.model.context
    asked = [Question(identity(3), prompt(engine.layout, task.demonstrations, inputs[3], limit))]
    read = []
    for _ in range(2):
        with engine.inference(asked) as inference:
            read.append(inference.score([inputs[3], grid(inputs[3][::-1])], 2, until).log_p)
        if len(read) == 1:
            engine.adapt([row(engine.layout, task.demonstrations[:1], limit)], until, 0)
            engine.forget()
    return bool(np.array_equal(read[0], read[1]) and np.isfinite(read[0]).all())


def _steps(
    engine: LanguageModel, kernels: TrainingKernels, shape: Shape, lengths: Sequence[int], until: Deadline
) -> Iterator[StepSpeed]:
    """The speed of a step for each length that fits, native and with the kernels in turn."""
    width = compute_dtype_of(engine.base).itemsize
    for tokens in sorted(lengths):
        if until.passed() or tokens > engine.longest_row:
            return
        lesson = Row(generator(0, "step").integers(0, 10, tokens), np.arange(tokens) >= tokens // 2)
        level = engine.level_for([lesson])
        set_level(engine.base, level)
        best = {False: math.inf, True: math.inf}
        peak = {False: 0, True: 0}
        for _ in range(1 + REPEATS):
            for on in (False, True):
                with kernels.turned(on):
                    seconds, peak[on] = _step(engine, lesson)
                best[on] = min(best[on], seconds)
        made = memory_plan.plan(shape, engine.settings, width, tokens, level, device_kind(engine.device))
        held = made.weights + made.adapter + made.training
        yield StepSpeed(tokens, level != "keep", best[False], best[True], peak[False], peak[True], held)


def _step(engine: LanguageModel, lesson: Row) -> tuple[float, int]:
    """Seconds and peak bytes of a forward and a backward pass."""
    on_gpu = engine.device == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    engine.model.train()
    test_time_training.backward(engine.model, engine.layout, [lesson], len(lesson.ids))
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    engine.model.eval()
    engine.model.zero_grad(set_to_none=True)
    return seconds, torch.cuda.max_memory_allocated() if on_gpu else 0


def _dtype_named(name: str) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, name)
    return dtype
