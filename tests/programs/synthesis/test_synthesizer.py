"""The synthesizer: it finds planted rules, knows lucky fits, ends in time, and prints programs that run."""

from __future__ import annotations

import time

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.deadline import NEVER, Deadline
from submission.errors import BadInput
from submission.programs.grid_language import assembly, colours, part_selection, segmentation, shapes
from submission.programs.grid_language.values import Cells
from submission.programs.program import Program
from submission.programs.synthesis.expressions import run
from submission.programs.synthesis.synthesizer import Synthesizer
from tests.support.planted import Rule, planted, same

SMALL = Synthesizer(most_states=900, most_renamed_states=200)


def largest(cells: Cells) -> Cells:
    return part_selection.most(segmentation.components(cells, True, True), "cells")


def all_largest(cells: Cells) -> Cells:
    return assembly.compose(part_selection.keep_most(segmentation.components(cells, True, True), "cells"))


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


SLOW = ("depth 2", "depth 2, through a list", "depth 1")
"""Rules that a deeper one, which is found as well, contains."""


@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=pytest.mark.slow if each in SLOW else []) for each in PLANTED]
)
def solved(request: pytest.FixtureRequest) -> tuple[Task, Cells, list[Program]]:
    """A task with a planted rule, the right answer, and the programs that are found."""
    rule, filled = PLANTED[request.param]
    task, answer = planted(rule, pairs=4, filled=filled)
    return task, answer, SMALL.programs(task, NEVER, 0)


def test_planted_rules_are_found(solved: tuple[Task, Cells, list[Program]]) -> None:
    _, answer, programs = solved
    assert any(same(program.answers[0], answer) for program in programs[:2])


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


def test_settings_must_be_above_0() -> None:
    with pytest.raises(BadInput, match="most_states"):
        Synthesizer(most_states=0)
