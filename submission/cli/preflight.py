"""Is this machine fit for a run, and this folder for a model: findings in sentences, before hours are spent.

    python -m submission check --model DIR --preset l4x4

Nothing is written, and nothing is installed. What depends on the machine is read by small functions; what follows
from it is judged by others, which take values: so a P100 can be refused on a laptop.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
import psutil

from submission.arc.layouts import Layout
from submission.arc.prompts import prompt
from submission.arc.tasks import Pair, Task, grid
from submission.config import Settings
from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, fault_of, wrong_files
from submission.model import memory_plan
from submission.model.memory_plan import Shape

IMAGE = {
    "python": "3.12.13", "torch": "2.10.0", "transformers": "5.0.0", "peft": "0.19.1", "accelerate": "1.13.0",
    "numpy": "2.0.2", "tokenizers": "0.22.2", "safetensors": "0.7.0", "torchao": "0.10.0",
}  # fmt: skip
"""Kaggle's image v170 of 2026-06-29, seen live in September; bitsandbytes is not in it."""

NEEDED: dict[str, tuple[str, str | None]] = {
    "python": ("3.11", None), "torch": ("2.10", "2.14"), "transformers": ("5.0", "5.24"), "peft": ("0.18", None),
    "accelerate": ("1.12", None), "bitsandbytes": ("0.49", None), "safetensors": ("0.7", None),
    "tokenizers": ("0.22", None), "numpy": ("2.0", "2.5"),
}  # fmt: skip
"""The oldest version that works, and the first that was not tried, as in pyproject.toml."""

OLDEST_GPU, BFLOAT16 = (7, 0), (8, 0)
"""Compute capabilities: below 7.0 (P100: 6.0) torch 2.10 has no kernels; from 8.0 on there is bfloat16 arithmetic."""

SHORT_ROW = 2048
"""Tokens of a row that has to fit for a GPU to be of use: the median evaluation task of ARC-AGI-1 has 1005, of
ARC-AGI-2 1686."""

Level = Literal["pass", "warn", "fail", "skip"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    sentence: str


@dataclass(frozen=True)
class Gpu:
    """A GPU, as torch tells of it."""

    name: str
    capability: tuple[int, int]
    bytes: float


def check(model: Path, settings: Settings, preset: str) -> Iterator[Finding]:
    """All findings, the cheap ones first; what rests on a failed one is skipped. BadInput without a model folder."""
    if not (model / "config.json").is_file():
        raise BadInput(f"{model}: there is no config.json, so this is not a model folder")
    yield from judged_versions(installed())
    cards = gpus()
    yield from judged_gpus(cards)
    yield judged_disk(shutil.disk_usage(Path.cwd()).free)
    sound = True
    for finding in [*judged_weights(model), *judged_manifest(model)]:
        sound &= finding.level != "fail"
        yield finding
    try:
        shape = memory_plan.shape_of(model)
    except BadInput as error:
        yield Finding("fail", "model", str(error))
        return
    fits = True
    for finding in judged_memory(shape, settings, preset, cards):
        fits &= finding.level != "fail"
        yield finding
    try:
        layout = told_layout(model, settings)
    except BadInput as error:
        yield Finding("fail", "layout", str(error))
        return
    yield judged_layout(layout)
    if not (sound and fits):
        yield Finding("skip", "tiny task", "not tried: what it rests on has failed above")
    elif not cards and shape.block_weights > memory_plan.LARGE:
        yield Finding("skip", "tiny task", f"not tried: {shape.block_weights / 1e9:.1f} billion weights without a GPU")
    else:
        yield solved(model, settings)


def passed(findings: Sequence[Finding]) -> bool:
    """Whether nothing failed."""
    return all(each.level != "fail" for each in findings)


def line(finding: Finding) -> str:
    """One line of the table."""
    return f"{finding.level:4}  {finding.subject:12}  {finding.sentence}"


# -- versions ---------------------------------------------------------------------------------------------------


def installed() -> dict[str, str | None]:
    """The versions that are installed here; None for what is not."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in [*NEEDED, "torchao"]:
        if name == "python":
            continue
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def judged_versions(found: Mapping[str, str | None]) -> list[Finding]:
    """What these versions mean, package by package."""
    findings = []
    for name, (oldest, untried) in NEEDED.items():
        there = found.get(name)
        image = f"; Kaggle's image has {IMAGE[name]}" if name in IMAGE else "; Kaggle's image has none"
        if there is None:
            findings.append(Finding("fail", name, f"is not installed; {oldest} or newer is needed{image}"))
        elif numbers(there) < numbers(oldest):
            findings.append(Finding("fail", name, f"{there} is too old; {oldest} or newer is needed{image}"))
        elif untried is not None and numbers(there) >= numbers(untried):
            findings.append(Finding("warn", name, f"{there} was not tried; versions below {untried} were{image}"))
        else:
            findings.append(Finding("pass", name, f"{there}{image}"))
    return [*findings, *judged_torchao(found.get("peft"), found.get("torchao"))]


def judged_torchao(peft: str | None, torchao: str | None) -> list[Finding]:
    """An old torchao beside a new peft: peft then adapts nothing, unless torchao is hidden from it as `llm` does."""
    if torchao is None or peft is None or numbers(torchao) >= (0, 16) or numbers(peft) < (0, 19):
        return []
    sentence = f"peft {peft} refuses to work beside torchao {torchao}; it is hidden from it; pip uninstall -y torchao"
    return [Finding("warn", "torchao", sentence)]


def numbers(text: str) -> tuple[int, ...]:
    """The numbers a version begins with: "2.10.0+cu128" is (2, 10, 0)."""
    found = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()


# -- the machine ------------------------------------------------------------------------------------------------


def gpus() -> list[Gpu]:
    """The GPUs that torch sees."""
    import torch

    properties = [torch.cuda.get_device_properties(k) for k in range(torch.cuda.device_count())]
    return [Gpu(each.name, (each.major, each.minor), float(each.total_memory)) for each in properties]


def judged_gpus(cards: Sequence[Gpu]) -> list[Finding]:
    """What can be computed on these."""
    if not cards:
        return [Finding("pass", "gpu", "there is none: enough for the embedded model, far too slow for an 8B")]
    findings = []
    for card in cards:
        told = f"{card.name}, {card.bytes / 1e9:.1f} GB, compute capability {card.capability[0]}.{card.capability[1]}"
        if card.capability < OLDEST_GPU:
            findings.append(Finding("fail", "gpu", f"{told}: torch has no kernels for it; take T4 x2 or L4 x4"))
        elif card.capability < BFLOAT16:
            findings.append(Finding("pass", "gpu", f"{told}: float16, as it has no arithmetic for bfloat16"))
        else:
            findings.append(Finding("pass", "gpu", f"{told}: bfloat16"))
    return findings


def judged_disk(free: float) -> Finding:
    """Whether a run's folder has room."""
    level: Level = "fail" if free < 2e8 else "warn" if free < 2e9 else "pass"
    return Finding(level, "disk", f"{free / 1e9:.1f} GB are free here; a run writes a few hundred MB at most")


def judged_memory(shape: Shape, settings: Settings, preset: str, cards: Sequence[Gpu]) -> list[Finding]:
    """Whether the model can be trained and searched: on the GPUs here, on the preset's, or on the CPU."""
    card = preset.partition("x")[0]
    if settings.model.gigabytes:
        where, room, width = "model.gigabytes", settings.model.gigabytes * 1e9, 2 if cards else 4
    elif cards:
        where, room, width = cards[0].name, min(each.bytes for each in cards), 2
    elif card in memory_plan.CARDS:
        where, room, width = f"a {card.upper()}, which is not here", memory_plan.CARDS[card], 2
    else:
        where, room, width = "the CPU", float(psutil.virtual_memory().available), 4
    made = memory_plan.choose_plan(shape, settings, width, settings.model.context, room)
    longest = memory_plan.longest_row(shape, settings, width, room)
    findings = [Finding("pass", "memory", f"{where} has {room / 1e9:.1f} GB; {made.sentence()}")]
    if made.weights + made.adapter + made.search + made.reserve > room:
        findings.append(Finding("fail", "memory", "the search does not fit: lower search.megabytes"))
    if settings.adapt.rank and longest < settings.model.context:
        level: Level = "fail" if longest < SHORT_ROW else "warn"
        findings.append(Finding(level, "memory", f"rows of at most {longest} tokens fit: longer ones are shortened"))
    if settings.model.context > shape.positions:
        sentence = f"model.context is {settings.model.context}, but the model was made for {shape.positions} tokens"
        findings.append(Finding("warn", "memory", sentence))
    if shape.window is not None and shape.window < settings.model.context:
        sentence = f"attention looks back {shape.window} tokens only: lower model.context to that"
        findings.append(Finding("fail", "memory", sentence))
    return findings


# -- the model's files ------------------------------------------------------------------------------------------


def judged_weights(model: Path) -> list[Finding]:
    """Whether the safetensors are all there, and whole."""
    files = sorted(model.glob("*.safetensors"))
    wrong = [f"{each.name} {fault}" for each in files if (fault := fault_of(each))]
    index = model / "model.safetensors.index.json"
    if index.is_file():
        named = set(json.loads(index.read_text())["weight_map"].values())
        wrong += [f"{name} is missing" for name in sorted(named - {each.name for each in files})]
    if not files:
        wrong.append("there are no safetensors")
    if wrong:
        return [Finding("fail", "weights", each) for each in wrong]
    size = sum(each.stat().st_size for each in files)
    return [Finding("pass", "weights", f"{len(files)} safetensors, {size / 1e9:.2f} GB, none cut short")]


def judged_manifest(model: Path) -> list[Finding]:
    """Whether the files are those of manifest.json, {"files": {name: sha256}}, where there is one."""
    if not (model / MODEL_MANIFEST).is_file():
        return [Finding("skip", "manifest", "there is no manifest.json to hold the files against")]
    if wrong := wrong_files(model, MODEL_MANIFEST):
        return [Finding("fail", "manifest", each) for each in wrong]
    return [Finding("pass", "manifest", "all files are those that it names")]


# -- the model at work ------------------------------------------------------------------------------------------


def told_layout(model: Path, settings: Settings) -> Layout:
    """The layout of the checkpoint; BadInput where there is none."""
    from submission.model.loading import layout_of

    return layout_of(model, settings.model.layout)


def judged_layout(layout: Layout) -> Finding:
    """Whether grids become ids and grids again."""
    rng = np.random.default_rng(0)
    shapes = [(1, 1), (1, 30), (30, 1), (3, 7), (10, 10), (30, 30)]
    for shape in shapes:
        cells = grid(rng.integers(0, 10, shape))
        back = layout.parse(layout.answer(cells).tolist())
        if back is None or not np.array_equal(back, cells):
            return Finding(
                "fail", "layout", f"{layout.name}: a grid of {shape} does not survive the way to ids and back"
            )
    return Finding("pass", "layout", f"{layout.name}: grids of {len(shapes)} shapes become ids and grids again")


def tiny_task() -> Task:
    """Turn each grid upside down: three demonstrations and a test input of 2 by 3 cells."""
    rng = np.random.default_rng(5)
    inputs = [grid(rng.integers(0, 10, (2, 3))) for _ in range(4)]
    return Task("tiny", tuple(Pair(each, grid(each[::-1])) for each in inputs[:3]), (inputs[3],))


def solved(model: Path, settings: Settings) -> Finding:
    """A tiny task from end to end with the model itself: load, adapt, propose, score, vote, forget."""
    from submission.deadline import within
    from submission.inference.language_model import LanguageModel
    from submission.solver.solve import solve

    began = time.monotonic()
    few = replace(
        settings,
        training_rows=replace(settings.training_rows, copies=1, max_rows=8),
        search=replace(settings.search, views=2),
    )
    task = tiny_task()
    try:
        engine = LanguageModel(model, few)
        loaded = time.monotonic() - began
        record = solve(task, engine, few, within(120.0), 0)
    except (BadInput, RuntimeError, ValueError, ArithmeticError, ImportError) as error:
        return Finding("fail", "tiny task", f"{type(error).__name__}: {' '.join(str(error).split())}")
    first = prompt(engine.layout, task.demonstrations, task.tests[0], few.model.context)
    fit = record.fit
    assert fit is not None, "the network's records have one"
    told = (
        f"loaded in {loaded:.1f} s, {fit.steps} steps on rows of some {len(first.ids)} tokens in "
        f"{fit.seconds:.1f} s, {len(record.attempts[0])} attempts after {record.seconds:.1f} s"
    )
    if not record.attempts[0] or fit.stopped == "not finite":
        return Finding("fail", "tiny task", f"{told}; training ended: {fit.stopped}; {' '.join(record.notes)}")
    return Finding("pass", "tiny task", told)
