"""One task, from its demonstrations to two attempts for each test input: the algorithm, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import islice
from typing import Any

from submission.arc.prompts import prompt
from submission.arc.tasks import Task
from submission.arc.training_rows import training_rows
from submission.arc.views import stream
from submission.config import Settings
from submission.deadline import Deadline
from submission.rng import generator
from submission.solver import voting
from submission.solver.candidates import ATTEMPTS, seek
from submission.solver.engine import Engine, Fit, Question
from submission.solver.records import UNSEEN, candidates_of, joined, record


def solve(
    task: Task, engine: Engine, settings: Settings, until: Deadline, seed: int,
    earlier: Mapping[str, Any] | None = None, tell: Callable[[dict[str, Any]], None] = lambda so_far: None,
) -> dict[str, Any]:  # fmt: skip
    """Solve a task as well as the time allows; returns its journal record (tests: see `candidates.record`).

    `earlier` is the record of another look at the same task: its candidates are judged anew, and voted on by the
    views of both. `tell` hears after each test input what the record would be without the others. The engine is reset
    before and after, whatever happens in between. The same seed gives the same record, as long as no deadline cuts in.
    """
    began = until.clock() - (earlier["seconds"] if earlier else 0.0)
    notes: list[str] = [*earlier["notes"]] if earlier else []
    engine.forget()
    try:
        # 1. Learn the rule, from the demonstrations alone.
        rows, fit = learn(task, engine, settings, until.share(settings.adapt.share), seed)
        if fit.stopped in ("deadline", "not finite"):
            notes.append(f"training ended after {fit.steps} steps: {fit.stopped}")

        attempts: list[list[Any]] = list(earlier["attempts"]) if earlier else [[] for _ in task.tests]
        tests: list[Mapping[str, Any]] = list(earlier["tests"]) if earlier else [UNSEEN for _ in task.tests]
        for number, query in enumerate(task.tests):
            # 2. Look at the task in many ways.
            deadline = until.share(1 / (len(task.tests) - number))
            questions = ask(task, number, engine, settings, seed)
            if most := max(each.prompt.dropped for each in questions):
                limit = settings.model.context
                notes.append(f"test {number}: up to {most} demonstrations were dropped to fit {limit} tokens")

            # 3. Find every likely answer, view by view, and 4. score each under all views.
            before = tests[number]
            known = [each.answer for each in sorted(candidates_of(before)[0], key=lambda each: -each.total())]
            sought = seek(engine, task, query, questions, settings, deadline, seed, known)
            test = record(questions, sought)
            if earlier:
                test = joined(before, test, settings.search.threshold)
            candidates, symmetries = candidates_of(test)
            if not candidates:
                notes.append(f"test {number}: no answer was found in time")

            # 5. Vote.
            ranking = voting.rank(candidates, symmetries, settings.vote.rule)
            attempts[number] = [answer.tolist() for answer in ranking[:ATTEMPTS]]
            tests[number] = test
            outcome = {
                "task": task.id,
                "attempts": [*attempts],
                "tests": [*tests],
                "fit": {"rows": rows, **asdict(fit)},
                "seconds": until.clock() - began,
                "notes": [*notes],
            }
            tell(outcome)
    finally:
        engine.forget()
    return outcome


def learn(task: Task, engine: Engine, settings: Settings, until: Deadline, seed: int) -> tuple[int, Fit]:
    """Adapt the engine to a task's demonstrations; returns the number of rows there were, and what came of it."""
    rng = generator(seed, task.id, "lessons")
    wanted = settings.adapt.rank > 0
    limit = min(settings.model.context, engine.longest_row)
    rows = training_rows(task, engine.layout, settings.training_rows, limit, rng) if wanted else []
    return len(rows), engine.adapt(rows, until, seed)


def ask(task: Task, number: int, engine: Engine, settings: Settings, seed: int) -> list[Question]:
    """A test input as each view shows it, with room left in the context for the largest answer."""
    rng = generator(seed, task.id, "views", str(number))
    room = settings.model.context - engine.layout.longest_answer
    views = islice(stream(len(task.demonstrations), rng, settings.training_rows.background), settings.search.views)
    return [
        Question(view, prompt(engine.layout, view.arrange(task.demonstrations), view.see(task.tests[number]), room))
        for view in views
    ]
