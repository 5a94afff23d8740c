"""The prompt that asks a language model for a program, and the extraction of the program from its completion.

The format is that of BARC (Li et al., arXiv 2411.02272): a grid is lines of cells, each the name of its colour or its
digit; the program begins with comments on the concepts it uses and a description of the rule. The wording is our own.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Literal

from submission.arc.tasks import Grid, Task

COLOURS = ("Black", "Blue", "Red", "Green", "Yellow", "Gray", "Pink", "Orange", "Purple", "Brown")
"""BARC's names of the colours 0..9: one token each in most vocabularies."""

CellFormat = Literal["colours", "digits"]
"""How a cell is written."""

OPENING = "```python\n"
"""The opening of a program; budget forcing writes it when the reasoning must end."""
FENCE = "```"
MOST_CHARACTERS = 20_000
"""Longer programs are ignored."""

SYSTEM = "You find the rule behind small coloured grids and write it down as a Python program."

RULES = """\
Every input grid below was turned into its output grid by one and the same rule. Find the rule, and write it as a
Python function `transform(grid)` that takes an input and returns its output. A grid is a two-dimensional numpy array
of ints; {legend}. The function must give the right output for every example, and for
the test inputs.

Think first. Then write one code block that begins with ```python, with two comments in front of the function:
`# concepts:`, naming the ideas that the rule is made of, and `# description:`, telling the rule in words. Use numpy
and the standard library only; nothing may depend on chance."""


@dataclass(frozen=True)
class Message:
    """One message of a chat, as chat templates take it."""

    role: Literal["system", "user"]
    content: str


def messages(task: Task, cells: CellFormat = "colours", demonstrations: int | None = None) -> tuple[Message, ...]:
    """Return the system and the user message: the request, the first `demonstrations` (None: all), the test inputs."""
    legend = ", ".join(f"{k} is {name}" for k, name in enumerate(COLOURS))
    if cells == "digits":
        legend = "0 is mostly the background"
    parts = [RULES.format(legend=legend)]
    for k, pair in enumerate(task.demonstrations[:demonstrations]):
        parts.append(
            f"Example {k + 1}\nInput:\n{grid_text(pair.input, cells)}\n\nOutput:\n{grid_text(pair.output, cells)}"
        )
    parts += [f"Test input:\n{grid_text(each, cells)}" for each in task.tests]
    return Message("system", SYSTEM), Message("user", "\n\n".join(parts))


def grid_text(cells: Grid, how: CellFormat) -> str:
    """Return a grid as text: one line per grid row, one word or digit per cell, separated by spaces."""
    return "\n".join(" ".join(COLOURS[cell] if how == "colours" else str(cell) for cell in row) for row in cells)


def program_of(text: str) -> str | None:
    """Return the last code block that defines `transform`, None if there is none; the last block may be unfinished."""
    blocks = re.findall(r"```([^\n`]*)\n(.*?)(?:```|\Z)", text, flags=re.DOTALL)
    python = [code for language, code in blocks if language.strip().lower() in ("", "python", "py", "python3")]
    defining = [each for each in python if re.search(r"^def transform\(", each, flags=re.MULTILINE)]
    return defining[-1] if defining and len(defining[-1]) <= MOST_CHARACTERS else None


@dataclass(frozen=True)
class Syntax:
    """The syntax of a program, without its comments and layout."""

    key: str
    """Equal for two programs that differ only in comments, docstrings, blank lines and layout."""
    size: int
    """Nodes of the syntax tree."""


def syntax_of(source: str) -> Syntax | None:
    """Return the syntax of a program; None for text that is not Python, or is nested too deeply for the parser."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "\d" in a string or `x is 1`: not worth a line in the log
            tree = ast.parse(source)
        for node in ast.walk(tree):
            _drop_docstring(node)
        return Syntax(ast.dump(tree), sum(1 for _ in ast.walk(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _drop_docstring(node: ast.AST) -> None:
    """Remove the docstring of a module, class or function that has one."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
        node, clean=False
    ):
        node.body = node.body[1:]
