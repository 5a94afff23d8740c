"""Worker processes: where they go, what ends them, and that they end with their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from submission.arc.tasks import Task
from submission.config import PRESETS, with_changes
from submission.errors import BadInput
from submission.runner import devices, workers
from submission.runner.devices import places
from submission.runner.schedule import Order, Outcome
from submission.runner.spec import WorkerSpec
from submission.runner.workers import Broken, WorkerPool, is_beyond_repair
from tests.faults.cell import SCRIPTED, copies
from tests.faults.scripted import Fault, Loader, Scripted


def ready(crew: WorkerSpec, number: int = 1) -> WorkerPool:
    """A pool whose workers have loaded."""
    pool = WorkerPool(crew, [None] * number)
    while sum(each.ready for each in pool._workers) < number:
        pool.wait(0.1)
    return pool


def awaited(pool: WorkerPool) -> Outcome:
    while not (outcomes := pool.wait(0.1)):
        pass
    return outcomes[0]


def an_order() -> Order:
    [task] = copies(1)[0].values()
    return Order(task, SCRIPTED, 0, 20.0)


@pytest.fixture
def crew(tmp_path: Path) -> WorkerSpec:
    return WorkerSpec(tmp_path, SCRIPTED, 0, Loader())


def test_a_worker_that_has_finished_is_not_hung_however_long_nobody_listened(crew: WorkerSpec) -> None:
    pool = ready(crew)
    pool.give(an_order())
    time.sleep(crew.settings.time.heartbeat_timeout + 0.5)
    assert awaited(pool).record is not None
    pool.close()


def test_a_worker_that_is_killed_at_work_is_replaced_and_the_order_fails(tmp_path: Path) -> None:
    pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Loader(pause=5.0)))
    pool.give(an_order())
    time.sleep(0.2)
    os.kill(pool._workers[0].process.pid or 0, signal.SIGKILL)
    outcome = awaited(pool)
    assert outcome.record is None
    assert outcome.reason == "the worker died (exit code -9) and was replaced"
    while not pool.free():
        pool.wait(0.1)
    pool.close()


def test_a_silent_worker_is_taken_for_hung_long_before_its_deadline(tmp_path: Path) -> None:
    fault = Fault("hang", "propose", tmp_path, after=0)
    pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Loader((fault,))))
    began = time.monotonic()
    pool.give(an_order())
    assert awaited(pool).reason == "the worker gave no sign for 2 s and was replaced"
    assert time.monotonic() - began < 10
    pool.close()


def test_a_worker_that_outlives_its_deadline_is_taken_for_hung(tmp_path: Path) -> None:
    settings = with_changes(SCRIPTED, ["time.grace=0.5", "time.heartbeat_timeout=60"])
    pool = ready(WorkerSpec(tmp_path, settings, 0, Loader(pause=10.0)))
    pool.give(Order(an_order().task, settings, 0, 0.1))
    assert awaited(pool).reason == "the worker hung 0 s past the deadline and was replaced"
    pool.close()


def test_what_was_done_of_an_order_is_told_when_the_rest_is_abandoned(tmp_path: Path) -> None:
    fault = Fault("hang", "propose", tmp_path, after=1)
    pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Loader((fault,))))
    pool.give(an_order())
    while pool._workers[0].so_far is None:
        pool.wait(0.1)
    [left] = pool.abandon()
    assert left.so_far is not None
    assert [len(each) for each in left.so_far["attempts"]] == [2, 0], "the first of two tests"


def test_a_failure_costs_no_process_unless_that_may_be_spoilt(tmp_path: Path) -> None:
    for kind, replaced in (("raise", False), ("oom", True)):
        pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Loader((Fault(kind, "adapt", tmp_path, after=0),))))
        before = pool._workers[0].process.pid
        pool.give(an_order())
        assert awaited(pool).reason.startswith("failed: ")
        assert (pool._workers[0].process.pid != before) == replaced
        pool.close()
    assert is_beyond_repair(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_beyond_repair(ValueError("no"))


def test_a_model_that_can_never_be_loaded_ends_the_run_after_a_few_tries(tmp_path: Path) -> None:
    pool = WorkerPool(
        WorkerSpec(tmp_path, SCRIPTED, 0, Loader((Fault("raise", "load", tmp_path, most=99, after=0),))), [None]
    )
    with pytest.raises(Broken, match="no worker could load the model"):
        for _ in range(200):
            pool.wait(0.1)
    assert len(list(tmp_path.glob("raise-load-*"))) == workers.MOST_LOADS
    pool.close()


@dataclass(frozen=True)
class Fading:
    """Loads once; then the weights cannot be read any more."""

    marks: Path

    def __call__(self, crew: WorkerSpec) -> Any:
        if (self.marks / "loaded").exists():
            raise BadInput("cannot be read")
        (self.marks / "loaded").touch()
        return Scripted()


def test_a_model_that_was_loaded_before_is_not_unfit_but_lost(tmp_path: Path) -> None:
    pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Fading(tmp_path)))
    os.kill(pool._workers[0].process.pid or 0, signal.SIGKILL)
    with pytest.raises(Broken, match="no worker could load the model"):
        for _ in range(600):
            pool.wait(0.1)
    pool.close()


@pytest.mark.parametrize("name", PRESETS)
def test_a_pool_of_nobody_can_be_made_whatever_the_preset(name: str, tmp_path: Path) -> None:
    pool = WorkerPool(WorkerSpec(tmp_path, PRESETS[name], 0), [])
    assert (pool.size, pool.free(), pool.busy()) == (0, False, False)
    pool.close()


@dataclass(frozen=True)
class Telling:
    """Leaves what a worker finds around it in a file."""

    marks: Path

    def __call__(self, crew: WorkerSpec) -> Any:
        (self.marks / "told").write_text(f"{os.environ['OMP_NUM_THREADS']} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        return Scripted()


@pytest.mark.parametrize(("gpu", "told"), [(None, "3 None"), ("1", "3 1")])
def test_a_worker_gets_its_threads_and_its_gpu(
    gpu: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    settings = with_changes(SCRIPTED, ["model.threads=3"])
    pool = WorkerPool(WorkerSpec(tmp_path, settings, 0, Telling(tmp_path)), [gpu])
    while not pool.free():
        pool.wait(0.1)
    pool.close()
    assert (tmp_path / "told").read_text() == told
    assert os.environ["OMP_NUM_THREADS"] == "7", "and the parent keeps its own"


@pytest.mark.slow
def test_a_folder_without_a_model_is_bad_input(tmp_path: Path) -> None:
    pool = WorkerPool(WorkerSpec(tmp_path, PRESETS["laptop"], 0), [None])
    with pytest.raises(BadInput, match=r"there is no config\.json"):
        for _ in range(600):
            pool.wait(0.1)
    pool.close()


def test_workers_end_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    body = (
        "import sys, time; from pathlib import Path; from tests.runner.test_workers import *\n"
        "pool = ready(WorkerSpec(Path(sys.argv[1]), SCRIPTED, 0, Loader(pause=60.0)), 2); pool.give(an_order())\n"
        "print(*[each.process.pid for each in pool._workers], flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", body, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=root)
    assert parent.stdout is not None
    children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert len(gone) == 2 and not alive


def test_the_busy_share_of_the_workers_time_is_counted(crew: WorkerSpec) -> None:
    pool = ready(crew)
    assert pool.utilization() == 0
    for _ in range(2):
        pool.give(an_order())
        awaited(pool)
        time.sleep(0.2)
    assert 0 < pool.utilization() < 1
    assert pool.idle == pytest.approx(0.2, abs=0.1)
    pool.close()


def test_there_is_a_worker_for_each_gpu_or_for_each_core_that_has_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert places(0, "auto") == ["2", "5"]
    assert places(3, "cuda") == ["2", "5", "2"]
    assert places(0, "cpu") == [None] * len(places(0, "cpu"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert set(places(0, "auto")) == {None}
    assert places(3, "auto") == [None] * 3
    monkeypatch.setattr(devices, "WORKER_BYTES", psutil.virtual_memory().total * 0.9)
    assert places(0, "auto") == [None], "memory for one only"


def test_gpus_are_listed_without_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: x)'\necho 'GPU 1: Tesla T4 (UUID: y)'\n")
    program.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert devices.gpus() == ["0", "1"]


def test_a_task_travels_whole(small_task: Task, crew: WorkerSpec) -> None:
    pool = ready(crew)
    pool.give(Order(small_task, SCRIPTED, 0, 20.0))
    record = awaited(pool).record
    assert record is not None
    assert (record["task"], len(record["attempts"])) == ("small", 2)
    pool.close()
