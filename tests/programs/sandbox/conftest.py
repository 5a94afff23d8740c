"""A sandbox that all tests of a module share, and a file that no program may read or write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from submission.programs.sandbox.sandbox import Sandbox
from tests.support.hostile_programs import LIMITS, assert_untouched, planted_file


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(LIMITS) as made:
        yield made


@pytest.fixture
def planted() -> Iterator[Path]:
    """A file that anybody may read and write, at a path that every program is told."""
    with planted_file() as path:
        yield path
        assert_untouched(path)
