"""The rows of test-time training: how many, what is learned in them, and what must never be in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from submission.arc.layouts import CHAT16, GRID16, Layout
from submission.arc.prompts import Row, row
from submission.arc.tasks import Grid, Pair, Task, grid, grid_key
from submission.arc.training_rows import augmenters, leave_out, marc_row_pairs, training_rows
from submission.arc.views import COLOURS, View
from submission.config import TrainingRows
from submission.rng import generator

ROOM = 8192
RECIPES = ("poe", "nvarc", "marc")
Recipe = Literal["poe", "nvarc", "marc"]


def made(demonstrations: int, shape: tuple[int, int] = (3, 5), test: Grid | None = None) -> Task:
    """A task of distinct grids without any symmetry; outputs have one row more than inputs."""
    rng = np.random.default_rng(demonstrations)
    height, width = shape

    def noise(rows: int) -> Grid:
        return grid(np.concatenate([np.arange(width)[None] % 10, rng.integers(0, 10, (rows - 1, width))]))

    pairs = tuple(Pair(noise(height), noise(height + 1)) for _ in range(demonstrations))
    return Task("made", pairs, (noise(height) if test is None else test,))


def taught(
    task: Task, recipe: Recipe, copies: int = 8, limit: int = ROOM, layout: Layout = CHAT16, seed: int = 0
) -> list[Row]:
    return training_rows(task, layout, TrainingRows(recipe, copies), limit, generator(seed, task.id, "lessons"))


def read(made: Row) -> list[Pair]:
    """The pairs of a chat16 row, read back from its ids alone; fails where a grid is not whole."""
    ends = np.flatnonzero(made.ids == 15)
    assert ends[-1] == len(made.ids) - 1
    grids = []
    for k, message in enumerate(np.split(made.ids, ends + 1)[:-1]):
        assert message[:3].tolist() == [14, 11 + k % 2, 10]
        cells = CHAT16.parse(message[3:].tolist())
        assert cells is not None
        grids.append(cells)
    return [Pair(*both) for both in zip(grids[::2], grids[1::2], strict=True)]


def learned(made: Row) -> list[Grid]:
    """The grids of the learned stretches of a chat16 row; fails where one is anything but a whole output."""
    edges = np.flatnonzero(np.diff(made.learn.astype(int), prepend=0, append=0)).reshape(-1, 2)
    grids = [CHAT16.parse(made.ids[begin:end].tolist()) for begin, end in edges]
    assert all(each is not None for each in grids)
    return [each for each in grids if each is not None]


def keys(pairs: tuple[Pair, ...] | list[Pair]) -> tuple[bytes, ...]:
    return tuple(grid_key(side) for pair in pairs for side in (pair.input, pair.output))


def contents(rows: list[Row]) -> list[tuple[bytes, bytes]]:
    return [(each.ids.tobytes(), each.learn.tobytes()) for each in rows]


def symmetry_of(pairs: list[Pair], task: Task) -> int:
    """The only symmetry under which the first pair is a recoloured demonstration."""

    def recoloured(plain: Grid, shown: Grid) -> bool:
        if plain.shape != shown.shape:
            return False
        both = set(zip(plain.flat, shown.flat, strict=True))
        return len(both) == len({a for a, _ in both}) == len({b for _, b in both})

    (only,) = {
        symmetry
        for symmetry in range(8)
        for each in task.demonstrations
        if recoloured(View(symmetry, COLOURS, ()).see(each.input), pairs[0].input)
    }
    return only


# -- poe and nvarc -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("demonstrations", [1, 2, 3, 10])
@pytest.mark.parametrize(("recipe", "copies", "count"), [("poe", 8, 64), ("nvarc", 16, 128)])
def test_each_symmetry_has_its_copies(recipe: Recipe, copies: int, count: int, demonstrations: int) -> None:
    assert len(taught(made(demonstrations), recipe, copies)) == count


@pytest.mark.parametrize("recipe", ["poe", "nvarc"])
def test_every_eight_rows_have_the_eight_symmetries(recipe: Recipe) -> None:
    task = made(3)
    seen = [symmetry_of(read(each), task) for each in taught(task, recipe, copies=3)]
    assert [sorted(seen[at : at + 8]) for at in (0, 8, 16)] == [list(range(8))] * 3


@pytest.mark.parametrize("demonstrations", [1, 2, 4])
def test_poe_learns_every_output_but_the_first(demonstrations: int) -> None:
    for each in taught(made(demonstrations), "poe"):
        outputs = [pair.output for pair in read(each)]
        expected = outputs[1:] or outputs
        assert list(map(grid_key, learned(each))) == list(map(grid_key, expected))


@pytest.mark.parametrize("demonstrations", [1, 2, 4])
def test_nvarc_learns_every_output(demonstrations: int) -> None:
    for each in taught(made(demonstrations), "nvarc"):
        outputs = [pair.output for pair in read(each)]
        assert list(map(grid_key, learned(each))) == list(map(grid_key, outputs))


@pytest.mark.parametrize("recipe", ["poe", "nvarc"])
def test_each_row_shows_every_demonstration_once(recipe: Recipe) -> None:
    task = made(4)
    for each in taught(task, recipe):
        pairs = read(each)
        symmetry = symmetry_of(pairs, task)
        shapes = {View(symmetry, COLOURS, ()).see(pair.output).shape for pair in task.demonstrations}
        assert len(pairs) == len(set(map(lambda pair: grid_key(pair.input), pairs))) == 4
        assert {pair.output.shape for pair in pairs} == shapes


def test_orders_and_colours_differ_between_rows() -> None:
    assert len(set(contents(taught(made(3), "poe")))) == 64


@pytest.mark.parametrize(("background", "moves"), [("keep", False), ("permute", True)])
def test_background_is_kept_only_if_asked(background: Literal["keep", "permute"], moves: bool) -> None:
    black = Task("black", (Pair(grid([[0]]), grid([[0, 0]])),), (grid([[0]]),))
    rows = training_rows(black, CHAT16, TrainingRows("poe", background=background), ROOM, generator(0, "black"))
    colours = {int(pair.input[0, 0]) for each in rows for pair in read(each)}
    assert colours == (set(range(10)) if moves else {0})


def test_poe_drops_demonstrations_over_the_limit_but_never_cells() -> None:
    task = made(5)
    one = len(row(CHAT16, task.demonstrations[:1], ROOM).ids)
    rows = taught(task, "poe", limit=3 * one)
    assert len(rows) == 64
    for each in rows:
        assert len(each.ids) <= 3 * one
        assert {cells.size for pair in read(each) for cells in (pair.input, pair.output)} == {15, 20}
        assert 1 <= len(read(each)) <= 3 and len(learned(each)) == max(1, len(read(each)) - 1)


# -- marc ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_before_any_filter_there_are_48k_and_48k_times_k_minus_1_lessons(k: int) -> None:
    pairs = made(k).demonstrations
    one, two = (list(marc_row_pairs(pairs, left_out, generator(0))) for left_out in (1, 2))
    assert (len(one), len(two)) == (48 * k, 48 * k * (k - 1))
    assert {len(lesson) for lesson in one} == {k} and {len(lesson) for lesson in two} <= {k - 1}


def test_left_out_pairs_are_neither_shown_nor_asked_twice() -> None:
    a, b, c = made(3).demonstrations
    assert list(leave_out((a, b, c), 1)) == [(b, c, a), (a, c, b), (a, b, c)]
    assert list(leave_out((a, b, c), 2)) == [(b, a), (c, a), (a, b), (c, b), (a, c), (b, c)]


def test_each_lesson_has_a_copy_with_other_colours_and_order_that_keeps_the_background() -> None:
    known = list(marc_row_pairs(made(4, shape=(6, 6)).demonstrations, 1, generator(0)))
    reordered = 0
    for plain, copy in zip(known[::2], known[1::2], strict=True):
        background = [[np.flatnonzero(pair.input == 0).tobytes() for pair in each] for each in (plain, copy)]
        assert sorted(background[0]) == sorted(background[1]) and background[0][-1] == background[1][-1]
        assert keys(plain) != keys(copy)
        reordered += background[0] != background[1]
    assert reordered > len(known) // 4  # of all orders of three pairs, one in six is the given one


def test_the_copy_of_a_lesson_in_one_colour_never_has_the_same_colour() -> None:
    """One in nine of all permutations would keep it, and the copy would be merged with its lesson."""
    pairs = tuple(Pair(grid([[4] * width]), grid([[4] * width, [0] * width])) for width in (1, 2, 3))
    for seed in range(5):
        lessons = list(marc_row_pairs(pairs, 1, generator(seed)))
        assert not any(4 in side for copy in lessons[1::2] for pair in copy for side in (pair.input, pair.output))


def test_the_augmenters_on_one_grid() -> None:
    shown = {name: change(grid([[1, 2], [3, 4]])) for name, change in augmenters((1, 2)).items()}
    worked = {
        "turn 90": "24 13",
        "turn 180": "43 21",
        "turn 270": "31 42",
        "flip rows": "34 12",
        "flip columns": "21 43",
        "mirror below": "12 34 34 12",
        "mirror above": "34 12 12 34",
        "mirror right": "1221 3443",
        "mirror left": "2112 4334",
        "shift": "34 12",
        "transpose": "13 24",
        "double": "1122 1122 3344 3344",
        "double height": "12 12 34 34",
        "double width": "1122 3344",
        "turn 90, double": "2244 2244 1133 1133",
        "turn 180, double": "4433 4433 2211 2211",
        "turn 270, double": "3311 3311 4422 4422",
        "flip rows, double": "3344 3344 1122 1122",
        "flip columns, double": "2211 2211 4433 4433",
        "transpose, double": "1133 1133 2244 2244",
        "repeat below": "12 34 12 34",
        "repeat right": "1212 3434",
        "repeat both": "1212 3434 1212 3434",
    }
    written = {name: " ".join("".join(map(str, line)) for line in cells) for name, cells in shown.items()}
    assert written == worked and len(worked) == 23


def test_inputs_and_outputs_of_all_pairs_are_shifted_alike() -> None:
    same = tuple(Pair(each.input, each.input) for each in made(3).demonstrations)
    pairs = [pair for lesson in marc_row_pairs(same, 1, generator(3)) for pair in lesson]
    assert all(grid_key(pair.input) == grid_key(pair.output) for pair in pairs)


def test_marc_takes_no_more_rows_than_the_cap() -> None:
    assert len(taught(made(6), "marc")) == 250
    assert len(training_rows(made(3), CHAT16, TrainingRows("marc", max_rows=17), ROOM, generator(0))) == 17


def test_leave_two_out_only_tops_up() -> None:
    lengths = Counter(len(read(each)) for each in taught(made(3), "marc"))
    assert 100 < lengths[3] <= 144 and lengths[2] == 250 - lengths[3]
    assert Counter(len(read(each)) for each in taught(made(6), "marc")) == {6: 250}


def test_the_top_up_is_a_random_sample_not_the_first_augmenters() -> None:
    rows = taught(made(4, shape=(4, 4)), "marc")
    top_up = {pair.input.shape for each in rows for pair in read(each) if len(read(each)) == 3}
    assert top_up == {(4, 4), (8, 4), (4, 8), (8, 8)}


def test_equal_lessons_are_kept_once() -> None:
    dot, line = grid([[1]]), grid([[2, 2]])
    rows = taught(Task("dot", (Pair(dot, line), Pair(line, dot)), (dot,)), "marc")
    assert len(rows) == len(set(contents(rows))) < 96 + 96


def test_marc_never_shows_the_pair_that_it_asks() -> None:
    for each in taught(made(4), "marc"):
        *context, asked = map(keys, ([pair] for pair in read(each)))
        assert asked not in context


def test_marc_learns_the_answer_and_every_output_but_the_first() -> None:
    for each in taught(made(3), "marc"):
        outputs = [pair.output for pair in read(each)]
        expected = outputs[1:] or outputs
        assert list(map(grid_key, learned(each))) == list(map(grid_key, expected))


def test_marc_leaves_out_rows_over_the_limit_whole() -> None:
    task = made(4)
    limit = len(row(CHAT16, task.demonstrations, ROOM).ids)
    rows = taught(task, "marc", limit=limit)
    complete = {keys(lesson) for left_out in (1, 2) for lesson in leave_out(task.demonstrations, left_out)}
    assert all(len(each.ids) <= limit and len(read(each)) in (3, 4) for each in rows)
    assert {tuple(keys(read(each))) for each in rows} >= complete


def test_marc_takes_leave_two_out_alone_where_nothing_else_fits() -> None:
    task = made(4)
    rows = taught(task, "marc", limit=len(row(CHAT16, task.demonstrations, ROOM).ids) - 20)
    assert rows and {len(read(each)) for each in rows} == {3}


def test_marc_shortens_lessons_where_no_whole_one_fits() -> None:
    task = made(5)
    limit = 2 * len(row(CHAT16, task.demonstrations[:1], ROOM).ids)
    rows = taught(task, "marc", limit=limit)
    assert rows and max(len(read(each)) for each in rows) == 2
    assert all(len(each.ids) <= limit for each in rows)


# -- all recipes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("recipe", "of_one", "of_two"), [("poe", 64, 64), ("nvarc", 64, 64), ("marc", 48, 96 + 96)])
def test_small_tasks_have_all_rows_of_the_recipe(recipe: Recipe, of_one: int, of_two: int) -> None:
    """marc: 48 K lessons that leave out one pair of K, and 48 K (K - 1) that leave out two."""
    for demonstrations, count in ((1, of_one), (2, of_two)):
        rows = taught(made(demonstrations), recipe)
        assert len(rows) == count
        assert all(each.learn.any() for each in rows)


@pytest.mark.parametrize("recipe", RECIPES)
def test_where_no_pair_fits_there_is_nothing_to_train_on(recipe: Recipe) -> None:
    assert taught(made(3), recipe, limit=30) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_pair_that_is_too_long_by_itself_is_never_asked(recipe: Recipe) -> None:
    small, large = made(2), made(1, shape=(20, 20))
    task = Task("mixed", small.demonstrations + large.demonstrations, small.tests)
    rows = taught(task, recipe, limit=600)
    assert rows and all(len(each.ids) <= 600 and read(each)[-1].input.size < 400 for each in rows)


@pytest.mark.parametrize("recipe", RECIPES)
def test_test_inputs_are_in_no_row(recipe: Recipe) -> None:
    planted = grid(np.tile([[7, 8, 9]], (1, 4)))
    rows = taught(made(3, test=planted), recipe)
    pattern = CHAT16.grid_ids(planted).astype(np.uint8).tobytes()
    assert not any(pattern in each.ids.astype(np.uint8).tobytes() for each in rows)
    assert not any(1 in (*pair.input.shape, *pair.output.shape) for each in rows for pair in read(each))
    assert contents(rows) == contents(taught(made(3), recipe))


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_grid_is_larger_than_30x30(recipe: Recipe) -> None:
    sides = [
        side
        for each in taught(made(2, shape=(16, 12)), recipe)
        for pair in read(each)
        for side in (*pair.input.shape, *pair.output.shape)
    ]
    assert max(sides) <= 30 and (max(sides) == 24) == (recipe == "marc")


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_16_id_layouts_give_the_same_rows(recipe: Recipe) -> None:
    assert contents(taught(made(2), recipe, layout=GRID16)) == contents(taught(made(2), recipe))


@pytest.mark.parametrize("recipe", RECIPES)
def test_rows_depend_on_the_seed_and_on_nothing_else(recipe: Recipe) -> None:
    assert contents(taught(made(3), recipe)) == contents(taught(made(3), recipe))
    assert contents(taught(made(3), recipe)) != contents(taught(made(3), recipe, seed=1))


def test_rows_are_the_same_in_every_process() -> None:
    script = (
        "import hashlib\n"
        "from tests.arc.test_training_rows import RECIPES, contents, made, taught\n"
        "whole = b''.join(a + b for r in RECIPES for a, b in contents(taught(made(3), r)))\n"
        "print(hashlib.sha256(whole).hexdigest())\n"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("recipe", RECIPES)
def test_rows_that_are_not_augmented_show_the_demonstrations_as_they_are(recipe: Recipe) -> None:
    task = made(3)
    settings = TrainingRows(recipe, copies=2, augment=False)
    rows = training_rows(task, CHAT16, settings, ROOM, generator(0, task.id, "lessons"))
    shown = {grid_key(each) for pair in task.demonstrations for each in (pair.input, pair.output)}
    assert all({grid_key(each) for pair in read(row) for each in (pair.input, pair.output)} <= shown for row in rows)
    if recipe == "marc":
        queries = Counter(grid_key(read(each)[-1].input) for each in rows)
        assert set(queries) == {grid_key(pair.input) for pair in task.demonstrations}, "each is the query"
    else:
        assert len(rows) == 16
        assert len({tuple(grid_key(pair.input) for pair in read(each)) for each in rows}) > 2, "in several orders"
