"""Cases that share one test: each of them is run, and each failure is told."""

from __future__ import annotations

import pytest

from tests.support.cases import cases


def test_all_cases_run_and_those_that_fail_are_named() -> None:
    seen = []

    @cases(("left", "right"), [(1, 1), (2, 3), (4, 4), (5, 6)])
    def equal(left: int, right: int) -> None:
        seen.append(left)
        assert left == right

    with pytest.raises(AssertionError, match=r"2 of 4 cases failed:\n1: \(2, 3\)\n.*\n3: \(5, 6\)") as told:
        equal()
    assert seen == [1, 2, 4, 5]
    assert isinstance(told.value.__cause__, AssertionError), "with the trace of the first"


def test_what_is_not_raised_is_a_failed_case_too() -> None:
    @cases("value", ["1", "x"])
    def refused(value: str) -> None:
        with pytest.raises(ValueError):
            int(value)

    with pytest.raises(AssertionError, match="1 of 2 cases failed:\n0: .'1',"):
        refused()


@pytest.fixture
def base() -> int:
    return 10


@cases("value", [11, 12])
def test_fixtures_go_to_every_case(base: int, value: int) -> None:
    assert base < value


def test_a_test_without_cases_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="no cases"):
        cases("value", [])
