"""`bench plan`: counted tokens, stated or measured rates, and a clock that adds up."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from submission.arc.layouts import CHAT16
from submission.arc.prompts import expected_shape, prompt
from submission.arc.tasks import Pair, Task, grid
from submission.arc.training_rows import training_rows
from submission.benchmarks import forecast
from submission.benchmarks.forecast import (
    Machine,
    ModelSpec,
    cost,
    demand,
    finish_times,
    forecast_tasks,
    planned_training,
)
from submission.benchmarks.rates import ATTENTION_IN_A_STEP, EFFICIENCY, SELECTIVE, SHAPE_8B, SHAPES, Rates, stated
from submission.benchmarks.roofline import CARDS as CARD_RATES
from submission.benchmarks.roofline import step_flops
from submission.checkpoint.layout import layout_of
from submission.cli.commands import main
from submission.config import Settings, with_changes
from submission.model.memory_plan import CARDS, LEVELS, Level, shape_of
from submission.presets import preset
from submission.rng import generator
from tests.support.checkpoints import LARGE, config_of, hollow
from tests.support.families import miniature

RATES = Rates(
    training=1000.0, selective=800.0, recomputing=500.0, prefill=2000.0, pass_seconds=0.1, loading=10.0, source="a test"
)
MACHINE = Machine(RATES, CARDS["l4"], width=2, workers=1)
MODEL = ModelSpec(CHAT16, SHAPE_8B)


def task(name: str, side: int) -> Task:
    pair = Pair(grid(np.zeros((side, side))), grid(np.ones((side, side))))
    return Task(name, (pair, pair, pair), (pair.input,))


def test_the_tokens_are_those_of_the_rows_and_prompts_that_a_run_makes() -> None:
    settings, what = preset("poe-l4x4"), task("a", 5)
    asked = demand(what, CHAT16, settings, seed=3)
    rows = training_rows(what, CHAT16, settings.training_rows, settings.model.context, generator(3, "a", "lessons"))
    assert (asked.rows, asked.row_tokens) == (64, sum(len(each.ids) for each in rows))
    assert asked.longest_row == max(len(each.ids) for each in rows)
    assert asked.prompt_tokens == (16 + 16) * len(prompt(CHAT16, what.demonstrations, what.tests[0], 8192).ids)
    assert asked.answer_tokens == 5 * 6
    untrained = demand(what, CHAT16, with_changes(settings, ["adapt.rank=0"]))
    assert (untrained.rows, untrained.row_tokens, untrained.longest_row) == (0, 0, 0)


def test_the_size_of_an_answer_is_read_off_the_demonstrations() -> None:
    one, three, wide = (grid(np.zeros(shape)) for shape in ((1, 1), (3, 3), (2, 5)))
    assert expected_shape(Task("same", (Pair(one, one), Pair(three, three)), (wide,)), wide) == (2, 5)
    assert expected_shape(Task("fixed", (Pair(one, three), Pair(wide, three)), (wide,)), wide) == (3, 3)
    assert expected_shape(Task("mean", (Pair(one, three), Pair(three, wide)), (wide,)), wide) == (3, 4)


def test_seconds_follow_from_tokens_and_rates() -> None:
    settings = with_changes(Settings(), ["adapt.checkpointing=off", "time.seconds=1000"])
    asked = replace(demand(task("a", 5), CHAT16, settings), row_tokens=20_000, prompt_tokens=4000, answer_tokens=30)
    made = cost(asked, SHAPE_8B, settings, MACHINE)
    assert (made.training, made.prefill, made.level) == (20.0, 2.0, "keep")
    passes = forecast.PASSES_A_TOKEN * 30 + forecast.PASSES_A_TEST
    assert made.search == pytest.approx(passes * 0.1 + 30 * 16 / 2000)
    assert made.seconds == pytest.approx(made.training + made.prefill + made.search)
    again = cost(asked, SHAPE_8B, with_changes(settings, ["adapt.checkpointing=on"]), MACHINE)
    assert (again.training, again.level) == (40.0, "recompute")
    partly = cost(asked, SHAPE_8B, with_changes(settings, ["adapt.checkpointing=selective"]), MACHINE)
    assert (partly.training, partly.level) == (25.0, "selective")
    hurried = cost(asked, SHAPE_8B, with_changes(settings, ["time.seconds=10"]), MACHINE)
    assert (hurried.training, hurried.seconds) == (6.0, 10.0), "training has its share, and the task its limit"


def test_a_run_is_compared_with_the_stated_rates_of_its_preset(tmp_path: Path) -> None:
    """Worked by hand: of long rows the tokens count, of short ones the steps, forward and backward."""
    settings, long = with_changes(preset("poe-l4x4"), ["adapt.checkpointing=off"]), task("a", 20)
    model = hollow(tmp_path / "large", config_of(sizes=LARGE, arc_layout="chat16", vocab_size=16))
    planned = planned_training(model, settings, "poe-l4x4", 3)
    assert planned is not None
    rates = stated("l4", shape_of(model), settings)
    asked = demand(long, layout_of(model, "auto"), settings, seed=3)
    tokens, row = asked.row_tokens, asked.row_tokens / 64
    assert planned(long, settings) == pytest.approx(rates.training_seconds(tokens, 64, row, "keep"))
    assert planned(task("b", 1), settings) == pytest.approx(2 * 64 * rates.pass_seconds)
    whole = with_changes(settings, ["adapt.checkpointing=on"])
    recomputing = rates.training_seconds(tokens, 64, row, "recompute")
    assert planned(long, whole) == pytest.approx(recomputing), "as the order's settings say"
    assert planned_training(model, settings, "laptop", 3) is None
    assert planned_training(hollow(tmp_path / "small"), settings, "poe-l4x4", 3) is None


def test_each_task_goes_to_the_first_worker_that_is_free() -> None:
    assert finish_times([1, 2, 3, 4], 2, 10) == [11, 12, 14, 16]
    assert finish_times([1, 2, 3, 4], 1, 0) == [1, 3, 6, 10]
    assert finish_times([], 3, 5) == []


def test_more_workers_reach_more_and_the_cheapest_come_first() -> None:
    tasks = {name: task(name, side) for name, side in (("large", 20), ("small", 3), ("middle", 10))}
    settings = preset("poe-l4x4")
    whole = forecast_tasks(tasks, MODEL, settings, MACHINE, float("inf"))
    assert [each.task for each in whole.tasks] == ["small", "middle", "large"]
    assert whole.reached == 3
    assert whole.hours * 3600 == pytest.approx(10 + sum(each.seconds for each in whole.tasks))
    first_two = (10 + whole.tasks[0].seconds + whole.tasks[1].seconds) / 3600
    cut = forecast_tasks(tasks, MODEL, settings, MACHINE, first_two)
    assert [each.reached for each in cut.tasks] == [True, True, False]
    assert forecast_tasks(tasks, MODEL, settings, replace(MACHINE, workers=4), first_two).hours < cut.hours


def test_attention_and_launches_come_on_top_of_the_rates() -> None:
    rates = replace(RATES, attention=1e-6, least_step=2.0)
    assert rates.prefill_seconds(1000, 500) == pytest.approx(1000 / 2000 + 1000 * 500e-6)
    assert rates.training_seconds(9000, 1, 1000, "recompute") == pytest.approx(9000 / 500 + 4.5 * 9000 * 1000e-6)
    assert rates.training_seconds(9000, 50, 180, "keep") == 100.0, "fifty steps, however few their tokens"


def test_stated_rates_follow_from_operations_and_scale_with_the_weights() -> None:
    whole, half = (stated("l4", replace(SHAPE_8B, blocks=blocks)) for blocks in (40, 20))
    assert half.training == pytest.approx(2 * whole.training, rel=0.01)
    assert half.pass_seconds == pytest.approx(whole.pass_seconds / 2)
    assert whole.training > whole.selective > whole.recomputing > whole.training / 1.5
    rows = {card: 1427 / stated(card, SHAPE_8B).training for card in ("t4", "l4", "h200")}
    assert rows["t4"] == pytest.approx(3.25, rel=0.05) and rows["l4"] == pytest.approx(1.56, rel=0.05)
    assert rows["h200"] < rows["l4"] / 10
    four, sixteen = (
        stated("l4", SHAPES["nvarc"], with_changes(Settings(), [f"model.four_bit={told}"])) for told in (True, False)
    )
    assert sixteen.training > four.training and sixteen.pass_seconds < four.pass_seconds, "nothing to dequantize"


@pytest.mark.parametrize("level", LEVELS)
def test_the_rates_say_what_a_step_costs_by_its_operations(level: Level) -> None:
    """At 60 % of the card's operations a second; dequantization and what is not a product come on top."""
    settings, row = with_changes(Settings(), ["adapt.rank=32"]), 4000
    rates = stated("h100", replace(SHAPE_8B, quantized=False), with_changes(settings, ["model.four_bit=False"]))
    seconds = rates.training_seconds(row, 1, row, level)
    products = row * step_flops(SHAPE_8B, settings.adapt, row, level) / CARD_RATES["h100"].flops / EFFICIENCY
    assert seconds == pytest.approx(products * (SELECTIVE if level == "selective" else 1.0), rel=0.03)
    assert set(ATTENTION_IN_A_STEP) == set(LEVELS)


def test_the_command_plans_for_gpus_that_are_not_here(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    challenges, out = tmp_path / "challenges.json", tmp_path / "plan.json"
    pair = {"input": [[1, 2], [3, 4]], "output": [[4, 3], [2, 1]]}
    challenges.write_text(json.dumps({name: {"train": [pair] * 3, "test": [{"input": [[1]]}]} for name in "abc"}))
    plain = ["bench", "plan", "--preset", "poe-l4x4", "--challenges", str(challenges)]
    assert main([*plain, "--json", str(out), "--hours", "1"]) == 0
    told = capsys.readouterr().out
    assert "3 of 3 tasks in 1 hours" in told and "4 workers" in told and "roofline" in told
    written = json.loads(out.read_text())
    assert {each["task"] for each in written["tasks"]} == {"a", "b", "c"}
    assert (written["workers"], written["reached"]) == (4, 3)
    model = miniature(tmp_path / "model", "qwen3", "architects")
    assert main([*plain, "--model", str(model), "--workers", "2"]) == 0
    assert "2 workers" in capsys.readouterr().out


def test_the_command_measures_a_small_model_here(capsys: pytest.CaptureFixture[str], tiny_grid_model: Path) -> None:
    command = ["bench", "plan", "--data", "arc1-train", "--tasks", "3", "--model", str(tiny_grid_model)]
    assert main([*command, "--workers", "1"]) == 0
    told = capsys.readouterr().out
    assert "hours for all 3 tasks" in told
    assert "measured here" in told


def test_the_command_compares_cards(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    challenges, out = tmp_path / "challenges.json", tmp_path / "plan.json"
    pair = {"input": [[1, 2], [3, 4]], "output": [[4, 3], [2, 1]]}
    challenges.write_text(json.dumps({"a": {"train": [pair] * 3, "test": [{"input": [[1]]}]}}))
    plain = ["bench", "plan", "--challenges", str(challenges), "--card"]
    assert main([*plain, "l4,h100,h200", "--preset", "poe-l4x4", "--workers", "1", "--json", str(out)]) == 0
    told = capsys.readouterr().out
    assert all(f"1 x {card}" in told for card in ("l4", "h100", "h200"))
    seconds = [each["tasks"][0]["seconds"] for each in json.loads(out.read_text()).values()]
    assert seconds == sorted(seconds, reverse=True)
    assert main([*plain, "h100"]) == 2
    assert "name the recipe by a preset" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*plain, "h1000", "--preset", "poe-l4x4"])
    assert "there are t4, l4, h100, h200" in capsys.readouterr().err


def test_a_large_model_without_a_preset_for_gpus_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    hollow(tmp_path, config_of(sizes=LARGE))
    forecast = ["bench", "plan", "--data", "arc1-train", "--model", str(tmp_path)]
    assert main(forecast) == 2
    assert "by --preset: poe-l4x4, poe-t4x2, nvarc-l4x4, nvarc-t4x2, ttt-l4x4" in capsys.readouterr().err
    assert main([*forecast, "--preset", "laptop"]) == 2
    assert "need GPUs" in capsys.readouterr().err
