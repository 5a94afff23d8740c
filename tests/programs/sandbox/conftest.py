"""A sandbox that all tests of a module share, and a file that no program may read or write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.programs.sandbox.sandbox import Sandbox
from tests.support.hostile_programs import LIMITS, SECRET, assert_untouched


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as made:
        yield made


@pytest.fixture
def planted() -> Iterator[Path]:
    """A file that anybody may read and write, at a path that every program is told."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "solutions.npy"
        path.write_bytes(SECRET)
        path.chmod(0o666)
        yield path
        assert_untouched(path)
