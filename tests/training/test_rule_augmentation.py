"""A changed rule is still one rule: the same change to every pair, and only where every pair allows it."""

from __future__ import annotations

import numpy as np
import pytest

from submission.arc.tasks import Pair, grid
from submission.training import rule_augmentation

WIDE = Pair(grid([[1, 2, 0]]), grid([[0, 2, 1]]))
TALL = Pair(grid([[3], [4], [4], [5]]), grid([[5], [4], [4], [3]]))


def changed(change, pair: Pair, seed: int = 0) -> tuple[list, list]:  # noqa: ANN001
    made = change(np.random.default_rng(seed))(pair)
    return made.input.tolist(), made.output.tolist()


@pytest.mark.parametrize("seed", range(10))
def test_changes_of_one_side_leave_the_other_as_it_is(seed: int) -> None:
    plain_in, plain_out = WIDE.input.tolist(), WIDE.output.tolist()
    for change in (rule_augmentation.turned_inputs, rule_augmentation.changed_inputs):
        assert changed(change, WIDE, seed)[1] == plain_out
    for change in (
        rule_augmentation.turned_outputs,
        rule_augmentation.recoloured_outputs,
        rule_augmentation.changed_outputs,
        rule_augmentation.joined,
    ):
        assert changed(change, WIDE, seed)[0] == plain_in


def test_recoloured_outputs_keep_the_background_and_their_pattern() -> None:
    (_, ((zero, two, one),)) = changed(rule_augmentation.recoloured_outputs, WIDE)
    assert zero == 0
    assert two != one
    assert 0 not in (two, one)


def test_both_sides_change_alike() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        same = Pair(WIDE.input, WIDE.input)
        made = rule_augmentation.changed_both(rng)(same)
        assert made is not None
        assert np.array_equal(made.input, made.output)


def test_a_frame_is_one_cell_of_one_colour_around_one_side_or_both() -> None:
    kinds = set()
    for seed in range(20):
        made_in, made_out = changed(rule_augmentation.framed, WIDE, seed)
        kinds.add((len(made_in), len(made_out)))
        for made, plain in ((made_in, WIDE.input.tolist()), (made_out, WIDE.output.tolist())):
            if len(made) == 3:
                assert [row[1:-1] for row in made[1:-1]] == plain
                assert len({*made[0], *made[2], made[1][0], made[1][-1]}) == 1
                assert made[0][0] != 0
    assert kinds == {(3, 1), (1, 3), (3, 3)}


def test_the_output_joins_its_input_where_their_sides_agree() -> None:
    joined = {str(changed(rule_augmentation.joined, WIDE, seed)[1]) for seed in range(10)}
    assert joined == {str([[1, 2, 0, 0, 2, 1]]), str([[1, 2, 0], [0, 2, 1]])}
    uneven = Pair(grid([[1, 2], [3, 4]]), grid([[1]]))
    for seed in range(10):
        assert rule_augmentation.joined(np.random.default_rng(seed))(uneven) is None


def test_a_change_is_the_same_for_all_pairs_of_a_row() -> None:
    """The pair that is shown twice is changed twice to the same."""
    for seed in range(60):
        one, other, again = rule_augmentation.varied([WIDE, TALL, WIDE], np.random.default_rng(seed))
        assert np.array_equal(one.input, again.input)
        assert np.array_equal(one.output, again.output)
        assert other is not one


def test_where_one_pair_does_not_allow_the_change_none_is_changed() -> None:
    large = Pair(grid(np.ones((30, 30))), grid(np.ones((30, 30))))
    plain = 0
    for seed in range(40):
        made = rule_augmentation.varied([WIDE, large], np.random.default_rng(seed))
        assert max(max(*p.input.shape, *p.output.shape) for p in made) <= 30
        plain += made == [WIDE, large]
    assert 5 < plain < 35, "what makes grids too large is left, what does not is done"
