"""Our search and the plain walk find the same, and what differs is told."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.benchmarks import walk_comparison
from submission.benchmarks.walk_comparison import Agreement, SearchJob, Walked, agreement, as_json, summary
from submission.cli.commands import main
from submission.config import with_changes
from submission.presets import PRESETS

SETTINGS = with_changes(
    PRESETS["laptop"],
    ["training_rows.copies=1", "adapt.rank=2", "search.threshold=0.02", "search.views=4", "model.context=1400"],
)
WALKED = Walked(1.0, 0.5, 10, 9, 30, 100.0, 200.0, {"t": [{b"a": math.log(0.5), b"b": math.log(0.3)}]})


def test_both_sides_find_the_same_and_ours_in_fewer_passes(copying_model: Path, tmp_path: Path) -> None:
    task = Task("t", (Pair(grid([[1, 2]]), grid([[1, 2]])),) * 2, (grid([[2, 1]]),))
    job = SearchJob(copying_model, SETTINGS, {"t": task}, 0, tmp_path)
    walk_comparison.train(job)
    mine, theirs = walk_comparison.ours(job), walk_comparison.walk(job)
    same = agreement(mine, theirs, SETTINGS.search.threshold)
    assert same.answers > 0
    assert same.differing == 0
    assert same.error < 1e-4
    assert mine.passes < theirs.passes == 4 + theirs.tokens
    assert mine.prompt_tokens == theirs.prompt_tokens > 0
    untrained = walk_comparison.walk(replace(job, settings=with_changes(SETTINGS, ["adapt.rank=0"])))
    assert agreement(mine, untrained, SETTINGS.search.threshold).error > 1e-3, "the trained weights were searched"


def test_a_difference_is_told() -> None:
    assert agreement(WALKED, WALKED, 0.09) == Agreement(2, 0, 0, 0.0)
    other = replace(WALKED, answers={"t": [{b"a": math.log(0.4), b"c": math.log(0.2)}]})
    told = agreement(WALKED, other, 0.09)
    assert (told.answers, told.near, told.differing) == (2, 0, 2)
    assert told.error == pytest.approx(0.1)
    assert agreement(WALKED, other, 0.2) == replace(told, near=1, differing=1)


def test_the_summary_has_the_ratios_of_the_turns() -> None:
    slow = replace(WALKED, seconds=3.0, passes=50, peak_megabytes=150.0)
    made = {"ours": [WALKED, replace(WALKED, seconds=5.0)], "walk": [slow, replace(slow, seconds=15.0)]}
    first, second = summary(made, 0.09)
    assert first.startswith(
        "the walk took 3.0 times the seconds of ours (1.0 by CPU time) and 5.0 times its passes; 200 MB at most"
    )
    assert second.startswith("2 answers; 0 found by one side alone")
    assert [each["seconds"] for each in as_json(made, 0.09)["walk"]] == [3.0, 15.0]


@pytest.mark.slow
def test_the_command_measures_each_side_in_a_process(
    capsys: pytest.CaptureFixture[str], copying_model: Path, tmp_path: Path
) -> None:
    command = ["bench", "walk", "--tasks", "1", "--turns", "1", "--model", str(copying_model)]
    changes = ("adapt.rank=2", "training_rows.copies=1", "search.views=1", "search.threshold=0.9")
    settings = [each for change in changes for each in ("--set", change)]
    assert main([*command, *settings, "--json", str(tmp_path / "walk.json")]) == 0
    assert "found by one side alone" in capsys.readouterr().out
    assert set(json.loads((tmp_path / "walk.json").read_text(encoding="utf-8"))) == {"ours", "walk", "agreement"}
