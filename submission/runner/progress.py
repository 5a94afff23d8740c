"""What a run says while it lasts: a line for each task that a solver has finished, and one bar for all of them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from submission.arc.tasks import Solutions
from submission.results import scores
from submission.results.store import RunStore
from submission.runner.dispatcher import Dispatcher
from submission.runner.spec import Kind
from submission.solver.records import TaskRecord

BAR = "{desc} {percentage:3.0f}%|{bar:20}|"
"""The phases, and the share of all their tasks that is done; the score and the time that is left follow."""


class ProgressBar:
    """One bar over the tasks of all solvers."""

    def __init__(self, dispatcher: Dispatcher, store: RunStore, solutions: Solutions | None) -> None:
        """It shows nothing where standard error is no terminal."""
        tqdm.set_lock(threading.RLock())  # Its default lock is one between processes, which outlives a kill.
        self._dispatcher, self._store, self._solutions = dispatcher, store, solutions
        self._bar = tqdm(total=1, bar_format=BAR, disable=not sys.stderr.isatty())

    def update(self) -> None:
        """Show what is done now."""
        if self._bar.disable:
            return
        counts = self._dispatcher.counts()
        self._bar.total = max(1, sum(asked for _, asked in counts.values()))
        self._bar.n = sum(done for done, _ in counts.values())
        parts = [solved_so_far(self._store, self._solutions), time_left(self._dispatcher)]
        phases = "  ".join(f"{kind} {done}/{asked}" for kind, (done, asked) in counts.items())
        self._bar.set_description_str(phases, refresh=False)
        self._bar.bar_format = "  ".join([BAR, *filter(None, parts)])
        self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


@contextmanager
def progress_bar(dispatcher: Dispatcher, store: RunStore, solutions: Solutions | None) -> Iterator[ProgressBar]:
    """A bar above which the log goes on."""
    bar = ProgressBar(dispatcher, store, solutions)
    try:
        with logging_redirect_tqdm():
            bar.update()
            yield bar
    finally:
        bar.close()


def progress_line(
    kind: Kind, record: TaskRecord, dispatcher: Dispatcher, store: RunStore, solutions: Solutions | None
) -> str:
    """One log line about a task that this kind of solver has finished."""
    done, asked = dispatcher.counts()[kind]
    parts = [f"{kind} {done}/{asked}", record.task]
    if solutions is not None:
        right = scores.score(store.submission, {record.task: solutions[record.task]})
        parts.append(f"{'solved' if right['solved_tasks'] else 'missed'} {right['score_by_task']:.2f}")
    if record.programs is not None:
        parts.append(f"programs {len(record.programs)}")
    else:
        if record.passes > 1:
            parts.append(f"pass {record.passes}")
        parts.append(f"candidates {'+'.join(str(len(test.candidates)) for test in record.tests)}")
        if record.fit is not None and record.fit.losses:
            parts.append(f"loss {record.fit.losses[-1]:.3f} after {record.fit.steps} steps")
    parts += [f"{record.seconds:.1f} s", solved_so_far(store, solutions), time_left(dispatcher), *record.notes]
    return "  ".join(filter(None, parts))


def solved_so_far(store: RunStore, solutions: Solutions | None) -> str:
    """The running score over all tasks of the run; empty without solutions."""
    if solutions is None:
        return ""
    return f"solved so far {scores.score(store.submission, solutions)['solved_tasks']}/{len(solutions)}"


def time_left(dispatcher: Dispatcher) -> str:
    """How long the run will still take; empty as long as a solver has not shown its pace."""
    seconds = dispatcher.left()
    return "" if seconds is None else f"{seconds / 60:.1f} min left"
