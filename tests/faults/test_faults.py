"""Whatever happens wherever: a valid, complete submission, and at most the faulted try is lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drill import can_isolate
from tests.faults.cell import REAL, Cell, copies, ended
from tests.faults.kills import early_kills, kills
from tests.faults.lasting import MACHINE, ROWS, STEPS, Cost, Lasting, NoDisk, cost
from tests.faults.mutations import mutations
from tests.faults.places import FILES, PLACES, UNPRIVILEGED, faults
from tests.faults.scripted import KINDS, STAGES, Fault
from tests.faults.soak import soak
from tests.faults.table import ALLOWANCE, expected, outcome


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> float:
    """Seconds of a run without a fault."""
    run = ended(Cell(tmp_path_factory.mktemp("undisturbed") / "out"))
    tasks, solutions = copies(4)
    assert (run.status, run.wrong(tasks), run.solved(solutions), run.retried()) == (0, [], 4, [])
    return run.seconds


QUICK = {
    "load": "raise",
    "adapt": "oom",
    "propose": "kill",
    "score": "hang",
    "vote": "slow",
    "start": "kill",
    "search": "hang",
    "journal": "nan",
    "write": "kill",
    "summary": "raise",
    "report": "oom",
}
"""One fault for each stage; together they are of every kind. `BY_DEFAULT` are tested by default."""

BY_DEFAULT = {"load", "adapt", "propose", "score", "vote", "journal", "write"}


@pytest.mark.parametrize(
    ("kind", "stage"),
    [
        pytest.param(kind, stage, marks=[] if QUICK[stage] == kind and stage in BY_DEFAULT else pytest.mark.slow)
        for stage in STAGES
        for kind in KINDS
    ],
)
def test_a_fault_costs_at_most_the_try_that_it_hits(kind: str, stage: str, tmp_path: Path, undisturbed: float) -> None:
    said, seconds = outcome(kind, stage, tmp_path)
    assert said == expected(kind, stage)
    assert seconds < 3 * undisturbed + ALLOWANCE


def test_the_quick_faults_are_of_every_kind_and_at_every_stage() -> None:
    assert (set(QUICK), set(QUICK.values())) == (set(STAGES), set(KINDS))


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing_that_was_done(tmp_path: Path) -> None:
    assert "each valid" in kills(tmp_path, 6)


@pytest.mark.slow
def test_kills_in_the_first_seconds_of_the_real_command_leave_no_folder_or_a_complete_one(tmp_path: Path) -> None:
    assert early_kills(tmp_path, 9).startswith("9 kills in the first 5 s")


QUICK_PLACES = ["a folder log.txt", "unreadable safetensors", "out of 300 letters"]

REPEATED = {
    f"{what} {name}{how}"
    for what, how, kept in (
        ("a full folder", "", "submission.json"), ("a folder", ", --resume", "summary.json"),
        ("a folder", ", --fresh", "report.html"), ("a pipe", "", "log.txt"),
    )
    for name in FILES if name != kept
}  # fmt: skip
"""Places that differ from one that is tested in the name of the file alone; `python -m tests.faults places` has all."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in QUICK_PLACES else pytest.mark.slow)
        for name in PLACES
        if name not in REPEATED
    ],
)
def test_a_place_that_cannot_be_looked_at_or_written_to_is_told_in_a_sentence(name: str, tmp_path: Path) -> None:
    if os.geteuid() == 0 and shutil.which(UNPRIVILEGED[0]) is None:
        pytest.skip("root may do everything, and there is no setpriv to run without that privilege")
    if PLACES[name].mounted and not can_isolate(tmp_path / "probe"):
        pytest.skip("this machine permits no namespaces, and so no read-only disk")
    assert faults(name, tmp_path) == []


def one_step(number: int, row: Lasting) -> list[str]:
    """The stages at which a lasting fault is tested: one of a task's steps, by turns, and all that are none.

    Whichever step of a task raises, ends or hangs, one place sees it, as the faults that strike once show for all
    steps; `python -m tests.faults lasting` has every stage.
    """
    steps = [stage for stage in row.stages if stage in STEPS]
    return [*([steps[number % len(steps)]] if steps else []), *(stage for stage in row.stages if stage not in STEPS)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "stage"),
    [pytest.param(row, s, id=f"{row.name}-{s}") for number, row in enumerate(ROWS) for s in one_step(number, row)],
)
def test_a_fault_that_lasts_costs_no_more_than_it_must(row: Lasting, stage: str, tmp_path: Path) -> None:
    cost(row, stage, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("body", MACHINE.values(), ids=MACHINE)
def test_a_machine_that_is_full_or_slow_ends_its_run(body: Callable[[Path], Cost], tmp_path: Path) -> None:
    try:
        body(tmp_path)
    except NoDisk as error:
        pytest.skip(str(error))


def test_every_step_of_a_task_has_faults_that_last() -> None:
    tested = {stage for number, row in enumerate(ROWS) for stage in one_step(number, row)}
    assert tested == {stage for row in ROWS for stage in row.stages}
    assert set(PLACES) > REPEATED


@pytest.mark.slow
def test_less_memory_is_asked_of_the_embedded_model_itself(tmp_path: Path) -> None:
    """Its engine is out of memory until it has checkpointing on and a smaller KV cache."""
    fault = Fault("oom", "adapt", tmp_path, after=0, lasting=True, megabytes=256.0)
    cell = Cell(tmp_path / "out", (fault,), settings=REAL, seconds=None, real=True, marks=tmp_path, workers=1)
    run = ended(cell, limit=400.0)
    assert (run.status, run.wrong(copies(4)[0]), len(run.records)) == (0, [], 4)
    assert all(record["fit"] is not None for record in run.records.values()), "each task is trained"
    assert fault.mark.stat().st_size == 3, "after three tasks the next ask for less from the first"
    assert "3 tasks in a row ran out of memory: the next ask for less (1)" in run.log


@pytest.mark.slow
def test_a_soak_loses_nothing_and_grows_by_nothing(tmp_path: Path) -> None:
    soaked = soak(tmp_path / "soak", minutes=0.6, tasks=40)
    assert soaked.happened > 10


@pytest.mark.parametrize("number", [30, pytest.param(3000, marks=pytest.mark.slow)])
def test_changed_challenges_files_are_accepted_or_refused_with_a_sentence(
    number: int, tmp_path: Path, tiny_grid_model: Path
) -> None:
    assert mutations(tmp_path, number, tiny_grid_model).startswith(f"{number} changed files")
