"""Programs and the network: two kinds of solver, two attempts, one record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from submission.arc.tasks import Grid, Pair, Task, grid
from submission.arc.views import identity
from submission.deadline import NEVER, Deadline
from submission.programs.program import Program
from submission.runner import solvers
from submission.solver import ensemble
from submission.solver.records import FitRecord, ProgramRecord, TaskRecord, TestRecord, ViewRecord
from submission.solver.voting import Candidate


def of(colour: int) -> Grid:
    return grid(np.full((2, 2), colour))


def colours(attempts: list[Grid]) -> list[int]:
    return [int(each[0, 0]) for each in attempts]


@pytest.mark.parametrize(
    ("programs", "network", "unanimous", "how", "expected"),
    [
        ([1], [2, 3], False, "first", [1, 2]),  # one of each
        ([1], [1, 3], False, "first", [1, 3]),  # they agree: the network's second fills the place
        ([1, 4], [2, 3], True, "first", [1, 2]),  # programs disagree: the network's best, not the other program
        ([1, 4], [1, 3], True, "first", [1, 4]),  # the network is sure of its first, so its second is worth nothing
        ([1, 4], [1, 3], False, "first", [1, 3]),
        ([], [2, 3], True, "first", [2, 3]),
        ([1, 4], [], False, "first", [1, 4]),
        ([1, 4], [2], False, "last", [2, 1]),
        ([1, 4], [2, 3], False, "last", [2, 3]),
        ([1, 4], [2], False, "off", [2]),
        ([], [], False, "first", []),
    ],
)
def test_one_attempt_is_a_programs_and_the_other_the_networks(
    programs: list[int], network: list[int], unanimous: bool, how: str, expected: list[int]
) -> None:
    joined = ensemble.attempts([of(c) for c in programs], [of(c) for c in network], [of(9)], unanimous, how)
    assert colours(joined)[: len(expected)] == expected
    filled = how != "off" and len(expected) < 2
    assert colours(joined)[len(expected) :] == [9] * filled, "a doubtful program fills a place that is left"


@dataclass(frozen=True)
class Listed:
    """A source that finds what it is given, and notes how long it was given."""

    found: tuple[Program, ...]
    shares: list[float] = field(default_factory=list)

    def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
        self.shares.append(until.left())
        return list(self.found)


def a_task() -> Task:
    return Task("a", (Pair(of(1), of(2)),), (of(3), of(4)))


def test_all_sources_share_the_time_and_their_programs_are_kept_with_their_sources() -> None:
    first = Listed((Program("def transform(grid): ...", (of(5), None), 3, "search", 0.5),))
    second = Listed((Program("def transform(grid): pass", (of(6), of(7)), 9, "written"),))
    record = solvers.searched(a_task(), [first, second], Deadline(10.0, lambda: 0.0), seed=0)
    assert first.shares == [5.0]
    assert second.shares == [10.0]
    assert cells(record) == [[5, 6], [7]]
    assert [each.origin for each in record.programs or ()] == ["search", "written"]
    assert record.programs and record.programs[0].answers[1] is None


def test_what_one_source_has_found_outlives_the_failure_of_the_next() -> None:
    class Failing:
        def programs(self, task: Task, until: Deadline, seed: int) -> list[Program]:
            raise RuntimeError("out of something")

    first = Listed((Program("def transform(grid): ...", (of(5), None), 3, "search", 0.5),))
    record = solvers.searched(a_task(), [first, Failing()], NEVER, seed=0)
    assert record.programs is not None and len(record.programs) == 1
    assert record.notes[0].startswith(
        "the rest of the search for programs failed: RuntimeError('out of something') in "
    )
    with pytest.raises(RuntimeError):
        solvers.searched(a_task(), [Failing(), first], NEVER, seed=0)


def network(*answers: int, total: float) -> TaskRecord:
    """The network's record of a task with one test input, seen through two views."""
    candidates = (
        Candidate(of(c), {0: total / 2}, np.array([total / 2 - k] * 2), total - 2 * k) for k, c in enumerate(answers)
    )
    views = tuple(ViewRecord(identity(1), 0, True) for _ in range(2))
    return TaskRecord(
        "a", (tuple(of(c) for c in answers),), (TestRecord(views, False, tuple(candidates)),),
        FitRecord(0, 0, (), 0.0, "off"), seconds=4.0, notes=("of the network",),
    )  # fmt: skip


def joined(one: TaskRecord | None, two: TaskRecord | None, order: ensemble.ProgramsPlace) -> TaskRecord:
    record = ensemble.joined(one, two, order, 0.5)
    assert record is not None
    return record


def cells(record: TaskRecord) -> list[list[int]]:
    """The first cell of each attempt, test by test."""
    return [[answer.item(0) for answer in each] for each in record.attempts]


def test_the_record_of_both_has_the_attempts_of_both() -> None:
    task = Task("a", (Pair(of(1), of(2)),), (of(3),))
    found = [Program("", (of(c),), 1, "search") for c in (1, 4)]
    programs = solvers.searched(task, [Listed(tuple(found))], NEVER, 0)
    doubting, sure = network(1, 3, total=-8.0), network(1, 3, total=-0.1)
    for net, expected in ((doubting, [1, 3]), (sure, [1, 4])):
        both = joined(net, programs, "first")
        assert cells(both) == [expected]
        assert both.tests == net.tests
        assert both.notes == ("of the network",)
        assert both.seconds == pytest.approx(4.0 + programs.seconds)
    assert cells(joined(doubting, None, "first")) == cells(doubting)
    assert cells(joined(doubting, programs, "off")) == cells(doubting)
    doubted = [Program("", (of(c),), 1, "search", stability=0.0) for c in (4, 5)]
    mixed = joined(doubting, solvers.searched(task, [Listed(tuple(doubted))], NEVER, 0), "first")
    assert cells(mixed) == cells(doubting), "programs that hardly hold leave the network its places"
    failed = replace(TaskRecord.empty(task), notes=("the worker died",))
    assert cells(joined(doubting, failed, "first")) == cells(doubting)
    assert joined(doubting, failed, "first").notes == ("the worker died", "of the network")
    alone = joined(None, programs, "first")
    assert cells(alone) == [[1, 4]]
    assert len(alone.tests) == 1
    assert cells(joined(None, programs, "off")) == [[]]
    assert ensemble.joined(None, None, "first", 0.5) is None


def searched(*stabilities: float) -> list[ProgramRecord]:
    return [ProgramRecord("", (of(k),), 1, "search", each) for k, each in enumerate(stabilities)]


@pytest.mark.parametrize(
    ("programs", "demonstrations", "how", "expected"),
    [
        (searched(1.0), 2, "first", True),
        (searched(1.0, 1.0), 3, "first", True),
        (searched(1.0), 1, "first", False),  # with one demonstration none can be left out
        (searched(0.75), 4, "first", False),
        (searched(0.5, 1.0), 4, "first", False),  # attempt 1 is the other program's
        (searched(1.0), 3, "last", False),
        (searched(1.0), 3, "off", False),
        ([], 3, "first", False),
        ([replace(searched(1.0)[0], origin="written")], 3, "first", False),  # a language model wrote it
    ],
)
def test_a_task_is_settled_by_its_best_program_alone(
    programs: list[ProgramRecord], demonstrations: int, how: ensemble.ProgramsPlace, expected: bool
) -> None:
    assert ensemble.settled(programs, demonstrations, how) is expected
