"""Check before a run whether this machine can run this model: one finding per line.

    python -m submission check --model DIR --preset poe-l4x4

Nothing is written, and nothing is installed. Small functions read the machine; the `judged_` functions take values
only, so that the tests can judge a P100 on a laptop.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from submission.arc.layouts import Layout
from submission.arc.prompts import prompt
from submission.arc.tasks import Pair, Task, grid
from submission.checkpoint.checkpoint import Checkpoint, read_checkpoint
from submission.cli.findings import Finding, Level
from submission.cli.library_versions import installed_versions, judged_versions
from submission.config import Settings
from submission.errors import BadInput
from submission.gpus import OLDEST_GPU, Gpu, listed_by_torch
from submission.kaggle.manifests import MODEL_MANIFEST, manifest_mismatches
from submission.model import memory_plan
from submission.model.memory_plan import Shape
from submission.presets import card_of, gpus_of

logger = logging.getLogger(__name__)

BFLOAT16 = (8, 0)
"""The compute capability from which on a GPU has bfloat16 arithmetic."""

SHORT_ROW = 2048
"""Tokens of a training row that a useful GPU has memory for: the median evaluation task of ARC-AGI-1 has 1005, of
ARC-AGI-2 1686."""

FIT_ON_CPU = 4e8
"""Weights of the blocks up to which a CPU predicts the outputs of a few tasks within a minute."""

LARGE_VOCABULARY = 10_000
"""Ids from which on the logits of a training row take gigabytes."""


def check(model: Path, settings: Settings, preset: str) -> Iterator[Finding]:
    """All findings, the cheap checks first; a check is skipped where one that it needs has failed.

    BadInput where the model cannot be used, whatever the machine.
    """
    checkpoint = read_checkpoint(model)
    yield from judged_versions(installed_versions())
    gpus = listed_by_torch(os.environ)
    yield from judged_gpus(gpus)
    yield from judged_number(gpus, preset)
    yield judged_disk(shutil.disk_usage(Path.cwd()).free)
    failed = False
    for finding in [*judged_weights(checkpoint), *judged_manifest(model)]:
        failed |= finding.level == "fail"
        yield finding
    shape = memory_plan.shape_of_checkpoint(checkpoint)
    for finding in judged_memory(shape, settings, preset, gpus):
        failed |= finding.level == "fail"
        yield finding
    try:
        layout = layout_of_checkpoint(model, settings)
    except BadInput as error:
        yield Finding("fail", "layout", str(error))
        return
    yield judged_layout(layout)
    if not failed:
        yield judged_fit(model, settings, shape.block_weights, bool(gpus))
    if failed:
        yield Finding("skip", "tiny task", "not tried: a check above has failed")
    elif not gpus and shape.block_weights > memory_plan.LARGE:
        yield Finding("skip", "tiny task", f"not tried: {shape.block_weights / 1e9:.1f} billion weights without a GPU")
    else:
        yield tiny_task_solved(model, settings)


# -- the machine ------------------------------------------------------------------------------------------------


def judged_gpus(gpus: Sequence[Gpu]) -> list[Finding]:
    """A finding for each GPU: whether torch supports it, and the precision it computes in."""
    if not gpus:
        return [Finding("pass", "gpu", "there is none: enough for the embedded model, far too slow for an 8B")]
    findings = []
    for gpu in gpus:
        text = f"{gpu.name}, {gpu.bytes / 1e9:.1f} GB, compute capability {gpu.capability[0]}.{gpu.capability[1]}"
        if gpu.capability < OLDEST_GPU:
            findings.append(Finding("fail", "gpu", f"{text}: torch has no kernels for it; take T4 x2 or L4 x4"))
        elif gpu.capability < BFLOAT16:
            findings.append(Finding("pass", "gpu", f"{text}: float16, as it has no bfloat16 arithmetic"))
        else:
            findings.append(Finding("pass", "gpu", f"{text}: bfloat16"))
    return findings


def judged_number(gpus: Sequence[Gpu], preset: str) -> list[Finding]:
    """How many GPUs there are, for a preset that is for GPUs: a run takes what is there, a worker on each."""
    if not gpus or card_of(preset) is None:
        return []
    if len(gpus) == gpus_of(preset):
        return [Finding("pass", "gpus", f"{len(gpus)}, as {preset} is planned for: a worker on each")]
    sentence = f"{len(gpus)}, and {preset} is planned for {gpus_of(preset)}: the run plans its time by {len(gpus)}"
    return [Finding("warn", "gpus", sentence)]


def judged_disk(free: float) -> Finding:
    """Whether the disk has space for the output folder of a run; `free` in bytes."""
    level: Level = "fail" if free < 2e8 else "warn" if free < 2e9 else "pass"
    return Finding(level, "disk", f"{free / 1e9:.1f} GB are free here; a run writes a few hundred MB at most")


def judged_memory(shape: Shape, settings: Settings, preset: str, gpus: Sequence[Gpu]) -> list[Finding]:
    """Whether memory suffices for training and search: of the GPUs here, of the preset's GPUs, or of the CPU."""
    card = card_of(preset)
    if settings.model.gigabytes:
        device, available, weight_bytes = "model.gigabytes", settings.model.gigabytes * 1e9, 2 if gpus else 4
    elif gpus:
        device, available, weight_bytes = gpus[0].name, min(each.bytes for each in gpus), 2
    elif card is not None:
        device, available, weight_bytes = f"a {card.upper()}, which is not here", memory_plan.CARDS[card], 2
    else:
        device, available, weight_bytes = "the CPU", float(psutil.virtual_memory().available), 4
    if gpus:
        kind: memory_plan.Device = "ampere" if min(each.capability for each in gpus) >= (8, 0) else "turing"
    else:
        kind = memory_plan.DEVICE_OF[card] if card is not None else "cpu"
    plan = memory_plan.choose_plan(shape, settings, weight_bytes, settings.model.context, available, kind)
    longest = memory_plan.longest_row(shape, settings, weight_bytes, available, kind)
    findings = [Finding("pass", "memory", f"{device} has {available / 1e9:.1f} GB; {plan.sentence()}")]
    if plan.weights + plan.adapter + plan.search + plan.reserve > available:
        findings.append(Finding("fail", "memory", "the search does not fit: lower search.megabytes"))
    if settings.adapt.rank and longest < settings.model.context:
        level: Level = "fail" if longest < SHORT_ROW else "warn"
        cut = "; the logits take the memory: cut the vocabulary by `python -m submission shrink`"
        findings.append(
            Finding(
                level, "memory",
                f"training rows of at most {longest} tokens fit; longer ones are shortened"
                f"{cut if shape.vocabulary > LARGE_VOCABULARY else ''}",
            )
        )  # fmt: skip
    if settings.model.context > shape.positions:
        sentence = f"model.context is {settings.model.context}, but the model was trained for {shape.positions} tokens"
        findings.append(Finding("warn", "memory", sentence))
    if shape.window is not None and shape.window < settings.model.context:
        sentence = f"attention covers the last {shape.window} tokens only: lower model.context to that"
        findings.append(Finding("fail", "memory", sentence))
    return findings


# -- the model's files ------------------------------------------------------------------------------------------


def judged_weights(checkpoint: Checkpoint) -> list[Finding]:
    """What the weights are, and a warning for files beside them that are not used."""
    files, how = len(checkpoint.files), "in NF4" if checkpoint.quantized else "not quantized"
    text = f"{checkpoint.model_type}, {how}, {files} safetensors files, {checkpoint.weights.bytes / 1e9:.2f} GB"
    return [
        Finding("pass", "weights", f"{text}; all tensors of the family, none cut short"),
        *(Finding("warn", "weights", note) for note in checkpoint.notes()),
    ]


def judged_manifest(model: Path) -> list[Finding]:
    """Whether the files are the ones in manifest.json, {"files": {name: sha256}}, where there is one."""
    if not (model / MODEL_MANIFEST).is_file():
        return [Finding("skip", "manifest", "there is no manifest.json to check the files against")]
    if wrong := manifest_mismatches(model, MODEL_MANIFEST):
        return [Finding("fail", "manifest", each) for each in wrong]
    return [Finding("pass", "manifest", "all files are the ones that it names")]


# -- a run in miniature ----------------------------------------------------------------------------------------


def layout_of_checkpoint(model: Path, settings: Settings) -> Layout:
    """The layout of the checkpoint; BadInput where no known layout fits it."""
    from submission.checkpoint.layout import layout_of

    return layout_of(model, settings.model.layout)


def judged_layout(layout: Layout) -> Finding:
    """Whether grids of several shapes survive the way to token ids and back."""
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 30), (30, 1), (3, 7), (10, 10), (30, 30)]
    for shape in shapes:
        cells = grid(rng.integers(0, 10, shape))
        back = layout.parse(layout.answer(cells).tolist())
        if back is None or not np.array_equal(back, cells):
            return Finding(
                "fail", "layout", f"{layout.name}: a grid of {shape} does not survive the way to token ids and back"
            )
    return Finding("pass", "layout", f"{layout.name}: grids of {len(shapes)} shapes become token ids and grids again")


def judged_fit(model: Path, settings: Settings, weights: float, on_gpu: bool) -> Finding:
    """Whether the model looks trained on its layout; a warning where it does not, as nothing is broken.

    `weights` are those of its blocks: without a GPU a model with more than FIT_ON_CPU is not measured.
    """
    if not on_gpu and weights > FIT_ON_CPU:
        return Finding("skip", "layout fit", f"not measured: {weights / 1e9:.1f} billion weights without a GPU")
    from submission.benchmarks.layout_fit import layout_fit

    try:
        fit = layout_fit(model, settings.model)
    except (RuntimeError, ValueError, ArithmeticError, ImportError) as error:
        if not isinstance(error, BadInput):
            logger.exception("the layout could not be measured")
        return Finding("fail", "layout fit", f"{type(error).__name__}: {' '.join(str(error).split())}")
    return Finding("pass" if fit.fits else "warn", "layout fit", fit.sentence())


def tiny_task() -> Task:
    """A task: flip each grid upside down; three demonstrations and a test input of 2 by 3 cells."""
    rng = np.random.default_rng(5)
    inputs = [grid(rng.integers(0, 10, (2, 3))) for _ in range(4)]
    return Task("tiny", tuple(Pair(each, grid(each[::-1])) for each in inputs[:3]), (inputs[3],))


def tiny_task_solved(model: Path, settings: Settings) -> Finding:
    """Solve a tiny task with the model itself: load, adapt, propose, score, vote, forget; at most 2 minutes."""
    from submission.deadline import within
    from submission.inference.language_model import LanguageModel
    from submission.solver.solve import solve

    began = time.monotonic()
    few = replace(
        settings,
        training_rows=replace(settings.training_rows, copies=1, max_rows=8),
        search=replace(settings.search, views=2, scoring_views=min(2, settings.search.scoring_views)),
    )
    task = tiny_task()
    try:
        engine = LanguageModel(model, few)
        loaded = time.monotonic() - began
        record = solve(task, engine, few, within(120.0), 0)
    except (RuntimeError, ValueError, ArithmeticError, ImportError) as error:
        if not isinstance(error, BadInput):
            logger.exception("the tiny task failed")
        return Finding("fail", "tiny task", f"{type(error).__name__}: {' '.join(str(error).split())}")
    first = prompt(engine.layout, task.demonstrations, task.tests[0], few.model.context)
    fit = record.fit
    assert fit is not None, "the network's records have one"
    text = (
        f"loaded in {loaded:.1f} s, {fit.steps} steps on rows of some {len(first.ids)} tokens in "
        f"{fit.seconds:.1f} s, {len(record.attempts[0])} attempts after {record.seconds:.1f} s"
    )
    if not record.attempts[0] or fit.stopped == "not finite":
        return Finding("fail", "tiny task", f"{text}; training ended: {fit.stopped}; {' '.join(record.notes)}")
    return Finding("pass", "tiny task", text)
