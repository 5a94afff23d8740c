"""The command line: one sentence and exit status 2 for bad input, nothing overwritten; scoring and voting anew."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from submission.benchmarks import roofline
from submission.cli.commands import COMMANDS, main
from submission.errors import BadInput
from submission.model import memory_plan
from submission.model.grid_lm import fresh
from tests.support.checkpoints import LARGE, config_of, hollow
from tests.support.run_folders import kaggle_files, refused

RUN = ["run", "--set", "search.views=1"]


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
    assert "--preset: poe-l4x4, poe-t4x2, nvarc-l4x4, nvarc-t4x2, ttt-l4x4" in refused(
        capsys, *RUN, "--model", str(large), "--out", str(tmp_path / "out")
    )
    if find_spec("ray") is None:
        assert "pip install -e '.[ray]'" in refused(capsys, *RUN, *model, "--ray", "auto")
    assert "--set" in refused(capsys, "run", *model, "--set", "search.nothing=1")
    assert "--solutions needs" in refused(capsys, *RUN, *model, "--solutions", "x.json")
    assert "--data is not for bench ttt" in refused(capsys, "bench", "ttt", "--data", "arc2-eval")
    assert "--try is not for bench plan, but for network, ttt" in refused(
        capsys, "bench", "plan", "--try", "adapt.rank=8"
    )
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


def test_an_interrupted_command_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "report", interrupted)
    assert main(["report", "anywhere"]) == 130


@pytest.mark.slow
def test_a_run_in_which_every_task_failed_says_so_first_and_ends_with_status_1(tmp_path: Path) -> None:
    model = fresh(hidden=64, layers=2, seed=1)
    with torch.no_grad():
        for weight in (model.model.norm.weight, model.lm_head.weight):
            weight.fill_(1e30)  # finite numbers, whose product is none
    model.save_pretrained(tmp_path / "model")
    out = tmp_path / "out"
    words = ["--model", str(tmp_path / "model"), "--solvers", "network", "--tasks", "2", "--workers", "1"]
    command = [sys.executable, "-m", "submission", *RUN, *words, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 1
    assert done.stderr.startswith("network: every one of the 2 tasks failed, 2 of them with: FloatingPointError: ")
    assert "Traceback" not in done.stderr
    assert "solved 0 of 2" in done.stdout and (out / "report.html").exists()


def test_a_sentence_with_an_endless_name_loses_its_middle() -> None:
    told = str(BadInput(f"{'a' * 9000}: is not there\n  and {'b' * 9000} is not either"))
    first, second = told.split("\n  ")
    assert first.startswith("aaa") and first.endswith("aaa: is not there") and " ... " in first
    assert second.endswith("bbb is not either") and max(map(len, (first, second))) < 2100
    assert str(BadInput("short: is not there")) == "short: is not there"


@pytest.mark.slow
def test_a_run_with_a_preset_for_gpus_is_compared_with_its_plan(
    tmp_path: Path, tiny_grid_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tiny model that counts as a large one: planned are the launches, here of a host ten times as fast."""
    monkeypatch.setattr(memory_plan, "LARGE", 1.0)
    monkeypatch.setattr(roofline, "LAUNCH_SECONDS", roofline.LAUNCH_SECONDS / 10)
    challenges, _ = kaggle_files(tmp_path / "files", {name: [[[1]]] for name in "abcd"})
    words = ["--challenges", str(challenges), "--model", str(tiny_grid_model), "--workers", "1"]
    sets = ["training_rows.copies=1", "search.views=2", "search.scoring_views=0", "model.context=1024"]
    sets += ["adapt.rank=2", "search.megabytes=64", "search.threshold=0.9", "model.threads=1"]
    words += [part for change in sets for part in ("--set", change)]
    out = tmp_path / "out"
    assert main(["run", *words, "--out", str(out), "--preset", "poe-l4x4", "--solvers", "network"]) == 0
    pace = json.loads((out / "summary.json").read_text())["pace"]
    assert pace["tasks"] == 3 and pace["rate"] < 0.8, pace
    assert pace["warning"] in (out / "log.txt").read_text()
