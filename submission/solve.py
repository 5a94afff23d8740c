"""One task, from its demonstrations to two attempts for each test input: the algorithm, top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

import numpy as np

from submission import voting
from submission.budget import Deadline
from submission.config import Settings
from submission.engine import Engine, Found
from submission.lessons import lessons
from submission.prompts import Prompt, prompt
from submission.tasks import Grid, Task, generator, grid, grid_key
from submission.views import View, stream


def solve(task: Task, engine: Engine, settings: Settings, until: Deadline, seed: int) -> dict[str, Any]:
    """Solve a task as well as the time allows; returns its journal record (tests: see `record`).

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
            views = list(
                islice(stream(len(task.demonstrations), rng, settings.lessons.background), settings.search.views)
            )
            prompts = [ask(task, view, query, engine, limit) for view in views]
            if most := max(each.dropped for each in prompts):
                notes.append(f"test {number}: up to {most} demonstrations were dropped to fit {limit} tokens")

            # 3. Find every likely answer in each view, and 4. score each under all views.
            found = engine.propose(prompts, settings.search.threshold, deadline.share(0.75))
            pool = pooled(views, found)
            if pool:
                seen = [[view.see(answer) for answer, _ in pool] for view in views]
                scores = engine.score(prompts, seen, deadline)
                candidates = [voting.Candidate(a, by, scores[:, k]) for k, (a, by) in enumerate(pool)]
            else:
                candidates = []
                notes.append(f"test {number}: no answer was found in time")

            # 5. Vote.
            ranking = voting.rank(candidates, [view.symmetry for view in views], settings.vote.rule)
            attempts.append([answer.tolist() for answer in ranking[:2]])
            tests.append(record(views, prompts, found, candidates))
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


def ask(task: Task, view: View, query: Grid, engine: Engine, limit: int) -> Prompt:
    """The prompt of one view, with room left in the context for the largest answer."""
    room = limit - engine.layout.longest_answer
    return prompt(engine.layout, view.arrange(task.demonstrations), view.see(query), room)


def pooled(views: Sequence[View], found: Sequence[Found]) -> list[tuple[Grid, dict[int, float]]]:
    """Distinct answers in the task's own frame, each with the views that proposed it and their log p.

    Best paths below the threshold join the pool, so that a second attempt rarely stays empty, but they count as
    proposed by their view only where no view has anything above the threshold.
    """
    sure = any(proposal.above for each in found for proposal in each.proposals)
    pool: dict[bytes, tuple[Grid, dict[int, float]]] = {}
    for number, (view, each) in enumerate(zip(views, found, strict=True)):
        for proposal in each.proposals:
            answer = view.unsee(proposal.answer)
            _, by = pool.setdefault(grid_key(answer), (answer, {}))
            if proposal.above or not sure:
                by[number] = proposal.log_probability
    return list(pool.values())


def record(
    views: Sequence[View],
    prompts: Sequence[Prompt],
    found: Sequence[Found],
    candidates: Sequence[voting.Candidate],
) -> dict[str, Any]:
    """What the journal keeps of one test input: enough to vote anew without a model."""
    return {
        "views": [
            {**asdict(view), "dropped": asked.dropped, "exhaustive": each.exhaustive}
            for view, asked, each in zip(views, prompts, found, strict=True)
        ],
        "candidates": [
            {
                "grid": each.answer.tolist(),
                "found": {str(view): log_p for view, log_p in each.found.items()},
                "scores": [None if np.isnan(s) else float(s) for s in each.scores],
            }
            for each in candidates
        ],
    }


def candidates_of(test: dict[str, Any]) -> tuple[list[voting.Candidate], list[int]]:
    """The candidates of a recorded test input and the symmetry of each view: the inverse of `record`."""
    candidates = [
        voting.Candidate(
            grid(each["grid"]),
            {int(view): log_p for view, log_p in each["found"].items()},
            np.array([np.nan if s is None else s for s in each["scores"]]),
        )
        for each in test["candidates"]
    ]
    return candidates, [view["symmetry"] for view in test["views"]]
