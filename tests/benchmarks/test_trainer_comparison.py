"""Our training and transformers' Trainer do the same work, which the losses show, and are measured apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from submission.arc.tasks import Task
from submission.benchmarks import trainer_comparison
from submission.benchmarks.trainer_comparison import Training, summary, training_job
from submission.cli.commands import main
from submission.config import with_changes
from submission.errors import BadInput
from submission.presets import PRESETS

SETTINGS = with_changes(
    PRESETS["laptop"], ["training_rows.copies=1", "adapt.rank=4", "adapt.batch=3", "adapt.epochs=2", "adapt.rate=0.01"]
)


@pytest.mark.parametrize("changes", [[], ["adapt.targets=q_v_mlp", "adapt.scaling=lora", "adapt.checkpointing=on"]])
def test_both_sides_do_the_same_work(tiny_line_model: Path, small_task: Task, changes: list[str]) -> None:
    settings = with_changes(SETTINGS, changes)
    job = training_job(tiny_line_model, settings, {"small": small_task}, seed=3)
    mine, theirs = trainer_comparison.ours(job), trainer_comparison.trainer(job)
    assert len(job.rows) == 6, "8 rows make two whole batches of three"
    assert (mine.steps, mine.tokens) == (theirs.steps, theirs.tokens) == (4, 2 * sum(len(r.ids) for r in job.rows))
    assert mine.first_loss == pytest.approx(theirs.first_loss, abs=1e-4)
    assert mine.last_loss == pytest.approx(theirs.last_loss, abs=1e-4)
    assert mine.last_loss != pytest.approx(mine.first_loss, abs=1e-3), "there must be something to differ in"
    assert 0 < mine.loaded_megabytes <= mine.peak_megabytes


def test_there_must_be_something_to_train(tiny_line_model: Path, small_task: Task) -> None:
    with pytest.raises(BadInput, match="no whole batch of 9 rows"):
        training_job(tiny_line_model, with_changes(SETTINGS, ["adapt.batch=9"]), {"small": small_task}, seed=0)
    with pytest.raises(BadInput, match="adapt.rank=0"):
        trainer_comparison.compare(
            tiny_line_model, with_changes(SETTINGS, ["adapt.rank=0"]), {"small": small_task}, 1, 0, print
        )


def test_the_summary_has_the_ratios_of_the_turns() -> None:
    fast = Training(10.0, 5.0, 1000, 4, 1.0, 0.5, 100.0, 200.0)
    slow = replace(fast, seconds=20.0, peak_megabytes=400.0, last_loss=0.75)
    busy = [replace(fast, seconds=30.0), replace(slow, seconds=60.0)]
    *_, said = summary({"ours": [fast, busy[0]], "Trainer": [slow, busy[1]]})
    assert said == (
        "ours: 2.00 times the tokens a second of Trainer (1.00 by CPU time), 0.50 times its memory; "
        "last losses differ by 2.5e-01"
    )


@pytest.mark.slow
def test_the_command_measures_each_side_in_a_process(
    capsys: pytest.CaptureFixture[str], tiny_line_model: Path, tmp_path: Path
) -> None:
    command = ["bench", "training", "--tasks", "1", "--turns", "2", "--model", str(tiny_line_model)]
    settings = [each for change in ("adapt.rank=2", "training_rows.copies=1") for each in ("--set", change)]
    assert main([*command, *settings, "--json", str(tmp_path / "training.json")]) == 0
    assert "times the tokens a second of Trainer" in capsys.readouterr().out
    figures = json.loads((tmp_path / "training.json").read_text(encoding="utf-8"))
    assert {name: len(turns) for name, turns in figures.items()} == {"ours": 2, "Trainer": 2}
