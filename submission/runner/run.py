"""All tasks: a blank submission first, then whatever the schedule says in worker processes, then the summary.

The submission is complete and valid on disk before the model is loaded and at any moment after. The parent process
never imports torch. A crash, an I/O error or a signal costs at most one try at one task.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from submission import atomic
from submission.arc.tasks import BadTask, Solutions, Task, Tasks, digest
from submission.deadline import NEVER, within
from submission.errors import BadInput
from submission.results import journal, submission_file
from submission.results.output_folder import owned
from submission.results.report import write_report
from submission.results.store import RunStore
from submission.runner.dispatcher import Dispatcher, SolverLane
from submission.runner.failures import EveryTaskFailed
from submission.runner.lifecycle import hard_end, logged_to, signals
from submission.runner.progress import progress_bar, progress_line
from submission.runner.schedule import Outcome
from submission.runner.spec import RunSpec
from submission.runner.summary import summarize
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)

POLL = 0.5
"""Seconds after which the loop checks the clock and signals, if no worker reports before."""


def run(
    spec: RunSpec, tasks: Tasks, solutions: Solutions | None, left_blank: Mapping[str, BadTask] | None = None
) -> dict[str, Any]:
    """Solve the tasks; returns the summary, which is in out/summary.json as well.

    The submission has a blank answer to the tasks of `left_blank`, which could not be read; they count as tasks.
    KeyboardInterrupt after a tidy end where a signal asked for one; NoWorkerLeft where no worker could be started;
    OSError where the submission could not be written to the last; EveryTaskFailed where no solver came to an end with
    any task.
    """
    until = within(spec.seconds) if spec.seconds is not None else NEVER
    late = replace(until, at=until.at + overrun(spec)) if spec.seconds is not None else NEVER
    began = time.monotonic()
    with (
        signals() as stop, owned(spec.out, tasks, left_blank, spec.resume, spec.fresh) as resumed,
        logged_to(spec.out / "log.txt"), hard_end(late, spec.settings.time.grace),
    ):  # fmt: skip
        weights = journal.model_sha256(spec.model)
        store = opened(spec, tasks, solutions, weights, left_blank, resumed)
        dispatcher = Dispatcher(spec, tasks, store, until)
        logger.info("%d tasks, %d of them finished before; out: %s", len(tasks), len(dispatcher.finished()), spec.out)
        if store.left_blank:
            logger.warning("%d tasks cannot be read: their answers stay blank", len(store.left_blank))
        solve_all(dispatcher, store, solutions, lambda: bool(stop) or late.passed())
        if stop:
            logger.warning("interrupted: what is finished is kept; --resume goes on from here")
        store.close()
        summary = summarize(spec, tasks, solutions, store, dispatcher, time.monotonic() - began)
        summary["model_sha256"] = weights
        atomic.write_json(spec.out / "summary.json", summary, indent=1)
        write_report(spec.out, tasks, store.joined(), summary, solutions)
        for kind, sentence in summary["failed_solvers"].items():
            logger.error("%s: %s", kind, sentence)
        if store.unwritten is not None:
            raise OSError(f"{spec.out / 'submission.json'} lacks the latest answers: {store.unwritten}")
        if dispatcher.broken is not None:
            raise dispatcher.broken
    if stop:
        raise KeyboardInterrupt
    if every_task_failed(tasks, dispatcher, store):
        raise EveryTaskFailed("; ".join(f"{kind}: {why}" for kind, why in summary["failed_solvers"].items()), summary)
    return summary


def solve_all(dispatcher: Dispatcher, store: RunStore, solutions: Solutions | None, ended: Callable[[], bool]) -> None:
    """Solve tasks until none is left or the run has ended; what is unfinished then is kept in the submission."""
    with progress_bar(dispatcher, store, solutions) as bar:
        try:
            while not ended() and (lanes := dispatcher.active_lanes()):
                for lane in lanes:
                    for record in advanced(lane, dispatcher, store, POLL / len(lanes)):
                        logger.info(progress_line(lane.kind, record, dispatcher, store, solutions))
                bar.update()
        finally:
            for lane in dispatcher.lanes:
                for outcome in lane.pool.abandon():
                    store.keep_for_now(checked(outcome).so_far)


def every_task_failed(tasks: Tasks, dispatcher: Dispatcher, store: RunStore) -> bool:
    """Whether there are tasks, each was tried, and no kind of solver has come to an end with any."""
    failed = {name for failures in dispatcher.failures().values() for name in failures}
    finished = any(record.finished for records in store.records.values() for record in records.values())
    return bool(tasks) and failed >= set(tasks) and not finished


def advanced(lane: SolverLane, dispatcher: Dispatcher, store: RunStore, seconds: float) -> list[TaskRecord]:
    """Give orders to the free workers of a lane, wait up to `seconds`, and keep the records that came; returns them."""
    while lane.pool.free() and (order := lane.schedule.next(lane.pool.size)) is not None:
        lane.pool.give(order)
    records = []
    for outcome in dispatcher.wait(lane, seconds):
        record = lane.schedule.update(checked(outcome))
        if record is not None:
            store.keep(lane.kind, record)
            dispatcher.on_record(lane.kind, record)
            records.append(record)
        if lane.kind == "network":
            dispatcher.pace.add(outcome, lane.schedule, lane.pool.size)
    return records


def opened(
    spec: RunSpec, tasks: Tasks, solutions: Solutions | None, weights: str,
    left_blank: Mapping[str, BadTask] | None, resumed: bool,
) -> RunStore:  # fmt: skip
    """The run store, with the finished records of a run that is resumed; BadInput where that was another run."""
    settings = asdict(spec.settings)
    prints = {n: journal.fingerprint(settings, weights, spec.seed, digest({n: task})) for n, task in tasks.items()}
    whole = journal.fingerprint(settings, weights, spec.seed)
    if resumed:
        journal.require_same_run(spec.out, whole, tasks)
    store = RunStore(spec.out, tasks, prints, spec.settings, left_blank)
    try:
        journal.write_stamp(spec.out, whole, tasks, solutions, spec.source, left_blank)
        store.open(spec.solvers, resumed)
    except OSError as error:
        raise BadInput(f"{spec.out / 'journal'}: cannot be written to ({error.strerror})") from error
    return store


def overrun(spec: RunSpec) -> float:
    """Seconds after the end of the run's time in which tasks may still hand in what they have."""
    return min(0.5 * max(10.0, 0.05 * (spec.seconds or 0.0)), spec.settings.time.grace)


def checked(outcome: Outcome) -> Outcome:
    """The outcome; a failure if its record cannot be written, for it would spoil the files of all other tasks."""
    wrong = _not_writable(outcome.order.task, outcome.record)
    so_far = None if _not_writable(outcome.order.task, outcome.so_far) else outcome.so_far
    return replace(outcome, record=None if wrong else outcome.record, reason=wrong or outcome.reason, so_far=so_far)


def _not_writable(task: Task, record: TaskRecord | None) -> str:
    """What is wrong with a record; nothing if it is valid, or there is none."""
    if record is None:
        return ""
    try:
        json.dumps(record.to_json(), allow_nan=False)
    except ValueError as error:
        return f"failed: its record is not valid ({error})"
    answers = [
        record.attempts,
        *([[each] if each is not None else [] for each in p.answers] for p in record.programs or ()),
    ]
    wrong = [
        sentence
        for each in answers
        for sentence in submission_file.check(submission_file.filled({}, task.id, each), {task.id: task})
    ]
    return f"failed: its answers are not valid ({wrong[0]})" if wrong else ""
