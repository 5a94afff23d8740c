"""Rules about symmetry and repetition: hidden parts are restored, patterns continued."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from submission.arc.tasks import Grid
from submission.training.generators.canvas import (
    Cell,
    Unfit,
    box,
    palette,
    patched,
    revealed,
    scattered,
    sides,
    sole,
    specks,
)
from submission.training.generators.instances import COIN, INK, MAYBE_INK, TURN, Instance, one_of, rule, viewed


@rule(ink=MAYBE_INK, turned=COIN, turns=TURN)
def complete_mirror(ink: int, turned: bool, turns: int) -> Instance:
    """The empty half gets the mirror image (or the turned image) of the other half, in its colours or in one."""

    def draw(rng: Generator) -> Grid:
        cells = specks(2, 0.5, (4, 9), (ink,))(rng)
        cells[:, cells.shape[1] // 2 :] = 0
        return cells

    def apply(cells: Grid) -> Grid:
        image = np.flip(cells, (0, 1) if turned else 1)
        return np.where(cells, cells, np.where(image, ink or image, 0))

    return viewed(turns, draw, apply)


@rule(patch=INK, crops=COIN)
def restore_symmetry(patch: int, crops: bool) -> Instance:
    """A picture that is symmetric both ways is restored under a patch; the output is all of it, or the hidden part."""

    def draw(rng: Generator) -> Grid:
        corner = specks(4, 0.8, (3, 4), (patch,))(rng)
        half = np.hstack([corner, corner[:, ::-1]])
        return patched(rng, np.vstack([half, half[::-1]]), patch)

    def apply(cells: Grid) -> Grid:
        out = cells
        for axes in (0, 1, (0, 1)):
            out = np.where(out == patch, np.flip(cells, axes), out)
        return revealed(cells, out, patch, crops)

    return Instance(draw, apply)


@rule(patch=INK, period=one_of((1, 3), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3)), crops=COIN)
def restore_tiling(patch: int, period: Cell, crops: bool) -> Instance:
    """A periodic picture is restored under a patch; the output is all of it, or the hidden part."""

    def draw(rng: Generator) -> Grid:
        height, width = sides(rng, (6, 9))
        motif = scattered(rng, period, palette(rng, 4, (patch,)), 0.9)
        return patched(rng, np.tile(motif, (9, 9))[:height, :width], patch)

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for row, column in np.ndindex(period):
            copies = out[row :: period[0], column :: period[1]]
            copies[copies == patch] = sole(set(copies.ravel().tolist()) - {patch})
        return revealed(cells, out, patch, crops)

    return Instance(draw, apply)


@rule(ink=MAYBE_INK, turns=TURN)
def continue_pattern(ink: int, turns: int) -> Instance:
    """Columns that repeat are continued to the far side, in their colours or in one."""

    def draw(rng: Generator) -> Grid:
        period = int(rng.integers(1, 4))
        motif = scattered(rng, (int(rng.integers(1, 6)), period), palette(rng, 3, (ink,)), 0.7)
        shown = int(rng.integers(2 * period, 3 * period + 1))
        cells = np.tile(motif, 8)[:, : shown + int(rng.integers(2, 6))]
        cells[:, shown:] = 0
        return cells

    def apply(cells: Grid) -> Grid:
        shown = box(cells != 0)[1].stop
        periods = [p for p in range(1, shown // 2 + 1) if np.array_equal(cells[:, p:shown], cells[:, : shown - p])]
        if not periods:
            raise Unfit("the columns do not repeat")
        whole = cells[:, np.arange(cells.shape[1]) % periods[0]]
        return np.where((whole != cells) & (ink > 0), ink, whole)

    return viewed(turns, draw, apply)
