"""Engines over tiny checkpoints, and what they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from submission.arc.layouts import GRID16, Layout
from submission.arc.prompts import Row, padded, prompt, row
from submission.arc.tasks import Task
from submission.arc.views import identity
from submission.config import Adapt, Model, Search
from submission.inference.language_model import LanguageModel
from submission.solver.engine import Question

HALVES: tuple[Literal["float16", "float32"], ...] = ("float16", "float32")


ADAPT = Adapt(rank=4, rate=3e-3, batch=4, warmup=0.1)


def engine(path: Path, **adapt: object) -> LanguageModel:
    settings = Adapt(**{**ADAPT.__dict__, **adapt})  # type: ignore[arg-type]
    return LanguageModel(path, Model(device="cpu"), settings, Search())


def rows_of(task: Task, copies: int = 1) -> list[Row]:
    return [row(GRID16, task.demonstrations, 4096, first_learned=1)] * copies


def questions(task: Task, layout: Layout = GRID16) -> list[Question]:
    one = identity(len(task.demonstrations))
    return [Question(one, prompt(layout, task.demonstrations, each, 4096)) for each in task.tests]


def logits(model: LanguageModel, task: Task) -> torch.Tensor:
    ids, _, where = padded(GRID16, rows_of(task))
    with torch.no_grad():
        return model.model(
            input_ids=torch.from_numpy(ids), position_ids=torch.from_numpy(where), use_cache=False
        ).logits
