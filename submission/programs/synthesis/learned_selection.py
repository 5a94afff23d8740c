"""Learned choices: which of the parts cut out of a grid is the output, by what is seen of a part among the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Task
from submission.deadline import Deadline
from submission.programs.grid_language.part_selection import KINDS, PROPERTIES
from submission.programs.grid_language.values import Cells, NotApplicable, Parts, key, require
from submission.programs.synthesis import tables
from submission.programs.synthesis.expressions import Call, Expression, expression_of
from submission.programs.synthesis.search import State, StatePool
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.tables import Cases
from submission.rng import generator

TRAITS = (
    *(f"{how} {name}" for name in PROPERTIES for how in ("most", "least", "rank by", "only")),
    *(f"equals in {name}" for name in KINDS),
    *(f"has colour {colour}" for colour in range(1, 10)),
    *(f"number of {name}" for name in ("cells", "holes", "colours", "symmetry", "height", "width", "components")),
)
"""What a choice may look at."""
SOURCES = 12
"""Lists of parts that are tried."""


def traits(found: Parts) -> NDArray[np.uint8]:
    """All traits of all parts: [traits, parts], numbers 0..63."""
    rows: list[Sequence[int]] = []
    numbers = {name: [rule(part) for part in found.items] for name, rule in PROPERTIES.items()}
    for name in PROPERTIES:
        own = numbers[name]
        ranks = sorted(set(own), reverse=True)
        rows += [
            [value == ranks[0] for value in own],
            [value == ranks[-1] for value in own],
            [ranks.index(value) for value in own],
            [own.count(value) for value in own],
        ]
    for rule in KINDS.values():
        kinds = [rule(part) for part in found.items]
        counts = Counter(kinds)
        rows.append([counts[kind] for kind in kinds])
    rows += [[bool((part.cells == colour).any()) for part in found.items] for colour in range(1, 10)]
    rows += [numbers[name] for name in ("cells", "holes", "colours", "symmetry", "height", "width", "components")]
    return np.minimum(np.array(rows, np.int64), 63).astype(np.uint8)


def choose(found: Parts, names: Sequence[str], table: Mapping[tuple[int, ...], int]) -> Cells:
    """The part of which the table says 1; NotApplicable unless all those look the same, or if it knows one not."""
    seen = traits(found)[[TRAITS.index(name) for name in names]].T.tolist()
    require(all(tuple(row) in table for row in seen))
    chosen = [part.cells for part, row in zip(found.items, seen, strict=True) if table[tuple(row)]]
    require(len({key(cells) for cells in chosen}) == 1)
    return chosen[0]


def choices(
    task: Task, pool: StatePool, states: Sequence[State], targets: tuple[int, ...], seed: int, until: Deadline
) -> Iterator[Solution]:
    """Programs that end with a learned choice."""
    tried = 0
    for state in states:
        if state.kind != "parts" or until.passed() or tried >= SOURCES:
            continue
        lists = pool.lists(state)
        wanted = [pool.values[v] for v in targets]
        outcome = [[key(p.cells) == key(goal) for p in items.items] for items, goal in zip(lists, wanted, strict=False)]
        if all(any(each) and not all(each) for each in outcome):
            tried += 1
            yield from _chosen(task, state, lists, outcome, seed, until)


def _chosen(
    task: Task, state: State, lists: Sequence[Parts], outcome: Sequence[Sequence[bool]], seed: int, until: Deadline
) -> Iterator[Solution]:
    seen = [traits(items) for items in lists]
    demos = len(outcome)
    cases = Cases(
        np.concatenate(seen[:demos], 1),
        np.concatenate(seen[demos:], 1),
        np.concatenate(outcome).astype(np.uint8),
        np.concatenate([np.full(len(each), k, np.uint8) for k, each in enumerate(outcome)]),
        np.array([1.5 if name.startswith(("has", "number")) else 1.0 for name in TRAITS]),
    )
    for decision in tables.decisions(cases, 2, 10, generator(seed, task.id, "choices"), until):
        if decision.stability == 0:
            continue
        table = tables.table_of(cases, decision.features)
        names = [TRAITS[k] for k in decision.features]
        try:
            answers = tuple(choose(items, names, table) for items in lists[demos:])
        except NotApplicable:
            continue
        build = partial(_expression, state, names, table)
        yield Solution(build, answers, state.cost + decision.cost, decision.stability, "choice")


def _expression(state: State, names: list[str], table: dict[tuple[int, ...], int], root: Expression) -> Expression:
    return Call(choose, (expression_of(state, root), names, table))
