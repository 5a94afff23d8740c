"""The server that forks a process for each program: it ends with its parent, and buries whatever programs leave."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's layers are Linux's")

ORPHAN = """
import os, sys, time
sys.path.insert(0, {package!r})
from submission.programs.sandbox import confinement, forkserver
confinement.become_subreaper()
pid = os.fork()
if pid == 0:
    os.setsid()
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
            time.sleep(60)
    os._exit(7)
time.sleep(0.3)
assert os.WEXITSTATUS(forkserver._kill_and_reap(pid, waiting=1.0)) == 7
assert forkserver._orphans() == []
try:
    os.waitpid(-1, 0)
except ChildProcessError:
    print("alone")
"""


@linux
def test_processes_that_left_their_group_are_found_and_killed() -> None:
    """No layer lets a program fork; this is for machines that permit none of those that forbid it."""
    script = ORPHAN.format(package=str(Path(__file__).parents[3]))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    assert done.stdout == "alone\n", done.stderr


def test_a_server_ends_with_the_process_that_started_it() -> None:
    script = (
        "import os, sys\nfrom submission.programs.sandbox.sandbox import Sandbox\n"
        "one = Sandbox(); one.layers\nprint(one._servers[0]._process.pid, flush=True)\nos._exit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=20
    )
    until = time.monotonic() + 5
    while psutil.pid_exists(int(done.stdout)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not psutil.pid_exists(int(done.stdout))
