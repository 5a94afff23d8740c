"""What a run keeps of each task: attempts, candidates with their scores per view, training, times, notes.

The records are frozen. They become JSON at the edge of a file only: `TaskRecord.to_json` and `TaskRecord.from_json`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from submission.arc.tasks import Grid, Task, grid, grid_key
from submission.arc.views import View
from submission.solver.engine import Fit, Stopped
from submission.solver.voting import Candidate


@dataclass(frozen=True)
class ViewRecord:
    """One view of a test input."""

    view: View
    dropped: int
    """Demonstrations that were left out of its prompt, to fit the context."""
    exhaustive: bool | None
    """Whether every answer above the threshold was found; None where the view was not searched."""

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {**asdict(self.view), "dropped": self.dropped, "exhaustive": self.exhaustive}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ViewRecord:
        """The inverse of `to_json`."""
        view = View(content["symmetry"], tuple(content["colours"]), tuple(content["order"]))
        return cls(view, content["dropped"], content["exhaustive"])


@dataclass(frozen=True, eq=False)
class TestRecord:
    """One test input: its views, and its candidates with their scores under each of them."""

    __test__ = False  # Not a test class of pytest.

    views: tuple[ViewRecord, ...] = ()
    settled: bool = False
    """Whether the attempts are final: no further view can change them, or the first views agree on one answer."""
    candidates: tuple[Candidate, ...] = ()
    scoring: tuple[ViewRecord, ...] = ()
    """The views that the scores are of, where these are other ones than `views`."""

    @property
    def scored(self) -> tuple[ViewRecord, ...]:
        """The views that the candidates' scores are of, in their order."""
        return self.scoring or self.views

    @property
    def symmetries(self) -> list[int]:
        """The symmetry of each view that was to be searched."""
        return [each.view.symmetry for each in self.views]

    @property
    def searched(self) -> int:
        """How many views were searched."""
        return sum(each.exhaustive is not None for each in self.views)

    @property
    def complete(self) -> bool:
        """Whether every view was searched and every candidate scored in all of them: any rule can vote anew."""
        return self.searched == len(self.views) and not any(np.isnan(each.scores).any() for each in self.candidates)

    def best_first(self) -> list[Candidate]:
        """The candidates by their summed log p."""
        return sorted(self.candidates, key=lambda each: -each.total())

    def confidence(self) -> float:
        """Mean log p a view of the best candidate, in nats; -inf without candidates."""
        return max((each.total() for each in self.candidates), default=-math.inf) / max(1, len(self.scored))

    def joined_with(self, later: TestRecord, threshold: float) -> TestRecord:
        """The records of two passes over one test input as one: the views of both, voting together.

        A grid that a pass has not scored it has not found either: in each of its exhaustively searched views its
        probability is below `threshold`. Of views that only gave scores the same is assumed, which is no bound.
        """
        passes = (self, later)
        unseen = [math.log(threshold) * one._searched_exhaustively() for one in passes]
        known = [{grid_key(each.answer): each for each in one.candidates} for one in passes]
        candidates = []
        for key in dict.fromkeys([*known[0], *known[1]]):
            answer = (known[0].get(key) or known[1][key]).answer
            first, second = (
                one.get(key) or Candidate(answer, {}, np.full(len(of.scored), np.nan), bound)
                for one, of, bound in zip(known, passes, unseen, strict=True)
            )
            moved = {view + len(self.views): log_p for view, log_p in second.found.items()}
            scores = np.concatenate([first.scores, second.scores])
            candidates.append(Candidate(answer, {**first.found, **moved}, scores, first.at_most + second.at_most))
        scoring = self.scored + later.scored if self.scoring or later.scoring else ()
        return TestRecord(self.views + later.views, False, tuple(candidates), scoring)

    def _searched_exhaustively(self) -> float:
        """How many views were searched exhaustively; of other views that gave the scores, the same share of them."""
        return sum(each.exhaustive is True for each in self.views) * len(self.scored) / max(1, len(self.views))

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it: a missing score is null; `scoring` is there only if there are such views."""
        return {
            "views": [each.to_json() for each in self.views],
            "settled": self.settled,
            "candidates": [
                {
                    "grid": each.answer.tolist(),
                    "found": {str(view): log_p for view, log_p in each.found.items()},
                    "scores": [None if np.isnan(score) else float(score) for score in each.scores],
                    "at_most": each.at_most,
                }
                for each in self.candidates
            ],
            **({"scoring": [each.to_json() for each in self.scoring]} if self.scoring else {}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TestRecord:
        """The inverse of `to_json`."""
        candidates = (
            Candidate(
                grid(each["grid"]),
                {int(view): log_p for view, log_p in each["found"].items()},
                np.array([np.nan if score is None else score for score in each["scores"]]),
                each["at_most"],
            )
            for each in content["candidates"]
        )
        views, scoring = (
            tuple(map(ViewRecord.from_json, each)) for each in (content["views"], content.get("scoring", ()))
        )
        return cls(views, content["settled"], tuple(candidates), scoring)


@dataclass(frozen=True)
class FitRecord:
    """What test-time training did, see `engine.Fit`; and how many training rows there were."""

    rows: int
    steps: int
    losses: tuple[float, ...]
    seconds: float
    stopped: Stopped

    @classmethod
    def of(cls, rows: int, fit: Fit) -> FitRecord:
        """The record of a training on so many rows."""
        return cls(rows, fit.steps, fit.losses, fit.seconds, fit.stopped)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FitRecord:
        """From the journal; `dataclasses.asdict` is the way there."""
        return cls(**{**content, "losses": tuple(content["losses"])})


@dataclass(frozen=True, eq=False)
class ProgramRecord:
    """A program that reproduces the demonstrations, see `programs.program.Program`."""

    source: str
    answers: tuple[Grid | None, ...]
    """Its output for each test input; None where it has none."""
    size: int
    origin: Literal["search", "written"]
    stability: float
    """Leave-one-out stability, 0..1."""

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it."""
        answers = [None if answer is None else answer.tolist() for answer in self.answers]
        return {**vars(self), "answers": answers}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ProgramRecord:
        """The inverse of `to_json`."""
        answers = tuple(None if rows is None else grid(rows) for rows in content["answers"])
        return cls(**{**content, "answers": answers})


@dataclass(frozen=True, eq=False)
class TaskRecord:
    """What one kind of solver, or all of them together, found for a task."""

    task: str
    """Its id."""
    attempts: tuple[tuple[Grid, ...], ...]
    """For each test input up to two distinct answers, the best first."""
    tests: tuple[TestRecord, ...] = ()
    """Of the network; none where programs alone were searched for."""
    fit: FitRecord | None = None
    """None where the network did not finish a pass."""
    programs: tuple[ProgramRecord, ...] | None = None
    """None where no search for programs was finished."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """Anything that was skipped or failed, a sentence each."""
    passes: int = 1
    """Times that the task was solved, each with another adapter and other views."""

    @classmethod
    def empty(cls, task: Task) -> TaskRecord:
        """The record of a task of which nothing is known."""
        return cls(task.id, tuple(() for _ in task.tests), tuple(TestRecord() for _ in task.tests))

    @property
    def finished(self) -> bool:
        """Whether a solver came to its end with this task; if both tries failed it is tried again on resume.

        A try that failed after the first of two test inputs has not asked the second in any view.
        """
        asked = self.fit is not None and all(each.views for each in self.tests)
        return asked or self.programs is not None

    @property
    def stability(self) -> float:
        """The highest leave-one-out stability of its programs; -1 without any."""
        return max((each.stability for each in self.programs or ()), default=-1.0)

    def confidence(self) -> float:
        """Mean log p a view of the best answer, in nats, of the least certain test input.

        Above -1 the answer is nearly always right; below -10 another pass hardly ever finds one (LOG.md).
        """
        return min((each.confidence() for each in self.tests), default=-math.inf)

    def with_test(self, number: int, attempts: Sequence[Grid], test: TestRecord) -> TaskRecord:
        """The record with another outcome for one test input."""
        return replace(
            self,
            attempts=(*self.attempts[:number], tuple(attempts), *self.attempts[number + 1 :]),
            tests=(*self.tests[:number], test, *self.tests[number + 1 :]),
        )

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it: enough to vote anew without a model."""
        return {
            "task": self.task,
            "attempts": [[answer.tolist() for answer in each] for each in self.attempts],
            "tests": [each.to_json() for each in self.tests],
            "fit": None if self.fit is None else asdict(self.fit),
            "programs": None if self.programs is None else [each.to_json() for each in self.programs],
            "seconds": self.seconds,
            "notes": list(self.notes),
            "passes": self.passes,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TaskRecord:
        """The inverse of `to_json`; KeyError, TypeError or ValueError where the content is something else."""
        fit, programs = content["fit"], content["programs"]
        return cls(
            str(content["task"]),
            tuple(tuple(grid(rows) for rows in each) for each in content["attempts"]),
            tuple(TestRecord.from_json(each) for each in content["tests"]),
            None if fit is None else FitRecord.from_json(fit),
            None if programs is None else tuple(ProgramRecord.from_json(each) for each in programs),
            float(content["seconds"]),
            tuple(map(str, content["notes"])),
            int(content["passes"]),
        )
