"""Folders of runs in which files are damaged: what shows, scores and goes on with them takes what is sound, alone."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from submission.arc.task_files import read_challenges, read_solutions
from submission.config import EMBEDDED, with_changes
from submission.errors import BadInput
from submission.results import submission_file
from submission.runner.run import run
from submission.runner.spec import RunSpec
from tests.attacks.verdicts import Attack, Told, Verdict, command
from tests.faults.cell import SCRIPTED
from tests.faults.scripted import Loader
from tests.support.run_folders import copied, kaggle_files

FILES = (
    "submission.json",
    "summary.json",
    "report.html",
    "log.txt",
    "journal/.run",
    "journal/a.json",
    "journal/b.json",
    "journal/programs/a.json",
    "journal/programs/b.json",
    "journal/programs",
    "journal",
)
"""What is damaged; the last two are folders."""

SETTINGS = with_changes(SCRIPTED, ["programs.seconds=1", "time.loading_timeout=60", "time.heartbeat_timeout=60"])


def _job(out: Path, resume: bool) -> RunSpec:
    return RunSpec(out, EMBEDDED, SETTINGS, workers=1, load=Loader(), solvers=("network", "programs"), resume=resume)


@cache
def finished(folder: Path) -> Path:
    """A finished run of both kinds of solver, made once."""
    files = kaggle_files(folder / "finished" / "files")
    tasks = read_challenges(files[0])
    with contextlib.redirect_stdout(io.StringIO()):
        run(_job(folder / "finished" / "out", False), tasks, read_solutions(files[1], tasks))
    return folder / "finished" / "out"


# -- kinds of damage ------------------------------------------------------------------------------------------

Damage = Callable[[Path, np.random.Generator], object]


def _bytes(change: Callable[[bytes, np.random.Generator], bytes]) -> Damage:
    return lambda path, rng: path.write_bytes(change(path.read_bytes(), rng)) if path.is_file() else _gone(path)


def _flipped(raw: bytes, rng: np.random.Generator) -> bytes:
    made = bytearray(raw)
    made[int(rng.integers(len(made)))] ^= int(1 << rng.integers(8))
    return bytes(made)


def _gone(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _instead(make: Callable[[Path], object]) -> Damage:
    def damage(path: Path, rng: np.random.Generator) -> None:
        _gone(path)
        make(path)

    return damage


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def _sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 300 << 20)


def _changed(path: Path, rng: np.random.Generator) -> None:
    """A value inside replaced by something odd, and the checksum made to fit: no accident, but an attack."""
    if not path.is_file():
        return _gone(path)
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        path.write_bytes(b"{}")
        return None
    content.pop("sum", None)
    places = list(_places({key: each for key, each in content.items() if key not in ("format", "fingerprint")}))
    parent, key = places[int(rng.integers(len(places)))] if places else (content, "x")
    parent[key] = ODD[int(rng.integers(len(ODD)))]
    stamps = {
        each: content.pop(each) for each in ("format", "fingerprint") if each in content and "attempts" in content
    }
    whole = json.dumps(content).encode()
    path.write_text(json.dumps({**stamps, "sum": hashlib.sha256(whole).hexdigest()[:16], **content}))
    return None


ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    31,
    1.5,
    1e999,
    float("nan"),
    10**40,
    "",
    "x",
    [],
    {},
    [[]],
    [[[]]],
    [None],
    {"a": 1},
    [[10]],
    [[-1]],
    [[1.5]],
    [[256]],
    [[[0] * 31]],
    "\ud800",
    "</script><script>alert(1)</script>",
    [[[1]], [[1]]],
    -1e308,
    [["1"]],
    [[True]],
)


def _places(content: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(content) if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else []
    for key in keys:
        yield content, key
        yield from _places(content[key])


DAMAGES: dict[str, Damage] = {
    "cut in half": _bytes(lambda raw, rng: raw[: len(raw) // 2]),
    "cut by a byte": _bytes(lambda raw, rng: raw.rstrip()[:-1]),
    "a bit flipped": _bytes(_flipped),
    "another bit flipped": _bytes(_flipped),
    "written twice": _bytes(lambda raw, rng: raw * 2),
    "rubbish behind": _bytes(lambda raw, rng: raw + b"\0\xff"),
    "in a list": _bytes(lambda raw, rng: b"[" + raw + b"]"),
    "a byte order mark": _bytes(lambda raw, rng: b"\xef\xbb\xbf" + raw),
    "not UTF-8": _bytes(lambda raw, rng: b"\xff\xfe\0" + raw),
    "empty": _bytes(lambda raw, rng: b""),
    "zeros": _bytes(lambda raw, rng: b"\0" * len(raw)),
    "null": _bytes(lambda raw, rng: b"null"),
    "a list": _bytes(lambda raw, rng: b"[]"),
    "a text": _bytes(lambda raw, rng: b'"x"'),
    "a number": _bytes(lambda raw, rng: b"1e999"),
    "an object": _bytes(lambda raw, rng: b"{}"),
    "deep": _bytes(lambda raw, rng: b"[" * 100_000),
    "deep objects": _bytes(lambda raw, rng: b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
    "an endless number": _bytes(lambda raw, rng: b'{"format": ' + b"9" * 5000 + b"}"),
    "a folder": _instead(lambda path: path.mkdir()),
    "a full folder": _instead(lambda path: (path.mkdir(), (path / "x").write_text("x"))),
    "a loop": _instead(lambda path: path.symlink_to(path)),
    "a dead link": _instead(lambda path: path.symlink_to("/no/where")),
    "a link to a folder": _instead(lambda path: path.symlink_to("/tmp")),
    "a pipe": _instead(os.mkfifo),
    "a socket": _instead(_socket),
    "a device": _instead(lambda path: path.symlink_to("/dev/zero")),
    "gone": _instead(lambda path: None),
    "300 MB of nothing": _instead(_sparse),
    "changed": _changed,
    "changed again": _changed,
    "changed once more": _changed,
    "changed a fourth time": _changed,
    "changed a fifth time": _changed,
    "changed a sixth time": _changed,
    "a file": _instead(lambda path: path.write_text("x")),
}
"""Name -> what is done to a file."""


# -- judging ------------------------------------------------------------------------------------------


def truly_solved(out: Path) -> int | None:
    """How many of the two tasks a submission solves, counted apart from the package; None where it is none."""
    if not (out / "submission.json").is_file():
        return None
    try:
        pairs = json.loads((out / "submission.json").read_bytes().decode(), object_pairs_hook=list)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(pairs, list) or not all(isinstance(each, tuple) for each in pairs):
        return None
    solved = 0
    for name, truth in (("a", [[1]]), ("b", [[1, 2]])):
        found = [value for key, value in pairs if key == name]
        if len(found) == 1 and isinstance(found[0], list) and len(found[0]) == 1:
            entry = found[0][0]
            keys = (
                [key for key, _ in entry]
                if isinstance(entry, list) and all(isinstance(e, tuple) for e in entry)
                else []
            )
            if sorted(keys) == ["attempt_1", "attempt_2"] and all(map(_is_grid, (value for _, value in entry))):
                solved += any(value == truth for _, value in entry)
    return solved


def _is_grid(rows: Any) -> bool:
    return (
        isinstance(rows, list)
        and 1 <= len(rows) <= 30
        and all(isinstance(row, list) and 1 <= len(row) <= 30 for row in rows)
        and len({len(row) for row in rows}) == 1
        and all(type(cell) is int and 0 <= cell <= 9 for row in rows for cell in row)
    )


def _number(told: Told, words: str) -> int:
    found = re.search(words, told.out)
    assert found is not None, told.out
    return int(found[1])


def _score(out: Path, solved: int | None) -> Verdict:
    told = command("score", out).require_clean()
    if told.status == 2:
        return "refused"
    assert solved is not None, f"scored without a submission: {told.out}"
    if not (out / "journal").is_dir():
        # It is no run's folder any more: its submission is scored on the default set, and told not to fit.
        assert told.status == 1 and "2 tasks (a, b) are not among the tasks" in told.err
        return "refused"
    assert _number(told, r"solved (\d+) of 2 tasks") == solved, told.out
    return "accepted"


def _report(out: Path) -> Verdict:
    before = (out / "report.html").read_bytes() if (out / "report.html").is_file() else b""
    told = command("report", out).require_clean()
    if told.status == 2:
        return "refused"
    page = (out / "report.html").read_text()
    assert page.endswith("</html>\n") and "alert(1)</script>" not in page
    assert before or page
    return "accepted"


def _revote(out: Path, rule: str, sound: set[str]) -> Verdict:
    """Only records that are as they were may count: both are right."""
    kind = "journal/programs/" if rule == "programs" else "journal/"
    told = command("score", out, "--revote", rule).require_clean()
    if told.status == 2:
        return "refused"
    solved, best = (
        _number(told, r"solved by \w+: (\d+) of 2"),
        sum(kind + name in sound for name in ("a.json", "b.json")),
    )
    assert solved <= best, f"{solved} solved by {rule}, and {best} records are sound"
    return "accepted"


def _resumed(out: Path, before: dict[str, bytes], sound: set[str]) -> Verdict:
    """A resumed run ends with everything solved, and keeps what was sound and what it did not trust."""
    files = (out.parent / "files" / "challenges.json", out.parent / "files" / "solutions.json")
    tasks = read_challenges(files[0])
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
            summary = run(_job(out, True), tasks, read_solutions(files[1], tasks))
    except (BadInput, OSError) as refusal:  # the command line makes a sentence of both
        assert "\n" not in str(refusal)
        changed = [name for name, raw in before.items() if _raw(out / name) != raw and name != "log.txt"]
        assert not changed, f"refused ({refusal}), and changed {changed}"
        return "refused"
    assert "Traceback" not in err.getvalue()
    assert summary["solved_tasks"] == 2, summary
    assert truly_solved(out) == 2
    assert submission_file.check(submission_file.read(out / "submission.json"), tasks) == []
    left = {path.read_bytes() for path in out.parent.rglob("*") if path.is_file()}
    records = {name: raw for name, raw in before.items() if name.startswith("journal/") and not name.endswith(".run")}
    lost = [name for name, raw in records.items() if raw.strip() and raw not in left]
    assert not lost, f"{lost} is lost"
    return "accepted"


def _raw(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() and not path.is_symlink() else b""


def judged(damages: list[tuple[str, Damage]], what: str, seed: int, folder: Path, runs: Path) -> Verdict:
    """Damage a folder, and hold every command that reads it against what is still sound."""
    out = copied(finished(runs), folder)
    rng = np.random.default_rng(seed)
    whole = {name: (out / name).read_bytes() for name in FILES if (out / name).is_file()}
    for name, damage in damages:
        damage(out / name, rng)
    before = {name: _raw(out / name) for name in whole if _raw(out / name) and (out / name).stat().st_size < 1 << 20}
    # A record that was changed and has a fitting checksum may be right or not: nobody can tell.
    changed = {name for name, damage in damages if damage is _changed}
    sound = {name for name, raw in whole.items() if name in changed or _same(before.get(name, b""), raw)}
    solved = truly_solved(out)
    match what:
        case "score":
            return _score(out, solved)
        case "report":
            return _report(out)
        case "resume":
            return _resumed(out, before, sound)
        case rule:
            return _revote(out, rule, sound)


def _same(raw: bytes, other: bytes) -> bool:
    """Whether two files say the same, in whatever JSON."""
    try:
        return bool(json.loads(raw) == json.loads(other))
    except (ValueError, RecursionError):
        return raw == other


def folders(seed: int) -> Iterator[tuple[str, list[tuple[str, Damage]], str]]:
    """Every damage of every file for every command, then two damages at once: names, damages, command."""
    for what in ("score", "report", "network", "kgmon", "programs", "resume"):
        for name in FILES:
            for label, damage in DAMAGES.items():
                if (what, name, label) == ("resume", "log.txt", "a pipe"):
                    continue  # `runner.lifecycle` opens the log, and waits for a reader without an end
                yield f"{what}: {name} {label}", [(name, damage)], what
        rng = np.random.default_rng(seed)
        labels = list(DAMAGES)
        for _ in range(40):
            two = [(str(rng.choice(FILES[:-2])), str(rng.choice(labels))) for _ in range(2)]
            yield f"{what}: {two}", [(name, DAMAGES[label]) for name, label in two], what


def attack_of(name: str, damages: list[tuple[str, Damage]], what: str, seed: int, runs: Path) -> Attack:
    """The attack that damages a folder and judges a command."""
    return Attack(f"{name}, seed {seed}", lambda folder: judged(damages, what, seed, folder, runs))
