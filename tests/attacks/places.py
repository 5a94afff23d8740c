"""What stands in the place of a file of tasks: folders, links, pipes, files that grow, files without an end."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import pickle
import socket
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.attacks.files import Files, Meaning, base, inside, put
from tests.attacks.structures import Make

Where = Callable[[Path, Meaning], "Path | tuple[Path, Meaning | None]"]
"""Makes what is named as the tasks, in a folder: it means what the meaning says, or, with another, that."""


def _text(meaning: Meaning) -> bytes:
    return json.dumps(inside(meaning)).encode()


def _written(name: str, pack: Callable[[bytes], bytes]) -> Where:
    return lambda folder, meaning: (put(folder / name, pack(_text(meaning))), None)


def _zipped(text: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("challenges.json", text)
    return made.getvalue()


def _tarred(text: bytes, mode: Any = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        entry = tarfile.TarInfo("challenges.json")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return made.getvalue()


def _array(text: bytes) -> bytes:
    made = io.BytesIO()
    np.save(made, np.zeros((2, 2)))
    return made.getvalue()


def _archive_of_arrays(text: bytes) -> bytes:
    made = io.BytesIO()
    np.savez(made, a=np.zeros((2, 2)))
    return made.getvalue()


def _link(folder: Path, target: object) -> Path:
    (folder / "link.json").symlink_to(str(target))
    return folder / "link.json"


def _loop(folder: Path, meaning: Meaning) -> tuple[Path, None]:
    (folder / "one.json").symlink_to(folder / "two.json")
    (folder / "two.json").symlink_to(folder / "one.json")
    return folder / "one.json", None


def _pipe(folder: Path, meaning: Meaning) -> tuple[Path, None]:
    os.mkfifo(folder / "pipe.json")
    return folder / "pipe.json", None


def _socket(folder: Path, meaning: Meaning) -> tuple[Path, None]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "s.json"))
    return folder / "s.json", None


def _sparse(folder: Path, meaning: Meaning) -> tuple[Path, None]:
    path = put(folder / "huge.json", _text(meaning))
    os.truncate(path, 1 << 40)
    return path, None


def _growing(folder: Path, meaning: Meaning) -> tuple[Path, None]:
    """A log that somebody else is writing: it never stands still, and is never whole."""
    path = put(folder / "growing.json", b"[")

    def grow() -> None:
        end = time.monotonic() + 2
        with path.open("ab") as file:
            while time.monotonic() < end:
                file.write(b"[[1, 2], [3, 4]],\n" * 1000)
                file.flush()

    threading.Thread(target=grow, daemon=True).start()
    time.sleep(0.05)
    return path, None


def _bomb(folder: Path, meaning: Meaning) -> tuple[Path, None]:
    packed = gzip.compress(b"[" + b" " * (1 << 20) + b"]", 9)
    with gzip.open(folder / "bomb.json.gz", "wb", compresslevel=9) as file:
        for _ in range(400):
            file.write(b" " * (1 << 20))
    return put(folder / "members.json.gz", (folder / "bomb.json.gz").read_bytes() + packed), None


# -- folders ------------------------------------------------------------------------------------------


def _each(folder: Path, meaning: Meaning, suffix: str = ".json") -> Path:
    for name, body in inside(meaning).items():
        put(folder / "tasks" / f"{name}{suffix}", body)
    return folder / "tasks"


def _with(change: Callable[[Path], object], refused: bool = False) -> Where:
    """A folder with a file for each task, changed: it means the same, or nothing."""

    def make(folder: Path, meaning: Meaning) -> Path | tuple[Path, None]:
        made = _each(folder, meaning)
        change(made)
        return (made, None) if refused else made

    return make


def _again(folder: Path) -> object:
    first = sorted(folder.iterdir())[0]
    return put(first.with_name(f"{first.name}.gz"), gzip.compress(first.read_bytes()))


def _below(folder: Path, meaning: Meaning) -> Path:
    for k, (name, body) in enumerate(inside(meaning).items()):
        put(folder / "tasks" / str(k) / "x" / f"{name}.json", body)
    return folder / "tasks"


def _one_name(folder: Path, meaning: Meaning) -> tuple[Path, Meaning]:
    """Two files of one name in two folders: the tasks are told apart by the folder."""
    bodies = list(inside(meaning).values())[:2]
    for k, body in enumerate(bodies):
        put(folder / "tasks" / f"part{k}" / "same.json", body)
    truths = {f"part{k}/same": [each["output"] for each in body["test"]] for k, body in enumerate(bodies)}
    return folder / "tasks", Meaning({f"part{k}/same": body for k, body in enumerate(bodies)}, truths)


def _of_kaggle(folder: Path, meaning: Meaning) -> tuple[Path, None]:
    """The folder of a competition: files of many tasks, not of one."""
    for name, content in zip(("challenges", "solutions"), meaning, strict=True):
        put(folder / "data" / f"arc-agi_evaluation_{name}.json", content)
    put(folder / "data" / "sample_submission.json", {})
    return folder / "data", None


def _case(folder: Path, meaning: Meaning) -> tuple[Path, Meaning]:
    body = next(iter(inside(meaning).values()))
    truth = [each["output"] for each in body["test"]]
    for name in ("abc.json", "ABC.JSON", "Abc.Json"):
        put(folder / "tasks" / name, body)
    return folder / "tasks", Meaning(
        dict.fromkeys(("abc", "ABC", "Abc"), body), dict.fromkeys(("abc", "ABC", "Abc"), truth)
    )


def _named(name: str | bytes) -> Callable[[Path], object]:
    """One of the files under another name, so that its id is none."""

    def change(folder: Path) -> None:
        first = sorted(folder.iterdir())[0]
        os.rename(os.fsencode(first), os.path.join(os.fsencode(folder), os.fsencode(name)))

    return change


PLACES: dict[str, Where] = {
    "zip": _written("tasks.zip", _zipped),
    "zip named as JSON": _written("tasks.json", _zipped),
    "zip in gzip": _written("tasks.json.gz", lambda t: gzip.compress(_zipped(t))),
    "tar": _written("tasks.tar", _tarred),
    "tar.gz": _written("tasks.tar.gz", lambda t: _tarred(t, "w:gz")),
    "xz": _written("tasks.json.xz", lzma.compress),
    "lzma": _written("tasks.json", lambda t: lzma.compress(t, lzma.FORMAT_ALONE)),
    "bzip2": _written("tasks.json", bz2.compress),
    "a pickle": _written("tasks.pkl", lambda t: pickle.dumps(json.loads(t))),
    "an old pickle": _written("tasks.json", lambda t: pickle.dumps(json.loads(t), 0)),
    "npy": _written("tasks.json", _array),
    "npz": _written("tasks.json", _archive_of_arrays),
    "Parquet": _written("a.json", lambda t: b"PAR1" + t + b"PAR1"),
    "zip's end": _written("tasks.json", lambda t: _zipped(t)[-30:]),
    "a table": _written("a.json", lambda t: b"id,task\n1,2\n"),
    "JSON lines": _written(
        "a.jsonl", lambda t: b"\n".join(json.dumps({name: e}).encode() for name, e in json.loads(t).items())
    ),
    "lines of tasks": _written(
        "a.json", lambda t: b"\n".join(json.dumps({"id": n, **e}).encode() for n, e in json.loads(t).items())
    ),
    "a link": lambda f, m: _link(f, put(f / "real.json", _text(m))),
    "a link to a link": lambda f, m: _link(f, _link(f / "x", put(f / "x" / "r.json", _text(m)))),
    "a link to a folder": lambda f, m: _link(f, _each(f, m)),
    "a link to nothing": lambda f, m: (_link(f, f / "no"), None),
    "a loop": _loop,
    "a link to zeros": lambda f, m: (_link(f, "/dev/zero"), None),
    "a link to a terminal": lambda f, m: (_link(f, "/dev/tty"), None),
    "a link to memory": lambda f, m: (_link(f, "/proc/self/mem"), None),
    "a link to the log of the kernel": lambda f, m: (_link(f, "/proc/kmsg"), None),
    "a link to the standard input": lambda f, m: (_link(f, "/dev/stdin"), None),
    "a link to a map": lambda f, m: (_link(f, "/proc/self/maps"), None),
    "a pipe": _pipe,
    "a socket": _socket,
    "nothing": lambda f, m: (f / "no.json", None),
    "a file as a folder": lambda f, m: (put(f / "a.json", b"{}") / "b.json", None),
    "a long name": lambda f, m: (f / ("a" * 300), None),
    "a long path": lambda f, m: (f / ("a/" * 2200), None),
    "a terabyte of nothing": _sparse,
    "a file that grows": _growing,
    "a bomb": _bomb,
    "a name with a newline": lambda f, m: put(f / "a\nb.json", _text(m)),
    "a name that is no text": lambda f, m: put(Path(os.fsdecode(bytes(f) + b"/\xff\xfe.json")), _text(m)),
    "a name of control codes": lambda f, m: put(f / "\x1b[31m.json", _text(m)),
    "a bad file of that name": lambda f, m: (put(f / "\x1b[31m\n\u202e.json", b"{"), None),
    "a bad file of no text": lambda f, m: (put(Path(os.fsdecode(bytes(f) + b"/\xff.json")), b"{"), None),
    "a folder": _each,
    "a folder of gzip": lambda f, m: _gzipped(_each(f, m)),
    "a folder of JSON in capitals": lambda f, m: _each(f, m, ".JSON"),
    "nested folders": _below,
    "one name twice": _one_name,
    "names by case": _case,
    "the folder of a competition": _of_kaggle,
    "an empty folder": lambda f, m: (_made(f / "empty"), None),
    "folders alone": lambda f, m: (_made(f / "a" / "b" / "c.json").parents[1], None),
    "a folder in the place of a file": _with(lambda f: (f / "x.json").mkdir()),
    "hidden files": _with(lambda f: put(f / ".hidden.json", b"{")),
    "a readme": _with(lambda f: put(f / "README.md", b"# tasks")),
    "a hidden folder": _with(lambda f: put(f / ".git" / "x.json", b"{")),
    "an archive's leftovers": _with(lambda f: put(f / "__MACOSX" / "._a.json", b"\0")),
    "a folder that leads to itself": _with(lambda f: (f / "self").symlink_to(f)),
    "plain and gzipped": _with(_again, refused=True),
    "a pipe among the files": _with(lambda f: os.mkfifo(f / "p.json"), refused=True),
    "a broken file among them": _with(lambda f: put(f / "x.json", b"{"), refused=True),
    "an empty file among them": _with(lambda f: put(f / "x.json", b""), refused=True),
    "a solution among them": _with(lambda f: put(f / "x.json", [[[1]]]), refused=True),
    "a dead link among them": _with(lambda f: (f / "x.json").symlink_to(f / "no"), refused=True),
    "a device among them": _with(lambda f: (f / "x.json").symlink_to("/dev/zero"), refused=True),
    "a name with a newline among them": _with(_named("a\nb.json"), refused=True),
    "a name of no text among them": _with(_named(b"\xff.json"), refused=True),
    "a name without letters": _with(_named(" .json.json.json")),
    "a file of all tasks among them": _with(
        lambda f: put(f / "all.json", {p.stem: json.loads(p.read_bytes()) for p in f.iterdir()}), refused=True
    ),
}
"""Name -> what is named as the tasks."""


def _gzipped(folder: Path) -> Path:
    for path in list(folder.iterdir()):
        put(path.with_name(f"{path.name}.gz"), gzip.compress(path.read_bytes()))
        path.unlink()
    return folder


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def place_attack(where: Where) -> Make:
    """The tasks, with their outputs inside, in this place."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        meaning = base(rng)
        made = where(folder, meaning)
        path, meant = made if isinstance(made, tuple) else (made, meaning)
        if where is PLACES["a name without letters"]:
            meant = _renamed(meaning)
        return Files(path, None, meant)

    return make


def _renamed(meaning: Meaning) -> Meaning:
    old = sorted(meaning.challenges)[0]
    parts = [{" .json.json" if n == old else n: each for n, each in (part or {}).items()} for part in meaning]
    return Meaning(*parts)


def places() -> Iterator[tuple[str, Make]]:
    """All of them, by name."""
    yield from ((name, place_attack(where)) for name, where in PLACES.items())
