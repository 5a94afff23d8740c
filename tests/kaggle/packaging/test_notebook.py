"""The notebook: readable Python that checks, runs and looks at what came of it."""

from __future__ import annotations

import ast
import json

from submission.kaggle.packaging.notebook import notebook
from tests.support.kaggle_inputs import NAMES


def test_the_notebook_is_readable_python_that_checks_runs_and_looks() -> None:
    content = json.loads(notebook(NAMES))
    cells = {cell["id"]: "".join(cell["source"]) for cell in content["cells"]}
    assert list(cells) == ["title", "check", "run", "look"]
    for name in ("check", "run", "look"):
        ast.parse(cells[name])
    assert "base64" not in str(cells)
    assert "someone/arc-submission-code" in cells["title"]
    assert all(cell["outputs"] == [] for cell in content["cells"] if cell["cell_type"] == "code")
    assert notebook(NAMES) == notebook(NAMES)
