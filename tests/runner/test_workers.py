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
from submission.config import with_changes
from submission.errors import BadInput
from submission.presets import PRESETS
from submission.runner import devices, lifecycle, workers
from submission.runner.devices import worker_devices
from submission.runner.schedule import Order, Outcome
from submission.runner.spec import WorkerSpec
from submission.runner.workers import NoWorkerLeft, WorkerPool
from tests import drill
from tests.faults.cell import SCRIPTED, copies
from tests.faults.scripted import Fault, Loader, Scripted, starts
from tests.support.fake_gpus import BROKEN, fake_torch, program


def ready(spec: WorkerSpec, number: int = 1) -> WorkerPool:
    """A pool whose workers have loaded."""
    pool = WorkerPool(spec, [None] * number)
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
def spec(tmp_path: Path) -> WorkerSpec:
    return WorkerSpec(tmp_path, SCRIPTED, 0, Loader())


def test_a_worker_that_has_finished_is_not_hung_however_long_nobody_listened(spec: WorkerSpec) -> None:
    pool = ready(spec)
    pool.give(an_order())
    time.sleep(spec.settings.time.heartbeat_timeout + 0.5)
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
    assert outcome.failure is not None and outcome.failure.kind == "out_of_memory", "Linux frees memory by SIGKILL"
    while not pool.free():
        pool.wait(0.1)
    pool.close()


def test_a_silent_worker_is_taken_for_hung_long_before_its_deadline(tmp_path: Path) -> None:
    fault = Fault("hang", "propose", tmp_path, after=0)
    pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Loader((fault,))))
    began = time.monotonic()
    pool.give(an_order())
    assert awaited(pool).reason == "the worker gave no sign for 3 s and was replaced"
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
    assert [len(each) for each in left.so_far.attempts] == [2, 0], "the first of two tests"


def test_a_failure_costs_no_process_unless_that_may_be_damaged(tmp_path: Path) -> None:
    for kind, replaced in (("raise", False), ("oom", True)):
        pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Loader((Fault(kind, "adapt", tmp_path, after=0),))))
        before = pool._workers[0].process.pid
        pool.give(an_order())
        outcome = awaited(pool)
        assert outcome.reason.startswith("failed: ")
        assert outcome.failure is not None
        assert outcome.failure.kind == ("out_of_memory" if kind == "oom" else "error")
        assert outcome.failure.message == outcome.reason
        assert (pool._workers[0].process.pid != before) == replaced
        pool.close()


def test_a_model_that_can_never_be_loaded_ends_the_run_after_a_few_tries(tmp_path: Path) -> None:
    pool = WorkerPool(
        WorkerSpec(tmp_path, SCRIPTED, 0, Loader((Fault("raise", "load", tmp_path, most=99, after=0),))), [None]
    )
    with pytest.raises(NoWorkerLeft, match="no worker could be started"):
        for _ in range(200):
            pool.wait(0.1)
    assert len(list(tmp_path.glob("raise-load-*"))) == workers.MAX_FAILED_LOADS
    pool.close()


def test_a_worker_that_dies_between_two_tasks_is_replaced_and_the_log_says_so(
    spec: WorkerSpec, caplog: pytest.LogCaptureFixture
) -> None:
    pool = ready(spec)
    os.kill(pool._workers[0].process.pid or 0, signal.SIGSEGV)
    while pool.free():
        assert pool.wait(0.1) == []
    while not pool.free():
        assert pool.wait(0.1) == []
    pool.close()
    assert "a worker was lost between two tasks: the worker died (exit code -11) and was replaced" in caplog.text


@dataclass(frozen=True)
class Raising:
    """Cannot be loaded, for this reason."""

    error: Exception

    def __call__(self, spec: WorkerSpec) -> Any:
        raise self.error


def test_why_a_model_cannot_be_loaded_is_logged_with_its_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = WorkerPool(WorkerSpec(tmp_path, SCRIPTED, 0, Raising(RuntimeError("no space on the GPU"))), [None])
    with pytest.raises(NoWorkerLeft):
        for _ in range(600):
            pool.wait(0.1)
    assert caplog.text.count("Traceback (most recent call last)") == workers.MAX_FAILED_LOADS
    assert "RuntimeError: no space on the GPU" in caplog.text
    assert "(3 of 3): the worker died (exit code 0)" in caplog.text

    with lifecycle.logged_to(tmp_path / "log.txt"):
        pool = WorkerPool(WorkerSpec(tmp_path, SCRIPTED, 0, Raising(BadInput("no weights"))), [None])
        caplog.clear()
        with pytest.raises(BadInput, match="^no weights$"):
            for _ in range(600):
                pool.wait(0.1)
        pool.close()
    assert "Traceback" not in caplog.text, "the user is shown one sentence"
    log = (tmp_path / "log.txt").read_text()
    assert "Traceback (most recent call last)" in log and "in __call__" in log


@dataclass(frozen=True)
class Fading:
    """Loads once; then the weights cannot be read any more."""

    marks: Path

    def __call__(self, spec: WorkerSpec) -> Any:
        if (self.marks / "loaded").exists():
            raise BadInput("cannot be read")
        (self.marks / "loaded").touch()
        return Scripted()


def test_a_model_that_was_loaded_before_is_not_unfit_but_lost(tmp_path: Path) -> None:
    pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Fading(tmp_path)))
    os.kill(pool._workers[0].process.pid or 0, signal.SIGKILL)
    with pytest.raises(NoWorkerLeft, match="no worker could be started"):
        for _ in range(600):
            pool.wait(0.1)
    pool.close()


@pytest.mark.parametrize("name", PRESETS)
def test_a_pool_of_nobody_can_be_made_whatever_the_preset(name: str, tmp_path: Path) -> None:
    pool = WorkerPool(WorkerSpec(tmp_path, PRESETS[name], 0), [])
    assert (pool.size, pool.free(), pool.busy()) == (0, False, False)
    pool.close()


def worked_off(pool: WorkerPool, most: int = 40) -> list[str]:
    """Give one order after another until no worker is left; returns the reasons of their failures."""
    reasons: list[str] = []
    while len(reasons) < most:
        if pool.free():
            pool.give(an_order())
        reasons += [each.reason for each in pool.wait(0.1) if each.record is None]
    return reasons


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "most"), [("gone", 3), ("die", 6), ("not finite", 6), ("oom", 18)])
def test_a_worker_that_fails_at_each_order_is_given_up(kind: str, most: int, tmp_path: Path) -> None:
    fault = Fault(kind, "adapt", tmp_path, after=0, lasting=True)
    pool = ready(WorkerSpec(tmp_path, with_changes(SCRIPTED, ["time.heartbeat_timeout=10"]), 0, Loader((fault,))))
    with pytest.raises(NoWorkerLeft, match=f"^no worker is left: {most} orders in a row failed, the last with: "):
        worked_off(pool)
    assert fault.mark.stat().st_size == most
    assert pool.size == 0


@pytest.mark.slow
def test_failures_with_a_success_in_between_give_no_worker_up(tmp_path: Path) -> None:
    """The fault hits the first order of each process; the second one goes through, so no count reaches its limit."""
    pool = ready(WorkerSpec(tmp_path, SCRIPTED, 0, Loader((Fault("oom", "adapt", tmp_path, most=99, after=1),))))
    assert worked_off(pool, 4) == ["failed: MemoryError: injected"] * 4
    assert (pool.size, pool._workers[0].failed_orders) == (1, 1)
    pool.close()


@pytest.mark.parametrize(("dtype", "loads"), [("float16", 2), pytest.param("bfloat16", 1, marks=pytest.mark.slow)])
def test_workers_in_float16_are_loaded_anew_in_float32_and_no_others(dtype: str, loads: int, tmp_path: Path) -> None:
    settings = with_changes(SCRIPTED, [f"model.dtype={dtype}"])
    pool = ready(WorkerSpec(tmp_path, settings, 0, Loader(marks=tmp_path)))
    assert pool.dtype == dtype
    assert pool.load_in_float32() == (loads == 2)
    while not pool.free():
        pool.wait(0.1)
    assert (pool.dtype, starts(tmp_path)) == ("float32" if loads == 2 else dtype, loads)
    assert not pool.load_in_float32(), "it computes so already, or would gain nothing"
    pool.close()


@dataclass(frozen=True)
class Telling:
    """Leaves what a worker finds around it in a file."""

    marks: Path

    def __call__(self, spec: WorkerSpec) -> Any:
        (self.marks / "told").write_text(f"{os.environ['OMP_NUM_THREADS']} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
        return Scripted()


@pytest.mark.parametrize(("gpu", "device", "told"), [("0", "auto", True), ("0", "cpu", False), (None, "auto", False)])
def test_a_gpu_that_the_model_does_not_run_on_is_told(
    gpu: str | None, device: str, told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless the settings ask for the CPU."""
    settings = with_changes(SCRIPTED, [f"model.device={device}"])
    pool = WorkerPool(WorkerSpec(tmp_path, settings, 0, Loader()), [gpu])
    while not pool.free():
        pool.wait(0.1)
    pool.close()
    assert ("GPU 0 is there but torch cannot use it" in caplog.text) == told


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


def test_the_busy_share_of_the_workers_time_is_counted(spec: WorkerSpec) -> None:
    pool = ready(spec)
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
    assert worker_devices(0, "auto") == ["2", "5"]
    assert worker_devices(3, "cuda") == ["2", "5", "2"]
    assert worker_devices(0, "cpu") == [None] * len(worker_devices(0, "cpu"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert set(worker_devices(0, "auto")) == {None}
    assert worker_devices(3, "auto") == [None] * 3
    monkeypatch.setattr(devices, "WORKER_BYTES", psutil.virtual_memory().total * 0.9)
    assert worker_devices(0, "auto") == [None], "memory for one only"


def test_gpus_are_listed_without_cuda(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", drill.nvidia_smi(tmp_path, "Tesla T4, 15360, 7.5\n" * 2)["PATH"])
    assert devices.visible_gpus() == ["0", "1"]


def test_a_failing_nvidia_smi_is_logged_once_and_torch_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", program(tmp_path, f'echo "{BROKEN}"; exit 9')["PATH"])
    monkeypatch.setenv("PYTHONPATH", fake_torch(tmp_path, 2)["PYTHONPATH"])
    devices._warn_once.cache_clear()
    assert [worker_devices(0, "auto") for _ in range(2)] == [["0", "1"]] * 2
    assert [each.getMessage() for each in caplog.records] == [
        f"nvidia-smi failed with exit status 9: {BROKEN}; torch lists 2 GPUs"
    ]
    assert worker_devices(1, "cpu") == [None], "nobody is asked"


def test_a_task_travels_whole(small_task: Task, spec: WorkerSpec) -> None:
    pool = ready(spec)
    pool.give(Order(small_task, SCRIPTED, 0, 20.0))
    record = awaited(pool).record
    assert record is not None
    assert (record.task, len(record.attempts)) == ("small", 2)
    pool.close()
