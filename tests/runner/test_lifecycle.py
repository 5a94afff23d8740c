"""Around a run: a second signal, a hang after the deadline, the log and its tracebacks."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.results import journal, submission_file
from submission.runner import lifecycle
from submission.runner.run import run
from submission.runner.spec import RunSpec
from tests.faults.cell import SCRIPTED, copies
from tests.faults.scripted import Loader


def test_a_second_signal_ends_the_run_at_once() -> None:
    with lifecycle.signals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop, "the first one is only noted"
    body = (
        "import os, signal, time; from submission.runner import lifecycle\n"
        "with lifecycle.signals():\n"
        "    for _ in range(2): os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('one signal, passed on', flush=True)\n"
        "    time.sleep(1.1)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "one signal, passed on\n")


def test_an_interrupt_is_noted_here_and_does_not_reach_the_processes_that_are_started() -> None:
    body = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    before = signal.getsignal(signal.SIGINT)
    with lifecycle.signals() as stop:
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(0,))
        process.start()  # The first one starts a process of its own, which lifts blocks.
        told = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True).stdout
        assert told == "True\n"
        assert not stop
        os.kill(os.getpid(), signal.SIGINT)
        until = time.monotonic() + 30
        while not stop and time.monotonic() < until:
            time.sleep(0.01)
        assert stop
        process.join()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.slow
@pytest.mark.parametrize("entry", [["-m", "submission", "run"], ["kernel_main.py"]], ids=["run", "entry"])
@pytest.mark.parametrize("after", [0.0, 0.4, 1.0])
def test_ctrl_c_while_workers_start_ends_all_processes_without_a_traceback(
    entry: list[str], after: float, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen(
        [sys.executable, *entry, "--tasks", "2", "--workers", "2", "--solvers", "network", "--out", str(out)],
        cwd=Path(__file__).parents[2], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not out.exists():
        time.sleep(0.01)
        assert child.poll() is None
    time.sleep(after)
    os.killpg(child.pid, signal.SIGINT)
    _, told = child.communicate(timeout=60)  # It ends when no process has the pipe any more.
    assert child.returncode == 130
    assert b"Traceback" not in told
    assert json.loads((out / "summary.json").read_text())["finished_tasks"] == 0


def test_a_run_that_hangs_beyond_its_time_is_ended() -> None:
    body = (
        "import time; from submission.runner import lifecycle; from submission.deadline import within\n"
        "with lifecycle.hard_end(within(0.2), grace=0.3): time.sleep(30)"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True)
    assert done.returncode == 1
    assert time.monotonic() - began < 20


def test_a_run_that_hangs_in_its_log_is_ended_too() -> None:
    body = (
        "import logging, time; from submission.runner import lifecycle; from submission.deadline import within\n"
        "handler = logging.StreamHandler(); logging.getLogger().addHandler(handler)\n"
        "with handler.lock, lifecycle.hard_end(within(0.2), grace=0.3): time.sleep(30)"
    )
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", body]).returncode == 1
    assert time.monotonic() - began < 20


def test_an_error_that_ends_a_run_leaves_its_traceback_in_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OSError, match="No space left"), lifecycle.logged_to(tmp_path / "log.txt"):
        raise OSError(28, "No space left on device")
    log = (tmp_path / "log.txt").read_text()
    assert "Traceback (most recent call last)" in log and log.rstrip().endswith("No space left on device")
    assert caplog.text == ""
    lifecycle.TRACEBACKS.debug("after the run")
    assert "after the run" not in (tmp_path / "log.txt").read_text()


def test_a_run_that_is_always_started_with_resume_gives_the_answers_of_one_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, solutions = copies(2)
    spec = RunSpec(tmp_path / "fresh", tmp_path, SCRIPTED, workers=1, load=Loader())
    run(spec, tasks, solutions)
    hashed = journal.model_sha256

    def after_the_blank(model: Path) -> str:
        assert json.loads((tmp_path / "out" / "submission.json").read_text()) == submission_file.blank(tasks)
        return hashed(model)

    resuming = replace(spec, out=tmp_path / "out", resume=True)
    with monkeypatch.context() as patch:
        patch.setattr(journal, "model_sha256", after_the_blank)
        assert run(resuming, tasks, solutions)["solved_tasks"] == 2
    finished = [path.stat().st_mtime_ns for path in sorted((tmp_path / "out" / "journal").glob("*.json"))]
    assert run(resuming, tasks, solutions)["solved_tasks"] == 2
    assert finished == [path.stat().st_mtime_ns for path in sorted((tmp_path / "out" / "journal").glob("*.json"))]
    assert (tmp_path / "out" / "submission.json").read_bytes() == (tmp_path / "fresh" / "submission.json").read_bytes()


def test_a_log_takes_any_path_and_one_that_cannot_be_opened_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    with lifecycle.logged_to(folder / "log.txt"):
        logging.getLogger("submission").warning("out: %s", folder)
    assert (folder / "log.txt").read_text().rstrip().endswith("\\udcff")
    assert capsys.readouterr().err == ""
    told = r"nowhere/log\.txt: cannot be written to \(No such file"
    with pytest.raises(BadInput, match=told), lifecycle.logged_to(tmp_path / "nowhere" / "log.txt"):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_disk_that_is_full_to_the_end_silences_only_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    with lifecycle.logged_to(Path("/dev/full")):
        for _ in range(3):
            logging.getLogger("submission").warning("a line")
    assert capsys.readouterr().err.count("cannot be written to") == 1
