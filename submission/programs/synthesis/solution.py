"""A solution: a program that fits, before it is printed; and the simplest kind, states that equal the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from submission.arc.tasks import Grid
from submission.programs.synthesis.expressions import Expression, expression_of
from submission.programs.synthesis.search import State, StatePool

Form = Literal["plain", "table", "trees", "layers", "choice", "mosaic", "scan", "objects", "template", "lookup"]
"""The last step of a program: none (a state that equals the output), or the kind of learned step."""


@dataclass(frozen=True, eq=False)
class Solution:
    """A program that reproduces every demonstration."""

    build: Callable[[Expression], Expression]
    """Maps the expression of the grid that the program starts from to the expression of its output."""
    answers: tuple[Grid, ...]
    """Its output for each test input."""
    cost: float
    """Its description length: the costs of its operations, features and table entries."""
    stability: float
    """Leave-one-out stability, 0..1: see `Program.stability`."""
    form: Form


def plain(pool: StatePool, states: Sequence[State], targets: tuple[int, ...]) -> Iterator[Solution]:
    """Yield the states that equal the outputs; `targets` are the numbers of the demonstrations' outputs.

    Stability: a demonstration can be left out unless a cheaper state fits all other demonstrations, but not this one.
    """
    count = len(targets)
    cheapest_rival = [float("inf")] * count
    for state in states:
        if state.kind != "grid":
            continue
        missed = [k for k in range(count) if state.values[k] != targets[k]]
        if len(missed) == 1 and count > 1:
            cheapest_rival[missed[0]] = min(cheapest_rival[missed[0]], state.cost)
        if not missed:
            stability = sum(state.cost <= rival for rival in cheapest_rival) / count
            answers = tuple(pool.grids(state)[count:])
            yield Solution(partial(expression_of, state), answers, state.cost, stability, "plain")
