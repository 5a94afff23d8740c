"""The notebook: readable Python that checks, runs and shows the result."""

from __future__ import annotations

import ast
import json

from submission.kaggle.packaging.notebook import notebook
from tests.support.kaggle_inputs import NAMES


def test_the_notebook_is_readable_python_that_checks_runs_and_shows_the_result() -> None:
    content = json.loads(notebook(NAMES))
    cells = {cell["id"]: "".join(cell["source"]) for cell in content["cells"]}
    assert list(cells) == ["title", "check", "run", "result"]
    for name in ("check", "run", "result"):
        ast.parse(cells[name])
    assert "base64" not in str(cells)
    assert "someone/arc-submission-code" in cells["title"]
    assert all(cell["outputs"] == [] for cell in content["cells"] if cell["cell_type"] == "code")
    assert notebook(NAMES) == notebook(NAMES)
