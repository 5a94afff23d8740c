"""Cheapest-first search over the states that the grid language reaches from a task's inputs.

A state is one expression together with its values for all inputs of a task: demonstrations first, then tests. Two
expressions with equal values are one state, represented by the cheaper of them. Values are numbered, and each
operation is computed once per value.

Source: icecuber's winning entry of 2020 (Kaggle, "Abstraction and Reasoning Challenge"), a breadth-first graph of
images without duplicates. There each node is an image of one input; here it holds the values of all inputs.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from submission.arc.tasks import LARGEST_SIDE
from submission.deadline import Deadline
from submission.programs.grid_language.values import Cells, NotApplicable, Parts, Value, value_key
from submission.programs.grid_language.vocabulary import Kind, Operation


@dataclass(frozen=True, eq=False)
class State:
    """An expression and its values."""

    values: tuple[int, ...]
    """The numbers of its values, one for each input: see `StatePool.number`."""
    kind: Kind
    cost: float
    """Sum of the costs of its operations."""
    operation: Operation | None
    """The last operation; None for the inputs themselves, and for canvases."""
    parents: tuple[State, ...] = ()
    """The operation's arguments: a state, and for operations on canvases a canvas."""
    canvas: tuple[Callable[..., Cells], tuple[object, ...]] | None = None
    """For canvases: the function that makes it from the input, and its constants."""


@dataclass(eq=False)
class StatePool:
    """All states that were found, and their values."""

    values: list[Value] = field(default_factory=list)
    """Number -> value."""
    numbers: dict[bytes, int] = field(default_factory=dict)
    """Key of a value -> its number."""
    states: dict[tuple[int, ...], State] = field(default_factory=dict)
    """Numbers of its values -> state; the key of a canvas has -1 at its end."""
    results: dict[tuple[Operation, int, int], int] = field(default_factory=dict)
    """(operation, value, canvas or -1) -> the resulting value, or -1 where the operation is not applicable."""

    def number(self, value: Value) -> int:
        """Return the number of a value, a new one if the value is new."""
        name = value_key(value)
        known = self.numbers.get(name)
        if known is None:
            known = self.numbers[name] = len(self.values)
            self.values.append(value)
        return known

    def grids(self, state: State) -> list[Cells]:
        """Return the values of a state of kind "grid" or "canvas", one for each input."""
        return [value for v in state.values if isinstance(value := self.values[v], np.ndarray)]

    def lists(self, state: State) -> list[Parts]:
        """Return the values of a state of kind "parts", one for each input."""
        return [value for v in state.values if isinstance(value := self.values[v], Parts)]


def explore(
    pool: StatePool,
    starts: Sequence[State],
    vocabulary: Sequence[Operation],
    most_states: int,
    most_cost: float,
    until: Deadline,
) -> Iterator[State]:
    """Yield states as they are found, in ascending order of cost.

    Ends at `most_states` states, above `most_cost`, at the deadline, or when no operation gives anything new.
    """
    frontier = _Frontier(vocabulary, [state for state in starts if state.kind == "canvas"])
    for state in starts:
        pool.states[(*state.values, -1) if state.kind == "canvas" else state.values] = state
        if state.kind == "grid":
            yield state
        frontier.add(state, most_cost)
    while frontier.queue:
        cost, parent, steps = frontier.pop()
        for state in _children(pool, parent, steps, cost):
            yield state
            if len(pool.states) >= most_states:
                return
            frontier.add(state, most_cost)
        if until.passed():
            return


Step = tuple[Operation, State | None]
"""An operation, and the canvas that it is applied with."""


class _Frontier:
    """A priority queue of (state, steps of one cost), the cheapest result first; equals in order of arrival."""

    def __init__(self, vocabulary: Sequence[Operation], canvases: Sequence[State]) -> None:
        self.queue: list[tuple[float, int, State, tuple[Step, ...]]] = []
        self._arrivals = 0
        groups: dict[tuple[float, Kind], list[Step]] = {}
        for operation in vocabulary:
            for canvas in canvases if operation.on_canvas else (None,):
                cost = operation.cost + (canvas.cost if canvas else 0)
                groups.setdefault((cost, operation.takes), []).append((operation, canvas))
        self._groups = [(cost, takes, tuple(groups[cost, takes])) for cost, takes in sorted(groups)]

    def add(self, state: State, most_cost: float) -> None:
        """Queue all steps for a state whose results cost at most `most_cost`."""
        for cost, takes, steps in self._groups:
            if takes == state.kind and state.cost + cost <= most_cost:
                self._arrivals += 1
                heapq.heappush(self.queue, (state.cost + cost, self._arrivals, state, steps))

    def pop(self) -> tuple[float, State, tuple[Step, ...]]:
        """Return the cost of the results, the state, and the steps to take from it."""
        cost, _, state, steps = heapq.heappop(self.queue)
        return cost, state, steps


def _children(pool: StatePool, parent: State, steps: Sequence[Step], cost: float) -> Iterator[State]:
    """Take steps of one cost from a state; add each new state to the pool and yield it."""
    for operation, canvas in steps:
        values = _applied(pool, operation, parent, canvas)
        if values is None or values in pool.states:
            continue
        parents = (parent,) if canvas is None else (parent, canvas)
        state = State(values, operation.gives, cost, operation, parents)
        pool.states[values] = state
        yield state


def _applied(pool: StatePool, operation: Operation, state: State, canvas: State | None) -> tuple[int, ...] | None:
    """Return the numbers of an operation's results for all inputs; None where it is not applicable to one of them."""
    results = []
    for k, number in enumerate(state.values):
        over = canvas.values[k] if canvas else -1
        result = pool.results.get((operation, number, over))
        if result is None:
            result = _computed(pool, operation, number, over)
            pool.results[(operation, number, over)] = result
        if result < 0:
            return None
        results.append(result)
    return tuple(results)


def _computed(pool: StatePool, operation: Operation, number: int, over: int) -> int:
    """Return the number of an operation's result for one value (and canvas), -1 where it is not applicable."""
    arguments = (pool.values[number],) if over < 0 else (pool.values[number], pool.values[over])
    try:
        result = operation.function(*arguments, *operation.constants)
    except NotApplicable:
        return -1
    if isinstance(result, np.ndarray) and max(result.shape) > LARGEST_SIDE:
        return -1
    return pool.number(result)
