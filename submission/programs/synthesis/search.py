"""Cheapest-first search over the states that the language can reach from a task's inputs.

A state is the tuple of values that one expression has for all inputs of a task at once: demonstrations first, then
tests. States with equal values are one state, the cheapest expression's; values are numbered, and what an operation
makes of a value is computed once. (The method is icecuber's of 2020: a graph of images, breadth first, deduplicated by
their content, with the operations' typed lists of images; here the states of all grids are held together.)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from submission.deadline import Deadline
from submission.programs.grid_language.values import Cells, NotApplicable, Parts, Value, key
from submission.programs.grid_language.vocabulary import Kind, Operation


@dataclass(frozen=True, eq=False)
class State:
    """An expression and its values."""

    values: tuple[int, ...]
    """Numbers of its values, one per input: see `Pool.value`."""
    kind: Kind
    cost: float
    operation: Operation | None
    """None for the input itself, and for canvases."""
    parents: tuple[State, ...] = ()
    canvas: tuple[Callable[..., Cells], tuple[object, ...]] | None = None
    """For canvases: the function that makes it of the input, and its constants."""


@dataclass(eq=False)
class StatePool:
    """All states found, and the values they have."""

    values: list[Value] = field(default_factory=list)
    numbers: dict[bytes, int] = field(default_factory=dict)
    states: dict[tuple[int, ...], State] = field(default_factory=dict)
    made: dict[tuple[Operation, int, int], int] = field(default_factory=dict)
    """(operation, value, canvas or -1) -> the value that it gives, or -1 where it is not applicable."""

    def number(self, value: Value) -> int:
        """The number of a value, a new one if it was not seen before."""
        name = key(value)
        known = self.numbers.get(name)
        if known is None:
            known = self.numbers[name] = len(self.values)
            self.values.append(value)
        return known

    def grids(self, state: State) -> list[Cells]:
        """The grids of a state that has grids."""
        return [value for v in state.values if isinstance(value := self.values[v], np.ndarray)]

    def lists(self, state: State) -> list[Parts]:
        """The lists of parts of a state that has such."""
        return [value for v in state.values if isinstance(value := self.values[v], Parts)]


def explore(
    pool: StatePool,
    starts: Sequence[State],
    vocabulary: Sequence[Operation],
    most_states: int,
    most_cost: float,
    until: Deadline,
) -> Iterable[State]:
    """Yield states as they are found, cheapest first, until there are too many, or none, or no time is left."""
    canvases = [state for state in starts if state.kind == "canvas"]
    groups = _by_cost(vocabulary)
    queue: list[tuple[float, int, State, tuple[Operation, ...]]] = []
    order = 0
    for state in starts:
        pool.states[(*state.values, -1) if state.kind == "canvas" else state.values] = state
        if state.kind == "grid":
            yield state
        for cost, kind, group in groups:
            if kind == state.kind:
                order += 1
                heapq.heappush(queue, (state.cost + cost, order, state, group))
    while queue:
        cost, _, parent, group = heapq.heappop(queue)
        if cost > most_cost:
            return
        for operation in group:
            for canvas in canvases if operation.on_canvas else (None,):
                values = _applied(pool, operation, parent, canvas)
                if values is None or values in pool.states:
                    continue
                parents = (parent,) if canvas is None else (parent, canvas)
                state = State(values, operation.gives, cost + (canvas.cost if canvas else 0), operation, parents)
                pool.states[values] = state
                yield state
                if len(pool.states) >= most_states:
                    return
                for more, kind, following in groups:
                    if kind == state.kind and state.cost + more <= most_cost:
                        order += 1
                        heapq.heappush(queue, (state.cost + more, order, state, following))
        if until.passed():
            return


def _by_cost(vocabulary: Sequence[Operation]) -> list[tuple[float, Kind, tuple[Operation, ...]]]:
    keys = sorted({(each.cost, each.takes) for each in vocabulary})
    return [
        (cost, takes, tuple(each for each in vocabulary if (each.cost, each.takes) == (cost, takes)))
        for cost, takes in keys
    ]


def _applied(pool: StatePool, operation: Operation, state: State, canvas: State | None) -> tuple[int, ...] | None:
    made = []
    for k, number in enumerate(state.values):
        over = canvas.values[k] if canvas else -1
        result = pool.made.get((operation, number, over))
        if result is None:
            result = _computed(pool, operation, number, over)
            pool.made[(operation, number, over)] = result
        if result < 0:
            return None
        made.append(result)
    return tuple(made)


def _computed(pool: StatePool, operation: Operation, number: int, over: int) -> int:
    arguments = (pool.values[number],) if over < 0 else (pool.values[number], pool.values[over])
    try:
        result = operation.function(*arguments, *operation.constants)
    except NotApplicable:
        return -1
    if isinstance(result, np.ndarray) and max(result.shape) > 30:
        return -1
    return pool.number(result)
