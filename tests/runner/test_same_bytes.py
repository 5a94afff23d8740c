"""The submission is the same to the byte however many workers there are, however busy the machine, whatever kills it.

Without a clock of the run, and with time enough for each task: what is cut short by time depends on the time. With the
settings of the preset `laptop` that is so as long as each training step takes less than its share of the 72 seconds
that a task's training may take (`time.seconds` times `adapt.share`), and the search for programs less than 10 seconds.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from submission.config import EMBEDDED, with_changes
from submission.presets import PRESETS
from submission.runner.run import run
from submission.runner.spec import RunSpec
from tests.faults.scripted import Loader
from tests.support.planted import mirrored_tasks

ROOT = Path(__file__).parents[2]

UNHURRIED = ["time.seconds=100000", "programs.seconds=100000", "model.threads=1"]
"""No step ends by the clock; and sums are made in one order, which the number of threads would change."""

SHORT = ["training_rows.copies=2", "search.views=6", "programs.settle=False", "model.dtype=float32"]
"""Small; the network takes the tasks that programs settle too; no measurement chooses the type of numbers."""


def written(out: Path) -> bytes:
    return (out / "submission.json").read_bytes()


def test_neither_the_number_of_workers_nor_the_order_of_the_tasks_changes_a_byte(tmp_path: Path) -> None:
    """Programs that are really searched for, beside a network that is scripted."""
    tasks, solutions = mirrored_tasks(2)
    settings = with_changes(PRESETS["laptop"], UNHURRIED)

    def job(name: str, workers: int, resume: bool = False) -> RunSpec:
        return RunSpec(
            tmp_path / name, EMBEDDED, settings, resume=resume, workers=workers, load=Loader(),
            solvers=("network", "programs"),
        )  # fmt: skip

    assert run(job("one", 1), tasks, solutions)["solved_tasks"] == 2
    run(job("two", 2), tasks, None)
    last = list(tasks)[-1]
    run(job("other", 1), {last: tasks[last]}, None)
    run(job("other", 2, resume=True), tasks, None)
    assert written(tmp_path / "one") == written(tmp_path / "two") == written(tmp_path / "other")


def command(out: Path, *more: str) -> list[str]:
    """A real run: the embedded model on the three training tasks with the shortest prompts."""
    sets = [part for change in SHORT for part in ("--set", change)]
    head = [sys.executable, "-m", "submission", "run", "--data", "arc1-train", "--tasks", "3", "--out", str(out)]
    return [*head, *sets, *more]


def ran(out: Path, *more: str) -> tuple[bytes, dict[str, Any]]:
    """The submission of a run, and what the network has learned and scored, to the last digit."""
    done = subprocess.run(command(out, *more), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    records = {path.stem: json.loads(path.read_text()) for path in sorted((out / "journal").glob("*.json"))}
    assert len(records) == 3 and all(record["fit"]["losses"] for record in records.values()), "each task was trained"
    return written(out), {name: (record["fit"]["losses"], record["tests"]) for name, record in records.items()}


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but take time."""
    beside = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in beside:
            each.kill()
            each.wait()


def killed_after_the_first_task(out: Path, *more: str) -> None:
    """Begin a run, and kill its whole process group once the network has finished a task."""
    child = subprocess.Popen(
        command(out, "--workers", "1", *more), start_new_session=True, cwd=ROOT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while not list((out / "journal").glob("*.json")):
            assert child.poll() is None, "the run ended before it could be killed"
            time.sleep(0.02)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert len(list((out / "journal").glob("*.json"))) < 3, "the kill must come in the middle"


@pytest.mark.slow
@pytest.mark.parametrize("times", [UNHURRIED, []], ids=["unhurried", "as the preset has them"])
def test_a_real_run_has_the_same_bytes_on_one_worker_on_two_on_a_loaded_machine_and_after_a_kill(
    times: list[str], tmp_path: Path
) -> None:
    sets = [part for change in times for part in ("--set", change)]
    one = ran(tmp_path / "one", "--workers", "1", *sets)
    assert len(set(one[0].split(b"attempt_1"))) > 3, "there are answers to compare"
    assert ran(tmp_path / "two", "--workers", "2", *sets) == one
    with busy(2):
        assert ran(tmp_path / "loaded", "--workers", "2", *sets) == one
    killed_after_the_first_task(tmp_path / "killed", *sets)
    assert ran(tmp_path / "killed", "--workers", "2", "--resume", *sets) == one
