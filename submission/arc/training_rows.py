"""The training rows of test-time training: sequences made from a task's demonstrations, never from its test inputs.

A row is a prompt with its answer (see `prompts.Row`): some demonstrations of one rule, the last of which stands in for
the test. Three published recipes make many rows of few demonstrations by augmentation, see `training_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, combinations, islice

import numpy as np

from submission.arc.layouts import Layout
from submission.arc.prompts import NO_LIMIT, Row, row
from submission.arc.tasks import LARGEST_SIDE, Grid, Pair, Task, grid, grid_key
from submission.arc.views import COLOURS, SYMMETRIES, View, random_order, recolouring
from submission.config import Dropped, TrainingRows

RowPairs = tuple[Pair, ...]
"""The pairs of one training row, in the order they are shown; the last one is the query with its answer."""
Augmenter = Callable[[Grid], Grid]
"""A change of a grid that, applied to all grids of a task, gives another plausible task."""


def training_rows(
    task: Task, layout: Layout, settings: TrainingRows, limit: int, rng: np.random.Generator,
    dropped: Dropped = "first",
) -> list[Row]:  # fmt: skip
    """Return the rows of the recipe in the settings, each of at most `limit` tokens, in random order.

    poe: `copies` rows for each of the 8 symmetries; every row has all demonstrations, with a new colour permutation and
    a new order; loss on every output but the first (Franzen et al., "Product of Experts with LLMs", arXiv 2505.07859).
    nvarc: the same rows, loss on all outputs; its authors take 16 copies (NVARC, ARC Prize 2025).
    marc: leave-one-out and leave-two-out rows under 23 augmenters, at most `max_rows`, see `marc_row_pairs`; loss on
    every output but the first (Akyürek et al., "The Surprising Effectiveness of Test-Time Training", arXiv 2411.07279).

    poe and nvarc shorten a row by dropping pairs, the first or the last ones, never cells; a row of which one pair
    alone is too long is left out. So the list is empty only if no demonstration fits. Every 8 rows of poe and nvarc
    have the 8 symmetries: a prefix of the list is as balanced as the whole. Without `augment` the rows of poe and nvarc
    differ in their order alone, and those of marc are the demonstrations as they are and in their order, each in turn
    the query, without one and then without two of them.
    """
    match settings.recipe:
        case "marc":
            return _marc(task.demonstrations, layout, settings, limit, rng, dropped)
        case "poe":
            first_learned = 1
        case "nvarc":
            first_learned = 0
    views = _under_random_views(task.demonstrations, settings, rng)
    rows = [row(layout, pairs, limit, first_learned, dropped) for pairs in views]
    return [each for each in rows if len(each.ids) <= limit]


def _under_random_views(
    demonstrations: RowPairs, settings: TrainingRows, rng: np.random.Generator
) -> Iterator[RowPairs]:
    """Yield all demonstrations under 8 x `copies` random views; every 8 in a row have the 8 symmetries."""
    for _ in range(settings.copies):
        for symmetry in rng.permutation(SYMMETRIES):
            if not settings.augment:
                yield View(0, COLOURS, random_order(len(demonstrations), rng)).arrange(demonstrations)
                continue
            colours = recolouring(rng, settings.background)
            yield View(int(symmetry), colours, random_order(len(demonstrations), rng)).arrange(demonstrations)


def _marc(
    pairs: RowPairs, layout: Layout, settings: TrainingRows, limit: int, rng: np.random.Generator, dropped: Dropped
) -> list[Row]:
    """Return leave-one-out rows in random order, then leave-two-out rows, up to `max_rows` rows.

    Rows over `limit` tokens are left out. Where that leaves no leave-one-out row, all leave-two-out rows are taken,
    however many, as in the released code. Where it leaves none at all, the leave-one-out rows are shortened as those of
    poe; the released code does not train on such a task.
    """
    most = settings.max_rows

    def rows(left_out: int, max_tokens: int) -> Iterator[Row]:
        made = marc_row_pairs(pairs, left_out, rng) if settings.augment else leave_out(pairs, left_out)
        variants = _distinct(filter(is_legal, made))
        for k in rng.permutation(len(variants)):
            candidate = row(layout, variants[k], max_tokens, 1, dropped)
            if len(candidate.ids) <= limit:
                yield candidate

    if one := list(islice(rows(1, NO_LIMIT), most)):
        return list(islice(chain(one, rows(2, NO_LIMIT)), most))
    return list(rows(2, NO_LIMIT)) or list(islice(rows(1, limit), most))


def marc_row_pairs(demonstrations: RowPairs, left_out: int, rng: np.random.Generator) -> Iterator[RowPairs]:
    """Yield the rows of the TTT paper that leave out `left_out` demonstrations, before any filter.

    The demonstrations are taken as they are, and under each of 23 augmenters; each row as it is, and once more with
    other colours (`other_colours`) and its context in a random order. K demonstrations give 48 K rows for `left_out` 1
    and 48 K (K - 1) for 2; some are equal, and some have grids larger than 30x30.
    """
    down, right = rng.integers(0, 4, size=2)
    augmented = [
        tuple(Pair(grid(change(pair.input)), grid(change(pair.output))) for pair in demonstrations)
        for change in augmenters((int(down), int(right))).values()
    ]
    for pairs in (demonstrations, *augmented):
        for row_pairs in leave_out(pairs, left_out):
            yield row_pairs
            context = len(row_pairs) - 1
            order = (*random_order(context, rng), context)
            yield View(0, other_colours(row_pairs, rng), order).arrange(row_pairs)


def other_colours(pairs: RowPairs, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw the colours that replace 0..9 in a row of the TTT paper: 0 stays.

    The colours in use become ones that are not, as long as there are any; the others are permuted among themselves. So
    a recolouring hardly ever changes nothing, as one in nine of all permutations does where one colour is in use.
    """
    shown = {int(cell) for pair in pairs for side in (pair.input, pair.output) for cell in np.unique(side)}
    used, free = sorted(shown - {0}), sorted(set(range(1, 10)) - shown)
    old, new = [*rng.permutation(used), *free], [*rng.permutation(free), *rng.permutation(used)]
    becomes = dict(zip(map(int, old), map(int, new), strict=True))
    return (0, *(becomes[colour] for colour in range(1, 10)))


def leave_out(pairs: RowPairs, left_out: int) -> Iterator[RowPairs]:
    """Yield rows with each pair in turn as the query, and as context the others without any `left_out` - 1 of them."""
    shown = len(pairs) - left_out
    for query, last in enumerate(pairs):
        others = pairs[:query] + pairs[query + 1 :]
        for context in combinations(others, shown) if shown >= 0 else ():
            yield (*context, last)


def augmenters(shift: tuple[int, int]) -> dict[str, Augmenter]:
    """Return the 23 augmenters of the TTT paper, by name; not all can be undone.

    `shift` is how far down and right "shift" rolls, the same for every grid of a task. (The released code shifts
    outputs and inputs differently, which adds an arbitrary displacement to the rule.)
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


def is_legal(pairs: RowPairs) -> bool:
    """Whether no grid of these pairs is larger than 30x30."""
    return all(max(*pair.input.shape, *pair.output.shape) <= LARGEST_SIDE for pair in pairs)


def _distinct(rows: Iterable[RowPairs]) -> Sequence[RowPairs]:
    """Return the rows without those that equal an earlier one."""
    first: dict[tuple[bytes, ...], RowPairs] = {}
    for pairs in rows:
        key = tuple(grid_key(side) for pair in pairs for side in (pair.input, pair.output))
        first.setdefault(key, pairs)
    return list(first.values())
