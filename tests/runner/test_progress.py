"""What a run says while it lasts: phases, one score over all tasks, and a time that is known before it is told."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from submission.config import EMBEDDED, with_changes
from submission.deadline import NEVER
from submission.presets import PRESETS
from submission.results.store import RunStore
from submission.runner import progress
from submission.runner.dispatcher import Dispatcher
from submission.runner.progress import ProgressBar, time_left
from submission.runner.run import run
from submission.runner.spec import RunSpec
from tests.faults.scripted import Loader
from tests.support.planted import mirrored_tasks

SETTINGS = with_changes(
    PRESETS["laptop"], ["training_rows.copies=1", "search.views=2", "programs.seconds=1", "programs.settle=False"]
)


def test_each_line_names_its_phase_and_the_score_over_all_tasks(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tasks, solutions = mirrored_tasks(3)
    with caplog.at_level(logging.INFO):
        run(
            RunSpec(tmp_path / "out", EMBEDDED, SETTINGS, workers=1, load=Loader(), solvers=("network", "programs")),
            tasks, solutions,
        )  # fmt: skip
    lines = [each for each in caplog.messages if re.match(r"(programs|network) \d", each)]
    assert [each.split("  ")[0] for each in lines] == [
        f"{kind} {k}/3" for kind in ("programs", "network") for k in (1, 2, 3)
    ]
    scores = [re.findall(r"solved so far (\d)/3", each) for each in lines]
    assert scores == [["1"], ["2"], ["3"], ["3"], ["3"], ["3"]]
    assert "min left" not in lines[0], "the network has shown no pace"
    assert "0.0 min left" in lines[-1]


def test_the_bar_moves_with_every_solver_and_ends_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, solutions = mirrored_tasks(4)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    out = tmp_path / "out"
    spec = RunSpec(out, EMBEDDED, SETTINGS, workers=1, load=Loader(), solvers=("network", "programs"))
    store = RunStore(out, tasks, {}, SETTINGS)
    dispatcher = Dispatcher(spec, tasks, store, NEVER)
    assert time_left(dispatcher) == ""
    bar = ProgressBar(dispatcher, store, solutions)
    shown = []
    for kind in ("programs", "network"):
        for name in tasks:
            store.records[kind][name] = None  # type: ignore[assignment]  Only their number counts.
            bar.update()
            shown.append(str(bar._bar))
    bar.close()
    assert re.match(r"programs 1/4  network 0/4 +12%\|.*solved so far 0/4", shown[0])
    assert re.match(r"programs 4/4  network 4/4 +100%\|", shown[-1])
