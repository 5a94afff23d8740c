"""The calls that upload a bundle: every part is named, in order, and nothing is pushed by us."""

from __future__ import annotations

from pathlib import Path

from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.push_commands import commands
from tests.support.kaggle_inputs import NAMES

PARTS = ("code", "wheels", "model", "model/weights", "notebook")


def test_the_calls_come_in_the_order_in_which_kaggle_needs_them(tmp_path: Path) -> None:
    text = commands(tmp_path, Names("someone", model_version=1))
    calls = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    assert {words[0] for words in calls} == {"kaggle"}, "all else is a comment"
    assert [" ".join(words[1:3]) for words in calls] == [
        "datasets create", "datasets create", "models create", "models variations", "datasets status",
        "datasets status", "kernels push", "kernels pull", "kernels status", "kernels logs", "competitions submit",
        "competitions submissions",
    ]  # fmt: skip
    named = {part: next(words for words in calls if str(tmp_path / part) in words) for part in PARTS}
    assert named["notebook"][-2:] == ["--accelerator", "NvidiaL4"]
    uploads = [words for words in calls if words[1:3] == ["datasets", "create"] or "variations" in words]
    assert all(words[-2:] == ["-r", "zip"] for words in uploads), "without it folders are left out"
    assert len(uploads) == 3


def test_without_a_model_no_call_names_one() -> None:
    assert "models" not in commands(Path("/bundle"), NAMES)


def test_paths_with_spaces_are_quoted() -> None:
    assert "kaggle datasets create -p '/my bundle/code' -r zip" in commands(Path("/my bundle"), NAMES).splitlines()
