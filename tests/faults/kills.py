"""Whole process groups killed at random moments: runs with a scripted engine again and again until they end, and the
real command in its first seconds.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from submission.arc.tasks import public_set
from submission.results import submission_file
from tests.faults.cell import Cell, copies, ended, process
from tests.faults.table import finished


def kills(folder: Path, number: int, seed: int = 0) -> str:
    """Kill runs that many times in all; each run goes on until it ends. AssertionError where anything is lost."""
    rng = np.random.default_rng(seed)
    whole = ended(Cell(folder / "whole", tasks=8, seconds=None))
    tasks, _ = copies(8)
    done = runs = held = 0
    while done < number:
        cell = Cell(folder / f"run{runs}", tasks=8, seconds=None)
        runs += 1
        before: list[str] = []
        while True:
            child = process(cell, cell.out.with_name("log.txt"))
            try:
                child.wait(rng.uniform(0, 1.2 * whole.seconds))
                break
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            done += 1
            path = cell.out / "submission.json"
            if path.exists():
                held += 1
                assert submission_file.check(json.loads(path.read_text()), tasks) == []
                now = finished(cell.out)
                assert set(before) <= set(now), "what is done stays done"
                before = now
            cell = replace(cell, resume=(cell.out / "journal").is_dir())
        assert child.returncode == 0
        assert (cell.out / "submission.json").read_bytes() == (folder / "whole" / "submission.json").read_bytes()
    return f"{done} kills in {runs} runs of 8 tasks; {held} left a submission, each valid; each run ended with the same"


ROOT = Path(__file__).parents[2]
ENTRIES = ([sys.executable, "-m", "submission", "run"], [sys.executable, "kernel_main.py"])
"""The real commands."""

PROGRAMS = ["--tasks", "3", "--solvers", "programs", "--workers", "1", "--set", "programs.seconds=600"]
BOTH = ["--only", "66e6c45b", "--workers", "1", "--set", "training_rows.copies=1", "--set", "search.views=2"]
"""Options of runs that take longer than the first seconds: with the search for programs alone, which ends by itself
before its time is over however slow the machine is, and with the model.
"""

FIRST, EARLIEST = 5.0, 0.3
"""Seconds in which the kills fall, and those in which every third one falls."""


SAMPLE = 10
"""After one kill in so many the run goes on to its end; after the others it begins to, with a clock."""


def early_kills(folder: Path, number: int, options: Sequence[str] = PROGRAMS, seed: int = 0) -> str:
    """Kill so many runs of the real command in their first seconds, each in a folder of its own.

    Every third run begins anew (--fresh) in the folder of a finished one. After each kill there is no folder, or one
    with a complete valid submission, and an old run is whole; --resume goes on, and the run of a sample ends with the
    bytes of an undisturbed one. AssertionError where one of this does not hold.
    """
    rng = np.random.default_rng(seed)
    whole = folder / "whole"
    _go_on([*ENTRIES[0], *options, "--out", str(whole)])
    tasks, _ = public_set("arc1-eval")
    old, answers = _files(whole), (whole / "submission.json").read_bytes()
    asked = {name: tasks[name] for name in json.loads(answers)}
    counts = {"without a folder": 0, "blank": 0, "with answers": 0, "at the end": 0}
    for k in range(number):
        out = folder / f"run{k}"
        if k % 3 == 2:
            shutil.copytree(whole, out)
        words = [*ENTRIES[k % 2], *options, "--out", str(out)]
        moment = rng.uniform(0, EARLIEST if k % 3 == 1 else FIRST)
        found = _killed([*words, "--fresh"] if k % 3 == 2 else words, moment)
        if not out.exists():
            counts["without a folder"] += 1
        else:
            left = submission_file.read(out / "submission.json")
            assert submission_file.check(left, asked) == [], f"run {k}, killed after {moment:.3f} s"
            blank = left == submission_file.blank(asked)
            counts["at the end" if found else "blank" if blank else "with answers"] += 1
        if k % 3 == 2:
            places = [_files(out), *(_files(at) for at in out.glob("before-*"))]
            under_way = [{**_files(out), **_files(at)} for at in out.glob(".before-*")]
            assert any(each.items() >= old.items() for each in [*places, *under_way]), f"run {k}: the old run is lost"
        to_the_end = k % SAMPLE == 0
        _go_on([*words, "--resume", *([] if to_the_end else ["--minutes", "0.01"])])
        then = submission_file.read(out / "submission.json")
        assert submission_file.check(then, asked) == [], f"run {k}, killed after {moment:.3f} s"
        assert not to_the_end or (out / "submission.json").read_bytes() == answers, f"run {k}, after {moment:.3f} s"
        shutil.rmtree(out)
    told = ", ".join(f"{count} {where}" for where, count in counts.items())
    ended_alike = -(-number // SAMPLE)
    return f"{number} kills in the first {FIRST:.0f} s: {told}; each went on, {ended_alike} to the same bytes"


def _killed(words: Sequence[str], moment: float) -> bool:
    """Start a command, and kill its process group after so many seconds; returns whether it had ended before."""
    child = subprocess.Popen(
        words, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        child.wait(moment)
        return True
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return False


def _go_on(words: Sequence[str]) -> None:
    """Run a command to its end."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def _files(folder: Path) -> dict[str, bytes]:
    """The content of a run's files, by name, without what stands aside."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if name != ".lock" and "before-" not in name}
