"""Around a run: the lock on its output folder, its log file, signals that end it, and a hard end if it hangs."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from submission.deadline import NEVER, Deadline
from submission.errors import TRACEBACKS, BadInput
from submission.results import journal

logger = logging.getLogger(__name__)


@contextmanager
def owned(out: Path, resume: bool, fresh: bool) -> Iterator[bool]:
    """Lock the output folder for this run; yields whether it holds a run that is resumed.

    With `resume` a folder without a run begins one, so that an unattended restart is always the same command. With
    `fresh` the old journal is renamed. BadInput for a folder that holds a run, without either; for one that another
    process has locked; and for one that cannot be written to.
    """
    begun = (out / "journal").is_dir()
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is not a folder")
    if begun and not (resume or fresh):
        raise BadInput(f"{out}: holds a run already; --resume continues it, --fresh begins again")
    if resume and not begun:
        logger.warning("%s: holds no run to resume, so a new one begins", out)
    with ExitStack() as lock:
        try:
            out.mkdir(parents=True, exist_ok=True)
            lock.enter_context(journal.locked(out))
            now = time.strftime("%Y%m%d-%H%M%S")
            if begun and fresh:
                (out / "journal").rename(out / f"journal-{now}")
            if not begun and (out / "submission.json").exists():
                (out / "submission.json").rename(out / f"submission-{now}.json")
                logger.warning("%s: held a submission without a journal; it is now submission-%s.json", out, now)
            (out / "journal").mkdir(exist_ok=True)
            journal.remove_temporaries(out)
        except OSError as error:
            raise BadInput(f"{out}: cannot be written to ({error.strerror})") from None
        yield resume and begun


class Stop:
    """Whether a signal has asked the run to stop, and when."""

    signalled_at: float | None = None

    def __bool__(self) -> bool:
        return self.signalled_at is not None


@contextmanager
def signals() -> Iterator[Stop]:
    """The first SIGTERM or SIGINT asks the run to stop and write what it has; a second one ends the process at once.

    A repeat within a second is the same signal delivered twice, to the process group and by a parent that passes it on:
    it is ignored.
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
    try:
        yield stop
    finally:
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
    """Write everything that is logged to this file as well, and to it alone the tracebacks behind one-line errors."""
    handler = _LogFile(path)
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
