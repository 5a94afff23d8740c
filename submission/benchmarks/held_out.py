"""Public training tasks that the embedded model was not trained on, as a fixed set to measure settings on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from submission.arc.layouts import GRID16
from submission.arc.prompts import task_length
from submission.arc.tasks import Grid, Pair, Task
from submission.training.corpus import held_out_tasks

LONGEST = 1500
"""Tokens of the longest prompt that is used: longer tasks cost most of the time and are hardly ever solved."""

FEWEST = 3
"""Demonstrations of a task of which one may change places with the test input."""


@dataclass(frozen=True, eq=False)
class HeldOutTask:
    """A task and its answers. Tasks of one rule are no independent measurements: `rule` tells them."""

    name: str
    rule: str
    """The id of the public task."""
    task: Task
    answers: tuple[Grid, ...]


def held_out_set(number: int) -> list[HeldOutTask]:
    """The `number` first of a fixed list: the held-out tasks, and then variants of them, each time the shortest first.

    In a variant one demonstration has changed places with the test input. Variants follow as long as the list is too
    short: one of each task first, then another. Fewer are returned where there are no more.
    """
    tasks, answers = held_out_tasks()
    lengths = {name: task_length(GRID16, task.demonstrations, task.tests[0]) for name, task in tasks.items()}
    short = sorted((name for name in tasks if lengths[name] <= LONGEST), key=lambda name: (lengths[name], name))
    chosen = [HeldOutTask(name, name, tasks[name], answers[name]) for name in short]
    rounds = [list(_variants(each)) for each in chosen]
    for k in range(max(map(len, rounds), default=0)):
        chosen += [variants[k] for variants in rounds if k < len(variants)]
    return chosen[:number]


def _variants(whole: HeldOutTask) -> Iterator[HeldOutTask]:
    """A task with each of its demonstrations in turn as the test, and the test inputs as demonstrations."""
    known, task = whole.task.demonstrations, whole.task
    asked = tuple(Pair(query, answer) for query, answer in zip(task.tests, whole.answers, strict=True))
    for k, shown in enumerate(known if len(known) >= FEWEST else ()):
        others = (*known[:k], *asked, *known[k + 1 :])
        name = f"{whole.rule}-{k}"
        yield HeldOutTask(
            name, whole.rule, replace(task, id=name, demonstrations=others, tests=(shown.input,)), (shown.output,)
        )
