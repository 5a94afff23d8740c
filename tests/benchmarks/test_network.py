"""Settings are compared on the same tasks with the same seeds, at equal processor time; nothing is measured twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from submission.benchmarks import figure_records
from submission.benchmarks.figure_records import FigureRecord
from submission.benchmarks.held_out import held_out_set
from submission.benchmarks.network import alternative, network, table
from submission.benchmarks.network_figures import ORACLE, RULES, Figures, figures_of
from submission.config import EMBEDDED, with_changes
from submission.errors import BadInput
from submission.inference.language_model import LanguageModel
from submission.presets import PRESETS
from submission.runner.schedule import SEED_STEP

QUICK = with_changes(PRESETS["laptop"], ["training_rows.copies=1", "adapt.rank=2", "search.views=2", "model.threads=1"])


@pytest.mark.slow
def test_an_alternative_is_measured_beside_the_unchanged_settings_and_only_once(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "records.jsonl"
    made = network(EMBEDDED, QUICK, ["adapt.rank=0"], 2, [3], 30.0, 1, path, said.append)
    assert said.pop(0).startswith("2 tasks, 2 settings, seeds 3: ")
    assert said == ["seed 3, (preset): 2 measured", "seed 3, adapt.rank=0: 2 measured"]
    assert [each.variant for each in made] == ["", "", "adapt.rank=0", "adapt.rank=0"]
    assert all(each.figures.steps == 2 * (each.variant == "") for each in made)
    assert made[0].figures.nats != made[2].figures.nats
    again = network(EMBEDDED, QUICK, ["adapt.rank=0"], 2, [3], 30.0, 1, path, said.append)
    assert said[3:] == ["seed 3, (preset): 0 measured", "seed 3, adapt.rank=0: 0 measured"]
    assert again == made
    network(EMBEDDED, QUICK, [], 2, [3], 0.001, 1, path, said.append)
    cut = [each for each in figure_records.read(path) if each not in made]
    assert len(cut) == 2 and all(each.figures.steps == 0 for each in cut), "another time is another comparison"


def test_an_alternative_names_settings_and_passes() -> None:
    settings, passes = alternative(QUICK, "passes=2,search.views=8")
    assert passes == 2 and settings == replace(QUICK, search=replace(QUICK.search, views=8))
    assert alternative(QUICK, "") == (QUICK, 1)
    for wrong in ("passes=0", "passes=9", "passes=two", "passes=", "passes=-1"):
        with pytest.raises(BadInput, match="expected passes=1 to passes=8"):
            alternative(QUICK, wrong)


def test_two_passes_learn_twice_and_vote_together() -> None:
    [each] = held_out_set(1)
    engine = LanguageModel(EMBEDDED, QUICK, 0)
    one = figures_of(each, engine, QUICK, 0)
    two = figures_of(each, engine, QUICK, 0, passes=2)
    other = figures_of(each, engine, QUICK, SEED_STEP)
    assert two.steps == one.steps + other.steps
    assert two.nats == pytest.approx((one.nats + other.nats) / 2, abs=1e-3), "the truth is scored in the views of both"
    assert {ORACLE} & ({*one.solved} | {*other.solved}) <= {*two.solved}, "and the pool is that of both"


def test_the_table_compares_in_pairs() -> None:
    def record(variant: str, rule: str, solved: bool, nats: float) -> FigureRecord:
        figures = Figures(RULES if solved else ("oracle",), nats, 0.5, 8, 2.0)
        return FigureRecord(variant, 0, rule, rule, figures, "abc")

    records = [record("", f"r{k}", k < 2, 2.0) for k in range(4)]
    records += [record("a=1", f"r{k}", k < 3, 1.0) for k in range(4)]
    lines = table(records, "poe")
    assert lines[0].startswith("4 tasks of 4 rules, seeds 0;")
    assert lines[-1] == "| a=1 | -1.0 ± 0.0 | +0.0 ± 0.0 | +0.0 ± 0.0 | +25.0 ± 25.0 |"
    blind = [
        replace(each, figures=replace(each.figures, solved=tuple({*each.figures.solved} - {"flat"})))
        for each in records
    ]
    flat = table(blind, "flat")
    assert flat[-1].endswith("| +0.0 ± 0.0 |"), "by the rule that was named"
