"""What may be drawn around an object, over the background: fillings, outlines, frames, rays, links.

Functions like those of `object_moves`: the object stays, and background cells get a colour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from submission.programs.grid_language.components import labelled
from submission.programs.grid_language.drawing import DIRECTIONS
from submission.programs.grid_language.object_changes import rare_cells
from submission.programs.grid_language.object_moves import target_of
from submission.programs.grid_language.scenes import FARTHEST, Ints, Painted, Scene
from submission.programs.grid_language.values import Part, bordered, require

Mask = NDArray[np.bool_]
"""[height, width]"""

STEPS = np.arange(1, FARTHEST + 1)[:, None]


def fill_box(scene: Scene, k: int, colour: int) -> Painted:
    """Paint the background of the object's bounding box; colour 0 stands for the object's own."""
    return scene.with_empty(k, in_box(scene, k), colour)


def in_box(scene: Scene, k: int) -> Mask:
    """The bounding box of an object."""
    part = scene.parts.items[k]
    mask = np.zeros(scene.cells.shape, bool)
    mask[part.top : part.top + part.cells.shape[0], part.left : part.left + part.cells.shape[1]] = True
    return mask


def fill_holes(scene: Scene, k: int, colour: int) -> Painted:
    """Paint the background that the object encloses; colour 0 stands for the object's own."""
    return scene.with_empty(k, in_holes(scene, k), colour)


def in_holes(scene: Scene, k: int) -> Mask:
    """What an object encloses."""
    part = scene.parts.items[k]
    labels, _ = labelled(bordered((part.cells == 0).astype(np.uint8), 1, 1), True, False)
    mask = np.zeros(scene.cells.shape, bool)
    inner = (labels > 0) & (labels != labels[0, 0])
    mask[part.top : part.top + part.cells.shape[0], part.left : part.left + part.cells.shape[1]] = inner[1:-1, 1:-1]
    return mask


def outline(scene: Scene, k: int, colour: int, diagonal: bool) -> Painted:
    """Paint the background cells that touch the object; colour 0 stands for the object's own."""
    return scene.with_empty(k, around(scene, k, diagonal), colour)


def around(scene: Scene, k: int, diagonal: bool) -> Mask:
    """The neighbours of an object's cells."""
    rows, columns = scene.places[k]
    mask = np.zeros((scene.cells.shape[0] + 2, scene.cells.shape[1] + 2), bool)
    for down, right in [*DIRECTIONS.values()][: 8 if diagonal else 4]:
        mask[rows + 1 + down, columns + 1 + right] = True
    return mask[1:-1, 1:-1]


def ray(scene: Scene, k: int, colour: int, directions: Sequence[str], until: str) -> Painted:
    """Send rays from all cells of the object over the background, to the "border" or the first "object".

    Rays pass behind other objects where they go to the border. Colour 0 stands for the object's own.
    """
    return scene.with_empty(k, in_rays(scene, k, directions, until), colour)


def in_rays(
    scene: Scene, k: int, directions: Sequence[str], until: str, start: tuple[Ints, Ints] | None = None
) -> Mask:  # fmt: skip
    """Where rays of an object go, from some of its cells or from all."""
    rows, columns = start or scene.places[k]
    mask = np.zeros(scene.cells.shape, bool)
    for direction in directions:
        down, right = DIRECTIONS[direction]
        at_rows, at_columns = rows + STEPS * down, columns + STEPS * right
        met = scene.walled[FARTHEST + at_rows, FARTHEST + at_columns]
        stopped = (met < 0) | ((met > 0) & (met != k + 1) if until == "object" else False)
        free = ~np.logical_or.accumulate(stopped, 0)
        mask[at_rows[free], at_columns[free]] = True
    return mask


def frame(scene: Scene, k: int, colour: int) -> Painted:
    """Draw a rectangle around the object, over the background; colour 0 stands for the object's own."""
    return scene.with_empty(k, around_box(scene, k), colour)


def around_box(scene: Scene, k: int) -> Mask:
    """The cells around an object's bounding box."""
    part = scene.parts.items[k]
    mask = np.zeros((scene.cells.shape[0] + 2, scene.cells.shape[1] + 2), bool)
    bottom, right = part.top + part.cells.shape[0], part.left + part.cells.shape[1]
    mask[part.top : bottom + 2, part.left : right + 2] = True
    mask[part.top + 1 : bottom + 1, part.left + 1 : right + 1] = False
    return mask[1:-1, 1:-1]


def ray_inward(scene: Scene, k: int, colour: int, until: str) -> Painted:
    """Send rays away from the border that the object touches, see `ray`; NotApplicable unless it touches one side."""
    return scene.with_empty(k, inward(scene, k, until), colour)


def inward(scene: Scene, k: int, until: str) -> Mask:
    """Where such rays go."""
    part, (height, width) = scene.parts.items[k], scene.cells.shape
    sides = {
        "down": part.top == 0,
        "up": part.top + part.cells.shape[0] == height,
        "right": part.left == 0,
        "left": part.left + part.cells.shape[1] == width,
    }
    away = [name for name, touches in sides.items() if touches]
    require(len(away) == 1)
    return in_rays(scene, k, away, until)


def shoot(scene: Scene, k: int, colour: int, until: str) -> Painted:
    """Send rays from the cells of the object's rarest colour, away from its middle; colour 0 stands for that colour."""
    own_colour = int(scene.cells[rare_cells(scene, k)][0])
    return scene.with_empty(k, shots(scene, k, until), colour or own_colour)


def shots(scene: Scene, k: int, until: str) -> Mask:
    """Where such rays go."""
    rows, columns = rare_cells(scene, k)
    down, right = (
        int(np.sign(np.round(2 * (each.mean() - middle))))
        for each, middle in zip((rows, columns), scene.centres[k], strict=True)
    )
    direction = next((name for name, step in DIRECTIONS.items() if step == (down, right)), "")
    require(direction != "")
    return in_rays(scene, k, (direction,), until, (rows, columns))


def link(scene: Scene, k: int, colour: int, target: str) -> Painted:
    """Paint the background between the object and a target that shares rows or columns with it, see `target_of`.

    Colour 0 stands for the object's own.
    """
    return scene.with_empty(k, between(scene, k, target), colour)


def between(scene: Scene, k: int, target: str) -> Mask:
    """The rectangle between an object and a target."""
    other = target_of(scene, k, target)
    mine, its = scene.parts.items[k], scene.parts.items[other]
    mask = np.zeros(scene.cells.shape, bool)
    rows, columns = (_overlap(mine, its, axis) for axis in (0, 1))
    require((rows is None) != (columns is None))
    down, right = rows or _gap(mine, its, 0), columns or _gap(mine, its, 1)
    mask[down[0] : down[1], right[0] : right[1]] = True
    return mask


def _span(part: Part, axis: int) -> tuple[int, int]:
    start = (part.top, part.left)[axis]
    return start, start + part.cells.shape[axis]


def _overlap(one: Part, other: Part, axis: int) -> tuple[int, int] | None:
    """The rows (axis 0) or columns that two parts share; None where there are none."""
    (a, b), (c, d) = _span(one, axis), _span(other, axis)
    return (max(a, c), min(b, d)) if max(a, c) < min(b, d) else None


def _gap(one: Part, other: Part, axis: int) -> tuple[int, int]:
    """The rows or columns between two parts that share none."""
    (a, b), (c, d) = sorted((_span(one, axis), _span(other, axis)))
    return b, c


AREAS: dict[Callable[..., Painted], Callable[..., Mask]] = {
    fill_box: in_box, fill_holes: in_holes, outline: around, ray: in_rays, frame: around_box, ray_inward: inward,
    link: between,
}  # fmt: skip
"""Of the changes that paint background in a colour: where they do. Arguments are the same, but for the colour."""
