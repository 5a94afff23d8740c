"""A second round of attacks: files, model folders, damaged runs, programs and settings; a part of them by default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.attacks import programs, sorts
from tests.attacks.verdicts import Attack, Tally, tallied


def held(tally: Tally, at_least: int) -> None:
    """Every attack was made, and held."""
    assert not tally.failed, str(tally)
    assert tally.tried >= at_least


@pytest.mark.parametrize("number", [30, pytest.param(250, marks=pytest.mark.slow)])
def test_files_are_read_as_a_person_reads_them_or_refused_in_a_sentence(number: int, tmp_path: Path) -> None:
    held(sorts.files(tmp_path, number, seed=1), number)


@pytest.mark.parametrize("number", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_model_folders_compute_what_their_files_say_or_are_refused_before_they_are_loaded(
    number: int, tmp_path: Path
) -> None:
    held(sorts.models(tmp_path, number, seed=1), number)


@pytest.mark.parametrize("number", [4, pytest.param(30, marks=pytest.mark.slow)])
def test_damaged_folders_of_runs_lose_and_invent_nothing(number: int, tmp_path: Path) -> None:
    held(sorts.folders(tmp_path, number, seed=1), number)


@pytest.mark.slow
@pytest.mark.parametrize("confinement", programs.NO_LAYER)
def test_hostile_programs_gain_nothing_and_harm_no_other_program(confinement: str, tmp_path: Path) -> None:
    """All of them in the whole sandbox; where it lacks a layer those for which that layer is there.

    What a program answers, and what it spends, is held by the protocol and by limits, whatever layers there are:
    `python -m tests.attacks programs` runs all of them under all confinements.
    """
    made = programs.sources if confinement == "all layers" else programs.reaching
    held(tallied("hostile programs", programs.attacks_under(confinement, made), tmp_path), 60)


@pytest.mark.parametrize("number", [200, pytest.param(800, marks=pytest.mark.slow)])
def test_values_of_settings_are_taken_as_they_are_written_or_refused(number: int, tmp_path: Path) -> None:
    held(sorts.options(tmp_path, number, seed=1), number)


def test_an_attack_that_is_not_held_is_counted_and_told(tmp_path: Path) -> None:
    def hang(folder: Path) -> str:
        while True:
            os.stat(folder)

    def fail(folder: Path) -> str:
        raise AssertionError("read wrong")

    attacks = [Attack("good", lambda folder: "refused"), Attack("bad", fail), Attack("endless", hang)]
    tally = tallied("of the test", attacks, tmp_path, seconds=0.2)
    assert tally.line() == "| of the test | 3 | 1 (1 refused) | 2 |"
    assert "read wrong" in tally.failed["bad"]
    assert "took more than 0.2 s" in tally.failed["endless"]
