"""Who solves when: programs before the network on the same cores, and what they have solved is the network's last."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from submission.arc.tasks import Pair, Task, grid
from submission.config import EMBEDDED, with_changes
from submission.presets import PRESETS
from submission.runner.run import run
from submission.runner.spec import RunSpec
from tests.faults.scripted import Loader
from tests.support.planted import mirrored_tasks

QUICK = with_changes(PRESETS["laptop"], ["training_rows.copies=1", "search.views=2", "programs.seconds=1"])


def contradictory(name: str) -> Task:
    """One that no program solves: equal inputs have unequal outputs. It is the longest."""
    rng = np.random.default_rng(9)
    same = grid(rng.integers(0, 10, (9, 9)))
    return Task(name, (Pair(same, grid([[1]])), Pair(same, grid([[2]]))), (same,))


def finished_at(folder: Path) -> dict[str, int]:
    """When each record of a journal was written."""
    return {path.stem: path.stat().st_mtime_ns for path in folder.glob("*.json")}


def test_programs_come_first_and_the_network_begins_with_what_they_have_not_solved(tmp_path: Path) -> None:
    tasks, _ = mirrored_tasks(2)
    tasks["hard"] = contradictory("hard")
    job = RunSpec(
        tmp_path / "out", EMBEDDED, QUICK, workers=1, load=Loader(pause=0.05), solvers=("network", "programs")
    )
    assert run(job, tasks, None)["finished"]
    network = finished_at(tmp_path / "out" / "journal")
    programs = finished_at(tmp_path / "out" / "journal" / "programs")
    assert set(network) == set(programs) == set(tasks)
    assert max(programs.values()) < min(network.values())
    assert min(network, key=lambda name: network[name]) == "hard", "though it is the longest"


def test_one_kind_of_solver_alone_keeps_a_journal_of_its_own(tmp_path: Path) -> None:
    tasks, solutions = mirrored_tasks(2)
    alone = RunSpec(tmp_path / "out", EMBEDDED, QUICK, workers=1, solvers=("programs",))
    assert run(alone, tasks, solutions)["solved_tasks"] == 2
    assert set(finished_at(tmp_path / "out" / "journal" / "programs")) == set(tasks)
    assert finished_at(tmp_path / "out" / "journal") == {}
