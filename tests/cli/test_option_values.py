"""Values of options: the edges of each range belong to it, and what lies outside is told in a sentence."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import pytest

from submission.cli import option_values as values
from submission.errors import Range
from tests.support.cases import cases


@cases(
    ("kind", "text", "value"),
    [
        (values.TASKS, "1", 1), (values.WORKERS, "0", 0), (values.THREADS, "0", 0), (values.PAIRS, "0", 0),
        (values.SEED_OPTION, "0", 0), (values.SEED_OPTION, "4294967295", 2**32 - 1), (values.HOURS, "2777", 2777.0),
        (values.HOURS, "11.5", 11.5), (values.MINUTES, "0.001", 0.001), (values.MINUTE_LIST, "2, 5.5,", [2.0, 5.5]),
        (values.number(Range(0, 1, below=True)), "0", 0.0),
    ],
)  # fmt: skip
def test_numbers_within_their_range_are_read(kind: Callable[[str], object], text: str, value: object) -> None:
    assert kind(text) == value
    assert type(kind(text)) is type(value)


@cases(
    ("kind", "text", "told"),
    [
        (values.TASKS, "0", "'0' is not a whole number of at least 1 and at most 1000000"),
        (values.SEED_OPTION, "4294967296", "is not a whole number of at least 0 and at most 4294967295"),
        (values.HOURS, "0", "'0' is not a finite number above 0 and at most 2777"),
        (values.HOURS, "inf", "'inf' is not a finite number above 0 and at most 2777"),
        (values.MINUTES, "nan", "'nan' is not a finite number"),
        (values.MINUTE_LIST, "1,x,2", "'x' is not a finite number"),
        (values.MINUTE_LIST, ",", "',' names no number"),
        (values.MINUTE_LIST, "1,0,2", "'0' is not a finite number"),
        (values.number(Range(0, 1, below=True)), "1", "'1' is not a finite number at least 0 and below 1"),
        (values.TASKS, "7" * 6000, f"'{'7' * 40}' is not"),
    ],
)
def test_what_lies_outside_is_refused_in_a_sentence(kind: Callable[[str], object], text: str, told: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        kind(text)
    assert told in str(caught.value)


def test_a_file_for_results_needs_its_folder(tmp_path: Path) -> None:
    assert values.file_to_write(str(tmp_path / "new.json")) == tmp_path / "new.json"
    assert values.file_to_write("new.json") == Path("new.json")
    for wrong, told in ((tmp_path / "no" / "new.json", "there is no folder"), (tmp_path, "is a folder; name a file")):
        with pytest.raises(argparse.ArgumentTypeError, match=told):
            values.file_to_write(str(wrong))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which even root can make no file")
@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (values.file_to_write, "/proc/x"),
        (values.folder_to_write, "/proc/x/y"),
        (values.picture_to_write, "/proc/x.svg"),
    ],
)
def test_what_cannot_be_written_is_refused_before_the_work(kind: Callable[[str], Path], path: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="cannot be written to, as the folder /proc"):
        kind(path)
