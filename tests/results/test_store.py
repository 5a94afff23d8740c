"""The files of a run before anything is known of it: complete, and refused in a sentence where none can be written.

What becomes of them as tasks are finished is tested on whole runs: tests/runner/test_run.py, tests/faults.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from submission.arc.tasks import BadTask
from submission.arc.views import identity
from submission.presets import PRESETS
from submission.results import submission_file
from submission.results.store import RunStore
from submission.solver.records import FitRecord, TaskRecord, TestRecord, ViewRecord
from tests.faults.cell import copies


def test_a_store_that_is_opened_has_written_a_complete_submission(tmp_path: Path) -> None:
    tasks, _ = copies(3)
    (tmp_path / "journal").mkdir()
    store = RunStore(tmp_path, tasks, dict.fromkeys(tasks, "stamp"), PRESETS["laptop"])
    store.open(("network", "programs"), resume=True)
    assert store.known() == []
    assert (tmp_path / "journal" / "programs").is_dir()
    assert json.loads((tmp_path / "submission.json").read_text()) == submission_file.blank(tasks)
    store.close()
    assert store.unwritten is None


def test_bad_tasks_are_blank_from_the_first_to_the_last_write(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    tasks, _ = copies(2)
    bad = {"../odd\n": BadTask("an id must be of printable characters", 2)}
    expected = {**submission_file.blank(tasks), "../odd\n": [{"attempt_1": [[0]], "attempt_2": [[0]]}] * 2}
    (tmp_path / "journal").mkdir()
    store = RunStore(tmp_path, tasks, dict.fromkeys(tasks, "stamp"), PRESETS["laptop"], bad)
    store.open(("network",), resume=True)
    store.close()
    assert json.loads((tmp_path / "submission.json").read_text()) == expected
    told = caplog.messages[-1]
    assert told.startswith("3 of 3 answers are blank (") and f"{', '.join(tasks)}: not reached" in told
    assert "'../odd\\n': cannot be read (an id must be of printable characters)" in told


def test_what_failed_tries_had_found_stays_until_the_task_is_solved_again(tmp_path: Path) -> None:
    tasks, solutions = copies(2)
    (tmp_path / "journal").mkdir()
    first = RunStore(tmp_path, tasks, dict.fromkeys(tasks, "stamp"), PRESETS["laptop"])
    one = solutions["copy000"][0]
    view = ViewRecord(identity(3), 0, True)
    record = TaskRecord.empty(tasks["copy000"]).with_test(0, [one], TestRecord((view,)))
    first.keep("network", replace(record, fit=FitRecord(1, 1, (1.0,), 0.5, "done"), notes=("failed", "failed")))
    written = (tmp_path / "submission.json").read_bytes()
    store = RunStore(tmp_path, tasks, dict.fromkeys(tasks, "stamp"), PRESETS["laptop"])
    store.open(("network",), resume=True)
    assert store.records["network"] == {}, "it is solved again"
    assert (tmp_path / "submission.json").read_bytes() == written
    assert json.loads(written)["copy000"][0]["attempt_1"] == one.tolist()
