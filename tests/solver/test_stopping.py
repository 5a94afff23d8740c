"""When a search over views may stop: the certificate, the agreement, and how many views come next."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from submission.arc.prompts import Prompt
from submission.arc.tasks import grid
from submission.arc.views import COLOURS, View
from submission.config import with_changes
from submission.presets import PRESETS
from submission.solver.engine import Proposal, Question, ViewResult
from submission.solver.stopping import FIRST_VIEWS, StoppingRule

RULE = StoppingRule(True, threshold=0.1, agreement=0.5)


def test_settled_means_that_no_unseen_answer_could_be_second() -> None:
    least = 3 * math.log(0.1)
    assert RULE.is_settled([-1.0, least + 0.01], 3)
    assert not RULE.is_settled([-1.0, least - 0.01], 3)
    assert not RULE.is_settled([-1.0, least + 0.01], 2)
    assert not RULE.is_settled([-1.0], 3), "the second attempt is still free"


@pytest.mark.parametrize(
    ("change", "staged"),
    [
        ("search.views=16", True),
        ("search.exhaustive=True", False),
        ("search.method=beam", False),
        ("vote.rule=kgmon", False),
        ("search.scoring_views=8", False),
    ],
)
def test_only_the_exact_search_for_the_product_of_experts_goes_by_stages(change: str, staged: bool) -> None:
    rule = StoppingRule.of(with_changes(PRESETS["laptop"], [change]))
    assert rule.staged is staged
    assert rule.first(16) == (FIRST_VIEWS if staged else 16)


def test_the_next_stage_has_twice_the_views_if_they_may_settle_it_and_all_of_them_otherwise() -> None:
    likely, unlikely = [-0.1, -4.0], [-0.1, -30.0]
    assert RULE.next(likely, 2, 16) == 4, "after four views an unseen grid costs at least 4 x 2.3 nats"
    assert RULE.next(unlikely, 2, 16) == 16
    assert RULE.next([-0.1], 2, 16) == 16, "the second attempt is still free"


def answered(*answers: tuple[int, int, float]) -> tuple[list[Question], list[ViewResult]]:
    """Views of these symmetries, each with one answer [[cell]] of this probability in the task's own frame."""
    questions, found = [], []
    for symmetry, cell, probability in answers:
        view = View(symmetry, COLOURS, (0,))
        questions.append(Question(view, Prompt(np.zeros(1, np.int64), 0)))
        found.append(ViewResult((Proposal(view.see(grid([[cell]])), math.log(probability), True),), True))
    return questions, found


@pytest.mark.parametrize(
    ("answers", "unanimous"),
    [
        (((0, 1, 0.9), (3, 1, 0.6)), True),
        (((0, 1, 0.9), (3, 2, 0.9)), False),
        (((0, 1, 0.9), (3, 1, 0.4)), False),
        (((3, 1, 0.9), (3, 1, 0.9)), False),
    ],
    ids=["agree", "another answer", "not sure", "the same symmetry"],
)
def test_views_are_unanimous_if_each_of_another_symmetry_is_sure_of_one_answer(
    answers: tuple[tuple[int, int, float], ...], unanimous: bool
) -> None:
    assert RULE.is_unanimous(*answered(*answers)) is unanimous


def test_with_an_agreement_of_1_not_even_certain_views_stop_the_search() -> None:
    certain = answered((0, 1, 1.0), (3, 1, 1.0))
    assert RULE.is_unanimous(*certain)
    assert not replace(RULE, agreement=1.0).is_unanimous(*certain)
