"""What a worker works with: an engine of its own, or the search for programs; a model that is none is bad input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from submission.config import with_changes
from submission.errors import BadInput
from submission.presets import PRESETS
from submission.programs.synthesis.synthesizer import Synthesizer
from submission.runner.solvers import NetworkSolver, ProgramSolver, solver_of
from submission.runner.spec import WorkerSpec
from tests.faults.scripted import Loader, Scripted

LAPTOP = PRESETS["laptop"]


def test_the_kind_of_a_worker_says_what_it_works_with(tmp_path: Path) -> None:
    network = WorkerSpec(tmp_path, LAPTOP, 0, Loader())
    solver = solver_of(network)
    assert isinstance(solver, NetworkSolver)
    assert isinstance(solver.engine, Scripted), "made by the loader"
    programs = solver_of(replace(network, kind="programs"))
    assert isinstance(programs, ProgramSolver)
    assert [type(each) for each in programs.sources] == [Synthesizer]


def test_a_folder_that_holds_no_model_is_bad_input_for_either(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no config\.json"):
        solver_of(WorkerSpec(tmp_path, with_changes(LAPTOP, ["model.device=cpu"]), 0))
    writes = with_changes(LAPTOP, [f"programs.writer={tmp_path}"])
    with pytest.raises(BadInput, match=r"no config\.json"):
        solver_of(WorkerSpec(tmp_path, writes, 0, kind="programs"))
