"""The synthesizer: it finds planted rules, knows lucky fits, ends in time, and prints programs that run."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.deadline import NEVER, Deadline
from submission.errors import BadInput
from submission.programs.grid_language import assembly, colours, part_selection, segmentation, shapes
from submission.programs.grid_language.values import Cells
from submission.programs.grid_language.vocabulary import operations
from submission.programs.program import Program
from submission.programs.synthesis.expressions import run
from submission.programs.synthesis.scans import scans
from submission.programs.synthesis.search import StatePool, explore
from submission.programs.synthesis.solution import plain
from submission.programs.synthesis.synthesizer import Synthesizer, start_states
from submission.programs.synthesis.tables import CellExamples, decision_tables

SMALL = Synthesizer(most_states=900, most_renamed_states=200)

Rule = Callable[[Cells], Cells]


def scattered(rng: np.random.Generator, shape: tuple[int, int], filled: float, colours_used: int = 3) -> Cells:
    """A grid with some cells in the colours 1.. of that many."""
    made = rng.integers(1, colours_used + 1, size=shape) * (rng.random(shape) < filled)
    made[0, 0] = 1  # never empty
    return made.astype(np.uint8)


def planted(rule: Rule, pairs: int = 3, filled: float = 0.4, seed: int = 0) -> tuple[Task, Cells]:
    """A task with this rule, and the right answer."""
    rng = np.random.default_rng(seed)
    inputs = [scattered(rng, (int(h), int(w)), filled) for h, w in rng.integers(5, 9, size=(pairs + 1, 2))]
    shown = tuple(Pair(grid(cells), grid(rule(cells))) for cells in inputs[:-1])
    return Task("planted", shown, (grid(inputs[-1]),)), rule(inputs[-1])


def largest(cells: Cells) -> Cells:
    return part_selection.most(segmentation.components(cells, True, True), "cells")


def all_largest(cells: Cells) -> Cells:
    return assembly.compose(part_selection.keep_most(segmentation.components(cells, True, True), "cells"))


def same(one: Cells | None, other: Cells) -> bool:
    return one is not None and np.array_equal(one, other)


PLANTED: dict[str, tuple[Rule, float]] = {
    "depth 1": (shapes.mirror_rows, 0.4),
    "depth 2": (lambda cells: shapes.mirror_rows(colours.keep_colour(cells, 1)), 0.4),
    "depth 2, through a list": (largest, 0.2),
    "depth 3, by a list of some": (all_largest, 0.2),
    "a mosaic": (lambda cells: np.concatenate([cells, cells[:, ::-1]], 1), 0.4),
    "a recolouring": (lambda cells: np.array([0, 5, 1, 7, 0, 0, 0, 0, 0, 0], np.uint8)[cells], 0.4),
    "a rule for cells": (
        lambda cells: np.where((cells == 0) & (np.roll(cells, 1, 1) == 2), 4, cells).astype(np.uint8),
        0.3,
    ),
}


@pytest.fixture(scope="module", params=PLANTED)
def solved(request: pytest.FixtureRequest) -> tuple[Task, Cells, list[Program]]:
    """A task with a planted rule, the right answer, and the programs that are found."""
    rule, filled = PLANTED[request.param]
    task, answer = planted(rule, pairs=4, filled=filled)
    return task, answer, SMALL.programs(task, NEVER, 0)


def test_planted_rules_are_found(solved: tuple[Task, Cells, list[Program]]) -> None:
    _, answer, programs = solved
    assert any(same(program.answers[0], answer) for program in programs[:2])


def test_a_rule_from_line_to_line_is_found() -> None:
    task, answer = planted(lambda cells: np.maximum.accumulate(cells, 0), pairs=6, filled=0.3)
    assert any(same(found.answers[0], answer) for found in scans(task, 0, NEVER))


def test_a_printed_program_gives_every_output_and_its_answers_again(solved: tuple[Task, Cells, list[Program]]) -> None:
    task, _, programs = solved
    assert programs
    for program in programs:
        for pair in task.demonstrations:
            assert same(run(program.source, pair.input), pair.output)
        for cells, answer in zip(task.tests, program.answers, strict=True):
            assert same(run(program.source, cells), answer if answer is not None else cells[:0])


def test_programs_have_distinct_answers_and_say_what_they_are() -> None:
    task, _ = planted(largest, filled=0.2)
    programs = SMALL.programs(task, NEVER, 0)
    answers = [program.answers[0].tobytes() for program in programs if program.answers[0] is not None]
    assert len(set(answers)) == len(answers) == len(programs) <= SMALL.most_programs
    assert all(program.origin == "search" and program.size >= 1 and 0 <= program.stability <= 1 for program in programs)
    assert all("def transform(grid)" in program.source for program in programs)


def test_the_same_task_gives_the_same_programs() -> None:
    task, _ = planted(largest, filled=0.2)
    assert described(SMALL.programs(task, NEVER, 0)) == described(SMALL.programs(task, NEVER, 0))


def described(programs: list[Program]) -> list[tuple[str, int, float]]:
    return [(program.source, program.size, program.stability) for program in programs]


def test_nothing_is_found_where_inputs_contradict_each_other() -> None:
    one, two = grid([[1, 2]]), grid([[2, 1]])
    task = Task("contradiction", (Pair(one, one), Pair(one, two)), (one,))
    assert SMALL.programs(task, NEVER, 0) == []


def test_the_deadline_ends_the_search_and_what_was_found_stays() -> None:
    moments = iter(range(10**9))
    task, _ = planted(lambda cells: cells, pairs=2)
    ended = Deadline(at=40, clock=lambda: float(next(moments)))
    programs = Synthesizer(most_states=10**6).programs(task, ended, 0)
    assert programs
    assert next(moments) < 2000


def test_a_passed_deadline_is_no_error() -> None:
    task, _ = planted(largest)
    began = time.monotonic()
    assert len(SMALL.programs(task, Deadline(at=0.0), 0)) <= SMALL.most_programs
    assert time.monotonic() - began < 5, "it does not search on"


def test_states_are_distinct_cheapest_first_and_no_more_than_asked() -> None:
    task, _ = planted(shapes.mirror_rows)
    pool = StatePool()
    states = list(explore(pool, start_states(pool, task), operations((1, 2, 3)), 500, 4.0, NEVER))
    grids = [state for state in states if state.kind == "grid"]
    assert len(pool.states) <= 500
    assert len({state.values for state in grids}) == len(grids)
    assert [state.cost for state in states] == sorted(state.cost for state in states)


def test_a_cheaper_program_for_all_other_demonstrations_makes_a_fit_unsteady() -> None:
    """Two demonstrations are symmetric, so only the third tells that the rule mirrors: without it, it is lost."""
    even = grid([[1, 2, 2, 1], [3, 1, 1, 3]])
    odd = grid([[1, 2, 3, 3], [2, 1, 1, 2]])
    shown = (Pair(even, even), Pair(even[::-1].copy(), even[::-1].copy()), Pair(odd, odd[:, ::-1].copy()))
    task = Task("lucky", shown, (grid([[1, 2], [3, 3]]),))
    pool = StatePool()
    targets = tuple(pool.number(pair.output) for pair in task.demonstrations)
    states = list(explore(pool, start_states(pool, task), operations((1, 2, 3)), 300, 2.0, NEVER))
    mirrored = next(plain(pool, states, targets))
    assert mirrored.stability == pytest.approx(2 / 3)


def cases(seen: list[list[int]], outcome: list[int], demonstration: list[int], asked: list[list[int]]) -> CellExamples:
    return CellExamples(
        np.array(seen, np.uint8),
        np.array(asked, np.uint8),
        np.array(outcome, np.uint8),
        np.array(demonstration, np.uint8),
        np.ones(len(seen)),
    )


def test_a_table_that_holds_when_a_demonstration_is_left_out_is_steady() -> None:
    told = cases([[0, 1, 0, 1], [0, 1, 2, 3]], [5, 6, 5, 6], [0, 0, 1, 1], [[0], [3]])
    found = {d.features: d.stability for d in decision_tables(told, 2, 9, np.random.default_rng(0), NEVER)}
    assert found[(0,)] == 1.0
    assert found[(1,)] == 0.0  # every demonstration has its own entries: a copy of what was seen, a lucky fit


def test_two_features_are_combined_where_one_does_not_decide() -> None:
    told = cases([[0, 0, 1, 1], [0, 1, 0, 1]], [0, 1, 1, 0], [0, 0, 0, 0], [[1], [1]])
    assert [d.features for d in decision_tables(told, 3, 9, np.random.default_rng(0), NEVER)] == [(0, 1)]


def test_a_table_that_does_not_know_the_tests_is_not_a_decision() -> None:
    told = cases([[0, 1]], [0, 1], [0, 0], [[2]])
    assert decision_tables(told, 3, 9, np.random.default_rng(0), NEVER) == []


def test_settings_must_be_above_0() -> None:
    with pytest.raises(BadInput, match="most_states"):
        Synthesizer(most_states=0)
