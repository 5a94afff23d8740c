"""The Kaggle drill, short: a bundle's own notebook ends with a complete submission, without a network."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

import build
import kernel_main
from submission.arc.task_files import read_challenges
from submission.cli.commands import main
from submission.errors import BadInput
from submission.kaggle import install, prepare
from submission.kaggle.packaging.bundle import bundle
from submission.kaggle.packaging.image import Profile
from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.verify import verify
from submission.results import submission_file
from tests import drill

OUTPUT = {"submission.json", "journal", "summary.json", "report.html", "log.txt", ".lock", "canary"}
"""What a run leaves in the working folder, which becomes the notebook's output."""


def assert_voted_anew(
    root: Path, out: str, rules: tuple[str, ...], tasks: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output of a machine is enough, as it is, and as it comes by a download that leaves out hidden files."""
    whole = shutil.copytree(root / "working", root.with_name("whole"))
    visible = shutil.copytree(whole, root.with_name("visible"), ignore=shutil.ignore_patterns(".*"))
    shutil.rmtree(root)
    for folder, words in ((whole / out, []), (visible / out, ["--data", "arc1-train"])):
        for rule in rules:
            assert main(["score", str(folder), "--revote", rule, *words]) == 0
            told = capsys.readouterr()
            assert f"solved by {rule}: " in told.out and f" of {tasks}" in told.out, told


def test_the_output_of_a_notebook_is_enough_to_vote_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The commit run of programs alone, whose workers need no torch."""
    monkeypatch.setattr(install, "pip", lambda *words: None)  # It would remove a torchao of this very interpreter.
    root = tmp_path / "kaggle"
    at = root / "input" / "competitions" / drill.COMPETITION
    at.mkdir(parents=True)
    for name, number in ((drill.TEST_FILE, 6), ("arc-agi_training_challenges.json", None)):
        (at / name).write_text(drill.challenges(number))
    (root / "working").mkdir()
    tasks = kernel_main.write_blank(root / "input", root / "working" / "submission.json")
    plan = prepare.prepare(root, tasks, kernel_main.HERE, {"PATH": "/nowhere"}, time.monotonic())
    few = ["--solvers", "programs", "--set", "programs.seconds=0.1", "--workers", "1"]
    assert prepare.run_with_restarts(plan, lambda words, left: main([*words, *few])) == 0
    prepare.merge_canary_answers(plan)
    assert {path.name for path in (root / "working").iterdir()} == {"submission.json", "canary"}
    assert_voted_anew(root, "canary", ("programs",), 4, capsys)


def test_the_drill_tells_how_many_tasks_were_answered_and_fails_where_none_was(tmp_path: Path) -> None:
    machine = drill.Machine(tmp_path, Path("python"))
    (tmp_path / "input").mkdir()
    (tmp_path / "working").mkdir()
    (tmp_path / "input" / drill.TEST_FILE).write_text(drill.challenges(3))
    kernel_main.write_blank(tmp_path / "input", machine.submission)
    told, wrong = drill.judged(machine)
    assert told == "0 of 3 tasks answered"
    assert wrong == ["no task was answered: what would be handed in is blank"]
    submission = json.loads(machine.submission.read_text())
    next(iter(submission.values()))[0]["attempt_2"] = [[0, 0]]
    machine.submission.write_text(json.dumps(submission))
    assert drill.judged(machine) == ("1 of 3 tasks answered", [])
    machine.submission.write_text("{}")
    assert len(drill.judged(machine)[1]) > 1


@pytest.mark.slow
def test_the_notebook_of_a_bundle_without_a_competition_runs_public_tasks_by_its_edited_settings(
    tmp_path: Path,
) -> None:
    public = {name: dict(sorted(whole.items())[:3]) for name, whole in build._public_tasks("arc1-train").items()}
    try:
        bundle(Names("someone", competition="none"), tmp_path / "bundle", Profile("native"), None, None, public)
    except BadInput as error:
        pytest.skip(f"the wheels are not here and cannot be downloaded: {error}")
    notebook = tmp_path / "bundle" / "notebook" / "arc-submission.ipynb"
    edited = notebook.read_text().replace("network,programs", "programs")
    notebook.write_text(edited.replace("CHANGES = []", "CHANGES = ['programs.seconds=0.2']"))
    assert verify(tmp_path / "bundle")[0] == []
    drill.mounted(tmp_path / "bundle", tmp_path / "kaggle", "by kind", None)
    machine = drill.Machine(tmp_path / "kaggle", drill.image(tmp_path))
    environment = drill.surroundings(machine, 3.0, scored=False)
    done = drill.run(machine, notebook, environment, drill.can_isolate(tmp_path / "probe"), timeout=300)
    assert prepare.NO_COMPETITION in done.stdout, done.stdout
    assert re.search(r"solved .* of 3", done.stdout), done.stdout
    assert (machine.root / "working" / "report.html").is_file()


@pytest.mark.slow
def test_the_notebook_of_a_bundle_hands_in_a_complete_submission_without_a_network(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not drill.can_isolate(tmp_path / "probe"):
        pytest.skip("this machine permits no network namespaces (unshare --user --net)")
    try:
        bundle(Names("someone"), tmp_path / "bundle", Profile("native"), None, None)
    except BadInput as error:
        pytest.skip(f"the wheels are not here and cannot be downloaded: {error}")
    drill.mounted(tmp_path / "bundle", tmp_path / "kaggle", "by kind", 5)
    machine = drill.Machine(tmp_path / "kaggle", drill.image(tmp_path))
    notebook = tmp_path / "bundle" / "notebook" / "arc-submission.ipynb"
    done = drill.run(machine, notebook, drill.surroundings(machine, 1.5, scored=True), timeout=300)
    assert done.returncode == 0, done.stdout
    assert "this is the scored rerun" in done.stdout
    assert "bitsandbytes==0.50.2" in done.stdout
    assert "removed torchao 0.10.0" in done.stdout
    assert list(machine.python.parent.parent.rglob("libbitsandbytes_cpu.so")), "the wheel came from the bundle"
    assert "Traceback" not in done.stdout
    asked = read_challenges(next(machine.root.rglob(drill.TEST_FILE)))
    assert submission_file.check(json.loads(machine.submission.read_text()), asked) == []
    assert json.loads((machine.root / "working" / "summary.json").read_text())["tasks"] == 5
    left = {path.name for path in (machine.root / "working").iterdir()}
    assert left <= OUTPUT, "no wheels, no caches"
    assert_voted_anew(machine.root, "", ("poe", "network", "programs"), 5, capsys)
