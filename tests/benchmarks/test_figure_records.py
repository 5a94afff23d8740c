"""A file of measurements: what is appended is read again, whatever interrupted the writer."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.benchmarks import figure_records
from submission.benchmarks.figure_records import FigureRecord
from submission.benchmarks.network_figures import Figures
from submission.errors import BadInput

RECORD = FigureRecord("none", 0, "t", "t", Figures(("poe", "oracle"), 1.5, 0.25, 3, 0.1), "abc", "1234567")


def test_what_is_appended_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    assert figure_records.read(path) == []
    for _ in range(2):
        figure_records.append(path, RECORD)
    assert figure_records.read(path) == [RECORD, RECORD]


def test_a_line_that_an_interrupted_process_left_is_passed_over_and_stays_apart(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    figure_records.append(path, RECORD)
    whole = path.read_text()
    path.write_text(whole + whole[:20])
    assert figure_records.read(path) == [RECORD]
    figure_records.append(path, RECORD)
    assert figure_records.read(path) == [RECORD, RECORD]
    for cut in range(20, len(whole)):
        path.write_text(whole[:cut].rstrip("\n") + "\n" + whole)
        assert RECORD in figure_records.read(path)


def test_what_was_measured_twice_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    for _ in range(2):
        figure_records.append(path, RECORD)
    assert figure_records.of(path, "abc", ["none"], [0], ["t"]) == [RECORD]


def test_any_other_file_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (path := tmp_path / "records.jsonl").write_text('{"variant": "none"}\n')
    with pytest.raises(BadInput, match="line 1 is no record"):
        figure_records.read(path)
