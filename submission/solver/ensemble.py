"""Two kinds of solver, one answer: what programs say and what the network says of a task, as one record.

The two solve different tasks (TTT paper, arXiv 2411.07279, section 5.4; BARC, arXiv 2411.02272), and there are two
attempts: one is the answer of the best program that reproduces every demonstration, the other the best different answer
of the network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from submission.arc.tasks import Grid, grid, grid_key
from submission.solver.candidates import ATTEMPTS
from submission.solver.records import UNSEEN, candidates_of

Record = dict[str, Any]

UNANIMOUS = -0.5
"""Mean log p a view (nats) above which the network's best answer leaves nothing to its second best."""


def attempts(
    programs: Sequence[Grid], network: Sequence[Grid], others: Sequence[Grid], unanimous: bool, how: str
) -> list[Grid]:
    """The attempts at one test input, from the answers of trusted programs, the network, and other programs.

    All of them the best first. `how` is "first": the best trusted program's answer, then the network's best different
    one; "last": programs only where the network leaves a place; "off": the network alone. Where programs disagree, the
    network says what the best of them says, and its views are `unanimous`, the answer of the other program is worth
    more than the network's second.
    """
    if how == "off":
        order = [*network]
    elif how == "last":
        order = [*network, *programs, *others]
    elif unanimous and programs and network and grid_key(programs[0]) == grid_key(network[0]):
        order = [*programs, *network, *others]
    else:
        order = [*programs[:1], *network, *programs[1:], *others]
    return [*{grid_key(each): each for each in order}.values()][:ATTEMPTS]


def joined(network: Mapping[str, Any] | None, programs: Mapping[str, Any] | None, how: str, trusted: float) -> Record:
    """What both have found of a task, as one record with the attempts of the two together.

    At least one of the records is there; a program at least so steady is `trusted`.
    """
    if programs is None or network is None:
        only = programs or network
        assert only is not None
        tests = list(only["tests"]) or [UNSEEN] * len(only["attempts"])
        kept = only["attempts"] if network is not None or how != "off" else [[] for _ in tests]
        return {"programs": [], **only, "tests": tests, "attempts": kept}
    found = programs.get("programs", [])  # None where both tries failed.
    both = []
    for number, answers in enumerate(network["attempts"]):
        sure, doubtful = (
            _distinct(_grid(each["answers"][number]) for each in found if (each["stability"] >= trusted) == wanted)
            for wanted in (True, False)
        )
        candidates, symmetries = candidates_of(network["tests"][number])
        best = max((each.total() for each in candidates), default=-math.inf)
        unanimous = best > UNANIMOUS * max(1, len(symmetries))
        both.append(attempts(sure, [grid(rows) for rows in answers], doubtful, unanimous, how))
    return {
        **network,
        "attempts": [[answer.tolist() for answer in each] for each in both],
        "programs": found,
        "seconds": network["seconds"] + programs["seconds"],
        "notes": [*programs["notes"], *network["notes"]],
    }


def _grid(rows: Any) -> Grid | None:
    return None if rows is None else grid(rows)


def _distinct(answers: Iterable[Grid | None]) -> list[Grid]:
    """The grids among these, each once, in order."""
    return [*{grid_key(each): each for each in answers if each is not None}.values()]
