"""How an object may change: it is mirrored, turned, made symmetric, or recoloured.

Functions like those of `object_moves`.
"""

from __future__ import annotations

import numpy as np

from submission.programs.grid_language.colours import ranked_colour
from submission.programs.grid_language.drawing import DIRECTIONS
from submission.programs.grid_language.object_moves import step_by_size, target_of
from submission.programs.grid_language.patterns import symmetrised
from submission.programs.grid_language.scenes import Ints, Painted, Scene
from submission.programs.grid_language.values import bordered, require


def mirrored(scene: Scene, k: int, axes: str) -> Painted:
    """Mirror the object in its bounding box: its "rows", "columns", "both", or at its "diagonal" if that is square."""
    part = scene.parts.items[k]
    cells = part.cells
    if axes == "diagonal":
        require(cells.shape[0] == cells.shape[1])
        cells = cells.T
    else:
        cells = cells[:: -1 if axes in ("rows", "both") else 1, :: -1 if axes in ("columns", "both") else 1]
    rows, columns = np.nonzero(cells)
    return scene.painted(rows + part.top, columns + part.left, cells[rows, columns])


def made_symmetric(scene: Scene, k: int, axes: str) -> Painted:
    """Draw the object over its images in its bounding box, see `patterns.symmetrised`."""
    part = scene.parts.items[k]
    cells = symmetrised(part.cells, axes)
    rows, columns = np.nonzero(cells)
    return scene.painted(rows + part.top, columns + part.left, cells[rows, columns])


def symmetric_about(scene: Scene, k: int, axes: str) -> Painted:
    """Draw the object over its images at the middle of its rarest colour: mirrored in "rows", "columns" or "both".

    NotApplicable where it has one colour.
    """
    rows, columns, colours = scene.own(k)
    down, right = (int(each.min() + each.max()) for each in rare_cells(scene, k))
    images = {
        "rows": [(down - rows, columns)],
        "columns": [(rows, right - columns)],
        "both": [(down - rows, columns), (rows, right - columns), (down - rows, right - columns)],
    }[axes]
    all_rows, all_columns = (np.concatenate([image[axis] for image in images]) for axis in (0, 1))
    drawn = scene.painted(all_rows, all_columns, np.tile(colours, len(images)))
    own = scene.painted(rows, columns, colours)
    kept = ~np.isin(drawn.places, own.places)
    return Painted(np.concatenate([drawn.places[kept], own.places]), np.concatenate([drawn.colours[kept], own.colours]))


def mirrored_beside(scene: Scene, k: int, direction: str) -> Painted:
    """Put a mirror image of the object beside it, in a main direction; the object itself stays."""
    part = scene.parts.items[k]
    down, right = DIRECTIONS[direction]
    cells = part.cells[::-1] if down else part.cells[:, ::-1]
    rows, columns = np.nonzero(cells)
    step_down, step_right = step_by_size(part, direction, 0)
    mine = scene.own(k)
    return scene.painted(
        np.concatenate([mine[0], rows + part.top + step_down]),
        np.concatenate([mine[1], columns + part.left + step_right]),
        np.concatenate([mine[2], cells[rows, columns]]),
    )


# -- colours ----------------------------------------------------------------------------------------------------


def rare_cells(scene: Scene, k: int) -> tuple[Ints, Ints]:
    """Rows and columns of the cells of an object's rarest colour; NotApplicable where it has one colour."""
    rows, columns, colours = scene.own(k)
    require(bool((colours != colours[0]).any()))
    rare = colours == ranked_colour(colours, True)
    return rows[rare], columns[rare]


def recolour(scene: Scene, k: int, colour: int) -> Painted:
    """Give the whole object one colour."""
    rows, columns, _ = scene.own(k)
    return scene.painted(rows, columns, colour)


def recolour_as(scene: Scene, k: int, source: str) -> Painted:
    """Give the object the main colour of another one: of a target of `target_of`, or one of the "same shape"."""
    if source == "same shape":
        mine = scene.parts.items[k].cells != 0
        others = [
            j for j, part in enumerate(scene.parts.items)
            if part.cells.shape == mine.shape and bool(((part.cells != 0) == mine).all())
            and scene.main_colours[j] != scene.main_colours[k]
        ]  # fmt: skip
        require(len({scene.main_colours[j] for j in others}) == 1)
        return recolour(scene, k, scene.main_colours[others[0]])
    return recolour(scene, k, scene.main_colours[target_of(scene, k, source)])


def copy_look(scene: Scene, k: int) -> Painted:
    """Give the object the cells of the one other look that objects of its shape have."""
    mine = scene.parts.items[k]
    looks = {
        part.cells.tobytes(): part.cells for part in scene.parts.items
        if part.cells.shape == mine.cells.shape and bool(((part.cells > 0) == (mine.cells > 0)).all())
    }  # fmt: skip
    looks.pop(mine.cells.tobytes())
    require(len(looks) == 1)
    [look] = looks.values()
    rows, columns = np.nonzero(look)
    return scene.painted(rows + mine.top, columns + mine.left, look[rows, columns])


def recolour_commonest(scene: Scene, k: int) -> Painted:
    """Give the whole object its own most common colour; NotApplicable where it has one colour."""
    rows, columns, colours = scene.own(k)
    require(len(set(colours.tolist())) > 1)
    return scene.painted(rows, columns, scene.main_colours[k])


def swap_colours(scene: Scene, k: int) -> Painted:
    """Exchange the two colours of the object."""
    rows, columns, colours = scene.own(k)
    both = sorted(set(colours.tolist()))
    require(len(both) == 2)
    return scene.painted(rows, columns, np.where(colours == both[0], both[1], both[0]).astype(np.uint8))


def turned(scene: Scene, k: int, quarters: int) -> Painted:
    """Turn the object in its square bounding box, counter-clockwise by that many quarters."""
    part = scene.parts.items[k]
    require(part.cells.shape[0] == part.cells.shape[1])
    cells = np.rot90(part.cells, quarters)
    rows, columns = np.nonzero(cells)
    return scene.painted(rows + part.top, columns + part.left, cells[rows, columns])


def recolour_rarest(scene: Scene, k: int) -> Painted:
    """Give the whole object its own rarest colour; NotApplicable where it has one colour."""
    rows, columns, _ = scene.own(k)
    return scene.painted(rows, columns, int(scene.cells[rare_cells(scene, k)][0]))


def recolour_core(scene: Scene, k: int, colour: int) -> Painted:
    """Give a colour to the cells of the object that have the object on all four sides; 0 removes them."""
    rows, columns, colours = scene.own(k)
    own = bordered((scene.labels == k + 1).astype(np.uint8), 1, 0)
    core = own[rows, columns + 1] & own[rows + 2, columns + 1] & own[rows + 1, columns] & own[rows + 1, columns + 2]
    require(bool(core.any()))
    kept = (core == 0) | (colour > 0)
    return scene.painted(rows[kept], columns[kept], np.where(core, np.uint8(colour), colours)[kept])
