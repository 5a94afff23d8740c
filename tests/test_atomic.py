"""Files are replaced whole, and nothing is left beside them; every module replaces them in this one way."""

from __future__ import annotations

import ast
import os
from pathlib import Path

import pytest

from submission import atomic

PACKAGE = Path(atomic.__file__).parent

OTHERS = {
    "results/journal.py": "sets a record aside under another name",
    "results/output_folder.py": "sets an old run aside and moves a new folder to its place",
    "training/pretrain.py": "replaces a whole folder",
    "model/vocabulary.py": "moves a finished folder to its place",
    "kaggle/packaging/model_upload.py": "moves a finished folder to its place",
}
"""Modules that rename files themselves, and why."""


def test_text_bytes_and_json_replace_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    atomic.write_bytes(path, b"\xff\x00")
    assert path.read_bytes() == b"\xff\x00"
    atomic.write_text(path, "ä\n")
    assert path.read_bytes() == "ä\n".encode()
    atomic.write_json(path, {"a": [1, "ä"]})
    assert path.read_bytes() == b'{"a": [1, "\\u00e4"]}\n'
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_until_the_block_ends_the_old_file_stays(tmp_path: Path) -> None:
    (path := tmp_path / "file").write_text("old")
    with atomic.replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_a_failure_leaves_the_old_file_and_no_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    (path := tmp_path / "file").write_text("old")
    with pytest.raises(KeyError), atomic.replacing(path) as temporary:
        temporary.write_text("half")
        raise KeyError("a bug")
    with pytest.raises(ValueError, match="JSON compliant"):
        atomic.write_json(path, float("nan"))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        atomic.write_text(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def renames(source: str) -> bool:
    """Whether a module renames files: os.replace(...), or a method `replace` or `rename` of one argument."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    names = [(ast.unparse(call.func), len(call.args) + len(call.keywords)) for call in calls]
    return any(name in ("os.replace", "os.rename") or (name.endswith(".replace") and n == 1) for name, n in names)


def test_no_other_module_writes_a_temporary_and_renames_it() -> None:
    assert renames("os.replace(a, b)") and renames("path.replace(target)") and not renames("text.replace('a', 'b')")
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if renames(path.read_text())}
    assert found == {"atomic.py", *OTHERS}
