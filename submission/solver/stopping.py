"""When the search over views stops early, for two reasons: a proof by bounds, or three views that agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from submission.arc.tasks import grid_key
from submission.config import Settings
from submission.solver.engine import Question, ViewResult

ATTEMPTS = 2
"""Answers that may be given to each test input."""

FIRST_VIEWS = 2
"""Views that are searched before anything is known; their answers are drafts for the others."""


@dataclass(frozen=True)
class StoppingRule:
    """How many views to search, and when to stop."""

    staged: bool
    """Whether views are searched a few at a time. Both reasons to stop hold for the product of experts alone, and only
    over the views that are searched: under other views an answer that was not found may have any probability."""
    threshold: float
    """Probability above which every answer of a view is found."""
    agreement: float
    """Probability that each view must give one answer for the views to agree on it; 1: they never do."""

    @classmethod
    def of(cls, settings: Settings) -> StoppingRule:
        """The rule that the settings ask for."""
        search = settings.search
        staged = settings.vote.rule == "poe" and not search.exhaustive and search.method == "threshold"
        staged = staged and not search.scoring_views
        return cls(staged, search.threshold, search.early_stop_probability)

    def first(self, views: int) -> int:
        """How many of the views to search first."""
        return FIRST_VIEWS if self.staged else views

    def next(self, bounds: Sequence[float], searched: int, views: int) -> int:
        """How many views to have searched after the next stage: twice as many, if these may settle it.

        Otherwise all of them: one stage takes fewer forward passes than several. `bounds` are the upper bounds of the
        candidates' sums of log p.
        """
        return 2 * searched if self.is_settled(bounds, 2 * searched) else views

    def is_settled(self, totals: Sequence[float], exhaustive: int) -> bool:
        """The certificate: whether no grid that was not found can be among the best two of these sums of log p.

        In a view that was searched exhaustively, whatever was not found has p < threshold: over `exhaustive` such views
        the sum of an unseen grid is below exhaustive * log(threshold), and further views only lower it.
        """
        return len(totals) >= ATTEMPTS and sorted(totals)[-ATTEMPTS] >= exhaustive * math.log(self.threshold)

    def is_unanimous(self, questions: Sequence[Question], found: Sequence[ViewResult]) -> bool:
        """Whether all views so far, each of another symmetry, give one answer at least the probability `agreement`."""
        if self.agreement >= 1:
            return False
        symmetries = [each.view.symmetry for each in questions[: len(found)]]
        sure = [
            {
                grid_key(question.view.unsee(proposal.answer))
                for proposal in each.proposals
                if proposal.log_probability >= math.log(self.agreement)
            }
            for question, each in zip(questions, found, strict=False)
        ]
        return len(set(symmetries)) == len(symmetries) and bool(set.intersection(*sure))
