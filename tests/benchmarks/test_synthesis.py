"""The command that measures the synthesizer: what it prints, and what it refuses."""

from __future__ import annotations

import pytest

from submission.arc.tasks import Grid, grid
from submission.benchmarks.synthesis import Fit, Trial, half_of, report
from submission.cli.commands import main
from submission.programs.program import Program

RIGHT, WRONG = grid([[1]]), grid([[2]])


def trial(name: str, *answers: Grid) -> Trial:
    programs = [Program("def transform(grid): ...", (answer,), 1, "search", 1.0) for answer in answers]
    return Trial(name, 1.0, programs, [Fit("plain", 1.0, answer is RIGHT) for answer in answers])


def test_the_first_two_distinct_answers_are_the_attempts() -> None:
    trials = [trial("a", WRONG, RIGHT), trial("b", WRONG, grid([[3]]), RIGHT), trial("c")]
    lines = list(report(trials, {name: (RIGHT,) for name in "abc"}))
    assert lines[0] == "all: solved 1 of 3 tasks at 2 attempts (0.333 by output)"


def test_the_share_of_wrong_programs_is_told_for_all_and_for_the_stable() -> None:
    unstable = Trial("d", 1.0, [], [Fit("table", 0.5, False)])
    lines = list(report([trial("a", RIGHT, WRONG), unstable], {"a": (RIGHT,), "d": (RIGHT,)}))
    assert "fitting programs: 3, wrong 0.667" in lines
    assert "fitting programs of stability 1: 2, wrong 0.500" in lines


def test_the_halves_are_told_by_the_hash_of_the_id() -> None:
    assert {half_of(f"task{k}") for k in range(20)} == {0, 1}


def test_an_unknown_task_is_refused_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "synthesis", "--only", "nosuch"]) == 2
    assert capsys.readouterr().err == "no task is called 'nosuch'\n"


def test_programs_of_a_task_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "synthesis", "--only", "67a3c6ac", "--seconds", "1"]) == 0
    printed = capsys.readouterr().out
    assert "67a3c6ac  right at 1" in printed
    assert "mirror_columns(grid)" in printed
