"""The bundle: the same bytes each time, checked to the last file, and whole by itself."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import build
import kernel_main
from submission.arc.task_files import read_challenges
from submission.errors import BadInput
from submission.kaggle import prepare
from submission.kaggle.packaging.bundle import bundle, digests
from submission.kaggle.packaging.image import Profile
from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.verify import read_bundle, verify
from tests.support.cases import cases
from tests.support.kaggle_inputs import NAMES

ROOT = Path(build.__file__).parent


def test_a_bundle_is_right_as_it_is_made(made: Path, home: Path) -> None:
    assert verify(made, home) == ([], [])


HANDLE = "sorokin/qwen3_4b_grids15_sft139/Transformers/bfloat16/1"


def test_a_published_model_is_attached_without_its_files_and_what_is_unchecked_is_told(
    home: Path, tmp_path: Path
) -> None:
    out, names = tmp_path / "bundle", Names("someone", accelerator="l4x4", model_source=HANDLE)
    *_, told = bundle(names, out, Profile("native", home), None, None)
    assert told.startswith(f"model {HANDLE}: is attached from Kaggle") and "no hash" in told
    assert not (out / "model").exists()
    assert json.loads((out / "notebook" / "kernel-metadata.json").read_text())["model_sources"] == [HANDLE]
    assert json.loads((out / "code" / "code_manifest.json").read_text())["model"] == HANDLE
    assert verify(out, home) == ([], [told])
    assert read_bundle(out)[0] == names


@pytest.mark.parametrize("others", [["--model", "ready"], []])
def test_a_handle_that_is_none_and_a_second_model_are_refused(
    others: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handle = HANDLE if others else "someone/model"
    words = ["bundle", "--owner", "someone", "--out", str(tmp_path / "out"), "--model-source", handle, *others]
    try:
        status = build.main(words)
    except SystemExit as error:
        status = int(error.code or 0)
    assert status == 2
    assert "--model-source" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bundle_is_the_same_to_the_byte_under_other_clocks_masks_and_languages(
    made: Path, home: Path, ready: Path, tmp_path: Path
) -> None:
    program = (
        "import os, sys; from pathlib import Path; from submission.kaggle.packaging.bundle import bundle; "
        "from submission.kaggle.packaging.image import Profile; "
        "from submission.kaggle.packaging.metadata import Names; os.umask(0o077); "
        "out, home, ready = map(Path, sys.argv[1:]); "
        "names = Names('someone', accelerator='l4x4', model_version=1, licence='MIT'); "
        "bundle(names, out, Profile('native', home), None, ready)"
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


def test_without_a_competition_the_public_tasks_go_along_and_are_in_the_manifest(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    public = build._public_tasks("arc1-eval")
    bundle(Names("someone", competition="none"), out, Profile("native", home), None, None, public)
    assert verify(out, home) == ([], [])
    tasks, solutions = (out / "code" / prepare.PUBLIC_TASKS / name for name in (prepare.TASKS, prepare.SOLUTIONS))
    assert len(read_challenges(tasks)) == 400 == len(json.loads(solutions.read_bytes()))
    manifest = json.loads((out / "code" / prepare.CODE_MANIFEST).read_bytes())["files"]
    assert f"{prepare.PUBLIC_TASKS}/{prepare.SOLUTIONS}" in manifest
    assert kernel_main.TASKS == prepare.TASKS


@cases(
    ("words", "told"),
    [
        (["--license", "MIT"], "--license is that of a model's weights: it needs --model"),
        (["--data", "arc1-eval"], "--data needs --competition none"),
        (["--model", "DIR"], "--license is needed: name the licence"),
        (["--model", "DIR", "--license", "MIT", "--accelerator", "none"], "an attached model needs a GPU"),
        (["--competition", "none", "--accelerator", "l4x4"], "only participants of a competition get L4 x4"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(
    words: list[str], told: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as printed:
        out = tmp_path_factory.mktemp("out") / "bundle"
        assert build.main(["bundle", "--owner", "someone", "--out", str(out), *words]) == 2
    assert told in printed.getvalue() and len(printed.getvalue().splitlines()) == 1
    assert not out.exists()


def test_a_licence_that_is_none_of_kaggles_names_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build.main(["bundle", "--owner", "someone", "--out", str(tmp_path), "--model", "m", "--license", "llama3"])
    assert ended.value.code == 2
    assert "'llama3' (choose from" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--wheel"], ["--sdist", "--outdir", "x"]])
def test_pythons_m_build_is_told_what_it_runs_and_what_to_call_instead(words: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "build", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "pyproject-build" in done.stderr and len(done.stderr.splitlines()) == 1


def test_nothing_is_overwritten(made: Path, home: Path) -> None:
    with pytest.raises(BadInput, match="nothing is overwritten"):
        bundle(NAMES, made, Profile("native", home), None, None)
