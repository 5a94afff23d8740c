"""The type of numbers that all workers of a run compute in on a CPU, where the settings leave it to a measurement.

Two workers that measured for themselves could come to two results, and a task's answers would depend on who solved it.
So the first one decides, in a file of the run; it holds for the others, and after an interruption too.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import torch

from submission.config import Settings
from submission.model.loading import resolve_device
from submission.model.speed_probe import cpu_speedup, faster

logger = logging.getLogger(__name__)


Named = Literal["float32", "bfloat16"]
NAMES: tuple[Named, ...] = get_args(Named)


def agreed(settings: Settings, file: Path | None) -> Settings:
    """The settings with `model.dtype` named, where they leave it open and the model runs on a CPU; else unchanged.

    `file` has the decision, or gets it; None where workers share no folder: each measures for itself. Its text is the
    name of the type and how many times as fast as float32 bfloat16 is.
    """
    model = settings.model
    if model.dtype != "auto" or resolve_device(model.device) != "cpu":
        return settings
    if model.threads:
        torch.set_num_threads(model.threads)
    name = _decided(file) if file else None
    if name is None:
        name = "bfloat16" if faster(cpu_speedup()) is torch.bfloat16 else "float32"
        if file is not None and not _written(file, f"{name} {cpu_speedup():.2f}\n"):
            name = _decided(file) or name
    return replace(settings, model=replace(model, dtype=name))


def _decided(file: Path) -> Named | None:
    """What the file says; None where it says nothing."""
    try:
        name = file.read_text(encoding="utf-8").partition(" ")[0]
    except (OSError, ValueError):
        return None
    return next((each for each in NAMES if each == name), None)


def _written(file: Path, text: str) -> bool:
    """Write the decision, whole, unless another worker was quicker. Without a place for it the log says so."""
    mine = file.with_name(f".{file.name}.{os.getpid()}{threading.get_ident()}")
    try:
        mine.write_text(text, encoding="utf-8")
        os.link(mine, file)
        return True
    except FileExistsError:
        return False
    except OSError as error:
        logger.warning("%s cannot be written (%s): each worker measures for itself", file, error.strerror)
        return True
    finally:
        mine.unlink(missing_ok=True)
