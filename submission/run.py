"""All tasks: a blank submission first, then one task after the other in a worker process, then the summary.

The parent never imports torch, so the submission is on disk before the model is loaded, and a worker that dies,
hangs or runs out of memory costs one try at one task.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import platform
import resource
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from submission import answers, journal, voting
from submission.budget import NEVER, Deadline, task_deadline, within
from submission.candidates import ATTEMPTS, candidates_of, is_whole
from submission.config import Settings
from submission.prompts import CHAT16, task_length
from submission.report import write_report
from submission.solve import solve
from submission.tasks import BadInput, Solutions, Task, Tasks, digest

logger = logging.getLogger(__name__)

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "numpy")

LOADING = 1800.0
"""Seconds after which a worker that has not loaded its model is taken for hung."""


@dataclass(frozen=True)
class Run:
    """What to do: everything that the command line decides, apart from the tasks themselves."""

    out: Path
    model: Path
    settings: Settings
    seed: int = 0
    seconds: float | None = None
    """Wall time of the whole run; None for as long as it takes."""
    resume: bool = False
    """Go on with what is in `out`."""


def run(job: Run, tasks: Tasks, solutions: Solutions | None) -> dict[str, Any]:
    """Solve the tasks, cheapest first; returns the summary, which is in out/summary.json as well."""
    until = within(job.seconds) if job.seconds is not None else NEVER
    began = time.monotonic()
    (job.out / "journal").mkdir(parents=True, exist_ok=True)
    submission = answers.blank(tasks)
    if not job.resume:
        answers.write(job.out / "submission.json", submission, tasks)
    with _logged_to(job.out / "log.txt"):
        weights = journal.file_sha256(job.model)
        settings = asdict(job.settings)
        stamps = {
            name: journal.fingerprint(settings, weights, job.seed, digest({name: task})) for name, task in tasks.items()
        }
        _same_run(job, journal.fingerprint(settings, weights, job.seed))
        records, doubts = journal.read_records(job.out / "journal", stamps) if job.resume else ({}, [])
        # A task that both tries failed on has no fit: it is tried again.
        records = {name: record for name, record in records.items() if record["fit"] is not None}
        for doubt in doubts:
            logger.warning(doubt)
        for name, record in records.items():
            submission = answers.filled(submission, name, record["attempts"])
        answers.write(job.out / "submission.json", submission, tasks)
        logger.info("%d tasks, %d of them finished before; out: %s", len(tasks), len(records), job.out)

        waiting = sorted((name for name in tasks if name not in records), key=lambda name: (_cost(tasks[name]), name))
        worker = Worker(job)
        tqdm.set_lock(threading.RLock())  # Its default lock is one between processes, which outlives a kill.
        bar = tqdm(total=len(tasks), initial=len(records), unit="task", disable=not sys.stderr.isatty())
        interrupted = False
        try:
            if waiting:
                worker.start()
            with logging_redirect_tqdm():
                while waiting and not until.passed():
                    name = waiting.pop(0)
                    costs = [_cost(tasks[each]) for each in (name, *waiting)]
                    seconds = min(job.settings.time.seconds, task_deadline(until, costs).left())
                    record = worker.attempt(tasks[name], seconds)
                    records[name] = record
                    journal.write_record(job.out / "journal", record, stamps[name])
                    submission = answers.filled(submission, name, record["attempts"])
                    answers.write(job.out / "submission.json", submission, tasks)
                    bar.update()
                    logger.info(_line(record, records, len(tasks), solutions, until, time.monotonic() - began))
        except KeyboardInterrupt:
            interrupted = True
            logger.warning("interrupted: what is finished is kept; --resume goes on from here")
        finally:
            worker.close()
            bar.close()
        for name in tasks:
            if not any(records.get(name, {}).get("attempts", [])):
                logger.info("%s holds a blank answer: %s", name, _why_blank(records.get(name)))
        summary = summarize(job, tasks, solutions, records, worker, time.monotonic() - began)
        summary["model_sha256"] = weights
        journal.write_json(job.out / "summary.json", summary, indent=1)
        write_report(job.out, tasks, records, summary, solutions)
        if interrupted:
            raise KeyboardInterrupt
    return summary


def summarize(
    job: Run,
    tasks: Tasks,
    solutions: Solutions | None,
    records: Mapping[str, dict[str, Any]],
    worker: Worker,
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
        "peak_rss_mb": round(worker.peak_rss_mb + _peak_rss_mb()),
        "peak_gpu_mb": round(worker.peak_gpu_mb),
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


class Worker:
    """A process with the model in it, started when first needed and again after it was lost."""

    def __init__(self, job: Run) -> None:
        self.job = job
        self.peak_rss_mb = 0.0
        self.peak_gpu_mb = 0.0
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None

    def start(self) -> None:
        """Start the process and load the model; BadInput where the model cannot be loaded."""
        self._line = self._ready()

    def attempt(self, task: Task, seconds: float) -> dict[str, Any]:
        """The record of a task: from a first try, from a second one with half the rows and views, or an empty one."""
        reasons: list[str] = []
        for settings in (self.job.settings, halved(self.job.settings)):
            outcome = self._try(task, settings, seconds)
            if isinstance(outcome, dict):
                outcome["notes"] = reasons + outcome["notes"]
                return outcome
            reasons.append(outcome)
            logger.warning("%s: %s", task.id, outcome)
        none: list[Any] = [[] for _ in task.tests]
        tests: list[dict[str, Any]] = [{"views": [], "candidates": []} for _ in task.tests]
        return {
            "task": task.id,
            "attempts": none,
            "tests": tests,
            "fit": None,
            "seconds": 0.0,
            "notes": reasons,
        }

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None

    def _try(self, task: Task, settings: Settings, seconds: float) -> dict[str, Any] | str:
        """A record, or why there is none."""
        try:
            line = self._ready()
        except (BadInput, RuntimeError) as error:
            return f"the model could not be loaded again: {error}"
        try:
            line.send((task, settings, seconds))
            if not line.poll(seconds + settings.time.grace):
                self.close()
                return f"the worker hung {settings.time.grace:.0f} s past the deadline and was replaced"
            kind, outcome, rss, gpu = line.recv()
        except (EOFError, OSError):
            process = self._process
            if process is not None:
                process.join(10)
            code = process.exitcode if process is not None else None
            self.close()
            return f"the worker died (exit code {code}) and was replaced"
        self.peak_rss_mb, self.peak_gpu_mb = max(self.peak_rss_mb, rss), max(self.peak_gpu_mb, gpu)
        if kind == "failed":
            logger.error("%s failed:\n%s", task.id, outcome)
            return f"failed: {outcome.strip().splitlines()[-1]}"
        record: dict[str, Any] = outcome
        return record

    def _ready(self) -> Connection:
        """The line to a worker that has its model loaded."""
        if self._process is not None and self._line is not None:
            return self._line
        context = multiprocessing.get_context("spawn")
        self._line, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, self.job), daemon=True)
        self._process.start()
        theirs.close()
        began = time.monotonic()
        try:
            outcome = self._line.recv() if self._line.poll(LOADING) else "the model was not loaded in time"
        except EOFError:
            outcome = "the worker died while it loaded the model"
        if outcome != "ready":
            self.close()
            raise BadInput(outcome) if isinstance(outcome, str) else RuntimeError(outcome[0])
        logger.info("model loaded in %.1f s", time.monotonic() - began)
        return self._line


def work(line: Connection, job: Run) -> None:
    """The worker process: load the model, then solve what comes down the line until it closes."""
    # A parent that is interrupted closes the line; the interrupt itself is not for the worker.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # bitsandbytes warns of an optional kernel that would be fetched from the internet.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    try:
        from submission.llm import LanguageModel

        model, settings = job.model, job.settings
        engine = LanguageModel(model, settings.model, settings.adapt, settings.search, job.seed)
    except BadInput as error:
        line.send(str(error))
        return
    except Exception:
        line.send((traceback.format_exc(),))
        return
    line.send("ready")
    while True:
        try:
            task, settings, seconds = line.recv()
        except EOFError:
            return
        outcome: tuple[str, Any]
        try:
            outcome = "solved", solve(task, engine, settings, within(seconds), job.seed)
        except Exception:
            outcome = "failed", traceback.format_exc()
        line.send((*outcome, _peak_rss_mb(), _peak_gpu_mb()))


def halved(settings: Settings) -> Settings:
    """Settings for a second try: half the training rows, half the views."""
    lessons, search = settings.lessons, settings.search
    return replace(
        settings,
        lessons=replace(lessons, copies=max(1, lessons.copies // 2), most=max(1, lessons.most // 2)),
        search=replace(search, views=max(1, search.views // 2)),
    )


def _same_run(job: Run, fingerprint: str) -> None:
    """Stamp the folder; a resumed folder must carry the same stamp."""
    stamp = job.out / "journal" / ".run"
    if job.resume and stamp.exists() and stamp.read_text() != fingerprint:
        raise BadInput(f"{job.out}: was begun with other settings, weights or seed; use the same, or --fresh")
    stamp.write_text(fingerprint)


def _line(
    record: Mapping[str, Any],
    records: Mapping[str, Any],
    total: int,
    solutions: Solutions | None,
    until: Deadline,
    spent: float,
) -> str:
    """One line about a finished task."""
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
    parts.append(f"candidates {'+'.join(str(len(test['candidates'])) for test in record['tests'])}")
    if fit["losses"]:
        parts.append(f"loss {fit['losses'][-1]:.3f} after {fit['steps']} steps")
    parts.append(f"{record['seconds']:.1f} s")
    left = until.left() if until.at != float("inf") else spent / len(records) * (total - len(records))
    parts.append(f"{left / 60:.1f} min left")
    return "  ".join(parts + [str(note) for note in record["notes"]])


def _why_blank(record: Mapping[str, Any] | None) -> str:
    return "; ".join(record["notes"]) or "no candidate" if record else "not reached"


def _cost(task: Task) -> int:
    """What a task costs to solve, in tokens of its longest prompt: nearly all of the time goes by it."""
    return max(task_length(CHAT16, task.demonstrations, query) for query in task.tests)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _peak_rss_mb() -> float:
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _peak_gpu_mb() -> float:
    import torch

    return torch.cuda.max_memory_allocated() / (1 << 20) if torch.cuda.is_available() else 0.0


@contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    """Everything logged goes to this file as well."""
    handler = logging.FileHandler(path)
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
