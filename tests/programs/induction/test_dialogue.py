"""The request for a program, and the program that is read out of an answer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from submission.arc.tasks import Pair, Task, grid
from submission.programs.induction.dialogue import (
    BARC_LIBRARY,
    COLOURS,
    MOST_CHARACTERS,
    grid_text,
    messages,
    program_of,
    syntax_of,
)


def test_a_grid_is_lines_of_colour_names_or_of_digits() -> None:
    cells = grid([[0, 1, 5], [8, 9, 3]])
    assert grid_text(cells, "colours") == "Black Blue Gray\nPurple Brown Green"
    assert grid_text(cells, "digits") == "0 1 5\n8 9 3"


@pytest.mark.parametrize("cells", ["colours", "digits"])
def test_the_request_shows_all_pairs_and_all_test_inputs(small_task: Task, cells: str) -> None:
    system, user = messages(small_task, cells)  # type: ignore[arg-type]
    assert (system.role, user.role) == ("system", "user")
    grids = [side for pair in small_task.demonstrations for side in (pair.input, pair.output)] + [*small_task.tests]
    at = [user.content.index(grid_text(each, cells)) for each in grids]  # type: ignore[arg-type]
    assert at == sorted(at)
    assert len(re.findall(r"^Example \d", user.content, re.M)) == 3 and user.content.count("Test input:") == 2


def test_the_request_tells_which_number_is_which_colour(small_task: Task) -> None:
    content = messages(small_task)[1].content
    assert all(f"{k} is {name}" in content for k, name in enumerate(COLOURS))


def test_demonstrations_are_left_out_from_the_end(small_task: Task) -> None:
    one, two = (messages(small_task, demonstrations=k)[1].content for k in (1, 2))
    assert "Example 1" in one and "Example 2" not in one
    assert "Example 2" in two and "Example 3" not in two
    assert all(grid_text(each, "colours") in one for each in small_task.tests)


BARC_PROMPT = """\
Given input-output grid pairs as reference examples, carefully observe the patterns to predict the output grid for new \
test input. Each pair follows the same transformation rule. Grids are 2D arrays represented as strings, with cells \
(colors) separated by spaces and rows by newlines.
Here are the input and output grids for the reference examples:
Example 1
Input:
Black Blue Gray
Purple Brown Green

Output:
Orange


Example 2
Input:
Red

Output:
Pink Yellow


Here is the input grid for the test example:
Input:
Black Black
{more}
Write a Python function `transform` that can convert any given input grid to its corresponding output grid based on \
the pattern observed in the reference examples."""
"""Written out by the template in BARC's gen_dataset_both.py, which its README names; compared with a prompt of its own
(arc_problems_concept_arc_528_extra_newline_v2.jsonl)."""


def test_the_format_barc_is_barcs_prompt_to_the_letter() -> None:
    pairs = (Pair(grid([[0, 1, 5], [8, 9, 3]]), grid([[7]])), Pair(grid([[2]]), grid([[6, 4]])))
    one = Task("t", pairs, (grid([[0, 0]]),))
    system, user = messages(one, form="barc")
    assert system.content == (
        "You are a world-class puzzle solver with exceptional pattern recognition skills and expertise in Python "
        "programming. Your task is to analyze puzzles and provide Python solutions."
    )
    assert (system.role, user.role) == ("system", "user")
    assert user.content == BARC_PROMPT.format(more="")
    assert messages(one, "digits", form="barc") == (system, user), "cells are always colours"
    two = Task("t", pairs, (grid([[0, 0]]), grid([[1], [2]])))
    assert messages(two, form="barc")[1].content == BARC_PROMPT.format(more="\nBlue\nRed\n")
    shorter = messages(one, demonstrations=1, form="barc")[1].content
    assert "Example 1\n" in shorter and "Example 2" not in shorter


PROGRAM = "# concepts: flip\ndef transform(grid):\n    return grid[::-1]\n"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"It is upside down.\n```python\n{PROGRAM}```\nDone.", PROGRAM),
        (f"```\n{PROGRAM}```", PROGRAM),
        (f"```py \n{PROGRAM}```", PROGRAM),
        (f"cut off\n```python\n{PROGRAM}", PROGRAM),
        (f"```python\ndef transform(grid): pass\n```\nNo.\n```python\n{PROGRAM}```\n", PROGRAM),
        (f"```python\n{PROGRAM}```\nIt prints\n```\n1 2 3\n```\n", PROGRAM),
        (f"```plaintext\n1 2 3\n```\nis turned.\n```python\n{PROGRAM}```", PROGRAM),
        (f"```json\n{PROGRAM}```", None),
        (PROGRAM, None),
        ("```python\ndef main(grid): pass\n```", None),
        ("```python\n```", None),
        ("", None),
        (f"```python\n{PROGRAM}{'#' * MOST_CHARACTERS}\n```", None),
    ],
)
def test_the_program_is_the_last_block_that_defines_transform(text: str, program: str | None) -> None:
    assert program_of(text) == program


IMPORTING = BARC_LIBRARY + "\nimport numpy as np\n" + PROGRAM


@pytest.mark.parametrize(
    ("text", "program"),
    [
        (f"Here it is:\n```python\n{IMPORTING}```\n", IMPORTING),
        (f"```python\n{IMPORTING}```\nOr\n```python\ndef transform(grid): pass\n```", IMPORTING),
        (f"```python\ndef help(): pass\n```\n```python\n{IMPORTING}```", IMPORTING),
        (f"```python\n{PROGRAM}```", BARC_LIBRARY + PROGRAM),
        (f"```python\nimport common\n{PROGRAM}```", "import common\n" + PROGRAM),
        (f"```python\n{IMPORTING}", IMPORTING),
        (f"```python\n{PROGRAM.ljust(MOST_CHARACTERS)}```", None),
        (IMPORTING, None),
    ],
)
def test_in_the_format_barc_it_is_the_first_block_that_defines_transform(text: str, program: str | None) -> None:
    assert program_of(text, "barc") == program


@pytest.mark.parametrize(
    "other",
    [
        "def transform(grid): return grid[::-1]",
        "# other words\n\ndef transform(grid):\n\n    return (grid[ :: -1])  # up",
        'def transform(grid):\n    """Turn it."""\n    return grid[::-1]',
        '"""A program."""\ndef transform(grid):\n    return grid[::-1]',
    ],
)
def test_programs_that_differ_in_layout_and_words_are_one(other: str) -> None:
    assert syntax_of(other) == syntax_of(PROGRAM)


@pytest.mark.parametrize("other", ["return grid[::-2]", "return grid", "x = 1\n    return grid[::-1]"])
def test_other_programs_are_others(other: str) -> None:
    assert syntax_of(f"def transform(grid):\n    {other}") != syntax_of(PROGRAM)


def test_the_size_counts_what_is_done_not_what_is_said() -> None:
    sizes = [syntax_of(f"def transform(grid):\n    return {each}") for each in ("grid", "grid[0]", "grid[0] + grid[1]")]
    assert [each.size for each in sizes if each] == sorted({each.size for each in sizes if each})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "source",
    ["def transform(grid:", "\0", "'\ud800'", "(" * 5000, "x = " + "-" * 20_000 + "1", "1" * 5000, "a" + ".b" * 9000],
)
def test_what_cannot_be_parsed_has_no_form(source: str) -> None:
    assert syntax_of(source) is None


@pytest.mark.filterwarnings("error")
def test_doubtful_python_is_python() -> None:
    assert syntax_of("x = '\\d'\nif x is 1: assert (x, 'y')") is not None


def test_grids_of_all_sizes_are_shown_whole() -> None:
    largest = grid(np.full((30, 30), 7))
    assert grid_text(largest, "colours").split() == ["Orange"] * 900
