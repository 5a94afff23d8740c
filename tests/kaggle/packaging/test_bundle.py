"""The bundle: the same bytes each time, checked to the last file, and whole by itself."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import build
from submission.errors import BadInput
from submission.kaggle.packaging.bundle import bundle, digests
from submission.kaggle.packaging.image import Profile
from submission.kaggle.packaging.verify import verify
from tests.support.kaggle_inputs import NAMES

ROOT = Path(build.__file__).parent


def test_a_bundle_is_right_as_it_is_made(made: Path, home: Path) -> None:
    assert verify(made, home) == ([], [])


def test_a_bundle_is_the_same_to_the_byte_under_other_clocks_masks_and_languages(
    made: Path, home: Path, ready: Path, tmp_path: Path
) -> None:
    program = (
        "import os, sys; from pathlib import Path; from submission.kaggle.packaging.bundle import bundle; "
        "from submission.kaggle.packaging.image import Profile; "
        "from submission.kaggle.packaging.metadata import Names; os.umask(0o077); "
        "out, home, ready = map(Path, sys.argv[1:]); "
        "bundle(Names('someone', model_version=1), out, Profile('native', home), None, ready)"
    )
    other = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", program, tmp_path / "again", home, ready]
    subprocess.run(words, env={**os.environ, **other}, cwd=tmp_path, check=True)
    assert digests(tmp_path / "again") == digests(made)


def test_the_code_of_a_bundle_is_what_a_run_needs_and_nothing_else(made: Path) -> None:
    files = set(digests(made / "code"))
    package = {path.relative_to(ROOT).as_posix() for path in (ROOT / "submission").rglob("*.py")}
    assert {path for path in files if path.endswith(".py")} == {"kernel_main.py"} | {
        path for path in package if not path.startswith("submission/kaggle/packaging/")
    }
    assert {"LICENSE", "submission/results/report.css", "submission/models/embedded/config.json"} <= files
    assert not [path for path in files if "__pycache__" in path or "trunk" in path or path.startswith("tests")]


def test_every_module_that_a_bundle_imports_is_in_it(made: Path) -> None:
    """By the syntax trees; the test below imports them all."""
    code = {path.relative_to(made / "code").with_suffix("").as_posix() for path in (made / "code").rglob("*.py")}
    known = {name.removesuffix("/__init__").replace("/", ".") for name in code}
    missing = set()
    for name in code:
        for node in ast.walk(ast.parse((made / "code" / f"{name}.py").read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "submission":
                wanted = {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
                missing |= set() if wanted & known else {(name, node.module)}
            elif isinstance(node, ast.Import):
                ours = {alias.name for alias in node.names if alias.name.split(".")[0] == "submission"}
                missing |= {(name, each) for each in ours - known}
    assert missing == set()


@pytest.mark.slow
def test_every_module_of_a_bundle_is_imported_from_the_bundle_alone(made: Path) -> None:
    modules = sorted(
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in digests(made / "code")
        if path.endswith(".py") and not path.endswith("__main__.py") and path != "submission/runner/ray_workers.py"
    )
    program = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        "outside = [m.__file__ for n, m in sys.modules.items() if n.startswith('submission') and m.__file__]\n"
        "print(*{f for f in outside if not f.startswith(sys.argv[1])})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(made / "code")],
        cwd=made / "code", capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


def test_nothing_is_overwritten(made: Path, home: Path) -> None:
    with pytest.raises(BadInput, match="nothing is overwritten"):
        bundle(NAMES, made, Profile("native", home), None, None)
