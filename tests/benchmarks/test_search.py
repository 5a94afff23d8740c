"""The bench of the search: three ways to one result, and the figures that it tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.benchmarks.search import Comparison, _groups, compare
from submission.benchmarks.search_table import line, totals
from submission.cli.commands import main
from submission.config import PRESETS, with_changes
from submission.inference.language_model import LanguageModel
from submission.solver.solve import ask

SETTINGS = with_changes(
    PRESETS["laptop"], ["adapt.rank=0", "search.threshold=0.02", "search.views=4", "model.context=1400"]
)


@pytest.fixture(scope="module")
def run(copying_model: Path) -> list[Comparison]:
    task = Task("t", (Pair(grid([[1, 2]]), grid([[1, 2]])),) * 2, (grid([[2, 1]]),))
    engine = LanguageModel(copying_model, SETTINGS.model, SETTINGS.adapt, SETTINGS.search)
    return [compare(engine, task, ask(task, 0, engine, SETTINGS, 0), SETTINGS, 0)]


def test_all_ways_find_the_same_and_ours_in_fewer_passes(run: list[Comparison]) -> None:
    [each] = run
    assert each.same_answers
    assert each.same_attempts
    assert 0 < each.error < 1e-4
    assert each.error_relative < 1e-4
    assert each.answers > 0
    assert each.recomputed == 0
    passes = {name: work.search.passes + work.scoring.passes for name, work in each.work.items()}
    assert passes["exhaustive"] < passes["lock-step"] < passes["depth-first"]
    assert each.work["depth-first"].scoring.prompt_tokens > 0, "the others read prompts again to score"


def test_the_figures_are_told(run: list[Comparison]) -> None:
    for scoring in (False, True):
        assert line(run[0], scoring).startswith("t ")
        assert line(run[0], scoring).endswith("yes")
        said = totals(run, scoring)
        assert "depth-first over configured" in said
        assert "prompt tokens computed more than once: 0" in said
        assert "same answers in 1 of 1 tasks" in said


def test_views_abreast_have_one_length(run: list[Comparison], copying_model: Path) -> None:
    task = Task("t", (Pair(grid([[1, 2, 3]]), grid([[1, 2]])),) * 2, (grid([[2, 1, 4]]),))
    engine = LanguageModel(copying_model, SETTINGS.model, SETTINGS.adapt, SETTINGS.search)
    prompts = [each.prompt for each in ask(task, 0, engine, with_changes(SETTINGS, ["search.views=9"]), 0)]
    groups = _groups(prompts, 4)
    assert sorted(k for group in groups for k in group) == list(range(9))
    assert all(len(group) <= 4 and len({len(prompts[k].ids) for k in group}) == 1 for group in groups)


def test_the_command_runs_on_held_out_tasks(
    capsys: pytest.CaptureFixture[str], copying_model: Path, tmp_path: Path
) -> None:
    command = ["bench", "scoring", "--data", "held-out", "--tasks", "1", "--model", str(copying_model)]
    settings = [
        each for change in ("adapt.rank=0", "search.views=2", "search.threshold=0.9") for each in ("--set", change)
    ]
    assert main([*command, *settings, "--json", str(tmp_path / "race.json")]) == 0
    assert "same answers in 1 of 1 tasks" in capsys.readouterr().out
    assert (tmp_path / "race.json").exists()
