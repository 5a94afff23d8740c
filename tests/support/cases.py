"""Many cases in one test: all of them are run, and those that fail are named."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest

LONGEST_NAME = 80
"""Characters of a case that stand in a failure."""


def cases(names: str | tuple[str, ...], values: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test over all these values of its arguments, as `pytest.mark.parametrize` gives them, but one test for all.

    The cases share their fixtures. The test fails after the last case, with the name of each that failed and why.
    """
    arguments = (names,) if isinstance(names, str) else names
    every = [(value,) if isinstance(names, str) else tuple(value) for value in values]
    assert every, "no cases"

    def decorated(test: Callable[..., None]) -> Callable[..., None]:
        @wraps(test)
        def all_cases(**fixtures: Any) -> None:
            failed: dict[str, BaseException] = {}
            for number, case in enumerate(every):
                try:
                    test(**fixtures, **dict(zip(arguments, case, strict=True)))
                except (Exception, pytest.fail.Exception) as error:
                    failed[f"{number}: {repr(case)[:LONGEST_NAME]}"] = error
            if failed:
                told = "\n".join(f"{name}\n    {error!r}" for name, error in failed.items())
                raise AssertionError(f"{len(failed)} of {len(every)} cases failed:\n{told}") from [*failed.values()][0]

        signature = inspect.signature(test)
        kept = [each for name, each in signature.parameters.items() if name not in arguments]
        all_cases.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return all_cases

    return decorated
