"""Hostile programs beyond those of the first tests, under confinements that lack one layer each.

After each of them an honest program must be answered as before, nothing may be left behind, and nobody waits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from submission.arc.tasks import grid
from submission.programs.sandbox import sandbox as module
from submission.programs.sandbox.sandbox import Limits, Sandbox
from tests.attacks.verdicts import Attack, Verdict
from tests.support.hostile_programs import REACH, assert_untouched, planted_file

LIMITS = Limits(call_seconds=0.5, seconds=1.0)
GRIDS = [grid([[1, 2], [3, 4]]), grid([[5]])]
HONEST = "import numpy as np\ndef transform(grid):\n    return np.rot90(grid)"
ANSWERS = [[[2, 4], [1, 3]], [[5]]]

NO_LAYER = {
    "all layers": "",
    "no system calls' filter": "def no(*_): raise OSError\nc._filter_system_calls = no\n",
    "no Landlock": "def no(*_): raise OSError\nc._forbid_files = no\n",
    "no empty root": "def no(*_): raise OSError\nc.os.chroot = no\n",
    "no audit": "c._audit = lambda *_: None\n",
}
"""Confinement -> what takes a layer away in the server, before any program runs."""

BOOT = """import sys; sys.path += sys.argv[1:]
from submission.programs.sandbox import confinement as c, forkserver
LACKING
forkserver.main()"""

ANY: Any = object()
"""Whatever the program answers, as long as it harms nobody."""

OBJECTS: dict[str, Any] = {
    "class A(np.ndarray):\n  def tolist(self): return [[7] * 40] * 40\nreturn np.zeros((2, 2), int).view(A)": None,
    "class A(np.ndarray):\n  shape = (1, 1)\n  def tolist(self): return [[7]]\nreturn np.zeros((50, 5)).view(A)": ANY,
    "class L(list):\n  def __len__(self): return 1\n  def __iter__(self): return iter(int, 1)\nreturn L()": None,
    "class L(list):\n  def __iter__(self): raise SystemExit\nreturn L([[1]])": None,
    "class L(list):\n  n = 0\n  def __len__(self): self.n += 1; return self.n\nreturn L([[1]] * 5)": ANY,
    "class I(int):\n  def __int__(self): return 300\nreturn [[I(3)]]": None,
    "class I(int):\n  def __le__(self, o): return True\n  __ge__ = __le__\nreturn [[I(99)]]": None,
    "class I(int):\n  def __index__(self): return -5\n  __int__ = __index__\nreturn [[I(3)]]": None,
    "class X:\n  __class__ = property(lambda self: np.ndarray)\nreturn X()": None,
    "class X:\n  def __getattr__(self, name): return self\n  __class__ = list\nreturn X()": None,
    "a = []; a.append(a); return a": None,
    "return np.ma.masked_array([[1, 2]], mask=[[0, 1]])": None,
    "return np.matrix([[1, 2]])": [[1, 2]],
    "return np.array([[np.zeros(3), None]], dtype=object)": None,
    "return np.zeros((2, 2), dtype=[('a', int)])": None,
    "return np.ones((2, 2), bool)": None,
    "return np.full((2, 2), 2**64 - 1, np.uint64)": None,
    "return np.full((1, 1), 256 + 7, np.int64)": None,
    "return (row for row in grid)": None,
    "return {0: [1]}": None,
    "return ['12', '34']": None,
    "return [b'ab']": None,
    "return [range(3)]": None,
    "return [memoryview(b'abc')]": None,
    "return [[1 + 0j]]": None,
    "return [[np.float64(1)]]": None,
    "return [[True]]": None,
    "return [[1.0]]": None,
    "return [[np.bool_(1)]]": None,
    "return transform": None,
    "return np.zeros((0, 3), int)": None,
    "return [[]]": None,
    "return np.broadcast_to(np.int8(3), (30, 30))": [[3] * 30] * 30,
    "return [np.array(1)]": None,
    "return [[np.array(1)]]": None,
    "return [[np.array([1])]]": None,
    "class R:\n  def __reduce__(self): return (print, ('x',))\nreturn [[R()]]": None,
    "import fractions; return [[fractions.Fraction(3)]]": None,
    "import enum\nclass E(enum.IntEnum): A = 3\nreturn [[E.A]]": [[3]],
}
"""Body -> the first answer that it should have; None for none."""

SPENDING: dict[str, Any] = {
    "return np.empty(10**10)": None,
    "x = '%*d' % (10**9, 1)": None,
    "x = bytearray(1 << 40)": None,
    "return [[0]] * 10**9": None,
    "x = {}\nwhile True: x[len(x)] = [0] * 1000": None,
    "import functools; return functools.reduce(lambda a, b: a + a, range(60), [1])": None,
    "return sorted(range(10**9))": None,
    "import itertools; return list(itertools.product(range(99), repeat=99))": None,
    "return np.linalg.svd(np.zeros((20000, 20000)))": None,
    "return np.arange(10**8).reshape(10**4, -1).tolist()": None,
    "return int('9' * 10**7)": None,
    "return [[len(str(2**10**7)) % 10]]": None,
    "def g():\n  yield from g()\nreturn list(g())": None,
    "import copy\na = [0]\nfor _ in range(10**6): a = [a]\nreturn copy.deepcopy(a)": None,
    "a = [0]\nfor _ in range(10**6): a = [a]\nreturn a == a": None,
    "return eval('(' * 10**6)": None,
    "return eval('-' * 10**6 + '1')": None,
    "exec('x = 1\\n' * 10**6)\nreturn grid": ANY,
    "return eval('lambda: ' * 5000 + '1')": None,
    "import re; return re.compile('(' * 10**5 + ')' * 10**5)": None,
    "import re; re.match('(x+x+)+y', 'x' * 40)": None,
    "import random\nwhile True: random.random()": None,
    "while True:\n  try: raise KeyboardInterrupt\n  except BaseException: pass": None,
    "class D:\n  def __del__(self):\n    while True: pass\nD(); return grid": None,
    "import numpy as n\nfor _ in range(10**9): n.ones(10**5)": None,
    "[print('x' * 10**6) for _ in range(10**6)]": None,
    "import string; return string.Template('$x' * 10**7).substitute(x='y' * 100)": None,
}

REACHING: dict[str, Any] = {
    "os._exit(0)": None,
    "sys.exit(0)": None,
    "sys.modules['atexit'].register(lambda: [0 for _ in iter(int, 1)]); return grid": ANY,
    "sys.setrecursionlimit(10**8)\nf = lambda: f()\nreturn f()": None,
    "sys.settrace(lambda *a: 1 / 0)\nreturn transform.__name__": None,
    "sys.setswitchinterval(1e-9); return grid": ANY,
    "sys.stdout = sys.stderr = None; print(1); return grid": ANY,
    "sys.modules.clear(); return grid": ANY,
    "sys.modules['numpy'].rot90 = lambda g: [[0]]; return grid": ANY,
    "sys.modules['numpy'].array = None; return grid": ANY,
    "sys.modules['json'].dumps = None; sys.modules['json'].loads = None; return grid": ANY,
    "f = sys.modules['submission.programs.sandbox.protocol']; f.frame_of = lambda v: b'g\\1\\1\\7'; return grid": ANY,
    "sys._getframe(1).f_locals['request']; return grid": ANY,
    "sys._getframe(1).f_globals['_write'] = print; return grid": ANY,
    "b = sys.modules['builtins']; b.isinstance = lambda *a: True; return object()": None,
    "b = sys.modules['builtins']; b.len = lambda *a: 1; return grid": ANY,
    "sys.modules['struct'].pack = lambda *a: b'\\xff\\xff'; return grid": None,
    "os.write(3, b'\\x03\\x87g'); [0 for _ in iter(int, 1)]": None,
    "os.write(3, bytes([0, 4]) + b'g' + bytes([1, 1, 7])); return grid": ANY,
    "os.write(3, bytes([0, 4]) + b'g' + bytes([1, 1, 77]))\nos._exit(0)": None,
    "os.write(3, bytes([0, 3]) + b'g' + bytes([0, 0]))\nos._exit(0)": None,
    "os.write(3, bytes([0, 4]) + b'g' + bytes([30, 30, 1]))\nos._exit(0)": None,
    "os.write(3, bytes([0, 9]) + b'r\\x1b[2J\\r\\x07\\xff\\n')\nos._exit(0)": None,
    "raise ValueError('\\x1b[31m\\r\\u2028\\u202e\\x00')": None,
    "raise type('E' * 10**6, (Exception,), {})": None,
    "raise ExceptionGroup('x', [ValueError()] * 1000)": None,
    "os.write(3, os.read(0, 100) or b'\\0\\1r'); return grid": ANY,
    "os.dup2(0, 3); return grid": ANY,
    "os.close(3); return grid": ANY,
    "os.close(0); os.close(1); os.close(2); return grid": ANY,
    "os.set_blocking(3, False)\nreturn grid": ANY,
    "os.kill(os.getppid(), 19)": None,
    "os.kill(1, 9)": None,
    "os.kill(-os.getppid(), 9)": None,
    "os.kill(0, 19)": None,
    "os.setpgid(0, os.getppid())": None,
    "os.setpriority(0, os.getppid(), 19)": None,
    "os.sched_setaffinity(os.getppid(), {0})": None,
    "os.pidfd_open(os.getppid())": None,
    "os.memfd_create('x')": None,
    "os.mkfifo('x')": None,
    "os.pipe()": None,
    "os.open('/proc/self/mem', 2)": None,
    "os.open('/proc/' + str(os.getppid()) + '/mem', 2)": None,
    "os.listdir('/proc')": None,
    "os.readlink('/proc/self/exe')": None,
    "os.open('.', os.O_TMPFILE | 2)": None,
    "os.chmod('PLANTED', 0)": None,
    "os.utime('PLANTED')": None,
    "os.link('PLANTED', 'x')": None,
    "os.truncate('PLANTED', 0)": None,
    "os.setxattr('PLANTED', 'user.x', b'1')": None,
    "os.stat('PLANTED')": None,
    "os.getxattr('PLANTED', 'x')": None,
    "os.umask(0); os.open('x', os.O_CREAT)": None,
    "os.fork(); os.fork(); os.fork(); [0 for _ in iter(int, 1)]": None,
    "os.posix_spawnp('sleep', ['sleep', '100'], {})": None,
    "os.execve('/bin/sh', ['sh'], {})": None,
    "os.nice(-10)": None,
    "os.abort()": None,
    "sys.modules['_thread'].start_new_thread(lambda: [0 for _ in iter(int, 1)], ())": None,
    "a = sys.modules['_thread'].allocate_lock(); a.acquire(); a.acquire()": None,
    "sys.modules['signal'].pause()": None,
    "sys.modules['signal'].raise_signal(19)": None,
    "s = sys.modules['signal']; s.signal(24, s.SIG_IGN); s.signal(15, s.SIG_IGN)\nwhile True: pass": None,
    "sys.modules['select'].select([], [], [], 100)": None,
    "sys.modules['gc'].get_objects()[0].__class__; return grid": ANY,
    "c = sys.modules['ctypes']; c.string_at(0)": None,
    "c = sys.modules['ctypes']; c.memset(id(transform), 0, 1000); return grid": ANY,
    "c = sys.modules['ctypes']; c.CDLL(None).fork()": None,
    "c = sys.modules['ctypes']; c.pythonapi.Py_Exit(0)": None,
    "c = sys.modules['ctypes']; c.CDLL(None).syscall(57)": None,
    "c = sys.modules['ctypes']; c.CDLL(None).syscall(322, -100, b'/bin/sh', 0, 0, 0)": None,
    "c = sys.modules['ctypes']; c.CDLL(None).mmap(0, 1 << 40, 3, 34, -1, 0)": None,
    "k = transform.__code__.replace(co_code=b'\\xff' * 100); exec(k)": None,
    "transform.__code__ = (lambda g: [[3]]).__code__; return grid": ANY,
    "sys.addaudithook(lambda *a: None); os.listdir('/')": None,
    "sys.modules['faulthandler'].dump_traceback_later(0.1)": None,
    "sys.modules['resource'].setrlimit(sys.modules['resource'].RLIMIT_AS, (-1, -1)); x = bytearray(1 << 33)": None,
    "sys.modules['mmap'].mmap(-1, 1 << 36)": None,
    "sys.modules['socket'].socket(); 1 / 0": None,
    "sys.modules['time'].sleep(1e9)": None,
    "return [[sys.modules['time'].time_ns() // (k + 1) % 10 for k in range(30)]]": None,
    "return [[x % 10 for x in os.urandom(30)]]": None,
    "return [[os.getpid() // 10**k % 10 for k in range(5)], [id(grid) // 16 // 10**k % 10 for k in range(5)]]": None,
}
"""Bodies with `os` and `sys` at hand: by the walk over classes that the sandbox does not prevent."""

WHOLE: dict[str, Any] = {
    "async def transform(grid): return grid": None,
    "def transform(grid): yield grid": None,
    "transform = print": None,
    "class transform(list): pass": ANY,
    "class transform:\n  def __new__(cls, g): return [[4]]": [[4]],
    "import functools\ntransform = functools.partial(lambda a, g: g, 1)": [[1, 2], [3, 4]],
    "def transform(): return [[1]]": None,
    "def transform(*a, seen=[]): seen.append(1); return [[len(seen)]]": [[1]],
    "def transform(grid): grid[:] = 7; return grid": [[7, 7], [7, 7]],
    "\ufeffdef transform(grid): return grid": None,
    "# -*- coding: utf-7 -*-\ndef transform(grid): return grid": [[1, 2], [3, 4]],
    "#" * 10_000_000 + "\ndef transform(grid): return grid": None,
    "x = (" + "(" * 100_000: None,
    "transform = lambda g: g\n" + "def f(): pass\n" * 20_000: ANY,
    "while True: pass": None,
    "import sys": None,
    "from numpy import rot90 as r\ndef transform(g): return r(g)": [[2, 4], [1, 3]],
    "__builtins__.clear()\ndef transform(g): return g": ANY,
    "def transform(g): return __import__('numpy').f2py": None,
    "raise BaseException": None,
    "transform = type('T', (), {'__call__': lambda s, g: g})()": [[1, 2], [3, 4]],
    "import numpy\nnumpy.int64 = None\ndef transform(g): return g": ANY,
    "def transform(g): del g; return locals()": None,
    "global transform\ndef transform(g): return g": [[1, 2], [3, 4]],
    "def transform(g):\n\treturn g\n        #": [[1, 2], [3, 4]],
}
"""Whole programs."""


def reaching(planted: Path) -> Iterator[tuple[str, Any]]:
    """The programs that reach for the system, each with the first answer that it should have."""
    for body, wanted in REACHING.items():
        yield (
            _program(f"sys = {REACH}['sys']; os = sys.modules['os']\n" + body.replace("PLANTED", str(planted))),
            wanted,
        )


def sources(planted: Path) -> Iterator[tuple[str, Any]]:
    """All programs, each with the first answer that it should have."""
    for body, wanted in {**OBJECTS, **SPENDING}.items():
        yield _program(body), wanted
    yield from reaching(planted)
    yield from WHOLE.items()


def _program(body: str) -> str:
    return "import numpy as np\ndef transform(grid):\n" + "".join(f"    {line}\n" for line in body.splitlines())


@contextmanager
def confined(lacking: str) -> Iterator[Sandbox]:
    """A sandbox without one of the layers."""
    with mock.patch.object(module, "BOOT", BOOT.replace("LACKING", lacking)), Sandbox(LIMITS) as made:
        assert len(made.layers) == len(module.ALL_LAYERS) - (bool(lacking) and "_audit" not in lacking), made.layers
        yield made


def attacks() -> Iterator[Attack]:
    """Every program under every confinement."""
    for name in NO_LAYER:
        yield from attacks_under(name, sources)


def attacks_under(name: str, made: Callable[[Path], Iterable[tuple[str, Any]]]) -> Iterator[Attack]:
    """These programs under one confinement; they share a sandbox, so that one may harm what comes after it."""
    before = set(psutil.Process().children())
    with planted_file() as planted, confined(NO_LAYER[name]) as sandbox:
        assert [_rows(each) for each in sandbox.run(HONEST, GRIDS).outputs] == ANSWERS
        servers = set(psutil.Process().children()) - before
        for source, wanted in made(planted):
            yield Attack(
                f"{name}: {source[-60:]!r}",
                partial(judged, sandbox, source, wanted, planted, servers),
            )


def judged(sandbox: Sandbox, source: str, wanted: Any, planted: Path, servers: set[psutil.Process], _: Path) -> Verdict:
    """Run a program and then an honest one, and look for what the first has left behind."""
    state = (os.getcwd(), dict(os.environ))
    memory = sum(each.memory_info().rss for each in servers)
    began = time.monotonic()
    outcome = sandbox.run(source, GRIDS)
    seconds = time.monotonic() - began
    assert seconds < 2 * LIMITS.seconds + 4, f"took {seconds:.1f} s"
    first, reason = outcome.outputs[0], outcome.reasons[0]
    if wanted is not ANY:
        assert (None if first is None else _rows(first)) == wanted, f"answered {first}, {reason}"
    for each in outcome.reasons:
        assert each is None or (each.isprintable() and len(each) <= 300), f"cannot be printed: {each!r}"
    assert servers <= set(psutil.Process().children()), "a server has ended"
    assert not [child for server in servers for child in server.children()], "a process is left"
    assert not [path for server in servers for path in Path(f"/proc/{server.pid}/cwd").iterdir()], "a file is left"
    grown = sum(each.memory_info().rss for each in servers) - memory
    assert grown < 100 << 20, f"the servers have grown by {grown >> 20} MB"
    assert_untouched(planted)
    assert (os.getcwd(), dict(os.environ)) == state
    assert [_rows(each) for each in sandbox.run(HONEST, GRIDS).outputs] == ANSWERS, (
        "an honest program is answered otherwise"
    )
    return "refused" if first is None else "accepted"


def _rows(cells: Any) -> Any:
    return None if cells is None else cells.tolist()
