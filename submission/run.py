"""All tasks: a blank submission first, then whatever the schedule says in worker processes, then the summary.

The submission is complete and valid on disk before the model is loaded and at any moment after. The parent never
imports torch. What may happen to workers, files and signals costs at most the try at one task.
"""

from __future__ import annotations

import json
import logging
import platform
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from submission import answers, journal, voting
from submission.book import Book, checked, written_blank
from submission.budget import NEVER, Deadline, within
from submission.candidates import ATTEMPTS, candidates_of, is_whole
from submission.config import Settings
from submission.engine import Engine
from submission.guards import hard_end, logged_to, owned, signals
from submission.prompts import CHAT16, task_length
from submission.report import write_report
from submission.schedule import Outcome, Record, Schedule
from submission.solvers import Crew, Kind
from submission.tasks import BadInput, Solutions, Task, Tasks, digest
from submission.workers import Broken, Pool, cores, peaks, places

logger = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "numpy")

LOOK = 0.5
"""Seconds after which the loop looks up at the clock and for signals, if nothing else wakes it."""

PROGRAMS_SHARE = 0.2
"""Share of the run's time that the search for programs takes at most, where it shares the cores with the network."""


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
    solvers: tuple[Kind, ...] = ("network",)
    """Who solves: the network, or programs, or both."""

    @property
    def main(self) -> Kind:
        """Who decides when a task is finished."""
        return "network" if "network" in self.solvers else "programs"


def run(job: Run, tasks: Tasks, solutions: Solutions | None) -> dict[str, Any]:
    """Solve the tasks; returns the summary, which is in out/summary.json as well.

    KeyboardInterrupt after a tidy end where a signal asked for one; Broken where no worker could be started;
    OSError where the submission could not be written to the last.
    """
    until = within(job.seconds) if job.seconds is not None else NEVER
    began = time.monotonic()
    with (
        owned(job.out, job.resume, job.fresh), logged_to(job.out / "log.txt"), signals() as stop,
        hard_end(until, job.settings.time.grace),
    ):  # fmt: skip
        if not job.resume:
            written_blank(job.out, tasks)
        weights = journal.file_sha256(job.model)
        book = _opened(job, tasks, weights)
        crowd = Crowd(job, tasks, book, until)
        finished = book.records[job.main]
        logger.info("%d tasks, %d of them finished before; out: %s", len(tasks), len(finished), job.out)

        tqdm.set_lock(threading.RLock())  # Its default lock is one between processes, which outlives a kill.
        bar = tqdm(total=len(tasks), initial=len(finished), unit="task", disable=not sys.stderr.isatty())
        late = replace(until, at=until.at + _overrun(job.seconds))
        broken: Broken | None = None
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
        except Broken as error:
            broken = error
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
        journal.write_json(job.out / "summary.json", summary, indent=1)
        write_report(job.out, tasks, book.joined(), summary, solutions)
    if book.unwritten is not None:
        raise OSError(f"{job.out / 'submission.json'} lacks the latest answers: {book.unwritten}")
    if broken is not None:
        raise broken
    if stop:
        raise KeyboardInterrupt
    return summary


@dataclass
class Side:
    """One kind of solver: its queue, and those who work on it."""

    kind: Kind
    schedule: Schedule
    pool: Pool


class Crowd:
    """All who solve. Programs come before the network where both need the same cores or GPUs, else beside it."""

    def __init__(self, job: Run, tasks: Tasks, book: Book, until: Deadline) -> None:
        """Nobody is at work yet."""
        self.job = job
        self.sides: list[Side] = []
        gpus = places(1, job.settings.model.device) != [None]
        self.beside = job.ray is not None or (gpus and not job.settings.programs.writer)
        self._later = [kind for kind in ("programs", "network") if kind in job.solvers]
        self._queues = {kind: self._queue(kind, tasks, book, until) for kind in self._later}
        for record in book.records["programs"].values():
            self.heard("programs", record)

    def at_work(self) -> list[Side]:
        """Those who have something to do; whose turn has come is called."""
        working = [side for side in self.sides if side.pool.busy() or side.schedule.pending()]
        for side in self.sides:
            if side not in working:
                side.pool.close()
        while self._later and (self.beside or not working):
            kind = self._later.pop(0)
            self.sides.append(Side(kind, self._queues[kind], self._pool(kind)))
            working += [self.sides[-1]] if self.sides[-1].schedule.pending() else []
        return working

    def wait(self, side: Side, seconds: float) -> list[Outcome]:
        """What has come of a side's orders, see `Pool.wait`; programs that cannot be searched for are done without."""
        try:
            return side.pool.wait(seconds)
        except Broken as error:
            if side.kind == self.job.main:
                raise
            logger.error("%s: %s", side.kind, error)
            side.pool.close()
            self.sides.remove(side)
            return []

    def heard(self, kind: Kind, record: Record) -> None:
        """A task that programs have solved is the network's last."""
        steady = max((each["steady"] for each in record.get("programs", [])), default=-1.0)
        if kind == "programs" and "network" in self._queues and steady >= self.job.settings.programs.trusted:
            self._queues["network"].postpone(record["task"])

    def _queue(self, kind: Kind, tasks: Tasks, book: Book, until: Deadline) -> Schedule:
        settings, finished = self.job.settings, book.records[kind]
        if kind == "programs":
            time_ = replace(settings.time, seconds=settings.programs.seconds, schedule="uniform")
            settings = replace(settings, time=time_)
            until = until if self.beside or "network" not in self.job.solvers else until.share(PROGRAMS_SHARE)
        return Schedule(tasks, _cost, settings, self.job.seed, until, finished)

    def _pool(self, kind: Kind) -> Pool:
        """Those who work on one queue: none if there is nothing to do."""
        job = self.job
        crew = Crew(job.model, self._queues[kind].settings, job.seed, job.load, kind)
        if not self._queues[kind].pending():
            return Pool(crew, [])
        if kind == "programs" and job.settings.programs.writer:
            return Pool(crew, places(job.workers, job.settings.model.device))
        if kind == "programs":
            busy = len(places(job.workers, job.settings.model.device)) if self.beside and job.ray is None else 0
            return Pool(crew, [None] * max(1, (job.workers or cores()) - busy))
        if job.ray is not None:
            from submission.cluster import Cluster

            return Cluster(crew, job.ray, job.workers)
        where = places(job.workers, job.settings.model.device)
        logger.info("%d workers", len(where))
        return Pool(crew, where)


def _opened(job: Run, tasks: Tasks, weights: str) -> Book:
    """The files of the run, with what is known from before."""
    settings = asdict(job.settings)
    stamps = {n: journal.fingerprint(settings, weights, job.seed, digest({n: task})) for n, task in tasks.items()}
    _same_run(job, journal.fingerprint(settings, weights, job.seed))
    book = Book(job.out, tasks, stamps, job.settings)
    book.open(job.solvers, job.resume)
    return book


def summarize(
    job: Run, tasks: Tasks, solutions: Solutions | None, book: Book, crowd: Crowd, seconds: float
) -> dict[str, Any]:
    """The figures of a run. The scores are those of the file on disk, read again; absent without solutions."""
    summary: dict[str, Any] = {"tasks": len(tasks), "finished_tasks": len(book.records[job.main])}
    summary["finished"] = summary["finished_tasks"] == len(tasks)
    records = book.joined()
    if solutions is not None:
        written = json.loads((job.out / "submission.json").read_text())
        summary |= answers.score(written, solutions) | {"coverage": answers.coverage(records, solutions)}
        summary["by_solver"] = by_solver(book.records, solutions)
        summary["by_rule"] = by_rule(book.records["network"], solutions)
    solving = [record["seconds"] for record in records.values()]
    pools = {side.kind: side.pool for side in crowd.sides}
    last = pools.get(job.main)
    return summary | {
        "seconds": round(seconds, 1),
        "seconds_per_task": round(sum(solving) / len(solving), 2) if solving else None,
        "model": str(job.model),
        "settings": asdict(job.settings),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
        "seed": job.seed,
        "solvers": list(job.solvers),
        "workers": last.size if last else 0,
        "utilization": round(last.utilization(), 4) if last else 0.0,
        "peak_rss_mb": round(max((pool.peak_rss_mb for pool in pools.values()), default=0.0) + peaks()[0]),
        "peak_gpu_mb": round(max((pool.peak_gpu_mb for pool in pools.values()), default=0.0)),
    }


def by_solver(found: Mapping[str, Mapping[str, Record]], solutions: Solutions) -> dict[str, int]:
    """Solved tasks, had each kind of solver been alone; `found` are the records of each."""
    alone: dict[str, int] = {}
    for kind, records in found.items():
        if records:
            submission: answers.Submission = {}
            for name, record in records.items():
                submission = answers.filled(submission, name, record["attempts"])
            alone[kind] = int(answers.score(submission, solutions)["solved_tasks"])
    return alone


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


def _overrun(seconds: float | None) -> float:
    """Seconds after the end of the run's time in which tasks may still hand in what they have."""
    return 0.5 * max(10.0, 0.05 * (seconds or 0.0))


def _same_run(job: Run, fingerprint: str) -> None:
    """Stamp the folder; a resumed folder must carry the same stamp."""
    stamp = job.out / "journal" / ".run"
    if job.resume and stamp.exists() and stamp.read_text() != fingerprint:
        raise BadInput(f"{job.out}: was begun with other settings, weights or seed; use the same, or --fresh")
    stamp.write_text(fingerprint)


def _line(side: Side, record: Record, book: Book, solutions: Solutions | None) -> str:
    """One line about a task that one kind of solver has finished."""
    done = book.records[side.kind]
    parts = [f"{len(done)}/{len(book.tasks)}", str(record["task"])]
    if solutions is not None:
        known = {name: solutions[name] for name in book.known()}
        right = answers.score(book.submission, {record["task"]: solutions[record["task"]]})
        parts.append(f"{'solved' if right['solved_tasks'] else 'missed'} {right['score_by_task']:.2f}")
        parts.append(f"running {answers.score(book.submission, known)['solved_tasks']}/{len(known)}")
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


def _cost(task: Task) -> int:
    """What a task costs to solve, in tokens of its longest prompt: nearly all of the time goes by it."""
    return max(task_length(CHAT16, task.demonstrations, query) for query in task.tests)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
