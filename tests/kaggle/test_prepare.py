"""A Kaggle machine: which run this is, what it has, what came along, and a run that is gone on with."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.kaggle import prepare
from submission.kaggle.prepare import Gpu, KagglePlan
from tests import drill
from tests.support.kaggle_inputs import TASK, asked, sealed, weights, wheelhouse

ROOT = Path(prepare.__file__).parents[2]
L4 = Gpu("NVIDIA L4", 23034, (8, 9))
T4 = Gpu("Tesla T4", 15360, (7, 5))
P100 = Gpu("Tesla P100-PCIE-16GB", 16384, (6, 0))


# -- which run this is -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "known", "scored"),
    [
        ({"KAGGLE_IS_COMPETITION_RERUN": "true"}, False, True),
        ({"KAGGLE_IS_COMPETITION_RERUN": "true"}, True, True),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, True, False),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}, False, False),
        ({"KAGGLE_KERNEL_RUN_TYPE": "Batch"}, False, True),
        ({}, True, False),
    ],
)
def test_a_run_counts_if_kaggle_says_so_or_its_tasks_are_not_public(
    environ: dict[str, str], known: bool, scored: bool, tmp_path: Path
) -> None:
    tasks = asked(tmp_path, {"t": TASK}, {"t": TASK} if known else {"u": TASK})
    assert prepare.is_scored(tasks, environ)[0] is scored


def test_the_public_stand_in_is_known_by_its_digest_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = asked(tmp_path, {"t": TASK})
    assert not prepare.is_placeholder(tasks)
    monkeypatch.setattr(prepare, "PLACEHOLDERS", {hashlib.md5(tasks.read_bytes()).hexdigest()})
    assert prepare.is_placeholder(tasks)


def test_the_few_tasks_of_a_run_that_is_not_scored_go_from_the_shortest_to_the_longest(tmp_path: Path) -> None:
    tasks = {f"t{k}": {**TASK, "train": TASK["train"] * (9 - k)} for k in range(9)}
    assert prepare.few(asked(tmp_path, tasks)) == ("t8", "t6", "t3", "t0")
    assert prepare.few(asked(tmp_path, {"only": TASK})) == ("only",)


# -- what the machine has ----------------------------------------------------------------------------------------


def test_the_gpus_are_those_that_nvidia_smi_tells_of(
    tmp_path: Path,
) -> None:
    assert prepare.gpus(drill.nvidia_smi(tmp_path, "Tesla T4, 15360, 7.5\nTesla T4, 15360, 7.5\n")) == [T4, T4]
    [newer] = prepare.gpus(drill.nvidia_smi(tmp_path, "NVIDIA RTX PRO 6000, 97887, 12.0\n"))
    assert newer.capability == (12, 0)
    assert prepare.gpus({"PATH": str(tmp_path / "nowhere")}) == []


def test_a_p100_is_refused_and_what_has_kernels_is_taken() -> None:
    with pytest.raises(BadInput, match="P100.*choose T4 x2 or L4 x4"):
        prepare.fit([P100])
    assert "NVIDIA L4 (22.5 GiB)" in prepare.fit([L4] * 4)
    assert prepare.fit([]) == "there is no GPU"


@pytest.mark.parametrize(
    ("cards", "attached", "model", "preset"),
    [
        ([L4] * 4, ["m"], "m", "l4x4"),
        ([T4] * 2, ["m"], "m", "t4x2"),
        ([T4] * 2, ["m", "n"], "m", "t4x2"),
        ([], ["m"], "embedded", "laptop"),
        ([L4] * 4, [], "embedded", "laptop"),
    ],
)
def test_the_preset_follows_from_the_gpus_and_the_model_that_are_there(
    cards: list[Gpu], attached: list[str], model: str, preset: str
) -> None:
    chosen = prepare.chosen(cards, [Path(each) for each in attached], Path("embedded"))
    assert chosen[:2] == (Path(model), preset)
    assert model in chosen[2]


@pytest.mark.parametrize("layout", drill.LAYOUTS)
def test_a_model_is_found_however_it_is_mounted_and_that_of_the_code_is_none(layout: str, tmp_path: Path) -> None:
    _, dataset, model = (tmp_path / path for path in drill.LAYOUTS[layout])
    code = Path(str(dataset).format(slug="code"))
    attached = Path(str(model).format(slug="model"))
    for folder in (code / "submission" / "models" / "embedded", attached):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        weights(folder / "model.safetensors")
    assert prepare.models(tmp_path, code) == [attached]
    (inputs := tmp_path / "input").mkdir(exist_ok=True)
    (linked := inputs / "linked").symlink_to(code, target_is_directory=True)
    assert prepare.models(linked, code) == [], "not by another path either"


# -- what came along ---------------------------------------------------------------------------------------------


def install(python: Path, inputs: Path) -> subprocess.CompletedProcess[str]:
    program = (
        "import pathlib, sys; from submission.kaggle import prepare as p; print(p.installed(pathlib.Path(sys.argv[1])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([python, "-c", program, inputs], capture_output=True, text=True, env=environment)


def test_wheels_are_installed_without_an_index_and_the_old_torchao_goes(tmp_path: Path) -> None:
    python = drill.image(tmp_path)
    wheelhouse(tmp_path / "input" / "wheels")
    told = install(python, tmp_path / "input")
    assert "small-thing==1.0" in told.stdout, told.stderr
    assert "removed torchao 0.10.0" in told.stdout
    look = "import small_thing, importlib.util as u; print(small_thing.value, u.find_spec('torchao'))"
    assert subprocess.run([python, "-c", look], capture_output=True, text=True).stdout == "7 None\n"
    again = install(python, tmp_path / "input")
    assert again.returncode == 0, "a second time there is nothing to do"
    assert "torchao" not in again.stdout


def test_a_wheel_that_is_not_the_locked_one_is_refused_by_pip_too(tmp_path: Path) -> None:
    python = drill.image(tmp_path)
    wheelhouse(tmp_path / "input" / "wheels")
    lock = tmp_path / "input" / "wheels" / prepare.REQUIREMENTS
    lock.write_text(f"small-thing==1.0 --hash=sha256:{'0' * 64}\n")
    sealed(tmp_path / "input" / "wheels")
    told = install(python, tmp_path / "input")
    assert "BadInput: pip install: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" in told.stderr


def test_without_wheels_and_without_bitsandbytes_there_is_no_run(tmp_path: Path) -> None:
    told = install(drill.image(tmp_path), tmp_path / "input")
    assert "BadInput: bitsandbytes is not installed" in told.stderr


# -- a run, and its end ------------------------------------------------------------------------------------------


def plan(folder: Path, only: tuple[str, ...] = ()) -> KagglePlan:
    working = folder / "working"
    out = working / "canary" if only else working
    out.mkdir(parents=True)
    return KagglePlan(
        folder / "tasks.json", working / "submission.json", out, Path("m"), "laptop", only, 100.0, 200.0, {}, ()
    )


def test_a_run_that_ends_badly_is_gone_on_with_in_the_time_that_is_left(tmp_path: Path) -> None:
    begun, said = plan(tmp_path), []
    times = iter([10.0, 40.0, 70.0])

    def child(words: list[str], left: float) -> int:
        (begun.out / "journal").mkdir(exist_ok=True)
        (begun.out / "journal" / ".run").touch()
        said.append((words[words.index("--minutes") + 1], words[-1], left))
        return -9 if len(said) < 3 else 0

    assert prepare.until_done(begun, child, lambda: next(times)) == 0
    assert said == [("1.500", "--fresh", 190.0), ("1.000", "--resume", 160.0), ("0.500", "--resume", 130.0)]


@pytest.mark.parametrize(("status", "tries"), [(0, 1), (130, 1), (1, 3), (2, 3), (-9, 3)])
def test_what_is_done_or_interrupted_is_not_tried_again(status: int, tries: int, tmp_path: Path) -> None:
    said: list[float] = []

    def child(words: list[str], left: float) -> int:
        said.append(left)
        return status

    assert prepare.until_done(plan(tmp_path), child, lambda: 0.0) == status
    assert len(said) == tries


def test_a_run_beyond_its_time_is_not_begun_again(tmp_path: Path) -> None:
    times = iter([90.0, 150.0])
    said: list[float] = []

    def child(words: list[str], left: float) -> int:
        said.append(left)
        return 1

    assert prepare.until_done(plan(tmp_path), child, lambda: next(times)) == 1
    assert said == [110.0]


def test_the_answers_of_a_few_tasks_are_put_into_the_complete_submission(tmp_path: Path) -> None:
    blank, answer = {"attempt_1": [[0]], "attempt_2": [[0]]}, {"attempt_1": [[5]], "attempt_2": [[0]]}
    begun = plan(tmp_path, only=("a",))
    begun.submission.write_text(json.dumps({"a": [blank], "b": [blank, blank]}))
    assert "2 tasks, 0 of them answered" in prepare.handed_in(begun)
    (begun.out / "submission.json").write_text(json.dumps({"a": [answer]}))
    assert "2 tasks, 1 of them answered" in prepare.handed_in(begun)
    assert json.loads(begun.submission.read_text()) == {"a": [answer], "b": [blank, blank]}


def test_the_hours_are_counted_from_the_start_of_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "pip", lambda *words: None)  # It would remove a torchao of this very interpreter.
    tasks = asked(tmp_path / "input" / "arc-prize-2026", {"t": TASK})
    environ = {**drill.nvidia_smi(tmp_path, "NVIDIA L4, 23034, 8.9\n" * 4), "ARC_STARTED": "1000"}
    made = prepare.prepare(tmp_path, tasks, ROOT, environ, 4000.0)
    assert (made.soft_end, made.hard_end) == (1000 + 11.5 * 3600, 1000 + 11.75 * 3600)
    assert made.hard_end < 1000 + 12 * 3600 - 600
    assert made.out == tmp_path / "working"
    assert "--only" not in made.run(4000.0, resume=False)
    assert made.environment["HF_HUB_OFFLINE"] == "1"
    assert made.environment["HF_HOME"].startswith(str(tmp_path / "temp")), "caches are no output"
    asked(tasks.parent, {"t": TASK}, {"t": TASK})
    canary = prepare.prepare(tmp_path, tasks, ROOT, environ, 4000.0)
    assert (canary.only, canary.soft_end) == (("t",), 4600.0)
    assert canary.out != canary.submission.parent
    assert replace(canary, preset="laptop").check()[0] == "check"
