"""The bench measures on tasks that are held out of training, and what it measures is what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.benchmarks import ttt
from submission.config import with_changes
from submission.presets import PRESETS
from submission.training.corpus import clean_sets, held_out, held_out_tasks

QUICK = with_changes(PRESETS["laptop"], ["training_rows.copies=1", "adapt.rank=2", "adapt.rate=0.01"])


@pytest.mark.slow
def test_settings_are_compared_on_the_same_held_out_tasks(tiny_grid_model: Path) -> None:
    trained, untrained, again = ttt.ttt(tiny_grid_model, QUICK, ["", "adapt.rank=0", ""], 2, seed=0)
    assert (trained.tasks, untrained.tasks) == (2, 2)
    assert trained.nats < untrained.nats, "even a random model learns a little from the demonstrations"
    assert untrained.nats_a_token == pytest.approx(2.77, abs=0.5), "a random model is near ln 16"
    assert untrained.seconds == 0
    assert again.nats == trained.nats
    heads, *rows = [row.split() for row in ttt.table([trained, untrained]).splitlines()]
    assert heads[0] == "changes" and len(rows) == 2
    for row, each in zip(rows, (trained, untrained), strict=True):
        assert row[0] == (each.changes or "(preset)")
        assert [float(figure) for figure in row[1:]] == pytest.approx(
            [each.nats, each.median_nats, each.nats_a_token, each.likely, each.seconds], abs=0.06
        )


def test_held_out_tasks_are_clean_training_tasks() -> None:
    tasks, solutions = held_out_tasks()
    clean = clean_sets()
    assert tasks.keys() == solutions.keys()
    assert len(tasks) > 20
    assert all(held_out(name) for name in tasks)
    assert not tasks.keys() & clean.leaking
    assert tasks.keys() <= clean.sets[0][0].keys() | clean.sets[1][0].keys()
