"""Language models for tests, from sections of settings; and one question to them, asked and closed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from submission.arc.layouts import GRID16, Layout
from submission.arc.prompts import Row, padded, prompt, row
from submission.arc.tasks import Grid, Task
from submission.arc.views import identity
from submission.config import Adapt, Model, Search, Settings
from submission.deadline import Deadline
from submission.inference.language_model import LanguageModel
from submission.solver.engine import Question, ViewResult

HALVES: tuple[Literal["float16", "float32"], ...] = ("float16", "float32")

ADAPT = Adapt(rank=4, rate=3e-3, batch=4, warmup=0.1)
"""A quick training of a tiny model."""


def engine(path: Path, **adapt: object) -> LanguageModel:
    """The checkpoint in `path`, with these changes of `ADAPT`."""
    return loaded(path, Model(device="cpu"), Adapt(**{**ADAPT.__dict__, **adapt}), Search())  # type: ignore[arg-type]


def rows_of(task: Task, copies: int = 1) -> list[Row]:
    """The task's demonstrations as one training row, several times."""
    return [row(GRID16, task.demonstrations, 4096, first_learned=1)] * copies


def questions(task: Task, layout: Layout = GRID16) -> list[Question]:
    """Every test input, as the identity view shows it."""
    one = identity(len(task.demonstrations))
    return [Question(one, prompt(layout, task.demonstrations, each, 4096)) for each in task.tests]


def logits(model: LanguageModel, task: Task) -> torch.Tensor:
    """Logits [1, length, vocabulary] of the demonstrations."""
    ids, _, where = padded(GRID16, rows_of(task))
    with torch.no_grad():
        return model.model(
            input_ids=torch.from_numpy(ids), position_ids=torch.from_numpy(where), use_cache=False
        ).logits


def loaded(path: Path, model: Model, adapt: Adapt, search: Search, seed: int = 0) -> LanguageModel:
    """The checkpoint in `path` with these settings, the others at their defaults."""
    return LanguageModel(path, Settings(model=model, adapt=adapt, search=search), seed)


def scored(
    engine: LanguageModel, asked: Sequence[Question], answers: Sequence[Grid], top: int, until: Deadline
) -> NDArray[np.float64]:
    """log p [question, answer]; the prompts are read anew."""
    with engine.inference(asked) as inference:
        return inference.score(answers, top, until).log_p


def proposed(
    engine: LanguageModel, asked: Sequence[Question], which: Sequence[int], drafts: Sequence[Grid], until: Deadline
) -> list[ViewResult]:
    """What is found for these questions, best paths included; the prompts are read anew."""
    with engine.inference(asked) as inference:
        return inference.propose(which, drafts, until, 0, best_paths=True)
