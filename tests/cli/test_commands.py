"""The command line: one sentence and exit status 2 for bad input, nothing overwritten; scoring and voting anew."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from submission.arc.tasks import grid, public_set
from submission.arc.views import View
from submission.cli.commands import COMMANDS, main
from submission.results import journal
from submission.solver.records import TaskRecord, TestRecord, ViewRecord
from submission.solver.voting import Candidate
from submission.training.corpus import held_out_tasks
from tests.support.checkpoints import LARGE, config_of, hollow

RUN = ["run", "--set", "search.views=1"]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence that a command refuses its input with."""
    assert main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert told
    assert "\n" not in told
    assert "Traceback" not in told
    return told


def test_bad_input_is_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_grid_model: Path
) -> None:
    model = ["--model", str(tiny_grid_model), "--out", str(tmp_path / "out")]
    assert "nothing.json" in refused(capsys, *RUN, *model, "--challenges", str(tmp_path / "nothing.json"))
    (tmp_path / "bad.json").write_text('{"a": {"train": [], "test": []}}')
    assert "task a" in refused(capsys, *RUN, *model, "--challenges", str(tmp_path / "bad.json"))
    assert "config.json" in refused(capsys, *RUN, "--model", str(tmp_path), "--out", str(tmp_path / "out"))
    assert "no such" in refused(capsys, *RUN, *model, "--only", "no such")
    assert "preset" in refused(capsys, *RUN, *model, "--preset", "no such")
    large = hollow(tmp_path / "large", config_of(sizes=LARGE))
    assert "--preset: t4x2, l4x4" in refused(capsys, *RUN, "--model", str(large), "--out", str(tmp_path / "out"))
    if find_spec("ray") is None:
        assert "pip install '.[ray]'" in refused(capsys, *RUN, *model, "--ray", "auto")
    assert "--set" in refused(capsys, "run", *model, "--set", "search.nothing=1")
    assert "--solutions needs" in refused(capsys, *RUN, *model, "--solutions", "x.json")
    assert "--data is not for bench ttt" in refused(capsys, "bench", "ttt", "--data", "arc2-eval")
    assert "--try is not for bench plan, but for ttt" in refused(capsys, "bench", "plan", "--try", "adapt.rank=8")
    pretrain = ["pretrain", "--minutes", "1", "--out", str(tmp_path / "out"), "--rearc"]
    assert "nothing.npz" in refused(capsys, *pretrain, str(tmp_path / "nothing.npz"))
    assert "bad.json" in refused(capsys, *pretrain, str(tmp_path / "bad.json"))
    assert "needs an end" in refused(capsys, *pretrain[:1], *pretrain[3:5])
    assert "--rank is for --base" in refused(capsys, *pretrain[:5], "--rank", "8")
    assert "--hidden is not for --base" in refused(capsys, *pretrain[:5], "--base", "x", "--hidden", "64")
    assert "no-such.json" in refused(capsys, *pretrain[:5], "--train-on", "no-such.json")
    assert not (tmp_path / "out").exists(), "nothing was written"


def test_a_path_that_fails_is_bad_input_where_the_user_named_it_and_a_bug_elsewhere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(path: Path) -> Callable[[argparse.Namespace], int]:
        def command(options: argparse.Namespace) -> int:
            raise PermissionError(13, "Permission denied", str(path))

        return command

    shrink = ["shrink", "--model", str(tmp_path / "model"), "--out", str(tmp_path / "out")]
    for path in (tmp_path / "out", tmp_path / "out" / "config.json", tmp_path):
        monkeypatch.setitem(COMMANDS, "shrink", failing(path))
        assert str(path) in refused(capsys, *shrink)
    monkeypatch.setitem(COMMANDS, "shrink", failing(tmp_path / "elsewhere"))
    with pytest.raises(PermissionError):
        main(shrink)


def test_a_submission_is_scored_against_a_solutions_file_and_against_a_public_set(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, truth = public_set("arc1-eval")
    names = sorted(truth)[:4]
    right = {name: [{"attempt_1": [[0]], "attempt_2": answer.tolist()} for answer in truth[name]] for name in names[:2]}
    blank = {name: [{"attempt_1": [[0]], "attempt_2": [[0]]} for _ in truth[name]] for name in names[2:]}
    path = tmp_path / "submission.json"
    path.write_text(json.dumps(right | blank))
    assert main(["score", str(path)]) == 0
    assert "solved 2 of 4" in capsys.readouterr().out
    solutions = tmp_path / "solutions.json"
    solutions.write_text(json.dumps({name: [a.tolist() for a in truth[name]] for name in sorted(truth)[:8]}))
    assert main(["score", str(path), "--solutions", str(solutions)]) == 0
    assert "solved 2 of 8" in capsys.readouterr().out, "tasks that the submission lacks are wrong"
    path.write_text("[1]")
    assert "not a submission" in refused(capsys, "score", str(path))


def test_held_out_tasks_are_a_set_like_the_public_ones(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tasks, _ = held_out_tasks()
    path = tmp_path / "submission.json"
    path.write_text(json.dumps({name: [{}] * len(task.tests) for name, task in list(tasks.items())[:3]}))
    assert main(["score", str(path), "--data", "held-out"]) == 0
    assert "solved 0 of 3" in capsys.readouterr().out


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
    assert main(again[:-1]) == 0
    assert "solved 0 of 1" in capsys.readouterr().out
    file = ["score", str(tmp_path / "submission.json"), "--solutions", str(solutions), "--revote"]
    assert "is not the folder of a run" in refused(capsys, *file, "flat")


def test_an_interrupted_command_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "report", interrupted)
    assert main(["report", "anywhere"]) == 130


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
    told = capsys.readouterr().out
    assert "solved by network: 1 of 2" in told
