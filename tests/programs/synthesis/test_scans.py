"""Rules that go over a grid from line to line."""

from __future__ import annotations

import numpy as np

from submission.deadline import NEVER
from submission.programs.synthesis.scans import scan, scans
from tests.support.drawn import cells, text
from tests.support.planted import planted, same


def test_a_scan_draws_from_line_to_line() -> None:
    table = {(0, 10): 0, (1, 10): 1, (0, 0): 0, (0, 1): 1}
    assert text(scan(cells("1. .. .."), 0, ["input 0 0", "before 0"], table)) == "1. 1. 1."


def test_a_rule_from_line_to_line_is_found() -> None:
    task, answer = planted(lambda cells: np.maximum.accumulate(cells, 0), pairs=6, filled=0.3)
    assert any(same(found.answers[0], answer) for found in scans(task, NEVER, 0))
