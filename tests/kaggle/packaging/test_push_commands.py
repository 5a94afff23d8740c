"""The calls that upload a bundle: every part is named, in order, and nothing is pushed by us."""

from __future__ import annotations

from pathlib import Path

from submission.kaggle.packaging.metadata import CLOSED, COMPETITION, Names
from submission.kaggle.packaging.push_commands import commands
from tests.support.kaggle_inputs import NAMES, NAMES_WITH_MODEL

PARTS = ("code", "wheels", "model", "model/weights", "notebook")


def test_the_calls_come_in_the_order_in_which_kaggle_needs_them(tmp_path: Path) -> None:
    text = commands(tmp_path, NAMES_WITH_MODEL)
    calls = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert {words[0] for words in calls} == {"kaggle"}, "all else is a comment"
    assert [" ".join(words[1:3]) for words in calls] == [
        "datasets create", "datasets create", "models create", "models variations", "datasets status",
        "datasets status", "kernels push", "kernels pull", "kernels status", "kernels logs", "kernels output",
        "competitions submit", "competitions submissions",
    ]  # fmt: skip
    named = {part: next(words for words in calls if str(tmp_path / part) in words) for part in PARTS}
    assert named["notebook"][-2:] == ["--accelerator", "NvidiaL4"]
    uploads = [words for words in calls if words[1:3] == ["datasets", "create"] or "variations" in words]
    assert all(words[-2:] == ["-r", "zip"] for words in uploads), "without it folders are left out"
    assert len(uploads) == 3


def test_without_a_model_no_call_names_one_and_without_a_gpu_none_is_asked_for() -> None:
    text = commands(Path("/bundle"), NAMES)
    assert "models" not in text
    assert "--accelerator" not in text and "Quota" not in text and "machine_shape" not in text


def test_the_client_is_installed_with_the_package_that_it_forgets_to_require() -> None:
    assert "pip install 'kaggle>=2' six" in commands(Path("/bundle"), NAMES)


def test_a_competition_that_has_closed_is_told_with_what_is_left_to_do() -> None:
    assert CLOSED[COMPETITION] in commands(Path("/bundle"), NAMES)
    assert "late submissions" in commands(Path("/bundle"), NAMES)
    assert "closed" not in commands(Path("/bundle"), Names("someone", competition="arc-prize-2027"))


def test_without_a_competition_nothing_is_joined_or_submitted() -> None:
    text = commands(Path("/bundle"), Names("someone", competition="none"))
    assert "kaggle competitions" not in text and "Join" not in text and "canary" not in text
    assert "kaggle kernels push" in text


def test_a_model_that_is_on_kaggle_is_listed_and_not_uploaded(tmp_path: Path) -> None:
    handle = "sorokin/qwen3_4b_grids15_sft139/Transformers/bfloat16/1"
    text = commands(tmp_path, Names("someone", accelerator="l4x4", model_source=handle))
    calls = [line for line in text.splitlines() if line.startswith("kaggle models")]
    assert calls == [f"kaggle models variations versions files {handle}"]
    assert "agree to a licence" in text


def test_paths_with_spaces_are_quoted() -> None:
    assert "kaggle datasets create -p '/my bundle/code' -r zip" in commands(Path("/my bundle"), NAMES).splitlines()
