"""The summary: every figure that a reader or another program counts on, with the right value."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from submission.config import EMBEDDED
from submission.results.journal import model_sha256
from submission.runner import summary as module
from submission.runner.run import run
from submission.runner.spec import Kind, RunSpec
from tests.faults.cell import SCRIPTED, copies
from tests.faults.scripted import Loader


def test_the_figures_of_a_run_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIBRARIES", ("numpy", "no-such-library"))
    tasks, solutions = copies(4)
    job = RunSpec(tmp_path / "out", EMBEDDED, SCRIPTED, seed=5, workers=2, load=Loader(pause=0.02))
    summary = run(job, tasks, solutions)
    assert (summary["tasks"], summary["finished_tasks"], summary["finished"]) == (4, 4, True)
    assert (summary["solved_tasks"], summary["score_by_output"], summary["coverage"]) == (4, 1.0, 1.0)
    assert (summary["by_solver"]["network"], summary["by_rule"]["poe"]) == (4, 4)
    assert (summary["seed"], summary["solvers"], summary["workers"]) == (5, ["network"], 2)
    assert (summary["model"], summary["model_sha256"]) == (str(EMBEDDED), model_sha256(EMBEDDED))
    assert summary["settings"]["search"]["views"] == SCRIPTED.search.views
    assert (summary["versions"]["numpy"], summary["versions"]["no-such-library"]) == (np.__version__, "absent")
    assert 0 < summary["utilization"] <= 1
    assert 0 < summary["seconds_per_task"] <= summary["seconds"] + 0.1
    assert summary["peak_rss_mb"] > 10
    written = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert written == json.loads(json.dumps(summary))
    assert all(math.isfinite(value) for value in written.values() if isinstance(value, float))


def test_a_run_without_tasks_has_no_seconds_a_task(tmp_path: Path) -> None:
    summary = run(RunSpec(tmp_path / "out", EMBEDDED, SCRIPTED, workers=1, load=Loader()), {}, None)
    assert (summary["tasks"], summary["finished"], summary["seconds_per_task"]) == (0, True, None)


@pytest.mark.parametrize(
    ("failures", "tasks", "sentences"),
    [
        ({"network": {}}, 2, {}),
        ({"network": {"a": "failed: E: x"}}, 2, {}),
        ({"network": {}}, 0, {}),
        ({"network": {"a": "failed: E: x"}}, 1, {"network": "its only task failed with: E: x"}),
        (
            {"network": {"a": "failed: E: x", "b": "the worker died", "c": "failed: E: x"}, "programs": {"a": "y"}},
            3, {"network": "every one of the 3 tasks failed, 2 of them with: E: x"},
        ),
    ],
)  # fmt: skip
def test_a_solver_that_failed_at_every_task_is_told_with_its_commonest_failure(
    failures: dict[Kind, dict[str, str]], tasks: int, sentences: dict[str, str]
) -> None:
    assert module.failed_solvers(failures, dict.fromkeys(failures, tasks)) == sentences
