"""What options name; the options themselves are never changed."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from submission.cli import bench, inputs
from submission.cli.arguments import DEFAULT_TASKS, parser
from submission.config import PRESETS
from submission.errors import BadInput


def options(*words: str) -> Namespace:
    return parser().parse_args(words)


def test_without_a_preset_the_settings_are_those_of_the_laptop_and_the_options_stay_as_given() -> None:
    given = options("run", "--set", "search.views=3")
    before = dict(vars(given))
    assert inputs.preset_named(given) == "laptop"
    assert inputs.settings_named(given).search.views == 3
    assert inputs.settings_named(given).adapt == PRESETS["laptop"].adapt
    assert vars(given) == before
    assert inputs.preset_named(options("run", "--preset", "l4x4")) == "l4x4"


def test_the_tasks_are_the_shortest_or_the_named_ones() -> None:
    given = options("run")
    before = dict(vars(given))
    shortest, solutions = inputs.tasks_named(given)
    assert len(shortest) == DEFAULT_TASKS
    assert solutions is not None and list(solutions) == list(shortest)
    few, _ = inputs.tasks_named(given, 3)
    assert list(few) == list(shortest)[:3]
    assert vars(given) == before
    named, _ = inputs.tasks_named(options("run", "--only", "be03b35f,66e6c45b"), 1)
    assert list(named) == ["be03b35f", "66e6c45b"]
    with pytest.raises(BadInput, match="there is no task 'x'"):
        inputs.tasks_named(options("run", "--only", "x"))


def test_the_tasks_of_a_submission_are_all_that_it_answers(tmp_path: Path) -> None:
    given = options("score", str(tmp_path))
    before = dict(vars(given))
    tasks, solutions = inputs.tasks_of(given, {"66e6c45b": []})
    assert list(tasks) == ["66e6c45b"]
    assert solutions is not None and list(solutions) == ["66e6c45b"]
    assert vars(given) == before
    with pytest.raises(BadInput, match="there is no task 'x'"):
        inputs.tasks_of(given, {"x": []})


def test_a_benchmark_changes_no_option_and_gets_its_default_number_of_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = []

    def benchmark(given: Namespace, settings: object, number: int | None) -> bench.Figures:
        numbers.append(number)
        return {"tasks": number}

    for name in ("search", "plan"):
        monkeypatch.setitem(bench.BENCHMARKS, name, benchmark)
    for words in (["search"], ["search", "--tasks", "3"], ["plan"]):
        given = options("bench", *words, "--json", str(tmp_path / "figures.json"))
        before = dict(vars(given))
        assert bench.bench(given) == 0
        assert vars(given) == before
    assert numbers == [10, 3, None]
    assert json.loads((tmp_path / "figures.json").read_text()) == {"tasks": None}
