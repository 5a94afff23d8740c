"""A learned choice: the part of which a table says so, by what is seen of it among the others."""

from __future__ import annotations

import pytest

from submission.programs.grid_language.segmentation import components
from submission.programs.grid_language.values import NotApplicable
from submission.programs.synthesis.learned_selection import TRAITS, choose, traits
from tests.support.drawn import cells, text

THREE = components(cells("11.2.3. 11....."), True, False)
"""A square of four cells, and two single cells of other colours."""


def test_traits_are_numbers_of_each_part_among_the_others() -> None:
    seen = traits(THREE)
    assert seen.shape == (len(TRAITS), 3)
    assert seen.max() < 64
    shown = {name: seen[TRAITS.index(name)].tolist() for name in TRAITS}
    assert shown["most cells"] == [1, 0, 0]
    assert shown["least cells"] == [0, 1, 1]
    assert shown["only cells"] == [1, 2, 2], "how many parts have that number of cells"
    assert shown["has colour 3"] == [0, 0, 1]
    assert shown["number of cells"] == [4, 1, 1]


def test_the_part_is_chosen_of_which_the_table_says_so() -> None:
    assert text(choose(THREE, ["has colour 3"], {(0,): 0, (1,): 1})) == "3"
    assert text(choose(THREE, ["most cells", "has colour 2"], {(1, 0): 1, (0, 1): 0, (0, 0): 0})) == "11 11"


def test_a_choice_that_is_not_one_is_not_applicable() -> None:
    for names, table in (
        (["has colour 3"], {(0,): 0}),  # The table does not know a part.
        (["most cells"], {(1,): 0, (0,): 1}),  # Two parts that do not look the same.
        (["has colour 3"], {(0,): 0, (1,): 0}),  # None.
    ):
        with pytest.raises(NotApplicable):
            choose(THREE, names, table)
