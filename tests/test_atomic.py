"""JSON files that are written whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from submission.atomic import read_json, write_json
from tests.support.cases import cases


def test_killed_in_the_middle_of_writing_the_old_file_stays_whole(tmp_path: Path) -> None:
    path = tmp_path / "submission.json"
    code = (
        "import sys; from pathlib import Path; from submission.atomic import write_json\n"
        "k = 0\n"
        "while True:\n"
        "    write_json(Path(sys.argv[1]), {'k': k, 'filler': str(k % 10) * 20_000_000}); k += 1\n"
    )
    for wait in (0.05, 0.11, 0.17, 0.23):
        child = subprocess.Popen([sys.executable, "-c", code, str(path)])
        while not path.exists():
            time.sleep(0.01)
        time.sleep(wait)
        for _ in range(3):  # Whoever reads while it is being written finds a whole file as well.
            json.loads(path.read_text())
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        content = json.loads(path.read_text())
        assert content["filler"] == str(content["k"] % 10) * 20_000_000


def test_what_was_written_is_read_again_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for content in ({"a": [1, 2.5, None]}, {"b": "ü"}):
        write_json(path, content)
        assert read_json(path) == content
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


@cases("content", ["{", "[1]", "5", "", "\ud800", "[" * 100_000])
def test_what_is_no_object_is_read_as_an_empty_one(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    assert read_json(tmp_path / "a.json") == {}
    assert read_json(tmp_path / "nowhere.json") == {}


def test_a_write_that_fails_leaves_the_old_file_and_no_temporary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError):
        write_json(path, {"new": float("nan")})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_json(path, {"new": 2})
    assert read_json(path) == {"old": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
