"""A long run in which faults of all kinds happen throughout, some once, some for a while, some at the same task always.

`python -m tests.faults soak --minutes 30` prints what became of its tasks, of the parent's memory, and of its children.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from submission.config import with_changes
from submission.results import scores
from tests.faults.cell import SCRIPTED, Cell, copies, left_by, process
from tests.faults.scripted import Fault

WORKERS = 2
IMPATIENT = ["time.heartbeat_timeout=6", "time.loading_timeout=60"]
STEPS_A_TASK = 7.5
"""Pauses that the scripted engine makes for a task, measured."""
ONCE = ("raise", "kill", "die", "hang", "oom", "nan", "slow")
STAGES = ("adapt", "propose", "score", "vote")
MOST_GROWTH = 10.0
"""MB by which the parent may grow: the records of 400 tasks, which it keeps."""

WINDOWS = 12
"""Spells in which something lasts: memory is short, the disk is full."""


def random_faults(marks: Path, tasks: int) -> Iterator[Fault]:
    """Faults that happen once each, one for every five tasks; kinds and stages are drawn, the moment is by chance."""
    pairs = [*((kind, stage) for kind in ONCE for stage in STAGES), ("gone", "propose")]
    drawn = np.random.default_rng(0).multinomial(tasks // 5, [1 / len(pairs)] * len(pairs))
    for (kind, stage), most in zip(pairs, drawn, strict=True):
        yield Fault(kind, stage, marks, most=int(most), after=0, chance=0.005)


def spells(marks: Path, began: float, seconds: float) -> Iterator[Fault]:
    """Twelve spells, each of a sixtieth of the run: memory is short, shorter each time, or the disk is full."""
    for number in range(WINDOWS):
        start = began + seconds * (0.1 + 0.7 * number / WINDOWS)
        between = (start, start + seconds / 60)
        (own := marks / f"spell{number}").mkdir(parents=True, exist_ok=True)
        if number % 3 == 0:
            yield Fault(
                "oom", "propose", own, after=0, lasting=True, megabytes=256.0 / 2 ** (number // 3), between=between
            )
        else:
            stage = ("journal", "write")[number % 3 - 1]
            yield Fault("full", stage, own, after=0, lasting=True, between=between)


def cursed(marks: Path, tasks: int) -> dict[str, Fault]:
    """Tasks at which something happens each time that they are tried."""
    names = list(copies(tasks)[0])
    kinds = (("die", "adapt"), ("hang", "propose"), ("raise", "score"), ("oom", "adapt"))
    chosen = [names[(2 * k + 1) * tasks // (2 * len(kinds))] for k in range(len(kinds))]
    found = {}
    for name, (kind, stage) in zip(chosen, kinds, strict=True):
        (own := marks / name).mkdir(parents=True)
        found[name] = Fault(kind, stage, own, after=0, lasting=True, task=name)
    return found


@dataclass(frozen=True)
class Sample:
    """The parent process at one time."""

    at: float
    rss_mb: float
    files: int
    children: int


def watched(child: subprocess.Popen[bytes], limit: float) -> list[Sample]:
    """Samples of a process until it ends, once a second at first, later every five."""
    began, samples, process_ = time.monotonic(), list[Sample](), psutil.Process(child.pid)
    while child.poll() is None:
        now = time.monotonic() - began
        if now > limit:
            child.kill()
            raise TimeoutError(f"the soak did not end in {limit:.0f} s")
        try:
            rss = process_.memory_info().rss / 2**20
            samples.append(Sample(now, rss, process_.num_fds(), len(process_.children(recursive=True))))
        except psutil.Error:
            break
        time.sleep(min(5.0, max(0.2, limit / 400)))
    child.wait()
    return samples


def slope(samples: list[Sample]) -> float:
    """MB an hour by which the memory grows, by least squares over the last four fifths of the samples."""
    late = samples[len(samples) // 5 :]
    return float(np.polyfit([each.at for each in late], [each.rss_mb for each in late], 1)[0] * 3600)


@dataclass(frozen=True)
class Soaked:
    """What became of a soak."""

    tasks: int
    unsolved: dict[str, list[str]]
    """Task -> the notes of its record."""
    happened: int
    starts: int
    samples: list[Sample]
    seconds: float

    @property
    def growth(self) -> float:
        """MB that the parent's memory has grown by from the first fifth of the run to its end, by its slope."""
        return slope(self.samples) * self.samples[-1].at * 0.8 / 3600

    def __str__(self) -> str:
        late = self.samples[len(self.samples) // 5 :]
        rss = [each.rss_mb for each in late]
        return (
            f"{self.seconds / 60:.1f} minutes, {self.tasks} tasks, {self.happened} faults, "
            f"{self.starts - WORKERS} workers replaced; {self.tasks - len(self.unsolved)} solved, "
            f"{len(self.unsolved)} hit twice and told: {', '.join(sorted(self.unsolved))}; "
            f"parent's memory {min(rss):.1f} to {max(rss):.1f} MB, {slope(self.samples):+.1f} MB an hour; "
            f"files {min(each.files for each in late)} to {max(each.files for each in late)}, "
            f"children {min(each.children for each in late)} to {max(each.children for each in late)}"
        )


def soak(folder: Path, minutes: float, tasks: int = 400) -> Soaked:
    """Run it; AssertionError where anything is lost that was not hit twice, or where something grows."""
    folder.mkdir(parents=True, exist_ok=True)
    seconds, bad = minutes * 60, cursed(folder, tasks)
    began = time.monotonic()
    faults = (*random_faults(folder, tasks), *spells(folder, began, seconds), *bad.values())
    cell = Cell(
        folder / "out", faults, tasks, WORKERS, seconds=None, marks=folder,
        pause=0.88 * seconds * WORKERS / tasks / STEPS_A_TASK, settings=with_changes(SCRIPTED, IMPATIENT),
    )  # fmt: skip
    child = process(cell, folder / "out.txt")
    samples = watched(child, 3 * seconds + 60)
    run = left_by(cell, child.returncode, time.monotonic() - began)
    known, solutions = copies(tasks)
    log = (cell.out / "log.txt").read_text()
    assert (run.status, run.wrong(known)) == (0, []), run.log[-2000:]
    unjournaled = {name for name in known if f"{name} is not in the journal" in log}
    assert set(run.records) | unjournaled == set(known), "each task has its record, or the log says why not"
    unsolved = {
        name: run.records[name]["notes"] if name in run.records else ["not in the journal"]
        for name in known
        if not scores.score(run.submission, {name: solutions[name]})["solved_tasks"]
    }
    for name, notes in unsolved.items():
        assert len(notes) >= 2 or name in unjournaled, f"{name} was hit once only, and is lost: {notes}"
    assert set(bad) <= set(unsolved)
    happened = sum(1 for _ in folder.glob("*-*-[0-9]*")) + sum(
        each.stat().st_size for each in folder.glob("*/*-lasting")
    )
    soaked = Soaked(tasks, unsolved, happened, run.starts, samples, run.seconds)
    late = samples[len(samples) // 5 :]
    assert soaked.growth < MOST_GROWTH, f"the parent's memory grows: {soaked}"
    assert max(each.children for each in late) <= WORKERS + 2, f"children are left: {soaked}"
    assert late[-1].files <= late[0].files + 8, f"files are left open: {soaked}"
    return soaked
