"""The rows that a task's adapter is trained on, from its demonstrations alone, never from its test inputs.

A lesson is a tuple of pairs of one rule in the order they are shown; the last pair is the one that is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, combinations, islice

import numpy as np

from submission.arc.layouts import Layout
from submission.arc.prompts import Row, row
from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, Task, grid, grid_key
from submission.arc.views import SYMMETRIES, View, recolouring
from submission.config import TrainingRows

Lesson = tuple[Pair, ...]
Augmenter = Callable[[Grid], Grid]

WHOLE = 1 << 30
"""As a limit of tokens: nothing is dropped."""


def training_rows(
    task: Task, layout: Layout, settings: TrainingRows, limit: int, rng: np.random.Generator
) -> list[Row]:
    """The rows of the recipe in the settings, each of at most `limit` tokens; any prefix is a fair share.

    poe: `copies` rows for each symmetry, every row all demonstrations, newly recoloured and ordered; loss
    on every output but the first (Product of Experts, arXiv 2505.07859).
    nvarc: the same rows, loss on all outputs; its authors take 16 copies (NVARC, ARC Prize 2025).
    marc: demonstrations left out in turn, times 23 augmenters, at most `most` rows, see `related`; loss on
    every output but the first (the TTT paper, arXiv 2411.07279).

    poe and nvarc fit a row into the limit by dropping demonstrations, never cells; a row whose last pair
    alone is too long is left out. So the list is empty only where there is nothing that fits to train on.
    """
    match settings.recipe:
        case "marc":
            return _marc(task.demonstrations, layout, settings.max_rows, limit, rng)
        case "poe":
            first_learned = 1
        case "nvarc":
            first_learned = 0
    shown = _all_in_one(task.demonstrations, settings, rng)
    rows = [row(layout, lesson, limit, first_learned) for lesson in shown]
    return [each for each in rows if len(each.ids) <= limit]


def _all_in_one(demonstrations: Lesson, settings: TrainingRows, rng: np.random.Generator) -> Iterator[Lesson]:
    """All demonstrations through one random view after another; every 8 in a row have the 8 symmetries."""
    for _ in range(settings.copies):
        for symmetry in rng.permutation(SYMMETRIES):
            colours = recolouring(rng, settings.background)
            yield View(int(symmetry), colours, _shuffled(len(demonstrations), rng)).arrange(demonstrations)


def _marc(pairs: Lesson, layout: Layout, most: int, limit: int, rng: np.random.Generator) -> list[Row]:
    """Leave-one-out lessons in random order, then leave-two-out ones, until there are `most` rows.

    Lessons that are too long are left out whole. Where that leaves none, the leave-one-out lessons come
    back, shortened as poe's are; the released code does not train on such a task at all.
    """

    def rows(left_out: int, room: int) -> Iterator[Row]:
        known = _distinct(filter(is_legal, related(pairs, left_out, rng)))
        for k in rng.permutation(len(known)):
            made = row(layout, known[k], room, first_learned=1)
            if len(made.ids) <= limit:
                yield made

    whole = list(islice(chain(rows(1, WHOLE), rows(2, WHOLE)), most))
    return whole or list(islice(rows(1, limit), most))


def related(demonstrations: Lesson, left_out: int, rng: np.random.Generator) -> Iterator[Lesson]:
    """Every lesson of the TTT paper that leaves out `left_out` pairs of the context, before any filter.

    Unaugmented and under each of 23 augmenters; each lesson as it is, and once more with the colours 1..9
    and the context shuffled. Of K demonstrations these are 48 K lessons for 1 and 48 K (K - 1) for 2; some
    are equal, and some have grids over 30x30.
    """
    down, right = rng.integers(0, 4, size=2)
    changed = [
        tuple(Pair(grid(change(pair.input)), grid(change(pair.output))) for pair in demonstrations)
        for change in augmenters((int(down), int(right))).values()
    ]
    for pairs in (demonstrations, *changed):
        for lesson in leave_out(pairs, left_out):
            yield lesson
            context = len(lesson) - 1
            order = (*_shuffled(context, rng), context)
            yield View(0, recolouring(rng, "keep"), order).arrange(lesson)


def leave_out(pairs: Lesson, left_out: int) -> Iterator[Lesson]:
    """Each pair asked in turn; its context is the other pairs without any `left_out` - 1 of them."""
    shown = len(pairs) - left_out
    for asked, last in enumerate(pairs):
        others = pairs[:asked] + pairs[asked + 1 :]
        for context in combinations(others, shown) if shown >= 0 else ():
            yield (*context, last)


def augmenters(shift: tuple[int, int]) -> dict[str, Augmenter]:
    """The 23 changes of a grid that turn a rule into a related one; only some can be undone.

    `shift` is how far down and right "shift" rolls, one shift for every grid of a task: the released code
    shifts outputs otherwise than inputs, an arbitrary displacement added to the rule, not taken over here.
    """
    return {
        "turn 90": lambda g: np.rot90(g, 1),
        "turn 180": lambda g: np.rot90(g, 2),
        "turn 270": lambda g: np.rot90(g, 3),
        "flip rows": lambda g: g[::-1],
        "flip columns": lambda g: g[:, ::-1],
        "mirror below": lambda g: np.concatenate([g, g[::-1]]),
        "mirror above": lambda g: np.concatenate([g[::-1], g]),
        "mirror right": lambda g: np.concatenate([g, g[:, ::-1]], axis=1),
        "mirror left": lambda g: np.concatenate([g[:, ::-1], g], axis=1),
        "shift": lambda g: np.roll(g, shift, axis=(0, 1)),
        "transpose": lambda g: g.T,
        "double": _doubled,
        "double height": lambda g: g.repeat(2, axis=0),
        "double width": lambda g: g.repeat(2, axis=1),
        "turn 90, double": lambda g: _doubled(np.rot90(g, 1)),
        "turn 180, double": lambda g: _doubled(np.rot90(g, 2)),
        "turn 270, double": lambda g: _doubled(np.rot90(g, 3)),
        "flip rows, double": lambda g: _doubled(g[::-1]),
        "flip columns, double": lambda g: _doubled(g[:, ::-1]),
        "transpose, double": lambda g: _doubled(g.T),
        "repeat below": lambda g: np.tile(g, (2, 1)),
        "repeat right": lambda g: np.tile(g, (1, 2)),
        "repeat both": lambda g: np.tile(g, (2, 2)),
    }


def _doubled(cells: Grid) -> Grid:
    return cells.repeat(2, axis=0).repeat(2, axis=1)


def is_legal(lesson: Lesson) -> bool:
    """Whether no grid of these pairs is larger than 30x30."""
    return all(max(*pair.input.shape, *pair.output.shape) <= LARGEST_SIDE for pair in lesson)


def _distinct(known: Iterable[Lesson]) -> Sequence[Lesson]:
    """Of equal lessons the first."""
    first: dict[tuple[bytes, ...], Lesson] = {}
    for lesson in known:
        key = tuple(grid_key(side) for pair in lesson for side in (pair.input, pair.output))
        first.setdefault(key, lesson)
    return list(first.values())


def _shuffled(n: int, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(k) for k in rng.permutation(n))
