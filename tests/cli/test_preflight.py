"""`check`: what is wrong with a machine or a folder is said in a sentence, before it costs a run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from submission.arc.layouts import CHAT16, GRID16
from submission.benchmarks.rates import SHAPE_8B
from submission.checkpoint.checkpoint import read_checkpoint
from submission.cli import preflight
from submission.cli.commands import main
from submission.cli.findings import Finding, passed
from submission.cli.library_versions import installed_versions, judged_versions
from submission.config import EMBEDDED, Settings, with_changes
from submission.gpus import Gpu
from submission.model.memory_plan import CARDS
from submission.presets import preset
from submission.versions import KAGGLE_IMAGE
from tests.support.checkpoints import ACCEPTED
from tests.support.families import miniature

IMAGE_WITH_WHEEL = {**KAGGLE_IMAGE, "bitsandbytes": "0.50.1"}
"""What a notebook has once the wheel is installed."""

T4 = Gpu("Tesla T4", 15.6e9 / 2**20, (7, 5), 0)
L4 = Gpu("NVIDIA L4", 23.6e9 / 2**20, (8, 9), 0)
P100 = Gpu("Tesla P100-PCIE-16GB", 17.0e9 / 2**20, (6, 0), 0)


def levels(findings: list[Finding]) -> dict[str, str]:
    return {each.subject: each.level for each in findings}


def test_the_image_of_kaggle_fits_and_its_torchao_is_told_of() -> None:
    found = levels(judged_versions(IMAGE_WITH_WHEEL))
    assert {name for name, level in found.items() if level != "pass"} == {"torchao"}
    assert found["torchao"] == "warn"
    assert "torchao" not in levels(judged_versions({**IMAGE_WITH_WHEEL, "torchao": None}))
    assert "torchao" not in levels(judged_versions({**IMAGE_WITH_WHEEL, "torchao": "0.16.0"}))
    assert "torchao" not in levels(judged_versions({**IMAGE_WITH_WHEEL, "peft": "0.18.1"}))


@pytest.mark.parametrize(
    ("name", "there", "level"),
    [
        ("bitsandbytes", None, "fail"), ("torch", "2.9.1+cu128", "fail"), ("torch", "2.10.0+cu128", "pass"),
        ("transformers", "4.57.1", "fail"), ("transformers", "5.24.0", "pass"), ("transformers", "5.25.0", "warn"),
        ("numpy", "2.5.0", "warn"),
        ("python", "3.10.14", "fail"), ("peft", "0.18.0", "pass"),
    ],
)  # fmt: skip
def test_a_version_is_fit_untried_or_too_old(name: str, there: str | None, level: str) -> None:
    findings = judged_versions({**IMAGE_WITH_WHEEL, name: there})
    assert levels(findings)[name] == level
    [told] = [each.sentence for each in findings if each.subject == name]
    assert (there or "not installed") in told


def test_this_environment_is_fit() -> None:
    assert passed(judged_versions(installed_versions()))


def test_gpus_are_judged_by_what_they_can_compute() -> None:
    sentences = [each.sentence for each in preflight.judged_gpus([P100, T4, L4])]
    assert [each.level for each in preflight.judged_gpus([P100, T4, L4])] == ["fail", "pass", "pass"]
    assert "no kernels" in sentences[0]
    assert "float16" in sentences[1] and "bfloat16" in sentences[2]
    assert [each.level for each in preflight.judged_gpus([])] == ["pass"]


def test_the_gpus_are_counted_for_a_preset_that_is_for_gpus() -> None:
    told = {n: preflight.judged_number([T4] * n, "poe-t4x2") for n in (0, 1, 2)}
    assert told[0] == []
    assert told[1][0].level == "warn" and "is planned for 2: the run plans its time by 1" in told[1][0].sentence
    assert told[2][0].level == "pass"
    assert preflight.judged_number([T4], "laptop") == []


def test_the_disk_needs_room() -> None:
    assert [preflight.judged_disk(free).level for free in (1e8, 1e9, 1e10)] == ["fail", "warn", "pass"]


def test_memory_is_judged_on_the_gpus_here_or_on_those_of_the_preset() -> None:
    for name, cards in (("poe-t4x2", []), ("poe-l4x4", []), ("poe-t4x2", [T4, T4]), ("poe-l4x4", [L4] * 4)):
        findings = preflight.judged_memory(SHAPE_8B, preset(name), name, cards)
        assert [each.level for each in findings] == ["pass"], findings
        assert ("not here" in findings[0].sentence) == (not cards)


def test_what_does_not_fit_is_told_with_what_would() -> None:
    t4, whole = preset("poe-t4x2"), replace(SHAPE_8B, vocabulary=131_072)
    hungry = with_changes(t4, ["search.megabytes=12000"])
    assert "lower search.megabytes" in preflight.judged_memory(SHAPE_8B, hungry, "poe-t4x2", [])[1].sentence
    frozen = with_changes(t4, ["search.megabytes=1000", "adapt.ends=off"])
    [_, short] = preflight.judged_memory(whole, frozen, "poe-t4x2", [])
    assert (short.level, "longer ones are shortened" in short.sentence) == ("warn", True)
    assert "cut the vocabulary by `python -m submission shrink`" in short.sentence
    tiny = with_changes(t4, ["search.megabytes=100", "model.gigabytes=9", "model.context=9000"])
    *_, long = preflight.judged_memory(SHAPE_8B, tiny, "poe-t4x2", [])
    assert "trained for 8192 tokens" in long.sentence
    no_room = with_changes(t4, ["search.megabytes=100", "model.gigabytes=7"])
    assert "fail" in levels(preflight.judged_memory(SHAPE_8B, no_room, "poe-t4x2", [])).values()
    windowed = preflight.judged_memory(replace(SHAPE_8B, window=4096), t4, "poe-t4x2", [])
    assert windowed[-1].level == "fail" and "last 4096 tokens only" in windowed[-1].sentence
    assert CARDS["t4"] < CARDS["l4"]


def test_the_weights_are_told_with_what_lies_beside_them(tmp_path: Path) -> None:
    for name, levels_told in (("whole", ["pass"]), ("NF4", ["pass"]), ("consolidated beside", ["pass", "warn"])):
        ACCEPTED[name](tmp_path / name)
        findings = preflight.judged_weights(read_checkpoint(tmp_path / name))
        assert [each.level for each in findings] == levels_told
        assert ("in NF4" in findings[0].sentence) == (name == "NF4")
    assert "consolidated.safetensors: not used" in findings[1].sentence


def test_files_are_held_against_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert [each.level for each in preflight.judged_manifest(tmp_path)] == ["skip"]
    right = hashlib.sha256(b"{}").hexdigest()
    manifest = tmp_path / "manifest.json"
    for files, level, told in (
        ({"config.json": right}, "pass", "all files"),
        ({"config.json": right[::-1]}, "fail", "config.json: is not"),
        ({"config.json": right, "model.safetensors": right}, "fail", "model.safetensors: is missing"),
    ):
        manifest.write_text(json.dumps({"files": files}))
        [finding] = preflight.judged_manifest(tmp_path)
        assert finding.level == level
        assert told in finding.sentence
    manifest.write_text("[]")
    assert "cannot be read" in preflight.judged_manifest(tmp_path)[0].sentence


def test_a_layout_that_loses_grids_is_found() -> None:
    assert preflight.judged_layout(GRID16).level == "pass"
    confused = replace(CHAT16, cells=(0, 0, *range(2, 10)))
    assert preflight.judged_layout(confused).level == "fail"


def test_the_command_passes_for_the_embedded_model_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0
    told = capsys.readouterr().out
    assert "tiny task" in told and "attempts after" in told
    assert "pass  layout fit    the layout fits: grid16" in told
    assert "fail" not in told.split()
    assert list(tmp_path.iterdir()) == []


def test_the_command_fails_for_a_broken_model_and_refuses_what_is_none(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = miniature(tmp_path / "model", "minitron", "architects")
    (folder / "manifest.json").write_text(json.dumps({"files": {"model.safetensors": "0" * 64}}))
    assert main(["check", "--model", str(folder)]) == 1
    told = capsys.readouterr().out
    assert "is not the file that manifest.json names" in told
    assert "not tried: a check above has failed" in told
    assert main(["check", "--model", str(tmp_path)]) == 2
    assert "config.json" in capsys.readouterr().err
    assert main(["check", "--preset", "h100"]) == 2
    assert "no preset" in capsys.readouterr().err


def test_a_checkpoint_of_another_kind_is_a_finding_not_a_crash(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = miniature(tmp_path / "model", "llama-3.1", "numpy")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    assert main(["check", "--model", str(folder)]) == 1
    assert "neither a tokenizer nor an arc_layout" in capsys.readouterr().out


def test_a_layout_that_the_weights_were_not_trained_in_is_a_warning(tmp_path: Path) -> None:
    settings = Settings()
    random = preflight.judged_fit(miniature(tmp_path / "model", "qwen3"), settings, 1e5, on_gpu=False)
    assert random.level == "warn" and "does not look trained on this layout: chat16" in random.sentence
    large = preflight.judged_fit(Path("nowhere"), settings, 7e9, on_gpu=False)
    assert (large.level, large.sentence) == ("skip", "not measured: 7.0 billion weights without a GPU")
    none = preflight.judged_fit(Path("nowhere"), settings, 7e9, on_gpu=True)
    assert none.level == "fail" and "nowhere" in none.sentence


def test_a_training_that_breaks_is_a_finding_not_a_crash() -> None:
    settings = Settings()
    nothing = preflight.tiny_task_solved(Path("nowhere"), settings)
    assert nothing.level == "fail" and "nowhere" in nothing.sentence
    hot = with_changes(preset("laptop"), ["adapt.rate=1e30", "adapt.clip=1e30", "adapt.warmup=0"])
    broken = preflight.tiny_task_solved(EMBEDDED, hot)
    assert broken.level == "fail" and "not finite" in broken.sentence
