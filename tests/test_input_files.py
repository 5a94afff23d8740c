"""Files that a user names are regular ones, read up to a limit; keys that stand twice in an object are seen."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.input_files import json_kind, object_of, read_at_most, repeated_keys, size_of


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


NO_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda path: None, "there is no such file"),
    "a folder": (lambda path: path.mkdir(), "is a folder, not a regular file"),
    "a pipe": (lambda path: os.mkfifo(path), "is a pipe, not a regular file"),
    "a socket": (bound_socket, "is a socket, not a regular file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a regular file"),
    "a link to nothing": (lambda path: path.symlink_to("/nowhere"), "is a link to a file that is not there"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot be read"),
}


@pytest.mark.parametrize(("make", "told"), NO_FILES.values(), ids=NO_FILES.keys())
def test_what_is_no_regular_file_is_told_by_what_it_is(
    make: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    make(tmp_path / "x")
    with pytest.raises(BadInput, match=f"/x: {told}"):
        size_of(tmp_path / "x")


def test_a_path_that_no_system_takes_is_a_sentence() -> None:
    with pytest.raises(BadInput, match="cannot be a path"):
        size_of(Path("a\0b"))
    with pytest.raises(BadInput, match="cannot be read"):
        size_of(Path("x" * 5000))


def test_a_file_is_read_up_to_the_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert size_of(tmp_path / "x") == 5
    assert [read_at_most(tmp_path / "x", count) for count in (0, 3, 5, 100)] == [b"", b"123", b"12345", b"12345"]
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert size_of(tmp_path / "link") == 5


def test_keys_that_stand_twice_are_seen_and_the_last_value_counts() -> None:
    read = json.loads('{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}', object_pairs_hook=object_of)
    assert read == {"a": 3, "b": {"c": 2}}
    assert (repeated_keys(read), repeated_keys(read["b"]), repeated_keys({"a": 1}), repeated_keys([])) == (
        {"a"}, {"c"}, set(), set(),
    )  # fmt: skip


def test_values_are_told_in_the_words_of_json() -> None:
    words = ["an object", "a list", "a text", "true or false", "null", "a number", "a number"]
    assert [json_kind(value) for value in ({}, [], "", True, None, 1, 0.5)] == words
