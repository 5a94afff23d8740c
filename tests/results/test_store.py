"""The files of a run before anything is known of it: complete, and refused in a sentence where none can be written.

What becomes of them as tasks are finished is tested on whole runs: tests/runner/test_run.py, tests/faults.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from submission.config import PRESETS
from submission.errors import BadInput
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


def test_a_blank_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    tasks, _ = copies(1)
    write_blank(tmp_path, tasks)
    assert json.loads((tmp_path / "submission.json").read_text()) == submission_file.blank(tasks)
    with pytest.raises(BadInput, match="cannot be written to"):
        write_blank(tmp_path / "nowhere", tasks)
