"""What Kaggle is told of each part of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.kaggle.packaging.metadata import Names, kernel_metadata


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


REFUSED = [
    {"owner": "Some One"}, {"owner": ""}, {"owner": "a--b"}, {"owner": "a_-b"}, {"owner": "_a"}, {"owner": "a_"},
    {"owner": "someone\n"}, {"name": "x"}, {"name": "arc--sub"}, {"name": "arc_sub"}, {"name": "-arc-sub"},
    {"name": "arc-sub-"}, {"name": "a" * 44}, {"competition": "arc--prize"}, {"accelerator": "p100"},
    {"model_version": 0},
]  # fmt: skip
"""What Kaggle's client refuses (2.2.5: its patterns of owners and slugs, 6 to 50 characters for a data set)."""


@pytest.mark.parametrize("wrong", REFUSED, ids=str)
def test_names_that_kaggle_would_refuse_are_refused_before(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        Names(**{"owner": "someone", **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize("owner", ["a_b", "a-b", "a_b-c", "1", "a1"])
def test_names_that_kaggle_takes_are_taken(owner: str) -> None:
    assert Names(owner, "arc-1", "a-2").code == f"{owner}/arc-1-code"
