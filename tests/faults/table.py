"""Every fault at every stage: what becomes of the run. `python -m tests.faults` prints the table."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from submission.config import with_changes
from submission.runner.spec import Kind
from tests.faults.cell import REAL, SCRIPTED, Cell, Ended, copies, ended
from tests.faults.scripted import IN_PROGRAMS, IN_THE_PARENT, KINDS, STAGES, Fault

ALLOWANCE = 15.0
"""Seconds that a run with a fault may take longer: to find a hang, to replace a worker, to try once more."""

ONE_RETRY = "one retry"
NOTED = "noted"
NOTHING_LOST = "nothing lost"
RESUMED = "--resume"


AFTER = {"load": 0, "start": 0, "write": 2, "summary": 0, "report": 0}
"""How often a process passes a stage before the fault; once where the stage is not here."""


def solver_at(stage: str) -> Kind:
    """The kind of solver that has this stage."""
    return "programs" if stage in IN_PROGRAMS else "network"


def expected(kind: str, stage: str) -> str:
    """What is to become of a run."""
    if stage in ("summary", "report"):
        return NOTHING_LOST if kind == "slow" or (kind, stage) == ("nan", "report") else RESUMED
    if stage in ("journal", "write"):
        return {"kill": RESUMED, "hang": RESUMED, "nan": ONE_RETRY}.get(kind, NOTHING_LOST)
    if kind == "nan":
        return {"adapt": NOTED, "score": NOTHING_LOST, "vote": NOTHING_LOST, "start": NOTHING_LOST}.get(
            stage, ONE_RETRY
        )
    return NOTHING_LOST if kind == "slow" or stage in ("load", "start") else ONE_RETRY


def outcome(kind: str, stage: str, folder: Path, cell: Cell | None = None) -> tuple[str, float]:
    """Run a cell, with another run to go on with if it ends early; what became of it, and the seconds of the first.

    AssertionError where something is lost that must not be.
    """
    fault = Fault(kind, stage, folder, after=AFTER.get(stage, 1))
    cell = replace(cell or Cell(folder / "out"), out=folder / "out", faults=(fault,), solver=solver_at(stage))
    if kind == "hang" and stage in ("load", "start"):
        cell = replace(cell, settings=with_changes(cell.settings, ["time.loading_timeout=8"]))
    if kind == "hang" and stage in IN_THE_PARENT:
        cell = replace(cell, seconds=40.0 if cell.real else 10.0)
    tasks, solutions = copies(cell.tasks)
    first = ended(cell, limit=200.0)
    assert list(folder.glob(f"{kind}-{stage}-*")), "the fault did not happen"
    assert first.wrong(tasks) == []
    if first.status != 0:
        then = ended(replace(cell, faults=(), resume=True, seconds=None))
        assert (then.status, then.wrong(tasks)) == (0, [])
        assert cell.real or then.solved(solutions) == cell.tasks
        assert all(then.records[name] == record for name, record in first.records.items()), "what is done stays done"
        return RESUMED, first.seconds
    assert cell.real or first.solved(solutions) == cell.tasks
    unjournaled = stage == "journal" and kind in ("raise", "oom")
    assert len(first.records) == cell.tasks - unjournaled
    return _how(first), first.seconds


def _how(run: Ended) -> str:
    notes = [note for record in run.records.values() for note in record["notes"]]
    assert len(notes) <= 1, notes
    if not notes:
        return NOTHING_LOST
    return NOTED if "not finite" in notes[0] and "failed" not in notes[0] else ONE_RETRY


def table(folder: Path, real: bool = False) -> str:
    """All cells as a Markdown table, with the seconds of each run."""
    patient = Cell(folder, settings=with_changes(SCRIPTED, ["time.heartbeat_timeout=5"]))
    cell = Cell(folder, settings=REAL, seconds=None, real=True) if real else patient
    lines = ["| | " + " | ".join(STAGES) + " |", "|---" * (1 + len(STAGES)) + "|"]
    for kind in KINDS:
        cells = []
        for stage in STAGES:
            (at := folder / f"{kind}-{stage}").mkdir(parents=True)
            said, seconds = outcome(kind, stage, at, cell)
            cells.append(f"{said}, {seconds:.0f} s")
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def finished(out: Path) -> list[str]:
    """Tasks in a run's journal."""
    return sorted(json.loads(path.read_text())["task"] for path in (out / "journal").glob("*.json"))
