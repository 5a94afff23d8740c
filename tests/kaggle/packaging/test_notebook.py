"""The notebook: readable Python that checks, runs and shows the result, with one cell that may be edited."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from submission.errors import BadInput
from submission.kaggle.limits import Limits, limits_in
from submission.kaggle.packaging.metadata import Names
from submission.kaggle.packaging.notebook import SETTINGS, edited_settings, notebook, settings_in
from tests.support.cases import cases
from tests.support.kaggle_inputs import NAMES


def cells(names: Names = NAMES) -> dict[str, str]:
    """The sources of the cells, by id."""
    return {cell["id"]: "".join(cell["source"]) for cell in json.loads(notebook(names))["cells"]}


def test_the_notebook_is_readable_python_and_says_before_each_cell_what_it_does() -> None:
    found = cells()
    code = ["settings", "check", "run", "result"]
    assert list(found) == ["title", *(each for name in code for each in (f"about-{name}", name))]
    for name in code:
        ast.parse(found[name])
        assert found[f"about-{name}"].lower().startswith(f"**{name}.**")
    assert "base64" not in str(found)
    assert "someone/arc-submission-code" in found["title"]
    whole = json.loads(notebook(NAMES))["cells"]
    assert all(cell["outputs"] == [] for cell in whole if cell["cell_type"] == "code")
    assert notebook(NAMES) == notebook(NAMES)


def test_the_title_says_which_tasks_run() -> None:
    assert "in the scored rerun, all of them" in cells()["title"]
    assert "No competition is attached" in cells(Names("someone", competition="none"))["title"]


def with_settings(source: str) -> bytes:
    """The notebook with another cell of settings, as an editor saves it: other metadata, other spaces."""
    content = json.loads(notebook(NAMES))
    cell = next(cell for cell in content["cells"] if cell["id"] == "settings")
    cell["source"] = source
    content["metadata"]["kaggle"] = {"accelerator": "none"}
    return json.dumps(content, indent=2).encode()


def test_the_settings_may_be_edited_and_are_told() -> None:
    assert edited_settings(notebook(NAMES), NAMES) == {}
    edited = SETTINGS.replace("CHANGES = []", "CHANGES = ['search.views=8']").replace("HOURS = 11.5", "HOURS = 3")
    assert edited_settings(with_settings(edited), NAMES) == {"CHANGES": ["search.views=8"], "HOURS": 3}
    assert limits_in({f"ARC_{name}": str(value) for name, value in settings_in(SETTINGS).items()}) == Limits()


@cases(
    ("edited", "told"),
    [
        (SETTINGS.replace("HOURS = 11.5", "HOURS = 13"), "HOURS = 13: expected a number from 0.05 to 11.5"),
        (SETTINGS.replace("COMMIT_TASKS = 4", "COMMIT_TASKS = True"), "COMMIT_TASKS = True: expected a whole number"),
        (SETTINGS.replace("CHANGES = []", "CHANGES = 'search.views=8'"), "expected a list of texts NAME=VALUE"),
        (SETTINGS.replace("CHANGES = []", "CHANGES = ['search.whole=1']"), "search.whole"),
        (SETTINGS.replace("network,programs", "both"), "SOLVERS = 'both': expected network, programs, or both"),
        (SETTINGS + "PRESET = 'laptop'\n", "no setting PRESET"),
        (SETTINGS.replace("SOLVERS = ", "NONE = "), "no setting NONE"),
        ("HOURS = 3", "SOLVERS is missing"),
        (SETTINGS + "import os\n", "NAME = VALUE, line by line, not import os"),
        (SETTINGS.replace("11.5", "open('x')"), "cannot be read"),
        ("HOURS =", "cannot be read"),
    ],
)
def test_settings_that_the_run_would_refuse_or_that_do_more_are_refused(edited: str, told: str) -> None:
    with pytest.raises(BadInput) as refused:
        edited_settings(with_settings(edited), NAMES)
    assert told in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@cases("content", [b"{", b"[]", b'{"cells": [{}]}', b'{"cells": 5}'])
def test_what_is_no_notebook_is_refused(content: bytes) -> None:
    with pytest.raises(BadInput, match="is not a notebook"):
        edited_settings(content, NAMES)


def result(folder: Path, submission: dict[str, Any], scored: bool, status: int = 0) -> None:
    """Run the last cell after a run that left this submission."""
    (folder / "working").mkdir()
    (folder / "working" / "submission.json").write_text(json.dumps(submission))
    exec(cells()["result"], {"json": json, "KAGGLE": folder, "SCORED": scored, "status": status})


BLANK = [{"attempt_1": [[0]], "attempt_2": [[0]]}]
ANSWERED = [{"attempt_1": [[0]], "attempt_2": [[3, 0]]}]


def test_the_run_before_the_scored_one_fails_where_nothing_was_answered_and_tells_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RuntimeError, match="status 0 and 0 answers: do not submit"):
        result(tmp_path, {"a": BLANK, "b": BLANK}, scored=False)
    assert "2 tasks, 0 of them with an answer" in capsys.readouterr().out


def test_one_answer_is_enough_but_not_after_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submission = {"a": BLANK, "b": ANSWERED}
    result(tmp_path, submission, scored=False)
    assert "2 tasks, 1 of them with an answer: b" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="status 1 and 1 answers"):
        (tmp_path / "again").mkdir()
        result(tmp_path / "again", submission, scored=False, status=1)


def test_the_scored_rerun_hands_in_whatever_there_is(tmp_path: Path) -> None:
    result(tmp_path, {"a": BLANK}, scored=True, status=1)
