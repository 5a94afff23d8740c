"""Every fault of a bundle is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import build
from submission.kaggle.packaging.verify import verify


def rewrite(path: str, old: str, new: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new))

    return damage


def cut(folder: Path) -> None:
    path = folder / "model" / "weights" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])


def add_torch(folder: Path) -> None:
    (folder / "wheels" / "wheelhouse" / "torch-2.10.0-cp312-cp312-manylinux_2_28_x86_64.whl").write_bytes(b"x")


def many(folder: Path) -> None:
    for k in range(60):
        (folder / "model" / "weights" / f"part{k}.json").write_text("{}")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "internet on": (
        rewrite("notebook/kernel-metadata.json", '"enable_internet": false', '"enable_internet": true'),
        "enable_internet should be False",
    ),
    "another GPU": (
        rewrite("notebook/kernel-metadata.json", "NvidiaL4", "NvidiaTeslaP100"),
        "machine_shape should be 'NvidiaL4'",
    ),
    "an edited notebook": (rewrite("notebook/arc-submission.ipynb", "SCORED", "RATED"), "bundle again"),
    "edited code": (rewrite("code/submission/solver/solve.py", "import", "import "), "solve.py: was changed"),
    "a missing module": (lambda f: (f / "code" / "submission" / "runner" / "run.py").unlink(), "run.py: is missing"),
    "a file more": (lambda f: (f / "code" / "notes.txt").write_text(""), "notes.txt: does not belong"),
    "no wheel": (lambda f: shutil.rmtree(f / "wheels" / "wheelhouse"), "small-thing==1.0: no wheel has its sha256"),
    "torch": (add_torch, "torch-2.10.0-cp312-cp312-manylinux_2_28_x86_64.whl: must not be shipped"),
    "weights cut off": (cut, "upload the model again"),
    "too many files": (many, "and Kaggle takes 50"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_of_a_bundle_is_found(
    fault: str, copy: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, words = FAULTS[fault]
    damage(copy)
    wrong, _ = verify(copy, home)
    assert any(words in sentence for sentence in wrong), wrong


def test_edited_settings_of_the_notebook_are_a_note_and_wrong_ones_an_error(copy: Path, home: Path) -> None:
    path = "notebook/arc-submission.ipynb"
    rewrite(path, "HOURS = 11.5", "HOURS = 9")(copy)
    assert verify(copy, home) == ([], ["arc-submission.ipynb: edited, HOURS = 9"])
    rewrite(path, "HOURS = 9", "HOURS = 90")(copy)
    assert "HOURS = 90: expected a number" in verify(copy, home)[0][0]
    (copy / path).unlink()
    assert verify(copy, home)[0] == [f"{path}: is missing"]


def test_what_is_no_bundle_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert build.main(["verify", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "is not a bundle" in told
    assert len(told.splitlines()) == 1
