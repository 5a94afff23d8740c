"""The files of a run: the journal of finished tasks and the submission, which is valid at any moment.

A write that fails is reported and made good by the next one that does not: a full disk stops no run.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from submission.arc.tasks import Tasks
from submission.config import Settings
from submission.errors import BadInput
from submission.results import journal, submission_file
from submission.solver import ensemble
from submission.solver.records import Record

logger = logging.getLogger(__name__)

FOLDERS = {"network": "journal", "programs": "journal/programs"}
"""Where the journal of each kind of solver is, in the output folder."""


class RunStore:
    """What is known of each task, on disk and in memory."""

    def __init__(self, out: Path, tasks: Tasks, stamps: Mapping[str, str], settings: Settings) -> None:
        """Nothing is known yet; `stamps` are the fingerprints of the tasks, settings and weights."""
        self.out = out
        self.tasks = tasks
        self.stamps = stamps
        self.settings = settings
        self.records: dict[str, dict[str, Record]] = {kind: {} for kind in FOLDERS}
        """kind of solver -> task -> its record."""
        self.submission = submission_file.blank(tasks)
        self.unwritten: Exception | None = None
        """Why the last write of the submission failed."""

    def open(self, kinds: Sequence[str], resume: bool) -> None:
        """Make room for these kinds, take over what a run that goes on has finished; write the submission."""
        for kind in kinds:
            (self.out / FOLDERS[kind]).mkdir(exist_ok=True)
        for kind, name in FOLDERS.items():
            folder = self.out / name
            records, doubts = journal.read_records(folder, self.stamps) if resume else ({}, [])
            for doubt in doubts:
                logger.warning(doubt)
            # A task that both tries failed on is tried again.
            self.records[kind] = {
                name: record for name, record in records.items() if record["fit"] is not None or "programs" in record
            }
        for name in self.known():
            self._fill(name)
        self.write()

    def keep(self, kind: str, record: Record) -> None:
        """Keep the record of a finished task, and its answers."""
        name = record["task"]
        self.records[kind][name] = record
        try:
            journal.write_record(self.out / FOLDERS[kind], record, self.stamps[name])
        except Exception as error:
            logger.error("%s is not in the journal (%r): --resume will solve it again", name, error)
        self._fill(name)
        self.write()

    def keep_for_now(self, record: Record | None) -> None:
        """Keep the answers of the network's record of an unfinished task."""
        if record is not None:
            self._fill(record["task"], record)
            self.write()

    def known(self) -> list[str]:
        """The tasks that some kind of solver has finished, in their order."""
        return [name for name in self.tasks if any(name in records for records in self.records.values())]

    def joined(self) -> dict[str, Record]:
        """What all solvers together have found, by task."""
        return {name: self._joined(name, None) for name in self.known()}

    def _joined(self, name: str, so_far: Record | None) -> Record:
        network = so_far or self.records["network"].get(name)
        programs, settings = self.records["programs"].get(name), self.settings
        return ensemble.joined(network, programs, settings.vote.programs, settings.programs.min_stability)

    def _fill(self, name: str, so_far: Record | None = None) -> None:
        self.submission = submission_file.filled(self.submission, name, self._joined(name, so_far)["attempts"])

    def write(self) -> None:
        """The submission as it is now."""
        try:
            submission_file.write(self.out / "submission.json", self.submission, self.tasks)
            self.unwritten = None
        except Exception as error:
            self.unwritten = error
            logger.error("submission.json was not written (%r); the file before this one stays", error)

    def close(self) -> None:
        """The last write, if it is still wanted; says what stays blank, and why."""
        if self.unwritten is not None:
            self.write()
        known = self.joined()
        for name in self.tasks:
            record = known.get(name)
            if not any(record["attempts"] if record else []):
                why = "; ".join(record["notes"]) or "no candidate" if record else "not reached"
                logger.info("%s holds a blank answer: %s", name, why)


def write_blank(out: Path, tasks: Tasks) -> None:
    """A complete submission before anything else; BadInput where none can be written."""
    try:
        submission_file.write(out / "submission.json", submission_file.blank(tasks), tasks)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written to ({error.strerror})") from None
