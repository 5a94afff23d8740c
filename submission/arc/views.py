"""Views: augmentations of one task, each with its exact inverse.

A view is a symmetry of the square, a colour permutation, and an order of the demonstrations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, count
from typing import Literal

import numpy as np

from submission.arc.tasks import Grid, Pair

Background = Literal["keep", "permute"]
"""Whether a colour permutation leaves colour 0, the background of most tasks, or permutes it like the others."""

SYMMETRIES = 8
"""The symmetries of the square: four turns, and their mirror images."""
COLOURS = tuple(range(10))

FirstView = Literal["identity", "random"]
"""Whether a stream of views begins with the task as it is given."""

AUGMENTED = (4, 5, 7, 1, 2)
"""The symmetries of the TTT paper's views: transposed, rows and columns flipped, turned by 90 and by 180 degrees."""


@dataclass(frozen=True)
class View:
    """One augmentation of a task: a symmetry of the square, a colour permutation, an order of the demonstrations."""

    symmetry: int
    """0..7: transpose if it is 4 or more, then turn counter-clockwise by 90 degrees `symmetry % 4` times."""
    colours: tuple[int, ...]
    """colours[c] is the colour that replaces colour c."""
    order: tuple[int, ...]
    """order[k] is the number of the demonstration in place k; a demonstration that is not there is not shown."""

    def see(self, cells: Grid) -> Grid:
        """Transform a grid of the task into this view."""
        turned = np.rot90(cells.T if self.symmetry >= 4 else cells, self.symmetry % 4)
        return _frozen(np.array(self.colours, np.uint8)[turned])

    def unsee(self, cells: Grid) -> Grid:
        """Transform a grid of this view back into the task: the inverse of `see`."""
        plain = np.argsort(self.colours).astype(np.uint8)[cells]
        turned = np.rot90(plain, -(self.symmetry % 4))
        return _frozen(turned.T if self.symmetry >= 4 else turned)

    def arrange(self, demonstrations: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """Transform the demonstrations that are shown into this view, in its order."""
        return tuple(Pair(self.see(demonstrations[k].input), self.see(demonstrations[k].output)) for k in self.order)


def identity(demonstrations: int) -> View:
    """Return the view that changes nothing."""
    return View(0, COLOURS, tuple(range(demonstrations)))


def stream(
    demonstrations: int, rng: np.random.Generator, background: Background = "keep", first: FirstView = "identity"
) -> Iterator[View]:
    """Yield endless views; in every prefix the counts of the 8 symmetries differ by at most 1.

    All are random, but the first is the identity unless `first` says otherwise.
    """
    for block in count():
        symmetries = rng.permutation(SYMMETRIES)
        if block == 0 and first == "identity":
            yield identity(demonstrations)
            symmetries = symmetries[symmetries != 0]
        for symmetry in symmetries:
            yield View(int(symmetry), recolouring(rng, background), random_order(demonstrations, rng))


def leave_out_views(demonstrations: int, left_out: int, rng: np.random.Generator) -> list[View]:
    """Return the views of the TTT paper (arXiv 2411.07279, appendix E.1), in which demonstrations are missing.

    Every choice of demonstrations without `left_out` of them (at least one stays), in its own order and in two random
    ones, colours as they are; and each of five symmetries once, of a random one of these. Equal views are merged: K
    demonstrations give at most 3 K + 5 for `left_out` 1. Those in their own order come first, then the symmetries.
    """
    shown = max(1, demonstrations - left_out)
    choices = list(combinations(range(demonstrations), shown))
    reordered = [tuple(choice[k] for k in random_order(shown, rng)) for choice in choices for _ in range(2)]
    orders = list(dict.fromkeys([*choices, *reordered]))
    turned = [View(symmetry, COLOURS, orders[int(rng.integers(len(orders)))]) for symmetry in AUGMENTED]
    plain = [View(0, COLOURS, order) for order in orders]
    return [*plain[: len(choices)], *turned, *plain[len(choices) :]]


def recolouring(rng: np.random.Generator, background: Background) -> tuple[int, ...]:
    """Draw a uniformly random colour permutation; with "keep", colour 0 stays colour 0."""
    if background == "permute":
        return random_order(10, rng)
    return (0, *(1 + c for c in random_order(9, rng)))


def random_order(n: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Draw a uniformly random order of 0..n-1."""
    return tuple(int(k) for k in rng.permutation(n))


def _frozen(cells: Grid) -> Grid:
    """Return the cells C-ordered and read-only."""
    result = np.ascontiguousarray(cells)
    result.setflags(write=False)
    return result
