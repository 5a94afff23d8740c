"""Settings are frozen values; `--set` changes them by their types, and says in one sentence why it cannot."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import math
import re
from typing import Any, get_args, get_type_hints

import pytest

from submission import config
from submission.config import RANGES, Adapt, Search, Settings, with_changes
from submission.errors import BadInput
from submission.presets import preset
from tests.support.cases import cases

SECTIONS: dict[str, Any] = get_type_hints(Settings)
"""Each section's name and class."""

FIELDS: list[tuple[str, Any, Any]] = [
    (f"{section}.{key}", hint, getattr(getattr(Settings(), section), key))
    for section, kind in SECTIONS.items()
    for key, hint in get_type_hints(kind).items()
]
"""Each setting's full name, type and default."""


def refusal(*changes: str) -> str:
    """The one sentence with which these changes are refused."""
    with pytest.raises(BadInput) as caught:
        with_changes(Settings(), changes)
    sentence = str(caught.value)
    assert sentence and sentence.isprintable(), "one sentence, on one line"
    return sentence


def test_false_is_false() -> None:
    assert with_changes(Settings(), ["model.four_bit=False"]).model.four_bit is False
    assert with_changes(Settings(), ["model.four_bit=True"]).model.four_bit is True


def test_an_int_stays_an_int() -> None:
    views = with_changes(Settings(), ["search.views=4"]).search.views
    assert type(views) is int
    assert views == 4


def test_a_float_accepts_an_int_and_becomes_a_float() -> None:
    alpha = with_changes(Settings(), ["adapt.alpha=32"]).adapt.alpha
    assert type(alpha) is float
    assert alpha == 32.0
    assert with_changes(Settings(), ["adapt.rate=5e-5"]).adapt.rate == 5e-5


def test_a_choice_is_one_of_its_words() -> None:
    assert with_changes(Settings(), ["training_rows.recipe=marc"]).training_rows.recipe == "marc"
    assert with_changes(Settings(), ["vote.rule=hierarchical"]).vote.rule == "hierarchical"
    assert with_changes(Settings(), ["model.dtype=float32"]).model.dtype == "float32"


def test_changes_apply_in_order_and_leave_the_rest() -> None:
    changed = with_changes(Settings(), ["search.views=4", "search.threshold=0.2", "search.views=8"])
    assert changed == dataclasses.replace(Settings(), search=Search(views=8, threshold=0.2))
    assert with_changes(changed, []) == changed


@cases(("name", "hint", "default"), FIELDS)
def test_every_setting_can_be_set_to_its_own_default_as_printed(name: str, hint: Any, default: Any) -> None:
    """Types with which `--set` cannot deal would show here."""
    assert with_changes(Settings(), [f"{name}={default}"]) == Settings()
    assert type(default) in (bool, int, float, str)
    assert default in get_args(hint) or type(default) is hint


@cases(
    ("change", "told"),
    [
        ("search.views=4.0", "int"),
        ("search.views=True", "int"),
        ("search.views=four", "int"),
        ("search.views=", "int"),
        ("search.views=[4]", "int"),
        ("search.views=None", "int"),
        ("search.views='4'", "int"),
        ("model.four_bit=0", "bool"),
        ("model.four_bit=false", "bool"),
        ("model.four_bit=no", "bool"),
        ("adapt.rate=fast", "float"),
        ("adapt.rate=True", "float"),
        ("adapt.rate=1,5", "float"),
        ("adapt.rate={[]: 1}", "float"),
        ("adapt.rate=1 2", "float"),
        ("adapt.rate=" + "(" * 1000, "float"),
        ("vote.rule=best", "poe, probmul, kgmon, flat, hierarchical"),
        ("vote.rule=", "poe, probmul, kgmon, flat, hierarchical"),
        ("vote.rule=POE", "poe, probmul, kgmon, flat, hierarchical"),
        ("training_rows.recipe=1", "poe, nvarc, marc"),
        ("nothing.views=4", "'nothing'"),
        ("search.nothing=4", "'nothing'"),
        ("search.__class__=4", "'__class__'"),
        ("__class__.views=4", "'__class__'"),
        ("views=4", "section.field=value"),
        ("search.views", "section.field=value"),
        ("search", "section.field=value"),
        ("", "section.field=value"),
        ("=", "section.field=value"),
        (".=4", "''"),
        ("search.views.more=4", "'views.more'"),
        (" search.views=4", "' search'"),
    ],
)
def test_what_cannot_be_set_is_refused_in_one_sentence(change: str, told: str) -> None:
    sentence = refusal(change)
    assert told in sentence
    assert change[:32] in sentence, "the change is quoted"


def test_an_unknown_field_is_answered_with_the_known_ones() -> None:
    sentence = refusal("search.view=4")
    assert all(field.name in sentence for field in dataclasses.fields(Search))


@cases(
    "change",
    [
        "search.threshold=0",
        "search.threshold=-0.1",
        "search.threshold=1.01",
        "search.views=0",
        "adapt.tokens=0",
        "adapt.share=0",
        "adapt.share=1",
        "adapt.warmup=-0.1",
        "adapt.warmup=1.1",
        "adapt.batch=0",
        "adapt.rank=-1",
        "adapt.rate=-1e-4",
        "adapt.rate=1e999",
        "adapt.clip=-1",
        "training_rows.copies=0",
        "training_rows.max_rows=0",
        "model.context=1023",
        "model.threads=-1",
        "time.seconds=0",
        "time.grace=0",
    ],
)
def test_a_value_outside_its_range_is_refused_by_name(change: str) -> None:
    assert change.partition("=")[0] in refusal(change)


def test_every_number_among_the_settings_has_a_range() -> None:
    assert set(RANGES) == {name for name, hint, _ in FIELDS if hint in (int, float)}
    assert all(math.isfinite(each.least) and math.isfinite(each.most) for each in RANGES.values())


ENDLESS = ("1e999", "-1e999", "1e308", "-1e308", "1" + "0" * 400, "-1" + "0" * 400, "1" * 5000)


@cases(("name", "text"), [(name, text) for name in RANGES for text in ENDLESS])
def test_infinite_and_huge_numbers_are_refused(name: str, text: str) -> None:
    told = refusal(f"{name}={text}")
    assert name in told and len(told) < 200


@cases("name", list(RANGES))
def test_both_ends_of_each_range_are_tested_and_nan_is_in_none(name: str) -> None:
    allowed = RANGES[name]
    section, key = name.split(".")
    part = getattr(Settings(), section)
    whole = type(getattr(part, key)) is int
    step = 1 if whole else 1e-9
    for end, excluded, outside in (
        (allowed.least, allowed.above, allowed.least - step), (allowed.most, allowed.below, allowed.most * 1.001 + step)
    ):  # fmt: skip
        for value, refused in ((end, excluded), (outside, True)):
            changed = dataclasses.replace(part, **{key: value})
            if refused:
                with pytest.raises(BadInput, match=re.escape(f"{name} must be {allowed}")):
                    dataclasses.replace(Settings(), **{section: changed})
            else:
                dataclasses.replace(Settings(), **{section: changed})
    with pytest.raises(BadInput, match=name):
        dataclasses.replace(Settings(), **{section: dataclasses.replace(part, **{key: math.nan})})


@cases("change", ["search.threshold=1", "adapt.warmup=0", "adapt.warmup=1", "adapt.rank=0", "model.context=1024"])
def test_the_edges_of_a_range_belong_to_it(change: str) -> None:
    assert with_changes(Settings(), [change]) != Settings()


def test_ranges_hold_however_settings_are_made() -> None:
    with pytest.raises(BadInput, match=r"search\.views"):
        Settings(search=Search(views=0))
    with pytest.raises(BadInput, match=r"adapt\.batch"):
        dataclasses.replace(Settings(), adapt=Adapt(batch=0))


def test_settings_are_frozen_and_hashable() -> None:
    settings = Settings()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.search = Search()  # type: ignore[misc]
    for section in SECTIONS:
        part = getattr(settings, section)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, dataclasses.fields(part)[0].name, 1)
    assert hash(settings) == hash(Settings())


def test_changing_settings_leaves_the_preset_as_it_was() -> None:
    before = dataclasses.asdict(preset("laptop"))
    with_changes(preset("laptop"), ["search.views=4"])
    assert dataclasses.asdict(preset("laptop")) == before


def test_every_setting_is_documented_by_the_string_below_it() -> None:
    tree = ast.parse(inspect.getsource(config))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for kind in SECTIONS.values():
        body = classes[kind.__name__].body
        for field, below in zip(body, [*body[1:], ast.Pass()], strict=True):
            if isinstance(field, ast.AnnAssign):
                documented = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
                assert documented, f"{kind.__name__}.{ast.unparse(field.target)} has no string below it"


def test_a_value_that_python_warns_of_is_refused_without_the_warning(recwarn: pytest.WarningsRecorder) -> None:
    with pytest.raises(BadInput, match="expected a value of type float"):
        with_changes(Settings(), ["adapt.clip=0in[0]"])
    assert not list(recwarn)
