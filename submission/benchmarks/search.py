"""The search and the scoring against the field's, in one process, on tasks after test-time training.

    python -m submission bench search --tasks 30
    python -m submission bench scoring --tasks 30

Three ways to the same candidates, through the same model: `plain`, the depth-first walk, one view and one token a pass;
`lock-step`, four views of one length at a time; and ours, three times: `whole`, every view searched and every
candidate scored in all of them, as the other two do; `exact`, as far as no unseen grid can be among the best two; and
`used`, as the settings say: where the first views agree, that is enough.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

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
from submission.solver.candidates import Sought, pooled, seek
from submission.solver.engine import Found, Question, Scores
from submission.solver.solve import ask, learn
from submission.solver.stopping import ATTEMPTS

LANES = 4
"""Views that advance together in the lock-step search."""

TINY = 1e-9
"""Seconds or passes of a part that ours did not need at all: no division by zero."""

NEAR = 1e-3
"""Nats from the threshold within which rounding may decide whether an answer is found."""


@dataclass(frozen=True)
class Leg:
    """What one way took."""

    search: Work
    scoring: Work


@dataclass(frozen=True)
class Comparison:
    """One task."""

    task: str
    views: int
    searched: int
    """Views that `used` searched until the attempts were settled."""
    answers: int
    """Above the threshold, summed over the views."""
    candidates: int
    legs: Mapping[str, Leg]
    equal: bool
    """Whether all ways found the same answers in every view, but for those near the threshold."""
    near: int
    """Answers so near the threshold that rounding may decide."""
    error: float
    """Largest difference, in nats, between two ways of the log p of an answer above the threshold."""
    error_scored: float
    """The same of any candidate in any view: unlikely ones have long sums, and float32 rounds every term."""
    error_relative: float
    """The same as a part of the log p itself, where that is beyond 1."""
    attempts_equal: bool
    """Whether `exact` gave the attempts that `whole` gave."""
    first_equal: bool
    """Whether `used` gave its first attempt."""
    read_again: int
    """Tokens of prompts that ours computed more than once."""


def races(
    model: Path, settings: Settings, tasks: Mapping[str, Task], seed: int, tell: Callable[[Comparison], None]
) -> list[Comparison]:
    """Adapt to each task and search its first test input in all ways."""
    engine = LanguageModel(model, settings, seed)
    run = []
    for task in tasks.values():
        engine.forget()
        learn(task, engine, settings, NEVER, seed)
        run.append(race(engine, task, ask(task, 0, engine, settings, seed), settings, seed))
        tell(run[-1])
    engine.forget()
    return run


def race(engine: LanguageModel, task: Task, questions: Sequence[Question], settings: Settings, seed: int) -> Comparison:
    """The first test input of a task in all ways."""
    threshold = settings.search.threshold
    legs: dict[str, Leg] = {}
    sought: dict[str, Sought] = {}
    for name, search in {
        "whole": replace(settings.search, exhaustive=True),
        "exact": replace(settings.search, early_stop_probability=1.0),
        "used": settings.search,
    }.items():  # fmt: skip
        sought[name], legs[name] = _ours(engine, task, questions, replace(settings, search=search), seed)
    whole, attempts = sought["whole"], {name: _attempts(each, questions) for name, each in sought.items()}
    found: dict[str, list[Answers]] = {
        "whole": [{grid_key(p.answer): p.log_probability for p in each.proposals if p.above} for each in whole.found]
    }
    pool = [answer for answer, _ in pooled(questions, whole.found)]
    scores = {"whole": np.array([each.scores for each in whole.candidates]).T}
    for name, lanes in (("plain", 1), ("lock-step", LANES)):
        found[name], scores[name], legs[name] = _theirs(engine, questions, pool, threshold, lanes)
    near = {
        (k, key)
        for each in found.values()
        for k, answers in enumerate(each)
        for key, log_p in answers.items()
        if log_p - math.log(threshold) < NEAR
    }
    sets = [[{key for key in a if (k, key) not in near} for k, a in enumerate(each)] for each in found.values()]
    shared = [
        abs(mine - each[k][key])
        for each in (found["plain"], found["lock-step"])
        for k, answers in enumerate(found["whole"])
        for key, mine in answers.items()
        if key in each[k]
    ]
    apart = [np.abs(scores["whole"] - scores[name]) for name in ("plain", "lock-step") if pool]
    parts = [each / np.maximum(1.0, np.abs(scores["whole"])) for each in apart]
    return Comparison(
        task.id, len(questions), len(sought["used"].found), sum(map(len, found["whole"])), len(pool), legs,
        equal=all(each == sets[0] for each in sets), near=len(near), error=max([0.0, *shared]),
        error_scored=_largest(apart), error_relative=_largest(parts),
        attempts_equal=set(attempts["exact"]) == set(attempts["whole"]),
        first_equal=attempts["used"][:1] == attempts["whole"][:1],
        read_again=sum(legs[name].search.again + legs[name].scoring.again for name in sought),
    )  # fmt: skip


class _Timed:
    """An inference that notes what its searching and its scoring take."""

    def __init__(self, inference: ForestInference) -> None:
        self.inference = inference
        self.leg = Leg(Work(), Work())

    def propose(
        self, which: Sequence[int], drafts: Sequence[Grid], until: Deadline, seed: int, best_paths: bool
    ) -> list[Found]:
        with self._noted(self.leg.search):
            return self.inference.propose(which, drafts, until, seed, best_paths)

    def score(self, answers: Sequence[Grid], top: int, until: Deadline) -> Scores:
        with self._noted(self.leg.scoring):
            return self.inference.score(answers, top, until)

    @contextmanager
    def _noted(self, work: Work) -> Iterator[None]:
        began = time.perf_counter()
        forest = self.inference.forest
        before = forest.passes, forest.prompt_tokens, forest.prefilled_again, forest.nodes + forest.padding
        yield
        work.passes += forest.passes - before[0]
        work.prompt_tokens += forest.prompt_tokens - before[1]
        work.again += forest.prefilled_again - before[2]
        work.tokens += forest.nodes + forest.padding - before[3]
        work.seconds += time.perf_counter() - began


def _ours(
    engine: LanguageModel, task: Task, questions: Sequence[Question], settings: Settings, seed: int
) -> tuple[Sought, Leg]:
    """Our search of these questions, and what it took; the prompts are prefilled anew."""
    with engine.inference(questions) as inference:
        timed = _Timed(inference)
        sought = seek(timed, task, task.tests[0], questions, settings, NEVER, seed)
    return sought, timed.leg


def _theirs(
    engine: LanguageModel, questions: Sequence[Question], pool: Sequence[Grid], threshold: float, lanes: int
) -> tuple[list[Answers], NDArray[np.float64], Leg]:
    """Through the very model that ours reads through."""
    model, layout, prompts = engine.inference_model(), engine.layout, [each.prompt for each in questions]
    leg = Leg(Work(), Work())
    began = time.perf_counter()
    found: list[Answers] = [{}] * len(prompts)
    for group in _abreast(prompts, lanes):
        some = baselines.lock_step(model, layout, [prompts[k] for k in group], threshold, leg.search)
        for k, answers in zip(group, some, strict=True):
            found[k] = answers
    leg.search.seconds = time.perf_counter() - began
    began = time.perf_counter()
    seen = [[each.view.see(answer) for answer in pool] for each in questions]
    scores = baselines.scored(model, layout, prompts, seen, leg.scoring)
    leg.scoring.seconds = time.perf_counter() - began
    return found, scores, leg


def _abreast(prompts: Sequence[Prompt], lanes: int) -> list[list[int]]:
    """The prompts, up to `lanes` of one length at a time."""
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


def _attempts(sought: Sought, questions: Sequence[Question]) -> list[bytes]:
    ranking = voting.rank(sought.candidates, [each.view.symmetry for each in questions], "poe")
    return [grid_key(each) for each in ranking[:ATTEMPTS]]


# -- what is told -----------------------------------------------------------------------------------------------------

HEAD = (
    f"{'task':10} {'views':>5} {'cand.':>5} {'plain':>6} {'lock-step':>9} {'whole':>6} {'exact':>6} {'used':>6}"
    f"   {'plain':>7} {'lock-step':>9} {'whole':>7} {'exact':>7} {'used':>7}  {'ratio':>6}  same"
)


def line(each: Comparison, scoring: bool) -> str:
    """One task: passes, seconds, and by how many times the plain way took longer than ours."""
    passes = {name: _figure(each, name, "passes", scoring) for name in each.legs}
    seconds = {name: _figure(each, name, "seconds", scoring) for name in each.legs}
    same = "yes" if each.equal and each.attempts_equal else "NO"
    return (
        f"{each.task:10} {each.searched:5} {each.candidates:5} {passes['plain']:6.0f} {passes['lock-step']:9.0f}"
        f" {passes['whole']:6.0f} {passes['exact']:6.0f} {passes['used']:6.0f}   {seconds['plain']:7.2f}"
        f" {seconds['lock-step']:9.2f} {seconds['whole']:7.2f} {seconds['exact']:7.2f} {seconds['used']:7.2f}"
        f"  {_ratio(each, 'plain', 'seconds', scoring):6.1f}  {same}"
    )


def totals(run: Sequence[Comparison], scoring: bool) -> str:
    """The sums over all tasks, the spread of the ratios, and what agreed."""
    lines = []
    for what in ("passes", "seconds"):
        sums = {name: sum(_figure(each, name, what, scoring) for each in run) for name in run[0].legs}
        lines.append(f"{what}: " + ", ".join(f"{name} {total:.4g}" for name, total in sums.items()))
        for name, ours in product(("plain", "lock-step"), ("exact", "used")):
            spread = np.percentile([_ratio(each, name, what, scoring, ours) for each in run], [0, 25, 50, 75, 100])
            lines.append(
                f"  {name} over {ours}: {sums[name] / max(sums[ours], TINY):.1f} in all; by tasks, least / quarter /"
                f" median / three quarters / most: {' / '.join(f'{each:.1f}' for each in spread)}"
            )
    lines.append(f"prompt tokens computed again: {sum(each.read_again for each in run)}")
    lines.append(
        f"same answers in {sum(each.equal for each in run)} of {len(run)} tasks ({sum(e.near for e in run)} answers so"
        f" near the threshold that rounding decides); whole's attempts from exact in"
        f" {sum(e.attempts_equal for e in run)}, its first one from used in {sum(e.first_equal for e in run)}"
    )
    lines.append(
        f"largest difference of a log p: {max(each.error for each in run):.1e} of answers above the threshold,"
        f" {max(each.error_scored for each in run):.1e} of all that were scored,"
        f" {max(each.error_relative for each in run):.1e} of its size"
    )
    return "\n".join(lines)


def _figure(each: Comparison, name: str, what: Literal["passes", "seconds"], scoring: bool) -> float:
    leg = each.legs[name]
    work = (leg.scoring,) if scoring else (leg.search, leg.scoring)
    return float(sum(one.passes if what == "passes" else one.seconds for one in work))


def _ratio(each: Comparison, name: str, what: Literal["passes", "seconds"], scoring: bool, ours: str = "used") -> float:
    return _figure(each, name, what, scoring) / max(_figure(each, ours, what, scoring), TINY)
