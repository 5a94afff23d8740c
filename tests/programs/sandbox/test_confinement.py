"""Each layer of the kernel's closes what it says, for itself and without the audit hook."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from submission.programs.sandbox.confinement import ALL_LAYERS, FILE_LAYERS, weakness
from submission.programs.sandbox.sandbox import Sandbox
from tests.support.cases import cases
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


# -- a machine that permits too few layers ----------------------------------------------------------------------


@cases(
    ("held", "enough"),
    [
        ((), False), (("empty root",), False), (("no files",), False), (("system calls",), False),
        (("empty root", "no files"), True), (("empty root", "system calls"), True),
        (("no files", "system calls"), True), (FILE_LAYERS, True),
    ],
)  # fmt: skip
def test_two_of_the_three_layers_that_keep_files_away_are_enough(held: tuple[str, ...], enough: bool) -> None:
    sentence = weakness(("own user", "no network", *held, "limits", "audit"))
    assert (sentence == "") == enough
    assert enough or (f"permits {', '.join(held) or 'none'}, and 2 must hold" in sentence)
    assert enough or "--set programs.unconfined=True" in sentence


RESTRICTED = """
import ctypes, struct, sys
sys.path.insert(0, {package!r})
lines = [(0x20, 0, 0, 4), (0x15, 1, 0, 0xC000003E), (0x06, 0, 0, 0x7FFF0000), (0x20, 0, 0, 0)]
for number, argument in {refused!r}:
    if argument is None:
        lines += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050001)]
    else:
        lines += [(0x15, 0, 4, number), (0x20, 0, 0, 16), (0x15, 0, 1, argument), (0x06, 0, 0, 0x00050001)]
        lines += [(0x20, 0, 0, 0)]
lines += [(0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
described = struct.pack("@HP", len(lines), ctypes.addressof(program))
assert libc.prctl(22, 2, described, 0, 0) == 0
import numpy
from submission.errors import BadInput
from submission.programs.sandbox.sandbox import Sandbox
with Sandbox(unconfined={unconfined}) as sandbox:
    try:
        outcome = sandbox.run("def transform(grid): return grid + 1", [numpy.array([[1]], numpy.uint8)])
        print(sorted(set({layers!r}) & set(sandbox.layers)), outcome.outputs[0], outcome.reasons)
    except BadInput as error:
        print("refused", error)
        assert sandbox._servers[0]._process is None
"""
"""A process to which the kernel refuses some system calls, as a container does, before it makes a sandbox."""

CHROOT, LANDLOCK, SECCOMP = (161, None), (444, None), (157, 22)
"""Number of the system call on x86-64, and its first argument (None: whatever it is)."""


@linux
@pytest.mark.parametrize(
    ("refused", "unconfined", "told"),
    [
        ([CHROOT], False, "['no files', 'system calls'] [[2]]"),
        ([CHROOT, LANDLOCK], False, "refused written programs are not run"),
        ([CHROOT, LANDLOCK, SECCOMP], True, "[] [[2]]"),
    ],
)
def test_where_the_kernel_refuses_too_much_no_program_is_run_unless_the_user_says_so(
    sandbox: Sandbox, refused: list[tuple[int, int | None]], unconfined: bool, told: str
) -> None:
    if not set(FILE_LAYERS) <= set(sandbox.layers):
        pytest.skip("this machine does not permit all layers")
    script = RESTRICTED.format(
        package=str(Path(__file__).parents[3]), refused=refused, unconfined=unconfined, layers=FILE_LAYERS
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert told in done.stdout
