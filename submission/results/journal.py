"""One atomic JSON file per finished task, the fingerprint that says which run it belongs to, and the folder's lock."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from submission import __version__
from submission.atomic import write_json
from submission.errors import BadInput


def fingerprint(settings: Mapping[str, Any], model_sha256: str, seed: int, task: str = "") -> str:
    """What answers depend on, as 16 hex digits: settings, weights, seed, package, and a task's content (a digest)."""
    whole = json.dumps([settings, model_sha256, seed, task, __version__], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def model_sha256(path: Path) -> str:
    """sha256 of a model: of its safetensors files, in order of name. BadInput where they cannot be read."""
    whole = hashlib.sha256()
    try:
        for each in sorted(path.glob("*.safetensors")):
            whole.update(each.name.encode())
            with each.open("rb") as file:
                while block := file.read(1 << 20):
                    whole.update(block)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as a model ({error})") from None
    return whole.hexdigest()


def write_record(folder: Path, record: Mapping[str, Any], stamp: str) -> None:
    """Keep a finished task: folder/<task>.json, stamped with its fingerprint and a checksum."""
    write_json(folder / f"{record['task']}.json", {"stamp": stamp, "sum": _sum(record), **record})


def read_records(folder: Path, stamps: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The finished tasks whose stamp is the expected one, by id; and a sentence for each file not to be trusted.

    Such a file is set aside, as <task>.json.aside: nothing is lost, and the task is solved again.
    """
    records, doubts = {}, []
    for task_id, stamp in stamps.items():
        path = folder / f"{task_id}.json"
        if not path.exists():
            continue
        record, doubt = _read_record(path, task_id, stamp)
        if record is not None:
            records[task_id] = record
        else:
            os.replace(path, path.with_name(f"{path.name}.aside"))
            doubts.append(f"{path.name} {doubt}: it was set aside, and the task is solved again")
    return records, doubts


def _read_record(path: Path, task_id: str, stamp: str) -> tuple[dict[str, Any] | None, str]:
    """A record, or what is wrong with it."""
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        return None, f"is not readable ({error})"
    if not isinstance(record, dict):
        return None, "is not a record"
    stamps = record.pop("stamp", None), record.pop("sum", None)
    if stamps[1] != _sum(record):
        return None, "is not as it was written"
    if record.get("task") != task_id or stamps[0] != stamp:
        return None, "has other settings, weights, content or seed"
    return record, ""


def _sum(record: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record).encode()).hexdigest()[:16]


def remove_temporaries(folder: Path) -> None:
    """Remove what writes that were killed have left behind, here and in the journal: only for who holds the lock."""
    for part in (folder, folder / "journal"):
        for left in [*part.glob(".*.json.*"), *part.glob("..run.*")]:
            left.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; BadInput if one is in it. The lock goes with the process, however it ends."""
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BadInput(f"{folder}: another run is at work here") from None
    try:
        yield
    finally:
        lock.release()
