"""One task, from its demonstrations to two attempts for each test input: the algorithm, top to bottom."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from typing import Any

from submission import voting
from submission.budget import Deadline
from submission.candidates import ATTEMPTS, record, seek
from submission.config import Settings
from submission.engine import Engine, Question
from submission.lessons import lessons
from submission.prompts import prompt
from submission.tasks import Grid, Task, generator
from submission.views import View, stream


def solve(task: Task, engine: Engine, settings: Settings, until: Deadline, seed: int) -> dict[str, Any]:
    """Solve a task as well as the time allows; returns its journal record (tests: see `candidates.record`).

    The engine is reset before and after, whatever happens in between. The same seed gives the same record, as
    long as no deadline cuts in.
    """
    began = until.clock()
    notes: list[str] = []
    engine.forget()
    try:
        # 1. Learn the rule, from the demonstrations alone.
        limit = settings.model.context
        rng = generator(seed, task.id, "lessons")
        rows = lessons(task, engine.layout, settings.lessons, limit, rng) if settings.adapt.rank else []
        fit = engine.adapt(rows, until.share(settings.adapt.share), seed)
        if fit.stopped in ("deadline", "not finite"):
            notes.append(f"training ended after {fit.steps} steps: {fit.stopped}")

        attempts: list[list[Any]] = []
        tests: list[dict[str, Any]] = []
        for number, query in enumerate(task.tests):
            # 2. Look at the task in many ways.
            deadline = until.share(1 / (len(task.tests) - number))
            rng = generator(seed, task.id, "views", str(number))
            views = islice(stream(len(task.demonstrations), rng, settings.lessons.background), settings.search.views)
            questions = [ask(task, view, query, engine, limit) for view in views]
            if most := max(each.prompt.dropped for each in questions):
                notes.append(f"test {number}: up to {most} demonstrations were dropped to fit {limit} tokens")

            # 3. Find every likely answer, view by view, and 4. score each under all views.
            sought = seek(engine, task, query, questions, settings, deadline, seed)
            if not sought.candidates:
                notes.append(f"test {number}: no answer was found in time")

            # 5. Vote.
            symmetries = [each.view.symmetry for each in questions]
            ranking = voting.rank(sought.candidates, symmetries, settings.vote.rule)
            attempts.append([answer.tolist() for answer in ranking[:ATTEMPTS]])
            tests.append(record(questions, sought))
    finally:
        engine.forget()
    return {
        "task": task.id,
        "attempts": attempts,
        "tests": tests,
        "fit": {"rows": len(rows), **asdict(fit)},
        "seconds": until.clock() - began,
        "notes": notes,
    }


def ask(task: Task, view: View, query: Grid, engine: Engine, limit: int) -> Question:
    """The question of one view, with room left in the context for the largest answer."""
    room = limit - engine.layout.longest_answer
    return Question(view, prompt(engine.layout, view.arrange(task.demonstrations), view.see(query), room))
