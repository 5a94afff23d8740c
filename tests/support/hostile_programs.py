"""Many random programs in the sandbox: `python -m tests.support.hostile_programs 1000` tells what became of them.

A few correct programs are changed at random, by a seeded mutator: constants, operators, names, lines; and lines that
try to hang, to eat memory, to get out, or to read a planted file are put in.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from submission.arc.tasks import Grid, grid
from submission.programs.sandbox.sandbox import Limits, ProgramResult, Sandbox
from submission.rng import generator

LIMITS = Limits(call_seconds=0.4, seconds=1.0)
"""Of the tests' sandboxes: short, as most programs in them hang or end at once."""

CORRECT = (
    """\
import numpy as np

def transform(grid):
    return np.rot90(grid, 1)
""",
    """\
def transform(grid):
    rows = []
    for row in grid:
        if any(cell == 3 for cell in row):
            rows.append([int(cell) for cell in row][::-1])
        else:
            rows.append([0 if cell == 5 else int(cell) for cell in row])
    return rows
""",
    """\
from collections import Counter
import numpy as np

def background(grid):
    return Counter(grid.flatten().tolist()).most_common(1)[0][0]

def transform(grid):
    made = np.full((grid.shape[0] * 2, grid.shape[1] * 2), background(grid))
    made[: grid.shape[0], : grid.shape[1]] = grid
    return made
""",
    """\
def transform(grid):
    height, width = grid.shape
    todo = [(0, 0)]
    seen = set()
    while todo:
        r, c = todo.pop()
        if (r, c) in seen or not (0 <= r < height and 0 <= c < width):
            continue
        seen.add((r, c))
        if grid[r, c] == grid[0, 0]:
            todo += [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
    return [[4 if (r, c) in seen else int(grid[r, c]) for c in range(width)] for r in range(height)]
""",
)

REACH = (
    "next(f.__globals__['sys'].modules for k in object.__subclasses__() "
    "if 'sys' in getattr(f := k.__init__, '__globals__', ()))"
)
"""The oldest way out: from any class to the modules that the interpreter has loaded. It does get there."""

HOSTILE = (
    "while True: pass",
    "9 ** 9 ** 9",
    "import re; re.match('(a+)+$', 'a' * 40 + 'b')",
    "held = [0] * 10 ** 10",
    "held = []\n    while True: held.append('x' * 10 ** 6)",
    "import os",
    "__import__('subprocess').run('id')",
    "open('PLANTED').read()",
    "import numpy; return numpy.fromfile('PLANTED', dtype='u1').reshape(3, 3)",
    "import numpy; return numpy.load('PLANTED')",
    "import numpy; return numpy.memmap('PLANTED', 'u1', 'r+', shape=(3, 3))",
    f"os = {REACH}['os']; return [list(os.read(os.open('PLANTED', 2), 9))]",
    f"os = {REACH}['os']\n    while True: os.fork()",
    f"os = {REACH}['os']; os.kill(os.getppid(), 9)",
    f"os = {REACH}['os']; os.killpg(0, 9)",
    f"os = {REACH}['os']; os.setsid()",
    f"os = {REACH}['os']; os.write(3, b'x' * 100)",
    f"os = {REACH}['os']\n    while True: os.write(1, b'x' * 100)",
    f"os = {REACH}['os']; os.close(3); \n    while True: pass",
    f"os = {REACH}['os']; os._exit(0)",
    f"signal = {REACH}['signal']; signal.signal(24, signal.SIG_IGN)\n    while True: pass",
    f"{REACH}['ctypes'].CDLL(None).system(b'id')",
    f"{REACH}['ctypes'].memset(0, 0, 1)",
    "from common import crop; return [list(crop.__builtins__['open']('PLANTED', 'rb').read())]",
    "import time; time.sleep(9)",
    "raise SystemExit",
    "raise BaseException('x' * 10 ** 6)",
    "print('x' * 10 ** 7)",
    "return [[transform(grid)]]",
    "return [[1] * 10 ** 7] * 10 ** 3",
    "import random; return [[random.randrange(10) for _ in range(9)]]",
    "return [[hash('a') % 10, hash('b') % 10]]",
)

SECRET = bytes([7, 1, 8, 2, 8, 1, 8, 2, 8])
"""The planted file; read as a 3x3 grid, or 1x9, it is what a thief would return."""


@contextmanager
def planted_file() -> Iterator[Path]:
    """The planted file, alone in a folder of its own; anybody may read and write it."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder) / "solutions.npy"
        path.write_bytes(SECRET)
        path.chmod(0o666)
        yield path


def assert_untouched(planted: Path) -> None:
    """The planted file is as it was, and alone in its folder."""
    assert planted.read_bytes() == SECRET
    assert list(planted.parent.iterdir()) == [planted]


def mutated(rng: np.random.Generator, planted: Path) -> str:
    """A correct program with one to four changes, of which few break its syntax."""
    source = CORRECT[rng.integers(len(CORRECT))]
    for _ in range(rng.integers(1, 5)):
        changed = CHANGES[rng.integers(len(CHANGES))](source, rng)
        if _compiles(changed) or rng.random() < 0.05:
            source = changed
    return source.replace("PLANTED", str(planted))


def _compiles(source: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            compile(source, "mutated", "exec")
        except SyntaxError:
            return False
    return True


def _constant(source: str, rng: np.random.Generator) -> str:
    values = ["0", "1", "-1", "2", "9", "10", "30", "10**6", "10**12", "0.5", "None", "'a'"]
    return _replaced(r"\b\d+\b", values, source, rng)


def _operator(source: str, rng: np.random.Generator) -> str:
    return _replaced(r"(?<= )(\+|-|\*|==|<=|<|in|not in|or|and)(?= )", ["+", "-", "*", "**", "//", "==", "<", "in"],
                     source, rng)  # fmt: skip


def _name(source: str, rng: np.random.Generator) -> str:
    names = re.findall(r"\b[a-z_]+\b", source)
    return _replaced(r"\b[a-z_]+\b", names, source, rng)


def _replaced(pattern: str, values: list[str], source: str, rng: np.random.Generator) -> str:
    places = list(re.finditer(pattern, source))
    if not places:
        return source
    at = places[rng.integers(len(places))]
    return source[: at.start()] + values[rng.integers(len(values))] + source[at.end() :]


def _lines(source: str, rng: np.random.Generator) -> str:
    lines = source.split("\n")
    one, other = rng.integers(len(lines), size=2)
    match rng.integers(3):
        case 0:
            lines[one], lines[other] = lines[other], lines[one]
        case 1:
            del lines[one]
        case _:
            lines.insert(one, lines[other])
    return "\n".join(lines)


def _hostile(source: str, rng: np.random.Generator) -> str:
    """A hostile line at the start of `transform`, which is where it is sure to run."""
    line = HOSTILE[rng.integers(len(HOSTILE))]
    return source.replace("def transform(grid):\n", f"def transform(grid):\n    {line}\n", 1)


def _cut(source: str, rng: np.random.Generator) -> str:
    return source[: rng.integers(len(source) + 1)]


CHANGES: tuple[Callable[[str, np.random.Generator], str], ...] = (
    _constant, _constant, _operator, _name, _lines, _lines, _hostile, _hostile, _cut,
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One program, what came of it, and how long that took."""

    source: str
    outcome: ProgramResult
    seconds: float
    escapes: tuple[str, ...]
    """What it did that it must not be able to do, in words."""


def trials(count: int, seed: int, limits: Limits) -> Iterator[Trial]:
    """Run so many mutated programs, looking after each at what it may have left behind."""
    rng = generator(seed, "mutated programs")
    grids = [grid(rng.integers(0, 10, shape)) for shape in ((3, 3), (5, 2), (1, 7))]
    others = set(psutil.Process().children())
    with planted_file() as planted, Sandbox(limits) as sandbox:
        sandbox.run(CORRECT[0], grids)
        servers = set(psutil.Process().children()) - others
        for _ in range(count):
            source = mutated(rng, planted)
            start = time.monotonic()
            outcome = sandbox.run(source, grids)
            seconds = time.monotonic() - start
            yield Trial(source, outcome, seconds, tuple(_escapes(outcome, planted, servers)))


def _escapes(outcome: ProgramResult, planted: Path, servers: set[psutil.Process]) -> Iterator[str]:
    if planted.read_bytes() != SECRET or len(list(planted.parent.iterdir())) != 1:
        yield "it changed a file"
    if any(each is not None and each.tobytes() == SECRET for each in outcome.outputs):
        yield "it read a file"
    if not servers <= set(psutil.Process().children()):
        yield "it ended a server"
    if any(server.children() for server in servers):
        yield "it left a process behind"
    for server in servers:
        if list(Path(f"/proc/{server.pid}/cwd").iterdir()):
            yield "it wrote into its folder"


def kind(trial: Trial) -> str:
    """One word or two for what became of a program."""
    good: list[Grid] = [each for each in trial.outcome.outputs if each is not None]
    if len(good) == len(trial.outcome.outputs):
        return "grids for all"
    reason = next(each for each in trial.outcome.reasons if each is not None)
    return "grids for some" if good else re.sub(r"[\d.]+", "N", reason.split(":")[0])


def main(count: int, seed: int = 0) -> int:
    limits = Limits(call_seconds=0.5, seconds=1.5)
    kinds: Counter[str] = Counter()
    escaped, slowest, start = 0, 0.0, time.monotonic()
    for trial in trials(count, seed, limits):
        kinds[kind(trial)] += 1
        slowest = max(slowest, trial.seconds)
        if trial.escapes:
            escaped += 1
            print(f"{'; '.join(trial.escapes)}:\n{trial.source}\n")
    print(f"{count} programs, seed {seed}, {time.monotonic() - start:.0f} s; the slowest took {slowest:.2f} s; "
          f"{escaped} escaped")  # fmt: skip
    for each, how_many in kinds.most_common():
        print(f"{how_many:6}  {each}")
    return int(escaped > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
