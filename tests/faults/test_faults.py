"""Whatever happens wherever: a valid, complete submission, and at most the faulted try is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.cell import Cell, copies, ended
from tests.faults.kills import kills
from tests.faults.mutations import mutations
from tests.faults.scripted import KINDS, STAGES, Fault
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
"""One fault for each stage; together they are of every kind. Those of the last six stages are slow tests too."""

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
def test_a_soak_of_many_tasks_with_random_faults_on_four_workers(tmp_path: Path) -> None:
    faults = tuple(
        Fault(kind, stage, tmp_path, most=2, after=0, chance=0.05)
        for kind in ("raise", "kill", "hang", "oom", "nan", "slow")
        for stage in ("adapt", "propose", "score", "vote")
    )
    run = ended(Cell(tmp_path / "out", faults, tasks=240, workers=4, seconds=None), limit=240)
    tasks, solutions = copies(240)
    assert (run.status, run.wrong(tasks), len(run.records)) == (0, [], 240)
    happened = len(list(tmp_path.glob("*-*-*")))
    assert happened > 20
    twice = [name for name, record in run.records.items() if len(record["notes"]) > 1]
    assert run.solved(solutions) >= 240 - len(twice), "only a task that was hit twice may be lost"


@pytest.mark.parametrize("number", [30, pytest.param(3000, marks=pytest.mark.slow)])
def test_changed_challenges_files_are_accepted_or_refused_with_a_sentence(
    number: int, tmp_path: Path, tiny_grid_model: Path
) -> None:
    assert mutations(tmp_path, number, tiny_grid_model).startswith(f"{number} changed files")
