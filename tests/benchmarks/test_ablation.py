"""The ablation measures each condition once on the same tasks, goes on when interrupted, and draws a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from submission.arc.layouts import GRID16
from submission.arc.prompts import row as row_of
from submission.arc.tasks import Pair, grid
from submission.benchmarks.ablation import CONDITIONS, ablation, joint_model, rows_of
from submission.benchmarks.ablation_table import table, write_chart
from submission.benchmarks.figure_records import FigureRecord
from submission.benchmarks.held_out import held_out_set
from submission.benchmarks.network_figures import RULES, Figures, figures_of
from submission.config import EMBEDDED, with_changes
from submission.inference.language_model import LanguageModel
from submission.presets import PRESETS

QUICK = with_changes(
    PRESETS["laptop"], ["training_rows.copies=1", "adapt.rank=2", "adapt.batch=4", "search.views=2", "model.threads=1"]
)


def record(variant: str, rule: str, seed: int, solved: bool, nats: float = 1.0) -> FigureRecord:
    figures = Figures(RULES if solved else ("oracle",), nats, 0.5, 8, 2.0)
    return FigureRecord(variant, seed, rule, rule, figures, "abc")


def test_the_rows_of_all_tasks_together_are_those_of_each_alone_and_know_no_answer() -> None:
    one, other = held_out_set(2)
    rows = rows_of([one, other], GRID16, QUICK, 0)
    assert len(rows) == 16
    zeros = np.zeros((2, 2), np.uint8)
    blind = [replace(each, answers=tuple(grid(zeros) for _ in each.answers)) for each in (one, other)]
    for row, again in zip(rows, rows_of(blind, GRID16, QUICK, 0), strict=True):
        assert np.array_equal(row.ids, again.ids)


def test_what_one_task_asks_for_is_not_learned_from_another_one_that_shows_it() -> None:
    """Of all 60 tasks: two thirds of these have their test pair among a variant's demonstrations."""
    tasks = held_out_set(60)
    told = rows_of(tasks, GRID16, with_changes(QUICK, ["training_rows.augment=False"]), 0)
    learned = {bytes(row.ids.astype(np.int64)) for row in told}
    assert len(told) > 300
    shown = 0
    for each in tasks:
        for query, answer in zip(each.task.tests, each.answers, strict=True):
            pair = row_of(GRID16, (Pair(query, answer),), 10_000, 0).ids
            around = [other for other in tasks if other.rule == each.rule and other is not each]
            shown += any(np.array_equal(p.input, query) for o in around for p in o.task.demonstrations)
            body = bytes(pair[1:-1].astype(np.int64))
            assert not any(body in row for row in learned), each.name
    assert shown > 20, "there was something to leave out"


@pytest.mark.slow
def test_joint_training_changes_all_weights_and_leaves_the_model_where_it_was(tmp_path: Path) -> None:
    tasks = held_out_set(1)
    before = (EMBEDDED / "model.safetensors").read_bytes()
    trained = joint_model(EMBEDDED, tasks, QUICK, 0, tmp_path)
    assert (EMBEDDED / "model.safetensors").read_bytes() == before
    base, joint = (
        figures_of(tasks[0], LanguageModel(folder, QUICK, 0), QUICK, 0, train=False) for folder in (EMBEDDED, trained)
    )
    assert joint.nats != base.nats
    assert joint.steps == base.steps == 0


@pytest.mark.slow
def test_each_condition_is_measured_once_and_the_file_of_an_interrupted_one_is_gone_on_with(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "records.jsonl"
    made = ablation(EMBEDDED, QUICK, 1, [0], 1, path, said.append)
    assert sorted(each.variant for each in made) == sorted(CONDITIONS)
    assert said.pop(0).startswith("1 tasks, 7 conditions, seeds 0: ")
    assert said == ["seed 0, base: 4 measured", "seed 0, shared: 1 measured", "seed 0, joint: 2 measured"]
    by_name = {each.variant: each.figures for each in made}
    assert by_name["none"].steps == 0 and by_name["per task"].steps > 0
    assert by_name["per task"].nats != by_name["none"].nats != by_name["shared"].nats
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[1:]) + lines[0][:30])
    again = ablation(EMBEDDED, QUICK, 1, [0], 1, path, said.append)
    assert said[4:] == ["seed 0, base: 1 measured", "seed 0, shared: 0 measured", "seed 0, joint: 0 measured"]
    figures = {each.variant: replace(each.figures, seconds=0.0) for each in again}
    assert figures == {name: replace(each, seconds=0.0) for name, each in by_name.items()}, "the same to the last bit"


def test_the_table_says_shares_errors_and_differences_in_pairs() -> None:
    records = [record("per task", f"r{k}", 0, k < 2, 1.0) for k in range(4)]
    records += [record("none", f"r{k}", 0, k < 1, 3.0) for k in range(4)]
    lines = table(records)
    assert lines[0].startswith("4 tasks of 4 rules, seeds 0")
    (per_task,) = [line for line in lines if line.startswith("| an adapter for each task |")]
    assert "50.0 ± 28.9" in per_task and "100.0 ± 0.0" in per_task
    (none,) = [line for line in lines if line.startswith("| no training, against")]
    assert none == "| no training, against an adapter for each task | -25.0 ± 25.0 | +2.0 ± 0.0 |"


def test_the_picture_is_an_svg_with_every_condition_and_rule(tmp_path: Path) -> None:
    records = [record(name, f"r{k}", 0, k % 2 == 0) for name in CONDITIONS for k in range(4)]
    for path in (tmp_path / "one.svg", tmp_path / "two.svg"):
        write_chart(records, path)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "two.svg").read_text()
    assert all(condition.label in drawn for condition in CONDITIONS.values())
    assert all(rule in drawn for rule in ("vanilla", "hierarchical", "oracle"))
