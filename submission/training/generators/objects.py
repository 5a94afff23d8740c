"""Rules about objects: recoloured, removed, kept, copied or cut out by a property."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from submission.arc.tasks import Grid, grid_key
from submission.training.generators.canvas import (
    Mask,
    at_edge,
    blank,
    blob,
    box,
    components,
    cornered,
    extreme,
    holes_in,
    objects,
    odd_index,
    palette,
    placed,
    repainted,
    sole,
)
from submission.training.generators.instances import COIN, INK, MAYBE_INK, TURN, Instance, inks, one_of, rule, viewed


@rule(colours=inks(5))
def colour_by_size(colours: tuple[int, ...]) -> Instance:
    """An object takes its colour from its number of cells, 1 to 4."""

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: colours[min(int(part.sum()), 4)])

    return Instance(objects(blob(1, 4), colours[:1], (3, 6)), apply)


@rule(colours=inks(4))
def colour_by_holes(colours: tuple[int, ...]) -> Instance:
    """An object takes its colour from its number of holes, 0 to 2."""

    def pierced(rng: Generator) -> Mask:
        holes = int(rng.integers(3))
        if holes == 0:
            return blob(4, 7)(rng)
        mask = np.ones((3, 5 if holes == 2 else int(rng.integers(3, 5))), bool)
        mask[1, 1:-1:holes] = False
        return mask if rng.random() < 0.5 else mask.T

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: colours[1 + min(holes_in(part), 2)])

    return Instance(objects(pierced, colours[:1], (2, 3), (7, 9)), apply)


@rule(colours=inks(3))
def colour_by_edge(colours: tuple[int, ...]) -> Instance:
    """Objects at the edge of the grid take one colour, the others another one."""

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: colours[1 if at_edge(part) else 2])

    return Instance(objects(blob(2, 6), colours[:1], (3, 4), (7, 9)), apply)


@rule(base=INK, vanishes=COIN)
def infect(base: int, vanishes: bool) -> Instance:
    """An object takes the colour of the one other cell in it; an object of one colour stays, or vanishes."""
    plain = objects(blob(3, 6), (base,), (2, 4))

    def draw(rng: Generator) -> Grid:
        cells = plain(rng)
        for part in components(cells):
            places = np.argwhere(part)
            if rng.random() < 0.8:
                cells[tuple(places[rng.integers(len(places))])] = palette(rng, 1, (base,))[0]
        return cells

    def apply(cells: Grid) -> Grid:
        def ink(part: Mask) -> int:
            odd = set(cells[part].tolist()) - {base}
            return sole(odd) if odd else 0 if vanishes else base

        return repainted(cells, ink)

    return Instance(draw, apply)


@rule(least=one_of(2, 3, 4), ink=MAYBE_INK)
def remove_small(least: int, ink: int) -> Instance:
    """Objects of fewer than `least` cells vanish, or take another colour."""

    def either(rng: Generator) -> Mask:
        return (blob(1, least - 1) if rng.random() < 0.5 else blob(least, 7))(rng)

    def apply(cells: Grid) -> Grid:
        return repainted(cells, lambda part: ink if part.sum() < least else cells[part][0])

    return Instance(objects(either, 2, (3, 5), without=(ink,)), apply)


QUALITIES: dict[str, Callable[[Mask], int]] = {
    "cells": lambda part: int(part.sum()),
    "height": lambda part: int(part.any(1).sum()),
    "width": lambda part: int(part.any(0).sum()),
    "row": lambda part: int(part.any(1).argmax()),
    "column": lambda part: int(part.any(0).argmax()),
}


@rule(quality=one_of(*QUALITIES), most=COIN, crops=COIN)
def keep_extreme(quality: str, most: bool, crops: bool) -> Instance:
    """Only the object with the largest (smallest) value of a property stays, in place or cut out."""

    def apply(cells: Grid) -> Grid:
        parts = components(cells)
        part = parts[extreme([QUALITIES[quality](part) for part in parts], most)]
        return cells[box(part)] if crops else cells * part

    return Instance(objects(blob(2, 8), 3, (2, 4)), apply)


@rule(by_colour=COIN, crops=COIN)
def odd_one_out(by_colour: bool, crops: bool) -> Instance:
    """Only the object that differs from all others, in form or in colour, stays, in place or cut out."""

    def draw(rng: Generator) -> Grid:
        usual, other = palette(rng, 2)
        form = blob(3, 6)(rng)
        odd = form * np.uint8(other) if by_colour else blob(3, 6)(rng) * np.uint8(usual)
        return placed(rng, blank(rng, (7, 9)), [odd, *[form * np.uint8(usual)] * int(rng.integers(2, 4))])

    def apply(cells: Grid) -> Grid:
        parts = components(cells)
        cuts = [cells[box(part)] for part in parts]
        part = parts[odd_index([bytes([each.max()]) if by_colour else grid_key(each != 0) for each in cuts])]
        return cells[box(part)] if crops else cells * part

    return Instance(draw, apply)


@rule(kept=COIN, ink=MAYBE_INK, turns=one_of(0, 1))
def keep_symmetric(kept: bool, ink: int, turns: int) -> Instance:
    """Objects stay if their left mirrors their right (or if not); the others vanish, or take another colour."""

    def either(rng: Generator) -> Mask:
        if rng.random() < 0.5:
            return blob(3, 6)(rng)
        half = blob(2, 4)(rng)
        return np.hstack([half, half[:, ::-1]])

    def apply(cells: Grid) -> Grid:
        def mirrored(part: Mask) -> bool:
            return np.array_equal(part[box(part)], part[box(part)][:, ::-1])

        return repainted(cells, lambda part: cells[part][0] if mirrored(part) == kept else ink)

    return viewed(turns, objects(either, 2, (2, 4), without=(ink,)), apply)


@rule(ink=INK, endless=COIN, gap=one_of(0, 1), turns=TURN)
def echo(ink: int, endless: bool, gap: int, turns: int) -> Instance:
    """Below each object a copy of it in another colour is drawn, or copies down to the edge."""

    def apply(cells: Grid) -> Grid:
        out = cells.copy()
        for part in components(cells):
            rows, columns = np.nonzero(part)
            step = int(np.ptp(rows)) + 1 + gap
            for move in range(step, len(cells) if endless else step + 1, step):
                seen = rows + move < len(cells)
                copy = rows[seen] + move, columns[seen]
                out[copy] = np.where(out[copy], out[copy], ink)
        return out

    return viewed(turns, objects(blob(2, 5), 2, (1, 2), without=(ink,)), apply)


@rule(action=one_of("cut out", "keep", "erase"), turns=TURN)
def selected(action: str, turns: int) -> Instance:
    """The cell in the corner has the colour of the object to cut out, to keep, or to erase."""

    def draw(rng: Generator) -> Grid:
        canvas = cornered((6, 9))(rng)
        colours = (int(canvas[0, 0]), *palette(rng, 2, (canvas[0, 0],)))
        return placed(rng, canvas, [blob(3, 6)(rng) * np.uint8(ink) for ink in colours])

    def apply(cells: Grid) -> Grid:
        rest = cells.copy()
        rest[0, 0] = 0
        chosen = rest == cells[0, 0]
        return rest[box(chosen)] if action == "cut out" else rest * (chosen if action == "keep" else ~chosen)

    return viewed(turns, draw, apply)
