"""Each layer of the kernel's closes what it says, for itself and without the audit hook."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from submission.programs.sandbox.confinement import ALL_LAYERS
from submission.programs.sandbox.sandbox import Sandbox
from tests.support.hostile_programs import SECRET

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's layers are Linux's")

ATTEMPTS = """
import os, socket, sys, threading
sys.path.insert(0, {package!r})
from submission.programs.sandbox import confinement
os.chdir({folder!r})
{layer}
def attempt(name, act):
    try:
        act()
    except (OSError, RuntimeError):
        return
    print(name)
attempt("read", lambda: os.open("/proc/self/status", os.O_RDONLY))
attempt("write", lambda: os.open("made", os.O_CREAT | os.O_WRONLY))
attempt("connect", lambda: socket.socket().connect(("127.0.0.1", {port})))
attempt("execute", lambda: os.posix_spawn("/bin/true", ["true"], {{}}))
attempt("fork", lambda: os.fork() or os._exit(0))
attempt("thread", lambda: threading.Thread(target=int).start())
attempt("kill", lambda: os.kill(os.getppid(), 0))
attempt("remove", lambda: os.remove({planted!r}))
sys.stdout.flush()
os._exit(0)
"""


def open_after(layer: str, planted: Path, folder: Path) -> set[str]:
    """What a process can still do that has given up this one layer, and has no audit hook."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = ATTEMPTS.format(
            package=str(Path(__file__).parents[3]), folder=str(folder), layer=layer, planted=str(planted),
            port=server.getsockname()[1],
        )  # fmt: skip
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20)
    planted.write_bytes(SECRET)  # some layers do not say that they save it
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


EVERYTHING = {"read", "write", "connect", "execute", "fork", "thread", "kill", "remove"}


def test_the_layers_that_hold_are_told(sandbox: Sandbox) -> None:
    assert set(sandbox.layers) <= set(ALL_LAYERS)
    assert "audit" in sandbox.layers


@linux
@pytest.mark.parametrize(
    ("name", "layer", "closed"),
    [
        ("system calls", "confinement._tie_to_parent(); confinement._filter_system_calls()", EVERYTHING),
        (
            "no files",
            "confinement._tie_to_parent(); confinement._forbid_files()",
            {"read", "write", "execute", "remove"},
        ),
        ("limits", "confinement._set_limits(1 << 32, 5)", {"read", "write", "connect"}),
        ("own user", "confinement._drop_root(); confinement._set_limits(1 << 32, 5)", {"execute", "fork", "thread"}),
        ("no network", "confinement.leave_network()", {"connect"}),
    ],
)
def test_a_layer_closes_what_it_says_without_the_audit_hook(
    sandbox: Sandbox, name: str, layer: str, closed: set[str], planted: Path, tmp_path: Path
) -> None:
    """Each for itself: where a container refuses one of them, the others are as good as they say."""
    if name not in sandbox.layers:
        pytest.skip(f"this machine does not permit: {name}")
    assert not open_after(layer, planted, tmp_path) & closed


def test_without_a_layer_all_of_it_is_open(planted: Path, tmp_path: Path) -> None:
    """The test above can fail."""
    assert open_after("", planted, tmp_path) == EVERYTHING
