"""The source distribution is the whole repository, and the wheel has every file that the installed package reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
OURS = ("build.py", "kernel_main.py", "pyproject.toml", "MANIFEST.in", "LICENSE", ".gitignore", *ROOT.glob("*.md"))
FOLDERS = (".ci", "docs", "offline_wheels", "submission", "tests")
NOT_OURS = shutil.ignore_patterns("__pycache__", "*.whl", "native", "unsloth")


def test_every_file_of_the_package_that_is_no_code_is_package_data() -> None:
    package = ROOT / "submission"
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["submission"]
    data = {path for pattern in patterns for path in package.glob(pattern)}
    others = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others - data == set((package / "models" / "trunk").iterdir()), "all but what training goes on from"
    assert package / "py.typed" in data


def test_the_classifiers_name_the_versions_of_python_that_are_allowed() -> None:
    named = [each for each in PROJECT["project"]["classifiers"] if "Python :: 3." in each]
    assert named[0].endswith(PROJECT["project"]["requires-python"].removeprefix(">="))
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


@pytest.mark.slow
def test_the_source_distribution_is_the_repository_and_the_wheel_is_whole(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=NOT_OURS)
    for name in OURS:
        shutil.copy(ROOT / name, copy)
    program = "from setuptools import build_meta as b; b.build_sdist('.'); b.build_wheel('.')"
    done = subprocess.run([sys.executable, "-c", program], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (source,), (wheel,) = copy.glob("*.tar.gz"), copy.glob("*.whl")
    with tarfile.open(source) as file:
        packed = {name.partition("/")[2] for name in file.getnames()}
    here = {path.relative_to(ROOT) for name in FOLDERS for path in (ROOT / name).rglob("*") if path.is_file()}
    wanted = {path.as_posix() for path in here if not {"__pycache__", "native", "unsloth"} & set(path.parts)}
    assert wanted | {Path(name).name for name in OURS} <= packed
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "submission/py.typed",
        "submission/models/embedded/model.safetensors",
        "submission/results/report.js",
    } <= names
    assert not [name for name in names if name.split("/")[0] in ("tests", "docs") or "trunk" in name]
