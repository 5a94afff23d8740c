"""Language models for tests, from sections of settings; and one question to them, asked and closed again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Grid
from submission.config import Adapt, Model, Search, Settings
from submission.deadline import Deadline
from submission.inference.language_model import LanguageModel
from submission.solver.engine import Found, Question


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
) -> list[Found]:
    """What is found for these questions, best paths included; the prompts are read anew."""
    with engine.inference(asked) as inference:
        return inference.propose(which, drafts, until, 0, best_paths=True)
