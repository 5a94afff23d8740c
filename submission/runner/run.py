"""All tasks: a blank submission first, then whatever the schedule says in worker processes, then the summary.

The submission is complete and valid on disk before the model is loaded and at any moment after. The parent never
imports torch. What may happen to workers, files and signals costs at most the try at one task.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from dataclasses import asdict, replace
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from submission import atomic
from submission.arc.tasks import Solutions, Task, Tasks, digest
from submission.deadline import NEVER, within
from submission.errors import BadInput
from submission.results import journal, scores, submission_file
from submission.results.report import write_report
from submission.results.store import RunStore, write_blank
from submission.runner.dispatcher import Dispatcher, SolverLane
from submission.runner.lifecycle import hard_end, logged_to, owned, signals
from submission.runner.schedule import Outcome
from submission.runner.spec import RunSpec
from submission.runner.summary import summarize
from submission.solver.records import Record

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds after which the loop looks up at the clock and for signals, if nothing else wakes it."""


def run(job: RunSpec, tasks: Tasks, solutions: Solutions | None) -> dict[str, Any]:
    """Solve the tasks; returns the summary, which is in out/summary.json as well.

    KeyboardInterrupt after a tidy end where a signal asked for one; NoWorkerLeft where no worker could be started;
    OSError where the submission could not be written to the last.
    """
    until = within(job.seconds) if job.seconds is not None else NEVER
    late = replace(until, at=until.at + _overrun(job)) if job.seconds is not None else NEVER
    began = time.monotonic()
    with (
        owned(job.out, job.resume, job.fresh) as resumed, logged_to(job.out / "log.txt"), signals() as stop,
        hard_end(late, job.settings.time.grace),
    ):  # fmt: skip
        if not resumed:
            write_blank(job.out, tasks)
        weights = journal.model_sha256(job.model)
        book = _opened(job, tasks, weights)
        crowd = Dispatcher(job, tasks, book, until)
        finished = book.records[job.main]
        logger.info("%d tasks, %d of them finished before; out: %s", len(tasks), len(finished), job.out)

        tqdm.set_lock(threading.RLock())  # Its default lock is one between processes, which outlives a kill.
        bar = tqdm(total=len(tasks), initial=len(finished), unit="task", disable=not sys.stderr.isatty())
        try:
            with logging_redirect_tqdm():
                while not stop and not late.passed() and (sides := crowd.at_work()):
                    for side in sides:
                        while side.pool.free() and (order := side.schedule.next(side.pool.size)) is not None:
                            side.pool.give(order)
                        for outcome in crowd.wait(side, LOOK / len(sides)):
                            record = side.schedule.told(checked(outcome))
                            if record is not None:
                                book.keep(side.kind, record)
                                crowd.heard(side.kind, record)
                                logger.info(_line(side, record, book, solutions))
                    bar.update(len(finished) - bar.n)
        finally:
            for side in crowd.sides:
                for outcome in side.pool.abandon():
                    book.keep_for_now(checked(outcome).so_far)
            bar.close()
        if stop:
            logger.warning("interrupted: what is finished is kept; --resume goes on from here")
        book.close()
        summary = summarize(job, tasks, solutions, book, crowd, time.monotonic() - began)
        summary["model_sha256"] = weights
        atomic.write_json(job.out / "summary.json", summary, indent=1)
        write_report(job.out, tasks, book.joined(), summary, solutions)
    if book.unwritten is not None:
        raise OSError(f"{job.out / 'submission.json'} lacks the latest answers: {book.unwritten}")
    if crowd.broken is not None:
        raise crowd.broken
    if stop:
        raise KeyboardInterrupt
    return summary


def _opened(job: RunSpec, tasks: Tasks, weights: str) -> RunStore:
    """The files of the run, with what is known from before."""
    settings = asdict(job.settings)
    stamps = {n: journal.fingerprint(settings, weights, job.seed, digest({n: task})) for n, task in tasks.items()}
    _same_run(job, tasks, journal.fingerprint(settings, weights, job.seed))
    book = RunStore(job.out, tasks, stamps, job.settings)
    book.open(job.solvers, job.resume)
    return book


def _overrun(job: RunSpec) -> float:
    """Seconds after the end of the run's time in which tasks may still hand in what they have."""
    return min(0.5 * max(10.0, 0.05 * (job.seconds or 0.0)), job.settings.time.grace)


def _same_run(job: RunSpec, tasks: Tasks, fingerprint: str) -> None:
    """Stamp the folder: one that is gone on with must have been begun with these settings, and without other tasks."""
    stamp = job.out / "journal" / ".run"
    if job.resume and (before := atomic.read_json(stamp)):
        if before.get("fingerprint") != fingerprint:
            raise BadInput(f"{job.out}: was begun with other settings, weights or seed; use the same, or --fresh")
        if lost := [name for name in before.get("tasks", []) if name not in tasks]:
            raise BadInput(f"{job.out}: was begun with {len(lost)} more tasks, {lost[0]} for one; ask all, or --fresh")
    atomic.write_json(stamp, {"fingerprint": fingerprint, "tasks": list(tasks)})


def _line(side: SolverLane, record: Record, book: RunStore, solutions: Solutions | None) -> str:
    """One line about a task that one kind of solver has finished."""
    done = book.records[side.kind]
    parts = [f"{len(done)}/{len(book.tasks)}", str(record["task"])]
    if solutions is not None:
        known = {name: solutions[name] for name in book.known()}
        right = scores.score(book.submission, {record["task"]: solutions[record["task"]]})
        parts.append(f"{'solved' if right['solved_tasks'] else 'missed'} {right['score_by_task']:.2f}")
        parts.append(f"running {scores.score(book.submission, known)['solved_tasks']}/{len(known)}")
    if "programs" in record:
        parts.append(f"programs {len(record['programs'])}")
    else:
        fit = record["fit"] or {"losses": []}
        if record["looks"] > 1:
            parts.append(f"look {record['looks']}")
        parts.append(f"candidates {'+'.join(str(len(test['candidates'])) for test in record['tests'])}")
        if fit["losses"]:
            parts.append(f"loss {fit['losses'][-1]:.3f} after {fit['steps']} steps")
    parts.append(f"{record['seconds']:.1f} s")
    parts.append(f"{side.schedule.left(side.pool.size) / 60:.1f} min left")
    return "  ".join(parts + [str(note) for note in record["notes"]])


def checked(outcome: Outcome) -> Outcome:
    """The outcome, a failure if its record is one that cannot be written: it would spoil the files of all others."""
    wrong = _not_writable(outcome.order.task, outcome.record)
    so_far = None if _not_writable(outcome.order.task, outcome.so_far) else outcome.so_far
    return replace(outcome, record=None if wrong else outcome.record, reason=wrong or outcome.reason, so_far=so_far)


def _not_writable(task: Task, record: Record | None) -> str:
    """What is wrong with a record; nothing if it is valid, or there is none."""
    if record is None:
        return ""
    try:
        json.dumps(record, allow_nan=False)
    except ValueError as error:
        return f"failed: its record is not valid ({error})"
    wrong = submission_file.check(submission_file.filled({}, task.id, record["attempts"]), {task.id: task})
    return f"failed: its answers are not valid ({wrong[0]})" if wrong else ""
