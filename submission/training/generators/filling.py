"""Rules about areas: enclosed ones are filled, drops of colour spread up to walls."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from submission.arc.tasks import Grid
from submission.training.generators.canvas import Mask, at_edge, components, core, objects, palette, sides, sole, specks
from submission.training.generators.instances import COIN, INK, Instance, rule


@rule(ink=INK, inside=COIN)
def fill_enclosed(ink: int, inside: bool) -> Instance:
    """The areas that objects enclose are filled; or those that no object encloses."""

    def fence(rng: Generator) -> Mask:
        mask = ~core(sides(rng, (3, 5)))
        mask[0, 1 : 1 + int(rng.random() < 0.4)] = False
        return np.rot90(mask, int(rng.integers(4)))

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells == 0, diagonal=False):
            if at_edge(part) != inside:
                out[part] = ink
        return out

    return Instance(objects(fence, 2, (1, 3), (6, 9), (ink,)), apply)


@rule(wall=INK)
def flood(wall: int) -> Instance:
    """Each drop of colour floods the area around it, up to the walls."""

    def draw(rng: Generator) -> Grid:
        cells = specks((wall,), 0.4, (5, 8))(rng)
        for drop in palette(rng, int(rng.integers(1, 4)), (wall,)):
            free = np.flatnonzero(cells == 0)
            cells.flat[free[rng.integers(len(free))]] = drop
        return cells

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells != wall, diagonal=False):
            drops = set(cells[part].tolist()) - {0}
            out[part] = sole(drops) if drops else 0
        return out

    return Instance(draw, apply)
