"""The journal: a record is trusted if it is whole, of this format, and of this run."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.errors import BadInput
from submission.results import journal
from submission.solver.records import TaskRecord

PAIRS = (Pair(grid([[1]]), grid([[2]])),)
TASKS = {"a": Task("a", PAIRS, (grid([[3]]),)), "b": Task("b", PAIRS, (grid([[4]]),))}
RECORD = TaskRecord("a", ((grid([[1]]),),), notes=("a sentence",))


def kept(folder: Path, change: Callable[[dict[str, Any]], object] = lambda content: None) -> Path:
    """The record's file, with something about its content changed."""
    journal.write_record(folder, RECORD, "0123")
    path = folder / "a.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    kept(tmp_path)
    records, doubts = journal.read_records(tmp_path, {"a": "0123", "b": "4567"})
    assert doubts == []
    assert {name: each.to_json() for name, each in records.items()} == {"a": RECORD.to_json()}


IDS = [
    "../elsewhere", "a/b", "a b", "a_b", "a.b", ".", "..", ".run", "-x", "CON", "con", "summary", "programs", "é任务",
    "e\u0301", "\u00e9", "<b>", "a,b", "\\", "*", "%2e", "a" * 200, "é" * 200, "é" * 199 + "è",
]  # fmt: skip


def test_every_printable_id_has_a_record_of_its_own_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "journal" / "programs"
    folder.mkdir(parents=True)
    for name in IDS:
        journal.write_record(folder, replace(RECORD, task=name), name)
    records, doubts = journal.read_records(folder, {name: name for name in IDS})
    assert doubts == []
    assert list(records) == IDS
    assert len(list(folder.iterdir())) == len(IDS)
    assert all(each.is_file() and not each.name.startswith(".") for each in folder.iterdir())
    assert [each.name for each in (tmp_path / "journal").iterdir()] == ["programs"]
    journal.remove_temporaries(tmp_path)
    assert len(list(folder.iterdir())) == len(IDS), "no record looks like a temporary file"


def test_a_plain_id_names_its_file(tmp_path: Path) -> None:
    for name in ("00576224", "-x", "A_b-9", "a" * 200):
        assert journal.record_path(tmp_path, name) == tmp_path / f"{name}.json"


def rewritten(content: dict[str, Any]) -> None:
    """Another content under a checksum that is right: what only a mistake of ours could write."""
    stamps = {key: content.pop(key) for key in ("format", "fingerprint", "sum")}
    content["attempts"] = 5
    content.update(stamps | {"sum": journal._sum({k: v for k, v in content.items() if k not in stamps})})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda content: content.update(notes=["another"]), "was changed or damaged"),
        (lambda content: content.update(format=1), "its journal has format 1"),
        (lambda content: content.pop("format"), "its journal has an older format without a number"),
        (
            lambda content: content.update(fingerprint="4567"),
            "has other settings, weights, content, seed or package version",
        ),
        (rewritten, "is not a record of format"),
    ],
)
def test_a_doubtful_record_is_set_aside_and_told(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], why: str
) -> None:
    path = kept(tmp_path, change)
    records, [doubt] = journal.read_records(tmp_path, {"a": "0123"})
    assert records == {}
    assert doubt.startswith("a.json ") and why in doubt
    assert not path.exists() and path.with_name("a.json.aside").exists(), "nothing is lost"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"a"', "\x00", "[" * 100_000])
def test_what_is_no_record_at_all_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadInput, match="is not"):
        journal.read_record(tmp_path / "a.json", "a", None)


def test_to_show_a_record_its_fingerprint_does_not_matter(tmp_path: Path) -> None:
    assert journal.read_record(kept(tmp_path), "a", None).notes == ("a sentence",)


def test_the_fingerprint_depends_on_all_that_answers_depend_on() -> None:
    prints = {
        journal.fingerprint(*each)
        for each in (
            [{"a": 1}, "w", 0],
            [{"a": 2}, "w", 0],
            [{"a": 1}, "v", 0],
            [{"a": 1}, "w", 1],
            [{"a": 1}, "w", 0, "t"],
        )
    }
    assert len(prints) == 5


def test_a_stamp_says_which_run_a_folder_holds(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    journal.require_same_run(tmp_path, "0123", ["a"])  # There is none yet.
    journal.write_stamp(tmp_path, "0123", TASKS)
    journal.require_same_run(tmp_path, "0123", ["b", "a", "c"])
    with pytest.raises(BadInput, match="other settings, weights or seed"):
        journal.require_same_run(tmp_path, "4567", ["a", "b"])
    with pytest.raises(BadInput, match="begun with 1 more tasks, e.g. b"):
        journal.require_same_run(tmp_path, "0123", ["a"])


def test_a_stamp_keeps_the_content_and_the_source_of_the_tasks(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    assert journal.read_stamp(tmp_path) is None
    source = journal.TaskSource(None, "/c.json", "/s.json")
    solutions = {name: (grid([[5]]),) for name in TASKS}
    journal.write_stamp(tmp_path, "0123", TASKS, solutions, source)
    stamp = journal.read_stamp(tmp_path)
    assert stamp is not None and (stamp.fingerprint, list(stamp.tasks), stamp.source) == ("0123", ["a", "b"], source)
    assert stamp.tasks["a"] == journal.task_digest(TASKS["a"]) != journal.task_digest(replace(TASKS["b"], id="a"))
    assert stamp.solutions == journal.solutions_digest(TASKS, solutions)
    assert str(source) == "--challenges /c.json --solutions /s.json"
    path = tmp_path / "journal" / ".run"
    for damage in ("", "[]", '{"tasks": 5}', '{"tasks": [5]}', path.read_text().replace("/c.json", "/d.json")):
        path.write_text(damage)
        with pytest.raises(BadInput, match=r"\.run: cannot be read as the stamp of a run"):
            journal.read_stamp(tmp_path)
    path.write_text('{"fingerprint": "0", "tasks": ["a"]}')
    assert journal.read_stamp(tmp_path) == journal.Stamp("0", {"a": ""}), "of an older version"


def test_leftovers_of_killed_writes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (folder := tmp_path / "journal" / "programs").mkdir(parents=True)
    left = [
        *(tmp_path / f".{name}.77" for name in ("submission.json", "summary.json", "report.html")),
        tmp_path / ".submission.json.blank", tmp_path / "journal" / "..run.77", tmp_path / "journal" / ".a.json.77",
        folder / ".a.json.78",
    ]  # fmt: skip
    others = [
        tmp_path / "submission.json", tmp_path / "journal" / ".run", folder / "a.json", folder / "a.json.aside",
        tmp_path / ".theirs.json.old", tmp_path / ".bashrc.5",
    ]  # fmt: skip
    (tmp_path / ".folder.json.5").mkdir()
    for path in [*left, *others]:
        path.touch()
    journal.remove_temporaries(tmp_path)
    assert [path.exists() for path in [*left, *others]] == [False] * 7 + [True] * 6
    assert (tmp_path / ".folder.json.5").is_dir()


def test_a_second_doubtful_record_does_not_take_the_place_of_the_first(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "a.json").write_text(f"damage {number}")
        _, [doubt] = journal.read_records(tmp_path, {"a": "0123"})
    assert "renamed to a.json.aside3," in doubt
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["damage 0", "damage 1", "damage 2"]
