"""A program that fits, before it is printed; and the plainest kind of them, states that are the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from submission.synthesis.expressions import Expression, expression_of
from submission.synthesis.search import Pool, State
from submission.tasks import Grid

Form = Literal["plain", "table", "trees", "layers", "choice", "mosaic", "scan"]


@dataclass(frozen=True, eq=False)
class Found:
    """A program that reproduces every demonstration."""

    build: Callable[[Expression], Expression]
    """Makes the program's expression, given that of the grid it starts from."""
    answers: tuple[Grid, ...]
    """Its output for each test input."""
    cost: float
    """Its description: operations, features, entries of tables."""
    steady: float
    """See `Program.steady`."""
    form: Form
    """How it ends."""


def plain(pool: Pool, states: Sequence[State], targets: tuple[int, ...]) -> Iterator[Found]:
    """States that are the outputs.

    A demonstration counts as one that can be left out unless some cheaper state fits all the others and not it.
    """
    count = len(targets)
    rivals = [float("inf")] * count
    for state in states:
        if state.kind != "grid":
            continue
        missed = [k for k in range(count) if state.values[k] != targets[k]]
        if len(missed) == 1 and count > 1:
            rivals[missed[0]] = min(rivals[missed[0]], state.cost)
        if not missed:
            steady = sum(state.cost <= rival for rival in rivals) / count
            yield Found(partial(expression_of, state), tuple(pool.grids(state)[count:]), state.cost, steady, "plain")
