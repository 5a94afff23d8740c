"""The output folder of a run: locked, with a complete submission from its first moment, and what was there before kept.

A new folder appears under its name with a complete submission in it. In a folder that is there already, the files of an
old run are set aside whole in before-<time>/, and come back where a run ends with an error before its first record. A
crash between leaves .before-<time>/ instead, which the next run moves back before anything else. At any moment of all
this submission.json is the old file or the blank one.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from submission import atomic
from submission.arc.tasks import BadTask, Tasks
from submission.errors import BadInput
from submission.input_files import size_of
from submission.results import journal, submission_file

logger = logging.getLogger(__name__)

SUBMISSION = "submission.json"
REST = ("journal", "summary.json", "report.html", "log.txt")
"""What a run leaves beside its submission."""

NEW = ".arc-run-"
"""What a new folder is called, with more behind it, before it is complete."""
FORGOTTEN = 3600.0
"""Seconds after which such a folder is nobody's: it is complete in far less."""


class BroughtBack(Exception):
    """A run has ended with an error before its first record, and what was in its folder before is there again."""


@contextmanager
def owned(
    out: Path, tasks: Tasks, left_blank: Mapping[str, BadTask] | None = None, resume: bool = False, fresh: bool = False
) -> Iterator[bool]:
    """Lock the output folder, with a complete submission in it; yields whether it holds a run that is resumed.

    With `resume` a folder without a run begins one, so that an unattended restart is always the same command. What a
    run that begins would write over is set aside first; `fresh` does so with a run as well. BadInput for a folder that
    holds a run, without either; for one that another process has locked; and for one that cannot be written to.
    BroughtBack in place of another error after which the files of before are back.
    """
    with ExitStack() as lock:
        try:
            folder = OutputFolder(out, tasks, left_blank or {})
            if not folder.made(lock):
                folder.take(lock, resume, fresh)
        except OSError as error:
            where = out if error.filename is None or NEW in str(error.filename) else error.filename
            raise BadInput(f"{where}: cannot be written to ({error.strerror})") from None
        if resume and not folder.resumed:
            logger.warning("%s: holds no run to resume, so a new one begins", out)
        try:
            yield folder.resumed
        except Exception as error:
            if folder.end_with(error) and not isinstance(error, BadInput):
                told = f"{type(error).__name__}: {error}; what was in {out} before is there again"
                raise BroughtBack(told) from error
            raise


class OutputFolder:
    """The folder in the hands of one run, and what it has set aside there."""

    def __init__(self, out: Path, tasks: Tasks, left_blank: Mapping[str, BadTask]) -> None:
        self.out = out
        self.tasks = tasks
        self.left_blank = left_blank
        self.resumed = False
        self.aside: Path | None = None
        """Where the files are that were here before; None if there were none."""

    def made(self, lock: ExitStack) -> bool:
        """Make a new folder, which appears at once with its lock and its submission; False where one is there."""
        if os.path.lexists(self.out):
            return False
        self.out.parent.mkdir(parents=True, exist_ok=True)
        _remove_forgotten(self.out.parent)
        if os.path.lexists(self.out):  # Its name has dots, and leads to a folder that has just been made.
            return False
        new = self.out.with_name(f"{NEW}{os.getpid()}-{time.time_ns()}")
        with ExitStack() as inner:
            try:
                new.mkdir()
                (new / "journal").mkdir()
                inner.enter_context(journal.locked(new))
                self._write_blank(new)
                os.rename(new, self.out)
            except BaseException as error:
                inner.close()
                _remove_new(new)
                # Another run was quicker.
                if isinstance(error, OSError) and error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                    return False
                raise
            lock.push(inner.pop_all())
        return True

    def take(self, lock: ExitStack, resume: bool, fresh: bool) -> None:
        """Take a folder that is there, see `owned`."""
        self._begun(resume or fresh)  # What is refused here is left without a trace.
        lock.enter_context(journal.locked(self.out))
        move_back(self.out)
        begun = self._begun(resume or fresh)
        journal.remove_temporaries(self.out)
        self.resumed = resume and begun
        keeps = self._is_complete() if self.resumed else self._is_blank()
        if self.resumed and not keeps and os.path.lexists(self.out / SUBMISSION):
            self._set_aside(())
        elif not self.resumed and self._has_something():
            self._set_aside(REST)
        elif not keeps:
            self._write_blank(self.out)
        try:
            (self.out / "journal").mkdir(exist_ok=True)
        except OSError:
            if self.aside is not None:
                self._bring_back(self.aside)
            raise

    def end_with(self, error: Exception) -> bool:
        """After an error before the first record bring back what was here before; returns whether it is back.

        After bad input the folder holds no run that was begun.
        """
        bad = isinstance(error, BadInput)
        if (not bad or not self._is_blank()) if self.resumed else has_records(self.out):
            return False
        try:
            if not self.resumed and (bad or self.aside is not None):
                _remove_stamp(self.out)
            if self.aside is not None:
                self._bring_back(self.aside)
                logger.warning("%s: what was here before is here again", self.out)
                return True
        except OSError as why:
            logger.error("%s: what was here before is in %s (%s)", self.out, self.aside, why)
        return False

    def _begun(self, wanted: bool) -> bool:
        """Whether the folder holds a run; BadInput where that is not wanted, or where something is in the way."""
        if not self.out.is_dir():
            raise BadInput(f"{self.out}: is not a folder")
        for name in (SUBMISSION, *REST[1:], "journal/.run"):
            if os.path.lexists(self.out / name):
                size_of(self.out / name)
        for path in (self.out / "journal", self.out / "journal" / "programs"):
            if os.path.lexists(path) and not path.is_dir():
                raise BadInput(f"{path}: is a file, where a run has a folder; move it, or name another folder by --out")
        begun = (self.out / "journal").is_dir() and any((self.out / "journal").iterdir())
        if begun and not wanted:
            raise BadInput(f"{self.out}: holds a run already; --resume continues it, --fresh begins again")
        return begun

    def _write_blank(self, folder: Path) -> None:
        submission_file.write(folder / SUBMISSION, submission_file.blank(self.tasks), self.tasks, self.left_blank)

    def _is_complete(self) -> bool:
        """Whether a valid submission for the tasks of this run is there."""
        try:
            found = submission_file.read(self.out / SUBMISSION)
        except BadInput:
            return False
        tests = {name: len(task.tests) for name, task in self.tasks.items()}
        tests |= {name: bad.tests for name, bad in self.left_blank.items()}
        faults = (submission_file.checked(found, name, number).faults for name, number in tests.items())
        return set(found) == set(tests) and not any(faults)

    def _is_blank(self) -> bool:
        """Whether it is one without a single answer."""
        if not self._is_complete():
            return False
        entries = [entry for each in submission_file.read(self.out / SUBMISSION).values() for entry in each]
        return all(grid == submission_file.BLANK for entry in entries for grid in entry.values())

    def _has_something(self) -> bool:
        """Whether the folder has what a new run would write over."""
        if any(os.path.lexists(self.out / name) for name in ("summary.json", "report.html")):
            return True
        at_all = os.path.lexists(self.out / SUBMISSION)
        return (at_all and not self._is_blank()) or any(name != ".run" for name in _files_in(self.out / "journal"))

    def _set_aside(self, names: Sequence[str]) -> None:
        """Move the submission and these files into a folder of their own; a blank takes the submission's place."""
        at = _free(lambda stamp: self.out / f".before-{stamp}", lambda stamp: self.out / f"before-{stamp}")
        at.mkdir()
        try:
            if os.path.lexists(self.out / SUBMISSION):
                _second_name(self.out / SUBMISSION, at / SUBMISSION)
            self._write_blank(self.out)
            for name in names:
                if os.path.lexists(self.out / name):
                    os.rename(self.out / name, at / name)
            self.aside = self.out / at.name.removeprefix(".")
            os.rename(at, self.aside)
        except OSError:
            move_back(self.out)
            raise
        logger.warning("%s: what was here before is now in %s", self.out, self.aside.name)

    def _bring_back(self, aside: Path) -> None:
        """Undo `_set_aside`. The lines that this run has logged are added to the old log."""
        if not self.resumed:
            for name in ("summary.json", "report.html"):
                (self.out / name).unlink(missing_ok=True)
            log = self.out / "log.txt"
            if log.is_file() and (aside / "log.txt").is_file():
                with (aside / "log.txt").open("ab") as old:
                    old.write(log.read_bytes())
                log.unlink()
        os.rename(aside, aside.with_name(f".{aside.name}"))
        move_back(self.out)
        self.aside = None


def has_records(out: Path) -> bool:
    """Whether a run's journal has the record of a task."""
    return any(name.endswith(".json") for name in _files_in(out / "journal"))


def what_is_left(out: Path) -> str:
    """What a run that has ended with an error leaves, as a part of a sentence."""
    if has_records(out):
        return f"finished tasks are in {out}, and --resume continues from there"
    return f"no finished task is in {out}"


def move_back(out: Path) -> None:
    """Move what is in .before-<time>/ back to its place: a crash, or an error, has ended the run that moved it."""
    for at in sorted(path for path in out.iterdir() if re.fullmatch(r"\.before-\d{8}-\d{6}(-\d+)?", path.name)):
        for path in at.iterdir():
            if path.name in (SUBMISSION, *REST):
                os.replace(path, out / path.name)
            if not path.is_dir():  # Two names of one file stay as they are, and so does a half copy.
                path.unlink(missing_ok=True)
        at.rmdir()


def _files_in(folder: Path) -> list[str]:
    """The names of all files in a folder and below it."""
    return [name for _, _, names in os.walk(folder) for name in names]


def _remove_stamp(out: Path) -> None:
    """Remove a journal without a record: nothing was begun."""
    (out / "journal" / ".run").unlink(missing_ok=True)
    for folder in (out / "journal" / "programs", out / "journal"):
        if folder.is_dir():
            folder.rmdir()


def _second_name(path: Path, other: Path) -> None:
    """Another name for a file; a copy where the file system has no such thing."""
    try:
        os.link(os.path.realpath(path), other)
    except OSError:
        with atomic.replacing(other) as temporary:
            shutil.copyfile(path, temporary)


def _free(*names: Callable[[str], Path]) -> Path:
    """The first of these paths, with the time in it and perhaps a number, such that none of them is taken."""
    now, number = time.strftime("%Y%m%d-%H%M%S"), 1
    stamp = now
    while any(os.path.lexists(name(stamp)) for name in names):
        number += 1
        stamp = f"{now}-{number}"
    return names[0](stamp)


def _remove_forgotten(parent: Path) -> None:
    """Remove new folders that a kill has kept from being completed."""
    for path in parent.glob(f"{NEW}*"):
        try:
            old = time.time() - path.stat().st_mtime > FORGOTTEN
        except FileNotFoundError:  # It has just become the folder of another run.
            continue
        if old:
            _remove_new(path)


def _remove_new(folder: Path) -> None:
    """Remove a new folder and the files that `made` writes into it, and nothing else; a warning where that fails."""
    try:
        for path in [*folder.glob(f".{SUBMISSION}.*"), folder / SUBMISSION, folder / ".lock"]:
            path.unlink(missing_ok=True)
        for path in (folder / "journal", folder):
            if path.is_dir():
                path.rmdir()
    except OSError as error:
        logger.warning("%s: cannot be removed (%s)", folder, error.strerror)
