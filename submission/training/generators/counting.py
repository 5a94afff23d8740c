"""Rules about counting: the number is drawn as a line or a figure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from submission.arc.tasks import Grid
from submission.training.generators.canvas import Mask, Unfit, blob, components, counts_of, objects, specks
from submission.training.generators.instances import COIN, SYMMETRY, Instance, inks, one_of, rule, viewed

TALLIES: dict[str, Callable[[int], Mask]] = {
    "row": lambda count: np.ones((1, count), bool),
    "column": lambda count: np.ones((count, 1), bool),
    "diagonal": lambda count: np.eye(count, dtype=bool),
    "track": lambda count: np.arange(9)[None] < count,
    "square": lambda count: np.ones((count, count), bool),
}


@rule(colours=inks(4), cellwise=COIN, form=one_of(*TALLIES))
def tally(colours: tuple[int, ...], cellwise: bool, form: str) -> Instance:
    """The number of objects (or cells) of one colour, 1 to 9, is drawn as a figure."""
    counted, *others, ink = colours

    def apply(cells: Grid) -> Grid:
        chosen = cells == counted
        count = int(chosen.sum()) if cellwise else len(components(chosen))
        if not 0 < count < 10:
            raise Unfit(f"{count} is not between 1 and 9")
        return TALLIES[form](count) * np.uint8(ink)

    return Instance(objects(blob(1, 3), (counted, counted, *others), (3, 8), (6, 9)), apply)


@rule(symmetry=SYMMETRY)
def histogram(symmetry: int) -> Instance:
    """Each colour becomes a bar as long as the number of its cells; the longest comes first."""

    def apply(cells: Grid) -> Grid:
        counts = counts_of(cells)
        colours = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        if (np.diff(counts[colours]) == 0).any():
            raise Unfit("two colours are equally common")
        return np.where(np.arange(counts.max()) < counts[colours][:, None], colours[:, None], 0)

    return viewed(symmetry, specks(3, 0.5, (3, 6)), apply)
