"""Written programs in the sandbox: what right ones give, and that hostile ones gain nothing and hold nobody up."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from submission.arc.tasks import grid
from submission.deadline import within
from submission.errors import BadInput
from submission.programs.sandbox.sandbox import Limits, ProgramResult, Sandbox, run
from tests.support.cases import cases
from tests.support.hostile_programs import LIMITS, REACH, Trial, assert_untouched, kind, mutated, trials

GRID = grid([[1, 2, 3], [4, 5, 6]])

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's layers are Linux's")


def body(text: str) -> str:
    """A program whose `transform` has this body."""
    return "import numpy as np\ndef transform(grid):\n" + "".join(f"    {line}\n" for line in text.splitlines())


def reason(outcome: ProgramResult) -> str:
    """Why there is no output for the one grid that was given."""
    assert outcome.outputs == (None,)
    assert outcome.reasons[0] is not None
    return outcome.reasons[0]


# -- what ordinary programs give --------------------------------------------------------------------------------


def test_a_program_is_run_on_every_grid_in_order(sandbox: Sandbox) -> None:
    grids = [grid([[k]]) for k in range(8)]
    outcome = sandbox.run(body("return grid + 1"), grids)
    assert [int(each[0, 0]) for each in outcome.outputs if each is not None] == list(range(1, 9))
    assert outcome.reasons == (None,) * 8


def test_an_output_that_fails_does_not_cost_the_others(sandbox: Sandbox) -> None:
    outcome = sandbox.run(body("return [[6 // int(grid[0, 0])]]"), [grid([[k]]) for k in (3, 0, 2)])
    assert [each if each is None else each.tolist() for each in outcome.outputs] == [[[2]], None, [[3]]]
    assert outcome.reasons == (None, "ZeroDivisionError: integer division or modulo by zero", None)


@cases(
    "value",
    [
        "[[1, 2], [3, 4]]",
        "((1, 2), (3, 4))",
        "np.array([[1, 2], [3, 4]], dtype=np.uint8)",
        "np.array([[1, 2], [3, 4]], dtype=object)",
        "[np.array([1, 2]), [np.int32(3), 4]]",
    ],
)
def test_a_grid_may_be_lists_tuples_or_arrays_of_any_ints(sandbox: Sandbox, value: str) -> None:
    (output,) = sandbox.run(body(f"return {value}"), [GRID]).outputs
    assert output is not None
    assert output.dtype == np.uint8 and output.tolist() == [[1, 2], [3, 4]]
    assert not output.flags.writeable


@cases(
    ("value", "why"),
    [
        ("None", "no grid of 1 to 30 rows"),
        ("'12'", "no grid of 1 to 30 rows"),
        ("[]", "no grid of 1 to 30 rows"),
        ("[[1]] * 31", "no grid of 1 to 30 rows"),
        ("np.zeros((2, 2, 2), int)", "an array of shape (2, 2, 2)"),
        ("np.zeros((31, 1), int)", "an array of shape (31, 1)"),
        ("np.zeros((1, 31), int)", "an array of shape (1, 31)"),
        ("np.zeros((2, 0), int)", "an array of shape (2, 0)"),
        ("np.zeros((2, 2))", "an array of float64, not of ints"),
        ("grid > 3", "an array of bool, not of ints"),
        ("[[1], []]", "a row of its output is no list of 1 to 30 cells"),
        ("[[1] * 31]", "a row of its output is no list of 1 to 30 cells"),
        ("[[1, 2], [3]]", "the rows of its output differ in length"),
        ("[[10]]", "a cell of its output is not an int 0..9"),
        ("[[-1]]", "a cell of its output is not an int 0..9"),
        ("[[1.0]]", "a cell of its output is not an int 0..9"),
        ("[[True]]", "a cell of its output is not an int 0..9"),
        ("[['1']]", "a cell of its output is not an int 0..9"),
    ],
)
def test_what_is_no_grid_is_refused(sandbox: Sandbox, value: str, why: str) -> None:
    assert why in reason(sandbox.run_once(body(f"return {value}"), [GRID]))


ORDINARY = """
from __future__ import annotations
import copy, heapq, itertools, math, operator, random, re, statistics, string
import numpy as np
from collections import Counter, defaultdict, deque, namedtuple
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache, reduce
from numpy.lib.stride_tricks import sliding_window_view
from typing import List, NamedTuple, Optional

Place = namedtuple("Place", "row column")

class Colour(Enum):
    BLACK = 0

class Box(NamedTuple):
    top: int

@dataclass(frozen=True)
class Object:
    cells: list = field(default_factory=list)

@lru_cache(maxsize=None)
def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

def transform(grid: np.ndarray) -> Optional[List[List[int]]]:
    print("looking at", repr(grid), grid)
    rng = np.random.default_rng(0)
    random.seed(0)
    parts = [
        np.pad(grid, 1), np.kron(grid, np.ones((2, 2), int)), np.unique(grid, return_counts=True), np.where(grid == 1),
        np.linalg.lstsq(grid[:, :1] * 1.0, grid[:, 1:2] * 1.0, rcond=None), np.rot90(copy.deepcopy(grid)),
        sliding_window_view(grid, (1, 2)), np.einsum("ij->ji", grid), rng.permutation(3), np.median(grid),
        np.array_equal(grid, grid.T), np.fft.fft(grid), np.apply_along_axis(sum, 0, grid), np.ma.masked_array(grid),
        np.random.choice(3), random.choice([1, 2]), np.nonzero(grid), np.roll(grid, 1), np.char.add("a", "b"),
        np.argsort(grid.flatten(), kind="stable"), np.histogram(grid), np.bincount(grid.flat), grid.astype(str),
        np.triu(grid), np.vectorize(lambda x: x + 1)(grid), np.divide(1, 0), np.array_str(grid), np.isin(grid, [1]),
        Counter(grid.flat), heapq.nlargest(1, grid.flat), Object(), Box(1), Place(0, 1), re.findall("1", str(grid)),
        "%s %d" % (grid, 3), f"{math.pi:.2f}", sorted(grid.tolist()), statistics.mode(grid.flatten().tolist()),
    ]
    return [[fibonacci(6), Colour.BLACK.value, int(grid[0, 0])]] if len(parts) > 10 and not input_free() else None

def input_free():
    try:
        eval("input()")
    except NameError:
        return False
"""


def test_ordinary_programs_find_what_they_use(sandbox: Sandbox) -> None:
    outcome = sandbox.run(ORDINARY, [GRID])
    assert outcome.reasons == (None,)
    assert outcome.outputs[0] is not None and outcome.outputs[0].tolist() == [[8, 0, 1]]


def test_a_program_finds_a_clean_interpreter(sandbox: Sandbox) -> None:
    leaving = body("np.left_behind = 7\nimport math\nmath.pi = 3\nreturn [[1]]")
    looking = body("import math\nreturn [[int(hasattr(np, 'left_behind')), int(math.pi == 3)]]")
    assert sandbox.run(leaving, [GRID]).outputs[0] is not None
    found = sandbox.run(looking, [GRID]).outputs[0]
    assert found is not None and found.tolist() == [[0, 0]]


def test_each_call_gets_a_fresh_grid_that_the_program_may_change(sandbox: Sandbox) -> None:
    outcome = sandbox.run(body("grid[0, 0] += 1\nreturn grid"), [GRID, GRID])
    assert [each[0, 0] for each in outcome.outputs if each is not None] == [2, 2]
    assert GRID[0, 0] == 1


@cases(
    "value",
    [
        "import random\nreturn [[random.randrange(10) for _ in range(9)]]",
        "return np.random.randint(0, 10, (3, 3))",
        "return np.random.default_rng().integers(0, 10, (3, 3))",
        "return [[hash(str(k)) % 10 for k in range(9)]]",
        "return [[int(each) for each in {str(k) for k in range(9)}]]",
        "return [[int(digit) for digit in str(id(object()))]]",
    ],
)
def test_an_output_that_depends_on_chance_is_none(sandbox: Sandbox, value: str) -> None:
    assert reason(sandbox.run(body(value), [GRID])) == "its output changes from run to run"


def test_chance_that_was_given_a_seed_is_none(sandbox: Sandbox) -> None:
    assert sandbox.run(body("return np.random.default_rng(0).integers(0, 10, (3, 3))"), [GRID]).reasons == (None,)


@cases(
    ("source", "why"),
    [
        ("def transform(grid):\n  return grid\n return", "IndentationError"),
        ("def main(grid):\n    return grid", "it defines no function transform"),
        ("transform = 3", "it defines no function transform"),
        ("1 / 0", "ZeroDivisionError"),
        ("\0", "SyntaxError"),
        ("'\ud800'", "UnicodeEncodeError"),
        ("(" * 10_000, "Error"),
        ("raise SystemExit(0)", "SystemExit"),
        ("", "it defines no function transform"),
    ],
)
def test_text_that_is_no_program_is_refused(sandbox: Sandbox, source: str, why: str) -> None:
    assert why in reason(sandbox.run(source, [GRID]))


# -- time and memory --------------------------------------------------------------------------------------------


@cases(
    "hang",
    [
        "while True: pass",
        "return 9 ** 9 ** 9",
        "import re\nreturn re.match('(a+)+$', 'a' * 60 + 'b')",
        "return sum(itertools.count())",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "return list(range(10 ** 30))[0] if [] else sum(range(10 ** 11))",
        f"{REACH}['time'].sleep(100)",
    ],
)
def test_a_program_that_hangs_is_killed_on_time(sandbox: Sandbox, hang: str) -> None:
    start = time.monotonic()
    assert reason(sandbox.run("import itertools\n" + body(hang), [GRID])) == "it took more than 0.4 s"
    assert time.monotonic() - start < LIMITS.call_seconds + 1.0


def test_time_is_limited_for_one_grid_and_for_all(sandbox: Sandbox) -> None:
    slow = "import numpy as np\n" + body(f"{REACH}['time'].sleep(0.3)\nreturn grid")
    outcome = sandbox.run_once(slow, [GRID] * 6)
    good = [each is not None for each in outcome.outputs]
    assert good == sorted(good, reverse=True) and 1 <= sum(good) <= 3
    assert outcome.reasons[-1] == "it took more than 1 s"


def test_what_was_answered_before_a_hang_is_kept(sandbox: Sandbox) -> None:
    outcome = sandbox.run(body("while grid[0, 0] == 0: pass\nreturn grid"), [grid([[1]]), grid([[0]]), grid([[1]])])
    assert [each is None for each in outcome.outputs] == [False, True, True]


def test_the_deadline_cuts_the_limits(sandbox: Sandbox) -> None:
    sandbox.run(body("return grid"), [GRID])
    start = time.monotonic()
    assert reason(sandbox.run(body("while True: pass"), [GRID], within(0.1))).startswith("it took more than 0.")
    assert time.monotonic() - start < 0.35
    assert "it took more than 0 s" in reason(sandbox.run(body("return grid"), [GRID], within(0)))


@cases(
    "bomb",
    [
        "return [0] * 10 ** 9",
        "held = []\nwhile True: held.append(np.empty(10 ** 8, np.uint8))",
        "return np.zeros((20_000, 20_000))[0]",
        "return 'x' * 10 ** 12",
    ],
)
def test_memory_is_limited(sandbox: Sandbox, bomb: str) -> None:
    assert "MemoryError" in reason(sandbox.run(body(bomb), [GRID]))


def test_endless_recursion_ends(sandbox: Sandbox) -> None:
    assert "RecursionError" in reason(sandbox.run(body("return transform(grid)"), [GRID]))
    deep = f"{REACH}['sys'].setrecursionlimit(10 ** 9)\n"
    text = reason(sandbox.run(body(deep + "f = lambda x: [f(x) for _ in [0]]\nreturn f(0)"), [GRID]))
    assert "signal" in text or "MemoryError" in text or "it took more" in text


# -- ways out ---------------------------------------------------------------------------------------------------


def test_the_walk_over_classes_gets_to_the_loaded_modules(sandbox: Sandbox) -> None:
    """Else the tests below would prove nothing: a program does reach `os`, and the kernel has to hold."""
    source = body(f"os = {REACH}['os']\nreturn [[int(os.getpid() > 0), int(os.name == 'posix')]]")
    found = sandbox.run_once(source, [GRID]).outputs[0]
    assert found is not None and found.tolist() == [[1, 1]]


@cases(
    "theft",
    [
        "return [list(open('PLANTED', 'rb').read())]",
        "return np.fromfile('PLANTED', dtype='u1').reshape(1, 9)",
        "return [list(np.load('PLANTED', allow_pickle=True))]",
        "return np.memmap('PLANTED', 'u1', 'r+', shape=(1, 9))",
        "return np.genfromtxt('PLANTED')",
        "return np.lib.npyio.DataSource().open('PLANTED').read()",
        "grid.tofile('PLANTED')\nreturn grid",
        "np.save('PLANTED', grid)\nreturn grid",
        "import os\nreturn grid",
        "import numpy.f2py\nreturn grid",
        "from numpy import ctypeslib\nctypeslib.load_library('c', '/lib').system(b'id')\nreturn grid",
        "return __import__('subprocess').check_output(['cat', 'PLANTED'])",
        "import importlib\nreturn importlib.import_module('os').listdir('/')",
        "return [list(os.read(os.open('PLANTED', os.O_RDWR), 9))]",
        "os.truncate('PLANTED', 0)\nreturn grid",
        "os.remove('PLANTED')\nreturn grid",
        "os.rename('PLANTED', 'PLANTED.away')\nreturn grid",
        "os.symlink('PLANTED', 'link')\nreturn grid",
        "os.mkdir('folder')\nreturn grid",
        "os.system('cp PLANTED PLANTED.copy')\nreturn grid",
        "os.execv('/bin/sh', ['sh', '-c', 'rm PLANTED'])\nreturn grid",
        "os.posix_spawn('/bin/sh', ['sh', '-c', 'rm PLANTED'], {})\nreturn grid",
        "modules['importlib'].import_module('subprocess').run(['/bin/sh', '-c', 'rm PLANTED'])\nreturn grid",
        "os.fork()\nreturn grid",
        "os.kill(os.getppid(), 9)\nreturn grid",
        "os.kill(-1, 9)\nreturn grid",
        "os.setuid(0)\nreturn grid",
        "os.chroot('/')\nreturn grid",
        "os.chdir('..')\nos.chmod('..', 0o777)\nreturn grid",
        "modules['importlib'].import_module('socket').socket().connect(('127.0.0.1', 22))\nreturn grid",
        "modules['resource'].setrlimit(7, (100, 100))\nreturn grid",
        "modules['resource'].prlimit(os.getppid(), 7, (0, 0))\nreturn grid",
        "modules['_ctypes'].dlopen(None, 2)\nreturn grid",
        "modules['ctypes'].CDLL(None).system(b'rm PLANTED')\nreturn grid",
        "modules['ctypes'].pythonapi.system(b'rm PLANTED')\nreturn grid",
        "modules['submission.programs.sandbox.confinement']._audit.__code__ = (lambda *_: None).__code__\nreturn grid",
    ],
)
def test_a_way_out_is_closed(sandbox: Sandbox, planted: Path, theft: str) -> None:
    reach = f"modules = {REACH}\nos = modules['os']\n" if "os." in theft or "modules[" in theft else ""
    outcome = sandbox.run(body(reach + theft.replace("PLANTED", str(planted))), [GRID])
    text = reason(outcome)
    refused = ("PermissionError", "ImportError", "ModuleNotFoundError", "NameError: name 'open'", "SystemError")
    assert any(word in text for word in refused), text
    assert_untouched(planted)


@linux
def test_a_program_has_one_thread(sandbox: Sandbox) -> None:
    source = body(f"{REACH}['_thread'].start_new_thread(print, ())\nreturn grid")
    assert reason(sandbox.run(source, [GRID])) == "RuntimeError: can't start new thread"


def test_a_program_that_ends_itself_ends_nothing_else(sandbox: Sandbox) -> None:
    servers = psutil.Process().children()
    for end in ("os._exit(0)", "os.abort()", "signal.raise_signal(9)"):
        text = reason(sandbox.run(body(f"os, signal = {REACH}['os'], {REACH}['signal']\n{end}"), [GRID]))
        assert "ended" in text or "PermissionError" in text
    for kind_of_end in ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException"):
        assert kind_of_end in reason(sandbox.run(body(f"raise {kind_of_end}"), [GRID]))
    assert psutil.Process().children() == servers


def test_errors_that_cannot_be_told_are_told(sandbox: Sandbox) -> None:
    bad = "class Bad(Exception):\n    def __str__(self): raise self\n" + body("raise Bad")
    assert reason(sandbox.run(bad, [GRID])) == "it ended before it had answered"
    assert len(reason(sandbox.run(body("raise ValueError('x' * 10 ** 7)"), [GRID]))) <= 200


def test_an_answer_forged_on_the_channel_is_only_an_answer(sandbox: Sandbox) -> None:
    """It is what the program claims, as any return value is; whoever runs it compares it with what only he knows."""
    forged = f"os = {REACH}['os']\nos.write(3, bytes([0, 4]) + b'g' + bytes([1, 1, 7]))\nos._exit(0)"
    outcome = sandbox.run(body(forged), [GRID, GRID])
    assert outcome.outputs[0] is not None and outcome.outputs[0].tolist() == [[7]]
    assert outcome.reasons == (None, "it ended before it had answered")


@cases("junk", ["b'x' * 5000", "bytes([0, 0])", "bytes([0, 5]) + b'zzzzz'", "b'\\xff\\xff'"])
def test_junk_on_the_channel_is_no_answer(sandbox: Sandbox, junk: str) -> None:
    source = body(f"os = {REACH}['os']\nwhile True: os.write(3, {junk})")
    assert reason(sandbox.run(source, [GRID])) == "it wrote something else than answers"


# -- the servers ------------------------------------------------------------------------------------------------


def test_a_lost_server_costs_one_outcome() -> None:
    before = set(psutil.Process().children())
    with Sandbox(LIMITS) as one:
        one.run_once(body("return grid"), [GRID])
        (server,) = set(psutil.Process().children()) - before
        server.kill()
        assert reason(one.run_once(body("return grid"), [GRID])) == "the sandbox was lost (it has ended)"
        assert one.run_once(body("return grid"), [GRID]).reasons == (None,)


def test_nothing_is_left_when_a_sandbox_is_closed() -> None:
    before = set(psutil.Process().children())
    folders = set(Path(tempfile.gettempdir()).glob("program-*"))
    assert run(body("return grid"), [GRID], LIMITS).reasons == (None,)
    assert set(psutil.Process().children()) == before
    assert set(Path(tempfile.gettempdir()).glob("program-*")) == folders


def test_a_server_that_cannot_start_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("submission.programs.sandbox.sandbox.BOOT", "raise SystemExit('no numpy here')")
    with Sandbox(LIMITS) as one, pytest.raises(BadInput, match="cannot be started: no numpy here"):
        one.run(body("return grid"), [GRID])


# -- many random programs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_random_programs_neither_hang_nor_get_out(number: int) -> None:
    """`python -m tests.support.hostile_programs 1000` runs a thousand and says what became of them."""
    limits = Limits(call_seconds=0.2, seconds=0.5)
    seen: list[Trial] = list(trials(number, 1, limits))
    assert [each.source for each in seen if each.escapes] == []
    assert max(each.seconds for each in seen) < 2 * limits.seconds + 2.0
    assert len({kind(each) for each in seen}) >= 5, "some are right, others fail in many ways"


def test_the_mutator_is_seeded() -> None:
    one, other = (mutated(np.random.default_rng(4), Path("planted")) for _ in range(2))
    assert one == other
