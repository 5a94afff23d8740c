"""What a language model is asked about a task, and the program that is read out of what it says.

The form is that of BARC (Li et al., 2025): grids as lines of cells, a cell being the name of its colour or its digit;
the answer a Python program that opens with comments on the concepts in it and a description of the rule.
The wording is our own.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Literal

from submission.arc.tasks import Grid, Task

COLOURS = ("Black", "Blue", "Red", "Green", "Yellow", "Gray", "Pink", "Orange", "Purple", "Brown")
"""What BARC calls the colours 0..9: a token each in most vocabularies."""

Cells = Literal["colours", "digits"]

OPENING = "```python\n"
"""How a program opens; a model that has been thinking for long enough is made to write it."""
FENCE = "```"
LONGEST = 20_000
"""Characters of a program; what is longer is no rule of a puzzle."""

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
    """One turn of a dialogue, as chat templates take it."""

    role: Literal["system", "user"]
    content: str


def asked(task: Task, cells: Cells = "colours", demonstrations: int | None = None) -> tuple[Message, ...]:
    """The dialogue so far: the request, the first so many demonstrations (all for None), the test inputs."""
    legend = ", ".join(f"{k} is {name}" for k, name in enumerate(COLOURS))
    if cells == "digits":
        legend = "0 is mostly the background"
    parts = [RULES.format(legend=legend)]
    for k, pair in enumerate(task.demonstrations[:demonstrations]):
        parts.append(f"Example {k + 1}\nInput:\n{shown(pair.input, cells)}\n\nOutput:\n{shown(pair.output, cells)}")
    parts += [f"Test input:\n{shown(each, cells)}" for each in task.tests]
    return Message("system", SYSTEM), Message("user", "\n\n".join(parts))


def shown(cells: Grid, how: Cells) -> str:
    """A grid as text: a line a row, a word or a digit a cell, one space between them."""
    return "\n".join(" ".join(COLOURS[cell] if how == "colours" else str(cell) for cell in row) for row in cells)


def program_of(text: str) -> str | None:
    """The last code block of a text that defines `transform`, be it cut off at the end; None where there is none."""
    blocks = re.findall(r"```([^\n`]*)\n(.*?)(?:```|\Z)", text, flags=re.DOTALL)
    python = [code for language, code in blocks if language.strip().lower() in ("", "python", "py", "python3")]
    defining = [each for each in python if re.search(r"^def transform\(", each, flags=re.MULTILINE)]
    return defining[-1] if defining and len(defining[-1]) <= LONGEST else None


@dataclass(frozen=True)
class Form:
    """What a program is, apart from its spelling."""

    key: str
    """Equal for two programs that differ in comments, docstrings, blank lines and layout alone."""
    size: int
    """Nodes of its syntax tree."""


def form_of(source: str) -> Form | None:
    """The form of a program; None for text that is not Python, or that no parser gets to the bottom of."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a string, `x is 1`: the model's affair
            tree = ast.parse(source)
        for node in ast.walk(tree):
            _undocumented(node)
        return Form(ast.dump(tree), sum(1 for _ in ast.walk(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _undocumented(node: ast.AST) -> None:
    """Take away the docstring of a node that has one."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
        node, clean=False
    ):
        node.body = node.body[1:]
