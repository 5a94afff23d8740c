"""The request for a program, and the program that is read out of an answer."""

from __future__ import annotations

import re

import numpy as np
import pytest

from submission.arc.tasks import Task, grid
from submission.programs.induction.dialogue import COLOURS, MOST_CHARACTERS, grid_text, messages, program_of, syntax_of


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
