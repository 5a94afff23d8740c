"""A program that fits, before it is printed; and the plainest kind of them, states that are the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from submission.arc.tasks import Grid
from submission.programs.synthesis.expressions import Expression, expression_of
from submission.programs.synthesis.search import State, StatePool

Form = Literal["plain", "table", "trees", "layers", "choice", "mosaic", "scan"]


@dataclass(frozen=True, eq=False)
class Solution:
    """A program that reproduces every demonstration."""

    build: Callable[[Expression], Expression]
    """Makes the program's expression, given that of the grid it starts from."""
    answers: tuple[Grid, ...]
    """Its output for each test input."""
    cost: float
    """Its description: operations, features, entries of tables."""
    stability: float
    """See `Program.stability`."""
    form: Form
    """How it ends."""


def plain(pool: StatePool, states: Sequence[State], targets: tuple[int, ...]) -> Iterator[Solution]:
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
            stability = sum(state.cost <= rival for rival in rivals) / count
            yield Solution(
                partial(expression_of, state), tuple(pool.grids(state)[count:]), state.cost, stability, "plain"
            )
