"""Inside, edge and surroundings of an object, worked by hand."""

from __future__ import annotations

import pytest

from submission.programs.sandbox.common.outlines import object_boundary, object_interior, object_neighbors
from tests.support.library_grids import drawn, text_of

RING = drawn("..... .333. .3.3. .3333 .....")


def test_the_interior_is_the_object_and_what_it_encloses() -> None:
    assert text_of(object_interior(RING)) == "..... .111. .111. .1111 ....."
    assert text_of(object_interior(drawn(".1. 1.1 .1."))) == ".1. 111 .1.", "the outside does not leak in at corners"
    assert text_of(object_interior(drawn("111 1.. 111"))) == "111 1.. 111", "open at the grid's edge"
    assert text_of(object_interior(drawn("77777 71117 71717 71117 77777"), background=7)) == (
        "..... .111. .111. .111. ....."
    )


def test_the_boundary_borders_on_the_outside_or_lies_at_the_edge() -> None:
    assert text_of(object_boundary(RING)) == "..... .111. .1.1. .1111 ....."
    solid = drawn("..... .1111 .1111 .1111 .....")
    assert text_of(object_boundary(solid)) == "..... .1111 .1..1 .1111 ....."
    step = drawn("..... .11.. .111. .111. .....")
    assert text_of(object_boundary(step)) == "..... .11.. .1.1. .111. .....", "outside at a corner is not bordering"
    assert text_of(object_boundary(drawn("111 111 111"))) == "111 1.1 111"
    assert text_of(object_boundary(drawn("88888 81118 81118 81118 88888"), background=8)) == (
        "..... .111. .1.1. .111. ....."
    )


def test_the_neighbours_are_background_next_to_the_boundary() -> None:
    one = drawn("... .4. ...")
    assert text_of(object_neighbors(one)) == ".1. 1.1 .1."
    assert text_of(object_neighbors(one, connectivity=8)) == "111 1.1 111"
    assert text_of(object_neighbors(RING)) == ".111. 1...1 1.1.1 1.... .1111"
    assert text_of(object_neighbors(drawn("6626"), background=6)) == ".1.1"
    with pytest.raises(ValueError, match="connectivity"):
        object_neighbors(one, connectivity=1)
