"""The bench of the search: three ways to one result, and the figures that it tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.benchmarks.search import Comparison, _groups, compare
from submission.benchmarks.search_table import line, totals
from submission.cli.commands import main
from submission.config import with_changes
from submission.inference.language_model import LanguageModel
from submission.presets import PRESETS
from submission.solver.solve import ask

SETTINGS = with_changes(
    PRESETS["laptop"], ["adapt.rank=0", "search.threshold=0.02", "search.views=4", "model.context=1400"]
)


@pytest.fixture(scope="module")
def run(copying_model: Path) -> list[Comparison]:
    task = Task("t", (Pair(grid([[1, 2]]), grid([[1, 2]])),) * 2, (grid([[2, 1]]),))
    engine = LanguageModel(copying_model, SETTINGS)
    return [compare(engine, task, ask(task, 0, engine, SETTINGS, 0), SETTINGS, 0)]


def test_all_ways_find_the_same_and_ours_in_fewer_passes(run: list[Comparison]) -> None:
    [each] = run
    assert each.same_answers
    assert each.same_attempts
    assert each.error < 1e-4
    assert 0 < each.error_scored < 1e-4, "the comparison must be about something"
    assert each.error_relative < 1e-4
    assert each.answers > 0
    assert each.recomputed == 0
    passes = {name: work.search.passes + work.scoring.passes for name, work in each.work.items()}
    assert passes["exhaustive"] < passes["lock-step"] < passes["depth-first"]
    assert each.work["depth-first"].scoring.prompt_tokens > 0, "the others read prompts again to score"


def test_the_figures_are_those_that_were_measured(run: list[Comparison]) -> None:
    [each] = run
    ways = ("depth-first", "lock-step", "exhaustive", "exact", "configured")
    for scoring in (False, True):
        parts = [[leg.scoring] if scoring else [leg.search, leg.scoring] for leg in map(each.work.__getitem__, ways)]
        passes = [sum(work.passes for work in part) for part in parts]
        seconds = [sum(work.seconds for work in part) for part in parts]
        name, *figures, same = line(each, scoring).split()
        assert (name, same) == ("t", "yes")
        assert [int(figure) for figure in figures[:7]] == [each.searched, each.candidates, *passes]
        assert [float(figure) for figure in figures[7:12]] == pytest.approx(seconds, abs=0.006)
        assert float(figures[12]) == pytest.approx(seconds[0] / max(seconds[-1], 1e-9), abs=0.06)
        first, *_ = said = totals([each, each], scoring).splitlines()
        assert dict(part.split() for part in first.removeprefix("passes: ").split(", ")) == {
            way: f"{2.0 * passes[ways.index(way)]:.4g}" for way in each.work
        }
        assert "prompt tokens computed more than once: 0" in said
        assert any(told.startswith("same answers in 2 of 2 tasks") for told in said)


def test_a_difference_is_told(run: list[Comparison]) -> None:
    wrong = replace(run[0], same_answers=False, recomputed=7)
    assert line(wrong, False).endswith("NO")
    assert "same answers in 1 of 2 tasks" in totals([run[0], wrong], False)
    assert "prompt tokens computed more than once: 7" in totals([run[0], wrong], False)


def test_views_abreast_have_one_length(run: list[Comparison], copying_model: Path) -> None:
    task = Task("t", (Pair(grid([[1, 2, 3]]), grid([[1, 2]])),) * 2, (grid([[2, 1, 4]]),))
    engine = LanguageModel(copying_model, SETTINGS)
    prompts = [each.prompt for each in ask(task, 0, engine, with_changes(SETTINGS, ["search.views=9"]), 0)]
    groups = _groups(prompts, 4)
    assert sorted(k for group in groups for k in group) == list(range(9))
    assert all(len(group) <= 4 and len({len(prompts[k].ids) for k in group}) == 1 for group in groups)


@pytest.mark.slow
def test_the_command_runs_on_held_out_tasks(
    capsys: pytest.CaptureFixture[str], copying_model: Path, tmp_path: Path
) -> None:
    command = ["bench", "scoring", "--data", "held-out", "--tasks", "1", "--model", str(copying_model)]
    settings = [
        each for change in ("adapt.rank=0", "search.views=1", "search.threshold=0.9") for each in ("--set", change)
    ]
    assert main([*command, *settings, "--json", str(tmp_path / "race.json")]) == 0
    assert "same answers in 1 of 1 tasks" in capsys.readouterr().out
    assert (tmp_path / "race.json").exists()
