"""Outputs in which something happens to each object: the moves are found, and which object makes which."""

from __future__ import annotations

from submission.arc.tasks import Pair, Task, grid
from submission.deadline import NEVER, within
from submission.programs.synthesis.expressions import INPUT, run, source_of
from submission.programs.synthesis.object_rules import object_rules
from submission.programs.synthesis.solution import Solution
from tests.support.drawn import cells, text


def task(*drawn: tuple[str, str], test: str) -> Task:
    pairs = tuple(Pair(grid(cells(before)), grid(cells(after))) for before, after in drawn)
    return Task("t", pairs, (grid(cells(test)),))


def best(each: Task) -> Solution:
    """The cheapest rule; printed and run it gives the same."""
    found = min(object_rules(each, NEVER, 0), key=lambda solution: solution.cost)
    assert text(run(source_of(found.build(INPUT)), each.tests[0])) == text(found.answers[0])
    assert found.form == "objects"
    return found


def test_one_move_for_all_objects() -> None:
    found = best(
        task(("1... .... ..2.", "...1 .... ...2"), (".3.. .... ....", "...3 .... ...."), test="4... .5.. ....")
    )
    assert text(found.answers[0]) == "...4 ...5 ...."
    assert found.stability == 1.0 and "'slide', 'right'" in source_of(found.build(INPUT))


def test_a_trait_says_which_object_makes_which_move() -> None:
    found = best(
        task(
            ("11..3 11... ....3", "22..3 22... ....3"), (".3... ..111 .....", ".3... ..222 ....."),
            test="111.. 1.... ...3.",
        )
    )  # fmt: skip
    assert text(found.answers[0]) == "222.. 2.... ...3."


def test_an_object_makes_a_move_if_it_can() -> None:
    """Those that share rows or columns with the large one go to it, the others stay."""
    found = best(
        task(
            ("1....22 .....22 .3.....", "....122 .....22 .3....."),
            ("22..... 22....1 ......3 ....3..", "22..... 221.... ......3 ....3.."),
            test="....... 1.22..1 ..22... 3......",
        )
    )  # fmt: skip
    assert text(found.answers[0]) == "....... .1221.. ..22... 3......"


def test_three_moves() -> None:
    """Objects go to the wall of their colour, those without a wall vanish, and walls stay."""
    found = best(
        task(
            (
                "2.....3 2.3.2.3 2.....3 2..4..3 2.2...3 2.....3",
                "2.....3 22...33 2.....3 2.....3 22....3 2.....3",
            ),
            (
                "5.....6 5..6..6 5.7.5.6 5.....6 5...6.6 5.....6",
                "5.....6 5....66 55....6 5.....6 5....66 5.....6",
            ),
            test="3.....8 3.8.9.8 3.....8 3.3.8.8 3.....8 3.....8",
        )
    )
    assert text(found.answers[0]) == "3.....8 3....88 3.....8 33...88 3.....8 3.....8"


def test_all_cells_of_a_colour_are_one_object() -> None:
    found = best(task(("1... .... ..1.", "111. 111. 111."), ("..2 2..", "222 222"), test=".1.. ...1"))
    assert text(found.answers[0]) == ".111 .111"


def test_a_rule_is_less_stable_where_a_cheaper_one_fits_without_a_demonstration() -> None:
    """Without the second demonstration to stay would do."""
    needed = task(("11.", "11."), ("2..", "..2"), test="3..")
    assert {each.stability for each in object_rules(needed, NEVER, 0)} == {0.0}
    shown_twice = task(("1..", "..1"), ("2..", "..2"), test="3..")
    assert {each.stability for each in object_rules(shown_twice, NEVER, 0)} == {1.0}


def test_nothing_is_found_where_a_cell_comes_from_no_object() -> None:
    assert [*object_rules(task(("1..", "1.5"), ("2..", "2.7"), test="3.."), NEVER, 0)] == []


def test_outputs_of_another_size_are_left_to_others() -> None:
    assert [*object_rules(task(("1..", "1"), ("2..", "2"), test="3.."), NEVER, 0)] == []


def test_the_deadline_ends_the_search() -> None:
    each = task(("1... .... ..2.", "...1 .... ...2"), test="4... .5.. ....")
    assert [*object_rules(each, within(0.0), 0)] == []
