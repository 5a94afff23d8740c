"""From the views of one test input to its candidates: look, score, and go on until nothing unseen can matter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from submission.arc.tasks import LARGEST_SIDE, Grid, Task, grid, grid_key
from submission.config import Settings
from submission.deadline import Deadline
from submission.solver.engine import Engine, Found, Question
from submission.solver.voting import Candidate

ATTEMPTS = 2
"""Answers that may be given to each test input."""

FIRST_VIEWS = 2
"""Views that are searched before anything is known; their answers are drafts for the others."""


@dataclass(frozen=True)
class Sought:
    """What was found for one test input."""

    candidates: tuple[Candidate, ...]
    found: tuple[Found, ...]
    """Of the views that were searched: the first ones, all of them unless the attempts are settled before."""
    settled: bool
    """Whether no further view could have changed the attempts."""


def seek(
    engine: Engine, task: Task, query: Grid, questions: Sequence[Question], settings: Settings, until: Deadline,
    seed: int, known: Sequence[Grid] = (),
) -> Sought:  # fmt: skip
    """Search the views, a few and then more, and score what they propose under all of them.

    Under the product of experts it ends as soon as no grid that is still unseen can be among the best two, or the views
    are unanimous. Answers that are `known` from elsewhere, best first, are scored as well.
    """
    threshold = settings.search.threshold
    product = settings.vote.rule == "poe" and not settings.search.exhaustive
    staged = product and settings.search.method == "threshold"
    began = until.clock()
    found: list[Found] = []
    candidates: list[Candidate] = []
    number, settled = FIRST_VIEWS if staged else len(questions), False
    while len(found) < len(questions) and not settled and not (found and until.passed()):
        last = number >= len(questions)
        which = range(len(questions)) if last else range(len(found), number)
        likely = [each.answer for each in sorted(candidates, key=lambda each: -each.total())[:ATTEMPTS]]
        drafts = likely or [*known[:ATTEMPTS]] or [guess(task, query)]
        proposed = engine.propose(questions, which, drafts, until.share(0.75), seed, last)
        found = proposed if last else found + proposed
        rest = (until.clock() - began) / len(found) * (len(questions) - len(found))
        if until.left() < rest and not known and not any(each.proposals for each in found):
            # Time will not do for all views: first any answer, from these. The last call finds it again for nothing.
            found = engine.propose(questions, range(len(found)), drafts, until.share(0.75), seed, True)
        pool = pooled(questions, found, known)
        candidates = judged(engine, questions, pool, 0, until)
        if staged and not last and is_unanimous(questions, found, settings.search.early_stop_probability):
            if len(found) > FIRST_VIEWS:
                settled = True
            number = len(found) + 1  # The first agreement is held back until a symmetry not yet used agrees.
            continue
        bounds, views = [each.at_most for each in candidates], sum(each.exhaustive for each in found)
        if len(found) == len(questions) or (staged and is_settled(bounds, views, threshold)):
            # With an earlier look the best two of both are wanted: they are among the best few of each.
            few = 2 * ATTEMPTS if known else ATTEMPTS
            candidates = judged(engine, questions, pool, few if product else len(pool), until)
            sums = [float(each.scores.sum()) for each in candidates]
            settled = staged and is_settled([each for each in sums if not math.isnan(each)], views, threshold)
        # Twice as many views, if these may settle it; otherwise all at once takes fewer passes.
        number = 2 * number if is_settled(bounds, 2 * number, threshold) else len(questions)
    return Sought(tuple(candidates), tuple(found), settled)


def is_unanimous(questions: Sequence[Question], found: Sequence[Found], probability: float) -> bool:
    """Whether all views so far, each of another symmetry, give one answer at least this probability."""
    symmetries = [each.view.symmetry for each in questions[: len(found)]]
    sure = [
        {
            grid_key(question.view.unsee(proposal.answer))
            for proposal in each.proposals
            if proposal.log_probability >= math.log(probability)
        }
        for question, each in zip(questions, found, strict=False)
    ]
    return len(set(symmetries)) == len(symmetries) and bool(set.intersection(*sure))


def judged(
    engine: Engine, questions: Sequence[Question], pool: Sequence[tuple[Grid, Mapping[int, float]]], best: int,
    until: Deadline,
) -> list[Candidate]:  # fmt: skip
    """The pool with its scores, as many as it takes to know the `best`; for 0 with what is known for nothing."""
    if not pool:
        return []
    scores = engine.score(questions, [answer for answer, _ in pool], best, until)
    return [Candidate(answer, by, scores.log_p[:, k], float(scores.at_most[k])) for k, (answer, by) in enumerate(pool)]


def is_settled(totals: Sequence[float], views: int, threshold: float) -> bool:
    """Whether no grid that was not found can be among the best two of candidates with these sums of log p.

    In a view that was searched to its end, whatever was not found has p < threshold: over so many views an unseen
    grid's sum is below views * log(threshold), and further views only lower it.
    """
    return len(totals) >= ATTEMPTS and sorted(totals)[-ATTEMPTS] >= views * math.log(threshold)


def guess(task: Task, query: Grid) -> Grid:
    """A grid of the size that the answer probably has: the query itself, resized as the demonstrations are."""
    outputs = [pair.output for pair in task.demonstrations]
    if len({each.shape for each in outputs}) == 1 and any(p.input.shape != p.output.shape for p in task.demonstrations):
        return outputs[-1]
    ratios = {
        tuple(Fraction(o, i) for i, o in zip(pair.input.shape, pair.output.shape, strict=True))
        for pair in task.demonstrations
    }
    factors = ratios.pop() if len(ratios) == 1 else (Fraction(1), Fraction(1))
    index = [
        np.minimum(np.arange(max(1, min(LARGEST_SIDE, int(side * factor)))) / float(factor), side - 1).astype(int)
        for side, factor in zip(query.shape, factors, strict=True)
    ]
    return grid(query[np.ix_(*index)])


def pooled(
    questions: Sequence[Question], found: Sequence[Found], known: Sequence[Grid] = ()
) -> list[tuple[Grid, Mapping[int, float]]]:
    """Distinct answers in the task's own frame, each with the views that proposed it and their log p.

    Best paths below the threshold join the pool, so that a second attempt rarely stays empty, but they count as
    proposed by their view only where no view has anything above the threshold.
    """
    sure = any(proposal.above for each in found for proposal in each.proposals)
    pool: dict[bytes, tuple[Grid, dict[int, float]]] = {}
    for number, (question, each) in enumerate(zip(questions, found, strict=False)):
        for proposal in each.proposals:
            if math.isnan(proposal.log_probability):
                raise FloatingPointError("an answer's probability is not a number")
            answer = question.view.unsee(proposal.answer)
            _, by = pool.setdefault(grid_key(answer), (answer, {}))
            if proposal.above or not sure:
                by[number] = proposal.log_probability
    for answer in known:
        pool.setdefault(grid_key(answer), (answer, {}))
    return list(pool.values())


# -- the journal ------------------------------------------------------------------------------------------------------
