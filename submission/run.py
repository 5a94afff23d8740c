"""All tasks: a blank submission first, then whatever the schedule says in worker processes, then the summary.

The submission is complete and valid on disk before the model is loaded and at any moment after. The parent never
imports torch. What may happen to workers, files and signals costs at most the try at one task.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from submission import answers, journal, voting
from submission.budget import NEVER, Deadline, within
from submission.candidates import ATTEMPTS, candidates_of, is_whole
from submission.config import Settings
from submission.engine import Engine
from submission.prompts import CHAT16, task_length
from submission.report import write_report
from submission.schedule import Outcome, Record, Schedule
from submission.tasks import BadInput, Solutions, Task, Tasks, digest
from submission.workers import Broken, Crew, Pool, peaks, places

logger = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "numpy")

LOOK = 0.5
"""Seconds after which the loop looks up at the clock and for signals, if nothing else wakes it."""


@dataclass(frozen=True)
class Run:
    """What to do: everything that the command line decides, apart from the tasks themselves."""

    out: Path
    model: Path
    settings: Settings
    seed: int = 0
    seconds: float | None = None
    """Wall time of the whole run; None for one look at each task, as long as it takes."""
    resume: bool = False
    """Go on with what is in `out`."""
    fresh: bool = False
    """Begin anew in a folder that holds a run, whose journal is put aside."""
    workers: int = 0
    """Worker processes; 0 for one on each GPU, or one on each CPU core that there is memory for."""
    ray: str | None = None
    """A Ray cluster to work on: its address, or "auto"; None for processes on this machine."""
    load: Callable[[Crew], Engine] | None = None
    """Makes the engine in each worker; None for the language model in `model`."""


def run(job: Run, tasks: Tasks, solutions: Solutions | None) -> dict[str, Any]:
    """Solve the tasks; returns the summary, which is in out/summary.json as well.

    KeyboardInterrupt after a tidy end where a signal asked for one; Broken where no worker could be started;
    OSError where the submission could not be written to the last.
    """
    until = within(job.seconds) if job.seconds is not None else NEVER
    began = time.monotonic()
    with _folder_of(job), _logged_to(job.out / "log.txt"), _signals() as stop, _hard_end(until, job.settings):
        if not job.resume:
            _written_blank(job.out, tasks)
        weights = journal.file_sha256(job.model)
        book = _opened(job, tasks, weights)
        schedule = Schedule(tasks, _cost, job.settings, job.seed, until, book.records)
        logger.info("%d tasks, %d of them finished before; out: %s", len(tasks), len(book.records), job.out)

        tqdm.set_lock(threading.RLock())  # Its default lock is one between processes, which outlives a kill.
        bar = tqdm(total=len(tasks), initial=len(book.records), unit="task", disable=not sys.stderr.isatty())
        pool = _pool(job, schedule)
        late = replace(until, at=until.at + _overrun(job.seconds))
        broken: Broken | None = None
        try:
            with logging_redirect_tqdm():
                while not stop and not late.passed() and (pool.busy() or schedule.pending()):
                    while pool.free() and (order := schedule.next(pool.size)) is not None:
                        pool.give(order)
                    for outcome in pool.wait(LOOK):
                        record = schedule.told(_checked(outcome))
                        if record is not None:
                            bar.update(record["task"] not in book.records)
                            book.keep(record)
                            left = schedule.left(pool.size)
                            logger.info(_line(record, book.records, len(tasks), solutions, left))
        except Broken as error:
            broken = error
        finally:
            for outcome in pool.abandon():
                book.keep_for_now(_checked(outcome).so_far)
            bar.close()
        if stop:
            logger.warning("interrupted: what is finished is kept; --resume goes on from here")
        book.close()
        summary = summarize(job, tasks, solutions, book.records, pool, time.monotonic() - began)
        summary["model_sha256"] = weights
        journal.write_json(job.out / "summary.json", summary, indent=1)
        write_report(job.out, tasks, book.records, summary, solutions)
    if book.unwritten is not None:
        raise OSError(f"{job.out / 'submission.json'} lacks the latest answers: {book.unwritten}")
    if broken is not None:
        raise broken
    if stop:
        raise KeyboardInterrupt
    return summary


class Book:
    """The files of a run: the journal of finished tasks and the submission, which is valid at any moment.

    A write that fails is reported and made good by the next one that does not: a full disk stops no run.
    """

    def __init__(self, out: Path, tasks: Tasks, stamps: Mapping[str, str], records: Mapping[str, Record]) -> None:
        """`records` are those of a run that goes on."""
        self.out = out
        self.tasks = tasks
        self.stamps = stamps
        self.records = dict(records)
        self.submission = answers.blank(tasks)
        self.unwritten: Exception | None = None
        """Why the last write of the submission failed."""
        for name, record in records.items():
            self.submission = answers.filled(self.submission, name, record["attempts"])

    def keep(self, record: Record) -> None:
        """Keep the record of a finished task, and its answers."""
        self.records[record["task"]] = record
        try:
            journal.write_record(self.out / "journal", record, self.stamps[record["task"]])
        except Exception as error:
            logger.error("%s is not in the journal (%r): --resume will solve it again", record["task"], error)
        self.keep_for_now(record)

    def keep_for_now(self, record: Record | None) -> None:
        """Keep the answers of a task, finished or not."""
        if record is None:
            return
        self.submission = answers.filled(self.submission, record["task"], record["attempts"])
        self.write()

    def write(self) -> None:
        """The submission as it is now."""
        try:
            answers.write(self.out / "submission.json", self.submission, self.tasks)
            self.unwritten = None
        except Exception as error:
            self.unwritten = error
            logger.error("submission.json was not written (%r); the file before this one stays", error)

    def close(self) -> None:
        """The last write, if it is still wanted; says what stays blank, and why."""
        if self.unwritten is not None:
            self.write()
        for name in self.tasks:
            record = self.records.get(name)
            if not any(record["attempts"] if record else []):
                why = "; ".join(record["notes"]) or "no candidate" if record else "not reached"
                logger.info("%s holds a blank answer: %s", name, why)


def _checked(outcome: Outcome) -> Outcome:
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
    wrong = answers.check(answers.filled({}, task.id, record["attempts"]), {task.id: task})
    return f"failed: its answers are not valid ({wrong[0]})" if wrong else ""


def _written_blank(out: Path, tasks: Tasks) -> None:
    """A complete submission before anything else; BadInput where none can be written."""
    try:
        answers.write(out / "submission.json", answers.blank(tasks), tasks)
    except OSError as error:
        raise BadInput(f"{out}: cannot be written to ({error.strerror})") from None


def _opened(job: Run, tasks: Tasks, weights: str) -> Book:
    """The files of the run, with what is known from before."""
    settings = asdict(job.settings)
    stamps = {n: journal.fingerprint(settings, weights, job.seed, digest({n: task})) for n, task in tasks.items()}
    _same_run(job, journal.fingerprint(settings, weights, job.seed))
    records, doubts = journal.read_records(job.out / "journal", stamps) if job.resume else ({}, [])
    for doubt in doubts:
        logger.warning(doubt)
    # A task that both tries failed on has no fit: it is tried again.
    book = Book(job.out, tasks, stamps, {n: record for n, record in records.items() if record["fit"] is not None})
    book.write()
    return book


def _pool(job: Run, schedule: Schedule) -> Pool:
    """Those who work: none if there is nothing to do."""
    crew = Crew(job.model, job.settings, job.seed, job.load)
    if not schedule.pending():
        return Pool(crew, [])
    if job.ray is not None:
        from submission.cluster import Cluster

        return Cluster(crew, job.ray, job.workers)
    where = places(job.workers, job.settings.model.device)
    logger.info("%d workers", len(where))
    return Pool(crew, where)


def summarize(
    job: Run,
    tasks: Tasks,
    solutions: Solutions | None,
    records: Mapping[str, dict[str, Any]],
    pool: Pool,
    seconds: float,
) -> dict[str, Any]:
    """The figures of a run. The scores are those of the file on disk, read again; absent without solutions."""
    summary: dict[str, Any] = {"tasks": len(tasks), "finished_tasks": len(records)}
    summary["finished"] = len(records) == len(tasks)
    if solutions is not None:
        written = json.loads((job.out / "submission.json").read_text())
        summary |= answers.score(written, solutions) | {"coverage": answers.coverage(records, solutions)}
        summary["by_rule"] = by_rule(records, solutions)
    solving = [record["seconds"] for record in records.values()]
    return summary | {
        "seconds": round(seconds, 1),
        "seconds_per_task": round(sum(solving) / len(solving), 2) if solving else None,
        "model": str(job.model),
        "settings": asdict(job.settings),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
        "seed": job.seed,
        "workers": pool.size,
        "utilization": round(pool.utilization(), 4),
        "peak_rss_mb": round(pool.peak_rss_mb + peaks()[0]),
        "peak_gpu_mb": round(pool.peak_gpu_mb),
    }


def by_rule(records: Mapping[str, dict[str, Any]], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each voting rule chosen the attempts; poe alone, if nothing was scored but what it needs."""
    whole = all(is_whole(test) for record in records.values() for test in record["tests"])
    solved = {}
    for rule in voting.NAMES if whole else ("poe",):
        submission: answers.Submission = {}
        for name, record in records.items():
            rankings = [voting.rank(*candidates_of(test), rule) for test in record["tests"]]
            attempts = [[answer.tolist() for answer in ranking[:ATTEMPTS]] for ranking in rankings]
            submission = answers.filled(submission, name, attempts)
        solved[rule] = int(answers.score(submission, solutions)["solved_tasks"])
    return solved


# -- what surrounds a run ---------------------------------------------------------------------------------------------


@contextmanager
def _folder_of(job: Run) -> Iterator[None]:
    """The output folder, ours alone; BadInput where runs would mix. With `fresh` the old journal is put aside."""
    begun = (job.out / "journal").is_dir()
    if job.out.exists() and not job.out.is_dir():
        raise BadInput(f"{job.out}: is not a folder")
    if begun and not (job.resume or job.fresh):
        raise BadInput(f"{job.out}: holds a run already; --resume goes on with it, --fresh begins anew")
    if job.resume and not begun:
        raise BadInput(f"{job.out}: there is no run to resume")
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        with journal.locked(job.out):
            if begun and job.fresh:
                (job.out / "journal").rename(job.out / f"journal-{time.strftime('%Y%m%d-%H%M%S')}")
            (job.out / "journal").mkdir(exist_ok=True)
            journal.sweep(job.out)
            yield
    except PermissionError as error:
        raise BadInput(f"{job.out}: cannot be written to ({error.strerror})") from None


class _Stop:
    """Whether a signal has asked for the end, and when."""

    asked_at: float | None = None

    def __bool__(self) -> bool:
        return self.asked_at is not None


@contextmanager
def _signals() -> Iterator[_Stop]:
    """SIGTERM and SIGINT ask for a tidy end; the second one ends the process at once, and with it its workers.

    The second one is one that comes a second later or more: who signals a whole group of processes, in which one passes
    on what it gets, means a single signal.
    """
    stop = _Stop()

    def asked(number: int, frame: Any) -> None:
        if stop.asked_at is None:
            stop.asked_at = time.monotonic()
        elif time.monotonic() - stop.asked_at > 1.0:
            os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield stop  # Signals come to the main thread alone.
        return
    before = {each: signal.signal(each, asked) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _hard_end(until: Deadline, settings: Settings) -> Iterator[None]:
    """End the process, with its last valid submission on disk, if it hangs beyond its time: in a write, say."""
    if until is NEVER:
        yield
        return

    def end() -> None:
        logger.critical("the run hung %.0f s beyond its time and was ended", settings.time.grace)
        os._exit(1)

    timer = threading.Timer(until.left() + settings.time.grace, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _overrun(seconds: float | None) -> float:
    """Seconds after the end of the run's time in which tasks may still hand in what they have."""
    return 0.5 * max(10.0, 0.05 * (seconds or 0.0))


def _same_run(job: Run, fingerprint: str) -> None:
    """Stamp the folder; a resumed folder must carry the same stamp."""
    stamp = job.out / "journal" / ".run"
    if job.resume and stamp.exists() and stamp.read_text() != fingerprint:
        raise BadInput(f"{job.out}: was begun with other settings, weights or seed; use the same, or --fresh")
    stamp.write_text(fingerprint)


def _line(record: Record, records: Mapping[str, Record], total: int, solutions: Solutions | None, left: float) -> str:
    """One line about a finished task; `left` are the seconds that the run will still take."""
    fit = record["fit"] or {"losses": []}
    parts = [f"{len(records)}/{total}", str(record["task"])]
    if solutions is not None:
        known = {name: solutions[name] for name in records}
        submission: answers.Submission = {}
        for name, each in records.items():
            submission = answers.filled(submission, name, each["attempts"])
        right = answers.score({record["task"]: submission[record["task"]]}, {record["task"]: solutions[record["task"]]})
        parts.append(f"{'solved' if right['solved_tasks'] else 'missed'} {right['score_by_task']:.2f}")
        parts.append(f"running {answers.score(submission, known)['solved_tasks']}/{len(records)}")
    if record["looks"] > 1:
        parts.append(f"look {record['looks']}")
    parts.append(f"candidates {'+'.join(str(len(test['candidates'])) for test in record['tests'])}")
    if fit["losses"]:
        parts.append(f"loss {fit['losses'][-1]:.3f} after {fit['steps']} steps")
    parts.append(f"{record['seconds']:.1f} s")
    parts.append(f"{left / 60:.1f} min left")
    return "  ".join(parts + [str(note) for note in record["notes"]])


def _cost(task: Task) -> int:
    """What a task costs to solve, in tokens of its longest prompt: nearly all of the time goes by it."""
    return max(task_length(CHAT16, task.demonstrations, query) for query in task.tests)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


class _LogFile(logging.FileHandler):
    """A log on a disk that may be full: said once on stderr, then it goes on without."""

    def handleError(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.baseFilename} cannot be written to ({sys.exc_info()[1]})\n")
        self.setLevel(logging.CRITICAL + 1)


@contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """Everything logged goes to this file as well."""
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    package = logging.getLogger("submission")
    package.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        package.setLevel(logging.NOTSET)
        logging.getLogger().removeHandler(handler)
        handler.close()
