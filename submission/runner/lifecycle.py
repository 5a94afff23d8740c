"""Around a run: its log file, signals that end it, and a hard end if it hangs."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

from submission.deadline import NEVER, Deadline
from submission.errors import TRACEBACKS, BadInput

logger = logging.getLogger(__name__)


class Stop:
    """Whether a signal has asked the run to stop, and when."""

    signalled_at: float | None = None

    def __bool__(self) -> bool:
        return self.signalled_at is not None


@contextmanager
def signals() -> Iterator[Stop]:
    """The first SIGTERM or SIGINT asks the run to stop and write what it has; a second one ends the process at once.

    A repeat within a second is the same signal delivered twice, to the process group and by a parent that passes it on:
    it is ignored. SIGINT is blocked, and a thread waits for it: processes that are started here inherit the block, so
    that Ctrl-C, which goes to all of them, does not interrupt one that has not begun to ignore it.
    """
    stop = Stop()

    def received(number: int, frame: Any) -> None:
        if stop.signalled_at is None:
            stop.signalled_at = time.monotonic()
        elif time.monotonic() - stop.signalled_at > 1.0:
            os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield stop  # Only the main thread receives signals.
        return
    before = {each: signal.signal(each, received) for each in (signal.SIGTERM, signal.SIGINT)}
    resource_tracker.ensure_running()  # Where the first worker starts it, it lifts the block.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    over = threading.Event()

    def wait() -> None:
        while signal.sigwait({signal.SIGINT}) and not over.is_set():
            received(signal.SIGINT, None)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    try:
        yield stop
    finally:
        over.set()
        assert waiting.ident is not None
        signal.pthread_kill(waiting.ident, signal.SIGINT)
        waiting.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def hard_end(until: Deadline, grace: float) -> Iterator[None]:
    """End the process `grace` seconds after the deadline if it hangs, in a write for example.

    The last valid submission stays on disk.
    """
    if until is NEVER:
        yield
        return

    def end() -> None:
        words = "the run hung for %.0f s after its deadline and was ended", grace
        # The run may hang in the log, where this thread would hang too.
        logging_thread = threading.Thread(target=logger.critical, args=words, daemon=True)
        logging_thread.start()
        logging_thread.join(1.0)
        os._exit(1)

    timer = threading.Timer(until.left() + grace, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _LogFile(logging.FileHandler):
    """A log file that stops after the first failed write, which a full disk causes; stderr says so once."""

    def handleError(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.baseFilename} cannot be written to ({sys.exc_info()[1]})\n")
        self.setLevel(logging.CRITICAL + 1)

    def close(self) -> None:
        """Close the file. What a full disk did not take is lost, which `handleError` has said."""
        with suppress(OSError):
            super().close()


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Write everything that is logged to this file as well, and to it alone the tracebacks behind one-line errors.

    BadInput where it cannot be opened.
    """
    try:
        handler = _LogFile(path, encoding="utf-8", errors="backslashreplace")  # A path may hold bytes that are no text.
    except OSError as error:
        raise BadInput(f"{path}: cannot be written to ({error.strerror})") from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root, package = logging.getLogger(), logging.getLogger("submission")
    package.setLevel(logging.INFO)
    TRACEBACKS.setLevel(logging.DEBUG)
    TRACEBACKS.propagate = False
    for each in (root, TRACEBACKS):
        each.addHandler(handler)
    try:
        yield
    except Exception:
        TRACEBACKS.debug("the run ended with an error", exc_info=True)
        raise
    finally:
        for each in (root, TRACEBACKS):
            each.removeHandler(handler)
        for each in (package, TRACEBACKS):
            each.setLevel(logging.NOTSET)
        TRACEBACKS.propagate = True
        handler.close()
