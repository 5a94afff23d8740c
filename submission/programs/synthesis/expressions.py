"""Programs as expressions over the input, and their printing as Python source.

An expression is a directed graph of calls: a call that is used twice is printed once, as one line of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from submission.arc.tasks import Grid
from submission.programs.synthesis.search import State


@dataclass(frozen=True, eq=False)
class Call:
    """A function call; two calls are the same only if they are the same object."""

    function: Callable[..., Any]
    """A function of the grid language, or one of the learned steps."""
    arguments: tuple[Any, ...]
    """Calls, INPUT, functions, Python literals, and lists or tuples of these."""


@dataclass(frozen=True)
class Input:
    """The grid that the program is given."""


INPUT = Input()
Expression = Call | Input


def expression_of(state: State, root: Expression = INPUT, known: dict[int, Expression] | None = None) -> Expression:
    """Return the expression of a state, with `root` in place of the input.

    `known` maps id(state) to the expressions made so far, and is added to: pass the same one for all states of a
    program, so that they share their calls.
    """
    known = {} if known is None else known
    if id(state) not in known:
        if state.canvas is not None:
            function, constants = state.canvas
            known[id(state)] = Call(function, (root, *constants))
        elif state.operation is None:
            known[id(state)] = root
        else:
            parents = [expression_of(parent, root, known) for parent in state.parents]
            known[id(state)] = Call(state.operation.function, (*parents, *state.operation.constants))
    return known[id(state)]


def size_of(expression: Expression) -> int:
    """Return the number of calls in an expression, shared ones counted once."""
    return len(_calls(expression))


def source_of(expression: Expression) -> str:
    """Return Python source that defines `transform(grid)`: imports, then one line per call."""
    calls = _calls(expression)
    names = {id(call): f"step_{k}" for k, call in enumerate(calls, 1)}
    functions = {f for call in calls for f in _functions(call)}
    imports = sorted(f"from {f.__module__} import {f.__name__}" for f in functions)
    lines = [f"    {names[id(call)]} = {_call_text(call, names)}" for call in calls]
    last = names[id(expression)] if isinstance(expression, Call) else "grid"
    return "\n".join([*imports, "", "", "def transform(grid):", *lines, f"    return {last}", ""])


def run(source: str, cells: Grid) -> Grid:
    """Return the output of a program for one grid.

    Executes the source without a sandbox: only for programs that `source_of` printed.
    """
    namespace: dict[str, Any] = {}
    exec(compile(source, "<program>", "exec"), namespace)
    output: Grid = namespace["transform"](cells)
    return output


def _calls(expression: Expression) -> list[Call]:
    """Return all calls of an expression, each after the calls among its arguments."""
    done: dict[int, Call] = {}

    def visit(value: Any) -> None:
        for call in _outermost_calls(value):
            if id(call) not in done:
                for argument in call.arguments:
                    visit(argument)
                done[id(call)] = call

    visit(expression)
    return list(done.values())


def _outermost_calls(value: Any) -> Iterator[Call]:
    """Yield the value if it is a call, and the calls in its lists and tuples."""
    if isinstance(value, Call):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _outermost_calls(item)


def _functions(call: Call) -> Iterator[Callable[..., Any]]:
    """Yield the functions that a call needs imported: its own, and those among its arguments."""
    yield call.function
    yield from (argument for argument in call.arguments if callable(argument))


def _call_text(call: Call, names: dict[int, str]) -> str:
    return f"{call.function.__name__}({', '.join(_text(argument, names) for argument in call.arguments)})"


def _text(value: Any, names: dict[int, str]) -> str:
    """Return the source of an argument; `names` maps id(call) to the variable that holds its result."""
    if isinstance(value, Call):
        return names[id(value)]
    if isinstance(value, Input):
        return "grid"
    if callable(value):
        return str(value.__name__)
    if isinstance(value, list):
        return f"[{', '.join(_text(item, names) for item in value)}]"
    if isinstance(value, tuple) and any(True for _ in _outermost_calls(value)):
        return f"({', '.join(_text(item, names) for item in value)},)"
    return repr(value)
