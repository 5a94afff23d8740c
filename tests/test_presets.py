"""Presets: every one is valid, and of each published recipe exactly what its description says."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

import pytest

from submission.config import Settings
from submission.errors import BadInput
from submission.presets import PRESETS, card_of, gpus_of, preset, recipe_of
from tests.support.cases import cases

LARGE = [name for name in PRESETS if name != "laptop"]


@cases("name", list(PRESETS))
def test_every_preset_is_valid_and_of_the_declared_types(name: str) -> None:
    """dataclasses do not check types, and a preset is written by hand."""
    settings = preset(name)
    for section, kind in get_type_hints(Settings).items():
        for key, hint in get_type_hints(kind).items():
            value: Any = getattr(getattr(settings, section), key)
            assert value in get_args(hint) or type(value) is hint, f"{section}.{key}"


@cases(("name", "told"), [("desktop", "no preset is called 'desktop'"), ("l4x4", "'l4x4' is a machine"),
                          ("t4x2", "'t4x2' is a machine"), ("ttt", "no preset is called 'ttt'")])  # fmt: skip
def test_another_name_is_answered_with_the_known_ones(name: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        preset(name)
    sentence = str(caught.value)
    assert told in sentence and sentence.isprintable()
    assert all(each in sentence for each in PRESETS)


def test_what_a_t4_cannot_do_is_told() -> None:
    with pytest.raises(BadInput, match="there is no preset ttt-t4x2: .*; take L4 x4 and ttt-l4x4"):
        preset("ttt-t4x2")


def test_a_preset_is_named_by_recipe_and_machine() -> None:
    named = {name: (recipe_of(name), card_of(name), gpus_of(name)) for name in PRESETS}
    assert named == {
        "laptop": ("", None, 1), "poe-l4x4": ("poe", "l4", 4), "poe-t4x2": ("poe", "t4", 2),
        "nvarc-l4x4": ("nvarc", "l4", 4), "nvarc-t4x2": ("nvarc", "t4", 2), "ttt-l4x4": ("ttt", "l4", 4),
    }  # fmt: skip
