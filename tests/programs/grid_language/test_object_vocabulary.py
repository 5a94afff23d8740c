"""What may happen to an object: each move on an example that can be worked out by eye ('.' is background)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from submission.programs.grid_language import object_changes as c
from submission.programs.grid_language import object_drawing as d
from submission.programs.grid_language import object_moves as m
from submission.programs.grid_language.object_vocabulary import move_named, moves, outcome
from submission.programs.grid_language.scenes import Grouping, Painted, Scene
from submission.programs.grid_language.values import NotApplicable
from tests.support.cases import cases
from tests.support.drawn import cells, text


def moved(drawing: str, k: int, move: Callable[..., Painted], constants: tuple[object, ...], of: Grouping) -> str:
    """What one object alone leaves of the grid; "no" where the move does not apply."""
    scene = Scene(cells(drawing), of)
    painted = outcome(scene, k, (move, constants))
    if painted is None:
        return "no"
    result = np.zeros(scene.cells.size, np.uint8)
    result[painted.places] = painted.colours
    return text(result.reshape(scene.cells.shape))


MOVES = [
    (m.stay, (), "12 ..", 1, ".2 .."),
    (m.vanish, (), "12 ..", 1, ".. .."),
    (m.slide, ("right", "border"), "1..2", 0, "...1"),
    (m.slide, ("right", "object"), "1..2", 0, "..1."),
    (m.slide, ("left", "object"), "1..2", 0, "no"),
    (m.slide, ("down-right", "border"), "1.. ... ...", 0, "... ... ..1"),
    (m.approach, ("nearest",), "1..22", 0, "..1.."),
    (m.approach, ("largest",), "1... .... ..22 ..22", 0, ".... .1.. .... ...."),
    (m.approach, ("largest",), "1... .... ..22 ..22", 1, "no"),
    (m.approach, ("2",), "3.1..2", 1, "....1."),
    (m.approach, ("same colour",), "1.2.1", 0, "...1."),
    (m.approach, ("largest of the same colour",), "1..2.11", 0, "....1.."),
    (m.approach, ("2",), "1.3", 0, "no"),
    (m.to_centre, (), "3.. 1.. ..3", 1, "... .1. ..."),
    (m.to_centre, (), "3.1", 0, "no"),
    (m.into_hole, (), "222. 2.21 222.", 1, ".... .1.. ...."),
    (m.into_hole, (), "222. 2221 222.", 1, "no"),
    (m.shift, ("right", 2), "1...", 0, "..1."),
    (m.shift, ("left", 1), "11..", 0, "1..."),
    (m.shift_by_size, ("right", 1), "11...", 0, "...11"),
    (m.repeat, ("right", 0, 1), "11...", 0, "1111."),
    (m.repeat, ("right", 1, 30), "1....", 0, "1.1.1"),
    (c.mirrored, ("columns",), "11. 1.. ...", 0, "11. .1. ..."),
    (c.mirrored, ("diagonal",), "11. 1.. 1..", 0, "no"),
    (c.mirrored, ("diagonal",), "11. ..1 ..1", 0, "1.. 1.. .11"),
    (c.made_symmetric, ("columns",), "111 1..", 0, "111 1.1"),
    (c.mirrored_beside, ("right",), "11.... 1.....", 0, "1111.. 1..1.."),
    (c.recolour, (3,), "11 .2", 0, "33 .."),
    (c.recolour_as, ("largest",), "1.22", 0, "2..."),
    (c.recolour_as, ("same shape",), "1.2.33", 0, "2....."),
    (c.recolour_as, ("same shape",), "1.33", 0, "no"),
    (c.copy_look, (), "1.2.1", 1, "..1.."),
    (c.copy_look, (), "1.2.3", 0, "no"),
    (c.recolour_core, (2,), ".1. 111 .1.", 0, ".1. 121 .1."),
    (c.recolour_core, (0,), ".1. 111 .1.", 0, ".1. 1.1 .1."),
    (c.recolour_core, (2,), "11 11", 0, "no"),
    (d.fill_box, (2,), "1. 11", 0, "12 11"),
    (d.fill_box, (0,), "1. 11", 0, "11 11"),
    (d.fill_holes, (2,), "111 1.1 111", 0, "111 121 111"),
    (d.fill_holes, (2,), "111 111 11.", 0, "no"),
    (d.outline, (2, False), "... .1. ...", 0, ".2. 212 .2."),
    (d.outline, (0, True), "... .1. ...", 0, "111 111 111"),
    (d.frame, (2,), "... .1. ...", 0, "222 212 222"),
    (d.frame, (0,), "1.. ...", 0, "11. 11."),
    (d.ray_inward, (2, "object"), "...4 1... ....", 1, ".... 1222 ...."),
    (d.ray_inward, (2, "object"), "1.. ...", 0, "no"),
    (d.link, (3, "nearest"), "1..2", 0, "133."),
    (d.link, (0, "same colour"), "11. ... 1.1", 0, "11. 1.. ..."),
    (d.link, (3, "nearest"), "1.. ..2", 0, "no"),
    (c.turned, (1,), "11. 1.. ...", 0, "1.. 11. ..."),
    (c.turned, (1,), "111", 0, "no"),
    (d.ray, (0, ("right",), "object"), "1..2.", 0, "111.."),
    (d.ray, (3, ("right",), "border"), "1..2.", 0, "133.3"),
    (d.ray, (3, ("left",), "border"), "1..2.", 0, "no"),
]


@cases(("move", "constants", "drawing", "k", "expected"), MOVES)
def test_a_move(
    move: Callable[..., Painted], constants: tuple[object, ...], drawing: str, k: int, expected: str
) -> None:
    assert moved(drawing, k, move, constants, "shapes") == expected


def test_every_move_that_is_tried_has_an_example() -> None:
    groups_alone = {c.recolour_rarest, c.recolour_commonest, c.swap_colours, c.symmetric_about, d.shoot}
    assert {function for _, (function, _) in moves((1, 2))} == {each[0] for each in MOVES} | groups_alone


def test_a_group_is_mirrored_about_its_rarest_colour() -> None:
    assert moved("... 112 1..", 0, c.symmetric_about, ("rows",), "groups") == "1.. 112 1.."
    assert moved(".... 112. 1...", 0, c.symmetric_about, ("both",), "groups") == "1... 1121 1..."
    assert moved("11. 1..", 0, c.symmetric_about, ("rows",), "groups") == "no"


def test_a_group_exchanges_its_colours_or_takes_the_most_common() -> None:
    assert moved("112", 0, c.swap_colours, (), "groups") == "221"
    assert moved("123", 0, c.swap_colours, (), "groups") == "no"
    assert moved("112", 0, c.recolour_commonest, (), "groups") == "111"
    assert moved("111", 0, c.recolour_commonest, (), "groups") == "no"


def test_a_group_shoots_from_its_rarest_colour() -> None:
    assert moved("112...", 0, d.shoot, (0, "border"), "groups") == "112222"
    assert moved("11.. 12.. .... ....", 0, d.shoot, (3, "border"), "groups") == "11.. 12.. ..3. ...3"
    assert moved("121...", 0, d.shoot, (0, "border"), "groups") == "no"


def test_a_group_takes_its_rarest_colour() -> None:
    assert moved("112", 0, c.recolour_rarest, (), "groups") == "222"
    assert moved("112", 0, c.recolour_rarest, (), "shapes") == "no"


@pytest.mark.parametrize(
    ("grouping", "objects"),
    [
        ("shapes", ["1. .1", "2 2"]), ("shapes by sides", ["1", "1", "2 2"]), ("groups", ["1.2 .12"]),
        ("groups by sides", ["1", ".2 12"]), ("colours", ["1. .1", "2 2"]),
    ],
)  # fmt: skip
def test_objects_are_what_the_grouping_says(grouping: Grouping, objects: list[str]) -> None:
    scene = Scene(cells("1.2 .12"), grouping)
    assert sorted(text(part.cells) for part in scene.parts.items) == sorted(objects)
    assert scene.labels.max() == len(objects)


def test_a_grid_without_objects_is_no_scene() -> None:
    with pytest.raises(NotApplicable):
        _ = Scene(cells(".. .."), "shapes").parts


def test_a_move_is_written_by_the_name_of_its_function() -> None:
    for _, (function, constants) in moves((1, 2)):
        assert move_named(function.__name__, constants) == (function, constants)


def test_moves_are_listed_by_their_cost() -> None:
    costs = [cost for cost, _ in moves((1, 2, 3))]
    assert costs == sorted(costs) and len(costs) > 200
