"""What the sections of `gpu_check` are made of: the model under check, a task in miniature, what torch has chosen."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from submission.arc.layouts import CHAT16
from submission.arc.prompts import Prompt, Row, prompt
from submission.arc.tasks import Pair, Task, grid
from submission.arc.views import identity
from submission.benchmarks import rates, synthetic_checkpoint, synthetic_model
from submission.benchmarks.gpu_check import Order
from submission.deadline import Deadline
from submission.inference import threshold_search
from submission.inference.language_model import LanguageModel
from submission.inference.token_tree import TokenForest
from submission.model import memory_plan
from submission.model.loading import compute_dtype, device_kind, resolve_device
from submission.model.memory_plan import Level, MemoryPlan
from submission.rng import generator
from submission.solver.engine import Fit, Question, ViewResult

CHECKPOINTING = {"keep": "off", "selective": "selective", "recompute": "on"}
"""Level -> `adapt.checkpointing`."""


class CheckFailed(Exception):
    """Something is not as it should be; the message is one sentence."""


def expect(holds: bool, sentence: str) -> None:
    """CheckFailed with this sentence unless the condition holds."""
    if not holds:
        raise CheckFailed(sentence)


class Subject:
    """The model to check, loaded when it is first asked for."""

    def __init__(self, order: Order) -> None:
        """`order`: the model, its settings, and how much is computed."""
        self.order, self.workload, self.settings = order, order.workload, order.settings
        self.device = resolve_device(order.settings.model.device)
        self._engine: LanguageModel | None = None

    def engine(self) -> LanguageModel:
        """The model in memory; written to its folder first where it is one with random weights."""
        if self._engine is None:
            whole = (self.order.model / "model.safetensors.index.json").exists()
            if self.order.synthetic_blocks and not whole:
                synthetic_checkpoint.build(self.order.model, self.order.synthetic_blocks, CHAT16)
            self._engine = LanguageModel(self.order.model, self.settings)
        return self._engine

    def release(self) -> None:
        """Drop the model: what it holds of the GPU is free then."""
        self._engine = None
        self.begin()

    def begin(self) -> None:
        """Give back what torch holds of the GPU and does not use, and begin to look for its peaks anew."""
        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def rows(self, lengths: Sequence[int]) -> list[Row]:
        """Training rows of random cells with these numbers of tokens."""
        rng = generator(0, "check")
        return [rates.random_row(self.engine().layout, each, rng) for each in lengths]

    def plan(self, tokens: int, level: Level) -> MemoryPlan:
        """The memory plan of this model here, with so many tokens in a training pass."""
        width = compute_dtype(self.settings.model.dtype, self.device).itemsize
        shape = memory_plan.shape_of(self.order.model)
        return memory_plan.plan(shape, self.settings, width, tokens, level, device_kind(self.device))

    @contextmanager
    def kept_at(self, level: Level) -> Iterator[LanguageModel]:
        """While this is entered, training keeps of each block what this level does; then all is forgotten."""
        engine = self.engine()
        adapt = replace(self.settings.adapt, checkpointing=CHECKPOINTING[level])  # type: ignore[arg-type]
        engine.use(replace(self.settings, adapt=adapt))
        try:
            yield engine
        finally:
            engine.use(self.settings)
            engine.forget()


class ChosenKernels(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the kernels of attention that torch chooses in the forward passes while it is entered."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count an operation by its name, and run it."""
        name = function.overloadpacket.__name__
        if name.startswith("_scaled_dot_product") and "backward" not in name:
            self.calls[name.removeprefix("_scaled_dot_product_")] += 1
        return function(*args, **(kwargs or {}))


def one_task(subject: Subject, until: Deadline) -> dict[str, float]:
    """Seconds of training and of search; CheckFailed where what has to hold on every device does not."""
    engine, work = subject.engine(), subject.workload
    probe = torch.arange(10)[None].repeat(1, 6)
    before, took = logits(engine, probe), {}
    began = time.perf_counter()
    fit = engine.adapt(subject.rows([work.row] * work.rows), until, 0)
    took["training_seconds"] = time.perf_counter() - began
    expect(trained(fit), f"the training ended after {fit.steps} steps: {fit.stopped}")
    adapted = logits(engine, probe)
    expect(bool(torch.isfinite(adapted).all()), "after the training not every logit is a finite number")
    expect(fit.stopped == "off" or not torch.equal(adapted, before), "the training has changed nothing")
    began = time.perf_counter()
    views = searched(engine, work.views, subject, until)
    took["search_seconds"] = time.perf_counter() - began
    expect(all(each.exhaustive for each in views), "the search was cut short")
    expect(any(each.proposals for each in views), "the search has found no answer")
    engine.forget()
    expect(torch.equal(logits(engine, probe), before), "after forgetting, the logits are not those of the first time")
    return took


def trained(fit: Fit) -> bool:
    """Whether a training came to its own end."""
    return fit.stopped in ("done", "converged", "off")


def logits(engine: LanguageModel, ids: Tensor) -> Tensor:
    """The logits of ids [1, length] on the CPU, positions counted from 0."""
    places = torch.arange(ids.shape[1]).expand(engine.layout.axes, 1, -1)
    where = places[0] if engine.layout.axes == 1 else places
    with torch.no_grad():
        computed: Tensor = engine.model(
            input_ids=ids.to(engine.device), position_ids=where.to(engine.device), use_cache=False
        ).logits
    return computed.cpu()


def searched(engine: LanguageModel, views: int, subject: Subject, until: Deadline) -> list[ViewResult]:
    """The search of some views of a task.

    Random weights have flat logits: each pass is computed whole, and its logits are replaced by scripted ones. Where
    positions are rows and columns of a grid, the model's own are taken: that is the embedded model alone.
    """
    work, settings, layout = subject.workload, subject.settings.search, engine.layout
    if layout.positions == "grid":
        flip = flipped()
        asked = [Question(identity(3), prompt(layout, flip.demonstrations, flip.tests[0], 4096))] * views
        with engine.inference(asked) as inference:
            return inference.propose(range(views), [], until, 0, best_paths=True)
    size = int(engine.base.config.get_text_config().vocab_size)
    script = synthetic_model.script_of(layout, size, work.side, work.doubt_every).to(engine.device)
    scripted = synthetic_model.Scripted(engine.inference_model(), work.prompt, script)
    rng = generator(0, "prompts")
    prompts = [Prompt(rates.random_row(layout, work.prompt, rng).ids, 0) for _ in range(views)]
    forest = TokenForest(scripted, layout, prompts, settings.megabytes)
    return threshold_search.search(forest, range(views), {}, min(settings.threshold, 0.2), until)


def flipped() -> Task:
    """A task: turn each grid of 2 by 3 cells upside down."""
    rng = generator(0, "flipped")
    inputs = [grid(rng.integers(0, 10, (2, 3))) for _ in range(4)]
    return Task("flipped", tuple(Pair(each, grid(each[::-1])) for each in inputs[:3]), (inputs[3],))


def memory_here(subject: Subject) -> dict[str, float]:
    """The peaks of GPU memory since they were reset, in bytes; nothing on a CPU."""
    if subject.device == "cpu":
        return {}
    return {
        "reserved_bytes": torch.cuda.max_memory_reserved(), "allocated_bytes": torch.cuda.max_memory_allocated(),
    }  # fmt: skip
