"""A server that runs each program in a new fork of a clean interpreter with numpy loaded.

Starting Python and numpy takes a quarter of a second, a fork a few milliseconds. The server never runs a program
itself, so every program starts in an interpreter that no other program has touched. `sandbox` starts the server, sends
requests to its standard input and receives answers from its standard output (`protocol`).

The fork runs a program on all grids of a task, one after the other, and writes a frame for each with its length in 2
bytes in front. The server reads and checks the frames, enforces the time limits, and kills all processes that the fork
may have left. A program may write frames of its own, which gains it nothing: the right outputs are never in this
process.
"""

from __future__ import annotations

import contextlib
import gc
import io
import math
import os
import random
import select
import signal
import struct
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from submission.programs.sandbox import confinement, modules
from submission.programs.sandbox.protocol import (
    MAX_FRAME_BYTES,
    Request,
    frame_of,
    read_frame,
    receive_message,
    send_message,
)

UNANSWERED = 70
"""Exit status of a fork that failed outside of the program."""
RESULTS = 3
"""The descriptor to which a fork writes its frames; its descriptors 0, 1 and 2 are /dev/null, and it has no others."""


def main() -> None:
    """Send the layers of confinement in force, and why there is no scipy; then answer requests until the input ends."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    warnings.simplefilter("ignore")
    missing = modules.load()
    no_network = confinement.leave_network()
    confinement.become_subreaper()
    gc.freeze()  # else a garbage collection in a fork would write to, and so copy, all loaded pages
    layers = _probe(no_network)
    if not layers:
        sys.exit(1)  # the fork has printed the reason
    send_message(answers, {"layers": layers, "no scipy": missing})
    while True:
        try:
            request = Request(**receive_message(requests))
        except EOFError:
            return
        send_message(answers, _serve(request, no_network, layers))


def _serve(request: Request, no_network: bool, layers: list[str]) -> list[dict[str, Any]]:
    """Run a program in a fork confined by these layers; return {"grid": rows} or {"reason": sentence} for each grid."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _in_fork(writable, lambda: _run(request, no_network, layers))
    os.close(writable)
    frames, reason = _collect(readable, len(request.grids), request.call_seconds, request.seconds)
    status = _kill_and_reap(pid, waiting=0.2 if reason == "" else 0.0)
    os.close(readable)
    results = [read_frame(frame) for frame in frames]
    missing = {"reason": reason or _exit_reason(status)}
    return results + [missing] * (len(request.grids) - len(results))


def _probe(no_network: bool) -> list[str]:
    """Return the layers of confinement that are in force in a fork of this process."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _in_fork(writable, lambda: os.write(RESULTS, "\n".join(confinement.confine(64, 1, no_network)).encode()))
    os.close(writable)
    text = b""
    while more := os.read(readable, 1000):
        text += more
    os.close(readable)
    _kill_and_reap(pid, waiting=1.0)
    return text.decode().splitlines()


# -- in the fork ------------------------------------------------------------------------------------------------


def _in_fork(writable: int, act: Callable[[], object]) -> NoReturn:
    """Close all descriptors but /dev/null, the server's stderr and the pipe; act; exit.

    Never returns, not even by an exception: this process is a copy of the server, and would go on with its loop.
    """
    status = UNANSWERED
    try:
        os.setsid()
        os.dup2(writable, RESULTS)
        os.closerange(RESULTS + 1, os.sysconf("SC_OPEN_MAX"))
        act()
        status = 0
    except BaseException:  # must not reach the server's loop, see above
        traceback.print_exc()
    finally:
        os._exit(status)


def _run(request: Request, no_network: bool, layers: list[str]) -> None:
    """Confine this process, run the program on each grid, and write a frame for each.

    RuntimeError, before the program runs, where a layer does not hold that held in the probe.
    """
    os.dup2(0, 2)
    held = confinement.confine(request.megabytes, math.ceil(request.seconds) + 1, no_network)
    if not set(layers) <= set(held):
        raise RuntimeError("a layer of confinement was refused that held before")
    # The global generators: a program that uses them gives other outputs in the server with the other seed.
    random.setstate(random.Random(request.seed).getstate())
    np.random.set_state(np.random.RandomState(request.seed).get_state())
    sys.stdin = sys.stdout = sys.stderr = _Discard()
    try:
        transform = _transform_of(request.source)
    except BaseException as error:  # raised by the program, whatever it is
        frame = b"r" + _error_text(error)
        for _ in request.grids:
            _write(frame)
        return
    for rows in request.grids:
        try:
            frame = frame_of(transform(np.array(rows, dtype=np.int64)))
        except BaseException as error:  # as above
            frame = b"r" + _error_text(error)
        _write(frame)


class _Discard(io.TextIOBase):
    """Standard input and output of a program: prints are discarded, reads fail."""

    def write(self, text: str) -> int:
        return len(text)


def _transform_of(source: str) -> Callable[[Any], Any]:
    """Execute a program and return its function `transform`; NameError if it defines none."""
    namespace: dict[str, Any] = {"__builtins__": modules.program_builtins(), "__name__": "program"}
    # Dataclasses look up the module of a class by its name.
    sys.modules["program"] = type(sys)("program")
    exec(compile(source, "program", "exec", dont_inherit=True), namespace)
    if not callable(namespace.get("transform")):
        raise NameError("it defines no function transform")
    transform: Callable[[Any], Any] = namespace["transform"]
    return transform


def _error_text(error: BaseException) -> bytes:
    """Return type and message of an error, in at most 200 bytes."""
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    return text.encode("utf-8", "replace")[:200]


def _write(frame: bytes) -> None:
    """Write a frame with its length in 2 bytes in front."""
    os.write(RESULTS, struct.pack(">H", len(frame)) + frame)


# -- in the server ----------------------------------------------------------------------------------------------


def _collect(readable: int, count: int, call_seconds: float, seconds: float) -> tuple[list[bytes], str]:
    """Read up to `count` frames; return them and why no more came: "complete", a sentence, or "" if the fork has ended.

    `call_seconds` is the limit for one frame, `seconds` for all of them.
    """
    frames: list[bytes] = []
    kept = b""
    until = time.monotonic() + seconds
    call_until = time.monotonic() + call_seconds
    while len(frames) < count:
        left = min(until, call_until) - time.monotonic()
        if left <= 0 or not select.select([readable], [], [], left)[0]:
            return frames, f"it took more than {call_seconds if call_until <= until else seconds:g} s"
        more = os.read(readable, 4096)
        if not more:
            return frames, ""
        kept += more
        while len(kept) >= 2 and len(frames) < count:
            (length,) = struct.unpack(">H", kept[:2])
            if not 1 <= length <= MAX_FRAME_BYTES:
                return frames, "it wrote something else than answers"
            if len(kept) < 2 + length:
                break
            frames.append(kept[2 : 2 + length])
            kept = kept[2 + length :]
            call_until = time.monotonic() + call_seconds
    return frames, "complete"


def _kill_and_reap(pid: int, waiting: float) -> int:
    """Kill a fork, its process group and all its descendants, and reap them; return the fork's exit status.

    The fork has `waiting` seconds to end by itself.
    """
    until = time.monotonic() + waiting
    status: int | None = None
    while status is None and time.monotonic() < until:
        gone, code = os.waitpid(pid, os.WNOHANG)
        status = code if gone else None
        if status is None:
            time.sleep(0.001)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if status is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # it may not lead a group of its own yet
        _, status = os.waitpid(pid, 0)
    while orphans := _orphans():
        for each in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, 0)
    return status


def _orphans() -> list[int]:
    """Return the children of this process, where the kernel lists them: orphans that it inherited as subreaper."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(each) for each in listed.read_text().split()] if listed.exists() else []


def _exit_reason(status: int) -> str:
    """Return why a fork that has ended gave no further answer."""
    if os.WIFSIGNALED(status):
        return f"it was ended by the signal {os.WTERMSIG(status)}"
    return "it ended before it had answered"
