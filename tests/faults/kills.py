"""The whole process group killed at random moments, again and again, and the run gone on with each time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np

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
