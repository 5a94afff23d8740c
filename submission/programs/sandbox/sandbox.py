"""Run untrusted programs on grids, and collect their outputs or the reasons why there are none.

A program is Python text that defines `transform(grid)`, from an int64 array [height, width] to a grid; `modules` says
what it may import. It runs in a process of its own, forked from a clean interpreter (`forkserver`) and confined by the
kernel as far as the machine permits (`confinement` says what is covered and what is not); where that is too little, no
program is run. Only inputs are sent to it, never outputs or solutions; its outputs are verified outside.
"""

from __future__ import annotations

import logging
import os
import signal
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
from submission.programs.sandbox.confinement import ALL_LAYERS, weakness
from submission.programs.sandbox.protocol import Request, receive_message, send_message

logger = logging.getLogger(__name__)

GRACE = 5.0
"""Seconds after a program's own limit in which the server must answer; after that it is replaced."""
STARTING = 60.0
"""Seconds in which a server must have started."""


@dataclass(frozen=True)
class Limits:
    """The resource limits of a program."""

    call_seconds: float = 2.0
    """Wall time for one grid."""
    seconds: float = 6.0
    """Wall time for all grids of a task together; CPU time is limited to a second more."""
    megabytes: int = 256
    """Address space, beyond what Python and numpy take."""


@dataclass(frozen=True, eq=False)
class ProgramResult:
    """The outputs of a program for some grids."""

    outputs: tuple[Grid | None, ...]
    """One for each grid; None where the program failed."""
    reasons: tuple[str | None, ...]
    """Why an output is None: a clause without the subject, which is the program."""


def run(source: str, grids: Sequence[Grid], limits: Limits = Limits()) -> ProgramResult:  # noqa: B008 - frozen
    """Run one program on some grids in a new sandbox; use a `Sandbox` for many programs."""
    with Sandbox(limits) as sandbox:
        return sandbox.run(source, grids)


class Sandbox:
    """Runs programs one at a time, on two server processes; a context manager that ends them.

    The servers differ in the seeds of `random` and `numpy.random` and in the salt of `hash`. A program that gives a
    grid on the first server is run on the second as well: an output that depends on chance is rejected.
    """

    def __init__(self, limits: Limits = Limits(), unconfined: bool = False) -> None:  # noqa: B008 - frozen
        """Start nothing yet: the servers start with the first program, or BadInput is raised then.

        It is raised as well where this machine permits too few layers (`confinement.weakness`), unless `unconfined`.
        """
        self.limits = limits
        self._servers = (_Server(1, unconfined), _Server(2, unconfined))

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the servers; a later `run` starts new ones."""
        for server in self._servers:
            server.stop()

    @property
    def layers(self) -> tuple[str, ...]:
        """Return the layers of confinement in force on this machine, out of `confinement.ALL_LAYERS`."""
        return self._servers[0].start()

    def run(self, source: str, grids: Sequence[Grid], until: Deadline = NEVER) -> ProgramResult:
        """Run a program on both servers and return the outputs that agree; stops it at its limits and the deadline."""
        first = self.run_once(source, grids, until)
        if all(each is None for each in first.outputs):
            return first
        return _agreeing(first, self._run_on(1, source, grids, until))

    def run_once(self, source: str, grids: Sequence[Grid], until: Deadline = NEVER) -> ProgramResult:
        """Run a program on one server only: its outputs may depend on chance."""
        return self._run_on(0, source, grids, until)

    def _run_on(self, which: int, source: str, grids: Sequence[Grid], until: Deadline) -> ProgramResult:
        """Run a program on one of the two servers."""
        seconds = min(self.limits.seconds, until.left())
        rows = [each.tolist() for each in grids]
        request = Request(
            source, rows, min(self.limits.call_seconds, seconds), seconds, self.limits.megabytes, seed=which
        )
        results = self._servers[which].ask(request)
        outputs = tuple(grid(each["grid"]) if "grid" in each else None for each in results)
        return ProgramResult(outputs, tuple(each.get("reason") for each in results))


def _agreeing(first: ProgramResult, second: ProgramResult) -> ProgramResult:
    """Return the outputs that are equal in both runs."""
    outputs: list[Grid | None] = []
    reasons: list[str | None] = []
    for one, other, why, again in zip(first.outputs, second.outputs, first.reasons, second.reasons, strict=True):
        same = one is not None and other is not None and grid_key(one) == grid_key(other)
        outputs.append(one if same else None)
        reasons.append(None if same else why or again or "its output changes from run to run")
    return ProgramResult(tuple(outputs), tuple(reasons))


class _Server:
    """One `forkserver` process, started at the first request, and again after it was lost."""

    def __init__(self, salt: int, unconfined: bool) -> None:
        """`salt` is the server's PYTHONHASHSEED; `unconfined`: start with too few layers of confinement as well."""
        self._salt, self._unconfined = salt, unconfined
        self._process: subprocess.Popen[bytes] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._layers: tuple[str, ...] = ()

    def start(self) -> tuple[str, ...]:
        """Start the server unless it runs; return the layers of confinement in force.

        BadInput if it cannot start, or if the layers are too few.
        """
        if self._process is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="program-")
            self._process = _started(self._salt, self._scratch.name)
            try:
                told = _receive(self._process, time.monotonic() + STARTING)
            except _Lost as lost:
                reason = self._stop_after_error() or lost
                raise BadInput(f"the sandbox for written programs cannot be started: {reason}") from lost
            self._layers = tuple(told["layers"])
            if not self._unconfined and (sentence := weakness(self._layers)):
                self.stop()
                raise BadInput(sentence)
            missing = [name for name in ALL_LAYERS if name not in self._layers]
            if missing:
                logger.warning("written programs run without these layers of confinement: %s", ", ".join(missing))
            if told["no scipy"]:
                logger.info("written programs cannot import scipy (%s)", told["no scipy"])
        return self._layers

    def ask(self, request: Request) -> list[dict[str, Any]]:
        """Return the server's results, {"grid": rows} or {"reason": sentence} for each grid of the request."""
        self.start()
        assert self._process is not None
        try:
            _send(self._process, asdict(request))
            results: list[dict[str, Any]] = _receive(self._process, time.monotonic() + request.seconds + GRACE)
        except _Lost as lost:
            logger.warning("restarting the sandbox: %s", lost)
            self.stop()
            results = [{"reason": f"the sandbox was lost ({lost})"}] * len(request.grids)
        return results

    def stop(self) -> None:
        """End the process with its forks, and remove its folder."""
        if self._process is not None:
            # The server leads its own process group; its forks die with it by their death signal.
            os.killpg(self._process.pid, signal.SIGKILL)
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
                assert pipe is not None
                pipe.close()
            self._process.wait()
            self._process = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _stop_after_error(self) -> str:
        """End the process; return the last line of its standard error, "" if there is none."""
        assert self._process is not None
        assert self._process.stderr is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        lines = self._process.stderr.read().decode("utf-8", "replace").strip().splitlines()
        self.stop()
        return lines[-1] if lines else ""


class _Lost(Exception):
    """The server ended, or did not answer in time."""


BOOT = "import sys; sys.path += sys.argv[1:]; from submission.programs.sandbox import forkserver; forkserver.main()"
"""The server's program; its arguments are the folders of this package and of numpy, all it adds to its path."""


def _started(salt: int, folder: str) -> subprocess.Popen[bytes]:
    """Start a server in its own session, in an empty folder, with none of this process's environment."""
    paths = [str(Path(__file__).parents[3]), str(Path(np.__file__).parents[1])]
    # -I would ignore PYTHONHASHSEED; -P and -s are its other effects, and the environment is set below.
    return subprocess.Popen(
        [sys.executable, "-P", "-s", "-S", "-B", "-X", "utf8", "-c", BOOT, *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd=folder,
        env={"PYTHONHASHSEED": str(salt), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _send(process: subprocess.Popen[bytes], content: Any) -> None:
    """Send a message to a server; _Lost if it has ended."""
    assert process.stdin is not None
    try:
        send_message(process.stdin.fileno(), content)
    except BrokenPipeError as error:
        raise _Lost("it has ended") from error


def _receive(process: subprocess.Popen[bytes], until: float) -> Any:
    """Receive a message from a server; _Lost if it has ended, or at the moment `until` of time.monotonic()."""
    assert process.stdout is not None
    try:
        return receive_message(process.stdout.fileno(), until)
    except TimeoutError as error:
        raise _Lost("it did not answer in time") from error
    except EOFError as error:
        raise _Lost("it has ended") from error
