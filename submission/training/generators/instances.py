"""Rules, their instances with hidden parameters drawn, and the pairs and families that an instance makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator

from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, grid, grid_key
from submission.arc.views import COLOURS, SYMMETRIES, View
from submission.training.generators.canvas import DIAGONAL, STRAIGHT, Draw, Unfit

Apply = Callable[[Grid], Grid]

MOST_CELLS = 200
"""Of both grids of a pair together."""
TRIES = 200
"""Inputs that are drawn for one pair before Unfit is raised."""


class Instance(NamedTuple):
    """A rule with its hidden parameters drawn: draws an input, makes its output. Both may raise Unfit."""

    draw: Draw
    apply: Apply


Rule = Callable[[Generator], Instance]
RULES: dict[str, Rule] = {}
"""Name -> draws the hidden parameters. The name also seeds the draws, see `corpus`."""


def family(name: str, number: int, rng: Generator) -> tuple[Pair, ...]:
    """`number` pairs of one instance of a rule, with different inputs.

    Unfit if TRIES + 4 * number drawings give fewer.
    """
    instance = RULES[name](rng)
    made: dict[bytes, Pair] = {}
    for _ in range(TRIES + 4 * number):
        if len(made) == number:
            return tuple(made.values())
        drawn = pair(instance, rng)
        made.setdefault(grid_key(drawn.input), drawn)
    raise Unfit(f"{name}: {len(made)} pairs were found where {number} were asked for")


def pair(instance: Instance, rng: Generator) -> Pair:
    """A pair whose output is neither blank nor equal to its input, and whose grids are small enough.

    Unfit if TRIES drawings give none.
    """
    for _ in range(TRIES):
        try:
            cells = instance.draw(rng)
            out = instance.apply(cells)
        except Unfit:
            continue
        fits = max(cells.shape + out.shape) <= LARGEST_SIDE and cells.size + out.size <= MOST_CELLS
        if fits and out.any() and not np.array_equal(cells, out):
            return Pair(cells, out)
    raise Unfit(f"no pair in {TRIES} drawings")


def viewed(symmetry: int, draw: Draw, apply: Apply) -> Instance:
    """The instance on grids that are turned or mirrored."""
    view = View(symmetry, COLOURS, ())
    return Instance(lambda rng: view.unsee(draw(rng)), lambda cells: view.unsee(apply(view.see(cells))))


Hidden = Callable[[Generator], Any]
"""Draws one hidden parameter."""


def rule(**hidden: Hidden) -> Callable[[Callable[..., Instance]], Callable[..., Instance]]:
    """Register a kind of rule in RULES, with how each hidden parameter is drawn; its grids become read-only uint8."""

    def enter(make: Callable[..., Instance]) -> Callable[..., Instance]:
        @wraps(make)
        def made(**chosen: Any) -> Instance:
            draw, apply = make(**chosen)
            return Instance(lambda rng: grid(draw(rng)), lambda cells: grid(apply(cells)))

        RULES[make.__name__] = lambda rng: made(**{name: choose(rng) for name, choose in hidden.items()})
        return made

    return enter


def one_of(*values: Any) -> Hidden:
    """One of the values."""
    return lambda rng: values[int(rng.integers(len(values)))]


def several(number: int, values: Sequence[Any]) -> Hidden:
    """`number` different ones of the values, in random order."""
    return lambda rng: tuple(values[k] for k in rng.permutation(len(values))[:number])


ROSES = (STRAIGHT, DIAGONAL, STRAIGHT[1:3], STRAIGHT[::3], *((step,) for step in STRAIGHT + DIAGONAL))
"""Sets of directions: four straight, four diagonal, two straight ones, or a single one."""

COIN = one_of(False, True)
INK = one_of(*range(1, 10))
MAYBE_INK = one_of(*range(1, 10), *[0] * 9)
"""A colour, or 0 for no colour of its own."""
TURN = one_of(*range(4))
SYMMETRY = one_of(*range(SYMMETRIES))
AXES = one_of((0,), (1,), (0, 1))


def inks(number: int) -> Hidden:
    """`number` different colours, none of them black."""
    return several(number, range(1, 10))
