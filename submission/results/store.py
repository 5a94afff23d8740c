"""The files of a run: the journal of finished tasks and the submission, which is valid at any moment.

A write that fails is reported and made good by the next one that does not: a full disk stops no run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from submission.arc.task_parsing import named
from submission.arc.tasks import BadTask, Tasks
from submission.config import Settings
from submission.errors import TRACEBACKS
from submission.results import journal, submission_file
from submission.solver import ensemble
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)

FOLDERS = {"network": "journal", "programs": "journal/programs"}
"""Where the journal of each kind of solver is, in the output folder."""


class RunStore:
    """The journal records and the current submission of a run, on disk and in memory: their only owner."""

    def __init__(
        self, out: Path, tasks: Tasks, fingerprints: Mapping[str, str], settings: Settings,
        left_blank: Mapping[str, BadTask] | None = None,
    ) -> None:  # fmt: skip
        """An empty store; `fingerprints` say for each task on which settings and weights its record depends."""
        self.out = out
        self.tasks = tasks
        self.left_blank = left_blank or {}
        """Tasks that could not be read: the submission on disk has blank entries for them."""
        self.fingerprints = fingerprints
        self.settings = settings
        self.records: dict[str, dict[str, TaskRecord]] = {kind: {} for kind in FOLDERS}
        """kind of solver -> task -> its record."""
        self.submission = submission_file.blank(tasks)
        self.unwritten: Exception | None = None
        """Why the last write of the submission failed; None if it did not."""

    def open(self, kinds: Sequence[str], resume: bool) -> None:
        """Make the folders of these kinds, on resume load finished records, and write the submission.

        What failed tries had found stays in the submission until their tasks are solved.
        """
        for kind in kinds:
            (self.out / FOLDERS[kind]).mkdir(exist_ok=True)
        for kind, name in FOLDERS.items():
            records, doubts = journal.read_records(self.out / name, self.fingerprints) if resume else ({}, [])
            for doubt in doubts:
                logger.warning(doubt)
            self.records[kind] = {name: record for name, record in records.items() if record.finished}
            if kind == "network":
                partial = {name: record for name, record in records.items() if not record.finished}
        for name in {*self.known(), *partial}:
            self._fill(name, partial.get(name))
        self.write()

    def keep(self, kind: str, record: TaskRecord) -> None:
        """Keep the record of a finished task, and its answers."""
        self.records[kind][record.task] = record
        try:
            journal.write_record(self.out / FOLDERS[kind], record, self.fingerprints[record.task])
        except Exception as error:
            logger.error("%s is not in the journal (%r): --resume will solve it again", record.task, error)
            TRACEBACKS.debug("%s is not in the journal", record.task, exc_info=True)
        self._fill(record.task)
        self.write()

    def keep_for_now(self, record: TaskRecord | None) -> None:
        """Keep the network's answers to an unfinished task, until it is finished."""
        if record is not None:
            self._fill(record.task, record)
            self.write()

    def known(self) -> list[str]:
        """The tasks that some kind of solver has finished, in their order."""
        return [name for name in self.tasks if any(name in records for records in self.records.values())]

    def joined(self) -> dict[str, TaskRecord]:
        """What all solvers together have found, by task."""
        return {name: record for name in self.known() if (record := self._joined(name)) is not None}

    def _joined(self, name: str, partial: TaskRecord | None = None) -> TaskRecord | None:
        network, programs = partial or self.records["network"].get(name), self.records["programs"].get(name)
        return ensemble.joined(network, programs, self.settings.vote.programs, self.settings.programs.min_stability)

    def _fill(self, name: str, partial: TaskRecord | None = None) -> None:
        record = self._joined(name, partial)
        if record is not None:
            self.submission = submission_file.filled(self.submission, name, record.attempts)

    def write(self) -> None:
        """Write the submission as it is now. AssertionError if it is not valid: no disk is to blame for that."""
        submission_file.require_valid(self.submission, self.tasks)
        try:
            submission_file.write(self.out / "submission.json", self.submission, self.tasks, self.left_blank)
            self.unwritten = None
        except Exception as error:
            self.unwritten = error
            logger.error("submission.json was not written (%r); the file before this one stays", error)
            TRACEBACKS.debug("submission.json was not written", exc_info=True)

    def close(self) -> None:
        """Write once more if the last write failed; log which tasks have no answer, and why."""
        if self.unwritten is not None:
            self.write()
        known = self.joined()
        blank: dict[str, list[str]] = {}
        for name in self.tasks:
            record = known.get(name)
            if record is None or not any(record.attempts):
                reason = "not reached" if record is None else "; ".join(record.notes) or "no candidate"
                blank.setdefault(reason, []).append(name)
        for name, bad in self.left_blank.items():
            blank.setdefault(f"cannot be read ({bad.fault})", []).append(named(name))
        if blank:
            reasons = "; ".join(f"{_some(names)}: {reason}" for reason, names in blank.items())
            number = sum(map(len, blank.values()))
            logger.info("%d of %d answers are blank (%s)", number, len(self.tasks) + len(self.left_blank), reasons)


MOST_NAMED = 20
"""Tasks that the log names of those that are blank for one reason; the report has all."""


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
