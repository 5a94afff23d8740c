"""Random numbers: one series for each purpose, the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import submission
from submission.rng import generator


def test_random_numbers_are_the_same_in_every_process() -> None:
    program = "from submission.rng import generator; print(generator(7, '00576224', 'views').integers(1 << 62, size=4))"
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(submission.__file__).parents[1],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert printed == {f"{generator(7, '00576224', 'views').integers(1 << 62, size=4)}\n"}


def test_each_purpose_has_random_numbers_of_its_own() -> None:
    purposes: list[tuple[str, ...]] = [("a", "bc"), ("ab", "c"), ("a", "b", "c"), ("abc",), ()]
    drawn = {int(generator(seed, *purpose).integers(1 << 62)) for seed in (0, 1) for purpose in purposes}
    assert len(drawn) == 2 * len(purposes)
