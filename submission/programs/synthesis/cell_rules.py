"""Rules that make the output cell by cell, from features of the cells of states that are as large as the output.

A rule says for each cell whether it keeps the colour it has in one state (the base), or which colour it gets. It is
learned as a decision table (`tables`) or as decision trees (`trees`). Outputs that are a stack of whole states
(`layers`) are searched here as well, since they need states of the same size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from submission.arc.tasks import Grid, Task
from submission.deadline import Deadline
from submission.programs.grid_language.values import Cells, NotApplicable
from submission.programs.synthesis import features, layers, learned_steps, tables, trees
from submission.programs.synthesis.bases import fitting
from submission.programs.synthesis.expressions import Call, Expression, expression_of
from submission.programs.synthesis.search import State, StatePool
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.tables import CellExamples, FeatureSet
from submission.rng import generator

MOST_SIZES = 2
"""Groups of states, by their sizes in the tests, that rules are learned from."""
STATES_SEEN = 60
"""The cheapest states, whose colours are features of the cells."""
MORE_BASES = 2
"""Further states that are tried as base if the first one gives no rule of stability 1."""
MOST_UNSTABLE_ENTRIES = 12
"""A table of stability 0 with more entries than this is left out: it has learned the cells by heart."""
MOST_PAINTS = 5
"""Features that are tried as a source of colours."""
STATES_STACKED = 800
"""The cheapest states, of which stacks are made."""
TREES, LEAST_TREES, LEFT_OUT_TREES = 9, 3, 5
"""Trees that are grown; the fewest that may vote; trees that are grown without one demonstration."""


@dataclass(frozen=True, eq=False)
class StateFeature:
    """A feature of the cells of one state."""

    state: State
    name: str
    """One of `features.FEATURES`."""
    cost: float
    columns: tuple[Cells, ...]
    """For every input of the task, demonstrations first: [height, width] of the output."""

    def expression(self, root: Expression, known: dict[int, Expression]) -> Expression:
        """Return the expression of the feature; `known` as in `expression_of`."""
        state = expression_of(self.state, root, known)
        return state if self.name == "colour" else Call(features.feature, (state, self.name))


@dataclass(frozen=True, eq=False)
class OutputCells:
    """All cells of a task's outputs in one line, demonstrations first, then tests, with their features."""

    base: State
    """The state whose colours cells may keep."""
    features: tuple[StateFeature, ...]
    """The distinct features, the cheapest first."""
    values: NDArray[np.uint8]
    """[features, cells], numbers 0..63."""
    base_colours: NDArray[np.uint8]
    """[cells]"""
    outputs: NDArray[np.uint8]
    """[cells of demonstrations]: the right colours."""
    demonstration: NDArray[np.uint8]
    """[cells of demonstrations]: the number of the demonstration that a cell belongs to."""
    shapes: tuple[tuple[int, int], ...]
    """Height and width of each test's output."""

    def answers(self, colours: NDArray[np.uint8]) -> tuple[Grid, ...]:
        """Cut the tests' outputs out of the colours of all cells: [cells] -> a grid for each test."""
        ends = np.cumsum([h * w for h, w in self.shapes])[:-1]
        pieces = np.split(colours[self.outputs.size :], ends)
        return tuple(piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True))


def cell_rules(task: Task, pool: StatePool, states: Sequence[State], seed: int, until: Deadline) -> Iterator[Solution]:
    """Yield programs that end with a stack of layers, or with a table or trees for cells.

    The base is the cheapest state as large as the outputs; if it gives no rule of stability 1, the states that agree
    best with the outputs are tried as base too.
    """
    for group in fitting(task, pool, states)[:MOST_SIZES]:
        yield from _stacks(task, pool, group)
        for base in (group[0], *_nearest(task, pool, group)):
            stable = False
            cells = _output_cells(task, pool, group, base)
            for found in _rules(task, cells, seed, until):
                stable = stable or found.stability == 1
                yield found
            if stable or until.passed():
                break


def _nearest(task: Task, pool: StatePool, group: Sequence[State]) -> list[State]:
    """Return the states that agree with the outputs in most cells, if in more than the first state."""
    agreements = [
        sum(
            int((cells == pair.output).sum())
            for cells, pair in zip(pool.grids(state), task.demonstrations, strict=False)
        )
        for state in group
    ]
    best = sorted(range(1, len(group)), key=lambda k: (-agreements[k], group[k].cost))
    return [group[k] for k in best[:MORE_BASES] if agreements[k] > agreements[0]]


def _rules(task: Task, cells: OutputCells, seed: int, until: Deadline) -> Iterator[Solution]:
    """Yield tables; then trees, if no table has stability 1."""
    stable = False
    for paint in (None, *_paints(cells)):
        for found in _tables(task, cells, paint, seed, until):
            stable = stable or found.stability == 1
            yield found
    if not stable and not until.passed():
        for paint in (None, *_paints(cells)[:1]):
            yield from _trees(task, cells, paint, seed, until)


# -- features ---------------------------------------------------------------------------------------------------


def _output_cells(task: Task, pool: StatePool, group: Sequence[State], base: State) -> OutputCells:
    """Return the cells of the outputs with their features in this base, and their colours in other states."""
    found = _features(pool, [base, *(state for state in group[:STATES_SEEN] if state is not base)])
    bases = pool.grids(base)
    outputs = [pair.output for pair in task.demonstrations]
    return OutputCells(
        base,
        tuple(found),
        np.stack([np.concatenate([column.ravel() for column in each.columns]) for each in found]),
        np.concatenate([cells.ravel() for cells in bases]),
        np.concatenate([cells.ravel() for cells in outputs]),
        np.concatenate([np.full(cells.size, k, np.uint8) for k, cells in enumerate(outputs)]),
        tuple((cells.shape[0], cells.shape[1]) for cells in bases[len(outputs) :]),
    )


def _features(pool: StatePool, group: Sequence[State]) -> list[StateFeature]:
    """Return all features of the first state and the colours of the others, the cheapest first.

    Of features that are equal for all cells only the cheapest is kept.
    """
    distinct: dict[bytes, StateFeature] = {}
    for k, state in enumerate(group):
        grids = pool.grids(state)
        for name in features.FEATURES if k == 0 else ("colour",):
            try:
                columns = tuple(features.feature(cells, name) for cells in grids)
            except NotApplicable:
                continue
            content = b"".join(column.tobytes() for column in columns)
            cost = features.cost(name) + (state.cost if k else 0)
            if content not in distinct or distinct[content].cost > cost:
                distinct[content] = StateFeature(state, name, cost, columns)
    return sorted(distinct.values(), key=lambda each: each.cost)


def _paints(cells: OutputCells) -> list[int]:
    """Return the features that equal the output wherever it differs from the base: sources of colours.

    None are needed, and none returned, where all these cells have one colour.
    """
    count = cells.outputs.size
    changed = cells.outputs != cells.base_colours[:count]
    target = cells.outputs[changed]
    if not target.size or (target == target[0]).all():
        return []
    right = (cells.values[:, :count][:, changed] == target).all(1)
    return [
        int(k)
        for k in np.flatnonzero(right)
        if cells.features[k].name == "colour" or cells.features[k].name in features.COLOURED
    ][:MOST_PAINTS]


def _examples(cells: OutputCells, paint: int | None) -> CellExamples:
    """Return the cells with their outcomes: KEEP, or PAINT if there is a paint, else the colour of the output."""
    count = cells.outputs.size
    other = cells.outputs if paint is None else np.uint8(learned_steps.PAINT)
    kept = cells.outputs == cells.base_colours[:count]
    outcome = np.where(kept, np.uint8(learned_steps.KEEP), other).astype(np.uint8)
    costs = np.array([each.cost for each in cells.features])
    values = cells.values
    return tables.distinct(CellExamples(values[:, :count], values[:, count:], outcome, cells.demonstration, costs))


def _colours(cells: OutputCells, outcome: NDArray[np.uint8], paint: int | None) -> NDArray[np.uint8]:
    """Return outcomes as colours: [cells] -> [cells]."""
    return learned_steps.resolved(cells.base_colours, outcome, None if paint is None else cells.values[paint])


# -- tables -----------------------------------------------------------------------------------------------------


def _tables(task: Task, cells: OutputCells, paint: int | None, seed: int, until: Deadline) -> Iterator[Solution]:
    """Yield programs that end with a decision table."""
    if until.passed():
        return
    examples = _examples(cells, paint)
    for decision in tables.decision_tables(examples, 3, 12, generator(seed, task.id, "tables"), until):
        if decision.stability == 0 and decision.entries > MOST_UNSTABLE_ENTRIES:
            continue
        table = tables.entries_of(examples, decision.features)
        outcome = learned_steps.looked_up([cells.values[k] for k in decision.features], table)
        cost = decision.cost + cells.base.cost + (0.5 + cells.features[paint].cost if paint is not None else 0)
        build = partial(_table_expression, cells, decision.features, table, paint)
        yield Solution(build, cells.answers(_colours(cells, outcome, paint)), cost, decision.stability, "table")


def _table_expression(
    cells: OutputCells, chosen: FeatureSet, table: dict[tuple[int, ...], int], paint: int | None, root: Expression
) -> Expression:
    known: dict[int, Expression] = {}
    columns = [cells.features[k].expression(root, known) for k in chosen]
    extra = () if paint is None else (cells.features[paint].expression(root, known),)
    return Call(learned_steps.by_table, (expression_of(cells.base, root, known), columns, table, *extra))


# -- trees ------------------------------------------------------------------------------------------------------


def _trees(task: Task, cells: OutputCells, paint: int | None, seed: int, until: Deadline) -> Iterator[Solution]:
    """Yield the program that ends with decision trees, if enough trees can be grown and their vote is right."""
    examples = _examples(cells, paint)
    grown = trees.forest(examples, TREES, generator(seed, task.id, "trees"), until)
    if len(grown) < LEAST_TREES:
        return
    colours = _colours(cells, trees.voted(grown, cells.values), paint)
    if not (colours[: cells.outputs.size] == cells.outputs).all():
        return
    stability = _tree_stability(task, examples, seed, until)
    cost = 3 + sum(map(trees.leaves, grown)) / len(grown) / 2 + cells.base.cost
    yield Solution(partial(_tree_expression, cells, grown, paint), cells.answers(colours), cost, stability, "trees")


def _tree_stability(task: Task, examples: CellExamples, seed: int, until: Deadline) -> float:
    """Return the leave-one-out stability: the share of demonstrations that trees grown on the others get right."""
    right = 0
    numbers = range(int(examples.demonstration.max()) + 1)
    for k in numbers:
        if until.passed():
            break
        own = examples.demonstration == k
        others = CellExamples(
            examples.features[:, ~own],
            examples.test_features,
            examples.outcome[~own],
            examples.demonstration[~own],
            examples.costs,
        )
        rng = generator(seed, task.id, "steady", str(k))
        grown = trees.forest(others, LEFT_OUT_TREES, rng, until) if len(numbers) > 1 else []
        right += bool(grown) and bool((trees.voted(grown, examples.features[:, own]) == examples.outcome[own]).all())
    return right / len(numbers)


def _tree_expression(
    cells: OutputCells, grown: Sequence[trees.Tree], paint: int | None, root: Expression
) -> Expression:
    known: dict[int, Expression] = {}
    used = sorted({k for tree in grown for k in trees.features_of(tree)})
    columns = [cells.features[k].expression(root, known) for k in used]
    extra = () if paint is None else (cells.features[paint].expression(root, known),)
    numbered = [trees.renumbered(tree, {k: i for i, k in enumerate(used)}) for tree in grown]
    return Call(learned_steps.by_trees, (expression_of(cells.base, root, known), columns, numbered, *extra))


# -- layers -----------------------------------------------------------------------------------------------------


def _stacks(task: Task, pool: StatePool, group: Sequence[State]) -> Iterator[Solution]:
    """Yield programs that stack states of one group."""
    stacked = list(group[:STATES_STACKED])
    pieces = np.stack([np.concatenate([cells.ravel() for cells in pool.grids(state)]) for state in stacked])
    target = np.concatenate([pair.output.ravel() for pair in task.demonstrations])
    costs = np.array([state.cost for state in stacked])
    stacks = layers.stacks(pieces[:, : target.size], target, costs, 4)
    if not stacks:
        return
    ends = np.cumsum([pair.output.size for pair in task.demonstrations])
    stability = layers.leave_one_out(pieces[:, : target.size], target, costs, ends)
    shapes = [cells.shape for cells in pool.grids(stacked[0])[len(ends) :]]
    cuts = np.cumsum([h * w for h, w in shapes])[:-1]
    for stack in stacks:
        tests = np.split(layers.stacked(pieces, stack)[target.size :], cuts)
        answers = tuple(cells.reshape(shape) for cells, shape in zip(tests, shapes, strict=True))
        build = partial(_stack_expression, [stacked[k] for k in stack.pieces])
        yield Solution(build, answers, stack.cost, stability, "layers")


def _stack_expression(states: Sequence[State], root: Expression) -> Expression:
    known: dict[int, Expression] = {}
    return Call(learned_steps.layered, tuple(expression_of(state, root, known) for state in states))
