"""The moves that are tried on objects, and the cost of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from submission.programs.grid_language import object_changes as c
from submission.programs.grid_language import object_drawing as d
from submission.programs.grid_language import object_moves as m
from submission.programs.grid_language.drawing import DIRECTIONS
from submission.programs.grid_language.patterns import AXES
from submission.programs.grid_language.scenes import FARTHEST, Painted, Scene
from submission.programs.grid_language.values import NotApplicable

Move = tuple[Callable[..., Painted], tuple[object, ...]]
"""A function of `object_moves`, `object_changes` or `object_drawing`, and its constants."""


def outcome(scene: Scene, k: int, move: Move) -> Painted | None:
    """What a move leaves of an object; None where it does not apply."""
    function, constants = move
    try:
        return function(scene, k, *constants)
    except NotApplicable:
        return None


MAIN = tuple(DIRECTIONS)[:4]
TARGETS = ("nearest", "largest", "smallest", "same colour")
RAYS = (
    *((name,) for name in DIRECTIONS), ("right", "left"), ("down", "up"), MAIN, tuple(DIRECTIONS)[4:],
    ("down-right", "up-left"), ("down-left", "up-right"), tuple(DIRECTIONS),
)  # fmt: skip


def moves(used: Sequence[int]) -> list[tuple[float, Move]]:
    """All moves for a task with these colours (without the background), each with its cost, the cheapest first."""
    entries: list[tuple[float, Callable[..., Painted], list[tuple[object, ...]]]] = [
        (0.2, m.stay, [()]),
        (0.3, m.vanish, [()]),
        (0.8, m.slide, [(name, until) for name in DIRECTIONS for until in ("object", "border")]),
        (1.0, m.approach, [(name,) for name in (*TARGETS, *map(str, used))]),
        (1.1, m.approach, [("largest of the same colour",)]),
        (1.0, m.to_centre, [()]),
        (1.0, m.into_hole, [()]),
        (1.0, m.shift, [(name, steps) for name in DIRECTIONS for steps in (1, 2, 3)]),
        (1.0, m.shift_by_size, [(name, gap) for name in DIRECTIONS for gap in (0, 1)]),
        (1.1, m.repeat, [(name, gap, times) for name in DIRECTIONS for gap in (0, 1) for times in (1, 2, FARTHEST)]),
        (0.9, c.mirrored, [(axes,) for axes in ("rows", "columns", "both", "diagonal")]),
        (1.0, c.made_symmetric, [(axes,) for axes in AXES]),
        (1.0, c.symmetric_about, [(axes,) for axes in ("rows", "columns", "both")]),
        (1.1, c.mirrored_beside, [(name,) for name in MAIN]),
        (0.7, c.recolour, [(colour,) for colour in used]),
        (0.9, c.recolour_as, [(name,) for name in ("nearest", "largest", "smallest", "same shape")]),
        (0.9, c.recolour_rarest, [()]),
        (0.9, c.recolour_commonest, [()]),
        (0.9, c.swap_colours, [()]),
        (0.9, c.turned, [(quarters,) for quarters in (1, 3)]),
        (1.0, c.copy_look, [()]),
        (1.0, c.recolour_core, [(colour,) for colour in (0, *used)]),
        (1.0, d.fill_box, [(colour,) for colour in (0, *used)]),
        (1.0, d.fill_holes, [(colour,) for colour in (0, *used)]),
        (1.0, d.frame, [(colour,) for colour in (0, *used)]),
        (1.0, d.ray_inward, [(colour, until) for colour in (0, *used) for until in ("object", "border")]),
        (1.0, d.shoot, [(colour, until) for colour in (0, *used) for until in ("object", "border")]),
        (1.0, d.link, [(colour, name) for colour in (0, *used) for name in TARGETS]),
        (1.0, d.outline, [(colour, diagonal) for colour in (0, *used) for diagonal in (True, False)]),
        (
            1.0, d.ray,
            [(colour, names, until) for names in RAYS for colour in (0, *used) for until in ("object", "border")],
        ),
    ]  # fmt: skip
    listed = [(cost, (function, constants)) for cost, function, choices in entries for constants in choices]
    return sorted(listed, key=lambda each: each[0])


def move_named(name: str, constants: Sequence[object]) -> Move:
    """The move as programs write it: the name of its function, and its constants."""
    return FUNCTIONS[name], tuple(constants)


FUNCTIONS = {function.__name__: function for _, (function, _) in moves((1,))}
"""Name -> function, of all moves."""
