"""Objects of a scene as a program sees them: their traits, and the redrawing of a grid by a rule for its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.object_vocabulary import Move, move_named, outcome
from submission.programs.grid_language.part_selection import KINDS
from submission.programs.grid_language.scenes import Grouping, Scene
from submission.programs.grid_language.values import Cells, require
from submission.programs.synthesis.learned_selection import TRAITS, traits
from submission.programs.synthesis.regions import LARGEST, line_features

PLACES = (
    "colour", "at border", "same colour", "shares rows", "shares columns", "touching", "colour touched", "upper half",
    "left half", "shape in another colour", "ends", "forks", "bends",
)  # fmt: skip
"""The traits that an object has beside those of `learned_selection`: from its scene, and as a line."""
NAMES = (*TRAITS, *PLACES)
"""All traits of an object."""


def trait_names(moves: int) -> tuple[str, ...]:
    """The names of `all_traits` with so many moves."""
    return (*NAMES, *(f"can {k}" for k in range(moves)))


def scene_traits(scene: Scene) -> NDArray[np.uint8]:
    """All traits of all objects: [names, objects], numbers 0..63."""
    items = scene.parts.items
    height, width = scene.cells.shape
    boxes = np.array([(p.top, p.top + p.cells.shape[0], p.left, p.left + p.cells.shape[1]) for p in items])
    top, bottom, left, right = boxes.T
    colours = np.array(scene.main_colours)
    rows = (top[:, None] < bottom) & (top < bottom[:, None])
    columns = (left[:, None] < right) & (left < right[:, None])
    near = (
        (top[:, None] <= bottom) & (top <= bottom[:, None]) & (left[:, None] <= right) & (left <= right[:, None])
    ) & ~np.eye(len(items), dtype=bool)  # fmt: skip
    shapes = [KINDS["shape"](part) for part in items]
    twins = [
        any(shape == other and colours[j] != colours[k] for j, other in enumerate(shapes))
        for k, shape in enumerate(shapes)
    ]
    lines = np.array([line_features(part.cells) for part in items])
    own = [
        colours,
        (top == 0) | (left == 0) | (bottom == height) | (right == width),
        (colours[:, None] == colours).sum(1),
        rows.sum(1) - 1,
        columns.sum(1) - 1,
        near.sum(1),
        (near * colours).max(1),
        scene.centres[:, 0] < (height - 1) / 2,
        scene.centres[:, 1] < (width - 1) / 2,
        twins,
        *lines.T,
    ]
    return np.concatenate([traits(scene.parts), np.minimum(np.array(own), LARGEST).astype(np.uint8)])


def all_traits(scene: Scene, moves: Sequence[Move]) -> NDArray[np.uint8]:
    """`scene_traits`, and for each of these moves whether an object can make it: [names + moves, objects]."""
    count = len(scene.parts.items)
    can = [[outcome(scene, k, move) is not None for k in range(count)] for move in moves]
    return np.concatenate([scene_traits(scene), np.array(can, np.uint8).reshape(len(moves), count)])


def by_objects(
    cells: Cells,
    grouping: Grouping,
    moves: Sequence[tuple[object, ...]],
    names: Sequence[str] = (),
    table: Mapping[tuple[int, ...], int] | None = None,
) -> Cells:
    """Redraw the grid from its objects: each makes one of the `moves`, (name of a function, *constants).

    The table maps an object's traits of these `names` to the number of its move; without one all make the first. The
    trait "can 1" is whether the object can make move 1.
    NotApplicable where a move does not apply, or an object is not in the table.
    """
    moved = [move_named(str(name), constants) for name, *constants in moves]
    return redrawn(Scene(cells, grouping), moved, names, table)


def redrawn(
    scene: Scene, moves: Sequence[Move], names: Sequence[str], table: Mapping[tuple[int, ...], int] | None
) -> Cells:
    """As `by_objects`, of a scene."""
    count = len(scene.parts.items)
    chosen = [0] * count
    if table is not None:
        known = trait_names(len(moves))
        seen = all_traits(scene, moves)[[known.index(name) for name in names]].T.tolist()
        require(all(tuple(each) in table for each in seen))
        chosen = [table[tuple(each)] for each in seen]
    result = np.zeros(scene.cells.size, np.uint8)
    for k in sorted(range(count), key=lambda k: -chosen[k]):
        painted = outcome(scene, k, moves[chosen[k]])
        require(painted is not None)
        assert painted is not None
        result[painted.places] = painted.colours
    return result.reshape(scene.cells.shape)
