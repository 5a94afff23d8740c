"""The calls that upload a bundle: every part is named, in order, and nothing is pushed by us."""

from __future__ import annotations

from pathlib import Path

from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.push_commands import commands
from tests.support.kaggle_inputs import NAMES


def test_the_commands_name_every_part_and_push_nothing(made: Path, tmp_path: Path) -> None:
    text = commands(made, Names("someone", model_version=1))
    for words in ("datasets create", "models variations create", "kernels push", "kernels pull", "competitions submit"):
        assert f"kaggle {words}" in text
    uploads = [
        line for line in text.splitlines() if line.startswith(("kaggle datasets create", "kaggle models variations"))
    ]
    assert all("-r zip" in line for line in uploads), "without it folders are left out"
    assert "--accelerator NvidiaL4" in text
    assert "models" not in commands(made, NAMES)
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "kaggle "))]
    assert lines == []
