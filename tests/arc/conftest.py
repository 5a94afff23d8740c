"""Every layout, one after the other."""

from __future__ import annotations

import pytest

from submission.arc.layouts import Layout
from tests.support.layouts import LAYOUTS


@pytest.fixture(params=LAYOUTS, name="layout")
def each_layout(request: pytest.FixtureRequest) -> Layout:
    """Each layout that a model may speak."""
    return LAYOUTS[request.param]
