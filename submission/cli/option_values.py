"""The values of options on the command line: numbers within a range, folders and files that can be written.

Each function returns or is a `type` of argparse: it takes the text of the option and returns its value, and argparse
ends the command with status 2 and the sentence of an ArgumentTypeError, before anything has begun.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from submission.errors import MOST_SECONDS, SEED, BadInput, Range

LONGEST_QUOTE = 40
"""Characters of a wrong value that a sentence shows."""


def whole_number(allowed: Range) -> Callable[[str], int]:
    """The type of a whole number in this range."""

    def parsed(text: str) -> int:
        try:
            value = int(text)
        except ValueError:  # no number, or one of more digits than Python reads
            value = None
        if value is None or value not in allowed:
            raise argparse.ArgumentTypeError(f"{text[:LONGEST_QUOTE]!r} is not a whole number of {allowed}")
        return value

    return parsed


def number(allowed: Range) -> Callable[[str], float]:
    """The type of a number in this range."""

    def parsed(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")  # which is in no range
        if value not in allowed:
            raise argparse.ArgumentTypeError(f"{text[:LONGEST_QUOTE]!r} is not a finite number {allowed}")
        return value

    return parsed


def numbers(allowed: Range) -> Callable[[str], list[float]]:
    """The type of numbers in this range, separated by commas; empty parts are passed over."""
    one = number(allowed)

    def parsed(text: str) -> list[float]:
        if not (parts := listed(text)):
            raise argparse.ArgumentTypeError(f"{text[:LONGEST_QUOTE]!r} names no number")
        return [one(each.strip()) for each in parts]

    return parsed


def some_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """The type of some of these names, separated by commas."""

    def parsed(text: str) -> list[str]:
        chosen = [each.strip() for each in listed(text)]
        wrong = [each for each in chosen if each not in names]
        if wrong or not chosen:
            told = f"there is no {wrong[0][:LONGEST_QUOTE]!r}" if wrong else "no name is given"
            raise argparse.ArgumentTypeError(f"{told}; there are {', '.join(names)}")
        return chosen

    return parsed


def listed(text: str) -> list[str]:
    """The parts of a list separated by commas, without empty ones; one in double quotes may have commas, as in CSV.

    BadInput where a quote is not closed.
    """
    try:
        parts = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error:
        raise BadInput(f"{text[:80]!r}: is not a list separated by commas: a double quote is not closed") from None
    return [each for each in parts if each.strip()]


TASKS = whole_number(Range(1, 1_000_000))
PAIRS = whole_number(Range(0, 10_000))
FAMILIES = whole_number(Range(0, 1_000_000))
WORKERS = whole_number(Range(0, 1024))
THREADS = whole_number(Range(0, 4096))
SEED_OPTION = whole_number(SEED)
SECONDS = number(Range(0, MOST_SECONDS, above=True))
MINUTES = number(Range(0, MOST_SECONDS // 60, above=True))
MINUTE_LIST = numbers(Range(0, MOST_SECONDS // 60, above=True))
HOURS = number(Range(0, MOST_SECONDS // 3600, above=True))
"""The types of the options of these names; 0 workers, or threads: as many as fit the machine."""


def folder_to_write(text: str) -> Path:
    """A folder for results, which need not exist; refused where it, or what it is to stand in, is no folder."""
    path = Path(text)
    for each in (path, *path.parents):
        if _exists(each):
            if not each.is_dir():
                raise argparse.ArgumentTypeError(f"{each} is a file; name a folder")
            _require_writable(path, each)
            break
    return path


def file_to_write(text: str) -> Path:
    """A file for results; refused where it is a folder, or where its own folder does not exist."""
    path = Path(text)
    if _exists(path) and path.is_dir():
        raise argparse.ArgumentTypeError(f"{path} is a folder; name a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: there is no folder {path.parent}; make it first")
    _require_writable(path, path.parent)
    return path


def picture_to_write(text: str) -> Path:
    """A file for an SVG; refused as `file_to_write` does, and where its name says otherwise."""
    path = file_to_write(text)
    if path.suffix.lower() != ".svg":
        raise argparse.ArgumentTypeError(f"{path}: the picture is an SVG; name a file that ends in .svg")
    return path


def run_or_file(text: str) -> Path:
    """The path of a run's folder or of a submission; a submission that still lies in its run's folder stands for it."""
    path = Path(text)
    of_run = path.name == "submission.json" and (path.parent / "journal").is_dir()
    return path.parent if of_run else path


def _require_writable(path: Path, folder: Path) -> None:
    """Refused before hours of work, not after them. A file that is gone at once tells; permissions alone do not."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        told = f"{path}: cannot be written to, as the folder {folder.absolute()} takes no file ({error.strerror})"
        raise argparse.ArgumentTypeError(told) from None


def _exists(path: Path) -> bool:
    """Whether something is there, a link that leads nowhere included; refused where the system does not tell."""
    try:
        return path.exists() or path.is_symlink()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise argparse.ArgumentTypeError(f"{str(path)[:LONGEST_QUOTE]!r} cannot be looked at ({reason})") from None
