"""Decision trees for cells, for tests with combinations of features that no decision table has an entry for.

A tree asks yes-or-no questions about features, chosen by information gain (Quinlan, "Induction of Decision Trees",
1986), until every leaf has one outcome. Several trees vote, each grown on a random subset of the features (Ho, "The
Random Subspace Method for Constructing Decision Forests", 1998). Cells are not resampled, unlike in Breiman's random
forests (2001), since a program must be right for every cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from submission.deadline import Deadline
from submission.programs.synthesis.tables import CellExamples

OUTCOMES = 16
"""Outcomes are 0..15, as in `CellExamples`."""
MOST_LEAVES = 40
"""A tree with more leaves is given up: it would learn the cells by heart."""
MOST_CELLS = 4000
"""With more distinct cells no trees are grown: it would take too long."""
MOST_VALUES = 12
"""Values of one feature about which questions are asked, for each kind of question."""
FEATURES_A_TREE = 0.6
"""Share of the features that a tree may ask about."""


class Question(NamedTuple):
    """Whether a feature is equal to a number (`exact`), or at least that number."""

    feature: int
    exact: bool
    number: int


Tree = int | tuple[int, bool, int, "Tree", "Tree"]
"""A leaf is its outcome; a node is (feature, exact, number, tree for yes, tree for no)."""


def forest(examples: CellExamples, trees: int, rng: np.random.Generator, until: Deadline) -> list[Tree]:
    """Grow up to `trees` trees, each right for all cells of the demonstrations.

    A tree that would need more than MOST_LEAVES leaves is left out; at the deadline those grown so far are returned.
    """
    features, outcome = _distinct(examples)
    questions = _questions(features)
    if not questions or features.shape[1] > MOST_CELLS:
        return []
    answers = np.stack([_answers(features, q) for q in questions]).astype(np.float32)  # [questions, cells]
    costs = examples.costs[[q.feature for q in questions]]
    grown = []
    for _ in range(trees):
        if until.passed():
            break
        subset = rng.random(len(examples.costs)) < FEATURES_A_TREE
        usable = np.flatnonzero(subset[[q.feature for q in questions]])
        tree = _grown(answers, outcome, questions, usable, costs, np.arange(outcome.size), [MOST_LEAVES])
        if tree is not None:
            grown.append(tree)
    return grown


def decided(tree: Tree, features: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the outcomes of one tree: features [features, cells] -> [cells]."""
    if isinstance(tree, int):
        return np.full(features.shape[1], tree, np.uint8)
    feature, exact, number, yes, no = tree
    side = _answers(features, Question(feature, exact, number))
    result = np.empty(features.shape[1], np.uint8)
    result[side], result[~side] = decided(yes, features[:, side]), decided(no, features[:, ~side])
    return result


def voted(trees: Sequence[Tree], features: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the outcome that most trees give each cell, of equals the lowest: [features, cells] -> [cells]."""
    votes = np.zeros((OUTCOMES, features.shape[1]), np.int64)
    for tree in trees:
        votes[decided(tree, features), np.arange(features.shape[1])] += 1
    result: NDArray[np.uint8] = votes.argmax(0).astype(np.uint8)
    return result


def leaves(tree: Tree) -> int:
    """Return the number of leaves of a tree."""
    return 1 if isinstance(tree, int) else leaves(tree[3]) + leaves(tree[4])


def features_of(tree: Tree) -> set[int]:
    """Return the features that a tree asks about."""
    return set() if isinstance(tree, int) else {tree[0]} | features_of(tree[3]) | features_of(tree[4])


def renumbered(tree: Tree, numbers: dict[int, int]) -> Tree:
    """Return the same tree with its features renumbered: `numbers` maps old to new."""
    if isinstance(tree, int):
        return tree
    feature, exact, number, yes, no = tree
    return (numbers[feature], exact, number, renumbered(yes, numbers), renumbered(no, numbers))


def _distinct(examples: CellExamples) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return features [features, cells] and outcomes [cells] of the distinct cells of all demonstrations."""
    rows = np.ascontiguousarray(np.concatenate([examples.features, examples.outcome[None]]).T)
    _, kept = np.unique(rows.view(f"V{rows.shape[1]}"), return_index=True)
    return examples.features[:, kept], examples.outcome[kept]


def _questions(features: NDArray[np.uint8]) -> list[Question]:
    """Return the questions that split the cells: features [features, cells]."""
    questions = []
    for k, column in enumerate(features):
        values = np.unique(column).tolist()
        # Of two values one question tells all.
        questions += [Question(k, True, value) for value in values[: MOST_VALUES if len(values) > 2 else 1]]
        questions += [Question(k, False, value) for value in values[1:][:MOST_VALUES]]
    return questions


def _answers(features: NDArray[np.uint8], question: Question) -> NDArray[np.bool_]:
    """Return the answer for each cell: features [features, cells] -> [cells]."""
    column = features[question.feature]
    result: NDArray[np.bool_] = column == question.number if question.exact else column >= question.number
    return result


def _grown(
    answers: NDArray[np.float32],
    outcome: NDArray[np.uint8],
    questions: Sequence[Question],
    usable: NDArray[np.intp],
    costs: NDArray[np.float64],
    cells: NDArray[np.intp],
    leaves_left: list[int],
) -> Tree | None:
    """Grow a tree for some of the cells; None where no question splits them, or the tree has too many leaves.

    answers [questions, all cells] is 1 for yes; outcome [all cells]; costs [questions]; `usable` are the indices of the
    questions that this tree may ask, `cells` those of its cells. `leaves_left` holds one number, counted down in place.
    """
    counts = np.bincount(outcome[cells], minlength=OUTCOMES)
    if counts.max() == cells.size:
        leaves_left[0] -= 1
        return int(counts.argmax()) if leaves_left[0] >= 0 else None
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
    first = _grown(answers, outcome, questions, usable, costs, cells[side], leaves_left)
    if first is None:
        return None
    second = _grown(answers, outcome, questions, usable, costs, cells[~side], leaves_left)
    if second is None:
        return None
    return (question.feature, question.exact, question.number, first, second)


def _purity(counts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return minus entropy times the number of cells, 0 where all have one outcome: [..., outcomes] -> [...]."""
    total = np.maximum(counts.sum(-1, keepdims=True), 1e-9)
    result: NDArray[np.float32] = (counts * np.log(np.maximum(counts, 1e-9) / total)).sum(-1)
    return result
