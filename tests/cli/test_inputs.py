"""What options name; the options themselves are never changed."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from submission.cli import bench, inputs
from submission.cli.arguments import DEFAULT_TASKS, parser, require_own_options
from submission.config import PRESETS
from submission.errors import BadInput
from submission.results.journal import TaskSource
from tests.support.run_folders import kaggle_files


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


def test_a_run_keeps_where_its_tasks_are_from_with_absolute_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    cases = {
        "": TaskSource("arc1-eval"),
        "--data arc2-train": TaskSource("arc2-train"),
        "--challenges c.json": TaskSource(None, str(tmp_path / "c.json")),
        "--challenges c.json --solutions /s.json": TaskSource(None, str(tmp_path / "c.json"), "/s.json"),
    }
    assert {words: inputs.source_of(options("run", *words.split())) for words in cases} == cases


def test_bench_scaling_takes_the_solutions_of_a_challenges_file(tmp_path: Path) -> None:
    files = kaggle_files(tmp_path)
    given = options("bench", "scaling", "--challenges", str(files[0]), "--solutions", str(files[1]))
    require_own_options(given)
    tasks, solutions = inputs.tasks_named(given, 10)
    assert solutions is not None and list(solutions) == list(tasks) == ["a", "b"]
    with pytest.raises(BadInput, match="--solutions is not for bench plan"):
        require_own_options(options("bench", "plan", "--challenges", str(files[0]), "--solutions", str(files[1])))
    with pytest.raises(BadInput, match="solutions of --challenges by --solutions"):
        bench.bench(options("bench", "scaling", "--challenges", str(files[0])))


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
