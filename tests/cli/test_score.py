"""What `score` and `report` print and return: faults are told and never right, damaged files are sentences."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from submission.arc.tasks import grid, public_set
from submission.arc.views import View
from submission.cli.commands import main
from submission.cli.score import print_scores
from submission.results import journal
from submission.solver.records import TaskRecord, TestRecord, ViewRecord
from submission.solver.voting import Candidate
from submission.training.corpus import held_out_tasks
from tests.support.run_folders import ANSWERS, copied, kaggle_files, refused


def test_a_submission_is_scored_against_a_solutions_file_and_against_a_public_set(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, truth = public_set("arc1-eval")
    names = sorted(truth)[:4]
    right = {name: [{"attempt_1": [[0]], "attempt_2": answer.tolist()} for answer in truth[name]] for name in names[:2]}
    blank = {name: [{"attempt_1": [[0]], "attempt_2": [[0]]} for _ in truth[name]] for name in names[2:]}
    path = tmp_path / "submission.json"
    path.write_text(json.dumps(right | blank))
    assert main(["score", str(path)]) == 1
    told = capsys.readouterr()
    assert "solved 2 of 400" in told.out, "the set counts, not what was answered"
    assert "396 tasks (" in told.err and "are missing: counted as wrong" in told.err
    assert main(["score", str(path), "--only", ", ".join(names)]) == 0
    assert "solved 2 of 4 " in capsys.readouterr().out
    solutions = tmp_path / "solutions.json"
    solutions.write_text(json.dumps({name: [a.tolist() for a in truth[name]] for name in sorted(truth)[:8]}))
    assert main(["score", str(path), "--solutions", str(solutions)]) == 1
    assert "solved 2 of 8" in capsys.readouterr().out, "tasks that the submission lacks are wrong"
    path.write_text("[1]")
    assert "not a submission" in refused(capsys, "score", str(path))


def test_held_out_tasks_are_a_set_like_the_public_ones(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tasks, _ = held_out_tasks()
    path = tmp_path / "submission.json"
    path.write_text(json.dumps({name: [{}] * len(task.tests) for name, task in list(tasks.items())[:3]}))
    assert main(["score", str(path), "--data", "held-out"]) == 1
    assert f"solved 0 of {len(tasks)} " in capsys.readouterr().out


def test_a_recorded_run_is_voted_anew_without_a_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    solutions = tmp_path / "solutions.json"
    solutions.write_text(json.dumps({"t": [[[3]]]}))
    (tmp_path / "submission.json").write_text(json.dumps({"t": [{"attempt_1": [[1]], "attempt_2": [[2]]}]}))
    (tmp_path / "journal").mkdir()
    three = ((1, {0: -0.1}), (2, {0: -0.2}), (3, {0: -2.0, 1: -2.0, 2: -2.0}))
    candidates = tuple(Candidate(grid([[c]]), by, np.full(3, by[0]), 0.0) for c, by in three)
    views = tuple(ViewRecord(View(k, tuple(range(10)), (0,)), 0, True) for k in range(3))
    record = TaskRecord("t", ((grid([[1]]), grid([[2]])),), (TestRecord(views, False, candidates),))
    journal.write_record(tmp_path / "journal", record, "0")
    for rule, solved in (("poe", 0), ("flat", 1), ("kgmon", 1)):
        assert main(["score", str(tmp_path), "--solutions", str(solutions), "--revote", rule]) == 0
        assert f"solved by {rule}: {solved} of 1" in capsys.readouterr().out
    again = ["score", str(tmp_path), "--solutions", str(solutions), "--revote"]
    assert "no rule is called" in refused(capsys, *again, "x")
    cut = replace(record.tests[0], views=(*views[:2], replace(views[2], exhaustive=None)))
    journal.write_record(tmp_path / "journal", replace(record, tests=(cut,)), "0")
    assert main([*again, "poe"]) == 0
    assert "search.exhaustive=True" in refused(capsys, *again, "flat")
    (tmp_path / "journal" / "t.json").write_text('{"task": ')
    assert "t.json is not readable" in refused(capsys, *again, "poe")
    (tmp_path / "submission.json").write_text(json.dumps({"t": [5]}))
    assert main(again[:-1]) == 1
    assert "solved 0 of 1" in capsys.readouterr().out
    file = ["score", str(tmp_path / "submission.json"), "--solutions", str(solutions), "--revote"]
    assert "is not the folder of a run" in refused(capsys, *file, "flat")


def test_a_run_with_scoring_views_is_voted_anew_by_what_proposed_and_by_what_scored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Worked by hand: 1 is found by three views and scored low by the fresh two, 2 and 3 the other way round."""
    (solutions := tmp_path / "solutions.json").write_text(json.dumps({"t": [[[1]]]}))
    (tmp_path / "submission.json").write_text("{}")
    (tmp_path / "journal").mkdir()
    made = ((1, {0: -0.7, 1: -0.7, 2: -0.7}, -2.0), (2, {0: -1.4}, -0.3), (3, {1: -1.4}, -0.5))
    candidates = tuple(Candidate(grid([[c]]), by, np.full(2, score), 2 * score) for c, by, score in made)
    views = tuple(ViewRecord(View(k, tuple(range(10)), (0,)), 0, True) for k in range(3))
    fresh = tuple(ViewRecord(View(k, tuple(range(10)), (0,)), 0, None) for k in (5, 6))
    record = TaskRecord("t", ((grid([[2]]), grid([[3]])),), (TestRecord(views, False, candidates, fresh),))
    journal.write_record(tmp_path / "journal", record, "0")
    for rule, solved in (("poe", 0), ("flat", 1), ("kgmon", 1), ("probmul", 1), ("network", 0)):
        assert main(["score", str(tmp_path), "--solutions", str(solutions), "--revote", rule]) == 0
        assert f"solved by {rule}: {solved} of 1" in capsys.readouterr().out
    wrong = replace(record, tests=(replace(record.tests[0], scoring=fresh[:1]),))
    journal.write_record(tmp_path / "journal", wrong, "0")
    told = refused(capsys, "score", str(tmp_path), "--solutions", str(solutions), "--revote", "poe")
    assert "scores do not fit views" in told


@pytest.mark.parametrize("summary", ["{}", "[]", '{"settings": {"vote": {}}}', '{"settings": 5}', "{"])
def test_a_summary_that_is_none_of_ours_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, summary: str
) -> None:
    (tmp_path / "summary.json").write_text(summary)
    (tmp_path / "submission.json").write_text("{}")
    told = refused(capsys, "report", str(tmp_path))
    assert "summary.json" in told and len(told.strip().splitlines()) == 1


def test_one_damaged_record_does_not_keep_the_others_from_being_voted_on(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (solutions := tmp_path / "solutions.json").write_text(json.dumps({"t": [[[1]]], "u": [[[1]]]}))
    (tmp_path / "submission.json").write_text("{}")
    (folder := tmp_path / "journal").mkdir()
    test = TestRecord((ViewRecord(View(0, tuple(range(10)), (0,)), 0, True),), False, ())
    for name in "tu":
        journal.write_record(folder, TaskRecord(name, ((grid([[1]]),),), (test,)), "0")
    (folder / "u.json").write_text((folder / "u.json").read_text().replace("[[1]]", "[[2]]"))
    assert main(["score", str(tmp_path), "--solutions", str(solutions), "--revote", "network"]) == 0
    assert "solved by network: 1 of 2" in capsys.readouterr().out


def test_a_run_whose_tasks_were_all_left_to_programs_has_no_answers_of_the_network(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (solutions := tmp_path / "solutions.json").write_text(json.dumps({"t": [[[1]]]}))
    (tmp_path / "submission.json").write_text("{}")
    again = ["score", str(tmp_path), "--solutions", str(solutions), "--revote"]
    assert "is not the folder of a run" in refused(capsys, *again, "network")
    (folder := tmp_path / "journal" / "programs").mkdir(parents=True)
    journal.write_record(folder, TaskRecord("t", ((grid([[1]]),),), ()), "0")
    for rule, said in (("programs", "1 of 1\n"), ("network", "0 of 1 (1 have no record of the network: wrong here)\n")):
        assert main([*again, rule]) == 0
        assert capsys.readouterr().out.endswith(f"solved by {rule}: {said}")


def damaged(folder: Path, name: str, content: object) -> None:
    """Put something else in the place of a file of a run: text, bytes, a folder (None) or a pipe."""
    path = folder / name
    path.unlink()
    if content is None:
        path.mkdir()
    elif content == "a pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(content if isinstance(content, bytes) else str(content).encode())


DAMAGE = [
    "", "{", "[]", "null", "5", '"x"', "{}", "[" * 100_000, b"\xff\x00", None, "a pipe", '{"t": ' * 5000, "[[[1]]]",
]  # fmt: skip


@pytest.mark.parametrize("name", ["journal/a.json", "journal/.run", "summary.json", "submission.json"])
def test_a_damaged_file_of_a_run_is_counted_or_refused_in_a_sentence_by_every_command(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, tmp_path: Path, finished: Path, name: str
) -> None:
    failed = []
    for k, content in enumerate(DAMAGE):
        out = copied(finished, tmp_path / str(k))
        damaged(out, name, content)
        files = ["--challenges", str(out / "../files/challenges.json")]
        files += ["--solutions", str(out / "../files/solutions.json")]
        for words in (["score"], ["score", "--per-task"], ["report"], ["score", "--revote", "network"]):
            caplog.clear()
            status = main([words[0], str(out), *words[1:], *files])
            told = capsys.readouterr()
            done = "solved" in told.out or "report.html" in told.out
            faults = (name, content, status) == ("submission.json", "{}", 1) and "2 tasks (a, b) are" in told.err
            good = done and (faults or not told.err) if status < 2 else len(told.err.splitlines()) == 1 == status // 2
            counted = "journal/a.json " in caplog.text and "1 of 2 records are left out" in caplog.text
            reads = words[0] == "report" or "--revote" in words
            if not good or counted != (reads and name == "journal/a.json"):
                failed.append((content, words, status, told))
    assert not failed


def rewritten(out: Path, name: str, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a file of a run and its checksum: what only a mistake of the package could write."""
    content = json.loads((out / name).read_text())
    stamps = {key: content.pop(key) for key in ("format", "fingerprint")}
    content.pop("sum")
    change(content)
    content = {**stamps, "sum": journal._sum(content), **content}
    (out / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(attempts=[]),
        lambda record: record.update(attempts=[[[[300]]]]),
        lambda record: record.update(attempts=[[[[10]]]]),
        lambda record: record.update(attempts=[[[5]]]),
        lambda record: record.update(attempts=[[[[1]]], [[[1]]]], tests=[]),
        lambda record: record.update(tests=record["tests"] * 2),
        lambda record: record["tests"][0]["candidates"][0].update(scores=[]),
        lambda record: record.update(seconds=None),
        lambda record: record.update(programs=[{"source": ""}]),
        lambda record: record.update(task="b"),
    ],
)
def test_a_record_that_contradicts_itself_or_its_task_is_left_out_and_counted(
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    finished: Path,
    change: Callable[[dict[str, Any]], object],
) -> None:
    out = copied(finished, tmp_path)
    rewritten(out, "journal/a.json", change)
    assert main(["score", str(out), "--revote", "network", "--per-task"]) == 0
    told = capsys.readouterr().out
    assert "solved by network: 1 of 2" in told and "1 of 2 records are left out" in caplog.text
    assert "a  0 of 1 right  by attempt -  has no record" in told
    assert main(["report", str(out)]) == 0


@pytest.mark.parametrize(
    "figures",
    [
        {"score_by_output": "x", "coverage": []}, {"seconds": "x"}, {"seconds": -1.0}, {"seconds_per_task": {}},
        {"finished": []}, {"tasks": "x"}, {"solved_tasks": None}, {"model": 5, "seed": None},
    ],
)  # fmt: skip
def test_figures_of_another_type_are_left_out_of_the_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, finished: Path, figures: dict[str, Any]
) -> None:
    out = copied(finished, tmp_path)
    summary = json.loads((out / "summary.json").read_text())
    (out / "summary.json").write_text(json.dumps({**summary, **figures}))
    assert main(["report", str(out)]) == 0
    assert "<h1><b>2</b> of 2 tasks solved</h1>" in (out / "report.html").read_text(), "scores are computed anew"


def test_a_report_that_cannot_be_written_is_a_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, finished: Path
) -> None:
    out = copied(finished, tmp_path)
    damaged(out, "report.html", None)
    assert "report.html: cannot be written" in refused(capsys, "report", str(out))


RIGHT = {name: [{"attempt_1": [[0]], "attempt_2": rows} for rows in outputs] for name, outputs in ANSWERS.items()}


@pytest.mark.parametrize(
    ("text", "solved", "told"),
    [
        (json.dumps(RIGHT), "2 of 2", ""),
        (json.dumps({"a": RIGHT["a"]}), "1 of 2", "task b is missing: counted as wrong"),
        (json.dumps({**RIGHT, "z": []}), "2 of 2", "task z is not among the tasks: not counted"),
        (json.dumps({"a": [{**RIGHT["a"][0], "attempt_3": [[7]]}]}), "0 of 2", "only attempt_1 and attempt_2 exist"),
        (json.dumps({"a": RIGHT["a"] * 2}), "0 of 2", "task a: expected 1 entry, one for each test input, found 2"),
        ('{"a": [{"attempt_1": [[NaN]], "attempt_2": [[1]]}]}', "0 of 2", "holds NaN, not a colour"),
        (f'{{"a": 5, "a": {json.dumps(RIGHT["a"])}}}', "0 of 2", "task a: appears twice"),
    ],
)
def test_faults_are_told_on_stderr_with_their_task_and_the_exit_status_is_1(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str, solved: str, told: str
) -> None:
    challenges, solutions = kaggle_files(tmp_path)
    (path := tmp_path / "submission.json").write_text(text)
    for words in (["--challenges", str(challenges)], []):
        status = main(["score", str(path), "--solutions", str(solutions), *words])
        said = capsys.readouterr()
        assert f"solved {solved} tasks" in said.out
        assert status == bool(told) and told in said.err and bool(said.err) == bool(told)


def test_each_task_has_its_line_on_request_and_many_faults_are_cut_short_without(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    names = [f"t{k}" for k in range(14)]
    (solutions := tmp_path / "solutions.json").write_text(json.dumps({name: [[[1]], [[2]]] for name in names}))
    entries: list[Any] = [{"attempt_1": [[3]], "attempt_2": [[1]]}, {"attempt_1": [[2]], "attempt_2": None}]
    (path := tmp_path / "submission.json").write_text(json.dumps(dict.fromkeys(names[:13], entries)))
    assert main(["score", str(path), "--solutions", str(solutions), "--per-task"]) == 1
    told = capsys.readouterr()
    fault = "test 1: attempt_2 is not a grid: it is null, not a list of rows"
    lines = [*(f"{name}  1 of 2 right  by attempt 2,-  {fault}" for name in names[:13]),
             "t13  0 of 2 right  by attempt -,-  is missing"]  # fmt: skip
    assert told.out.splitlines()[-14:] == lines
    assert "3 more damaged tasks" in told.err and told.err.count(fault) == 10


@pytest.mark.parametrize(
    ("by_solver", "settled", "told"),
    [
        ({"programs": 4}, 0, "solved 5 of 9 tasks\n"),
        ({"programs": 4, "network": 3}, 0, "solved 5 of 9 tasks: programs 4, the network 1 more\n"),
        ({"programs": 4, "network": 1}, 3,
         "solved 5 of 9 tasks: programs 4, the network 1 more (3 tasks were left to programs that are certain)\n"),
        ({"programs": 6, "network": 3}, 0, "solved 5 of 9 tasks: programs 6\n"),
    ],
)  # fmt: skip
def test_the_last_lines_say_who_solved(
    by_solver: dict[str, int], settled: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = {"solved_tasks": 5, "tasks": 9, "by_solver": by_solver, "tasks_settled_by_programs": settled}
    print_scores(summary)
    assert capsys.readouterr().out == told
