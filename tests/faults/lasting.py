"""Faults that last, at every stage they can have: what becomes of the run, and how often its workers start again.

`python -m tests.faults lasting` prints the table.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from os import killpg
from pathlib import Path

from submission.config import with_changes
from submission.results import scores
from tests.faults.cell import Cell, Ended, copies, ended, left_by, process
from tests.faults.scripted import STAGES, Fault
from tests.faults.table import AFTER, finished, solver_at

TASKS = 12
WORKERS = 2
PATIENT = ["time.heartbeat_timeout=20", "time.loading_timeout=120", "time.seconds=100", "time.grace=20"]


@dataclass(frozen=True)
class Lasting:
    """A fault that lasts, and what a run of twelve tasks may lose by it."""

    name: str
    kind: str
    stages: tuple[str, ...]
    lost: int
    """Tasks without an answer at the end, at most."""
    restarts: int
    """Starts of worker processes beyond the first two, at most."""
    ends_with: tuple[int, ...] = (0,)
    """The exit status of the run; both where it depends on how the workers share the failures."""
    task: str | None = None
    megabytes: float = 0.0
    settings: tuple[str, ...] = ()


ONE = "copy005"
MOST = TASKS - 1
STEPS = ("adapt", "propose", "score", "vote")
ROWS = (
    Lasting("raise, always", "raise", (*STEPS, "search"), MOST, 0),
    Lasting("raise, at one task", "raise", (*STEPS, "search"), 1, 0, task=ONE),
    Lasting("die, always", "die", (*STEPS, "search"), MOST, 10, (1,)),
    Lasting("die, at one task", "die", (*STEPS, "search"), 1, 2, task=ONE),
    Lasting("hang, at one task", "hang", (*STEPS, "search"), 1, 2, task=ONE),
    Lasting("out of memory until less is asked for", "oom", STEPS, 0, 5, megabytes=256.0),
    Lasting("out of memory until much less is asked for", "oom", STEPS, 0, 20, megabytes=64.0),
    Lasting("out of memory, always", "oom", (*STEPS, "search"), MOST, 34, (0, 1)),
    Lasting("the GPU is gone", "gone", STEPS, MOST, 4, (1,)),
    Lasting("float16 overflows", "overflow", STEPS[1:3], 0, 9, settings=("model.dtype=float16",)),
    Lasting("NaN, always", "not finite", STEPS[1:3], MOST, 10, (1,)),
    Lasting("NaN in training, always", "nan", STEPS[:1], 0, 0),
    Lasting("the model or the search never starts", "raise", ("load", "start"), TASKS, 4, (1,)),
    Lasting("disk full (injected)", "full", ("journal",), 0, 0),
    Lasting("disk full (injected)", "full", ("write",), MOST, 0, (1,)),
    Lasting("disk full (injected)", "full", ("summary", "report"), 0, 0, (1,)),
)  # fmt: skip
"""Kinds and their stages. `vote` and NaN: a vote has no numbers of the model, so it cannot overflow."""


def cell_of(row: Lasting, stage: str, folder: Path) -> Cell:
    """The run in which this fault lasts."""
    after = 0 if row.task is not None else {**AFTER, "propose": 3, "score": 3, "vote": 3, "write": 4}.get(stage, 1)
    fault = Fault(row.kind, stage, folder, after=after, lasting=True, task=row.task, megabytes=row.megabytes)
    cell = Cell(
        folder / "out", (fault,), TASKS, WORKERS, seconds=None, marks=folder, solver=solver_at(stage)
    )  # fmt: skip
    return replace(
        cell,
        settings=with_changes(cell.settings, ["time.heartbeat_timeout=5", "time.loading_timeout=120", *row.settings]),
    )


@dataclass(frozen=True)
class Cost:
    """What became of a run."""

    status: int
    answered: int
    """Of twelve tasks."""
    restarts: int

    def __str__(self) -> str:
        restarts = f", {self.restarts} restarts" if self.restarts else ""
        return f"{self.answered}{restarts}{f', exit {self.status}' if self.status else ''}"


def cost(row: Lasting, stage: str, folder: Path) -> Cost:
    """Run it, and go on with it after the fault has passed; AssertionError where more is lost than may be."""
    cell = cell_of(row, stage, folder)
    run = ended(cell, limit=200.0)
    assert cell.faults[0].begun(), "the fault did not happen"
    restarts = run.starts - WORKERS
    found = bounded(cell, run)
    assert run.status in row.ends_with and TASKS - found <= row.lost and restarts <= row.restarts, (
        f"{row.name} at {stage}: exit {run.status}, {found} of {TASKS}, {restarts} restarts"
    )
    return Cost(run.status, found, restarts)


def bounded(cell: Cell, run: Ended) -> int:
    """The number of tasks answered; AssertionError where a finished one is lost, or one is blank and nobody says why.

    What is missing comes with --resume after the fault has passed.
    """
    tasks, solutions = copies(cell.tasks)
    assert run.wrong(tasks) == []
    answered = [name for name in tasks if scores.score(run.submission, {name: solutions[name]})["solved_tasks"]]
    done = [name for name, record in run.records.items() if all(record["attempts"])]
    on_disk = cell.faults[0].stage != "write"
    assert not on_disk or set(done) <= set(answered), "what is in the journal is in the submission"
    log = (cell.out / "log.txt").read_text().splitlines()
    for name in set(tasks) - set(answered) if on_disk else ():
        why = (
            run.records[name]["notes"]
            if name in run.records
            else any(name in line and "not reached" in line for line in log)
        )
        assert why, f"nobody says why {name} has no answer"
    then = ended(replace(cell, faults=(), resume=True, settings=cell.settings))
    assert (then.status, then.solved(solutions)) == (0, cell.tasks), then.log
    assert all(then.records[name] == run.records[name] for name in done), "what is done stays done"
    return len(answered)


# -- faults of the machine ---------------------------------------------------------------------------------------


class NoDisk(Exception):
    """Who runs this may not mount anything."""


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A disk of this size; NoDisk where none can be mounted here."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise NoDisk("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Take all that is left of a disk."""
    with suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 512)


def full_disk(folder: Path) -> Cost:
    """A disk that is full from the fourth task on, until the end: journal, submission, log, summary and report."""
    with small_disk(folder / "disk", 600) as disk:
        cell = Cell(disk / "out", (), TASKS, WORKERS, seconds=None, marks=folder, pause=0.1)
        (disk / "out.txt").touch()  # What the process says is kept on another disk.
        child = process(cell, folder / "out.txt")
        while len(finished(cell.out)) < 4:
            assert child.poll() is None, "the run ended before its disk was full"
            time.sleep(0.02)
        fill(disk)
        run = left_by(cell, child.wait(60), 0.0)
        tasks, solutions = copies(TASKS)
        assert (run.status, run.wrong(tasks), run.starts) == (1, [], WORKERS), (folder / "out.txt").read_text()
        solved, kept = run.solved(solutions), finished(cell.out)
        assert solved >= 3 and len(kept) >= 4, "the fourth may be in the journal only"
        (disk / "filler").unlink()
        then = ended(replace(cell, resume=True))
        assert (then.status, then.solved(solutions)) == (0, TASKS)
        return Cost(run.status, solved, run.starts - WORKERS)


@contextmanager
def throttled(group: int, share: float = 0.1, period: float = 0.1) -> Iterator[None]:
    """Let the processes of a group run in this share of the time only."""
    over = threading.Event()

    def throttle() -> None:
        while not over.is_set():
            with suppress(ProcessLookupError):
                killpg(group, signal.SIGSTOP)
                time.sleep((1 - share) * period)
                killpg(group, signal.SIGCONT)
            time.sleep(share * period)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def slow_machine(folder: Path) -> Cost:
    """Everything takes ten times as long: the processes are stopped nine tenths of the time."""
    cell = Cell(folder / "out", (), TASKS, WORKERS, seconds=None, marks=folder, pause=0.2)
    cell = replace(cell, settings=with_changes(cell.settings, PATIENT))
    child = process(cell, folder / "out.txt")
    with throttled(child.pid):
        status = child.wait(400)
    run = left_by(cell, status, 0.0)
    tasks, solutions = copies(TASKS)
    assert (run.status, run.wrong(tasks), run.solved(solutions)) == (0, [], TASKS), run.log
    assert run.starts == WORKERS, "nobody is taken for hung"
    return Cost(run.status, TASKS, run.starts - WORKERS)


MACHINE: dict[str, Callable[[Path], Cost]] = {
    "disk full (a real one), from the fourth task on": full_disk,
    "a machine ten times as slow": slow_machine,
}


def table(folder: Path) -> str:
    """A Markdown table: a line for each fault, a column for each stage; then one line for each fault of the machine."""
    cells: dict[str, dict[str, str]] = {}
    for number, row in enumerate(ROWS):
        for stage in row.stages:
            (at := folder / f"{number}-{stage}").mkdir(parents=True)
            cells.setdefault(row.name, {})[stage] = str(cost(row, stage, at))
            print(row.name, stage, cells[row.name][stage], file=sys.stderr)
    lines = ["| from a moment on | " + " | ".join(STAGES) + " |", "|---" * (1 + len(STAGES)) + "|"]
    lines += [
        f"| {name} | " + " | ".join(by_stage.get(stage, "") for stage in STAGES) + " |"
        for name, by_stage in cells.items()
    ]
    lines += ["", "| of the machine | the whole run |", "|---|---|"]
    for name, body in MACHINE.items():
        (at := folder / body.__name__).mkdir()
        lines.append(f"| {name} | {body(at)} |")
    return "\n".join(lines)
