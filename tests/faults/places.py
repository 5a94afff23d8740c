"""The real command where a place cannot be looked at or written to: one sentence, status 2, and nothing is lost.

Permissions do not bind root: where root runs this, the command runs without that privilege.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from submission.config import EMBEDDED
from submission.results import submission_file

ROOT = Path(__file__).parents[2]
UNPRIVILEGED = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Runs a command to which permissions apply, where root runs it."""

TASK = {"train": [{"input": [[k]], "output": [[k]]} for k in (3, 4)], "test": [{"input": [[1, 2]]}]}
OTHERS = '{"other": [{"attempt_1": [[7]], "attempt_2": [[0]]}]}'
"""Somebody's answers to tasks that are not those of the run."""

Make = Callable[[Path], object]


def nothing(folder: Path) -> None:
    """Make nothing."""


@dataclass(frozen=True)
class Place:
    """How a folder is made ready before the command, and how that is to end."""

    make: Make = nothing
    words: tuple[str, ...] = ()
    """Options, with @ for the folder; without --out the run goes to @/out."""
    status: int = 2
    says: str = ""
    """Words of the last line on stderr."""
    mounted: bool = False
    """Whether @/mount is a read-only disk, which takes a namespace."""


def written(path: Path, text: str = "mine") -> None:
    """Make a file, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def at(name: str, make: Make) -> Make:
    """Make something of this name, with its folder."""

    def made(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make(folder / name)

    return made


def closed(mode: int = 0) -> Make:
    """Make a folder, with a file in it, that may not be looked into, or not be written to."""

    def made(path: Path) -> None:
        written(path / "file")
        path.chmod(mode)

    return made


def link(target: str) -> Make:
    """Make a symbolic link."""
    return lambda path: path.symlink_to(target)


def loop(folder: Path) -> None:
    """Two links that lead to each other."""
    link("other")(folder / "out")
    link("out")(folder / "other")


def hidden_model(folder: Path) -> None:
    """The embedded model below a folder that may not be looked into."""
    shutil.copytree(EMBEDDED, folder / "closed" / "model")
    (folder / "closed").chmod(0)


def model(*unreadable: str) -> Make:
    """A copy of the embedded model, of which these parts may not be read."""

    def made(folder: Path) -> None:
        shutil.copytree(EMBEDDED, folder / "model")
        for name in unreadable:
            (folder / "model" / name).chmod(0)

    return made


def old_run(folder: Path) -> None:
    """The folder of a run, in content of no use."""
    for name in ("journal/a.json", "summary.json", "report.html", "log.txt"):
        written(folder / "out" / name)
    written(folder / "out" / "submission.json", OTHERS)


def and_then(first: Make, then: Make) -> Make:
    """Both, one after the other."""
    return lambda folder: (first(folder), then(folder))


FILES = ("submission.json", "summary.json", "report.html", "log.txt")
MODEL = ("--model", "@/model")
LONG = "x" * 300


def out(name: str) -> tuple[str, str]:
    """The option of an output folder."""
    return "--out", f"@/{name}"


def others(path: Path) -> None:
    """Somebody's submission."""
    written(path, OTHERS)


PLACES: dict[str, Place] = {
    "model below a closed folder": Place(hidden_model, ("--model", "@/closed/model"), says="Permission denied"),
    "closed model folder": Place(model("."), MODEL, says="Permission denied"),
    "unreadable safetensors": Place(model("model.safetensors"), MODEL, says="Permission denied"),
    "unreadable config": Place(model("config.json"), MODEL, says="Permission denied"),
    "model of 300 letters": Place(words=("--model", f"@/{LONG}"), says="File name too long"),
    "model in a loop": Place(loop, ("--model", "@/out/model", *out("run")), says="symbolic links"),
    "writer of 300 letters": Place(words=("--set", f"programs.writer=@/{LONG}"), says="too long"),
    "tasks of 300 letters": Place(words=("--challenges", f"@/{LONG}"), says="too long"),
    "out of 300 letters": Place(words=out(LONG), says="File name too long"),
    "out below 300 letters": Place(words=out(f"{LONG}/run"), says="File name too long"),
    "out of 255 bytes": Place(words=out("é" * 127 + "o"), status=0),
    "out of 5000 letters": Place(words=out("/".join(["o" * 99] * 50)), says="File name too long"),
    "out not UTF-8": Place(words=out(os.fsdecode(b"not utf-8 \xff\xfe")), status=0),
    "out with a line break": Place(words=out("a\nb"), status=0),
    "out below a closed folder": Place(at("c", closed()), out("c/run"), says="Permission denied"),
    "out in a folder not to be written": Place(at("c", closed(0o555)), out("c/run"), says="Permission denied"),
    "out not to be written": Place(at("out", closed(0o555)), says="Permission denied"),
    "out not to be looked into": Place(at("out", closed()), says="Permission denied"),
    "out not to be searched": Place(at("out", closed(0o666)), says="Permission denied"),
    "out is a file": Place(at("out", written), says="is a file"),
    "out below a file": Place(at("x", written), out("x/run"), says="is a file"),
    "out is a pipe": Place(at("out", os.mkfifo)),
    "out is a device": Place(words=("--out", "/dev/null")),
    "out in /proc": Place(words=("--out", "/proc/none/run"), says="cannot be written to"),
    "out is a dangling link": Place(at("out", link("nowhere"))),
    "out below a dangling link": Place(at("l", link("nowhere")), out("l/run")),
    "out is a loop": Place(loop),
    "out below a loop": Place(loop, out("out/run")),
    "out is a link": Place(and_then(at("real", Path.mkdir), at("out", link("real"))), status=0),
    "out with dots": Place(words=out("a/../out"), status=0),
    "out is dots": Place(words=out("new/.."), status=0),
    **{f"a folder {each}": Place(at(f"out/{each}", Path.mkdir), says=f"{each}: is a folder") for each in FILES},
    **{f"a full folder {each}": Place(at(f"out/{each}/x", written), says=f"{each}: is a folder") for each in FILES},
    **{
        f"a folder {each}, {how}": Place(at(f"out/{each}", Path.mkdir), (how,), says=f"{each}: is a folder")
        for each in FILES for how in ("--resume", "--fresh")
    },
    **{f"a pipe {each}": Place(at(f"out/{each}", os.mkfifo), says=f"{each}: is a pipe") for each in FILES},
    "a folder .lock": Place(at("out/.lock", Path.mkdir), says=".lock"),
    "a file journal": Place(at("out/journal", written), says="journal: is a file"),
    "a file journal, --fresh": Place(at("out/journal", written), ("--fresh",), says="journal: is a file"),
    "a dangling journal": Place(at("out/journal", link("nowhere")), says="journal"),
    "a file journal/programs": Place(at("out/journal/programs", written), ("--resume",), says="programs: is a file"),
    "a folder journal/.run": Place(at("out/journal/.run/x", written), ("--resume",), says=".run: is a folder"),
    "a dangling log.txt": Place(at("out/log.txt", link("no/where")), says="log.txt"),
    "a log.txt not to be written": Place(
        and_then(at("out/log.txt", written), lambda f: (f / "out/log.txt").chmod(0o444)), says="log.txt"
    ),
    "a submission not to be read": Place(
        and_then(at("out/submission.json", others), lambda f: (f / "out/submission.json").chmod(0)), status=0
    ),
    "a journal not to be written": Place(
        and_then(old_run, lambda f: (f / "out/journal").chmod(0o555)), ("--resume",), says="Permission denied"
    ),
    "an old run, --fresh with a closed model": Place(
        and_then(old_run, hidden_model), ("--fresh", "--model", "@/closed/model"), says="Permission denied"
    ),
    "an old run not to be written": Place(
        and_then(old_run, lambda f: (f / "out").chmod(0o555)), ("--fresh",), says="Permission denied"
    ),
    "an old run": Place(old_run, says="holds a run already"),
    "an old run, --fresh": Place(old_run, ("--fresh",), status=0),
    "somebody's submission": Place(at("out/submission.json", others), status=0),
    "somebody's submission, --resume": Place(at("out/submission.json", others), ("--resume",), status=0),
    "somebody's submission, a link": Place(
        and_then(at("theirs", others), at("out/submission.json", link("../theirs"))), status=0
    ),
    "somebody's report": Place(at("out/report.html", written), status=0),
    "somebody's summary, --fresh": Place(at("out/summary.json", written), ("--fresh",), status=0),
    "somebody's log": Place(at("out/log.txt", written), status=0),
    "an empty folder": Place(at("out", Path.mkdir), status=0),
    "a disk that may not be written": Place(words=out("mount/run"), says="Read-only", mounted=True),
    "a disk that may not be written, itself": Place(words=out("mount"), says="Read-only", mounted=True),
}  # fmt: skip
"""What is odd about the place -> the place."""


def command(folder: Path, words: Sequence[str]) -> list[str]:
    """The real command on one task that is solved at once."""
    if "--challenges" not in words:
        (folder / "challenges.json").write_text(json.dumps({"a": TASK}))
        words = ["--challenges", str(folder / "challenges.json"), *words]
    to = [] if "--out" in words else ["--out", str(folder / "out")]
    quick = ["--solvers", "programs", "--workers", "1", "--set", "programs.seconds=2"]
    return [sys.executable, "-m", "submission", "run", *quick, *words, *to]


def kept(folder: Path) -> list[bytes]:
    """What is in all files that somebody had before the run; the log has lines of the run after that."""
    contents = [path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".safetensors"]
    return sorted(content[:4] if content[:4] == b"mine" else content for content in contents if _is_kept(content))


def _is_kept(content: bytes) -> bool:
    return content[:4] == b"mine" or content == OTHERS.encode()


def faults(name: str, folder: Path) -> list[str]:
    """Run the command at one place, in a new folder; what is wrong about how it ended, a sentence each."""
    place = PLACES[name]
    place.make(folder)
    words = command(folder, [each.replace("@", str(folder)) for each in place.words])
    modes = [path for path in folder.rglob("*") if path.is_dir()]
    before = kept(folder)
    if os.geteuid() == 0 and not place.mounted:
        words = [*UNPRIVILEGED, *words]
    if place.mounted:
        (folder / "mount").mkdir()
        inner = 'mount -t tmpfs -o ro none "$0" && exec "$@"'
        words = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inner, str(folder / "mount"), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(folder)}
    try:
        done = subprocess.run(
            words, env=environment, capture_output=True, cwd=folder, timeout=120, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        return ["it did not end"]
    told = done.stderr.decode("utf-8", "replace")
    last = told.strip().splitlines()[-1] if told.strip() else ""
    wrong = [] if done.returncode == place.status else [f"status {done.returncode}: {last}"]
    wrong += ["a traceback"] if "Traceback" in told + done.stdout.decode("utf-8", "replace") else []
    wrong += [f"it says {last!r}"] if place.status and place.says not in last else []
    wrong += ["--resume is said to go on"] if place.status and "continues from there" in told else []
    for path in modes:
        path.chmod(0o755)
    wrong += ["something was lost"] if kept(folder) != before else []
    wrong += list(_left(folder, words, done.returncode == 0))
    return wrong


def _left(folder: Path, words: list[str], solved: bool) -> Iterator[str]:
    """What is wrong about the folder that the run leaves."""
    result = Path(words[words.index("--out") + 1])
    if solved:
        found = submission_file.read(result / "submission.json")
        if list(found) != ["a"] or found["a"][0]["attempt_1"] != [[1, 2]]:
            yield f"the task is not solved: {found}"
    for temporary in [*folder.rglob(".arc-run-*"), *folder.rglob(".before-*")]:
        yield f"{temporary.name} is left"


def places(folder: Path) -> str:
    """All places; how many held."""
    wrong = {}
    for number, name in enumerate(PLACES):
        (here := folder / f"place{number}").mkdir()
        if found := faults(name, here):
            wrong[name] = found
            print(f"{name}: {'; '.join(found)}", flush=True)
    return f"{len(PLACES)} places tried, {len(PLACES) - len(wrong)} held"
