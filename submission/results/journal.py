"""One atomic JSON file per finished task, the fingerprint that says which run it belongs to, and the folder's lock."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from submission import __version__
from submission.atomic import read_json, write_json
from submission.errors import BadInput
from submission.solver.records import TaskRecord

logger = logging.getLogger(__name__)


def fingerprint(settings: Mapping[str, Any], model_sha256: str, seed: int, task: str = "") -> str:
    """What answers depend on, as 16 hex digits: settings, weights, seed, package, and a task's content (a digest)."""
    whole = json.dumps([settings, model_sha256, seed, task, __version__], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


def model_sha256(path: Path) -> str:
    """sha256 of a model: of its safetensors files, in order of name. BadInput where they cannot be read."""
    whole = hashlib.sha256()
    try:
        for each in sorted(each for each in path.glob("*.safetensors") if each.is_file()):
            whole.update(each.name.encode())
            with each.open("rb") as file:
                while block := file.read(1 << 20):
                    whole.update(block)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read as a model ({error})") from None
    return whole.hexdigest()


FORMAT = 2
"""Number of the journal's format: what `TaskRecord.to_json` writes. A journal of another format is refused."""


def write_stamp(out: Path, fingerprint: str, tasks: Iterable[str]) -> None:
    """Say in a run's folder which run it holds: its fingerprint and its tasks."""
    content = {"format": FORMAT, "fingerprint": fingerprint, "tasks": list(tasks)}
    write_json(_stamp(out), {**content, "sum": _sum(content)})


def require_same_run(out: Path, fingerprint: str, tasks: Container[str]) -> None:
    """BadInput where the run in a folder has another format, other settings, or tasks that are not among these.

    A stamp that cannot be read decides nothing: the log says so, and each record's own fingerprint decides.
    """
    path = _stamp(out)
    if not path.exists():
        return
    stamp = read_json(path)
    written = stamp.pop("sum", None)
    older = written is None and {"fingerprint", "tasks"} == set(stamp)
    if not older and written != _sum(stamp):
        logger.warning("%s cannot be read: the fingerprint of each record decides what is kept", path)
        return
    if older or stamp["format"] != FORMAT:
        raise BadInput(f"{out}: {_foreign(stamp.get('format'))}; go on with the version that wrote it, or use --fresh")
    if stamp["fingerprint"] != fingerprint:
        what = "other settings, weights or seed, or by another version of the package"
        raise BadInput(f"{out}: was begun with {what}; use the same, or --fresh")
    if lost := [name for name in stamp["tasks"] if name not in tasks]:
        raise BadInput(f"{out}: was begun with {len(lost)} more tasks, e.g. {lost[0]}; select them too, or use --fresh")


def _stamp(out: Path) -> Path:
    return out / "journal" / ".run"


def _foreign(found: object) -> str:
    version = "an older format without a number" if found is None else f"format {found}"
    return f"its journal has {version}, and this version of the package reads format {FORMAT} alone"


def record_path(folder: Path, task_id: str) -> Path:
    """The file of a task's record: <task>.json for an id of letters, digits, - and _ alone.

    Any other id may not be a file's name; such a record is in <what is plain of it>.<16 digits of its sha256>.json.
    """
    if re.fullmatch(r"[A-Za-z0-9_-]+", task_id):
        return folder / f"{task_id}.json"
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", task_id)[:60]
    digits = hashlib.sha256(task_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return folder / f"{plain}.{digits}.json"


def write_record(folder: Path, record: TaskRecord, fingerprint: str) -> None:
    """Keep a finished task: in its file, see `record_path`, with its fingerprint and a checksum."""
    content = record.to_json()
    stamps = {"format": FORMAT, "fingerprint": fingerprint, "sum": _sum(content)}
    write_json(record_path(folder, record.task), {**stamps, **content})


def read_records(folder: Path, fingerprints: Mapping[str, str]) -> tuple[dict[str, TaskRecord], list[str]]:
    """The finished tasks with the expected fingerprint, by id; and a sentence for each file that is not trusted.

    Such a file is renamed, with the ending .aside: nothing is lost, and the task is solved again.
    """
    records, doubts = {}, []
    for task_id, fingerprint in fingerprints.items():
        path = record_path(folder, task_id)
        if not path.exists():
            continue
        try:
            records[task_id] = read_record(path, task_id, fingerprint)
        except BadInput as doubt:
            os.replace(path, path.with_name(f"{path.name}.aside"))
            doubts.append(f"{path.name} {doubt}: it is renamed to {path.name}.aside, and the task is solved again")
    return records, doubts


def read_record(path: Path, task_id: str, fingerprint: str | None) -> TaskRecord:
    """One record; BadInput, with what is wrong with it, where it is damaged, foreign, or of another run.

    Without a fingerprint the record of any run is taken: for what only shows it.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"is not readable ({error})") from None
    if not isinstance(content, dict):
        raise BadInput("is not a record")
    found, stamp, checksum = (content.pop(key, None) for key in ("format", "fingerprint", "sum"))
    if found != FORMAT:
        raise BadInput(f"cannot be read: {_foreign(found)}")
    if checksum != _sum(content):
        raise BadInput("was changed or damaged (its checksum differs)")
    if content.get("task") != task_id or fingerprint not in (None, stamp):
        raise BadInput("has other settings, weights, content, seed or package version")
    try:
        return TaskRecord.from_json(content)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise BadInput(f"is not a record of format {FORMAT} ({error!r})") from None


def _sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def remove_temporaries(folder: Path) -> None:
    """Delete temporary files of interrupted writes, here and in the journal; the folder's lock is required."""
    for part in (folder, folder / "journal", folder / "journal" / "programs"):
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
