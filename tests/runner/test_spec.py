"""What a run and its workers are told."""

from __future__ import annotations

import pickle
from pathlib import Path

from submission.presets import PRESETS
from submission.runner.spec import RunSpec, WorkerSpec
from tests.faults.scripted import Loader

LAPTOP = PRESETS["laptop"]


def test_the_network_decides_when_a_task_is_finished_wherever_it_takes_part() -> None:
    def main(*solvers: str) -> str:
        return RunSpec(Path(), Path(), LAPTOP, solvers=solvers).main  # type: ignore[arg-type]

    assert main("network") == main("programs", "network") == "network"
    assert main("programs") == "programs"


def test_what_workers_are_told_goes_to_another_process_and_back() -> None:
    spec = WorkerSpec(Path("model"), LAPTOP, 3, Loader(pause=1.0), "programs")
    assert pickle.loads(pickle.dumps(spec)) == spec
