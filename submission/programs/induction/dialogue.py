"""The prompt that asks a language model for a program, and the extraction of the program from its completion.

A grid is lines of cells, each the name of its colour or its digit; the program begins with comments on the concepts it
uses and a description of the rule, as in BARC (Li et al., arXiv 2411.02272). There are two formats:

- `plain`: our own wording, for any model that writes Python; of several programs the last counts.
- `barc`: word for word the prompt with which BARC's published induction checkpoints were trained (its README names the
  script gen_dataset_both.py); of several programs the first counts. Programs call the functions of `common`.

In both the lines of a grid are the first axis of the array that `transform` gets: BARC's library calls it x. (BARC's
hand-written seeds are the exception: they take ARC's grids transposed. Its models are asked and judged without that.)
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

WriterFormat = Literal["plain", "barc"]
"""How a program is asked for, and taken from the answer."""

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

BARC_SYSTEM = (
    "You are a world-class puzzle solver with exceptional pattern recognition skills and expertise in Python "
    "programming. Your task is to analyze puzzles and provide Python solutions."
)
BARC_START = (
    "Given input-output grid pairs as reference examples, carefully observe the patterns to predict the output grid "
    "for new test input. Each pair follows the same transformation rule. Grids are 2D arrays represented as strings, "
    "with cells (colors) separated by spaces and rows by newlines.\n"
    "Here are the input and output grids for the reference examples:\n"
)
BARC_TEST = "Here is the input grid for the test example:\nInput:\n"
BARC_END = (
    "\nWrite a Python function `transform` that can convert any given input grid to its corresponding output grid "
    "based on the pattern observed in the reference examples."
)
BARC_LIBRARY = "from common import *\n"
"""What BARC puts in front of a program that it runs; numpy, as np, comes with it."""

PROGRAM_TOKENS: dict[WriterFormat, int] = {"plain": 1024, "barc": 1536}
"""Most tokens of a program. BARC: 1536 for the whole answer, which has one sentence in front of the program."""


@dataclass(frozen=True)
class Message:
    """One message of a chat, as chat templates take it."""

    role: Literal["system", "user"]
    content: str


def messages(
    task: Task, cells: CellFormat = "colours", demonstrations: int | None = None, form: WriterFormat = "plain"
) -> tuple[Message, ...]:
    """Return the system and the user message: the request, the first `demonstrations` (None: all), the test inputs.

    In the format `barc` cells are always written as colours.
    """
    if form == "barc":
        return _barc_messages(task, demonstrations)
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


def _barc_messages(task: Task, demonstrations: int | None) -> tuple[Message, ...]:
    """`messages` in the format `barc`."""
    content = BARC_START
    for k, pair in enumerate(task.demonstrations[:demonstrations]):
        content += f"Example {k + 1}\nInput:\n{_barc_grid(pair.input)}\nOutput:\n{_barc_grid(pair.output)}\n\n"
    content += BARC_TEST + "\n".join(_barc_grid(each) for each in task.tests) + BARC_END
    return Message("system", BARC_SYSTEM), Message("user", content)


def _barc_grid(cells: Grid) -> str:
    """A grid as BARC writes it: each line ends with a newline, the last one too."""
    return grid_text(cells, "colours") + "\n"


def grid_text(cells: Grid, how: CellFormat) -> str:
    """Return a grid as text: one line per grid row, one word or digit per cell, separated by spaces."""
    return "\n".join(" ".join(COLOURS[cell] if how == "colours" else str(cell) for cell in row) for row in cells)


def program_of(text: str, form: WriterFormat = "plain") -> str | None:
    """Return the code block that counts, of those that define `transform`; None if there is none.

    plain: the last one. barc: the first one, with BARC's library in front if it does not import it. The last block of
    a text may be unfinished.
    """
    blocks = re.findall(r"```([^\n`]*)\n(.*?)(?:```|\Z)", text, flags=re.DOTALL)
    python = [code for language, code in blocks if language.strip().lower() in ("", "python", "py", "python3")]
    defining = [each for each in python if re.search(r"^def transform\(", each, flags=re.MULTILINE)]
    if not defining:
        return None
    program = defining[0 if form == "barc" else -1]
    if form == "barc" and not re.search(r"^(?:from|import) common\b", program, flags=re.MULTILINE):
        program = BARC_LIBRARY + program
    return program if len(program) <= MOST_CHARACTERS else None


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
