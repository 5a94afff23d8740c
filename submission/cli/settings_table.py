"""`python -m submission settings`: every setting with its value in a preset, what it may be, and what it means."""

from __future__ import annotations

import ast
import difflib
import inspect
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import pairwise
from typing import Any, get_args, get_type_hints

from submission import config
from submission.config import RANGES, Settings
from submission.errors import BadInput

WIDTH = 100
"""Characters of a line of meaning."""


@dataclass(frozen=True)
class SettingRow:
    """One setting."""

    name: str
    """section.field, as `--set` takes it."""
    value: Any
    """Its value in the preset."""
    default: Any
    """Its value where no preset says another one."""
    allowed: str
    """The values that it may have: names, a range, or a type."""
    meaning: str
    """What config.py says of it, its unit included."""


def chosen_rows(settings: Settings, names: Sequence[str]) -> list[SettingRow]:
    """The settings of these names or sections, all without any; BadInput for a name that there is not."""
    rows = setting_rows(settings)
    for name in names:
        known = [each.name for each in rows] + [each.name.partition(".")[0] for each in rows]
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise BadInput(f"no setting is called {name!r}" + (f"; there is {near[0]}" if near else ""))
    return [each for each in rows if not names or {each.name, each.name.partition(".")[0]} & set(names)]


def setting_rows(settings: Settings) -> list[SettingRow]:
    """Every setting, in the order of config.py."""
    return [
        SettingRow(
            f"{section.name}.{each.name}",
            getattr(getattr(settings, section.name), each.name),
            getattr(getattr(Settings(), section.name), each.name),
            _allowed(f"{section.name}.{each.name}", get_type_hints(kind)[each.name]),
            meanings(kind)[each.name],
        )
        for section, kind in _sections()
        for each in fields(kind)
    ]


def shown(rows: list[SettingRow]) -> list[str]:
    """The settings as lines of text; a star marks values that are not the default."""
    lines = []
    for each in rows:
        star = "*" if each.value != each.default else " "
        other = f", default {_text(each.default)}" if star == "*" else ""
        lines.append(f"{star} {each.name} = {_text(each.value)}   ({each.allowed}{other})")
        lines += textwrap.wrap(each.meaning, WIDTH, initial_indent="      ", subsequent_indent="      ")
    return lines


@cache
def meanings(settings: type) -> dict[str, str]:
    """Field -> the docstring below it, in the source of a class of settings and of those that it extends."""
    found: dict[str, str] = {}
    for kind in reversed(settings.__mro__[:-1]):
        [definition] = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
        assert isinstance(definition, ast.ClassDef)
        for before, after in pairwise(definition.body):
            if isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
                told = after.value if isinstance(after, ast.Expr) else None
                found[before.target.id] = " ".join(str(told.value).split()) if isinstance(told, ast.Constant) else ""
    return found


def _sections() -> Iterator[tuple[Any, type]]:
    hints = get_type_hints(Settings)
    for section in fields(Settings):
        kind = hints[section.name]
        assert is_dataclass(kind) and isinstance(kind, type) and kind.__module__ == config.__name__
        yield section, kind


def _allowed(name: str, kind: Any) -> str:
    if names := get_args(kind):
        return " | ".join(names)
    if name in RANGES:
        return str(RANGES[name])
    return {bool: "True | False", str: "a text", int: "a whole number", float: "a number"}[kind]


def _text(value: Any) -> str:
    return repr(value) if value == "" else str(value)
