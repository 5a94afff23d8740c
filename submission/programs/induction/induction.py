"""Induction: sample programs from a language model and keep those that reproduce all demonstrations.

Source: BARC (Li et al., arXiv 2411.02272): many programs are sampled, each is run, and those that fit vote on the test
outputs. A program is run only in a `Sandbox`, which receives inputs and never an output.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from submission.arc.tasks import Grid, Task, grid_key
from submission.deadline import Deadline
from submission.programs.induction.dialogue import WriterFormat, program_of, syntax_of
from submission.programs.program import Program
from submission.programs.sandbox.sandbox import ProgramResult, Sandbox
from submission.rng import generator

logger = logging.getLogger(__name__)


class Writer(Protocol):
    """A source of texts that may contain programs: a language model."""

    def write(self, task: Task, count: int, until: Deadline, seed: int) -> list[str]:
        """Return up to `count` texts: those that were finished by the deadline, maybe none."""
        ...


@dataclass(frozen=True)
class Induction:
    """A source of programs (implements `program.Source`): a writer, and the sandbox in which its programs run."""

    writer: Writer
    sandbox: Sandbox
    count: int = 336
    """Most texts for one task (336: what BARC had time for on Kaggle)."""
    batch: int = 16
    """Texts per request to the writer; the deadline is checked between requests."""
    form: WriterFormat = "plain"
    """How the writer was asked, and so which program of its answer counts."""
    writing_share: float = 0.9
    """Share of a task's time in which texts may be written; the rest is for running the last programs."""

    def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
        """Return verified programs: those whose test answers most programs agree with first, of equals the shortest."""
        rng = generator(seed, task.id, "induction")
        written, verified, seen = 0, [], set[str]()
        writing = until.share(self.writing_share)
        while written < self.count and not writing.passed():
            texts = self.writer.write(task, min(self.batch, self.count - written), writing, int(rng.integers(2**31)))
            if not texts:
                break
            written += len(texts)
            for source in _unseen(texts, self.form, seen):
                if until.passed():
                    break
                program = verify(source, task, self.sandbox, until)
                verified += [program] if program is not None else []
        logger.info("task %s: %d texts, %d distinct programs, %d fit", task.id, written, len(seen), len(verified))
        return ranked(verified)


def _unseen(texts: Sequence[str], form: WriterFormat, seen: set[str]) -> list[str]:
    """Return the new programs in these texts; the keys of their syntax are added to `seen`."""
    fresh = []
    for text in texts:
        source = program_of(text, form)
        syntax = syntax_of(source) if source is not None else None
        if source is not None and syntax is not None and syntax.key not in seen:
            seen.add(syntax.key)
            fresh.append(source)
    return fresh


def verify(source: str, task: Task, sandbox: Sandbox, until: Deadline) -> Program | None:
    """Return the program with its test answers; None unless it fits every demonstration and answers a test."""
    grids = [*(pair.input for pair in task.demonstrations), *task.tests]
    # A run in one process costs half of a full run, and few programs fit.
    if not fits(sandbox.run_once(source, grids, until), task):
        return None
    result = sandbox.run(source, grids, until)
    answers = result.outputs[len(task.demonstrations) :]
    if not fits(result, task) or all(each is None for each in answers):
        return None
    syntax = syntax_of(source)
    assert syntax is not None, "it ran, so it is Python"
    return Program(source, answers, syntax.size, "written")


def fits(result: ProgramResult, task: Task) -> bool:
    """Whether the first outputs are those of the demonstrations."""
    outputs = result.outputs[: len(task.demonstrations)]
    return all(
        got is not None and grid_key(got) == grid_key(pair.output)
        for got, pair in zip(outputs, task.demonstrations, strict=True)
    )


def ranked(programs: Sequence[Program]) -> list[Program]:
    """Sort by votes, the most first, then by size, the smallest first.

    An answer has a vote from each program that gives it; the votes of a program are those of its answers together.
    """
    votes = Counter(answer for each in programs for answer in _keys(each.answers))
    return sorted(programs, key=lambda each: (-sum(votes[answer] for answer in _keys(each.answers)), each.size))


def _keys(answers: Sequence[Grid | None]) -> list[tuple[int, bytes]]:
    """Return (number of the test, key of the grid) of each answer."""
    return [(k, grid_key(each)) for k, each in enumerate(answers) if each is not None]
