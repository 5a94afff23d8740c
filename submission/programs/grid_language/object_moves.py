"""Where an object may go: it stays, vanishes, slides, goes to another one, into a hole, to the middle, or is copied.

Each move is a function from a scene and the number of an object to the cells that the object leaves in the output. The
scene is redrawn from the results of all its objects on an empty grid, see `synthesis.objects`.
"""

from __future__ import annotations

import numpy as np

from submission.programs.grid_language.components import holes
from submission.programs.grid_language.drawing import DIRECTIONS
from submission.programs.grid_language.scenes import FARTHEST, Painted, Scene
from submission.programs.grid_language.values import Part, require


def stay(scene: Scene, k: int) -> Painted:
    """Leave the object as it is."""
    return scene.painted(*scene.own(k))


def vanish(scene: Scene, k: int) -> Painted:
    """Remove the object."""
    nothing = np.zeros(0, np.intp)
    return Painted(nothing, np.zeros(0, np.uint8))


def slide(scene: Scene, k: int, direction: str, until: str) -> Painted:
    """Move the object in a direction as far as it can: to the "border", or to the first "object" in its way."""
    free = _free_steps(scene, k, direction)
    require(free[until] > 0)
    return _moved(scene, k, direction, free[until])


def _free_steps(scene: Scene, k: int, direction: str) -> dict[str, int]:
    """How far an object can go: to the border, and to the first object or the border."""
    rows, columns = scene.places[k]
    down, right = DIRECTIONS[direction]
    steps = np.arange(1, FARTHEST + 1)[:, None]
    met = scene.walled[FARTHEST + rows + steps * down, FARTHEST + columns + steps * right]  # [steps, cells]
    wall = (met < 0).any(1)
    other = ((met > 0) & (met != k + 1)).any(1)
    return {"border": int(wall.argmax()), "object": int((wall | other).argmax())}


def _moved(scene: Scene, k: int, direction: str, steps: int) -> Painted:
    rows, columns, colours = scene.own(k)
    down, right = DIRECTIONS[direction]
    return scene.painted(rows + steps * down, columns + steps * right, colours)


def approach(scene: Scene, k: int, target: str) -> Painted:
    """Move the object straight, or diagonally, towards the target until they touch; see `target_of`."""
    other = target_of(scene, k, target)
    down, right = _step_to(scene.parts.items[k], scene.parts.items[other])
    rows, columns = scene.places[k]
    steps = np.arange(1, FARTHEST + 1)[:, None]
    met = scene.walled[FARTHEST + rows + steps * down, FARTHEST + columns + steps * right] == other + 1
    require(bool(met.any()) and (down, right) != (0, 0))
    free = int(met.any(1).argmax())
    return scene.painted(rows + free * down, columns + free * right, scene.own(k)[2])


def _step_to(mine: Part, its: Part) -> tuple[int, int]:
    """One step towards another part: 0 along an axis on which the two overlap."""
    down = 0 if mine.top < its.top + its.cells.shape[0] and its.top < mine.top + mine.cells.shape[0] else 1
    right = 0 if mine.left < its.left + its.cells.shape[1] and its.left < mine.left + mine.cells.shape[1] else 1
    return down * (1 if its.top > mine.top else -1), right * (1 if its.left > mine.left else -1)


def target_of(scene: Scene, k: int, target: str) -> int:
    """Another object: the "nearest", "largest" or "smallest", of all, of the "same colour", or of a colour 1..9."""
    others = [j for j in range(len(scene.parts.items)) if j != k]
    if target.endswith("same colour"):
        others = [j for j in others if scene.main_colours[j] == scene.main_colours[k]]
    elif target.isdecimal():
        others = [j for j in others if scene.main_colours[j] == int(target)]
    require(bool(others))
    if target.startswith(("largest", "smallest")):
        sizes = [scene.places[j][0].size for j in others]
        wanted = max(sizes) if target.startswith("largest") else min(sizes)
        require(sizes.count(wanted) == 1 and (wanted > scene.places[k][0].size) == target.startswith("largest"))
        return others[sizes.index(wanted)]
    distances = [_gap(scene.parts.items[k], scene.parts.items[j]) for j in others]
    return others[int(np.argmin(distances))]


def _gap(one: Part, other: Part) -> float:
    """How far two bounding boxes are apart, rows and columns added up: 1 where they touch, 0 where they overlap."""
    down = max(other.top - one.top - one.cells.shape[0], one.top - other.top - other.cells.shape[0], -1) + 1
    right = max(other.left - one.left - one.cells.shape[1], one.left - other.left - other.cells.shape[1], -1) + 1
    return float(down + right)


def shift(scene: Scene, k: int, direction: str, steps: int) -> Painted:
    """Move the object by a number of cells; what leaves the grid is lost."""
    return _moved(scene, k, direction, steps)


def shift_by_size(scene: Scene, k: int, direction: str, gap: int) -> Painted:
    """Move the object by its own height and width, and a gap."""
    rows, columns, colours = scene.own(k)
    down, right = step_by_size(scene.parts.items[k], direction, gap)
    return scene.painted(rows + down, columns + right, colours)


def step_by_size(part: Part, direction: str, gap: int) -> tuple[int, int]:
    """Rows and columns from an object to its copy in a direction, its own size and a gap away."""
    down, right = DIRECTIONS[direction]
    return down * (part.cells.shape[0] + gap), right * (part.cells.shape[1] + gap)


def to_centre(scene: Scene, k: int) -> Painted:
    """Move the object to the middle of the bounding box of all others."""
    others = [part for j, part in enumerate(scene.parts.items) if j != k]
    require(len(others) > 1)
    part = scene.parts.items[k]
    down = min(p.top for p in others) + max(p.top + p.cells.shape[0] for p in others) - part.cells.shape[0]
    right = min(p.left for p in others) + max(p.left + p.cells.shape[1] for p in others) - part.cells.shape[1]
    require(down % 2 == 0 and right % 2 == 0)
    rows, columns, colours = scene.own(k)
    return scene.painted(rows + down // 2 - part.top, columns + right // 2 - part.left, colours)


def into_hole(scene: Scene, k: int) -> Painted:
    """Move the object into the only hole of its shape: background that another object encloses."""
    part = scene.parts.items[k]
    fitting = [
        hole for hole in holes(scene.cells).items
        if hole.cells.shape == part.cells.shape and bool(((hole.cells != 0) == (part.cells != 0)).all())
    ]  # fmt: skip
    require(len(fitting) == 1)
    rows, columns, colours = scene.own(k)
    return scene.painted(rows + fitting[0].top - part.top, columns + fitting[0].left - part.left, colours)


def repeat(scene: Scene, k: int, direction: str, gap: int, times: int) -> Painted:
    """Copy the object that many times in a direction, its own size and a gap apart; the object itself stays."""
    rows, columns, colours = scene.own(k)
    down, right = step_by_size(scene.parts.items[k], direction, gap)
    copies = np.arange(times + 1)[:, None]
    return scene.painted(
        (rows + copies * down).ravel(), (columns + copies * right).ravel(), np.tile(colours, times + 1)
    )
