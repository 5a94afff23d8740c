"""From the views of one test input to its candidates: propose, score, and go on until no unseen answer can matter.

`stopping` holds the rule by which the search ends early; here it is followed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from submission.arc.tasks import LARGEST_SIDE, Grid, Task, grid, grid_key
from submission.config import Settings
from submission.deadline import Deadline
from submission.solver.engine import Inference, Question, ViewResult
from submission.solver.records import TestRecord, ViewRecord
from submission.solver.stopping import ATTEMPTS, FIRST_VIEWS, StoppingRule
from submission.solver.voting import Candidate

PROPOSING = 0.75
"""Share of the time left that one call for proposals may take; the rest is for scoring."""


@dataclass(frozen=True)
class ViewSearch:
    """What was found for one test input."""

    candidates: tuple[Candidate, ...]
    found: tuple[ViewResult, ...]
    """Of the views that were searched: the first ones; all of them unless the search stopped early."""
    settled: bool
    """Whether the attempts are final: no further view can change them, or the first views agree on one answer."""
    scoring: tuple[Question, ...] = ()
    """What the scores are of, if not of the questions that were searched."""

    def record(self, questions: Sequence[Question]) -> TestRecord:
        """What the journal keeps of it, with the views that were not searched as well."""
        searched = [each.exhaustive for each in self.found]
        unsearched = [None] * (len(questions) - len(searched))
        views = tuple(
            ViewRecord(each.view, each.prompt.dropped, exhaustive)
            for each, exhaustive in zip(questions, [*searched, *unsearched], strict=True)
        )
        scoring = tuple(ViewRecord(each.view, each.prompt.dropped, None) for each in self.scoring)
        return TestRecord(views, self.settled, self.candidates, scoring)


def search_views(
    inference: Inference, task: Task, query: Grid, questions: Sequence[Question], settings: Settings, until: Deadline,
    seed: int, known: Sequence[Grid] = (),
) -> ViewSearch:  # fmt: skip
    """Search the views, a few and then more, and score what they propose under all of them.

    Answers that are `known` from an earlier pass, best first, are scored as well. Where other views are to give the
    scores (`scored_anew`), all views are searched, and only those scores are there that cost no forward pass.
    """
    rule, views, began = StoppingRule.of(settings), len(questions), until.clock()
    found: list[ViewResult] = []
    candidates: list[Candidate] = []
    wanted, settled = rule.first(views), False
    while len(found) < views and not settled and not (found and until.passed()):
        drafts = likely_answers(candidates) or [*known[:ATTEMPTS]] or [guess(task, query)]
        found = proposed(inference, found, wanted, views, drafts, until, seed)
        others = (until.clock() - began) / len(found) * (views - len(found))
        if until.left() < others and not known and not any(each.proposals for each in found):
            # There is no time for all views: get some answer from these first. Their prompts stay prefilled.
            found = inference.propose(range(len(found)), drafts, until.share(PROPOSING), seed, best_paths=True)
        pool = pooled(questions, found, known)
        candidates = scored(inference, pool, 0, until)
        if rule.staged and wanted < views and rule.is_unanimous(questions, found):
            # The first views that agree are not enough: one more, of another symmetry, has to agree as well.
            wanted, settled = len(found) + 1, len(found) > FIRST_VIEWS
            continue
        bounds, exhaustive = [each.at_most for each in candidates], sum(each.exhaustive for each in found)
        if len(found) == views or (rule.staged and rule.is_settled(bounds, exhaustive)):
            needed = 0 if settings.search.scoring_views else scores_needed(settings, len(pool), bool(known))
            candidates = scored(inference, pool, needed, until)
            sums = [float(each.scores.sum()) for each in candidates]
            settled = rule.staged and rule.is_settled([each for each in sums if not math.isnan(each)], exhaustive)
        wanted = rule.next(bounds, wanted, views)
    return ViewSearch(tuple(candidates), tuple(found), settled)


def scored_anew(
    inference: Inference, sought: ViewSearch, questions: Sequence[Question], settings: Settings, until: Deadline,
    again: bool,
) -> ViewSearch:  # fmt: skip
    """Score the candidates after `questions`, all that this inference has, in place of those that were searched.

    A candidate's evidence is then twofold, as in PoE: the views that proposed it, and views that had no part in its
    choice. In each of these all candidates share one prompt. Where the time does not suffice for as many candidates as
    the vote needs, the scores stay those of the search: a few of each kind cannot be compared.
    """
    pool = [(each.answer, each.found) for each in sorted(sought.candidates, key=lambda each: -each.total())]
    needed = scores_needed(settings, len(pool), again)
    candidates = scored(inference, pool, needed, until)
    complete = sum(not np.isnan(each.scores).any() for each in candidates)
    if complete < min(needed, len(pool)):
        return sought
    return replace(sought, candidates=tuple(candidates), scoring=tuple(questions))


def proposed(
    inference: Inference, found: Sequence[ViewResult], wanted: int, views: int, drafts: Sequence[Grid], until: Deadline,
    seed: int,
) -> list[ViewResult]:  # fmt: skip
    """What was found with `wanted` views searched; the last call, for all views, follows best paths as well."""
    if wanted >= views:
        return inference.propose(range(views), drafts, until.share(PROPOSING), seed, best_paths=True)
    more = range(len(found), wanted)
    return [*found, *inference.propose(more, drafts, until.share(PROPOSING), seed, best_paths=False)]


def likely_answers(candidates: Sequence[Candidate]) -> list[Grid]:
    """The best answers so far, as drafts for the next views."""
    return [each.answer for each in sorted(candidates, key=lambda each: -each.total())[:ATTEMPTS]]


def scores_needed(settings: Settings, candidates: int, again: bool) -> int:
    """How many of the best candidates need their log p under every view for the vote.

    The product of experts needs those of the attempts only. In another pass (`again`) it needs more: the best two of
    both passes together are among the best few of each. Every other rule needs them all.
    """
    if settings.vote.rule != "poe" or settings.search.exhaustive:
        return candidates
    return 2 * ATTEMPTS if again else ATTEMPTS


def scored(
    inference: Inference, pool: Sequence[tuple[Grid, Mapping[int, float]]], top: int, until: Deadline
) -> list[Candidate]:
    """The pool with its scores, as many as the `top` need; with 0 those that cost no forward pass."""
    if not pool:
        return []
    scores = inference.score([answer for answer, _ in pool], top, until)
    return [Candidate(answer, by, scores.log_p[:, k], float(scores.at_most[k])) for k, (answer, by) in enumerate(pool)]


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
    questions: Sequence[Question], found: Sequence[ViewResult], known: Sequence[Grid] = ()
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
