"""Programs as expressions over the input, and their printing as Python that can be read and run again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from submission.arc.tasks import Grid
from submission.programs.synthesis.search import State


@dataclass(frozen=True, eq=False)
class Call:
    """A function of the language and its arguments: calls, INPUT, functions, and literals of Python, also in lists."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Input:
    """The grid that the program is given."""


INPUT = Input()
Expression = Call | Input


def expression_of(state: State, root: Expression = INPUT, made: dict[int, Expression] | None = None) -> Expression:
    """The expression of a state; equal states of one program share one call, so pass the same `made`."""
    made = {} if made is None else made
    if id(state) not in made:
        if state.canvas is not None:
            function, constants = state.canvas
            made[id(state)] = Call(function, (root, *constants))
        elif state.operation is None:
            made[id(state)] = root
        else:
            parents = [expression_of(parent, root, made) for parent in state.parents]
            made[id(state)] = Call(state.operation.function, (*parents, *state.operation.constants))
    return made[id(state)]


def size_of(expression: Expression) -> int:
    """Calls in it, shared ones counted once."""
    return len(_calls(expression))


def source_of(expression: Expression) -> str:
    """Python source that defines `transform(grid)`: imports, then one line per call."""
    calls = _calls(expression)
    names = {id(call): f"step_{k}" for k, call in enumerate(calls, 1)}
    functions = {f for call in calls for f in _functions(call)}
    imports = sorted(f"from {f.__module__} import {f.__name__}" for f in functions)
    lines = [f"    {names[id(call)]} = {_line(call, names)}" for call in calls]
    last = names[id(expression)] if isinstance(expression, Call) else "grid"
    return "\n".join([*imports, "", "", "def transform(grid):", *lines, f"    return {last}", ""])


def run(source: str, cells: Grid) -> Grid:
    """What a program of ours gives for a grid. The source is executed as it is: only for programs made here."""
    room: dict[str, Any] = {}
    exec(compile(source, "<program>", "exec"), room)
    made: Grid = room["transform"](cells)
    return made


def _calls(expression: Expression) -> list[Call]:
    """All calls, each after those that it needs."""
    done: dict[int, Call] = {}

    def visit(value: Any) -> None:
        for call in _inner(value):
            if id(call) not in done:
                for argument in call.arguments:
                    visit(argument)
                done[id(call)] = call

    visit(expression)
    return list(done.values())


def _inner(value: Any) -> Iterator[Call]:
    """The calls that a value is, or holds in its lists."""
    if isinstance(value, Call):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _inner(item)


def _functions(call: Call) -> Iterator[Callable[..., Any]]:
    yield call.function
    yield from (argument for argument in call.arguments if callable(argument))


def _line(call: Call, names: dict[int, str]) -> str:
    return f"{call.function.__name__}({', '.join(_text(argument, names) for argument in call.arguments)})"


def _text(value: Any, names: dict[int, str]) -> str:
    if isinstance(value, Call):
        return names[id(value)]
    if isinstance(value, Input):
        return "grid"
    if callable(value):
        return str(value.__name__)
    if isinstance(value, list):
        return f"[{', '.join(_text(item, names) for item in value)}]"
    if isinstance(value, tuple) and any(True for _ in _inner(value)):
        return f"({', '.join(_text(item, names) for item in value)},)"
    return repr(value)
