"""One atomic JSON file per finished task, and the fingerprint that says which run it belongs to."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from submission import __version__


def write_json(path: Path, content: Any, indent: int | None = None) -> None:
    """Write so that a reader, or a crash at any moment, finds the old file whole or the new file whole."""
    text = json.dumps(content, indent=indent, allow_nan=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def fingerprint(settings: Mapping[str, Any], model_sha256: str, seed: int, task: str = "") -> str:
    """What answers depend on, as 16 hex digits: settings, weights, seed, package, and a task's content (a digest)."""
    whole = json.dumps([settings, model_sha256, seed, task, __version__], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def file_sha256(path: Path) -> str:
    """sha256 of a model: of its safetensors files, in order of name."""
    whole = hashlib.sha256()
    for each in sorted(path.glob("*.safetensors")):
        whole.update(each.name.encode())
        with each.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()


def write_record(folder: Path, record: Mapping[str, Any], stamp: str) -> None:
    """Keep a finished task: folder/<task>.json, stamped with its fingerprint."""
    write_json(folder / f"{record['task']}.json", {"stamp": stamp, **record})


def read_records(folder: Path, stamps: Mapping[str, str]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The finished tasks whose stamp is the expected one, by id; and a sentence for each file not to be trusted."""
    records, doubts = {}, []
    for task_id, stamp in stamps.items():
        path = folder / f"{task_id}.json"
        if not path.exists():
            continue
        try:
            record = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            doubts.append(f"{path.name} is not readable ({error}): the task is solved again")
            continue
        if not isinstance(record, dict) or record.get("task") != task_id or "attempts" not in record:
            doubts.append(f"{path.name} is not a record: the task is solved again")
        elif record.get("stamp") != stamp:
            doubts.append(f"{path.name} has other settings, weights, content or seed: the task is solved again")
        else:
            records[task_id] = record
    return records, doubts
