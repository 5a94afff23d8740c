"""Files within the limit of bytes that would take many times their size in memory, or hours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tests.attacks.files import Files, base, inside, put
from tests.attacks.structures import Make

MEGABYTES = 60
"""Of each file: fewer than the limit of bytes, so that it is read, and a machine of 8 GB can try."""

LISTS: dict[str, Callable[[int], bytes]] = {
    "empty lists": lambda n: b"[" + b"[]," * (n // 3) + b"[]]",
    "empty objects": lambda n: b"[" + b"{}," * (n // 3) + b"{}]",
    "lists of lists": lambda n: b"[" + b"[[]]," * (n // 5) + b"[]]",
    "short texts": lambda n: b"[" + b'"ab","cd",' * (n // 10) + b"0]",
    "short keys": lambda n: b"{" + b",".join(b'"%x":0' % k for k in range(n // 10)) + b"}",
    "cells": lambda n: b"[" + b"1," * (n // 2) + b"1]",
    "one text": lambda n: b'"' + b"x" * n + b'"',
    "one number": lambda n: b"1" * n,
    "one fraction": lambda n: b"0." + b"1" * n,
    "one row of a grid": lambda n: b"[[" + b"1," * (n // 2) + b"1]]",
    "one column": lambda n: b"[" + b"[1]," * (n // 4) + b"[1]]",
}
"""Name -> JSON of about so many bytes."""


def bomb_attack(value: Callable[[int], bytes], place: str) -> Make:
    """Such JSON beside the grids of a task, or in the place of one."""

    def make(rng: np.random.Generator, folder: Path) -> Files:
        meaning = base(rng)
        text = json.dumps(inside(meaning)).encode()
        filler = value(MEGABYTES * 1_000_000)
        if place == "beside":
            return Files(
                put(folder / "tasks.json", text.replace(b'"train"', b'"x": ' + filler + b', "train"', 1)),
                None,
                meaning,
                True,
            )
        begin = text.index(b'"input": ') + len(b'"input": ')
        return Files(put(folder / "tasks.json", text[:begin] + filler + text[text.index(b', "output"') :]), None, None)

    return make


def bombs() -> Iterator[tuple[str, Make]]:
    """All of them, by name; each takes some seconds."""
    for place in ("beside", "in a grid's place"):
        yield from ((f"{MEGABYTES} MB of {name} {place}", bomb_attack(value, place)) for name, value in LISTS.items())
