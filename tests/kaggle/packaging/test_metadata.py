"""What Kaggle is told of each part of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

from submission.errors import BadInput
from submission.kaggle.packaging.metadata import Names, dataset_metadata, kernel_metadata, model_metadata
from tests.support.cases import cases


def test_the_metadata_has_internet_off_the_gpu_by_name_and_all_sources(made: Path) -> None:
    kernel = json.loads((made / "notebook" / "kernel-metadata.json").read_text())
    assert kernel["enable_internet"] is False
    assert kernel["machine_shape"] == "NvidiaL4"
    assert kernel["dataset_sources"] == ["someone/arc-submission-code", "someone/arc-submission-wheels"]
    assert kernel["model_sources"] == ["someone/arc-submission-model/Transformers/default/1"]
    assert kernel["competition_sources"] == ["arc-prize-2026-arc-agi-2"]
    assert kernel["title"] == kernel["id"].split("/")[1], "a title that makes another slug is a conflict"
    for part in ("code", "wheels"):
        metadata = json.loads((made / part / "dataset-metadata.json").read_text())
        assert 6 <= len(metadata["title"]) <= 50
        assert len(metadata["licenses"]) == 1
    assert kernel_metadata(Names("someone", accelerator="t4x2"))["machine_shape"] == "NvidiaTeslaT4"


SYNTAX = (
    # value, as an owner, as a slug: `_validate_slug_syntax` of Kaggle's client 2.2.5 was asked for each.
    ("arc-sub", True, True), ("arc-2026", True, True), ("1abcd", True, True), ("abcde-1", True, True),
    ("arc_sub", True, False), ("arc_a-sub", True, False), ("arc--sub", False, False), ("arc__sub", False, False),
    ("arc-_sub", False, False), ("arc_-sub", False, False), ("Arc-sub", False, False), ("ARCSUB", False, False),
    ("-arcs", False, False), ("arcs-", False, False), ("_arcs", False, False), ("arcs_", False, False),
    ("arc.sub", False, False), ("arc sub", False, False), ("arc/sub", False, False), ("arc-é-sub", False, False),
    ("arc-\u0661-sub", False, False), ("", False, False), ("-----", False, False),
)  # fmt: skip


def accepted(**names: object) -> bool:
    """Whether these names are taken; if not, the sentence names the option and the value."""
    try:
        Names(**{"owner": "someone", **names})  # type: ignore[arg-type]
    except BadInput as error:
        ((name, value),) = names.items()
        assert str(error).startswith(f"--{name.replace('_', '-')}")
        assert not isinstance(value, str) or repr(value) in str(error)
        return False
    return True


@cases(("value", "owner", "slug"), SYNTAX)
def test_owners_and_slugs_are_judged_as_kaggles_client_judges_them(value: str, owner: bool, slug: bool) -> None:
    assert accepted(owner=value) == owner
    assert accepted(name=value) == slug
    assert accepted(competition=value) == slug


def test_a_line_break_after_a_slug_is_refused_though_the_client_takes_it() -> None:
    assert not accepted(owner="someone\n") and not accepted(name="arc-sub\n")


@cases(("length", "taken"), [(1, False), (4, False), (5, True), (43, True), (44, False), (50, False)])
def test_every_upload_has_a_slug_of_a_length_that_kaggle_takes(length: int, taken: bool) -> None:
    """A data set's slug and title: 6 to 50 characters; a notebook's: at least 5. '-wheels' is added to the name."""
    assert accepted(name="a" * length) == taken
    if taken:
        names = Names("someone", "a" * length, model_version=1)
        datasets = [dataset_metadata(identity) for identity in (names.code, names.wheels)]
        assert all(6 <= len(each["title"]) <= 50 and each["id"] == f"someone/{each['title']}" for each in datasets)
        assert len(kernel_metadata(names)["title"]) >= 5
        assert 6 <= len(model_metadata(names)["slug"]) <= 50


@cases("owner", ["a", "a_b", "a-b_c", "a" * 60])
def test_the_length_of_an_owner_is_kaggles_business(owner: str) -> None:
    assert accepted(owner=owner)
    assert Names(owner).notebook == f"{owner}/arc-submission"


@cases("wrong", [{"accelerator": "p100"}, {"model_version": 0}, {"model_version": -1}])
def test_a_machine_or_version_that_kaggle_would_refuse_is_refused_before(wrong: dict[str, object]) -> None:
    assert not accepted(**wrong)
