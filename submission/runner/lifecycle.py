"""What keeps a run safe: a folder of its own, a log, signals that end it tidily, and an end that comes in any case."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from submission.deadline import NEVER, Deadline
from submission.errors import BadInput
from submission.results import journal

logger = logging.getLogger(__name__)


@contextmanager
def owned(out: Path, resume: bool, fresh: bool) -> Iterator[None]:
    """The output folder, ours alone; BadInput where runs would mix. With `fresh` the old journal is put aside."""
    begun = (out / "journal").is_dir()
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is not a folder")
    if begun and not (resume or fresh):
        raise BadInput(f"{out}: holds a run already; --resume goes on with it, --fresh begins anew")
    if resume and not begun:
        raise BadInput(f"{out}: there is no run to resume")
    with ExitStack() as lock:
        try:
            out.mkdir(parents=True, exist_ok=True)
            lock.enter_context(journal.locked(out))
            if begun and fresh:
                (out / "journal").rename(out / f"journal-{time.strftime('%Y%m%d-%H%M%S')}")
            (out / "journal").mkdir(exist_ok=True)
            journal.remove_temporaries(out)
        except OSError as error:
            raise BadInput(f"{out}: cannot be written to ({error.strerror})") from None
        yield


class Stop:
    """Whether a signal has asked for the end, and when."""

    asked_at: float | None = None

    def __bool__(self) -> bool:
        return self.asked_at is not None


@contextmanager
def signals() -> Iterator[Stop]:
    """SIGTERM and SIGINT ask for a tidy end; the second one ends the process at once, and with it its workers.

    The second one is one that comes a second later or more: who signals a whole group of processes, in which one passes
    on what it gets, means a single signal.
    """
    stop = Stop()

    def asked(number: int, frame: Any) -> None:
        if stop.asked_at is None:
            stop.asked_at = time.monotonic()
        elif time.monotonic() - stop.asked_at > 1.0:
            os._exit(128 + number)

    if threading.current_thread() is not threading.main_thread():
        yield stop  # Signals come to the main thread alone.
        return
    before = {each: signal.signal(each, asked) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def hard_end(until: Deadline, grace: float) -> Iterator[None]:
    """End the process, its last valid submission on disk, if it hangs so long beyond its time: in a write, say."""
    if until is NEVER:
        yield
        return

    def end() -> None:
        words = "the run hung %.0f s beyond its time and was ended", grace
        # It may hang in the log itself, and would not get past it here either.
        told = threading.Thread(target=logger.critical, args=words, daemon=True)
        told.start()
        told.join(1.0)
        os._exit(1)

    timer = threading.Timer(until.left() + grace, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _LogFile(logging.FileHandler):
    """A log on a disk that may be full: said once on stderr, then it goes on without."""

    def handleError(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.baseFilename} cannot be written to ({sys.exc_info()[1]})\n")
        self.setLevel(logging.CRITICAL + 1)


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Everything logged goes to this file as well."""
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    package = logging.getLogger("submission")
    package.setLevel(logging.INFO)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        package.setLevel(logging.NOTSET)
        logging.getLogger().removeHandler(handler)
        handler.close()
