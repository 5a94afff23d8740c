"""The files of a run before anything is known of it: complete, and refused in a sentence where none can be written.

What becomes of them as tasks are finished is tested on whole runs: tests/runner/test_run.py, tests/faults.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from submission.arc.tasks import BadTask
from submission.errors import BadInput
from submission.presets import PRESETS
from submission.results import submission_file
from submission.results.store import RunStore, write_blank
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
    write_blank(tmp_path, tasks, bad)
    assert json.loads((tmp_path / "submission.json").read_text()) == expected
    (tmp_path / "submission.json").unlink()
    (tmp_path / "journal").mkdir()
    store = RunStore(tmp_path, tasks, dict.fromkeys(tasks, "stamp"), PRESETS["laptop"], bad)
    store.open(("network",), resume=True)
    store.close()
    assert json.loads((tmp_path / "submission.json").read_text()) == expected
    assert caplog.messages[-1].startswith("'../odd\\n' holds a blank answer: it cannot be read (an id must")


def test_a_blank_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    tasks, _ = copies(1)
    write_blank(tmp_path, tasks)
    assert json.loads((tmp_path / "submission.json").read_text()) == submission_file.blank(tasks)
    with pytest.raises(BadInput, match="cannot be written to"):
        write_blank(tmp_path / "nowhere", tasks)
