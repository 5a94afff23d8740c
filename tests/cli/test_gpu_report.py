"""`check --gpu`: without a GPU one sentence, with one a line a section and a report that can be sent back."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from submission.benchmarks.gpu_check import SECTIONS, Outcome, failed, ok, skipped
from submission.cli import gpu_report
from submission.cli.arguments import parser
from submission.cli.commands import main
from submission.errors import BadInput
from submission.gpus import Gpu, driver_version
from submission.presets import preset
from tests.support.fake_gpus import fake_torch, program
from tests.support.families import miniature
from tests.support.gpu_orders import on_cpu

T4 = Gpu("Tesla T4", 14912.0, (7, 5), 0)
L4 = Gpu("NVIDIA L4", 22563.0, (8, 9), 0)
H100 = Gpu("NVIDIA H100 80GB HBM3", 81079.0, (9, 0), 0)
RTX = Gpu("NVIDIA GeForce RTX 4050 Laptop GPU", 6140.0, (8, 9), 0)
L40 = Gpu("NVIDIA L40S", 46068.0, (8, 9), 0)


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(["check", "--gpu", *words])


def test_without_a_gpu_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", fake_torch(tmp_path, 0)["PYTHONPATH"])
    out = tmp_path / "report.json"
    assert main(["check", "--gpu", "--out", str(out)]) == 2
    assert capsys.readouterr().err == "check --gpu: torch finds no GPU here\n"
    assert not out.exists()


def test_a_report_is_for_a_gpu_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["check", "--out", str(tmp_path / "report.json")]) == 2
    assert "--out is for check --gpu alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gpu", "preset_name", "blocks", "card"),
    [(T4, "poe-t4x2", 32, "t4"), (L4, "poe-l4x4", 32, "l4"), (H100, "poe-l4x4", 32, "h100"),
     (L40, "poe-l4x4", 32, None), (RTX, "poe-t4x2", 16, None)],
)  # fmt: skip
def test_each_card_gets_its_preset_and_as_many_blocks_as_it_holds(
    gpu: Gpu, preset_name: str, blocks: int, card: str | None
) -> None:
    with gpu_report.order_of(options(), gpu) as (order, name):
        assert (name, order.synthetic_blocks, order.card) == (preset_name, blocks, card)
        assert order.settings.model.device == "cuda"
        assert 2000 <= order.settings.search.megabytes <= preset(name).search.megabytes
        folder = order.model.parent
        assert folder.is_dir()
    assert not folder.exists()


def test_less_disk_means_fewer_blocks_and_no_room_is_said() -> None:
    settings = preset("poe-l4x4")
    assert [gpu_report.blocks_for(settings, H100, disk) for disk in (1e11, 3e9, 1e9)] == [32, 16, 4]
    with pytest.raises(BadInput, match="have no room for 2 blocks of an 8B: name a smaller model"):
        gpu_report.blocks_for(settings, replace(H100, megabytes=2000.0), 1e11)


def test_a_named_model_is_checked_by_the_preset_that_is_named(tmp_path: Path) -> None:
    folder = miniature(tmp_path / "mine", "qwen3")
    words = ("--model", str(folder), "--preset", "nvarc-t4x2", "--set", "search.megabytes=300")
    with gpu_report.order_of(options(*words), T4) as (order, name):
        assert (order.model, order.synthetic_blocks, name) == (folder, 0, "nvarc-t4x2")
        assert order.settings.search.megabytes == 300 and order.settings.adapt.rank == 64
    with (
        pytest.raises(BadInput, match=r"leave out model\.device=cpu"),
        gpu_report.order_of(options("--set", "model.device=cpu"), T4),
    ):
        pass
    with (
        pytest.raises(BadInput, match="no preset is called 'h100'"),
        gpu_report.order_of(options("--preset", "h100"), T4),
    ):
        pass


def test_the_driver_is_told_where_there_is_one(tmp_path: Path) -> None:
    assert driver_version(program(tmp_path, "echo 580.65.06\necho 580.65.06")) == "580.65.06"
    assert driver_version({"PATH": str(tmp_path / "none")}) is None


def test_the_status_is_that_of_the_worst_section_and_each_has_a_line() -> None:
    good = {"load": ok("loaded", {}), "kernels": skipped("unsloth is not installed")}
    assert gpu_report.status_of(good) == "ok"
    assert gpu_report.status_of({**good, "task": failed("no")}) == "failed"
    assert gpu_report.line("load", Outcome("ok", "loaded", {}, 12.4)) == "ok      load         12 s  loaded"


FIELDS: dict[str, Any] = {
    "format": int, "status": str, "seconds": float, "versions": dict, "gpus": list, "model": str, "preset": str,
    "sections": list,
}  # fmt: skip


def require_form(told: dict[str, Any]) -> None:
    """AssertionError unless this is a report of format 1, as its reader may take it to be."""
    assert {name: type(value) for name, value in told.items()} == FIELDS
    assert told["format"] == 1 and told["status"] in ("ok", "failed")
    assert {"python", "torch", "transformers", "bitsandbytes", "unsloth", "driver", "submission"} <= set(
        told["versions"]
    )
    assert all(value is None or isinstance(value, str) for value in told["versions"].values())
    for gpu in told["gpus"]:
        assert gpu["name"] and gpu["compute_capability"].count(".") == 1 and gpu["memory_bytes"] > 1e9
    assert [each["name"] for each in told["sections"]] == list(SECTIONS)
    for each in told["sections"]:
        assert set(each) == {"name", "status", "sentence", "figures", "seconds"}
        assert each["status"] in ("ok", "failed", "skipped") and each["sentence"] and each["seconds"] >= 0
    assert (told["status"] == "failed") == any(each["status"] == "failed" for each in told["sections"])


@pytest.mark.slow
def test_the_whole_command_reports_a_model_that_cannot_be_loaded_on_a_card_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """nvidia-smi and the list of GPUs are made up; the torch of the sections is the real one, and finds no GPU."""
    monkeypatch.setenv("PYTHONPATH", fake_torch(tmp_path, 2)["PYTHONPATH"])
    monkeypatch.setenv("PATH", program(tmp_path, "echo 580.65.06")["PATH"])
    out = tmp_path / "report.json"
    assert main(["check", "--gpu", "--out", str(out)]) == 1
    told = json.loads(out.read_text())
    require_form(told)
    assert told["versions"]["driver"] == "580.65.06" and len(told["gpus"]) == 2
    statuses = {each["name"]: each["status"] for each in told["sections"]}
    assert statuses["load"] == "failed" and statuses["task"] == "skipped"
    assert "torch finds no GPU" in told["sections"][0]["sentence"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("NVIDIA L4, 23.1 GB") and len(lines) == 2 + len(SECTIONS)
    assert lines[-1].startswith("failed after")


@pytest.mark.slow
def test_the_report_of_a_sound_model_has_the_same_form(tmp_path: Path) -> None:
    lines: list[str] = []
    told = gpu_report.report(on_cpu(miniature(tmp_path / "mine", "minitron")), "poe-l4x4", [L4], lines.append)
    require_form(json.loads(json.dumps(told, allow_nan=False)))
    assert told["status"] == "ok" and told["model"] == "mine" and len(lines) == len(SECTIONS)
    assert {each["name"]: each["status"] for each in told["sections"]} == {
        "load": "ok", "attention": "ok", "task": "ok", "memory": "skipped", "rates": "ok", "embedded": "ok",
        "kernels": "skipped",
    }  # fmt: skip
    assert [line.split()[1] for line in lines] == list(SECTIONS)
