"""Outputs in which something happens to each object of the input: learned moves, and a table that says which object
makes which.

The objects are those of one of five groupings. For every object all moves of `object_vocabulary` are tried, see
`object_fits`. One move, or two or three, must fit all objects of all demonstrations and together paint every coloured
cell of the outputs. Where there are several, a decision table over the objects' traits chooses, see `tables`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Task, grid_key
from submission.deadline import Deadline
from submission.programs.grid_language.object_moves import vanish
from submission.programs.grid_language.object_vocabulary import Move
from submission.programs.grid_language.scenes import Grouping, Scene
from submission.programs.grid_language.values import Cells, NotApplicable
from submission.programs.synthesis import tables
from submission.programs.synthesis.expressions import Call, Expression
from submission.programs.synthesis.object_fits import Bools, Choice, Fits, fits_of
from submission.programs.synthesis.objects import NAMES, all_traits, by_objects, redrawn, trait_names
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.tables import CellExamples
from submission.rng import generator

MOST_OBJECTS = 24
"""Objects of one grid; more are taken for noise."""
MOST_SETS, SETS_LEFT_OUT = 10, 4
"""Sets of moves of which tables are learned; and the same where a demonstration is left out."""
MOST_SUPPORT = 3
"""Programs with the same answers: tables of other traits that say the same are no further evidence."""
TABLES = 3
"""Tables of a set of moves."""
MOST_SETS_TRIED = 400
"""Sets of two moves that are examined, and as many of three: the cheapest."""
CHEAPEST = 12
"""Moves of which one belongs to each set of three."""


@dataclass(frozen=True, eq=False)
class Rule:
    """Moves, and a table that chooses among them."""

    moves: Sequence[Move]
    names: Sequence[str]
    """The traits that the table is of."""
    table: Mapping[tuple[int, ...], int] | None
    """Traits -> number of the move; None for one move alone."""
    cost: float
    stability: float
    """Of the table, see `tables.DecisionTable`."""

    def output(self, scene: Scene) -> Cells:
        """What the rule makes of a scene; NotApplicable where it does not apply."""
        return redrawn(scene, self.moves, self.names, self.table)


def object_rules(task: Task, until: Deadline, seed: int) -> Iterator[Solution]:
    """Yield programs that redraw the objects of the input; only for outputs as large as the inputs."""
    if any(pair.input.shape != pair.output.shape for pair in task.demonstrations):
        return
    used = sorted(
        {int(c) for pair in task.demonstrations for side in (pair.input, pair.output) for c in set(side.flat)} - {0}
    )
    seen = set()
    support: Counter[tuple[bytes, ...]] = Counter()
    for grouping in get_args(Grouping):
        scenes = [Scene(cells, grouping) for cells in (*(p.input for p in task.demonstrations), *task.tests)]
        if until.passed() or not all(_is_clear(scene) for scene in scenes):
            continue
        key = b"".join(scene.labels.tobytes() for scene in scenes)
        if key in seen:
            continue
        seen.add(key)
        for found in _rules(task, scenes, used, grouping, seed, until):
            answers = tuple(grid_key(answer) for answer in found.answers)
            support[answers] += 1
            if support[answers] <= MOST_SUPPORT:
                yield found


def _is_clear(scene: Scene) -> bool:
    """Whether the grid has objects, and not too many."""
    try:
        return len(scene.parts.items) <= MOST_OBJECTS
    except NotApplicable:
        return False


def _rules(
    task: Task, scenes: Sequence[Scene], used: Sequence[int], grouping: Grouping, seed: int, until: Deadline
) -> Iterator[Solution]:
    """Yield the rules of one grouping."""
    fits = fits_of(task, scenes, used, until)
    if fits is None or until.passed():
        return
    demos = range(len(task.demonstrations))
    rules = [*_learned(fits, demos, scenes[len(demos) :], MOST_SETS, seed, until)]
    steady = _leave_one_out(task, fits, seed, until) if rules else 0.0
    for rule in rules:
        try:
            answers = tuple(rule.output(scene) for scene in scenes[len(demos) :])
        except NotApplicable:
            continue
        yield Solution(partial(_expression, grouping, rule), answers, rule.cost, min(rule.stability, steady), "objects")


def _leave_one_out(task: Task, fits: Fits, seed: int, until: Deadline) -> float:
    """The share of demonstrations that the cheapest rule, learned from all others, gives.

    There are few objects and many traits, so that a table of theirs that fits proves little.
    """
    demos = range(len(task.demonstrations))
    return sum(_predicts(task, fits, k, seed, until) for k in demos) / len(demos)


def _predicts(task: Task, fits: Fits, number: int, seed: int, until: Deadline) -> bool:
    """Whether the rule that is learned without one demonstration gives its output."""
    others, scene = [k for k in range(len(task.demonstrations)) if k != number], fits.scenes[number]
    rules = [*_learned(fits, others, [scene], SETS_LEFT_OUT, seed, until)] if others else []
    for rule in sorted(rules, key=lambda each: each.cost):
        try:
            return np.array_equal(rule.output(scene), task.demonstrations[number].output)
        except NotApplicable:
            continue
    return False


def _choices(fits: Fits, demos: Sequence[int]) -> list[tuple[Choice, NDArray[np.uint8]]]:
    """The sets of moves that fit these demonstrations, the cheapest first, each with the move of every object."""
    inside = np.isin(fits.demonstration, demos)
    blind = ~fits.fit[:, inside]
    found = []
    for choice in chain(_singles(blind), _two_of(fits, blind), _triples(fits, blind)):
        for larger in (False, True):
            labels = fits.labels(choice, larger)
            if all(fits.complete(choice, labels, k) for k in demos):
                found.append((choice, labels))
                break
    return sorted(found, key=lambda each: fits.cost(each[0]))


def _singles(blind: Bools) -> Iterator[Choice]:
    """Moves that fit every object: `blind` [moves, objects] is where one does not."""
    yield from ((int(m),) for m in np.flatnonzero(~blind.any(1)))


def _triples(fits: Fits, blind: Bools) -> Iterator[Choice]:
    """Three moves that do, one of them among the cheapest."""
    found: set[Choice] = set()
    for first in range(min(CHEAPEST, len(fits.moves))):
        rest = blind[:, blind[first]]
        found |= {tuple(sorted({first, *two})) for two in _two_of(fits, rest) if first not in two}
    yield from sorted(found, key=fits.cost)[:MOST_SETS_TRIED]


def _two_of(fits: Fits, blind: Bools) -> list[Choice]:
    """Pairs that fit all of these objects, neither of which does so alone; the cheapest MOST_SETS_TRIED.

    To vanish may fit all of them, and yet another move be needed for what is painted.
    """
    numbers = blind.astype(np.float32)
    needed = blind.any(1) | np.array([function is vanish for _, (function, _) in fits.moves])
    both = (numbers @ numbers.T == 0) & needed & needed[:, None]
    pairs, costs = np.argwhere(np.triu(both, 1)), np.array([cost for cost, _ in fits.moves])
    cheapest = pairs[np.argsort(costs[pairs].sum(1), kind="stable")[:MOST_SETS_TRIED]]
    return [(int(a), int(b)) for a, b in cheapest]


def _learned(
    fits: Fits, demos: Sequence[int], asked: Sequence[Scene], sets: int, seed: int, until: Deadline
) -> Iterator[Rule]:
    """Yield rules that fit these demonstrations, of the cheapest `sets` of moves; tables know all that is asked."""
    for choice, labels in _choices(fits, demos)[:sets]:
        moves, cost = [fits.moves[m][1] for m in choice], fits.cost(choice)
        if len(choice) == 1:
            yield Rule(moves, (), None, cost, 1.0)
            continue
        if until.passed():
            return
        examples = _examples(fits, demos, moves, labels, asked)
        known = trait_names(len(moves))
        for decision in tables.decision_tables(examples, 2, TABLES, generator(seed, "objects"), until):
            names = [known[k] for k in decision.features]
            table = tables.entries_of(examples, decision.features)
            yield Rule(moves, names, table, cost + decision.cost, decision.stability)


def _examples(
    fits: Fits, demos: Sequence[int], moves: Sequence[Move], labels: NDArray[np.uint8], asked: Sequence[Scene]
) -> CellExamples:
    """The objects as examples for a decision table."""
    inside = np.isin(fits.demonstration, demos)
    places = {k: at for at, k in enumerate(demos)}
    return CellExamples(
        np.concatenate([all_traits(fits.scenes[k], moves) for k in demos], 1),
        np.concatenate([all_traits(scene, moves) for scene in asked], 1),
        labels[inside],
        np.array([places[int(k)] for k in fits.demonstration[inside]], np.uint8),
        np.array([1.5 if name.startswith(("has", "number")) else 1.0 for name in NAMES] + [0.5] * len(moves)),
    )


def _expression(grouping: Grouping, rule: Rule, root: Expression) -> Expression:
    shown = [(function.__name__, *constants) for function, constants in rule.moves]
    return Call(by_objects, (root, grouping, shown, *((rule.names, rule.table) if rule.table is not None else ())))
