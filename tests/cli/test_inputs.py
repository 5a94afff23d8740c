"""What options name; the options themselves are never changed."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from submission.cli import bench, commands, inputs
from submission.cli.arguments import DEFAULT_TASKS, parser, require_own_options
from submission.errors import BadInput
from submission.presets import PRESETS
from submission.results.journal import TaskSource
from submission.results.scores import score
from tests.support.cases import cases
from tests.support.checkpoints import LARGE, config_of, hollow
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
    assert inputs.preset_named(options("run", "--preset", "poe-l4x4")) == "poe-l4x4"


def test_a_preset_of_another_recipe_than_the_models_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = str(hollow(tmp_path, config_of(sizes=LARGE, arc_layout="chat16", vocab_size=16)))
    with pytest.raises(BadInput, match=r"is a large model; .* \(for its layout, chat16: nvarc-l4x4, nvarc-t4x2\)"):
        inputs.settings_named(options("run", "--model", model))
    assert inputs.settings_named(options("run", "--model", model, "--preset", "nvarc-t4x2")).adapt.rank == 64
    assert caplog.text == ""
    inputs.settings_named(options("run", "--model", model, "--preset", "poe-l4x4"))
    assert "preset poe-l4x4 is not for layout chat16" in caplog.text and "nvarc-l4x4, nvarc-t4x2" in caplog.text


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


BODY = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}
WIDE = {"train": [{"input": [[0] * 32], "output": [[1]]}], "test": [{"input": [[1]]}, {"input": [[2]]}]}


def file(folder: Path, content: object, name: str = "tasks.json") -> str:
    (folder / name).write_text(json.dumps(content))
    return str(folder / name)


@cases(
    ("text", "ids"),
    [
        ("a, b", ["a", "b"]), ("a,b,", ["a", "b"]), (" a ,, b ", ["a", "b"]), ("b,a,b", ["b", "a"]), ("a", ["a"]),
        ('"x,y",a', ["x,y", "a"]), ('a, "x,y"', ["a", "x,y"]), ('" s ",a', [" s ", "a"]), ("../é b", ["../é b"]),
        ('q"', ['q"']), ("-c", ["-c"]),
    ],
)  # fmt: skip
def test_only_takes_a_list_with_spaces_a_trailing_comma_and_quotes(
    tmp_path_factory: pytest.TempPathFactory, text: str, ids: list[str]
) -> None:
    known = ["a", "b", "c", "x,y", " s ", "../é b", 'q"', "-c"]
    folder = tmp_path_factory.mktemp("only")
    challenges = file(folder, dict.fromkeys(known, BODY))
    tasks, _ = inputs.tasks_named(options("run", "--challenges", challenges, f"--only={text}"))
    assert list(tasks) == ids


NO_LISTS = [("", "names no task"), (" , ,", "names no task"), ('"a', "double quote"), ("a,z", "no task 'z'")]


@cases(("text", "told"), NO_LISTS)
def test_a_list_without_a_known_task_is_a_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        inputs.tasks_named(options("run", "--challenges", file(tmp_path, {"a": BODY}), "--only", text))


def test_other_lists_may_have_spaces_and_a_trailing_comma_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert options("bench", "scaling", "--minutes", "2, 5,").minutes == [2.0, 5.0]
    assert options("run", "--solvers", "network, programs,").solvers == ("network", "programs")
    assert commands._sets("--train-on", "arc1-train, a.json,") == ("arc1-train", "a.json")
    with pytest.raises(BadInput, match="--against names no set"):
        commands._sets("--against", ",")
    for words in (["bench", "scaling", "--minutes", ","], ["run", "--solvers", ""]):
        with pytest.raises(SystemExit):
            options(*words)
        assert "names no" in capsys.readouterr().err


def test_a_file_with_bad_tasks_is_refused_and_with_skip_bad_they_are_left_blank(tmp_path: Path) -> None:
    words = ["run", "--challenges", file(tmp_path, {"a": BODY, "wide": WIDE, "alone": {**BODY, "train": []}})]
    with pytest.raises(BadInput, match=r"2 of 3 tasks cannot be read.*task wide.*32.*task alone.*--skip-bad"):
        inputs.tasks_chosen(options(*words))
    with pytest.raises(BadInput, match="2 of 3 tasks"):
        inputs.tasks_chosen(options(*words), 1)
    chosen = inputs.tasks_chosen(options(*words, "--skip-bad"))
    assert list(chosen.tasks) == ["a"]
    assert {name: bad.tests for name, bad in chosen.blank.items()} == {"wide": 2, "alone": 1}
    assert chosen.solutions is not None
    assert {name: len(each) for name, each in chosen.solutions.items()} == {"a": 1, "wide": 2, "alone": 1}
    blank = {name: [{"attempt_1": [[0]], "attempt_2": [[0]]}] * len(each) for name, each in chosen.solutions.items()}
    assert score(blank, chosen.solutions)["solved_tasks"] == 0, "a task left blank is wrong, not absent"


def test_with_only_just_the_named_tasks_matter(tmp_path: Path) -> None:
    words = ["run", "--challenges", file(tmp_path, {"a": BODY, "wide": WIDE})]
    assert list(inputs.tasks_chosen(options(*words, "--only", "a")).tasks) == ["a"]
    for more in ([], ["--skip-bad"]):
        with pytest.raises(BadInput, match="task wide: train 0 input"):
            inputs.tasks_chosen(options(*words, "--only", "wide", *more))
    chosen = inputs.tasks_chosen(options(*words, "--only", "wide,a", "--skip-bad"))
    assert (list(chosen.tasks), list(chosen.blank)) == (["a"], ["wide"])


def test_outputs_inside_the_tasks_are_the_solutions_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    unknown = {**BODY, "test": [{"input": [[3]]}]}
    challenges = file(tmp_path, {"a": BODY, "b": unknown})
    assert inputs.tasks_named(options("run", "--challenges", challenges))[1] is None
    assert caplog.messages[-1].endswith("2 of its 2 tasks, 2 test inputs, 1 outputs known, too few to score the run")
    solutions = inputs.tasks_named(options("run", "--challenges", challenges, "--only", "a"))[1]
    assert solutions is not None and solutions["a"][0].tolist() == [[4]]
    assert caplog.messages[-1] == "tasks.json: 1 of its 2 tasks, 1 test inputs, all outputs known (from tasks.json)"
    apart = ["--solutions", file(tmp_path, {"a": [[[4]]], "b": [[[5]]]}, "s.json")]
    solutions = inputs.tasks_named(options("run", "--challenges", challenges, *apart))[1]
    assert solutions is not None and solutions["b"][0].tolist() == [[5]]
    apart = ["--solutions", file(tmp_path, {"a": [[[9]]], "b": [[[5]]]}, "s.json")]
    with pytest.raises(BadInput, match="task a, test 0: .* differ"):
        inputs.tasks_named(options("run", "--challenges", challenges, *apart))


def test_a_run_keeps_where_its_tasks_are_from_with_absolute_paths(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    kept = {
        "": TaskSource("arc1-eval"),
        "--data arc2-train": TaskSource("arc2-train"),
        "--challenges c.json": TaskSource(None, str(tmp_path / "c.json")),
        "--challenges c.json --solutions /s.json": TaskSource(None, str(tmp_path / "c.json"), "/s.json"),
    }
    assert {words: inputs.source_of(options("run", *words.split())) for words in kept} == kept


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
