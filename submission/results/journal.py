"""One atomic JSON file per finished task, the fingerprint that says which run it belongs to, and the folder's lock."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from submission import __version__
from submission.arc.tasks import LARGEST_SIDE, BadTask, Grid, Solutions, Task, Tasks, digest
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


MOST_TESTS = 1_000_000
"""Most test inputs that a task left blank may have: a file of 256 MiB holds no more of them."""


@dataclass(frozen=True)
class TaskSource:
    """Where the tasks of a run came from, as the options of the command line name it."""

    data: str | None = None
    """A task set; None where there is a file."""
    challenges: str | None = None
    """An absolute path."""
    solutions: str | None = None
    """An absolute path; None where the set or the file has its own, or where there are none."""

    def __str__(self) -> str:
        named = [f"--{name} {value}" for name, value in vars(self).items() if value is not None]
        return " ".join(named)


@dataclass(frozen=True)
class Stamp:
    """Which run a folder holds."""

    fingerprint: str
    tasks: Mapping[str, str]
    """Task -> the digest of its content, in the order of the run; "" where an older version did not keep it."""
    source: TaskSource | None = None
    """None where it is not known."""
    solutions: str | None = None
    """The digest of the tasks with the true outputs that the run was scored against; None where there were none."""
    left_blank: Mapping[str, int] = field(default_factory=dict)
    """The bad tasks that the run left blank -> their test inputs: they count, as wrong."""


def task_digest(task: Task) -> str:
    """The content of a task as 16 hex digits."""
    return digest({task.id: task})[:16]


def solutions_digest(tasks: Tasks, solutions: Solutions) -> str:
    """The content of tasks with their true outputs as 16 hex digits."""
    return digest(tasks, solutions)[:16]


def write_stamp(
    out: Path, fingerprint: str, tasks: Tasks, solutions: Solutions | None = None, source: TaskSource | None = None,
    left_blank: Mapping[str, BadTask] | None = None,
) -> None:  # fmt: skip
    """Say in a run's folder which run it holds: its fingerprint, its tasks, and where they came from."""
    content = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "tasks": {name: task_digest(task) for name, task in tasks.items()},
        "left_blank": {name: bad.tests for name, bad in (left_blank or {}).items()},
        "source": None if source is None else asdict(source),
        "solutions": None if solutions is None else solutions_digest(tasks, solutions),
    }
    write_json(_stamp(out), {**content, "sum": _sum(content)})


def read_stamp(out: Path) -> Stamp | None:
    """Which run a folder holds, for what only shows or scores it; None where it has no stamp.

    BadInput where the stamp cannot be read.
    """
    path = _stamp(out)
    if not path.exists():
        return None
    stamp = read_json(path)
    tasks, written = stamp.get("tasks"), stamp.pop("sum", None)
    if not isinstance(tasks, list | dict) or not all(isinstance(name, str) for name in tasks):
        raise BadInput(f"{path}: cannot be read as the stamp of a run")
    if written is not None and written != _sum(stamp):
        raise BadInput(f"{path}: cannot be read as the stamp of a run")
    digests = tasks if isinstance(tasks, dict) else dict.fromkeys(tasks, "")
    source, solutions, blank = stamp.get("source"), stamp.get("solutions"), stamp.get("left_blank", {})
    known = isinstance(source, dict) and set(source) <= set(vars(TaskSource()))
    right = (
        all(isinstance(each, str) for each in digests.values()),
        source is None or (known and all(each is None or isinstance(each, str) for each in source.values())),
        solutions is None or isinstance(solutions, str),
        isinstance(blank, dict) and all(type(each) is int and 1 <= each <= MOST_TESTS for each in blank.values()),
    )
    if not all(right):
        raise BadInput(f"{path}: cannot be read as the stamp of a run")
    return Stamp(
        str(stamp.get("fingerprint")), digests, TaskSource(**source) if source else None, solutions, blank
    )  # fmt: skip


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
            aside = _aside(path)
            os.replace(path, aside)
            doubts.append(f"{path.name} {doubt}: it is renamed to {aside.name}, and the task is solved again")
    return records, doubts


def _aside(path: Path) -> Path:
    """A free name for a record that is set aside."""
    aside, number = path.with_name(f"{path.name}.aside"), 1
    while os.path.lexists(aside):
        number += 1
        aside = path.with_name(f"{path.name}.aside{number}")
    return aside


def read_record(path: Path, task_id: str, fingerprint: str | None) -> TaskRecord:
    """One record; BadInput, with what is wrong with it, where it is damaged, foreign, or of another run.

    Without a fingerprint the record of any run is taken: for what only shows it.
    """
    if path.exists() and not path.is_file():
        raise BadInput("is not a regular file")
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
        record = TaskRecord.from_json(content)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BadInput(f"is not a record of format {FORMAT} ({error!r})") from None
    if wrong := _not_consistent(record):
        raise BadInput(f"is not a record of format {FORMAT} ({wrong})")
    return record


def _not_consistent(record: TaskRecord) -> str:
    """What contradicts itself in a record: numbers of test inputs, or a grid that is none; nothing if all is right."""
    asked = len(record.attempts)
    if len(record.tests) not in (0, asked) or any(len(each.answers) != asked for each in record.programs or ()):
        return "its parts are of different numbers of test inputs"
    grids = [answer for each in record.attempts for answer in each]
    grids += [each.answer for test in record.tests for each in test.candidates]
    grids += [answer for each in record.programs or () for answer in each.answers if answer is not None]
    if not all(map(_is_grid, grids)):
        return "an answer is not a grid"
    views = [(len(test.scored), each) for test in record.tests for each in test.candidates]
    return "scores do not fit views" if any(each.scores.shape != (number,) for number, each in views) else ""


def _is_grid(answer: Grid) -> bool:
    return answer.ndim == 2 and all(1 <= side <= LARGEST_SIDE for side in answer.shape) and int(answer.max()) <= 9


def _sum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


TEMPORARY = re.compile(r"\.(.+\.json|report\.html|\.run|cpu_dtype)\.(\d+|blank)", re.DOTALL)
"""Names of what an interrupted write leaves: see `atomic.replacing`, and the entry's own blank on Kaggle."""


def remove_temporaries(folder: Path) -> None:
    """Delete what interrupted writes have left in a run's folder and its journals; the folder's lock is required."""
    for part in (folder, folder / "journal", folder / "journal" / "programs"):
        for left in part.iterdir() if part.is_dir() else ():
            if TEMPORARY.fullmatch(left.name) and left.is_file():
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
