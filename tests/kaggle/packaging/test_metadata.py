"""What Kaggle is told of each part of a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.kaggle.packaging.metadata import (
    Names,
    dataset_metadata,
    kernel_metadata,
    model_metadata,
    variation_metadata,
)
from tests.support.cases import cases
from tests.support.kaggle_inputs import NAMES_WITH_MODEL


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
    assert kernel["enable_gpu"] is True
    assert kernel_metadata(Names("someone", accelerator="t4x2"))["machine_shape"] == "NvidiaTeslaT4"


def test_the_embedded_model_asks_for_no_gpu_and_public_tasks_for_no_competition() -> None:
    kernel = kernel_metadata(Names("someone", competition="none"))
    assert kernel["enable_gpu"] is False and "machine_shape" not in kernel and kernel["keywords"] == []
    assert kernel["competition_sources"] == []
    with pytest.raises(BadInput, match="only participants of a competition get L4 x4"):
        Names("someone", competition="none", accelerator="l4x4")


def test_the_licence_of_a_model_is_one_of_kaggles_names_and_is_never_guessed() -> None:
    for licence in ("", "apache-2.0", "Apache-2.0", "llama3"):
        told = f"'{licence}'" if licence else "is needed"
        with pytest.raises(BadInput, match=f"--license {told}: .* one of: Apache 2.0; MIT;"):
            Names("someone", accelerator="l4x4", model_version=1, licence=licence)
    assert variation_metadata(NAMES_WITH_MODEL)["licenseName"] == "MIT"
    with pytest.raises(BadInput, match="an attached model needs a GPU"):
        Names("someone", model_version=1, licence="MIT")


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
        Names(**{"owner": "someone", "accelerator": "l4x4", **names})  # type: ignore[arg-type]
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
        names = replace(NAMES_WITH_MODEL, name="a" * length)
        datasets = [dataset_metadata(identity) for identity in (names.code, names.wheels)]
        assert all(6 <= len(each["title"]) <= 50 and each["id"] == f"someone/{each['title']}" for each in datasets)
        assert len(kernel_metadata(names)["title"]) >= 5
        assert 6 <= len(model_metadata(names)["slug"]) <= 50


@cases("owner", ["a", "a_b", "a-b_c", "a" * 60])
def test_the_length_of_an_owner_is_kaggles_business(owner: str) -> None:
    assert accepted(owner=owner)
    assert Names(owner).notebook == f"{owner}/arc-submission"


NVARC = "sorokin/qwen3_4b_grids15_sft139/Transformers/bfloat16/1"

HANDLES = (
    # value, whether it is taken: five parts and a whole number, as Kaggle's client 2.2.5 asks for.
    (NVARC, True), ("dfranzen/wb55L_nemomini_fulleval/Transformers/default/12", True), ("a/b.1/c/d/1", True),
    (NVARC.removesuffix("/1"), False), (f"{NVARC}/1", False), (NVARC.replace("/1", "/latest"), False),
    (NVARC.replace("/1", "/0"), False), (f"https://www.kaggle.com/models/{NVARC}", False), ("a//c/d/1", False),
    ("a/../c/d/1", False), (f"{NVARC}\n", False), ("sorokin/qwen3 4b/Transformers/bfloat16/1", False), ("", False),
)  # fmt: skip


@cases(("value", "taken"), HANDLES)
def test_a_published_model_is_attached_by_the_handle_of_one_of_its_versions(value: str, taken: bool) -> None:
    assert accepted(model_source=value) == taken
    if taken:
        assert kernel_metadata(Names("someone", accelerator="l4x4", model_source=value))["model_sources"] == [value]


def test_a_bundle_has_a_model_to_upload_or_attaches_one_and_never_both() -> None:
    try:
        Names("someone", model_version=1, model_source=NVARC)
    except BadInput as error:
        assert "give one of them" in str(error)
    else:
        raise AssertionError("two models are one too many")


@cases("wrong", [{"accelerator": "p100"}, {"model_version": 0}, {"model_version": -1}])
def test_a_machine_or_version_that_kaggle_would_refuse_is_refused_before(wrong: dict[str, object]) -> None:
    assert not accepted(**wrong)
