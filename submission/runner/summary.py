"""The figures of a run: what it solved, how, with what, and in what time."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from submission.arc.tasks import Solutions, Tasks
from submission.results import scores
from submission.results.scores import by_rule, by_solver
from submission.results.store import RunStore
from submission.runner.dispatcher import Dispatcher
from submission.runner.spec import Kind, RunSpec
from submission.runner.worker_process import peaks

LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors", "numpy")


def summarize(
    spec: RunSpec, tasks: Tasks, solutions: Solutions | None, store: RunStore, dispatcher: Dispatcher, seconds: float
) -> dict[str, Any]:
    """The figures of a run. The scores are those of the file on disk, read again; absent without solutions."""
    summary: dict[str, Any] = {
        "tasks": len(tasks) + len(store.left_blank),
        "finished_tasks": len(dispatcher.finished()),
    }
    if spec.main == "network":
        summary["tasks_settled_by_programs"] = len(dispatcher.left_out())
    if store.left_blank:
        summary["left_blank"] = len(store.left_blank)
    summary["finished"] = summary["finished_tasks"] == len(tasks)
    records = store.joined()
    if solutions is not None:
        written = json.loads((spec.out / "submission.json").read_text())
        summary |= scores.score(written, solutions) | {"coverage": scores.coverage(records, solutions)}
        summary["by_solver"] = by_solver(store.records, solutions)
        summary["by_rule"] = by_rule(store.records["network"], solutions)
    if store.records["network"]:
        summary["voted_by"] = list(scores.rules_of(store.records["network"]))
    solving = [record.seconds for record in records.values()]
    pools = {lane.kind: lane.pool for lane in dispatcher.lanes}
    last = pools.get(spec.main)
    if dispatcher.pace.judged:
        summary["pace"] = dispatcher.pace.judged
    return summary | {
        "failed_solvers": failed_solvers(
            dispatcher.failures(), {kind: asked for kind, (_, asked) in dispatcher.counts().items()}
        ),
        "seconds": round(seconds, 1),
        "seconds_per_task": round(sum(solving) / len(solving), 2) if solving else None,
        "model": str(spec.model),
        "settings": asdict(spec.settings),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
        "seed": spec.seed,
        "solvers": list(spec.solvers),
        "dtype": next((pool.dtype for pool in pools.values() if pool.dtype), ""),
        "workers": last.size if last else 0,
        "utilization": round(last.utilization(), 4) if last else 0.0,
        "peak_rss_mb": round(max((pool.peak_rss_mb for pool in pools.values()), default=0.0) + peaks()[0]),
        "peak_gpu_mb": round(max((pool.peak_gpu_mb for pool in pools.values()), default=0.0)),
    }


def failed_solvers(failures: Mapping[Kind, Mapping[str, str]], asked: Mapping[Kind, int]) -> dict[str, str]:
    """A sentence, with the commonest failure, for each kind of solver that failed at every task that it was asked."""
    sentences: dict[str, str] = {}
    for kind, failed in failures.items():
        tasks = asked[kind]
        if tasks and len(failed) == tasks:
            [(reason, number)] = Counter(failed.values()).most_common(1)
            which = "its only task failed" if tasks == 1 else f"every one of the {tasks} tasks failed"
            often = "" if tasks == 1 else f", {number} of them"
            sentences[kind] = f"{which}{often} with: {reason.removeprefix('failed: ')}"
    return sentences


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"
