"""A Kaggle machine: which run this is, what it has, what came along, and a run that is gone on with."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from submission.checkpoint.checkpoint import read_checkpoint
from submission.cli.arguments import parser
from submission.cli.inputs import ids_in
from submission.errors import BadInput
from submission.gpus import Gpu
from submission.kaggle import install, prepare
from submission.kaggle.install import REQUIREMENTS
from submission.kaggle.limits import Limits, limits_in
from submission.kaggle.prepare import KagglePlan
from submission.presets import PRESETS
from tests import drill
from tests.support.cases import cases
from tests.support.checkpoints import LARGE, config_of, hollow
from tests.support.fake_gpus import BROKEN, L4, T4, fake_torch, program
from tests.support.kaggle_inputs import TASK, asked, attach, sealed, wheelhouse
from tests.support.refused_checkpoints import REFUSED

ROOT = Path(prepare.__file__).parents[2]


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
    assert prepare.is_scored(tasks, environ, Limits())[0] is scored


def test_the_public_stand_in_is_known_by_its_digest_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = asked(tmp_path, {"t": TASK})
    assert not prepare.is_placeholder(tasks)
    monkeypatch.setattr(prepare, "PLACEHOLDERS", {hashlib.md5(tasks.read_bytes()).hexdigest()})
    assert prepare.is_placeholder(tasks)


def test_the_few_tasks_of_a_run_that_is_not_scored_go_from_the_shortest_to_the_longest(tmp_path: Path) -> None:
    tasks = {f"t{k}": {**TASK, "train": TASK["train"] * (9 - k)} for k in range(9)}
    assert prepare.canary_tasks(asked(tmp_path, tasks), 4) == ("t8", "t6", "t3", "t0")
    assert prepare.canary_tasks(asked(tmp_path, tasks), 1) == ("t8",)
    assert prepare.canary_tasks(asked(tmp_path, {"only": TASK}), 4) == ("only",)


@cases("content", [b"[]", b"[[]]", b"{", b"5", b"\xff\xfe\x00", b"[" * 100_000, b"{}"])
def test_a_file_that_is_no_file_of_tasks_counts_as_scored_and_is_left_to_the_run(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    tasks = asked(tmp_path_factory.mktemp("inputs"), {}, {"t": TASK})
    tasks.write_bytes(content)
    assert not prepare.is_placeholder(tasks)
    assert prepare.canary_tasks(tasks, 4) == ()
    asked(tasks.parent, {"t": TASK})
    tasks.with_name("arc-agi_training_challenges.json").write_bytes(content)
    assert not prepare.is_placeholder(tasks)


def test_odd_tasks_are_not_among_the_few_of_a_run_that_is_not_scored(tmp_path: Path) -> None:
    odd = {"a": None, "b": [], "c": {}, "d": {"train": [], "test": [1]}, "": TASK, "e\n": TASK}
    assert prepare.canary_tasks(asked(tmp_path, {**odd, "good": TASK}), 4) == ("good",)


def test_a_run_skips_bad_tasks_and_gets_ids_of_any_kind_as_they_are(tmp_path: Path) -> None:
    ids = ("00576224", "a,b", "-x", " s ", 'q"', "é b")
    for only in ((), ids):
        begun = plan(tmp_path / str(len(only)), only)
        for resume in (False, True):
            given = parser().parse_args(begun.run(0.0, resume))
            assert given.skip_bad
            assert given.only is None if not only else ids_in(given.only, dict.fromkeys(ids)) == [*ids]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a GPU, to which a competition is attached."""
    monkeypatch.setattr(install, "pip", lambda *words: None)  # It would remove a torchao of this very interpreter.
    asked(tmp_path / "input" / "arc-prize-2026", {f"t{k}": TASK for k in range(9)}, {f"t{k}": TASK for k in range(9)})
    return tmp_path


NO_GPU = {"PATH": "/nowhere"}


def test_the_settings_of_the_notebook_bound_the_run(machine: Path) -> None:
    tasks = machine / "input" / "arc-prize-2026" / drill.TEST_FILE
    few = {"ARC_COMMIT_TASKS": "2", "ARC_COMMIT_MINUTES": "3", "ARC_HOURS": "2"}
    made = prepare.prepare(machine, tasks, ROOT, {**NO_GPU, **COMMIT, **few}, 100.0)
    assert (len(made.only), made.soft_end, made.hard_end) == (2, 100.0 + 180, 100.0 + 7200 + 900)
    assert "2 tasks and 3 minutes at most" in made.notes[0]
    made = prepare.prepare(machine, tasks, ROOT, {**NO_GPU, **SCORED, **few}, 100.0)
    assert (made.only, made.soft_end) == ((), 100.0 + 7200)
    made = prepare.prepare(machine, tasks, ROOT, {**NO_GPU, **SCORED}, 100.0)
    assert (made.soft_end, made.hard_end) == (100.0 + 11.5 * 3600, 100.0 + 11.75 * 3600)


@cases(
    ("name", "text"),
    [("HOURS", "12"), ("HOURS", "0"), ("HOURS", "nan"), ("HOURS", "long"), ("COMMIT_TASKS", "0"),
     ("COMMIT_TASKS", "2.5"), ("COMMIT_MINUTES", "-1")],
)  # fmt: skip
def test_a_setting_of_the_notebook_that_is_out_of_its_range_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadInput, match=f"setting {name} = .*: expected a .*number from"):
        limits_in({f"ARC_{name}": text})


def test_the_public_tasks_of_the_code_run_whole_and_with_their_solutions(machine: Path) -> None:
    code = machine / "input" / "code"
    shutil.copytree(ROOT / "submission" / "models", code / "submission" / "models")
    tasks = asked(code / prepare.PUBLIC_TASKS, {"t": TASK})
    made = prepare.prepare(machine, tasks, code, {**NO_GPU, **COMMIT}, 0.0)
    assert (made.only, made.out, made.soft_end) == ((), machine / "working", 11.5 * 3600)
    given = parser().parse_args(made.run(0.0, False))
    assert (given.challenges, given.solutions) == (tasks, tasks.with_name(prepare.SOLUTIONS))
    assert made.notes[0] == prepare.NO_COMPETITION
    with pytest.raises(BadInput, match="detach the model"):
        attach(machine / "input")
        prepare.prepare(machine, tasks, code, {**NO_GPU, **COMMIT}, 0.0)


# -- what the machine has ----------------------------------------------------------------------------------------


@cases(
    ("gpus", "attached", "model"),
    [([L4] * 4, ["m"], "m"), ([T4] * 2, ["m", "n"], "m"), ([], ["m"], "embedded"), ([L4] * 4, [], "embedded")],
)
def test_the_first_attached_model_runs_where_there_is_a_gpu(gpus: list[Gpu], attached: list[str], model: str) -> None:
    chosen, why = prepare.model_for(gpus, [Path(each) for each in attached], Path("embedded"))
    assert chosen == Path(model)
    assert model in why


OF_LAYOUTS: dict[str, dict[str, Any]] = {
    "architects by size": {"vocab_size": 78}, "architects by name": {"arc_layout": {"name": "architects"}},
    "chat16 by size": {"vocab_size": 16}, "chat16 by name": {"arc_layout": "chat16"},
    "numpy by size": {"vocab_size": 256}, "numpy by name": {"arc_layout": {"name": "numpy"}, "vocab_size": 75},
    "grid16 by name": {"arc_layout": "grid16"},
}  # fmt: skip
"""What a config says of its layout."""

PRESET_OF = {"architects": ("poe-l4x4", "poe-t4x2"), "chat16": ("nvarc-l4x4", "nvarc-t4x2"),
             "numpy": ("ttt-l4x4", None), "grid16": ("laptop", "laptop")}  # fmt: skip
"""Layout -> the preset on L4 x4 and on T4 x2; None: refused."""


@cases("told", list(OF_LAYOUTS))
def test_the_preset_follows_from_the_layout_of_the_model_and_from_the_gpus(
    told: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    config = {key: value for key, value in config_of().items() if key != "arc_layout"} | OF_LAYOUTS[told]
    checkpoint = read_checkpoint(hollow(tmp_path_factory.mktemp("model"), config))
    on_l4, on_t4 = PRESET_OF[told.split()[0]]
    assert prepare.preset_for(checkpoint, [L4] * 4) == on_l4
    if on_t4 is not None:
        assert prepare.preset_for(checkpoint, [T4] * 2) == on_t4
    else:
        with pytest.raises(BadInput, match="there is no preset ttt-t4x2: .* take L4 x4"):
            prepare.preset_for(checkpoint, [T4] * 2)
    assert on_l4 in PRESETS and on_t4 in (*PRESETS, None)


def test_a_layout_that_no_recipe_is_for_is_refused(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(hollow(tmp_path, config_of() | {"arc_layout": "of tomorrow"}))
    with pytest.raises(BadInput, match="no preset is for layout of tomorrow, only for architects, chat16, numpy"):
        prepare.preset_for(checkpoint, [L4])


def test_an_8b_of_layout_chat16_is_in_four_bits_on_an_l4_as_well(tmp_path: Path) -> None:
    qwen3 = {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "vocab_size": 16}
    configs = {"4b": config_of(sizes=LARGE | qwen3), "8b": config_of(sizes=LARGE, vocab_size=16)}
    small, large = (read_checkpoint(hollow(tmp_path / name, config)) for name, config in configs.items())
    assert prepare.preset_for(small, [L4] * 4) == "nvarc-l4x4"
    assert prepare.preset_for(large, [L4] * 4) == "nvarc-t4x2"
    assert prepare.preset_for(replace(large, four_bit=frozenset({"a weight"})), [L4] * 4) == "nvarc-l4x4"


def test_a_run_whose_gpus_nvidia_smi_cannot_count_gets_them_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "pip", lambda *words: None)  # It would remove a torchao of this very interpreter.
    tasks = asked(tmp_path / "input" / "arc-prize-2026", {"t": TASK})
    model = attach(tmp_path / "input")
    environ = {**os.environ, **fake_torch(tmp_path, 4), **program(tmp_path, f'echo "{BROKEN}"; exit 9')}
    environ.pop("CUDA_VISIBLE_DEVICES", None)
    made = prepare.prepare(tmp_path, tasks, ROOT, environ, 0.0)
    assert (made.model, made.preset) == (model, "nvarc-l4x4")
    assert made.environment["CUDA_VISIBLE_DEVICES"] == "0,1,2,3"
    assert any("NVIDIA-SMI has failed" in note for note in made.notes)
    working = {**environ, **drill.nvidia_smi(tmp_path, "NVIDIA L4, 23034, 8.9\n" * 4)}
    made = prepare.prepare(tmp_path, tasks, ROOT, working, 0.0)
    assert "CUDA_VISIBLE_DEVICES" not in made.environment


def test_the_preparation_needs_nothing_but_the_standard_library() -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import submission.kaggle.prepare"
    subprocess.run([sys.executable, "-S", "-I", "-c", program, ROOT], check=True)


@pytest.mark.parametrize("name", ["one missing", "an adapter beside", "GPTQ", "cut short"])
def test_an_attached_model_is_judged_by_the_one_reader(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "pip", lambda *words: None)
    tasks = asked(tmp_path / "input" / "arc-prize-2026", {"t": TASK})
    REFUSED[name].make(tmp_path / "input" / "model")
    gpus = drill.nvidia_smi(tmp_path, "NVIDIA L4, 23034, 8.9\n" * 4)
    with pytest.raises(BadInput, match=REFUSED[name].told):
        prepare.prepare(tmp_path, tasks, ROOT, {**os.environ, **gpus}, 0.0)


SCORED, COMMIT = {"KAGGLE_IS_COMPETITION_RERUN": "1"}, {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}


def two_competitions(inputs: Path) -> None:
    asked(inputs / "arc-prize-2027", {"u": TASK})


def two_models(inputs: Path) -> None:
    attach(inputs)
    hollow(inputs / "other")


def an_adapter(inputs: Path) -> None:
    (inputs / "adapter").mkdir()
    (inputs / "adapter" / "adapter_model.safetensors").touch()


@pytest.mark.parametrize(
    ("more", "told", "model"),
    [
        (two_competitions, "2 competitions are attached", "embedded"),
        (two_models, "2 models are attached", "model"),
        (an_adapter, "adapter_model.safetensors: weights that cannot be used", "embedded"),
    ],
)
def test_what_is_ambiguous_is_refused_by_the_commit_run_and_told_by_the_scored_rerun(
    more: Callable[[Path], None], told: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "pip", lambda *words: None)  # It would remove a torchao of this very interpreter.
    tasks = asked(tmp_path / "input" / "arc-prize-2026", {"t": TASK})
    gpus = drill.nvidia_smi(tmp_path, "NVIDIA L4, 23034, 8.9\n" * 4)
    quiet = prepare.prepare(tmp_path, tasks, ROOT, {**gpus, **COMMIT}, 0.0)
    more(tmp_path / "input")
    with pytest.raises(BadInput, match=told):
        prepare.prepare(tmp_path, tasks, ROOT, {**gpus, **COMMIT}, 0.0)
    made = prepare.prepare(tmp_path, tasks, ROOT, {**gpus, **SCORED}, 0.0)
    assert made.model.name == model
    assert made.tasks == tasks
    assert any(told in note for note in made.notes) and not any(told in note for note in quiet.notes)


@pytest.mark.parametrize("handle", ["sorokin/qwen3_4b_grids15_sft139/Transformers/bfloat16/1", None])
def test_a_model_that_the_bundle_names_must_be_mounted_and_needs_no_manifest_of_ours(
    handle: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kaggle leaves out a model whose licence was not agreed to: the embedded one would run in its place."""
    monkeypatch.setattr(install, "pip", lambda *words: None)
    tasks = asked(tmp_path / "input" / "arc-prize-2026", {"t": TASK})
    code = tmp_path / "code"
    code.mkdir()
    (code / prepare.CODE_MANIFEST).write_text(json.dumps({"accelerator": "l4x4", "model": handle, "files": {}}))
    shutil.copytree(ROOT / "submission" / "models" / "embedded", code / "submission" / "models" / "embedded")
    gpus = drill.nvidia_smi(tmp_path, "NVIDIA L4, 23034, 8.9\n" * 4)
    if handle is None:
        assert prepare.prepare(tmp_path, tasks, code, {**gpus, **COMMIT}, 0.0).model.name == "embedded"
        return
    with pytest.raises(BadInput, match=f"{handle} was to be attached"):
        prepare.prepare(tmp_path, tasks, code, {**gpus, **COMMIT}, 0.0)
    rerun = prepare.prepare(tmp_path, tasks, code, {**gpus, **SCORED}, 0.0)
    assert rerun.model.name == "embedded" and any("was to be attached" in note for note in rerun.notes)
    mounted = hollow(tmp_path / "input" / "models" / Path(handle.replace("Transformers", "transformers")))
    made = prepare.prepare(tmp_path, tasks, code, {**gpus, **COMMIT}, 0.0)
    assert (made.model, made.preset) == (mounted, "nvarc-l4x4")


def test_the_scored_rerun_on_a_p100_runs_the_embedded_model_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "pip", lambda *words: None)
    tasks = asked(tmp_path / "input" / "arc-prize-2026", {"t": TASK})
    attach(tmp_path / "input")
    p100 = drill.nvidia_smi(tmp_path, "Tesla P100-PCIE-16GB, 16384, 6.0\n")
    with pytest.raises(BadInput, match="P100.*choose T4 x2 or L4 x4"):
        prepare.prepare(tmp_path, tasks, ROOT, {**p100, **COMMIT}, 0.0)
    made = prepare.prepare(tmp_path, tasks, ROOT, {**p100, **SCORED}, 0.0)
    assert (made.model.name, made.preset) == ("embedded", "laptop")
    assert made.environment["CUDA_VISIBLE_DEVICES"] == ""
    assert any("P100" in note for note in made.notes)


# -- what came along ---------------------------------------------------------------------------------------------


def installed(python: Path, inputs: Path, scored: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import pathlib, sys; from submission.kaggle.install import install_wheels; "
        "print(install_wheels(pathlib.Path(sys.argv[1]), bool(sys.argv[2])))"
    )
    words = [python, "-c", code, inputs, "scored" if scored else ""]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(words, capture_output=True, text=True, env=environment)


def test_wheels_are_installed_without_an_index_and_the_old_torchao_goes(tmp_path: Path) -> None:
    python = drill.image(tmp_path)
    wheelhouse(tmp_path / "input" / "wheels")
    told = installed(python, tmp_path / "input")
    assert "small-thing==1.0" in told.stdout, told.stderr
    assert "removed torchao 0.10.0" in told.stdout
    look = "import small_thing, importlib.util as u; print(small_thing.value, u.find_spec('torchao'))"
    assert subprocess.run([python, "-c", look], capture_output=True, text=True).stdout == "7 None\n"
    again = installed(python, tmp_path / "input")
    assert again.returncode == 0, "a second time there is nothing to do"
    assert "torchao" not in again.stdout


def test_a_wheel_that_is_not_the_locked_one_is_refused_by_pip_too(tmp_path: Path) -> None:
    python = drill.image(tmp_path)
    wheelhouse(tmp_path / "input" / "wheels")
    lock = tmp_path / "input" / "wheels" / REQUIREMENTS
    lock.write_text(f"small-thing==1.0 --hash=sha256:{'0' * 64}\n")
    sealed(tmp_path / "input" / "wheels")
    told = installed(python, tmp_path / "input")
    assert "BadInput: pip install: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES" in told.stderr


def test_nothing_is_installed_into_the_output_whatever_pip_is_told(tmp_path: Path) -> None:
    """Kaggle fails a notebook's version whose output is an installation."""
    python = drill.image(tmp_path)
    wheelhouse(tmp_path / "input" / "wheels")
    (working := tmp_path / "working").mkdir()
    (tmp_path / "pip.conf").write_text(f"[install]\ntarget = {working / 'by file'}\n")
    told = installed(
        python, tmp_path / "input", PIP_TARGET=str(working / "by variable"), PIP_CONFIG_FILE=str(tmp_path / "pip.conf")
    )
    assert "small-thing==1.0" in told.stdout, told.stderr
    assert list(working.iterdir()) == []
    assert list((tmp_path / "venv").rglob("small_thing.py")), "but beside the interpreter's own packages"


def test_of_two_sets_of_wheels_the_commit_run_wants_one_and_the_scored_rerun_takes_the_first(tmp_path: Path) -> None:
    python = drill.image(tmp_path)
    for name, content in (("a", "value = 7\n"), ("b", "value = 8\n")):
        wheelhouse(tmp_path / "input" / name, content)
    shutil.copytree(tmp_path / "input" / "a", tmp_path / "input" / "same as a")
    told = installed(python, tmp_path / "input")
    assert f"BadInput: 2 sets of wheels are attached, {tmp_path / 'input' / 'a'} and" in told.stderr
    scored = installed(python, tmp_path / "input", scored=True)
    assert f"{tmp_path / 'input' / 'a'} is taken" in scored.stdout, scored.stderr


def test_without_wheels_there_is_no_run_unless_a_bitsandbytes_that_is_new_enough_is_installed(tmp_path: Path) -> None:
    python = drill.image(tmp_path)
    assert "BadInput: bitsandbytes is not installed (0.50 is needed)" in installed(python, tmp_path / "input").stderr
    site = next((tmp_path / "venv").rglob("torchao-0.10.0.dist-info")).parent
    (info := site / "bitsandbytes-0.49.2.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bitsandbytes\nVersion: 0.49.2\n")
    assert "only bitsandbytes 0.49.2 is installed (0.50 is needed)" in installed(python, tmp_path / "input").stderr
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: bitsandbytes\nVersion: 0.50.2\n")
    assert "bitsandbytes 0.50.2 is installed already" in installed(python, tmp_path / "input").stdout


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

    assert prepare.run_with_restarts(begun, child, lambda: next(times)) == 0
    assert said == [("1.500", "--fresh", 190.0), ("1.000", "--resume", 160.0), ("0.500", "--resume", 130.0)]


@pytest.mark.parametrize(("status", "tries"), [(0, 1), (130, 1), (1, 3), (2, 3), (-9, 3)])
def test_what_is_done_or_interrupted_is_not_tried_again(status: int, tries: int, tmp_path: Path) -> None:
    said: list[float] = []

    def child(words: list[str], left: float) -> int:
        said.append(left)
        return status

    assert prepare.run_with_restarts(plan(tmp_path), child, lambda: 0.0) == status
    assert len(said) == tries


def test_a_run_beyond_its_time_is_not_begun_again(tmp_path: Path) -> None:
    times = iter([90.0, 150.0])
    said: list[float] = []

    def child(words: list[str], left: float) -> int:
        said.append(left)
        return 1

    assert prepare.run_with_restarts(plan(tmp_path), child, lambda: next(times)) == 1
    assert said == [110.0]


def test_the_answers_of_a_few_tasks_are_put_into_the_complete_submission(tmp_path: Path) -> None:
    blank, answer = {"attempt_1": [[0]], "attempt_2": [[0]]}, {"attempt_1": [[5]], "attempt_2": [[0]]}
    begun = plan(tmp_path, only=("a",))
    begun.submission.write_text(json.dumps({"a": [blank], "b": [blank, blank]}))
    assert "2 tasks, 0 of them answered" in prepare.merge_canary_answers(begun)
    (begun.out / "submission.json").write_text(json.dumps({"a": [answer]}))
    assert "2 tasks, 1 of them answered" in prepare.merge_canary_answers(begun)
    assert json.loads(begun.submission.read_text()) == {"a": [answer], "b": [blank, blank]}


def test_the_hours_are_counted_from_the_start_of_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install, "pip", lambda *words: None)  # It would remove a torchao of this very interpreter.
    tasks = asked(tmp_path / "input" / "arc-prize-2026", {"t": TASK})
    environ = {**drill.nvidia_smi(tmp_path, "NVIDIA L4, 23034, 8.9\n" * 4), "ARC_STARTED": "1000"}
    made = prepare.prepare(tmp_path, tasks, ROOT, environ, 4000.0)
    assert (made.soft_end, made.hard_end) == (1000 + 11.5 * 3600, 1000 + 11.75 * 3600)
    assert made.hard_end < 1000 + 12 * 3600 - 600
    assert made.out == tmp_path / "working"
    assert "--only" not in made.run(4000.0, resume=False)
    assert made.environment["HF_HUB_OFFLINE"] == "1"
    assert all(made.environment[name].startswith(str(tmp_path / "temp")) for name in prepare.CACHES), "no output"
    asked(tasks.parent, {"t": TASK}, {"t": TASK})
    canary = prepare.prepare(tmp_path, tasks, ROOT, environ, 4000.0)
    assert (canary.only, canary.soft_end) == (("t",), 4600.0)
    assert canary.out != canary.submission.parent
    assert replace(canary, preset="laptop").check()[0] == "check"
