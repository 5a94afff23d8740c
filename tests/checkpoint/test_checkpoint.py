"""The one judgement of a model folder: each kind of damage has its sentence, and all commands say the same."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from submission.checkpoint.checkpoint import read_checkpoint
from submission.cli.commands import main
from submission.config import EMBEDDED, Model
from submission.errors import BadInput
from submission.model.loading import load_base
from tests.support.checkpoints import ACCEPTED, LARGE, SMALL, config_of, hollow
from tests.support.refused_checkpoints import REFUSED


@pytest.mark.parametrize("name", REFUSED)
def test_a_folder_that_cannot_be_used_is_refused_in_one_sentence_within_a_second(name: str, tmp_path: Path) -> None:
    REFUSED[name].make(tmp_path / "model")
    began = time.monotonic()
    with pytest.raises(BadInput, match=REFUSED[name].told) as refused:
        read_checkpoint(tmp_path / "model")
    assert time.monotonic() - began < 1
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith(str(tmp_path / "model")), "it names the place"


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_folder_that_can_be_used_is_taken(name: str, tmp_path: Path) -> None:
    ACCEPTED[name](tmp_path / "model")
    checkpoint = read_checkpoint(tmp_path / "model")
    assert checkpoint.vocabulary == SMALL["vocab_size"]
    assert len(checkpoint.four_bit) == (14 if name.startswith("NF4") else 0)
    assert [path.name for path in checkpoint.files if "consolidated" in path.name] == []
    beside = name in ("consolidated beside", "a stale index beside")
    assert len(checkpoint.notes()) == beside


@pytest.mark.parametrize("name", [name for name in ACCEPTED if not name.startswith("NF4")])
def test_the_library_takes_what_was_taken(name: str, tmp_path: Path) -> None:
    ACCEPTED[name](tmp_path / "model")
    model = load_base(tmp_path / "model", Model(device="cpu", four_bit=False), "cpu")
    assert model.config.vocab_size == SMALL["vocab_size"]


@pytest.mark.parametrize("folder", [EMBEDDED, EMBEDDED.with_name("trunk")])
def test_the_models_of_the_repository_pass(folder: Path) -> None:
    assert read_checkpoint(folder).model_type == "qwen3_vl_text"
    assert not read_checkpoint(folder).notes()


def test_a_folder_that_may_not_be_looked_into_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read as a model folder"):
        read_checkpoint(tmp_path / ("x" * 300))


# -- no command accepts a model folder that another one refuses --------------------------------------------------------


def command_lines(model: Path, out: Path) -> dict[str, Callable[[], int]]:
    """Every command that takes a model folder, as a call that returns its exit status."""
    words = {
        "run": ["run", "--model", str(model), "--out", str(out), "--only", "66e6c45b"],
        "run, its preset named": ["run", "--model", str(model), "--preset", "laptop", "--out", str(out)],
        "run, programs alone": ["run", "--model", str(model), "--out", str(out), "--solvers", "programs"],
        "run, as a writer": ["run", "--set", f"programs.writer={str(model)!r}", "--out", str(out)],
        "check": ["check", "--model", str(model)],
        "shrink": ["shrink", "--model", str(model), "--layout", "architects", "--out", str(out)],
        "bench plan": ["bench", "plan", "--model", str(model), "--preset", "l4x4"],
        "bench ttt": ["bench", "ttt", "--model", str(model)],
        "bench search": ["bench", "search", "--model", str(model)],
        "bench scaling": ["bench", "scaling", "--model", str(model), "--out", str(out)],
        "pretrain --base": ["pretrain", "--base", str(model), "--minutes", "1", "--out", str(out)],
        "pretrain --select": ["pretrain", "--select", str(model), "--minutes", "1", "--out", str(out)],
    }
    uploads = {
        "build.py model": ["model", str(model), "--out", str(out)],
        "build.py model --shrink": ["model", str(model), "--shrink", "architects", "--out", str(out)],
        "build.py model --quantize": ["model", str(model), "--quantize", "--out", str(out)],
        "build.py bundle": ["bundle", "--owner", "someone", "--model", str(model), "--out", str(out)],
    }
    return {name: lambda each=each: main(each) for name, each in words.items()} | {
        name: lambda each=each: build.main(each) for name, each in uploads.items()
    }


@pytest.mark.parametrize("name", REFUSED)
def test_what_one_command_refuses_all_refuse_with_the_same_sentence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    REFUSED[name].make(tmp_path / "model")
    with pytest.raises(BadInput) as refused:
        read_checkpoint(tmp_path / "model")
    for command, call in command_lines(tmp_path / "model", tmp_path / "out").items():
        status, told = call(), capsys.readouterr()
        assert (command, status, told.err) == (command, 2, f"{refused.value}\n")
        assert not (tmp_path / "out").exists(), f"{command}: nothing is written"


PURPOSE = {
    "pretrain --base": "quantized already",
    "pretrain --select": "and this is none",
    "build.py model --quantize": "quantized already",
    "build.py bundle": r"run `python build\.py model",
    "shrink": "made for layout chat16",
}
"""Why a command may refuse a folder that is right: it is for another purpose. All else is taken."""


def test_a_refusal_by_purpose_is_no_other_judgement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ACCEPTED["NF4"](tmp_path / "model")
    commands = command_lines(tmp_path / "model", tmp_path / "out")
    for command in PURPOSE:
        assert commands[command]() == 2, command
        assert re.search(PURPOSE[command], capsys.readouterr().err), command
    assert not (tmp_path / "out").exists()


def test_a_large_model_is_judged_before_its_preset_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hollow(tmp_path / "large", config_of(sizes=LARGE))
    assert main(["run", "--model", str(tmp_path / "large"), "--out", str(tmp_path / "out")]) == 2
    assert "is a large model; name the settings for it by --preset" in capsys.readouterr().err
    (tmp_path / "large" / "model.safetensors").unlink()
    assert main(["run", "--model", str(tmp_path / "large"), "--out", str(tmp_path / "out")]) == 2
    assert "the weights are missing" in capsys.readouterr().err
