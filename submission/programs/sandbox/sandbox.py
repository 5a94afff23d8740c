"""Programs that nobody has read, run on grids: what they give back, and why not.

A program is Python text that defines `transform(grid)`, from an int64 array [height, width] to a grid. It runs in
a process of its own, forked from a clean interpreter (`forkserver`) and confined by the kernel as far as the
machine permits (`confinement`, which says what is covered and what is not). It sees inputs only: neither the
outputs of demonstrations nor solutions are ever sent to it, so what it writes must be verified outside, and can be.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from submission.arc.tasks import Grid, grid, grid_key
from submission.deadline import NEVER, Deadline
from submission.errors import BadInput
from submission.programs.sandbox.confinement import WHOLE
from submission.programs.sandbox.forkserver import Request

logger = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds beyond a program's own in which the server has to answer; after that it is replaced."""
STARTING = 60.0
"""Seconds for the server to start."""


@dataclass(frozen=True)
class Limits:
    """What a program may take."""

    call_seconds: float = 2.0
    """Of the wall's clock, for one grid."""
    seconds: float = 6.0
    """Of the wall's clock, for all grids of a task together; CPU time is limited to a second more."""
    megabytes: int = 256
    """Of address space, beyond what Python and numpy hold."""


@dataclass(frozen=True, eq=False)
class ProgramResult:
    """What a program made of some grids."""

    outputs: tuple[Grid | None, ...]
    """One for each grid; None where it has none."""
    reasons: tuple[str | None, ...]
    """Why an output is None, in words that complete "the program: ..."."""


def run(source: str, grids: Sequence[Grid], limits: Limits = Limits()) -> ProgramResult:  # noqa: B008 - frozen
    """Run one program on some grids, in a sandbox made for it alone; see `Sandbox` for many programs."""
    with Sandbox(limits) as sandbox:
        return sandbox.run(source, grids)


class Sandbox:
    """Runs programs, one at a time; a context manager, since two processes wait for them.

    The two differ in the seeds of `random` and `numpy.random` and in the salt of `hash`. Every program that gives a
    grid in the first is run in the second too: an output that depends on chance is no output.
    """

    def __init__(self, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        """Nothing is started yet; BadInput comes with the first program where no server can be started."""
        self.limits = limits
        self._servers = (_Server(1), _Server(2))

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the processes; a later `run` starts them anew."""
        for server in self._servers:
            server.stop()

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers of confinement that hold on this machine; `confinement.WHOLE` are all there can be."""
        return self._servers[0].start()

    def run(self, source: str, grids: Sequence[Grid], until: Deadline = NEVER) -> ProgramResult:
        """The outputs of a program; it is stopped at its limits and at the deadline."""
        first = self.once(source, grids, until)
        if all(each is None for each in first.outputs):
            return first
        return _steady(first, self._outcome(1, source, grids, until))

    def once(self, source: str, grids: Sequence[Grid], until: Deadline = NEVER) -> ProgramResult:
        """The same from one process alone: what it gives may depend on chance."""
        return self._outcome(0, source, grids, until)

    def _outcome(self, which: int, source: str, grids: Sequence[Grid], until: Deadline) -> ProgramResult:
        seconds = min(self.limits.seconds, until.left())
        rows = [each.tolist() for each in grids]
        request = Request(
            source, rows, min(self.limits.call_seconds, seconds), seconds, self.limits.megabytes, seed=which
        )
        results = self._servers[which].ask(request)
        outputs = tuple(grid(each["grid"]) if "grid" in each else None for each in results)
        return ProgramResult(outputs, tuple(each.get("reason") for each in results))


def _steady(first: ProgramResult, second: ProgramResult) -> ProgramResult:
    """The outputs that both runs gave."""
    outputs: list[Grid | None] = []
    reasons: list[str | None] = []
    for one, other, why, again in zip(first.outputs, second.outputs, first.reasons, second.reasons, strict=True):
        same = one is not None and other is not None and grid_key(one) == grid_key(other)
        outputs.append(one if same else None)
        reasons.append(None if same else why or again or "its output changes from run to run")
    return ProgramResult(tuple(outputs), tuple(reasons))


class _Server:
    """One `forkserver` process, started when it is first asked, and again after it was lost."""

    def __init__(self, salt: int) -> None:
        self._salt = salt
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._layers: tuple[str, ...] = ()

    def start(self) -> tuple[str, ...]:
        """Start it unless it runs; the layers that it found to hold."""
        if self._process is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="program-")
            self._process = _started(self._salt, self._scratch.name)
            try:
                self._layers = tuple(_receive(self._process, time.monotonic() + STARTING))
            except _Lost as lost:
                told = self._last_words()
                raise BadInput(f"the sandbox for written programs cannot be started: {told or lost}") from lost
            missing = [name for name in WHOLE if name not in self._layers]
            if missing:
                logger.warning("written programs run without these layers of confinement: %s", ", ".join(missing))
        return self._layers

    def ask(self, request: Request) -> list[dict[str, Any]]:
        """The server's results, one for each grid of the request."""
        self.start()
        assert self._process is not None
        try:
            _send(self._process, asdict(request))
            answer: list[dict[str, Any]] = _receive(self._process, time.monotonic() + request.seconds + GRACE)
        except _Lost as lost:
            logger.warning("the sandbox is started anew: %s", lost)
            self.stop()
            answer = [{"reason": f"the sandbox was lost ({lost})"}] * len(request.grids)
        return answer

    def stop(self) -> None:
        """End the process, and with it whatever it may have forked; remove its folder."""
        if self._process is not None:
            # It leads a group of its own; a fork of it dies with it, by the death signal that it has set.
            os.killpg(self._process.pid, signal.SIGKILL)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                assert pipe is not None
                pipe.close()
            self._process.wait()
            self._process = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _last_words(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        said = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        self.stop()
        return said[-1] if said else ""


class _Lost(Exception):
    """The server ended, or did not answer in time."""


BOOT = "import sys; sys.path += sys.argv[1:]; from submission.programs.sandbox import forkserver; forkserver.main()"
"""What the server is told: where this package and numpy are, and nothing else of this process's path."""


def _started(salt: int, folder: str) -> subprocess.Popen[bytes]:
    """The process, in a session of its own, in an empty folder, with an environment that says only this."""
    places = [str(Path(__file__).parents[3]), str(Path(np.__file__).parents[1])]
    # No -I: it would ignore PYTHONHASHSEED. Its other halves are -P and -s; the environment is ours.
    return subprocess.Popen(
        [sys.executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", BOOT, *places],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env={"PYTHONHASHSEED": str(salt), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _send(process: subprocess.Popen[bytes], content: Any) -> None:
    assert process.stdin is not None
    body = json.dumps(content).encode()
    left = memoryview(struct.pack(">I", len(body)) + body)
    try:
        while left:
            left = left[os.write(process.stdin.fileno(), left) :]
    except BrokenPipeError as error:
        raise _Lost("it has ended") from error


def _receive(process: subprocess.Popen[bytes], until: float) -> Any:
    (length,) = struct.unpack(">I", _read_exactly(process, 4, until))
    return json.loads(_read_exactly(process, length, until))


def _read_exactly(process: subprocess.Popen[bytes], length: int, until: float) -> bytes:
    assert process.stdout is not None
    kept = b""
    while len(kept) < length:
        left = until - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise _Lost("it did not answer in time")
        more = os.read(process.stdout.fileno(), length - len(kept))
        if not more:
            raise _Lost("it has ended")
        kept += more
    return kept
