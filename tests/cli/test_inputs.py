"""What a command line names: settings, tasks, a submission, the records of a run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from submission.cli.arguments import parser
from submission.cli.inputs import records_in, settings_named, submission_in, tasks_named
from submission.errors import BadInput


def challenges(folder: Path, **sides: int) -> Path:
    """A challenges file of tasks with grids of these sides."""
    content = {}
    for name, side in sides.items():
        cells = [[1] * side] * side
        content[name] = {"train": [{"input": cells, "output": cells}], "test": [{"input": cells}]}
    path = folder / "challenges.json"
    path.write_text(json.dumps(content))
    (folder / "solutions.json").write_text(json.dumps({name: [[[1]]] for name in sides}))
    return path


def named(*words: str) -> list[str]:
    """The tasks that a run with these options takes, in their order."""
    return list(tasks_named(parser().parse_args(["run", *words]))[0])


def test_the_cheapest_tasks_are_taken_and_by_default_all_of_a_file(tmp_path: Path) -> None:
    source = ["--challenges", str(challenges(tmp_path, large=9, small=1, middle=4))]
    assert named(*source, "--tasks", "2") == ["small", "middle"]
    assert named(*source) == ["small", "middle", "large"]
    assert named(*source, "--only", "large,small") == ["large", "small"]
    assert len(named("--data", "arc1-train")) == 24


def test_solutions_are_those_of_the_tasks_that_were_named(tmp_path: Path) -> None:
    path = challenges(tmp_path, a=2, b=3)
    words = ["run", "--challenges", str(path), "--tasks", "1"]
    tasks, solutions = tasks_named(parser().parse_args(words))
    assert solutions is None
    tasks, solutions = tasks_named(parser().parse_args([*words, "--solutions", str(tmp_path / "solutions.json")]))
    assert solutions is not None
    assert list(tasks) == list(solutions) == ["a"]
    with pytest.raises(BadInput, match="--solutions needs --challenges"):
        tasks_named(parser().parse_args(["run", "--solutions", "x"]))
    with pytest.raises(BadInput, match="no task 'c' among these 2"):
        tasks_named(parser().parse_args(["run", "--challenges", str(path), "--only", "a,c"]))


def test_settings_are_the_presets_with_the_changes_in_order() -> None:
    words = ["run", "--preset", "l4x4", "--set", "search.views=4", "--set", "search.views=5"]
    settings = settings_named(parser().parse_args(words))
    assert (settings.search.views, settings.adapt.rank) == (
        5,
        settings_named(parser().parse_args(words[:3])).adapt.rank,
    )
    assert settings_named(parser().parse_args(["run"])) == settings_named(
        parser().parse_args(["run", "--preset", "laptop"])
    )


def test_a_submission_is_read_from_a_runs_folder_or_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "submission.json").write_text('{"a": []}')
    assert submission_in(tmp_path) == submission_in(tmp_path / "submission.json") == {"a": []}
    (tmp_path / "submission.json").write_text("[]")
    with pytest.raises(BadInput, match="is not a submission"):
        submission_in(tmp_path)
    with pytest.raises(BadInput, match="cannot be read as a submission"):
        submission_in(tmp_path / "nowhere")


def test_the_records_of_a_run_are_those_of_the_tasks_that_have_one(tmp_path: Path) -> None:
    (tmp_path / "journal" / "programs").mkdir(parents=True)
    (tmp_path / "journal" / "a.json").write_text('{"task": "a"}')
    assert records_in(tmp_path, ["a", "b"], "network") == {"a": {"task": "a"}}
    assert records_in(tmp_path, ["a", "b"], "programs") == {}
    (tmp_path / "journal" / "b.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read"):
        records_in(tmp_path, ["a", "b"], "network")
