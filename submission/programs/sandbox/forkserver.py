"""A clean interpreter with numpy loaded, from which every program gets a fork of its own.

Starting Python and numpy takes a quarter of a second, a fork a few milliseconds. The server never runs a program
itself, so that each of them finds an interpreter in which no other has been. It is started by `sandbox`, takes
requests on its standard input and gives answers on its standard output: a length in 4 bytes, then JSON.

The fork runs a program on all the grids of a task, one after the other, and writes a frame for each (`frames`), with
its length in 2 bytes in front. The server reads no more than such frames, checks them, watches the clock, and kills
all that the fork has left behind. No frame is trusted: a program may write its own. That gains it nothing, for what
it should answer is never in this process.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import importlib
import io
import json
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from submission.programs.sandbox import confinement
from submission.programs.sandbox.protocol import LONGEST, Rows, framed, read

MODULES = frozenset({
    "__future__", "abc", "bisect", "cmath", "collections", "collections.abc", "copy", "dataclasses", "enum",
    "fractions", "functools", "heapq", "itertools", "math", "numbers", "numpy", "numpy.char", "numpy.fft", "numpy.lib",
    "numpy.lib.stride_tricks", "numpy.linalg", "numpy.ma", "numpy.polynomial", "numpy.random", "numpy.rec",
    "numpy.typing", "operator", "random", "re", "statistics", "string", "typing",
})  # fmt: skip
"""What a program may import; all of it is loaded before the first fork, which can open no file."""
WITHOUT = frozenset({"breakpoint", "copyright", "credits", "exit", "help", "input", "license", "open", "quit"})
"""Builtins that a program does not have."""
UNANSWERED = 70
"""Exit status of a fork that failed outside of the program."""
RESULTS = 3
"""The descriptor on which a fork writes its frames; it has no other but /dev/null on 0, 1 and 2."""


@dataclass(frozen=True)
class Request:
    """One program to be run on some grids."""

    source: str
    grids: list[Rows]
    call_seconds: float
    """The most for one grid, on the clock of the wall."""
    seconds: float
    """The most for all of them."""
    megabytes: int
    seed: int
    """Of `random` and `numpy.random`, as the program finds them."""


def main() -> None:
    """Tell the layers of confinement that hold here; then answer requests until the input ends."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    warnings.simplefilter("ignore")
    for name in sorted(MODULES):
        importlib.import_module(name)
    apart = confinement.isolate()
    confinement.adopt()
    gc.freeze()  # a collection in a fork would write to, and so copy, the pages of all that was loaded
    layers = _probe(apart)
    if not layers:
        sys.exit(1)  # the fork has said why
    _send(answers, layers)
    while (content := _receive(requests)) is not None:
        _send(answers, _serve(Request(**content), apart))


def _serve(request: Request, apart: bool) -> list[dict[str, Any]]:
    """For each grid {"grid": rows} or {"reason": sentence}."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _confined(writable, lambda: _run(request, apart))
    os.close(writable)
    frames, ended = _collect(readable, len(request.grids), request.call_seconds, request.seconds)
    status = _bury(pid, waiting=0.2 if ended == "" else 0.0)
    os.close(readable)
    results = [read(frame) for frame in frames]
    missing = {"reason": ended or _told(status)}
    return results + [missing] * (len(request.grids) - len(results))


def _probe(apart: bool) -> list[str]:
    """The layers that a confined fork of this process reports."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        _confined(writable, lambda: os.write(RESULTS, "\n".join(confinement.confine(64, 1, apart)).encode()))
    os.close(writable)
    said = b""
    while more := os.read(readable, 1000):
        said += more
    os.close(readable)
    _bury(pid, waiting=1.0)
    return said.decode().splitlines()


# -- in the fork ------------------------------------------------------------------------------------------------


def _confined(writable: int, act: Callable[[], object]) -> NoReturn:
    """Keep /dev/null, the server's stderr and the pipe, drop all other descriptors, act, and end.

    Nothing returns from here, be it by an exception: this process is a copy of the server, in its loop.
    """
    status = UNANSWERED
    try:
        os.setsid()
        os.dup2(writable, RESULTS)
        os.closerange(RESULTS + 1, os.sysconf("SC_OPEN_MAX"))
        act()
        status = 0
    except BaseException:  # it goes no further: see above
        traceback.print_exc()
    finally:
        os._exit(status)


def _run(request: Request, apart: bool) -> None:
    """Give up everything, and write a frame for each grid."""
    os.dup2(0, 2)
    confinement.confine(request.megabytes, math.ceil(request.seconds) + 1, apart)
    # These are the generators that the program will find; which seeds they have is not for it to choose.
    random.setstate(random.Random(request.seed).getstate())
    np.random.set_state(np.random.RandomState(request.seed).get_state())
    sys.stdin = sys.stdout = sys.stderr = _Nowhere()
    try:
        transform = _defined(request.source)
    except BaseException as error:  # whatever it is, the program raised it
        reason = b"r" + _described(error)
        for _ in request.grids:
            _write(reason)
        return
    for rows in request.grids:
        try:
            frame = framed(transform(np.array(rows, dtype=np.int64)))
        except BaseException as error:  # as above
            frame = b"r" + _described(error)
        _write(frame)


class _Nowhere(io.TextIOBase):
    """Takes what is printed, and keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)


def _defined(source: str) -> Callable[[Any], Any]:
    """The function `transform` of a program."""
    names = {name: value for name, value in vars(builtins).items() if name not in WITHOUT}
    names["__import__"] = _import
    space: dict[str, Any] = {"__builtins__": names, "__name__": "program"}
    # A class of the program looks its module up by name, as dataclasses do.
    sys.modules["program"] = type(sys)("program")
    exec(compile(source, "program", "exec", dont_inherit=True), space)
    if not callable(space.get("transform")):
        raise NameError("it defines no function transform")
    made: Callable[[Any], Any] = space["transform"]
    return made


def _import(name: str, space: Any = None, names: Any = None, wanted: Any = (), level: int = 0) -> Any:
    # numpy's C code imports parts of numpy as if the program did, when it is first asked to print an array, say.
    inner = name.startswith("numpy.") and name in sys.modules
    if level or not (name in MODULES or inner):
        raise ImportError(f"{name} must not be imported here")
    return importlib.__import__(name, space, names, wanted, level)


def _described(error: BaseException) -> bytes:
    text = f"{type(error).__name__}: {error}".replace("\n", " ")
    return text.encode("utf-8", "replace")[:200]


def _write(frame: bytes) -> None:
    os.write(RESULTS, struct.pack(">H", len(frame)) + frame)


# -- in the server ----------------------------------------------------------------------------------------------


def _collect(readable: int, count: int, call_seconds: float, seconds: float) -> tuple[list[bytes], str]:
    """So many frames, or those that came, and why no more did; "" where the fork closed its end."""
    frames: list[bytes] = []
    kept = b""
    whole = time.monotonic() + seconds
    call = time.monotonic() + call_seconds
    while len(frames) < count:
        left = min(whole, call) - time.monotonic()
        if left <= 0 or not select.select([readable], [], [], left)[0]:
            return frames, f"it took more than {call_seconds if call <= whole else seconds:g} s"
        more = os.read(readable, 4096)
        if not more:
            return frames, ""
        kept += more
        while len(kept) >= 2 and len(frames) < count:
            (length,) = struct.unpack(">H", kept[:2])
            if not 1 <= length <= LONGEST:
                return frames, "it wrote something else than answers"
            if len(kept) < 2 + length:
                break
            frames.append(kept[2 : 2 + length])
            kept = kept[2 + length :]
            call = time.monotonic() + call_seconds
    return frames, "complete"


def _bury(pid: int, waiting: float) -> int:
    """Kill a fork, its group and all its orphans; its status, for which it is given some seconds to end by itself."""
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
            os.kill(pid, signal.SIGKILL)  # before it became a group of its own
        _, status = os.waitpid(pid, 0)
    while orphans := _orphans():
        for each in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, 0)
    return status


def _orphans() -> list[int]:
    """Processes that are now children of this one, where the kernel tells."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(each) for each in listed.read_text().split()] if listed.exists() else []


def _told(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"it was ended by the signal {os.WTERMSIG(status)}"
    return "it ended before it had answered"


def _receive(requests: int) -> dict[str, Any] | None:
    head = _read_exactly(requests, 4)
    if head is None:
        return None
    body = _read_exactly(requests, struct.unpack(">I", head)[0])
    content: dict[str, Any] | None = None if body is None else json.loads(body)
    return content


def _read_exactly(descriptor: int, length: int) -> bytes | None:
    kept = b""
    while len(kept) < length:
        more = os.read(descriptor, length - len(kept))
        if not more:
            return None
        kept += more
    return kept


def _send(answers: int, content: Any) -> None:
    body = json.dumps(content).encode()
    whole = struct.pack(">I", len(body)) + body
    while whole:
        whole = whole[os.write(answers, whole) :]
