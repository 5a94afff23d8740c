"""New rules from known ones: one random change is made to all pairs of a row, which then share another rule.

After the TTT paper's initial fine-tuning data (arXiv 2411.07279, appendix B.1: geometric changes of the inputs, the
outputs or both), with recolourings, frames and concatenations besides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np

from submission.arc.tasks import Pair, grid
from submission.arc.training_rows import Augmenter, augmenters, is_legal
from submission.arc.views import COLOURS, SYMMETRIES, View, recolouring

Change = Callable[[Pair], Pair | None]
"""Changes one pair of a row; None where it does not apply."""
Sides = Literal["input", "output", "both"]
SIDES: tuple[Sides, ...] = get_args(Sides)


def varied(pairs: Sequence[Pair], rng: np.random.Generator) -> list[Pair]:
    """All pairs under one random change; unchanged where it does not apply to one of them or makes it too large."""
    change = CHANGES[rng.integers(len(CHANGES))](rng)
    changed = [change(pair) for pair in pairs]
    legal = [pair for pair in changed if pair is not None and is_legal((pair,))]
    return legal if len(legal) == len(pairs) else list(pairs)


def turned_inputs(rng: np.random.Generator) -> Change:
    """Inputs are turned or mirrored, outputs stay."""
    return _on("input", _turn(rng))


def turned_outputs(rng: np.random.Generator) -> Change:
    """Outputs are turned or mirrored, inputs stay."""
    return _on("output", _turn(rng))


def recoloured_outputs(rng: np.random.Generator) -> Change:
    """The colours of the outputs are permuted, but for the background."""
    return _on("output", View(0, recolouring(rng, "keep"), ()).see)


def changed_both(rng: np.random.Generator) -> Change:
    """Inputs and outputs are doubled, mirrored, repeated or shifted alike."""
    return _on("both", _augmenter(rng))


def changed_outputs(rng: np.random.Generator) -> Change:
    """Outputs are doubled, mirrored, repeated or shifted, inputs stay."""
    return _on("output", _augmenter(rng))


def changed_inputs(rng: np.random.Generator) -> Change:
    """Inputs are doubled, mirrored, repeated or shifted, outputs stay."""
    return _on("input", _augmenter(rng))


def framed(rng: np.random.Generator) -> Change:
    """A frame of one colour is drawn around the inputs, the outputs, or both."""
    colour, sides = int(rng.integers(1, 10)), SIDES[rng.integers(len(SIDES))]
    return _on(sides, lambda cells: grid(np.pad(cells, 1, constant_values=colour)))


def joined(rng: np.random.Generator) -> Change:
    """The output is its input with the old output to the right or below, where their sides agree."""
    axis = int(rng.integers(2))

    def beside(pair: Pair) -> Pair | None:
        if pair.input.shape[1 - axis] != pair.output.shape[1 - axis]:
            return None
        return Pair(pair.input, grid(np.concatenate([pair.input, pair.output], axis=axis)))

    return beside


CHANGES: tuple[Callable[[np.random.Generator], Change], ...] = (
    turned_inputs, turned_outputs, recoloured_outputs, changed_both, changed_outputs, changed_inputs, framed, joined,
)  # fmt: skip


def _on(sides: Sides, alter: Augmenter) -> Change:
    """A change of the inputs, the outputs, or both alike."""
    return lambda pair: Pair(
        pair.input if sides == "output" else alter(pair.input), pair.output if sides == "input" else alter(pair.output)
    )


def _turn(rng: np.random.Generator) -> Augmenter:
    return View(int(rng.integers(1, SYMMETRIES)), COLOURS, ()).see


def _augmenter(rng: np.random.Generator) -> Augmenter:
    down, right = (int(k) for k in rng.integers(0, 4, size=2))
    known = augmenters((down, right))
    name = NO_SYMMETRIES[rng.integers(len(NO_SYMMETRIES))]
    return lambda cells: grid(known[name](cells))


NO_SYMMETRIES = (
    "double", "double height", "double width", "mirror below", "mirror above", "mirror right", "mirror left",
    "repeat below", "repeat right", "repeat both", "shift",
)  # fmt: skip
"""The augmenters that are not symmetries: a random view would draw those anyway."""
