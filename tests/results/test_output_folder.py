"""The output folder: its submission is complete at any moment, a crash or a full disk anywhere loses nothing."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread

import pytest

from submission.arc.tasks import BadTask
from submission.errors import BadInput
from submission.results import submission_file
from submission.results.output_folder import NEW, BroughtBack, owned
from tests.faults.cell import copies

TASKS, _ = copies(2)
BLANK = submission_file.blank(TASKS)
OLD = {
    "submission.json": json.dumps(BLANK).replace("[[0]]", "[[5]]"),
    "journal/copy000.json": "a record", "journal/programs/copy001.json": "another", "journal/.run": "a stamp",
    "summary.json": "a summary", "report.html": "a report", "log.txt": "a log\n",
}  # fmt: skip
"""The files of a run: their content."""


def filled(folder: Path, files: dict[str, str] = OLD) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def files_of(folder: Path) -> dict[str, str]:
    """What is in a folder's files, but for the lock and what stands aside."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_text() for name, path in paths.items() if name != ".lock" and "before-" not in name
    }  # fmt: skip


def aside(folder: Path) -> dict[str, str]:
    """What is in the files that stand aside: of one run."""
    [at] = folder.glob("before-*")
    return files_of(at)


def submission(folder: Path) -> object:
    return json.loads((folder / "submission.json").read_text())


# -- a new folder ------------------------------------------------------------------------------------------------


def test_a_new_folder_has_its_lock_and_a_complete_submission(tmp_path: Path) -> None:
    bad = {"odd\n": BadTask("an id must be of printable characters", 2)}
    out = tmp_path / "a" / "b"
    with owned(out, TASKS, bad) as resumed:
        assert not resumed
        assert submission(out) == {**BLANK, "odd\n": BLANK["copy001"] * 2}
        assert (out / "journal").is_dir()
        with pytest.raises(BadInput, match="another run is at work here"), owned(out, TASKS, resume=True):
            pass
    assert [path.name for path in out.parent.iterdir()] == ["b"]
    with owned(out, TASKS, bad):  # Nothing was begun.
        assert not list(out.glob("before-*"))


def test_of_runs_that_begin_at_once_on_one_folder_one_goes_on(tmp_path: Path) -> None:
    for number in range(10):
        out, begun, all_have_tried = tmp_path / f"out{number}", [], Barrier(4)

        def attempt(out: Path = out, begun: list[str] = begun, tried: Barrier = all_have_tried) -> None:
            try:
                with owned(out, TASKS):
                    begun.append("begun")
                    tried.wait(30)
            except BadInput as error:
                begun.append(str(error))
                tried.wait(30)

        threads = [Thread(target=attempt) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert sorted(begun) == sorted(["begun", *[f"{out}: another run is at work here"] * 3])
        assert submission(out) == BLANK
    assert len(list(tmp_path.iterdir())) == 10


@pytest.mark.parametrize("out", ["file/run", "/proc/none/run", "x" * 300])
def test_a_folder_that_cannot_be_made_is_bad_input(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written to") as told, owned(tmp_path / out, TASKS):
        pass
    assert NEW not in str(told.value), "a name that the user has not given"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_kill_has_left_beside_a_new_folder_goes_after_an_hour(tmp_path: Path) -> None:
    for name in (".arc-run-1-1", ".arc-run-2-2"):
        filled(tmp_path / name, {".lock": "", "submission.json": "{}", ".submission.json.5": ""})
    os.utime(tmp_path / ".arc-run-1-1", (0, 0))
    with owned(tmp_path / "out", TASKS):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".arc-run-2-2", "out"]


def test_what_fails_within_a_folder_is_not_the_folders_fault(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), owned(tmp_path / "run", TASKS):
        raise PermissionError


# -- a folder that is there --------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["absent", "empty", "log"])
def test_resuming_a_folder_without_a_run_begins_one_and_says_so(
    before: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "run"
    if before != "absent":
        filled(out, {"log.txt": "an older line\n"} if before == "log" else {"x": ""})
    for _ in range(2):  # The second one finds the blank of the first.
        caplog.clear()
        with owned(out, TASKS, resume=True) as resumed:
            assert not resumed
            assert submission(out) == BLANK
        assert caplog.messages == [f"{out}: holds no run to resume, so a new one begins"]
    (out / "journal" / ".run").touch()
    with owned(out, TASKS, resume=True) as resumed:
        assert resumed
    assert not list(out.glob("before-*"))


def test_a_folder_with_a_run_is_taken_only_to_resume_it_or_to_begin_again(tmp_path: Path) -> None:
    out = filled(tmp_path / "out")
    with pytest.raises(BadInput, match="holds a run already"), owned(out, TASKS):
        pass
    with owned(out, TASKS, resume=True) as resumed:
        assert resumed
    assert files_of(out) == OLD
    with owned(out, TASKS, fresh=True) as resumed:
        assert not resumed
        assert (submission(out), list((out / "journal").iterdir())) == (BLANK, [])
    assert aside(out) == OLD
    with owned(out, TASKS, fresh=True):
        assert len(list(out.glob("before-*"))) == 1, "a blank is not worth keeping"
    filled(out)
    with owned(out, TASKS, fresh=True):
        assert len(list(out.glob("before-*"))) == 2


@pytest.mark.parametrize("how", ["resume", "fresh", "neither"])
@pytest.mark.parametrize("theirs", ["somebody's answers", '{"x": []}', "[1]", OLD["submission.json"]])
def test_a_submission_without_a_journal_is_set_aside(tmp_path: Path, how: str, theirs: str) -> None:
    out = filled(tmp_path / "out", {"submission.json": theirs})
    with owned(out, TASKS, resume=how == "resume", fresh=how == "fresh") as resumed:
        assert not resumed
        assert submission(out) == BLANK
    assert aside(out) == {"submission.json": theirs}


@pytest.mark.parametrize("theirs", ["half a subm", '{"x": []}', None])
def test_a_run_is_resumed_with_a_valid_submission(tmp_path: Path, theirs: str | None) -> None:
    out = filled(tmp_path / "out")
    (out / "submission.json").unlink() if theirs is None else (out / "submission.json").write_text(theirs)
    with owned(out, TASKS, resume=True) as resumed:
        assert resumed
        assert submission(out) == BLANK
    assert files_of(out) == {**OLD, "submission.json": (out / "submission.json").read_text()}
    assert [files_of(at) for at in out.glob("before-*")] == ([] if theirs is None else [{"submission.json": theirs}])


def test_a_blank_of_the_same_tasks_stays_as_it_is(tmp_path: Path) -> None:
    text = json.dumps(dict(reversed(BLANK.items())), indent=3)
    out = filled(tmp_path / "out", {"submission.json": text})
    with owned(out, TASKS, fresh=True):
        assert files_of(out) == {"submission.json": text}


# -- what comes back ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [BadInput("a broken model"), OSError(5, "broken"), RuntimeError("a bug")])
def test_before_the_first_record_an_error_brings_the_old_run_back(tmp_path: Path, error: Exception) -> None:
    out = filled(tmp_path / "out")
    told = type(error) if isinstance(error, BadInput) else BroughtBack
    with pytest.raises(told, match="broken|a bug; what was in .* before is there again"), owned(out, TASKS, fresh=True):
        filled(out, {"log.txt": "new lines\n", "summary.json": "new", "journal/.run": "new"})
        (out / "journal" / "programs").mkdir()
        raise error
    assert files_of(out) == {**OLD, "log.txt": "a log\nnew lines\n"}
    assert not list(out.glob("*before-*"))


def test_after_the_first_record_and_after_an_interrupt_the_new_run_stays(tmp_path: Path) -> None:
    for number, error in enumerate((BadInput("late"), KeyboardInterrupt())):
        out = filled(tmp_path / f"out{number}")
        with pytest.raises(type(error)), owned(out, TASKS, fresh=True):
            if isinstance(error, BadInput):
                filled(out, {"journal/programs/copy000.json": "new"})
            raise error
        assert submission(out) == BLANK
        assert aside(out) == OLD


def test_bad_input_in_a_new_folder_leaves_a_blank_and_nothing_begun(tmp_path: Path) -> None:
    for _ in range(2):  # The second run need not be told to resume.
        with pytest.raises(BadInput, match="a broken model"), owned(tmp_path / "out", TASKS):
            filled(tmp_path / "out", {"log.txt": "why\n", "journal/.run": "", "journal/programs/.a.json.5": ""})
            (tmp_path / "out" / "journal/programs/.a.json.5").unlink()
            raise BadInput("a broken model")
    assert sorted(files_of(tmp_path / "out")) == ["log.txt", "submission.json"]
    assert submission(tmp_path / "out") == BLANK


def test_bad_input_on_resume_leaves_all_as_it_was(tmp_path: Path) -> None:
    before = {**OLD, "submission.json": '{"x": []}'}
    out = filled(tmp_path / "out", before)
    with pytest.raises(BadInput, match="other settings"), owned(out, TASKS, resume=True):
        raise BadInput("other settings")
    assert files_of(out) == before


# -- a crash, or a disk that fails, at every step ----------------------------------------------------------------

WRITES = {"os.rename", "os.link", "os.mkdir", "os.rmdir", "os.remove", "os.truncate"}
"""Audit events that change a disk; os.replace is an os.rename too."""


class Crash(BaseException):
    """The process is gone: whatever it still does has no effect."""


class Disk:
    """Lets so many steps on the files below a folder pass; then one of them, or all of them, fail."""

    def __init__(self) -> None:
        self.below, self.left, self.error, self.once = "", -1, OSError(), False
        self.steps = 0
        sys.addaudithook(self._hook)  # It stays for ever: there is one for all tests.

    def _hook(self, event: str, given: tuple[object, ...]) -> None:
        if not self.below:
            return
        writes = event in WRITES or (
            event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR)
        )
        if not writes or not any(self.below in os.fsdecode(each) for each in given[:2] if isinstance(each, str | Path)):
            return
        self.steps += 1
        if self.steps == self.left + 1 or (self.steps > self.left and not self.once):
            raise self.error

    @contextmanager
    def failing(self, below: Path, after: int, error: BaseException, once: bool = False) -> Iterator[None]:
        """Fail after so many steps, once or always from there on."""
        self.below, self.left, self.error, self.once, self.steps = str(below), after, error, once, 0
        try:
            yield
        finally:
            self.below = ""


@pytest.fixture(scope="module")
def disk() -> Disk:
    return Disk()


STARTS = {"new": {}, "old": OLD, "theirs": {"submission.json": '{"x": []}'}}
"""What is in the folder before."""


def attempt(out: Path, fresh: bool, ended: Exception | None) -> None:
    """A run that begins, does what it does before its first record, and ends."""
    with owned(out, TASKS, resume=not fresh, fresh=fresh) as resumed:
        if not resumed:
            (out / "log.txt").write_text("new lines\n")
            (out / "journal" / ".run").write_text("new")
        if ended is not None:
            raise ended


def require_nothing_lost(out: Path, before: dict[str, str]) -> None:
    """A valid submission, or nothing where there was nothing; and all old files, whole, in one place or another."""
    if out.exists() and (out / "submission.json").exists():
        assert (out / "submission.json").read_text() == before.get("submission.json") or submission(out) == BLANK
    else:
        assert not out.exists() and not before
    texts = [path.read_text() for path in out.rglob("*") if path.is_file()] if out.exists() else []
    for text in before.values():
        assert any(each.startswith(text) for each in texts), text


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("ended", [None, BadInput("a broken model")], ids=["kept", "refused"])
def test_a_crash_at_any_step_loses_nothing_and_the_next_run_goes_on(
    tmp_path: Path, disk: Disk, start: str, ended: Exception | None
) -> None:
    for steps in range(100):
        out = tmp_path / f"out{steps}"
        if STARTS[start]:
            filled(out, STARTS[start])
        crashed = True
        with disk.failing(out.parent, steps, Crash()):
            try:
                attempt(out, True, ended)
                crashed = False
            except BadInput:
                crashed = False
            except Crash:
                pass
        require_nothing_lost(out, STARTS[start])
        attempt(out, False, None)
        assert submission(out) == BLANK or (out / "journal" / "copy000.json").exists(), "the old run was not begun anew"
        require_nothing_lost(out, STARTS[start])
        assert not list(out.glob(".before-*"))
        whole = files_of(out) if (out / "summary.json").exists() else {}
        whole |= {} if whole or not list(out.glob("before-*")) else aside(out)
        assert all(whole.get(name, "").startswith(text) for name, text in STARTS[start].items())
        if not crashed:
            assert steps > 3
            return
    raise AssertionError("it never ended")


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("once", [True, False], ids=["once", "from then on"])
def test_a_disk_that_fails_at_any_step_is_told_in_a_sentence_and_loses_nothing(
    tmp_path: Path, disk: Disk, start: str, once: bool
) -> None:
    for steps in range(100):
        out = tmp_path / f"out{steps}"
        if STARTS[start]:
            filled(out, STARTS[start])
        failed = False
        with disk.failing(out.parent, steps, OSError(errno.ENOSPC, "No space left on device"), once):
            try:
                with owned(out, TASKS, fresh=True):
                    pass
            except BadInput as error:
                failed = True
                assert "cannot be written to (No space left on device)" in str(error)
        require_nothing_lost(out, STARTS[start])
        if failed and once and out.exists():
            assert files_of(out) == STARTS[start], "all is as it was"
        with owned(out, TASKS, resume=True):
            require_nothing_lost(out, STARTS[start])
        if disk.steps <= steps:
            return
    raise AssertionError("it never ended")
