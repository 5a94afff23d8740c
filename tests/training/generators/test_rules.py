"""Each rule of ours on examples worked by hand; then what holds for all: legal, pure, one rule a family, varied."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from submission.arc.tasks import LARGEST_SIDE, Pair, grid, grid_key
from submission.training.generators import (
    KINDS,
    MOST_CELLS,
    RULES,
    Instance,
    counting,
    drawing,
    family,
    objects,
    pair,
    panels,
    whole,
)
from submission.training.generators.canvas import DIAGONAL, STRAIGHT, Unfit
from tests.support.cases import cases
from tests.support.drawn import drawn, text

RIGHT, UP = ((0, 1),), ((-1, 0),)


# -- worked examples --------------------------------------------------------------------------------------------

EXTREMES = "11.2 11.. .... 333."
TRUTH = "1152. ..52."
BLOCK = "1111 1111 1111"
COUNTED = "11.1 ...2 1..."

WORKED: list[tuple[str, dict[str, Any], str, str]] = [
    # the whole grid
    ("turn_over", {"symmetry": 1}, "12 34 5.", "24. 135"),
    ("turn_over", {"symmetry": 4}, "12 34 5.", "135 24."),
    ("tile", {"copies": (1, 3), "down": 1, "right": 1}, "12 3.", "121212 3.3.3."),
    ("tile", {"copies": (2, 2), "down": -1, "right": 1}, "12 3.", "1212 3.3. 3.3. 1212"),
    ("tile", {"copies": (2, 2), "down": -1, "right": -1}, "12 3.", "1221 3..3 3..3 1221"),
    ("enlarge", {"factors": (1, 3)}, "12 .3", "111222 ...333"),
    ("shrink", {"factors": (2, 2)}, "1122 1122 ..33 ..33", "12 .3"),
    ("exchange", {"order": "ends", "turns": 0}, "1. 2. 3. 44", "44 2. 3. 1."),
    ("exchange", {"order": "ends", "turns": 1}, "123 4.5", "321 5.4"),
    ("exchange", {"order": "neighbours", "turns": 0}, "1. 2. 3. 4. 5.", "2. 1. 4. 3. 5."),
    ("exchange", {"order": "halves", "turns": 0}, "1. 2. 3. 44", "3. 44 1. 2."),
    ("exchange", {"order": "every other", "turns": 0}, "1. 2. 3. 44", "1. 3. 2. 44"),
    ("skew", {"step": 1, "wraps": False, "turns": 0}, "111 222 333", "111 .22 ..3"),
    ("skew", {"step": -1, "wraps": True, "turns": 0}, "123 123 123", "123 231 312"),
    ("shift", {"move": (1, -1), "wraps": False}, "123 456 789", "... 23. 56."),
    ("shift", {"move": (1, -1), "wraps": True}, "123 456 789", "897 231 564"),
    ("fractal", {"coloured": True, "negative": False}, "1. 11", "1... 11.. 1.1. 1111"),
    ("fractal", {"coloured": False, "negative": True}, "1. 11", "...1 .... .... ...."),
    ("frame", {"ink": 3, "width": 1, "grows": True}, "12", "3333 3123 3333"),
    ("frame", {"ink": 3, "width": 1, "grows": False}, "111 121 111", "333 323 333"),
    # colours
    ("recolour", {"colours": (1, 2, 3, 4, 5, 6), "cycles": False}, "12. 333", "45. 666"),
    ("recolour", {"colours": (1, 2, 3, 4, 5, 6), "cycles": True}, "12. 333", "23. 111"),
    ("legend", {"line": 5, "old": 0, "crops": True, "symmetry": 0}, "12513. 34533. ..5..1", "24. 44. ..2"),
    ("legend", {"line": 5, "old": 0, "crops": False, "symmetry": 0}, "12513. ..5..1", "1252.. ..5..2"),
    ("legend", {"line": 5, "old": 1, "crops": True, "symmetry": 0}, "1252.. ..5.22", "1.. .11"),
    ("vote", {"most": True, "side": 0}, "112 113", "111 111"),
    ("vote", {"most": False, "side": 2}, "112 122 133", "33 33"),
    ("stripes", {"colours": (1, 2, 3), "period": 2, "turns": 0}, "5555 5.5.", "1212 1.1."),
    ("stripes", {"colours": (1, 2, 3), "period": 3, "turns": 2}, "5555", "1321"),
    ("crowded", {"colours": (1, 2), "count": 2, "diagonal": False}, "11. .1. ..1", "12. .1. ..1"),
    ("crowded", {"colours": (1, 2), "count": 1, "diagonal": True}, "11. .1. ..1", "11. .1. ..2"),
    # objects
    (
        "colour_by_size",
        {"colours": (5, 1, 2, 3, 4)},
        "5..55 ..... 55..5 5...5 ...55",
        "1..22 ..... 33..4 3...4 ...44",
    ),
    (
        "colour_by_holes",
        {"colours": (5, 1, 2, 3)},
        "555..55 5.5..5. 555.... ....... 55555.. 5.5.5.. 55555..",
        "222..11 2.2..1. 222.... ....... 33333.. 3.3.3.. 33333..",
    ),
    ("colour_by_edge", {"colours": (5, 1, 2)}, "5.... ..55. .....", "1.... ..22. ....."),
    ("infect", {"base": 5, "vanishes": False}, "55.5 52.5 ...5", "22.5 22.5 ...5"),
    ("infect", {"base": 5, "vanishes": True}, "55.5 52.5 ...5", "22.. 22.. ...."),
    ("remove_small", {"least": 3, "ink": 0}, "1.22 1..2 ....", "..22 ...2 ...."),
    ("remove_small", {"least": 3, "ink": 7}, "1.22 1..2 ....", "7.22 7..2 ...."),
    ("keep_extreme", {"quality": "cells", "most": True, "crops": True}, EXTREMES, "11 11"),
    ("keep_extreme", {"quality": "cells", "most": False, "crops": False}, EXTREMES, "...2 .... .... ...."),
    ("keep_extreme", {"quality": "height", "most": True, "crops": True}, EXTREMES, "11 11"),
    ("keep_extreme", {"quality": "width", "most": True, "crops": False}, EXTREMES, ".... .... .... 333."),
    ("keep_extreme", {"quality": "row", "most": True, "crops": True}, EXTREMES, "333"),
    ("keep_extreme", {"quality": "column", "most": True, "crops": True}, EXTREMES, "2"),
    ("odd_one_out", {"by_colour": False, "crops": True}, "1.11.1 1....1", "11"),
    ("odd_one_out", {"by_colour": False, "crops": False}, "1.11.1 1....1", "..11.. ......"),
    ("odd_one_out", {"by_colour": True, "crops": False}, "1.2.1", "..2.."),
    ("keep_symmetric", {"kept": True, "ink": 0, "turns": 0}, "111.22 .1..2.", "111... .1...."),
    ("keep_symmetric", {"kept": True, "ink": 7, "turns": 0}, "111.22 .1..2.", "111.77 .1..7."),
    ("keep_symmetric", {"kept": False, "ink": 0, "turns": 0}, "111.22 .1..2.", "....22 ....2."),
    ("keep_symmetric", {"kept": True, "ink": 0, "turns": 1}, "1..22 11.2. 1....", "1.... 11... 1...."),
    ("echo", {"ink": 7, "endless": False, "gap": 0, "turns": 0}, "1.. 11. ... ... ...", "1.. 11. 7.. 77. ..."),
    ("echo", {"ink": 7, "endless": True, "gap": 1, "turns": 0}, "1 . . . .", "1 . 7 . 7"),
    ("echo", {"ink": 7, "endless": True, "gap": 0, "turns": 3}, "11..... .1.....", "1177777 .1.7.7."),
    ("selected", {"action": "cut out", "turns": 0}, "1..22 ..... 11..2 .1...", "11 .1"),
    ("selected", {"action": "keep", "turns": 0}, "1..22 ..... 11..2 .1...", "..... ..... 11... .1..."),
    ("selected", {"action": "erase", "turns": 0}, "1..22 ..... 11..2 .1...", "...22 ..... ....2 ....."),
    # motion
    ("gravity", {"still": 0, "turns": 0}, "1.2 .3. 4..", "... 1.. 432"),
    ("gravity", {"still": 0, "turns": 1}, "1.2 .3. 4..", "12. 3.. 4.."),
    ("gravity", {"still": 0, "turns": 2}, "1.2 .3. 4..", "132 4.. ..."),
    ("gravity", {"still": 0, "turns": 3}, "1.2 .3. 4..", ".12 ..3 ..4"),
    ("gravity", {"still": 5, "turns": 0}, "12 5. ..", "1. 5. .2"),
    ("fall", {"turns": 0}, "11. .1. ... .22", "... 11. .1. .22"),
    ("fall", {"turns": 1}, ".11 .1. ...", "11. 1.. ..."),
    ("approach", {"colours": (1, 2), "moves_away": False}, "1..22", "..122"),
    ("approach", {"colours": (1, 2), "moves_away": False}, "2. .. .. 1.", "2. 1. .. .."),
    ("approach", {"colours": (1, 2), "moves_away": True}, ".1.22", "1..22"),
    ("approach", {"colours": (1, 2), "moves_away": True}, "2. .. 1. ..", "2. .. .. 1."),
    ("magnets", {"crossed": False, "turns": 0}, "1.21.2 12...2", "11..22 1...22"),
    ("magnets", {"crossed": True, "turns": 0}, "1.21.2 1...22", "12..12 12...2"),
    ("sort_bars", {"symmetry": 0}, ".1. .12 312", "..1 .21 321"),
    ("sort_bars", {"symmetry": 2}, "123 1.3 ..3", "312 31. 3.."),
    # drawing
    ("rays", {"colours": (1, 7, 5), "steps": RIGHT}, "1..5. .....", "1775. ....."),
    ("rays", {"colours": (1, 7, 5), "steps": STRAIGHT}, "... .1. ..5", ".7. 717 .75"),
    ("rays", {"colours": (1, 7, 5), "steps": DIAGONAL}, "... .1. ..5", "7.7 .1. 7.5"),
    (
        "stamp",
        {"markers": (1, 2), "ink": 7, "reach": 1, "steps": (STRAIGHT, RIGHT)},
        "..... .1... ..... ...2.",
        ".7... 717.. .7... ...27",
    ),
    (
        "stamp",
        {"markers": (1, 2), "ink": 0, "reach": 2, "steps": (RIGHT, UP)},
        "1... .... .... ...2",
        "111. ...2 ...2 ...2",
    ),
    ("spiral", {"ink": 0, "symmetry": 0}, "1.... ..... ..... ..... .....", "11111 ....1 111.1 1...1 11111"),
    ("spiral", {"ink": 7, "symmetry": 4}, "1... .... .... ....", "1.77 7..7 7..7 7777"),
    ("grow", {"colours": (1, 2, 3), "lengths": (3, 1, 2), "turns": 0}, "1.. ..3 .2. ...", "1.. 1.3 123 ..."),
    ("cross_lines", {"colours": (1, 2, 3), "crossing": 0}, "... 1.. ..2", "..2 111 ..2"),
    ("cross_lines", {"colours": (1, 2, 3), "crossing": 2}, "... 1.. ..2", "..2 113 ..2"),
    ("rings", {"colours": (1, 2, 3), "period": 1, "square": True}, "1....", "1.1.1"),
    ("rings", {"colours": (1, 2, 3), "period": 2, "square": True}, "... .1. ...", "222 212 222"),
    ("rings", {"colours": (1, 2, 3), "period": 3, "square": False}, "... .1. ...", "323 212 323"),
    ("weave_blocks", {"weave": "checkers", "colours": (5, 6, 7), "ink": 0}, "555.66 555.66", "5.5.66 .5..66"),
    ("weave_blocks", {"weave": "rows", "colours": (5, 6, 7), "ink": 7}, "555 555 555", "555 777 555"),
    ("weave_blocks", {"weave": "columns", "colours": (5, 6, 7), "ink": 7}, "555 555 555", "575 575 575"),
    ("weave_blocks", {"weave": "rising", "colours": (5, 6, 7), "ink": 7}, "555 555 555", "557 575 755"),
    ("weave_blocks", {"weave": "falling", "colours": (5, 6, 7), "ink": 7}, "555 555 555", "557 755 575"),
    ("weave_blocks", {"weave": "dots", "colours": (5, 6, 7), "ink": 7}, "555 555 555", "555 575 555"),
    ("connect", {"colours": (1, 7), "axes": (0,)}, "1.. .1. ... 1..", "1.. 71. 7.. 1.."),
    ("connect", {"colours": (1, 7), "axes": (1,)}, "1..1. .1...", "1771. .1..."),
    ("connect", {"colours": (1, 7), "axes": (0, 1)}, "1.1 ... 1.1", "171 7.7 171"),
    ("span", {"ink": 0, "filled": True}, "1.. ... ..1", "111 111 111"),
    ("span", {"ink": 7, "filled": False}, "..1. .... 1...", "771. 7.7. 177."),
    ("outline", {"ink": 7, "diagonal": False}, "... .1. ...", ".7. 717 .7."),
    ("outline", {"ink": 7, "diagonal": True}, "... .1. ...", "777 717 777"),
    ("boxes", {"ink": 7, "around": False}, "1.. 11. ...", "17. 11. ..."),
    ("boxes", {"ink": 7, "around": True}, "..... .1... .11.. .....", "7777. 71.7. 7117. 7777."),
    ("carve", {"face": "core", "ink": 0}, BLOCK, "1111 1..1 1111"),
    ("carve", {"face": "rim", "ink": 7}, BLOCK, "7777 7117 7777"),
    ("carve", {"face": "corners", "ink": 7}, BLOCK, "7117 1111 7117"),
    ("carve", {"face": "ends", "ink": 7}, BLOCK, "7777 1111 7777"),
    ("carve", {"face": "sides", "ink": 7}, BLOCK, "7117 7117 7117"),
    # filling
    ("fill_enclosed", {"ink": 7, "inside": True}, "111.1.1 1.1.1.1 111.111", "111.1.1 171.1.1 111.111"),
    ("fill_enclosed", {"ink": 7, "inside": False}, "111.. 1.1.. 111..", "11177 1.177 11177"),
    ("flood", {"wall": 5}, "2.5. ..5. 5555 .3.5", "225. 225. 5555 3335"),
    # counting
    ("tally", {"colours": (1, 2, 3, 7), "cellwise": True, "form": "row"}, COUNTED, "7777"),
    ("tally", {"colours": (1, 2, 3, 7), "cellwise": False, "form": "column"}, COUNTED, "7 7 7"),
    ("tally", {"colours": (1, 2, 3, 7), "cellwise": False, "form": "diagonal"}, COUNTED, "7.. .7. ..7"),
    ("tally", {"colours": (1, 2, 3, 7), "cellwise": False, "form": "track"}, COUNTED, "777......"),
    ("tally", {"colours": (1, 2, 3, 7), "cellwise": False, "form": "square"}, COUNTED, "777 777 777"),
    ("histogram", {"symmetry": 0}, "1322 11..", "111 22. 3.."),
    ("histogram", {"symmetry": 4}, "1322 11..", "123 12. 1.."),
    # symmetry and repetition
    ("complete_mirror", {"ink": 0, "turned": False, "turns": 0}, "12.. .1..", "1221 .11."),
    ("complete_mirror", {"ink": 7, "turned": False, "turns": 0}, "12.. .1..", "1277 .17."),
    ("complete_mirror", {"ink": 0, "turned": True, "turns": 0}, "12.. .1..", "121. .121"),
    ("restore_symmetry", {"patch": 5, "crops": False}, "1221 3455 3455 1221", "1221 3443 3443 1221"),
    ("restore_symmetry", {"patch": 5, "crops": True}, "1221 3455 3455 1221", "43 43"),
    ("restore_tiling", {"patch": 5, "period": (2, 2), "crops": False}, "1212 3434 1255 3455", "1212 3434 1212 3434"),
    ("restore_tiling", {"patch": 5, "period": (1, 3), "crops": True}, "12.12. 12.155", "2."),
    ("continue_pattern", {"ink": 0, "turns": 0}, "1212.. 3.3...", "121212 3.3.3."),
    ("continue_pattern", {"ink": 7, "turns": 0}, "1212.. 3.3...", "121277 3.3.7."),
    ("continue_pattern", {"ink": 0, "turns": 2}, "..1212", "121212"),
    # panels behind lines
    ("combine_halves", {"operation": "and", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, "7. .."),
    ("combine_halves", {"operation": "or", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, "77 7."),
    ("combine_halves", {"operation": "xor", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, ".7 7."),
    ("combine_halves", {"operation": "nor", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, ".. .7"),
    ("combine_halves", {"operation": "nand", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, ".7 77"),
    ("combine_halves", {"operation": "same", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, "7. .7"),
    ("combine_halves", {"operation": "only first", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, ".7 .."),
    ("combine_halves", {"operation": "only second", "colours": (1, 2, 5, 7), "turns": 0}, TRUTH, ".. 7."),
    ("combine_halves", {"operation": "only first", "colours": (1, 2, 5, 7), "turns": 1}, "11 55 2.", ".7"),
    ("overlay", {"colours": (5, 1, 2, 3), "order": (0, 1, 2), "turns": 0}, "1152.5.3", "23"),
    ("overlay", {"colours": (5, 1, 2, 3), "order": (1, 0, 2), "turns": 0}, "1152.5.3", "13"),
    ("fullest_panel", {"line": 5, "most": True, "turns": 0}, "1.511 ..5.1", "11 .1"),
    ("fullest_panel", {"line": 5, "most": False, "turns": 0}, "1.511 ..5.1", "1. .."),
    ("fullest_panel", {"line": 5, "most": True, "turns": 1}, "1. 55 11", "11"),
    ("odd_panel", {"line": 5, "usual": False, "turns": 0}, "1.51151.", "11"),
    ("odd_panel", {"line": 5, "usual": True, "turns": 0}, "1.51151.", "1."),
    ("summarise_panels", {"line": 5, "least": 2, "ink": 0}, "1.52. 1.5.. 55555 ..533 ..533", "1. .3"),
    ("summarise_panels", {"line": 5, "least": 1, "ink": 7}, "1.52. 1.5.. 55555 ..533 ..533", "77 .7"),
    ("look_inside", {"ink": 5, "symmetry": 0, "with_frame": True}, ".5555 .5125 253.5 15555", "5555 5125 53.5 5555"),
    ("look_inside", {"ink": 5, "symmetry": 2, "with_frame": False}, ".5555 .5125 253.5 15555", ".3 21"),
]


def rule_called(name: str) -> Callable[..., Instance]:
    made: Callable[..., Instance] = next(vars(kind)[name] for kind in KINDS if name in vars(kind))
    return made


@cases(("name", "hidden", "given", "expected"), WORKED)
def test_a_worked_example(name: str, hidden: dict[str, Any], given: str, expected: str) -> None:
    assert text(rule_called(name)(**hidden).apply(drawn(given))) == expected


def test_the_rules_come_in_the_order_of_their_kinds() -> None:
    """What a seed draws for training depends on it."""
    modules = [rule_called(name).__module__ for name in RULES]
    assert list(dict.fromkeys(modules)) == [kind.__name__ for kind in KINDS]


def test_every_rule_has_a_worked_example() -> None:
    assert {name for name, *_ in WORKED} == set(RULES)


@cases(
    ("name", "parameter", "choices"),
    [
        ("exchange", "order", whole.ORDERS),
        ("keep_extreme", "quality", objects.QUALITIES),
        ("weave_blocks", "weave", drawing.WEAVES),
        ("carve", "face", drawing.FACES),
        ("tally", "form", counting.TALLIES),
        ("combine_halves", "operation", panels.OPERATIONS),
    ],
)
def test_every_named_choice_has_a_worked_example(name: str, parameter: str, choices: dict[str, Any]) -> None:
    assert {hidden[parameter] for each, hidden, *_ in WORKED if each == name} == set(choices)


@cases(
    ("name", "hidden", "given"),
    [
        ("vote", {"most": True, "side": 0}, "1122"),
        ("infect", {"base": 5, "vanishes": True}, "1552"),
        ("keep_extreme", {"quality": "column", "most": False, "crops": False}, EXTREMES),
        ("odd_one_out", {"by_colour": True, "crops": False}, "1.2.3"),
        ("approach", {"colours": (1, 2), "moves_away": False}, "1.. ... .22"),
        ("spiral", {"ink": 0, "symmetry": 0}, ".1. ..."),
        ("flood", {"wall": 5}, "1.2"),
        ("tally", {"colours": (1, 2, 3, 7), "cellwise": True, "form": "row"}, "2.3"),
        ("histogram", {"symmetry": 0}, "12"),
        ("restore_symmetry", {"patch": 5, "crops": False}, "5115 5115"),
        ("continue_pattern", {"ink": 0, "turns": 0}, "1234...."),
        ("fullest_panel", {"line": 5, "most": True, "turns": 0}, "1.1"),
    ],
)
def test_what_a_rule_does_not_decide_is_unfit(name: str, hidden: dict[str, Any], given: str) -> None:
    with pytest.raises(Unfit):
        rule_called(name)(**hidden).apply(drawn(given))


# -- what holds for all rules -----------------------------------------------------------------------------------

EVERY_RULE = cases("name", RULES)
SEEDS = range(3)


def instance(name: str, seed: int) -> Instance:
    """The rule that `family` chooses when given the same seed."""
    return RULES[name](np.random.default_rng(seed))


@cache
def pairs(name: str, seed: int) -> tuple[Pair, ...]:
    return family(name, 24, np.random.default_rng(seed))


@EVERY_RULE
def test_grids_are_legal_and_small(name: str) -> None:
    for made in (each for seed in SEEDS for each in pairs(name, seed)):
        assert made.input.size + made.output.size <= MOST_CELLS
        for cells in (made.input, made.output):
            assert cells.dtype == np.uint8 and not cells.flags.writeable
            assert cells.ndim == 2 and min(cells.shape) >= 1 and max(cells.shape) <= LARGEST_SIDE
            assert cells.max() <= 9


@EVERY_RULE
def test_a_family_has_as_many_pairs_as_asked_for_and_no_input_twice(name: str) -> None:
    for seed in SEEDS:
        assert len({grid_key(each.input) for each in pairs(name, seed)}) == 24


@EVERY_RULE
def test_no_pair_is_idle_and_outputs_differ(name: str) -> None:
    for seed in SEEDS:
        assert all(not np.array_equal(each.input, each.output) and each.output.any() for each in pairs(name, seed))
        assert len({grid_key(each.output) for each in pairs(name, seed)}) > 3


@EVERY_RULE
def test_the_pairs_of_a_family_share_one_rule_which_changes_nothing_it_is_given(name: str) -> None:
    for seed in SEEDS:
        apply = instance(name, seed).apply
        for made in pairs(name, seed):
            given = made.input.copy()
            assert np.array_equal(apply(given), made.output)
            assert np.array_equal(given, made.input)


@EVERY_RULE
def test_the_same_seed_makes_the_same_family(name: str) -> None:
    again = family(name, 24, np.random.default_rng(0))
    for first, second in zip(pairs(name, 0), again, strict=True):
        assert np.array_equal(first.input, second.input) and np.array_equal(first.output, second.output)


def taken_otherwise(name: str, seed: int) -> tuple[bool, bool]:
    """Whether the next seed's rule gives a pair of this seed's another output; and whether it cannot take one.

    Of two rules that are the same neither happens: what one of them takes the other takes.
    """
    other = instance(name, seed + 1).apply
    differs = refuses = False
    for each in pairs(name, seed):
        try:
            differs |= not np.array_equal(other(each.input), each.output)
        except (ValueError, IndexError):
            refuses = True
    return differs, refuses


def test_other_hidden_parameters_mostly_make_another_rule() -> None:
    seeds = range(8)
    taken = {name: [taken_otherwise(name, seed) for seed in seeds] for name in RULES}
    same = {name: each for name, each in taken.items() if sum(map(any, each)) < len(seeds) / 2}
    assert same == {}
    plainly = [name for name, each in taken.items() if sum(differs for differs, _ in each) >= len(seeds) / 2]
    assert len(plainly) > 0.75 * len(RULES), "and mostly by what it gives, not by what it cannot take"


def test_most_pairs_are_short() -> None:
    sizes = [each.input.size + each.output.size for name in RULES for each in pairs(name, 0)]
    assert np.mean(sizes) < 100 and np.mean(np.array(sizes) > 160) < 0.1


def test_a_hopeless_rule_is_given_up() -> None:
    idle = Instance(draw=lambda rng: grid(rng.integers(10, size=(2, 2))), apply=lambda cells: cells)
    with pytest.raises(Unfit):
        pair(idle, np.random.default_rng(0))


def test_more_pairs_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Instance(draw=lambda rng: grid([[rng.integers(1, 4)]]), apply=lambda cells: grid([[4]]))
    monkeypatch.setitem(RULES, "few", lambda rng: few)
    assert len(family("few", 3, np.random.default_rng(0))) == 3
    with pytest.raises(Unfit, match="3 pairs were found where 4"):
        family("few", 4, np.random.default_rng(0))
