"""Learned rules for the cells of the output, from what is seen of them in the input and in other states."""

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
from submission.programs.synthesis.expressions import Call, Expression, expression_of
from submission.programs.synthesis.search import State, StatePool
from submission.programs.synthesis.solution import Solution
from submission.programs.synthesis.tables import Cases, Decision
from submission.rng import generator

STATES_SEEN = 60
"""How many states, the cheapest, have their colours among the features of cells."""
MORE_BASES = 2
"""How many further states are looked at in full where the first gives nothing stable."""
MOST_UNSTEADY = 12
"""Entries of a table that may rest on a single demonstration each: a longer one is a copy of what was seen."""
STATES_LAID = 800
"""How many may be layers."""


@dataclass(frozen=True, eq=False)
class Sight:
    """A feature of one state's cells: for every input of the task, an array as large as the output."""

    state: State
    name: str
    cost: float
    views: tuple[Cells, ...]

    def expression(self, root: Expression, made: dict[int, Expression]) -> Expression:
        """What computes it."""
        state = expression_of(self.state, root, made)
        return state if self.name == "colour" else Call(features.feature, (state, self.name))


@dataclass(frozen=True, eq=False)
class Field:
    """All cells of a task's outputs in one line, demonstrations first, and what is seen of each."""

    base: State
    """The state of which cells are kept: the cheapest that is as large as the outputs."""
    sights: tuple[Sight, ...]
    seen: NDArray[np.uint8]
    """[sights, cells]"""
    bases: NDArray[np.uint8]
    """[cells]: the base's colours."""
    outputs: NDArray[np.uint8]
    """[cells of demonstrations]: the right colours."""
    marks: NDArray[np.uint8]
    """[cells of demonstrations]: which demonstration a cell is of."""
    shapes: tuple[tuple[int, int], ...]
    """Height and width of each test's output."""

    def answers(self, cells: NDArray[np.uint8]) -> tuple[Grid, ...]:
        """The tests' outputs out of all cells in a line."""
        ends = np.cumsum([h * w for h, w in self.shapes])[:-1]
        pieces = np.split(cells[self.outputs.size :], ends)
        return tuple(piece.reshape(shape) for piece, shape in zip(pieces, self.shapes, strict=True))


def cell_rules(task: Task, pool: StatePool, states: Sequence[State], seed: int, until: Deadline) -> Iterator[Solution]:
    """Programs that end with layers, a table or trees for cells.

    Cells are seen in the cheapest state as large as the outputs; if that gives nothing stable, in those states too
    that agree with the outputs best.
    """
    for group in fitting(task, pool, states)[:2]:
        yield from _layers(task, pool, group)
        for base in (group[0], *_nearest(task, pool, group)):
            stable = False
            field = _field(task, pool, group, base)
            for found in _rules(task, field, seed, until):
                stable = stable or found.stability == 1
                yield found
            if stable or until.passed():
                break


def _nearest(task: Task, pool: StatePool, group: Sequence[State]) -> list[State]:
    """The states that agree in most cells with the outputs, if in more than the first state."""
    agreements = [
        sum(
            int((cells == pair.output).sum())
            for cells, pair in zip(pool.grids(state), task.demonstrations, strict=False)
        )
        for state in group
    ]
    best = sorted(range(1, len(group)), key=lambda k: (-agreements[k], group[k].cost))
    return [group[k] for k in best[:MORE_BASES] if agreements[k] > agreements[0]]


def _rules(task: Task, field: Field, seed: int, until: Deadline) -> Iterator[Solution]:
    stable = False
    for paint in (None, *_paints(field)):
        for found in _tables(task, field, paint, seed, until):
            stable = stable or found.stability == 1
            yield found
    if not stable and not until.passed():
        for paint in (None, *_paints(field)[:1]):
            yield from _trees(task, field, paint, seed, until)


def fitting(task: Task, pool: StatePool, states: Sequence[State]) -> list[list[State]]:
    """Groups of states as large as the outputs in all demonstrations, by their sizes in the tests; cheapest first."""
    shapes = [pair.output.shape for pair in task.demonstrations]
    groups: dict[tuple[tuple[int, ...], ...], list[State]] = {}
    for state in states:
        if state.kind == "grid":
            grids = pool.grids(state)
            if all(cells.shape == shape for cells, shape in zip(grids, shapes, strict=False)):
                groups.setdefault(tuple(cells.shape for cells in grids[len(shapes) :]), []).append(state)
    return list(groups.values())


def _field(task: Task, pool: StatePool, group: Sequence[State], base: State) -> Field:
    seen = _sights(pool, [base, *(state for state in group[:STATES_SEEN] if state is not base)])
    bases = pool.grids(base)
    outputs = [pair.output for pair in task.demonstrations]
    return Field(
        base,
        tuple(seen),
        np.stack([np.concatenate([view.ravel() for view in sight.views]) for sight in seen]),
        np.concatenate([cells.ravel() for cells in bases]),
        np.concatenate([cells.ravel() for cells in outputs]),
        np.concatenate([np.full(cells.size, k, np.uint8) for k, cells in enumerate(outputs)]),
        tuple((cells.shape[0], cells.shape[1]) for cells in bases[len(outputs) :]),
    )


def _sights(pool: StatePool, group: Sequence[State]) -> list[Sight]:
    """All features of the first state, the colours of the others; each distinct content once, the cheapest first."""
    distinct: dict[bytes, Sight] = {}
    for k, state in enumerate(group):
        grids = pool.grids(state)
        for name in features.FEATURES if k == 0 else ("colour",):
            try:
                views = tuple(features.feature(cells, name) for cells in grids)
            except NotApplicable:
                continue
            content = b"".join(view.tobytes() for view in views)
            cost = features.cost(name) + (state.cost if k else 0)
            if content not in distinct or distinct[content].cost > cost:
                distinct[content] = Sight(state, name, cost, views)
    return sorted(distinct.values(), key=lambda sight: sight.cost)


def _paints(field: Field, most: int = 5) -> list[int]:
    """Sights that give the right colour wherever the output differs from the base; none where one colour does."""
    count = field.outputs.size
    changed = field.outputs != field.bases[:count]
    target = field.outputs[changed]
    if not target.size or (target == target[0]).all():
        return []
    right = (field.seen[:, :count][:, changed] == target).all(1)
    return [
        int(k)
        for k in np.flatnonzero(right)
        if field.sights[k].name == "colour" or field.sights[k].name in features.COLOURED
    ][:most]


def _cases(field: Field, paint: int | None) -> Cases:
    """What becomes of each cell, distinct ones once: it is kept, or painted, or gets a colour of its own."""
    count = field.outputs.size
    other = field.outputs if paint is None else np.uint8(learned_steps.PAINT)
    outcome = np.where(field.outputs == field.bases[:count], np.uint8(learned_steps.KEEP), other).astype(np.uint8)
    costs = np.array([sight.cost for sight in field.sights])
    return tables.distinct(Cases(field.seen[:, :count], field.seen[:, count:], outcome, field.marks, costs))


def _tables(task: Task, field: Field, paint: int | None, seed: int, until: Deadline) -> Iterator[Solution]:
    if until.passed():
        return
    cases = _cases(field, paint)
    for decision in tables.decisions(cases, 3, 12, generator(seed, task.id, "tables"), until):
        if decision.stability == 0 and decision.entries > MOST_UNSTEADY:
            continue
        table = tables.table_of(cases, decision.features)
        outcome = learned_steps.looked_up([field.seen[k] for k in decision.features], table)
        cost = decision.cost + field.base.cost + (0.5 + field.sights[paint].cost if paint is not None else 0)
        build = partial(_table_expression, field, decision, table, paint)
        yield Solution(build, field.answers(_painted(field, outcome, paint)), cost, decision.stability, "table")


def _painted(field: Field, outcome: NDArray[np.uint8], paint: int | None) -> NDArray[np.uint8]:
    return learned_steps.resolved(field.bases, outcome, None if paint is None else field.seen[paint])


def _table_expression(
    field: Field, decision: Decision, table: dict[tuple[int, ...], int], paint: int | None, root: Expression
) -> Expression:
    made: dict[int, Expression] = {}
    columns = [field.sights[k].expression(root, made) for k in decision.features]
    extra = () if paint is None else (field.sights[paint].expression(root, made),)
    return Call(learned_steps.by_table, (expression_of(field.base, root, made), columns, table, *extra))


def _trees(task: Task, field: Field, paint: int | None, seed: int, until: Deadline) -> Iterator[Solution]:
    cases = _cases(field, paint)
    grown = trees.forest(cases, 9, generator(seed, task.id, "trees"), until)
    if len(grown) < 3:
        return
    cells = _painted(field, trees.voted(grown, field.seen), paint)
    if not (cells[: field.outputs.size] == field.outputs).all():
        return
    stability = _tree_steadiness(task, cases, seed, until)
    cost = 3 + sum(map(trees.leaves, grown)) / len(grown) / 2 + field.base.cost
    yield Solution(partial(_tree_expression, field, grown, paint), field.answers(cells), cost, stability, "trees")


def _tree_steadiness(task: Task, cases: Cases, seed: int, until: Deadline) -> float:
    """Share of demonstrations whose cells are all decided rightly by trees grown on the others."""
    right = 0
    marks = range(int(cases.demonstration.max()) + 1)
    for k in marks:
        if until.passed():
            break
        own = cases.demonstration == k
        others = Cases(cases.seen[:, ~own], cases.asked, cases.outcome[~own], cases.demonstration[~own], cases.costs)
        grown = trees.forest(others, 5, generator(seed, task.id, "steady", str(k)), until) if len(marks) > 1 else []
        right += bool(grown) and bool((trees.voted(grown, cases.seen[:, own]) == cases.outcome[own]).all())
    return right / len(marks)


def _tree_expression(field: Field, grown: Sequence[trees.Tree], paint: int | None, root: Expression) -> Expression:
    made: dict[int, Expression] = {}
    used = sorted({k for tree in grown for k in trees.asked_of(tree)})
    columns = [field.sights[k].expression(root, made) for k in used]
    extra = () if paint is None else (field.sights[paint].expression(root, made),)
    numbered = [trees.renumbered(tree, {k: i for i, k in enumerate(used)}) for tree in grown]
    return Call(learned_steps.by_trees, (expression_of(field.base, root, made), columns, numbered, *extra))


def _layers(task: Task, pool: StatePool, group: Sequence[State]) -> Iterator[Solution]:
    laid = list(group[:STATES_LAID])
    pieces = np.stack([np.concatenate([cells.ravel() for cells in pool.grids(state)]) for state in laid])
    target = np.concatenate([pair.output.ravel() for pair in task.demonstrations])
    costs = np.array([state.cost for state in laid])
    stacks = layers.stacks(pieces[:, : target.size], target, costs, 4)
    if not stacks:
        return
    ends = np.cumsum([pair.output.size for pair in task.demonstrations])
    stability = layers.steadiness(pieces[:, : target.size], target, costs, ends)
    shapes = [cells.shape for cells in pool.grids(laid[0])[len(ends) :]]
    cuts = np.cumsum([h * w for h, w in shapes])[:-1]
    for stack in stacks:
        tests = np.split(layers.laid(pieces, stack)[target.size :], cuts)
        answers = tuple(cells.reshape(shape) for cells, shape in zip(tests, shapes, strict=True))
        yield Solution(
            partial(_layer_expression, [laid[k] for k in stack.pieces]), answers, stack.cost, stability, "layers"
        )


def _layer_expression(states: Sequence[State], root: Expression) -> Expression:
    made: dict[int, Expression] = {}
    return Call(learned_steps.layered, tuple(expression_of(state, root, made) for state in states))
