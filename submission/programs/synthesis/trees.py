"""Rules for cells that are decision trees: for tests with cells whose features no table has seen.

Trees are grown on yes-or-no questions about features until every leaf has one outcome; several trees, each on a random
part of the features, vote. (Random forests: Breiman 2001; here without resampling of cells, as all must be right.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from submission.deadline import Deadline
from submission.programs.synthesis.tables import Cases


class Question(NamedTuple):
    """Whether a feature is at least (or exactly) a number."""

    feature: int
    exact: bool
    number: int


Tree = int | tuple[int, bool, int, "Tree", "Tree"]
"""An outcome; or feature, exact, number, the tree for yes, the tree for no."""

OUTCOMES = 16
MOST_LEAVES = 40


def forest(cases: Cases, trees: int, rng: np.random.Generator, until: Deadline) -> list[Tree]:
    """Trees that are each right for every cell of the demonstrations; fewer, or none, where they grow too large."""
    seen, outcome = _distinct(cases)
    questions = _questions(seen)
    if not questions or seen.shape[1] > 4000:
        return []
    answers = np.stack([_asked(seen, q) for q in questions]).astype(np.float32)  # [questions, cells]
    costs = cases.costs[[q.feature for q in questions]]
    grown = []
    for _ in range(trees):
        if until.passed():
            break
        part = rng.random(len(cases.costs)) < 0.6
        usable = np.flatnonzero(part[[q.feature for q in questions]])
        tree = _grown(answers, outcome, questions, usable, costs, np.arange(outcome.size), [MOST_LEAVES])
        if tree is not None:
            grown.append(tree)
    return grown


def _distinct(cases: Cases) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    rows = np.ascontiguousarray(np.concatenate([cases.seen, cases.outcome[None]]).T)
    _, where = np.unique(rows.view(f"V{rows.shape[1]}"), return_index=True)
    return cases.seen[:, where], cases.outcome[where]


def _questions(seen: NDArray[np.uint8]) -> list[Question]:
    made = []
    for k, column in enumerate(seen):
        values = np.unique(column).tolist()
        made += [Question(k, True, value) for value in values[: 12 if len(values) > 2 else 1]]
        made += [Question(k, False, value) for value in values[1:][:12]]
    return made


def _asked(seen: NDArray[np.uint8], question: Question) -> NDArray[np.bool_]:
    column = seen[question.feature]
    made: NDArray[np.bool_] = column == question.number if question.exact else column >= question.number
    return made


def _grown(
    answers: NDArray[np.float32],
    outcome: NDArray[np.uint8],
    questions: Sequence[Question],
    usable: NDArray[np.intp],
    costs: NDArray[np.float64],
    cells: NDArray[np.intp],
    leaves: list[int],
) -> Tree | None:
    counts = np.bincount(outcome[cells], minlength=OUTCOMES)
    if counts.max() == cells.size:
        leaves[0] -= 1
        return int(counts.argmax()) if leaves[0] >= 0 else None
    classes = np.zeros((cells.size, OUTCOMES), np.float32)
    classes[np.arange(cells.size), outcome[cells]] = 1
    yes = answers[np.ix_(usable, cells)] @ classes  # [questions, outcomes]
    gain = _purity(yes) + _purity(counts - yes)
    best = int((gain - 0.02 * costs[usable]).argmax())
    if not 0 < yes[best].sum() < cells.size:
        return None
    asked = usable[best]
    question = questions[asked]
    side = answers[asked, cells] > 0
    first = _grown(answers, outcome, questions, usable, costs, cells[side], leaves)
    second = _grown(answers, outcome, questions, usable, costs, cells[~side], leaves) if first is not None else None
    if first is None or second is None:
        return None
    return (question.feature, question.exact, question.number, first, second)


def _purity(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Sum of p log p times the number of cells: 0 is pure, lower is mixed; [..., outcomes] -> [...]."""
    total = np.maximum(counts.sum(-1, keepdims=True), 1e-9)
    made: NDArray[np.float32] = (counts * np.log(np.maximum(counts, 1e-9) / total)).sum(-1)
    return made


def decided(tree: Tree, seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outcomes of a tree: features [features, cells] -> [cells]."""
    if isinstance(tree, int):
        return np.full(seen.shape[1], tree, np.uint8)
    feature, exact, number, yes, no = tree
    side = _asked(seen, Question(feature, exact, number))
    made = np.empty(seen.shape[1], np.uint8)
    made[side], made[~side] = decided(yes, seen[:, side]), decided(no, seen[:, ~side])
    return made


def voted(trees: Sequence[Tree], seen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outcome that most trees give each cell; the lowest of equals."""
    votes = np.zeros((OUTCOMES, seen.shape[1]), np.int64)
    for tree in trees:
        votes[decided(tree, seen), np.arange(seen.shape[1])] += 1
    made: NDArray[np.uint8] = votes.argmax(0).astype(np.uint8)
    return made


def leaves(tree: Tree) -> int:
    """How many outcomes a tree has."""
    return 1 if isinstance(tree, int) else leaves(tree[3]) + leaves(tree[4])


def asked_of(tree: Tree) -> set[int]:
    """The features that a tree asks for."""
    return set() if isinstance(tree, int) else {tree[0]} | asked_of(tree[3]) | asked_of(tree[4])


def renumbered(tree: Tree, numbers: dict[int, int]) -> Tree:
    """The same tree for features with other numbers."""
    if isinstance(tree, int):
        return tree
    feature, exact, number, yes, no = tree
    return (numbers[feature], exact, number, renumbered(yes, numbers), renumbered(no, numbers))
