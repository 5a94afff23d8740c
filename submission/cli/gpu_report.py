"""`check --gpu`: which model is checked on the GPU here, and the report of it; the checks are `benchmarks.gpu_check`.

    python -m submission check --gpu --out report.json                        # random weights of an 8B's shape
    python -m submission check --gpu --model DIR --preset poe-l4x4 --out report.json

Whoever has a card can send the report back: it holds versions, the card, settings and figures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from submission import __version__
from submission.atomic import write_json
from submission.benchmarks import gpu_check
from submission.benchmarks.gpu_check import Order, Outcome
from submission.benchmarks.roofline import CARDS
from submission.cli.inputs import checkpoint_named, preset_named, settings_named
from submission.cli.library_versions import installed, installed_versions
from submission.config import EMBEDDED, Settings, with_changes
from submission.errors import BadInput, require
from submission.gpus import Gpu, driver_version, listed_by_torch
from submission.kaggle.machine import L4_MEGABYTES
from submission.model import memory_plan
from submission.model.memory_plan import NF4, SIXTEEN_BITS, Shape
from submission.presets import preset

FORMAT = 1
"""The form of the report."""

OF_KERNELS = ("triton", "unsloth", "unsloth_zoo")
"""Packages that unsloth's kernels are made of; none of them is needed."""

BLOCK = Shape(4096, 14336, 1, 32, 8, 128, vocabulary=16, tied=False, quantized=True, positions=131072)
"""A block of Llama 3.1 8B over the 16 ids of chat16, as `synthetic_checkpoint` writes it."""

BLOCKS = (32, 16, 8, 4, 2)
"""Numbers of blocks of the model with random weights: the most that the card and the disk have room for."""

ROW = 2048
"""Tokens of a training row that has to fit beside the weights."""

SEARCH = 2e9
"""Bytes that a search is left at least."""


def check(options: argparse.Namespace, tell: Callable[[str], object]) -> int:
    """Check the GPU here, a line a section, and write the report to --out; returns the exit status.

    0, or 1 where a section has failed. BadInput where there is no GPU, the model cannot be used, or no shape fits.
    """
    gpus = listed_by_torch(os.environ)
    if not gpus:
        raise BadInput("check --gpu: torch finds no GPU here")
    tell(f"{gpus[0].name}, {gpus[0].bytes / 1e9:.1f} GB, compute capability {capability(gpus[0])}")
    with order_of(options, gpus[0]) as (order, name):
        made = report(order, name, gpus, tell)
    if options.out is not None:
        write_json(options.out, made, indent=1)
    tell(f"{made['status']} after {made['seconds']:.0f} s" + (f"; {options.out}" if options.out is not None else ""))
    return 0 if made["status"] == "ok" else 1


def report(order: Order, preset_name: str, gpus: list[Gpu], tell: Callable[[str], object]) -> dict[str, Any]:
    """Run all sections and return the report, as JSON writes it."""
    outcomes = gpu_check.run(order, lambda name, outcome: tell(line(name, outcome)))
    return {
        "format": FORMAT, "status": status_of(outcomes),
        "seconds": round(sum(each.seconds for each in outcomes.values()), 2),
        "versions": {
            "submission": __version__, **installed_versions(), **{name: installed(name) for name in OF_KERNELS},
            "driver": driver_version(os.environ),
        },
        "gpus": [
            {"name": each.name, "compute_capability": capability(each), "memory_bytes": each.bytes} for each in gpus
        ],
        "model": f"random weights, {order.synthetic_blocks} blocks" if order.synthetic_blocks else order.model.name,
        "preset": preset_name, "sections": gpu_check.as_json(outcomes),
    }  # fmt: skip


def status_of(outcomes: Mapping[str, Outcome]) -> str:
    """ "failed" where a section has, else "ok"."""
    return "failed" if any(each.status == "failed" for each in outcomes.values()) else "ok"


def line(name: str, outcome: Outcome) -> str:
    """A section as one line."""
    return f"{outcome.status:8}{name:10}{outcome.seconds:5.0f} s  {outcome.sentence}"


def capability(gpu: Gpu) -> str:
    """The compute capability, such as "8.9"."""
    return f"{gpu.capability[0]}.{gpu.capability[1]}"


def card_of_gpu(gpu: Gpu) -> str | None:
    """The name of a card whose rates are stated; None for any other GPU."""
    return next((each for each in CARDS if each.upper() in gpu.name.split()), None)


@contextmanager
def order_of(options: argparse.Namespace, gpu: Gpu) -> Iterator[tuple[Order, str]]:
    """What the options ask for, and the name of the preset; a model with random weights has a folder until the end."""
    if options.model != EMBEDDED:
        checkpoint_named(options.model)
        settings = fitted(settings_named(options), memory_plan.shape_of(options.model), gpu)
        yield Order(options.model, settings, card=card_of_gpu(gpu)), preset_named(options)
        return
    name = options.preset or ("poe-l4x4" if gpu.megabytes > L4_MEGABYTES else "poe-t4x2")
    with tempfile.TemporaryDirectory(prefix="check-gpu-") as folder:
        settings = with_changes(preset(name), options.set)
        blocks = blocks_for(settings, gpu, shutil.disk_usage(folder).free)
        settings = fitted(settings, replace(BLOCK, blocks=blocks), gpu)
        yield Order(Path(folder) / "model", settings, blocks, card_of_gpu(gpu)), name


def blocks_for(settings: Settings, gpu: Gpu, disk: float) -> int:
    """The blocks of a model with random weights for which this GPU and `disk` bytes of disk have room.

    BadInput where there is none.
    """
    for blocks in BLOCKS:
        shape = replace(BLOCK, blocks=blocks)
        row = memory_plan.longest_row(shape, settings, SIXTEEN_BITS, gpu.bytes, kind(gpu))
        if row >= ROW and search_room(settings, shape, gpu) >= SEARCH and disk > 1.2 * NF4 * shape.block_weights:
            return blocks
    raise BadInput(
        f"check --gpu: {gpu.bytes / 1e9:.1f} GB of GPU memory and {disk / 1e9:.1f} GB of disk have no room for "
        f"{BLOCKS[-1]} blocks of an 8B: name a smaller model by --model"
    )


def fitted(settings: Settings, shape: Shape, gpu: Gpu) -> Settings:
    """These settings, on the GPU, with a search that fits: this card may be smaller than that of the preset.

    BadInput for model.device=cpu.
    """
    require(settings.model.device != "cpu", "check --gpu: leave out model.device=cpu, it checks a GPU")
    room = search_room(settings, shape, gpu) / 1e6
    megabytes = min(settings.search.megabytes, max(room, SEARCH / 1e6))
    return replace(
        settings,
        model=replace(settings.model, device="cuda"),
        search=replace(settings.search, megabytes=round(megabytes)),
    )


def search_room(settings: Settings, shape: Shape, gpu: Gpu) -> float:
    """Bytes of the GPU that weights, adapter and reserve leave to a search."""
    made = memory_plan.plan(shape, settings, SIXTEEN_BITS, 1, "recompute", kind(gpu))
    return gpu.bytes - made.weights - made.adapter - made.reserve


def kind(gpu: Gpu) -> memory_plan.Device:
    """What the GPU computes with, as `memory_plan` counts it."""
    return "ampere" if gpu.capability >= (8, 0) else "turing"
