"""What keeps a run safe: a second signal ends at once, a hung run is ended, a full disk silences only the log."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.runner import lifecycle


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


@pytest.mark.parametrize("out", ["file/run", "/proc/none/run"])
def test_a_folder_that_cannot_be_made_is_bad_input(out: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="cannot be written to"), lifecycle.owned(tmp_path / out, False, False):
        pass


def test_what_fails_within_a_folder_is_not_the_folders_fault(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), lifecycle.owned(tmp_path / "run", False, False):
        raise PermissionError
