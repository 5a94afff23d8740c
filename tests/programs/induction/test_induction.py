"""Programs for a task: of all that is written, those that fit the demonstrations, the most agreed on first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from submission.arc.tasks import Grid, Pair, Solutions, Task, Tasks, grid, public_set
from submission.deadline import NEVER, Deadline, within
from submission.programs.induction.dialogue import BARC_LIBRARY
from submission.programs.induction.induction import Induction, ranked, verify
from submission.programs.program import Program, Source
from submission.programs.sandbox.sandbox import Limits, Sandbox
from tests.support.hostile_programs import REACH

RIGHT = "def transform(grid):\n    return grid[::-1]"
LONGER = "def transform(grid):\n    return [list(row) for row in reversed(grid.tolist())]"
WRONG = "def transform(grid):\n    return grid[:, ::-1]"
MEMORISED = "def transform(grid):\n    return {key: value for key, value in KNOWN}[grid.tobytes()]"
"""Gives the demonstrations' outputs and nothing else."""
HOSTILE = [
    "def transform(grid):\n    while True: pass",
    "import os\ndef transform(grid):\n    os.kill(os.getppid(), 9)",
    f"def transform(grid):\n    {REACH}['os'].write(3, bytes([0, 4]) + b'g' + bytes([1, 1, 7]))",
    "def transform(grid):\n    raise SystemExit",
    "import random\ndef transform(grid):\n    return grid[::-1] if random.random() < 0.5 else grid",
]


@pytest.fixture(scope="module")
def arc1_train() -> tuple[Tasks, Solutions]:
    return public_set("arc1-train")


def block(source: str, thought: str = "I think it is turned.") -> str:
    return f"{thought}\n```python\n{source}\n```\n"


@dataclass
class Scripted:
    """Writes these texts, in this order, and keeps what it was asked."""

    texts: Sequence[str]
    asked: list[tuple[str, int, int]] = field(default_factory=list)
    at: int = 0

    def write(self, task: Task, count: int, until: Deadline, seed: int) -> list[str]:
        self.asked.append((task.id, count, seed))
        self.at += count
        return list(self.texts[self.at - count : self.at])


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(call_seconds=0.4, seconds=1.0)) as made:
        yield made


def induced(texts: Sequence[str], task: Task, sandbox: Sandbox, **settings: Any) -> list[Program]:
    source: Source = Induction(Scripted(texts), sandbox, **settings)
    return source.programs(task, NEVER, seed=0)


def test_of_right_wrong_and_hostile_programs_the_right_ones_are_left(small_task: Task, sandbox: Sandbox) -> None:
    texts = ["I do not know.", block(WRONG), *map(block, HOSTILE), block(LONGER), block("x ="), block(RIGHT)]
    programs = induced(texts, small_task, sandbox)
    assert [each.source.strip() for each in programs] == [RIGHT, LONGER], "the smaller first"
    for each in programs:
        assert each.origin == "written" and each.stability == 1.0
        assert [a.tolist() for a in each.answers if a is not None] == [t[::-1].tolist() for t in small_task.tests]
    assert programs[0].size < programs[1].size


def test_the_form_says_which_program_counts_and_that_it_has_the_library(small_task: Task, sandbox: Sandbox) -> None:
    flipped = "def transform(input_grid):\n    return blit(np.zeros_like(input_grid), input_grid[::-1])"
    texts = [block(flipped) + block(WRONG)]
    assert induced(texts, small_task, sandbox) == []
    (program,) = induced(texts, small_task, sandbox, form="barc")
    assert program.source.strip() == BARC_LIBRARY + flipped


def test_a_program_is_run_once_however_it_is_spelt(small_task: Task, sandbox: Sandbox) -> None:
    spellings = [RIGHT, "# upside down\n" + RIGHT, RIGHT.replace("grid[::-1]", "(grid[ : : -1 ])"), RIGHT]
    assert len(induced([block(each) for each in spellings], small_task, sandbox)) == 1


def test_answers_that_more_programs_give_come_first(sandbox: Sandbox) -> None:
    """A short program that is alone with its answer comes after two longer ones that agree."""
    square = grid([[1, 2], [2, 1]])
    task = Task("either", (Pair(square, square),), (grid([[1, 2, 3]]),))
    alone = "def transform(grid):\n    return grid.T"
    together = [
        "def transform(grid):\n    return grid + 0 * 1 * 2 * 3",
        "def transform(grid):\n    made = grid.copy()\n    return made",
    ]
    programs = induced([block(each) for each in (alone, *together)], task, sandbox)
    assert [each.source.strip() for each in programs][-1] == alone
    assert programs[0].size > programs[-1].size or programs[1].size > programs[-1].size


def program(size: int, *answers: Grid | None) -> Program:
    return Program("", answers, size, "written")


def test_the_ranking_worked_by_hand() -> None:
    a, b, c = (grid([[k]]) for k in range(3))
    # Votes for each answer, by test: a 2, b 1, c 1; then a 1, c 2.
    one, two, three, four = program(9, a, c), program(5, a, None), program(7, b, a), program(1, c, c)
    assert ranked([three, two, four, one]) == [one, four, two, three], "4, 3, 2 and 2 votes; the smaller first"
    assert ranked([]) == []


def test_what_fits_but_has_no_answer_is_no_program(small_task: Task, sandbox: Sandbox) -> None:
    known = [(pair.input.astype(np.int64).tobytes(), pair.output.tolist()) for pair in small_task.demonstrations]
    source = f"KNOWN = {known!r}\n" + MEMORISED
    assert verify(source, small_task, sandbox, NEVER) is None
    first = small_task.demonstrations[0].input
    also = Task("also", small_task.demonstrations, (small_task.tests[0], first))
    found = verify(source, also, sandbox, NEVER)
    assert found is not None
    assert [None if each is None else each.tolist() for each in found.answers] == [None, first[::-1].tolist()]


def test_a_program_must_fit_every_demonstration(small_task: Task, sandbox: Sandbox) -> None:
    first, *others = small_task.demonstrations
    spoilt = Pair(others[-1].input, grid(others[-1].output[:, ::-1]))
    task = Task("spoilt", (first, *others[:-1], spoilt), small_task.tests)
    assert verify(RIGHT, small_task, sandbox, NEVER) is not None
    assert verify(RIGHT, task, sandbox, NEVER) is None


def test_an_output_of_another_shape_with_the_same_cells_does_not_fit(sandbox: Sandbox) -> None:
    task = Task("shape", (Pair(grid([[1, 2]]), grid([[1], [2]])),), (grid([[3, 4]]),))
    assert verify("def transform(grid):\n    return grid", task, sandbox, NEVER) is None
    assert verify("def transform(grid):\n    return grid.T", task, sandbox, NEVER) is not None


def test_what_the_sandbox_is_sent_holds_no_output(small_task: Task, sandbox: Sandbox) -> None:
    """A program that hands back all that it can find among its inputs finds no demonstration's output."""
    seen = "HELD = []\ndef transform(grid):\n    HELD.append(grid.tolist())\n    return HELD[len(HELD) // 2]"
    inputs = [pair.input for pair in small_task.demonstrations]
    outcome = sandbox.run(seen, inputs)
    outputs = {pair.output.tobytes() for pair in small_task.demonstrations}
    assert not outputs & {each.tobytes() for each in outcome.outputs if each is not None}
    assert verify(seen, small_task, sandbox, NEVER) is None


def test_texts_are_asked_for_in_batches_up_to_the_count(small_task: Task, sandbox: Sandbox) -> None:
    writer = Scripted(["nothing"] * 100)
    Induction(writer, sandbox, count=10, batch=4).programs(small_task, NEVER, seed=3)
    assert [count for _, count, _ in writer.asked] == [4, 4, 2]
    seeds = [seed for *_, seed in writer.asked]
    assert len(set(seeds)) == 3, "each batch is another"
    again = Scripted(["nothing"] * 100)
    Induction(again, sandbox, count=10, batch=4).programs(small_task, NEVER, seed=3)
    assert again.asked == writer.asked
    other = Scripted(["nothing"] * 100)
    Induction(other, sandbox, count=10, batch=4).programs(small_task, NEVER, seed=4)
    assert other.asked != writer.asked


def test_a_writer_that_has_no_more_to_say_is_not_asked_again(small_task: Task, sandbox: Sandbox) -> None:
    writer = Scripted([block(RIGHT)] * 3)
    found = Induction(writer, sandbox, count=100, batch=3).programs(small_task, NEVER, seed=0)
    assert (len(found), len(writer.asked)) == (1, 2)


def test_the_deadline_ends_writing_and_running_and_keeps_what_was_found(small_task: Task, sandbox: Sandbox) -> None:
    hanging = [block(f"def transform(grid):\n    while {k} >= 0: pass") for k in range(100)]
    writer = Scripted([block(RIGHT), *hanging])
    deadline = within(1.5)
    found = Induction(writer, sandbox, count=1000, batch=50).programs(small_task, deadline, seed=0)
    assert [each.source.strip() for each in found] == [RIGHT]
    assert deadline.clock() - deadline.at < 0.6
    none = Scripted([block(RIGHT)])
    assert Induction(none, sandbox).programs(small_task, within(0), seed=0) == []
    assert none.asked == []


BY_HAND = {
    "67a3c6ac": "def transform(grid):\n    return grid[:, ::-1]",
    "74dd1130": "def transform(grid):\n    return grid.T",
    "c8f0f002": "import numpy as np\ndef transform(grid):\n    return np.where(grid == 7, 5, grid)",
    "d10ecb37": "def transform(grid):\n    return grid[:2, :2]",
    "f25ffba3": "import numpy as np\ndef transform(grid):\n    half = grid[len(grid) // 2 :]\n"
    "    return np.vstack([half[::-1], half])",
}
"""Training tasks of ARC-AGI-1 whose rules are one line."""


@pytest.mark.parametrize("task_id", BY_HAND)
def test_programs_written_by_hand_solve_public_training_tasks(
    task_id: str, arc1_train: tuple[Tasks, Solutions], sandbox: Sandbox
) -> None:
    tasks, solutions = arc1_train
    (found,) = induced([block(each) for each in BY_HAND.values()], tasks[task_id], sandbox)
    assert found.source.strip() == BY_HAND[task_id]
    assert [each.tolist() for each in found.answers if each is not None] == [s.tolist() for s in solutions[task_id]]
