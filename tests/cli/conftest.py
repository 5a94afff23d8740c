"""A finished run, made once for all tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.run_folders import finished_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that solved both of its tasks; to be copied, not changed."""
    return finished_run(tmp_path_factory.mktemp("run"))
