"""Views: the ways to look at one task (a symmetry, a recolouring, an order), each with its exact inverse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np

from submission.arc.tasks import Grid, Pair

Background = Literal["keep", "permute"]
"""Whether colour 0, the background of most tasks, keeps its place in a recolouring or moves like the others."""

SYMMETRIES = 8
COLOURS = tuple(range(10))


@dataclass(frozen=True)
class View:
    """One way to look at a task: a symmetry of the square, a colour permutation, an order of demonstrations.

    `symmetry` 0..7: transpose if it is 4 or more, then turn by 90 degrees `symmetry % 4` times.
    `colours[c]` is the colour that c is shown as. `order[k]` is the demonstration shown k-th.
    """

    symmetry: int
    colours: tuple[int, ...]
    order: tuple[int, ...]

    def see(self, cells: Grid) -> Grid:
        """The grid as this view shows it."""
        turned = np.rot90(cells.T if self.symmetry >= 4 else cells, self.symmetry % 4)
        return _frozen(np.array(self.colours, np.uint8)[turned])

    def unsee(self, cells: Grid) -> Grid:
        """The inverse of `see`, for any grid."""
        plain = np.argsort(self.colours).astype(np.uint8)[cells]
        turned = np.rot90(plain, -(self.symmetry % 4))
        return _frozen(turned.T if self.symmetry >= 4 else turned)

    def arrange(self, demonstrations: tuple[Pair, ...]) -> tuple[Pair, ...]:
        """All demonstrations, seen and in this view's order."""
        return tuple(Pair(self.see(demonstrations[k].input), self.see(demonstrations[k].output)) for k in self.order)


def identity(demonstrations: int) -> View:
    """The task as it was given."""
    return View(0, COLOURS, tuple(range(demonstrations)))


def stream(demonstrations: int, rng: np.random.Generator, background: Background = "keep") -> Iterator[View]:
    """Endless views, the identity first; in every prefix the counts of the 8 symmetries differ by at most 1."""
    for block in count():
        symmetries = rng.permutation(SYMMETRIES)
        if block == 0:
            yield identity(demonstrations)
            symmetries = symmetries[symmetries != 0]
        for symmetry in symmetries:
            yield View(int(symmetry), recolouring(rng, background), _shuffled(demonstrations, rng))


def recolouring(rng: np.random.Generator, background: Background) -> tuple[int, ...]:
    """A uniformly random colour permutation; with `keep`, colour 0 stays where it is."""
    if background == "permute":
        return _shuffled(10, rng)
    return (0, *(1 + c for c in _shuffled(9, rng)))


def _shuffled(n: int, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(k) for k in rng.permutation(n))


def _frozen(cells: Grid) -> Grid:
    made = np.ascontiguousarray(cells)
    made.setflags(write=False)
    return made
