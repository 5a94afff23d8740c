"""The sections of `gpu_check`: each checks one thing of a model on a device, and returns what was found.

They run on a CPU too, where nothing is said of memory: so the tests know them to be right before a GPU is paid for.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from submission.arc.prompts import prompt, row
from submission.arc.tasks import grid
from submission.arc.views import identity
from submission.benchmarks import kernel_comparison, rates
from submission.benchmarks.gpu_check import Outcome, Reply, failed, first_line, ok, skipped
from submission.benchmarks.gpu_subject import (
    CheckFailed,
    ChosenKernels,
    Subject,
    expect,
    flipped,
    memory_here,
    one_task,
    searched,
)
from submission.checkpoint.checkpoint import read_checkpoint
from submission.config import EMBEDDED
from submission.deadline import Deadline
from submission.inference.language_model import LanguageModel
from submission.model import memory_plan
from submission.model.loading import compute_dtype, device_bytes
from submission.model.memory_plan import Level
from submission.model.unsloth_kernels import FAMILIES
from submission.presets import preset
from submission.solver.engine import Question

logger = logging.getLogger(__name__)

SLOW = 0.5
"""The share of a stated rate below which a measured one is a failure: a preset's hours are then wrong."""

NOT_MATH = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.CUDNN_ATTENTION]
"""torch's kernels of attention, but for MATH, which holds the scores of all pairs of tokens."""

NO_KERNEL = ("No available kernel", "No viable backend")
"""How torch begins to say that none of the allowed kernels does an attention."""

NEAR = {torch.float32: 0.01, torch.float16: 0.05, torch.bfloat16: 0.3}
"""How far a log p of the embedded model (nats, an answer of 7 tokens) and the first losses of a training may be off
those of the CPU in float32, by the type of the computation."""


def outcome_of(name: str, subject: Subject, until: Deadline) -> Reply:
    """Run one section. Whatever it raises is a failure, told by its first line."""
    try:
        subject.begin()
        return Reply(SECTIONS[name](subject, until))
    except CheckFailed as error:
        return Reply(failed(str(error)))
    except Exception as error:
        logger.exception("section %s", name)
        usable = not isinstance(error, torch.AcceleratorError)
        return Reply(failed(first_line(error)), usable)


# -- the sections ------------------------------------------------------------------------------------------------


def load(subject: Subject, until: Deadline) -> Outcome:
    """Write the model where it is one with random weights, and load it."""
    began = time.perf_counter()
    engine = subject.engine()
    seconds, weights = time.perf_counter() - began, memory_plan.shape_of(subject.order.model).block_weights
    blocks = engine.base.config.get_text_config().num_hidden_layers
    figures = {
        "load_seconds": seconds, "weights": weights, "blocks": blocks, "layout": engine.layout.name,
        "dtype": engine.dtype, "longest_row": engine.longest_row, "torch": torch.__version__,
        "cuda": torch.version.cuda, "attention": engine.base.config.get_text_config()._attn_implementation,
        **memory_here(subject),
    }  # fmt: skip
    return ok(f"{weights / 1e9:.3g} billion weights in {blocks} blocks, {engine.dtype}, in {seconds:.0f} s", figures)


def attention(subject: Subject, until: Deadline) -> Outcome:
    """Some training steps and a search in which torch's MATH kernel of attention is forbidden."""
    work = subject.workload
    # Several steps, as float16 may skip the first until its loss scale fits.
    lessons = subject.rows([work.row] * 3 * subject.settings.adapt.batch)
    chosen = ChosenKernels()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            with sdpa_kernel(NOT_MATH), chosen:
                fit = subject.engine().adapt(lessons, until, 0)
                searched(subject.engine(), 2, subject, until)
        except RuntimeError as error:
            if not str(error).startswith(NO_KERNEL):
                raise
            why = [str(each.message).splitlines()[0] for each in told]
            figures = {"kernels": dict(chosen.calls), "why": why}
            return failed(f"only torch's MATH kernel does an attention here: {first_line(error)}", figures)
        finally:
            subject.engine().forget()
    expect(fit.steps > 0 or not subject.settings.adapt.rank, f"no training step was made: {fit.stopped}")
    kernels = ", ".join(sorted(chosen.calls)) or "none of torch's"
    return ok(f"no attention needs torch's MATH kernel; used: {kernels}", {"kernels": dict(chosen.calls)})


def task(subject: Subject, until: Deadline) -> Outcome:
    """A task: train, search in several views, and forget bit for bit; with the peak of memory against its plan."""
    took = one_task(subject, until)
    made = subject.plan(subject.workload.row, subject.engine().level_for(subject.rows([subject.workload.row])))
    here = memory_here(subject)
    if here and here["reserved_bytes"] > made.total:
        over = f"{here['reserved_bytes'] / 1e9:.2f} GB were reserved, planned were {made.total / 1e9:.2f} GB"
        return failed(over, {**took, **here, "planned_bytes": made.total})
    text = ", ".join(f"{name.removesuffix('_seconds')} {value:.1f} s" for name, value in took.items())
    return ok(f"{text}; forgotten bit for bit", {**took, **here, "planned_bytes": made.total})


def memory(subject: Subject, until: Deadline) -> Outcome:
    """The peak of memory of a training at each level of checkpointing, against the memory plan."""
    if subject.device == "cpu":
        return skipped("memory is counted on a GPU")
    if not subject.settings.adapt.rank:
        return skipped("nothing is trained: adapt.rank is 0")
    subject.engine()
    native = subject.settings.model.backend == "native"
    levels = [each for each in memory_plan.LEVELS if native or each != "selective"]
    return judged_peaks([peak for each in levels if not until.passed() if (peak := peak_at(each, subject, until))])


@dataclass(frozen=True)
class Peak:
    """The most memory that a training took, in bytes."""

    level: Level
    tokens: int
    """Of each training row."""
    planned_bytes: float
    """Weights, adapter and training, as planned."""
    reserve_bytes: float
    """What the plan sets aside for fragmentation and for what torch does not count."""
    reserved_bytes: float
    """What torch took of the GPU."""
    allocated_bytes: float
    """What of it tensors lay in."""


def peak_at(level: Level, subject: Subject, until: Deadline) -> Peak | None:
    """The peak of a training at this level on the longest rows of the workload that fit; None where none does."""
    room, settings = device_bytes(subject.settings.model, subject.device), subject.settings
    plans = {
        each: subject.plan(memory_plan.microbatch_tokens(settings, each), level) for each in subject.workload.lengths
    }
    held = {tokens: made.weights + made.adapter + made.training for tokens, made in plans.items()}
    fitting = [tokens for tokens, made in plans.items() if held[tokens] + made.reserve <= room]
    if not fitting:
        return None
    tokens = max(fitting)
    lessons = subject.rows([tokens] * 2 * settings.adapt.batch)
    subject.begin()
    with subject.kept_at(level) as engine:
        engine.adapt(lessons, until, 0)
        here = memory_here(subject)
    return Peak(level, tokens, held[tokens], plans[tokens].reserve, here["reserved_bytes"], here["allocated_bytes"])


def judged_peaks(peaks: Sequence[Peak]) -> Outcome:
    """Failed where more was reserved than the plan has, its reserve included."""
    figures = {"levels": [asdict(each) for each in peaks]}
    over = [
        f"{each.level} at {each.tokens} tokens took {each.reserved_bytes / 1e9:.2f} GB, planned were "
        f"{each.planned_bytes / 1e9:.2f} GB and a reserve of {each.reserve_bytes / 1e9:.2f} GB"
        for each in peaks
        if each.reserved_bytes > each.planned_bytes + each.reserve_bytes
    ]
    if over:
        return failed("; ".join(over), figures)
    shares = [f"{each.level} {each.reserved_bytes / each.planned_bytes:.2f} at {each.tokens} tokens" for each in peaks]
    return ok(f"reserved, as a share of the plan: {', '.join(shares)}", figures) if peaks else skipped("no row fits")


def speed(subject: Subject, until: Deadline) -> Outcome:
    """Tokens a second of training and prefill and passes a second, against the stated ones where there are some."""
    engine, work, settings = subject.engine(), subject.workload, subject.settings
    lessons = subject.rows([work.row] * 2 * settings.adapt.batch)
    tokens, room = memory_plan.microbatch_tokens(settings, work.row), device_bytes(settings.model, subject.device)
    measured: dict[str, float] = {}
    for level in memory_plan.LEVELS:
        made = subject.plan(tokens, level)
        if made.weights + made.adapter + made.training + made.reserve <= room and not until.passed():
            measured[f"training, {level}"] = rates.training_rate(engine, lessons, level, until)
    measured["prefill"], pass_seconds = rates.inference_rates(engine, subject.rows([work.row] * 4), until, work.passes)
    measured["passes"] = 1 / pass_seconds
    measured = {name: value for name, value in measured.items() if math.isfinite(value)}
    if subject.order.card is None:
        text = ", ".join(f"{name} {value:.3g}" for name, value in measured.items())
        return ok(f"tokens and passes a second: {text}; none are stated for this device", {"per_second": measured})
    stated = rates.stated(subject.order.card, memory_plan.shape_of(subject.order.model), settings)
    trained = 2 * settings.adapt.epochs
    projected = {
        f"training, {level}": trained * tokens / stated.training_seconds(trained * tokens, trained, work.row, level)
        for level in memory_plan.LEVELS
    }
    projected |= {
        "prefill": work.row / stated.prefill_seconds(work.row, work.row),
        "passes": 1 / stated.search_seconds(1),
    }
    return judged_rates(measured, projected)


def judged_rates(measured: Mapping[str, float], projected: Mapping[str, float]) -> Outcome:
    """Measured rates as shares of the projected ones; failed where one is below `SLOW`."""
    figures = {"per_second": dict(measured), "projected": dict(projected)}
    shares = {name: value / projected[name] for name, value in measured.items()}
    text = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
    sentence = f"tokens and passes a second, as shares of the projection: {text}"
    return failed(sentence, figures) if any(share < SLOW for share in shares.values()) else ok(sentence, figures)


def embedded(subject: Subject, until: Deadline) -> Outcome:
    """The embedded model, whose weights are real: its log p and losses here against those on the CPU."""
    subject.release()
    exact = of_embedded("cpu", "float32", until)
    figures, worst = {}, ""
    auto = str(compute_dtype("auto", subject.device)).removeprefix("torch.")
    for dtype in dict.fromkeys(("float32", auto)):
        here = of_embedded(subject.device, dtype, until)
        off = float(max(np.abs(here[0] - exact[0]).max(), np.abs(np.array(here[1]) - exact[1]).max()))
        figures[dtype] = off
        if not off <= NEAR[getattr(torch, dtype)]:
            worst = f"in {dtype} a log p or a loss is {off:.2g} off that of the CPU"
    text = ", ".join(f"{off:.2g} in {dtype}" for dtype, off in figures.items())
    return failed(worst, figures) if worst else ok(f"log p and losses are those of the CPU: off by {text}", figures)


def kernels(subject: Subject, until: Deadline) -> Outcome:
    """unsloth's kernels against native training: see `kernel_comparison`."""
    if find_spec("unsloth") is None:
        return skipped("unsloth is not installed")
    if subject.device == "cpu":
        return skipped("unsloth's kernels need a GPU")
    family = read_checkpoint(subject.order.model).model_type
    if family not in FAMILIES or not subject.settings.adapt.rank:
        return skipped(
            f"there are no kernels of unsloth's for a {family} with adapt.rank={subject.settings.adapt.rank}"
        )
    subject.release()
    found = kernel_comparison.compare(subject.order.model, subject.settings, subject.workload.compared, until)
    return judged_comparison(found)


def judged_comparison(found: kernel_comparison.Comparison) -> Outcome:
    """Failed where the kernels are wrong, slower than native training, or take more memory than planned."""
    problems, figures = found.problems(), asdict(found)
    if problems:
        return failed("; ".join(problems), figures)
    speeds = [
        f", {each.native_seconds / each.kernel_seconds:.2f} times as fast at {each.tokens} tokens"
        for each in found.steps
    ]
    return ok(f"gradients {100 * found.distance:.2g} % off the native ones{''.join(speeds)}", figures)


def of_embedded(device: str, dtype: str, until: Deadline) -> tuple[Any, tuple[float, ...]]:
    """log p [view, answer] of the embedded model on a device for two answers, and the first losses of a training."""
    settings = preset("laptop")
    model = replace(settings.model, device=device, dtype=dtype)  # type: ignore[arg-type]
    engine = LanguageModel(EMBEDDED, replace(settings, model=model))
    flip = flipped()
    right, wrong = grid(flip.tests[0][::-1]), flip.tests[0]
    asked = [Question(identity(3), prompt(engine.layout, flip.demonstrations, flip.tests[0], model.context))]
    with engine.inference(asked) as inference:
        log_p = inference.score([right, wrong], 2, until).log_p
    lessons = [row(engine.layout, flip.demonstrations, model.context)] * (4 * settings.adapt.batch)
    return log_p, engine.adapt(lessons, until, 0).losses


SECTIONS: dict[str, Callable[[Subject, Deadline], Outcome]] = {
    "load": load, "attention": attention, "task": task, "memory": memory, "rates": speed, "embedded": embedded,
    "kernels": kernels,
}  # fmt: skip
"""Section -> its function, in the order of `gpu_check.SECTIONS`."""
