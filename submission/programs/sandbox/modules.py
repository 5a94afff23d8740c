"""The modules that a program may import, loaded before the first fork: a fork cannot open files.

`common` is the library of BARC's programs (`sandbox.common`), made into one module. Its functions are loaded with the
builtins of a program, so that they reach no more than the program itself. `scipy.ndimage` is there where it is
installed and can be loaded.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import random
import sys
from types import ModuleType
from typing import Any

import numpy as np

MODULES = frozenset({
    "__future__", "abc", "bisect", "cmath", "collections", "collections.abc", "common", "copy", "dataclasses", "enum",
    "fractions", "functools", "heapq", "itertools", "math", "numbers", "numpy", "numpy.char", "numpy.fft", "numpy.lib",
    "numpy.lib.stride_tricks", "numpy.linalg", "numpy.ma", "numpy.polynomial", "numpy.random", "numpy.rec",
    "numpy.typing", "operator", "random", "re", "statistics", "string", "time", "typing",
})  # fmt: skip
"""Modules that a program may import; `time.sleep` counts as time that the program takes."""
OPTIONAL = ("scipy", "scipy.ndimage")
"""Modules that it may import as well where they can be loaded."""
FAMILIES = ("numpy.", "scipy.ndimage.")
"""Submodules of these may be imported if the server has loaded them."""
REMOVED_BUILTINS = frozenset({"breakpoint", "copyright", "credits", "exit", "help", "input", "license", "open", "quit"})
"""Builtins that a program does not have."""

LIBRARY = "submission.programs.sandbox.common"
PARTS = ("colours", "labelling", "drawing", "objects", "outlines", "symmetry", "detection", "chance")
"""The modules of the library, each after those that it imports."""


def load() -> str:
    """Load all that programs may import; return why there is no scipy, "" where there is."""
    _load_library()
    for name in sorted(MODULES):
        importlib.import_module(name)
    missing = _load_scipy()
    if not missing:
        sys.modules[f"{LIBRARY}.labelling"].use_label(sys.modules["scipy.ndimage"].label)
    return missing


def _load_scipy() -> str:
    """Load the optional modules; return why that failed, "" if it did not."""
    before = set(sys.modules)
    try:
        for name in OPTIONAL:
            importlib.import_module(name)
        # Parts of it are only imported when a function is first called.
        sys.modules["scipy.ndimage"].label(np.ones((2, 2), dtype=bool), np.ones((3, 3), dtype=int))
    except Exception as error:  # a scipy that does not fit this numpy raises whatever it likes
        _forget(before, "scipy")
        return f"{type(error).__name__}: {error}"
    finally:
        # scipy keeps what it has imported, but programs find no more of numpy than without it: no numpy.ctypeslib.
        _forget(before, "numpy")
    return ""


def _forget(before: set[str], package: str) -> None:
    """Take modules of a package that were not loaded before out of reach: out of `sys.modules` and their parents."""
    for name in [each for each in sys.modules if each.partition(".")[0] == package and each not in before]:
        parent, _, last = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(last, None)
        del sys.modules[name]


def _load_library() -> None:
    """Load the parts of the library with a program's builtins, and make the module `common` of their names."""
    names = program_builtins()
    names["__import__"] = importlib.__import__  # while they are loaded: they import each other
    common = ModuleType("common", "BARC's library of grid functions.")
    vars(common).update(np=np, random=random)  # a star import of BARC's library brings these too
    for part in PARTS:
        spec = importlib.util.find_spec(f"{LIBRARY}.{part}")
        assert spec is not None and spec.loader is not None, part
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = names
        sys.modules[module.__name__] = module
        spec.loader.exec_module(module)
        if "__all__" in vars(module):
            vars(common).update({name: vars(module)[name] for name in vars(module)["__all__"]})
    names["__import__"] = import_module
    sys.modules["common"] = common


def program_builtins() -> dict[str, Any]:
    """The builtins of a program."""
    names = {name: value for name, value in vars(builtins).items() if name not in REMOVED_BUILTINS}
    names["__import__"] = import_module
    return names


def import_module(name: str, namespace: Any = None, names: Any = None, wanted: Any = (), level: int = 0) -> Any:
    """Replace `__import__` in programs: refuse all modules but those above."""
    # numpy's C code imports parts of numpy in the program's name, for example when an array is first printed.
    loaded = name in sys.modules and (name in OPTIONAL or name.startswith(FAMILIES))
    if level or not (name in MODULES or loaded):
        raise ImportError(f"{name} must not be imported here")
    return importlib.__import__(name, namespace, names, wanted, level)
