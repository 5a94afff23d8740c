"""Our search and scoring compared with published methods, in one process, on tasks after test-time training.

    python -m submission bench search --tasks 30
    python -m submission bench scoring --tasks 30

Five methods get the same candidates from the same model. Two are published (`baselines`): "depth-first", one view and
one token per pass; "lock-step", four views of one length at a time. Three are ours: "exhaustive" searches every view
and scores every candidate in all of them, as the other two do; "exact" stops when no unseen grid can be among the best
two; "configured" follows the settings, by default with early stopping when the first views agree.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from submission.arc.prompts import Prompt
from submission.arc.tasks import Grid, Task, grid_key
from submission.benchmarks import baselines
from submission.benchmarks.baselines import Answers, Work
from submission.config import Settings
from submission.deadline import NEVER, Deadline
from submission.inference.language_model import ForestInference, LanguageModel
from submission.solver import voting
from submission.solver.candidates import ViewSearch, pooled, search_views
from submission.solver.engine import Question, Scores, ViewResult
from submission.solver.solve import ask, learn
from submission.solver.stopping import ATTEMPTS

LANES = 4
"""Views that advance together in the lock-step search."""

BASELINES = {"depth-first": 1, "lock-step": LANES}
"""The published methods, and how many views advance together in each."""

NEAR = 1e-3
"""Nats from the threshold within which rounding may decide whether an answer is found."""


@dataclass(frozen=True)
class MethodWork:
    """What one method took for one test input."""

    search: Work
    scoring: Work


@dataclass(frozen=True)
class Comparison:
    """The methods compared on the first test input of one task."""

    task: str
    views: int
    searched: int
    """Views that "configured" searched."""
    answers: int
    """Answers above the threshold, summed over the views."""
    candidates: int
    work: Mapping[str, MethodWork]
    """By the name of the method."""
    same_answers: bool
    """Whether all methods found the same answers in every view, apart from those near the threshold."""
    near: int
    """Answers so near the threshold that rounding may decide."""
    error: float
    """Largest difference between two methods in the log p of an answer above the threshold, in nats."""
    error_scored: float
    """The same for any candidate in any view: unlikely answers are long sums, and float32 rounds every term."""
    error_relative: float
    """The same relative to the log p, where that is beyond 1 nat."""
    same_attempts: bool
    """Whether "exact" gave the attempts of "exhaustive"."""
    same_first_attempt: bool
    """Whether "configured" gave the first attempt of "exhaustive"."""
    recomputed: int
    """Prompt tokens that ours computed more than once, in all three variants."""


class _Baseline(NamedTuple):
    """What a published method found for one test input."""

    answers: list[Answers]
    """By view."""
    scores: NDArray[np.float64]
    """log p [view, candidate], in nats."""
    work: MethodWork


def compare_tasks(
    model: Path, settings: Settings, tasks: Mapping[str, Task], seed: int, on_result: Callable[[Comparison], None]
) -> list[Comparison]:
    """Train on each task and compare the methods on its first test input; `on_result` gets each comparison."""
    engine = LanguageModel(model, settings, seed)
    comparisons = []
    for task in tasks.values():
        engine.forget()
        learn(task, engine, settings, NEVER, seed)
        comparisons.append(compare(engine, task, ask(task, 0, engine, settings, seed), settings, seed))
        on_result(comparisons[-1])
    engine.forget()
    return comparisons


def compare(
    engine: LanguageModel, task: Task, questions: Sequence[Question], settings: Settings, seed: int
) -> Comparison:
    """Compare the methods on the first test input of a task."""
    configured = replace(settings.search, scoring_views=0)
    variants = {
        "exhaustive": replace(configured, exhaustive=True),
        "exact": replace(configured, early_stop_probability=1.0),
        "configured": configured,
    }
    sought: dict[str, ViewSearch] = {}
    work: dict[str, MethodWork] = {}
    for name, search in variants.items():
        sought[name], work[name] = _ours(engine, task, questions, replace(settings, search=search), seed)
    whole = sought["exhaustive"]
    pool = [answer for answer, _ in pooled(questions, whole.found)]
    found = [{grid_key(p.answer): p.log_probability for p in each.proposals if p.above} for each in whole.found]
    scores = np.array([each.scores for each in whole.candidates]).T
    published: list[_Baseline] = []
    for name, lanes in BASELINES.items():
        published.append(_baseline(engine, questions, pool, settings.search.threshold, lanes))
        work[name] = published[-1].work
    everything = [found, *(each.answers for each in published)]
    near = _near_threshold(everything, settings.search.threshold)
    differences = [np.abs(scores - each.scores) for each in published if pool]
    relative = [each / np.maximum(1.0, np.abs(scores)) for each in differences]
    attempts = {name: _attempts(each, questions) for name, each in sought.items()}
    return Comparison(
        task.id, len(questions), len(sought["configured"].found), sum(map(len, found)), len(pool), work,
        same_answers=_are_same(everything, near),
        near=len(near),
        error=_largest_error(found, [each.answers for each in published]),
        error_scored=_largest(differences),
        error_relative=_largest(relative),
        same_attempts=set(attempts["exact"]) == set(attempts["exhaustive"]),
        same_first_attempt=attempts["configured"][:1] == attempts["exhaustive"][:1],
        recomputed=sum(work[name].search.recomputed + work[name].scoring.recomputed for name in sought),
    )  # fmt: skip


def _near_threshold(found: Sequence[Sequence[Answers]], threshold: float) -> set[tuple[int, bytes]]:
    """Return (view, key) of the answers within NEAR of the threshold: found[method][view]."""
    return {
        (k, key)
        for method in found
        for k, answers in enumerate(method)
        for key, log_p in answers.items()
        if log_p - math.log(threshold) < NEAR
    }


def _are_same(found: Sequence[Sequence[Answers]], near: set[tuple[int, bytes]]) -> bool:
    """Whether all methods found the same answers in every view, apart from those near the threshold."""
    sets = [[{key for key in answers if (k, key) not in near} for k, answers in enumerate(each)] for each in found]
    return all(each == sets[0] for each in sets)


def _largest_error(ours: Sequence[Answers], theirs: Sequence[Sequence[Answers]]) -> float:
    """Return the largest difference in the log p of an answer that ours and another method found in the same view."""
    differences = [
        abs(log_p - other[k][key])
        for other in theirs
        for k, answers in enumerate(ours)
        for key, log_p in answers.items()
        if key in other[k]
    ]
    return max([0.0, *differences])


class _Measured:
    """An inference that adds up the work of its searches and of its scorings."""

    def __init__(self, inference: ForestInference) -> None:
        self.inference = inference
        self.work = MethodWork(Work(), Work())

    def propose(
        self, which: Sequence[int], drafts: Sequence[Grid], until: Deadline, seed: int, best_paths: bool
    ) -> list[ViewResult]:
        with self._added_to(self.work.search):
            return self.inference.propose(which, drafts, until, seed, best_paths)

    def score(self, answers: Sequence[Grid], top: int, until: Deadline) -> Scores:
        with self._added_to(self.work.scoring):
            return self.inference.score(answers, top, until)

    @contextmanager
    def _added_to(self, work: Work) -> Iterator[None]:
        """Add what happens in the context to `work`."""
        began = time.perf_counter()
        forest = self.inference.forest
        before = forest.passes, forest.prompt_tokens, forest.prefilled_again, forest.nodes + forest.padding
        yield
        work.passes += forest.passes - before[0]
        work.prompt_tokens += forest.prompt_tokens - before[1]
        work.recomputed += forest.prefilled_again - before[2]
        work.tokens += forest.nodes + forest.padding - before[3]
        work.seconds += time.perf_counter() - began


def _ours(
    engine: LanguageModel, task: Task, questions: Sequence[Question], settings: Settings, seed: int
) -> tuple[ViewSearch, MethodWork]:
    """Run our search with these settings; the prompts are prefilled anew."""
    with engine.inference(questions) as inference:
        measured = _Measured(inference)
        sought = search_views(measured, task, task.tests[0], questions, settings, NEVER, seed)
    return sought, measured.work


def _baseline(
    engine: LanguageModel, questions: Sequence[Question], pool: Sequence[Grid], threshold: float, lanes: int
) -> _Baseline:
    """Run a published search on the model that ours uses, and score the candidates of `pool` as it does."""
    model, layout, prompts = engine.inference_model(), engine.layout, [each.prompt for each in questions]
    work = MethodWork(Work(), Work())
    began = time.perf_counter()
    found: list[Answers] = [{}] * len(prompts)
    for group in _groups(prompts, lanes):
        some = baselines.lock_step(model, layout, [prompts[k] for k in group], threshold, work.search)
        for k, answers in zip(group, some, strict=True):
            found[k] = answers
    work.search.seconds = time.perf_counter() - began
    began = time.perf_counter()
    seen = [[each.view.see(answer) for answer in pool] for each in questions]
    scores = baselines.scored(model, layout, prompts, seen, work.scoring)
    work.scoring.seconds = time.perf_counter() - began
    return _Baseline(found, scores, work)


def _groups(prompts: Sequence[Prompt], lanes: int) -> list[list[int]]:
    """Return the indices of the prompts in groups of one length, at most `lanes` in each."""
    order = sorted(range(len(prompts)), key=lambda k: len(prompts[k].ids))
    groups: list[list[int]] = []
    for k in order:
        same = groups and len(prompts[groups[-1][0]].ids) == len(prompts[k].ids)
        if not same or len(groups[-1]) == lanes:
            groups.append([])
        groups[-1].append(k)
    return groups


def _largest(differences: Sequence[NDArray[np.float64]]) -> float:
    return max((float(each.max()) for each in differences), default=0.0)


def _attempts(sought: ViewSearch, questions: Sequence[Question]) -> list[bytes]:
    """Return the keys of the attempts under the product of experts."""
    ranking = voting.rank(sought.candidates, [each.view.symmetry for each in questions], "poe")
    return [grid_key(each) for each in ranking[:ATTEMPTS]]
