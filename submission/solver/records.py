"""What a run keeps of each task: attempts, candidates with their scores per view, times, losses, notes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from submission.arc.tasks import Task, grid, grid_key
from submission.solver.candidates import Sought
from submission.solver.engine import Question
from submission.solver.voting import Candidate

UNSEEN: Mapping[str, Any] = {"views": [], "settled": False, "candidates": []}
"""The record of a test input that was not looked at."""


def record(questions: Sequence[Question], sought: Sought) -> dict[str, Any]:
    """What the journal keeps of one test input: enough to vote anew without a model."""
    searched = [each.exhaustive for each in sought.found]
    unsearched = [None] * (len(questions) - len(searched))
    return {
        "views": [
            {**asdict(each.view), "dropped": each.prompt.dropped, "exhaustive": exhaustive}
            for each, exhaustive in zip(questions, [*searched, *unsearched], strict=True)
        ],
        "settled": sought.settled,
        "candidates": [
            {
                "grid": each.answer.tolist(),
                "found": {str(view): log_p for view, log_p in each.found.items()},
                "scores": [None if np.isnan(s) else float(s) for s in each.scores],
                "at_most": each.at_most,
            }
            for each in sought.candidates
        ],
    }


def joined(earlier: Mapping[str, Any], now: Mapping[str, Any], threshold: float) -> dict[str, Any]:
    """The records of two looks at one test input as one: the views of both, and what each has seen of a candidate.

    A grid that a look has not judged it has not found either: in its exhaustive views it is below the threshold.
    """
    looks = (earlier, now)
    unseen = [math.log(threshold) * sum(view["exhaustive"] is True for view in look["views"]) for look in looks]
    seen = [{grid_key(grid(each["grid"])): each for each in look["candidates"]} for look in looks]
    candidates = []
    for key in dict.fromkeys([*seen[0], *seen[1]]):
        first, second = (each.get(key) for each in seen)
        parts = [
            each or {"found": {}, "scores": [None] * len(look["views"]), "at_most": bound}
            for each, look, bound in zip((first, second), looks, unseen, strict=True)
        ]
        moved = {str(int(view) + len(earlier["views"])): log_p for view, log_p in parts[1]["found"].items()}
        candidates.append({
            "grid": (first or second or {})["grid"],
            "found": parts[0]["found"] | moved,
            "scores": parts[0]["scores"] + parts[1]["scores"],
            "at_most": parts[0]["at_most"] + parts[1]["at_most"],
        })  # fmt: skip
    return {"views": [*earlier["views"], *now["views"]], "settled": False, "candidates": candidates}


def is_whole(test: Mapping[str, Any]) -> bool:
    """Whether every view was searched and every candidate scored in all of them, as voting anew by any rule takes."""
    searched = all(view["exhaustive"] is not None for view in test["views"])
    return searched and all(score is not None for each in test["candidates"] for score in each["scores"])


def candidates_of(test: Mapping[str, Any]) -> tuple[list[Candidate], list[int]]:
    """The candidates of a recorded test input and the symmetry of each view: the inverse of `record`."""
    candidates = [
        Candidate(
            grid(each["grid"]),
            {int(view): log_p for view, log_p in each["found"].items()},
            np.array([np.nan if s is None else s for s in each["scores"]]),
            each.get("at_most", math.inf),
        )
        for each in test["candidates"]
    ]
    return candidates, [view["symmetry"] for view in test["views"]]


Record = dict[str, Any]
"""What the journal keeps of a task, see `solve`."""


def empty(task: Task) -> Record:
    """The record of a task of which nothing is known."""
    none = [[] for _ in task.tests]  # type: list[list[Any]]
    tests = [UNSEEN for _ in task.tests]
    return {"task": task.id, "attempts": none, "tests": tests, "fit": None, "seconds": 0.0, "notes": []}
