"""The journal: a fingerprint of all that answers depend on, one run in a folder, no leftovers of killed writes.

How records are kept, distrusted and taken over is tested on whole runs: tests/runner/test_run.py, tests/faults.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.results import journal


def test_a_fingerprint_changes_with_each_thing_that_answers_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"search": {"views": 4}, "adapt": {"rank": 8}}
    plain = journal.fingerprint(settings, "weights", 0, "task")
    assert journal.fingerprint(dict(reversed(settings.items())), "weights", 0, "task") == plain, "order is nothing"
    others = [
        journal.fingerprint({**settings, "adapt": {"rank": 9}}, "weights", 0, "task"),
        journal.fingerprint(settings, "other weights", 0, "task"),
        journal.fingerprint(settings, "weights", 1, "task"),
        journal.fingerprint(settings, "weights", 0, "another task"),
        journal.fingerprint(settings, "weights", 0),
    ]
    monkeypatch.setattr(journal, "__version__", "another")
    others.append(journal.fingerprint(settings, "weights", 0, "task"))
    assert len({plain, *others}) == 7
    assert len(plain) == 16
    assert int(plain, 16) >= 0


def test_the_sum_of_a_model_is_of_the_names_and_contents_of_its_weights(tmp_path: Path) -> None:
    def summed(**files: str) -> str:
        for path in tmp_path.iterdir():
            path.unlink()
        for name, content in files.items():
            (tmp_path / name.replace("_", ".")).write_text(content)
        return journal.model_sha256(tmp_path)

    both = summed(a_safetensors="1", b_safetensors="2")
    assert summed(b_safetensors="2", a_safetensors="1", config_json="{}") == both
    assert len({both, summed(a_safetensors="2", b_safetensors="1"), summed(a_safetensors="12")}) == 3
    (tmp_path / "c.safetensors").mkdir()
    with pytest.raises(BadInput, match="cannot be read as a model"):
        journal.model_sha256(tmp_path)


def test_a_folder_is_locked_for_others_until_its_holder_ends_however_it_ends(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from submission.results import journal\n"
        "with journal.locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read(); os._exit(9)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(BadInput, match="another run is at work here"), journal.locked(tmp_path):
        pass
    holder.communicate()
    with journal.locked(tmp_path):
        pass


def test_what_killed_writes_have_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    kept = ["submission.json", "log.txt", ".lock", "journal/a.json", "journal/.run", "journal/a.json.aside"]
    left = [".submission.json.77", "journal/.a.json.77", "journal/..run.77"]
    for name in kept + left:
        (tmp_path / name).write_text("x")
    journal.remove_temporaries(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(kept)
