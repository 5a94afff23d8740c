"""The fixed set of held-out tasks: real tasks first, then the same rules asked otherwise."""

from __future__ import annotations

import numpy as np

from submission.arc.tasks import grid_key
from submission.benchmarks.held_out import held_out_set
from submission.training.corpus import held_out, held_out_tasks


def test_the_set_is_the_short_held_out_tasks_and_then_variants_of_them() -> None:
    known = held_out_tasks()[0]
    tasks = held_out_set(60)
    assert len({each.name for each in tasks}) == 60
    assert all(each.rule in known and held_out(each.rule) for each in tasks)
    real = [each for each in tasks if each.name == each.rule]
    assert len(real) >= 40 and tasks[: len(real)] == real, "variants come last"
    assert [each.name for each in held_out_set(10)] == [each.name for each in tasks[:10]]


def test_a_variant_asks_for_a_demonstration_and_shows_the_test_in_its_place() -> None:
    tasks = held_out_set(60)
    variant = tasks[-1]
    whole = next(each for each in tasks if each.name == variant.rule)
    assert variant.task.id == variant.name
    (asked,) = [pair for pair in whole.task.demonstrations if np.array_equal(pair.input, variant.task.tests[0])]
    assert np.array_equal(asked.output, variant.answers[0])
    shown = {grid_key(pair.input) for pair in variant.task.demonstrations}
    assert grid_key(asked.input) not in shown, "it is not shown as well"
    assert {grid_key(query) for query in whole.task.tests} <= shown
    assert len(variant.task.demonstrations) == len(whole.task.demonstrations) - 1 + len(whole.answers)
