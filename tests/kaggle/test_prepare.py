"""A Kaggle machine: which run this is, what it has, what came along, and a run that is gone on with."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
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
from submission.kaggle.prepare import KagglePlan
from submission.presets import PRESETS
from tests import drill
from tests.support.cases import cases
from tests.support.checkpoints import LARGE, config_of, hollow
from tests.support.fake_gpus import BROKEN, fake_torch, program
from tests.support.kaggle_inputs import TASK, asked, attach, sealed, wheelhouse
from tests.support.refused_checkpoints import REFUSED

ROOT = Path(prepare.__file__).parents[2]
L4 = Gpu("NVIDIA L4", 23034, (8, 9), 0)
T4 = Gpu("Tesla T4", 15360, (7, 5), 0)
P100 = Gpu("Tesla P100-PCIE-16GB", 16384, (6, 0), 0)


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
    assert prepare.canary_tasks(asked(tmp_path, tasks)) == ("t8", "t6", "t3", "t0")
    assert prepare.canary_tasks(asked(tmp_path, {"only": TASK})) == ("only",)


@cases("content", [b"[]", b"[[]]", b"{", b"5", b"\xff\xfe\x00", b"[" * 100_000, b"{}"])
def test_a_file_that_is_no_file_of_tasks_counts_as_scored_and_is_left_to_the_run(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    tasks = asked(tmp_path_factory.mktemp("inputs"), {}, {"t": TASK})
    tasks.write_bytes(content)
    assert not prepare.is_placeholder(tasks)
    assert prepare.canary_tasks(tasks) == ()
    asked(tasks.parent, {"t": TASK})
    tasks.with_name("arc-agi_training_challenges.json").write_bytes(content)
    assert not prepare.is_placeholder(tasks)


def test_odd_tasks_are_not_among_the_few_of_a_run_that_is_not_scored(tmp_path: Path) -> None:
    odd = {"a": None, "b": [], "c": {}, "d": {"train": [], "test": [1]}, "": TASK, "e\n": TASK}
    assert prepare.canary_tasks(asked(tmp_path, {**odd, "good": TASK})) == ("good",)


def test_a_run_skips_bad_tasks_and_gets_ids_of_any_kind_as_they_are(tmp_path: Path) -> None:
    ids = ("00576224", "a,b", "-x", " s ", 'q"', "é b")
    for only in ((), ids):
        begun = plan(tmp_path / str(len(only)), only)
        for resume in (False, True):
            given = parser().parse_args(begun.run(0.0, resume))
            assert given.skip_bad
            assert given.only is None if not only else ids_in(given.only, dict.fromkeys(ids)) == [*ids]


# -- what the machine has ----------------------------------------------------------------------------------------


def test_a_p100_is_refused_and_supported_gpus_are_named() -> None:
    with pytest.raises(BadInput, match="P100.*choose T4 x2 or L4 x4"):
        prepare.require_supported([P100])
    prepare.require_supported([L4] * 4)
    assert "NVIDIA L4 (22.5 GiB)" in prepare.gpu_line([L4] * 4)
    assert prepare.gpu_line([]) == "there is no GPU"


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


ATTACHED = [Path("m")]


def test_outside_the_scored_rerun_a_failing_nvidia_smi_is_an_error_for_an_attached_model(tmp_path: Path) -> None:
    environ = {**os.environ, **program(tmp_path, f'echo "{BROKEN}"; exit 9'), **fake_torch(tmp_path, 4)}
    with pytest.raises(
        BadInput, match="m: needs a GPU, but nvidia-smi failed with exit status 9: NVIDIA-SMI has failed"
    ):
        prepare.gpus_for(ATTACHED, False, environ)
    gpus, failure = prepare.gpus_for([], False, environ)
    assert "NVIDIA-SMI has failed" in failure, "the embedded model needs none, but the failure is reported"
    assert len(gpus) == 4


def test_outside_the_scored_rerun_an_attached_model_without_a_gpu_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="m: needs a GPU, and there is none: .* or detach the model"):
        prepare.gpus_for(ATTACHED, False, {"PATH": str(tmp_path)})
    assert prepare.gpus_for([], False, {"PATH": str(tmp_path)}) == ([], "")
    assert prepare.gpus_for(ATTACHED, False, drill.nvidia_smi(tmp_path, "Tesla T4, 15360, 7.5\n")) == ([T4], "")


def test_the_scored_rerun_asks_torch_where_nvidia_smi_fails(tmp_path: Path) -> None:
    failing = {**os.environ, **program(tmp_path, f'echo "{BROKEN}"; exit 9'), **fake_torch(tmp_path, 4)}
    gpus, failure = prepare.gpus_for(ATTACHED, True, failing)
    assert [gpu.index for gpu in gpus] == [0, 1, 2, 3]
    assert prepare.model_for(gpus, ATTACHED, Path("embedded"))[0] == Path("m")
    assert failure.endswith("torch lists 4 GPUs")
    none = prepare.gpus_for(ATTACHED, True, {**failing, "PATH": str(tmp_path / "nowhere")})
    assert len(none[0]) == 4, "a GPU that nvidia-smi lacks as well"


def test_the_scored_rerun_without_any_gpu_runs_the_embedded_model_and_says_so(tmp_path: Path) -> None:
    failing = {**os.environ, **program(tmp_path, f'echo "{BROKEN}"; exit 9'), **fake_torch(tmp_path, 0)}
    gpus, failure = prepare.gpus_for(ATTACHED, True, failing)
    assert gpus == []
    assert failure.endswith("torch lists 0 GPUs")
    model, line = prepare.model_for(gpus, ATTACHED, Path("embedded"))
    assert model == Path("embedded")
    assert "the embedded model runs instead" in line


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


@pytest.mark.parametrize("layout", drill.LAYOUTS)
def test_a_model_is_found_however_it_is_mounted_and_that_of_the_code_is_none(layout: str, tmp_path: Path) -> None:
    _, dataset, model = (tmp_path / path for path in drill.LAYOUTS[layout])
    code = Path(str(dataset).format(slug="code"))
    attached = Path(str(model).format(slug="model"))
    for folder in (code / "submission" / "models" / "embedded", attached):
        hollow(folder)
    assert prepare.attached_models(tmp_path, code) == [attached]
    (inputs := tmp_path / "input").mkdir(exist_ok=True)
    (linked := inputs / "linked").symlink_to(code, target_is_directory=True)
    assert prepare.attached_models(linked, code) == [], "not by another path either"


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


# -- what came along ---------------------------------------------------------------------------------------------


def installed(python: Path, inputs: Path) -> subprocess.CompletedProcess[str]:
    code = (
        "import pathlib, sys; from submission.kaggle.install import install_wheels; "
        "print(install_wheels(pathlib.Path(sys.argv[1])))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([python, "-c", code, inputs], capture_output=True, text=True, env=environment)


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


def test_without_wheels_and_without_bitsandbytes_there_is_no_run(tmp_path: Path) -> None:
    told = installed(drill.image(tmp_path), tmp_path / "input")
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
    assert made.environment["HF_HOME"].startswith(str(tmp_path / "temp")), "caches are no output"
    asked(tasks.parent, {"t": TASK}, {"t": TASK})
    canary = prepare.prepare(tmp_path, tasks, ROOT, environ, 4000.0)
    assert (canary.only, canary.soft_end) == (("t",), 4600.0)
    assert canary.out != canary.submission.parent
    assert replace(canary, preset="laptop").check()[0] == "check"
