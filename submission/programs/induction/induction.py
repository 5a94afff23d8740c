"""Induction: programs that a language model writes for a task, kept if they reproduce all its demonstrations.

After BARC (Li et al., 2025): many programs are sampled, each is run, and what fits the demonstrations votes on the
test outputs. A program is only ever run in a `Sandbox`, which is sent inputs and nothing else.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from submission.arc.tasks import Grid, Task, grid_key
from submission.deadline import Deadline
from submission.programs.induction.dialogue import form_of, program_of
from submission.programs.program import Program
from submission.programs.sandbox.sandbox import ProgramResult, Sandbox
from submission.rng import generator

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """Whatever writes texts that may hold programs for a task."""

    def write(self, task: Task, count: int, until: Deadline, seed: int) -> list[str]:
        """At most so many texts: those that came in time, perhaps none."""
        ...


@dataclass(frozen=True)
class Induction:
    """A source of programs: a writer, and the sandbox in which its programs are tried.

    Implements `programs.Source`.
    """

    writer: Writer
    sandbox: Sandbox
    count: int = 336
    """The most texts for one task (336: what BARC had time for on Kaggle)."""
    batch: int = 16
    """Texts that are asked for at a time; the clock and the count are looked at in between."""
    writing: float = 0.9
    """Share of the time for a task in which texts may be written; the last programs are run in the rest."""

    def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
        """Verified programs, the most trusted first: by how many agree with their test answers, then the shortest."""
        rng = generator(seed, task.id, "induction")
        written, verified, seen = 0, [], set[str]()
        writing = until.share(self.writing)
        while written < self.count and not writing.passed():
            texts = self.writer.write(task, min(self.batch, self.count - written), writing, int(rng.integers(2**31)))
            if not texts:
                break
            written += len(texts)
            for source in _unseen(texts, seen):
                if until.passed():
                    break
                program = verify(source, task, self.sandbox, until)
                verified += [program] if program is not None else []
        logger.info("task %s: %d texts, %d programs, %d fit", task.id, written, len(seen), len(verified))
        return ranked(verified)


def _unseen(texts: Sequence[str], seen: set[str]) -> list[str]:
    """The programs in these texts of which no other spelling has been seen; their forms are added to `seen`."""
    fresh = []
    for text in texts:
        source = program_of(text)
        form = form_of(source) if source is not None else None
        if source is not None and form is not None and form.key not in seen:
            seen.add(form.key)
            fresh.append(source)
    return fresh


def verify(source: str, task: Task, sandbox: Sandbox, until: Deadline) -> Program | None:
    """The program with its test answers, if it gives every demonstration's output and at least one answer."""
    grids = [*(pair.input for pair in task.demonstrations), *task.tests]
    # Few programs get past the first look, which is half the work.
    if not fits(sandbox.once(source, grids, until), task):
        return None
    outcome = sandbox.run(source, grids, until)
    answers = outcome.outputs[len(task.demonstrations) :]
    if not fits(outcome, task) or all(each is None for each in answers):
        return None
    form = form_of(source)
    assert form is not None, "it ran, so it is Python"
    return Program(source, answers, form.size, "written")


def fits(outcome: ProgramResult, task: Task) -> bool:
    """Whether the outputs begin with those of the demonstrations."""
    outputs = outcome.outputs[: len(task.demonstrations)]
    return all(
        got is not None and grid_key(got) == grid_key(pair.output)
        for got, pair in zip(outputs, task.demonstrations, strict=True)
    )


def ranked(programs: Sequence[Program]) -> list[Program]:
    """By how many programs give each of its test answers, summed over the tests; then the smallest first."""
    votes = Counter(place for each in programs for place in _places(each.answers))
    return sorted(programs, key=lambda each: (-sum(votes[place] for place in _places(each.answers)), each.size))


def _places(answers: Sequence[Grid | None]) -> list[tuple[int, bytes]]:
    """Each answer with the test that it is for."""
    return [(k, grid_key(each)) for k, each in enumerate(answers) if each is not None]
