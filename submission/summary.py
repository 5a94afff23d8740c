"""The figures of a run: what it solved, how, with what, and in what time."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from submission import answers, voting
from submission.book import Book
from submission.candidates import ATTEMPTS, candidates_of, is_whole
from submission.crowd import Crowd
from submission.job import Run
from submission.schedule import Record
from submission.tasks import Solutions, Tasks
from submission.workers import peaks

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "numpy")


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


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
