"""The denominator: the set that is named, the tasks of the run in a folder, and nothing that does not fit."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from pathlib import Path

import pytest

from submission.arc.tasks import public_set
from submission.cli.arguments import parser
from submission.cli.commands import main
from submission.cli.scored_set import ScoredSet, scored_set
from submission.errors import BadInput
from submission.results import journal
from submission.results.journal import TaskSource
from tests.support.run_folders import ANSWERS, copied, kaggle_files


def options(out: Path, *words: str) -> Namespace:
    return parser().parse_args(["score", str(out), *words])


def size(chosen: ScoredSet) -> tuple[list[str], list[str] | None]:
    """The tasks of a set and of its solutions."""
    assert chosen.solutions is not None
    return list(chosen.solutions), None if chosen.tasks is None else list(chosen.tasks)


def test_of_a_file_the_whole_set_counts_whatever_it_answers(tmp_path: Path) -> None:
    challenges, solutions = (str(path) for path in kaggle_files(tmp_path))
    (path := tmp_path / "submission.json").write_text("{}")
    both = ["a", "b"]
    cases: list[tuple[list[str], tuple[list[str], list[str] | None]]] = [
        (["--solutions", solutions], (both, None)),
        (["--solutions", solutions, "--only", " b ,"], (["b"], None)),
        (["--challenges", challenges, "--solutions", solutions], (both, both)),
        (["--challenges", challenges, "--solutions", solutions, "--only", "b, a"], (["b", "a"], ["b", "a"])),
        (["--challenges", challenges, "--solutions", solutions, "--tasks", "1"], (["a"], ["a"])),
    ]
    assert [size(scored_set(options(path, *words))) for words, _ in cases] == [right for _, right in cases]
    for words, number in (([], 400), (["--data", "arc2-eval"], 120), (["--tasks", "7"], 7)):
        chosen = scored_set(options(path, *words))
        assert chosen.solutions is not None and len(chosen.solutions) == number, words


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--challenges NONE --solutions SOLUTIONS", "there is no such file"),
        ("--challenges BROKEN --solutions SOLUTIONS", "broken.json"),
        ("--challenges CHALLENGES --solutions NONE", "there is no such file"),
        ("--data arc2-eval --solutions SOLUTIONS", "--solutions"),
        ("--data arc2-eval --challenges CHALLENGES", "two sources"),
        ("--solutions SOLUTIONS --tasks 3", "--challenges"),
        ("--solutions SOLUTIONS --only x", "no task 'x'"),
        ("--challenges CHALLENGES --solutions SOLUTIONS --only a,x", "no task 'x'"),
    ],
)
def test_what_is_named_must_be_readable_and_fit_together(tmp_path: Path, words: str, told: str) -> None:
    challenges, solutions = kaggle_files(tmp_path)
    (broken := tmp_path / "broken.json").write_text("{")
    for name, path in (("NONE", "none.json"), ("BROKEN", broken), ("CHALLENGES", challenges), ("SOLUTIONS", solutions)):
        words = words.replace(name, str(tmp_path / path))
    with pytest.raises(BadInput, match=told):
        scored_set(options(tmp_path / "submission.json", *words.split()))


def test_of_a_run_its_own_tasks_count_without_being_named(tmp_path: Path, finished: Path) -> None:
    out = copied(finished, tmp_path)
    files = tmp_path / "files"
    moved = [str(shutil.copy(files / name, tmp_path / name)) for name in ("challenges.json", "solutions.json")]
    (out / "submission.json").write_text("{}")
    more = kaggle_files(tmp_path / "more", {"c": [[[5]]], **ANSWERS})
    for words in (
        [], ["--solutions", moved[1]], ["--challenges", moved[0], "--solutions", moved[1]],
        ["--challenges", str(more[0]), "--solutions", str(more[1])], ["--solutions", str(more[1])],
    ):  # fmt: skip
        assert size(scored_set(options(out, *words))) == (["a", "b"], ["a", "b"]), words
    assert size(scored_set(options(out, "--only", "b"))) == (["b"], ["b"])
    assert size(scored_set(options(out, "--tasks", "1"))) == (["a"], ["a"])
    with pytest.raises(BadInput, match="no task 'c' among these 2"):
        scored_set(options(out, "--challenges", str(more[0]), "--solutions", str(more[1]), "--only", "c"))


def test_the_submission_in_the_folder_of_a_run_stands_for_the_run(tmp_path: Path, finished: Path) -> None:
    out = copied(finished, tmp_path)
    assert size(scored_set(options(out / "submission.json"))) == size(scored_set(options(out)))
    elsewhere = Path(shutil.copy(out / "submission.json", tmp_path))
    assert len(scored_set(options(elsewhere)).solutions or ()) == 400
    assert main(["score", str(out / "submission.json"), "--revote", "network"]) == 0
    assert main(["report", str(out / "submission.json")]) == 0


def test_what_does_not_fit_a_run_is_refused_in_a_sentence(tmp_path: Path, finished: Path) -> None:
    out = copied(finished, tmp_path)
    other = [str(path) for path in kaggle_files(tmp_path / "other", {**ANSWERS, "b": [[[2, 1]]]})]
    fewer = [str(path) for path in kaggle_files(tmp_path / "fewer", {"a": ANSWERS["a"]})]
    cases = [
        (["--challenges", other[0], "--solutions", other[1]], "1 of the run's 2 tasks .*'b' has other content there"),
        (["--challenges", fewer[0], "--solutions", fewer[1]], "1 of the run's 2 tasks .*there is no task 'b'"),
        (["--data", "arc1-eval"], "2 of the run's 2 tasks are not those of --data arc1-eval"),
        (["--solutions", fewer[1]], "task b: no solution is given"),
    ]
    for words, told in cases:
        with pytest.raises(BadInput, match=told) as caught:
            scored_set(options(out, *words))
        assert "\n" not in str(caught.value)


def test_files_that_changed_or_moved_since_the_run_are_refused(
    tmp_path: Path, finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = copied(finished, tmp_path)
    kaggle_files(tmp_path / "files", {**ANSWERS, "b": [[[2, 1]]]})
    with pytest.raises(BadInput, match="1 of the run's 2 tasks .*'b' has other content"):
        scored_set(options(out))
    _, solutions = kaggle_files(tmp_path / "files")
    solutions.write_text(json.dumps({**ANSWERS, "b": [[[2, 1]]]}))
    with pytest.raises(BadInput, match="are not those that the run was scored against"):
        scored_set(options(out))
    scored_set(options(out, "--solutions", str(solutions)))
    assert "not those that the run was scored against" in caplog.text, "named ones are taken, and told"
    (tmp_path / "files" / "challenges.json").unlink()
    with pytest.raises(
        BadInput, match=r"cannot be read \(.*challenges.json: there is no such file\); if they have moved"
    ):
        scored_set(options(out))


def test_ids_that_two_public_sets_share_are_those_of_the_run(tmp_path: Path) -> None:
    tasks, solutions = public_set("arc2-train")
    names = ["12997ef3", "31d5ba1a"]
    (tmp_path / "journal").mkdir()
    few = {name: tasks[name] for name in names}
    journal.write_stamp(tmp_path, "0", few, {name: solutions[name] for name in names}, TaskSource("arc2-train"))
    chosen = scored_set(options(tmp_path))
    assert chosen.solutions is not None
    assert {n: [a.tolist() for a in each] for n, each in chosen.solutions.items()} == {
        name: [answer.tolist() for answer in solutions[name]] for name in names
    }
    with pytest.raises(BadInput, match="--data arc1-eval: task '12997ef3' has other content there; the run read them"):
        scored_set(options(tmp_path, "--data", "arc1-eval"))


@pytest.mark.slow
def test_tasks_whose_file_is_not_here_are_those_of_the_public_set_that_has_them_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The output of a Kaggle notebook is scored on another machine."""
    tasks, solutions = public_set("arc2-train")
    few = {name: tasks[name] for name in ("12997ef3", "31d5ba1a")}  # Of ARC-AGI-1 as well, with other content.
    (tmp_path / "journal").mkdir()
    elsewhere = TaskSource(None, "/kaggle/input/competitions/arc-prize-2026/arc-agi_test_challenges.json")
    journal.write_stamp(tmp_path, "0", few, None, elsewhere)
    chosen = scored_set(options(tmp_path))
    assert size(chosen) == ([*few], [*few])
    assert chosen.solutions is not None
    assert all((a == b).all() for name in few for a, b in zip(chosen.solutions[name], solutions[name], strict=True))
    assert "arc2-train has all tasks of this run" in caplog.text


def test_a_run_that_does_not_say_where_its_tasks_are_from_is_taken_as_before_with_a_warning(
    tmp_path: Path, finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = copied(finished, tmp_path)
    files = [str(path) for path in kaggle_files(tmp_path / "files")]
    named = ["--challenges", files[0], "--solutions", files[1]]
    stamp = {"fingerprint": "0", "tasks": ["a", "b"]}
    older = {"format": journal.FORMAT, **stamp}
    for text in (json.dumps(stamp), json.dumps({**older, "sum": journal._sum(older)})):
        (out / "journal" / ".run").write_text(text)
        assert size(scored_set(options(out, *named))) == (["a", "b"], ["a", "b"])
        assert size(scored_set(options(out, *named[2:]))) == (["a", "b"], None)
        with pytest.raises(BadInput, match="2 of the run's 2 tasks are not those of --data arc1-eval"):
            scored_set(options(out))
        assert "they are taken from arc1-eval" in caplog.text
        caplog.clear()
    for damage in ("{", None):
        (out / "journal" / ".run").unlink()
        if damage:
            (out / "journal" / ".run").write_text(damage)
        assert size(scored_set(options(out, *named[:2], "--solutions", files[1], "--only", "a"))) == (["a"], ["a"])
        with pytest.raises(BadInput, match="there is no task 'a'|are not those of"):
            scored_set(options(out))
        assert "the tasks are taken to be the 2 of submission.json" in caplog.text
        (out / "journal" / ".run").touch()
    (out / "submission.json").write_text('{"a": []}')
    with pytest.raises(BadInput, match="holds 1 tasks of 2: name the tasks by --only"):
        scored_set(options(out))
