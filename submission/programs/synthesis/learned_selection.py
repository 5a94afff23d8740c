"""Learned selection: the output is one of the parts cut out of the input, and a decision table says which.

The table maps a few traits of a part, mostly compared with the other parts, to yes or no; see `tables`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Task
from submission.deadline import Deadline
from submission.programs.grid_language.part_selection import KINDS, PROPERTIES
from submission.programs.grid_language.values import Cells, NotApplicable, Parts, require, value_key
from submission.programs.synthesis import tables
from submission.programs.synthesis.expressions import Call, Expression, expression_of
from submission.programs.synthesis.regions import LARGEST
from submission.programs.synthesis.search import State, StatePool
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.tables import CellExamples
from submission.rng import generator

COUNTED = ("cells", "holes", "colours", "symmetry", "height", "width", "components")
"""The properties that are traits by their own value, not only compared with other parts."""
TRAITS = (
    *(f"{how} {name}" for name in PROPERTIES for how in ("most", "least", "rank by", "only")),
    *(f"equals in {name}" for name in KINDS),
    *(f"has colour {colour}" for colour in range(1, 10)),
    *(f"number of {name}" for name in COUNTED),
)
"""The features of a part."""
MOST_SOURCES = 12
"""Lists of parts that are tried."""


def traits(parts: Parts) -> NDArray[np.uint8]:
    """Return all traits of all parts: [traits, parts], numbers 0..63."""
    rows: list[Sequence[int]] = []
    numbers = {name: parts.of_each(rule) for name, rule in PROPERTIES.items()}
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
        kinds = parts.of_each(rule)
        counts = Counter(kinds)
        rows.append([counts[kind] for kind in kinds])
    rows += [[bool((part.cells == colour).any()) for part in parts.items] for colour in range(1, 10)]
    rows += [numbers[name] for name in COUNTED]
    return np.minimum(np.array(rows, np.int64), LARGEST).astype(np.uint8)


def choose(parts: Parts, names: Sequence[str], table: Mapping[tuple[int, ...], int]) -> Cells:
    """Return the part for which the table says 1, by the traits of these names.

    NotApplicable if the traits of a part are not in the table, or if the selected parts have different cells.
    """
    seen = traits(parts)[[TRAITS.index(name) for name in names]].T.tolist()
    require(all(tuple(row) in table for row in seen))
    chosen = [part.cells for part, row in zip(parts.items, seen, strict=True) if table[tuple(row)]]
    require(len({value_key(cells) for cells in chosen}) == 1)
    return chosen[0]


def learned_selections(
    task: Task, pool: StatePool, states: Sequence[State], targets: tuple[int, ...], seed: int, until: Deadline
) -> Iterator[Solution]:
    """Yield programs that end with a learned selection; `targets` are the numbers of the demonstrations' outputs."""
    tried = 0
    for state in states:
        if state.kind != "parts" or until.passed() or tried >= MOST_SOURCES:
            continue
        lists = pool.lists(state)
        outputs = [pool.values[v] for v in targets]
        selected = [
            [value_key(part.cells) == value_key(output) for part in parts.items]
            for parts, output in zip(lists, outputs, strict=False)
        ]
        if all(any(each) and not all(each) for each in selected):
            tried += 1
            yield from _selections(task, state, lists, selected, seed, until)


def _selections(
    task: Task, state: State, lists: Sequence[Parts], selected: Sequence[Sequence[bool]], seed: int, until: Deadline
) -> Iterator[Solution]:
    """Yield programs that select from the lists of one state; `selected` says which parts equal the output."""
    all_traits = [traits(parts) for parts in lists]
    demos = len(selected)
    examples = CellExamples(
        np.concatenate(all_traits[:demos], 1),
        np.concatenate(all_traits[demos:], 1),
        np.concatenate(selected).astype(np.uint8),
        np.concatenate([np.full(len(each), k, np.uint8) for k, each in enumerate(selected)]),
        np.array([1.5 if name.startswith(("has", "number")) else 1.0 for name in TRAITS]),
    )
    for decision in tables.decision_tables(examples, 2, 10, generator(seed, task.id, "choices"), until):
        if decision.stability == 0:
            continue
        table = tables.entries_of(examples, decision.features)
        names = [TRAITS[k] for k in decision.features]
        try:
            answers = tuple(choose(parts, names, table) for parts in lists[demos:])
        except NotApplicable:
            continue
        build = partial(_expression, state, names, table)
        yield Solution(build, answers, state.cost + decision.cost, decision.stability, "choice")


def _expression(state: State, names: list[str], table: dict[tuple[int, ...], int], root: Expression) -> Expression:
    return Call(choose, (expression_of(state, root), names, table))
