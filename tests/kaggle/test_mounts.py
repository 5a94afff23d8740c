"""What is mounted is found by its content, under every layout; what is there twice is one, refused, or told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import kernel_main
from submission.errors import BadInput
from submission.kaggle.mounts import attached_models, holds_tasks, require_one, task_files_beside, unusable_weights
from tests import drill
from tests.support.checkpoints import hollow
from tests.support.kaggle_inputs import TASK, asked

SLUG = "arc-prize-2026-arc-agi-2"

COMPETITIONS = (f"competitions/{SLUG}", SLUG, "competitions/arc-prize-2025", "arc-prize-2025")

MODELS = (
    "models/someone/mine/transformers/default/1", "mine/transformers/default/1", "mine/transformers/default/1/inside",
    "datasets/someone/mine", "mine", "notebooks/someone/mine/checkpoints/last",
    "datasets/someone/mine/models--someone--mine/snapshots/0a1b",
)  # fmt: skip
"""Where a model may be: of Kaggle's models, in a data set, in a notebook's output, in a cache of the Hub."""


def taken(inputs: Path) -> Path:
    """The file of tasks that the entry chooses."""
    return kernel_main.write_blank(inputs, inputs / "submission.json")


# -- tasks -------------------------------------------------------------------------------------------------------

DECOYS: dict[str, tuple[str, str]] = {
    "a copy in a data set": ("datasets/someone/arc", json.dumps({"copy": TASK})),
    "a copy in a data set, formerly": ("a-copy", json.dumps({"copy": TASK})),
    "solutions under its name": (f"competitions/a-{SLUG}", json.dumps({"t": [[[1]]]})),
    "a pointer to a large file": (f"competitions/{SLUG}/0", "version https://git-lfs.github.com/spec/v1\n"),
    "an empty object": ("arc-prize", "{}"),
    "no JSON": ("arc-prize", "{"),
}
"""Files that have the name of the competition's tasks, and are not these: the folder and the content."""


@pytest.mark.parametrize("decoy", DECOYS)
@pytest.mark.parametrize("place", COMPETITIONS)
def test_the_tasks_are_the_competitions_whatever_else_has_their_name(place: str, decoy: str, tmp_path: Path) -> None:
    tasks = asked(tmp_path / place, {"t": TASK}, {"t": TASK, "u": TASK})
    folder, content = DECOYS[decoy]
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / drill.TEST_FILE).write_text(content)
    assert taken(tmp_path) == tasks
    assert task_files_beside(tmp_path, tasks) == [tasks]


def test_links_that_lead_nowhere_and_folders_of_that_name_are_passed_over(tmp_path: Path) -> None:
    tasks = asked(tmp_path / "datasets" / "someone" / "arc", {"t": TASK})
    for place in ("competitions/a", "arc-prize-a"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / drill.TEST_FILE).symlink_to(tmp_path / "nowhere")
    (tmp_path / "competitions" / "b" / drill.TEST_FILE).mkdir(parents=True)
    assert taken(tmp_path) == tasks
    assert task_files_beside(tmp_path, tasks) == [tasks]


def test_a_copy_under_a_name_like_the_competitions_does_not_win_over_its_new_place(tmp_path: Path) -> None:
    tasks = asked(tmp_path / "competitions" / SLUG, {"t": TASK})
    asked(tmp_path / "arc-prize-2025-copy", {"copy": TASK})
    assert taken(tmp_path) == tasks
    assert task_files_beside(tmp_path, tasks) == [tasks]


@pytest.mark.parametrize("prefix", ["competitions/", ""])
def test_the_tasks_of_two_competitions_are_both_named(prefix: str, tmp_path: Path) -> None:
    first, second = (asked(tmp_path / f"{prefix}arc-prize-{year}", {str(year): TASK}) for year in (2025, 2026))
    assert taken(tmp_path) == first
    assert task_files_beside(tmp_path, first) == [first, second]


def test_a_file_of_tasks_is_known_by_what_it_holds(tmp_path: Path) -> None:
    contents = {json.dumps({"t": TASK}): True, json.dumps({"a": None, "t": TASK}): True, "{}": False, "[]": False,
                json.dumps({"t": [[[1]]]}): False, json.dumps({"t": {"test": []}}): False, "{": False}  # fmt: skip
    for content, right in contents.items():
        (tmp_path / "file").write_text(content)
        assert holds_tasks(tmp_path / "file") == right, content


# -- models ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", MODELS)
@pytest.mark.parametrize("layout", drill.LAYOUTS)
def test_a_model_is_found_wherever_it_is_mounted_and_that_of_the_code_is_none(
    layout: str, place: str, tmp_path: Path
) -> None:
    inputs = tmp_path / "input"
    code = inputs / drill.LAYOUTS[layout][1].format(slug="code")
    hollow(code / "submission" / "models" / "embedded")
    model = hollow(inputs / place)
    (inputs / "decoy").mkdir()
    (inputs / "decoy" / "config.json").write_text('{"model_type": "llama"}')
    assert attached_models(inputs, code) == [model]
    assert list(unusable_weights(inputs, code, [model])) == []
    (inputs / "linked").symlink_to(code, target_is_directory=True)
    (inputs / "again").symlink_to(model, target_is_directory=True)
    assert len(attached_models(inputs, code)) == 1, "another path to the same folder adds none"
    assert list(unusable_weights(inputs, code, attached_models(inputs, code))) == []


def test_two_models_are_both_found(tmp_path: Path) -> None:
    versions = [hollow(tmp_path / f"models/someone/mine/transformers/default/{number}") for number in (1, 2)]
    assert attached_models(tmp_path, tmp_path / "code") == versions


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "an adapter": lambda f: [(f / f"adapter_{name}").touch() for name in ("config.json", "model.safetensors")],
    "safetensors alone": lambda f: (f / "model.safetensors").touch(),
    "GGUF": lambda f: (f / "model-q4.gguf").touch(),
    "pickled weights": lambda f: [(f / name).touch() for name in ("config.json", "pytorch_model.bin")],
}  # fmt: skip
"""What is attached in the belief that it is a model."""


@pytest.mark.parametrize("kind", UNUSABLE)
def test_weights_that_are_no_model_are_named(kind: str, tmp_path: Path) -> None:
    (folder := tmp_path / "input" / "weights").mkdir(parents=True)
    UNUSABLE[kind](folder)
    model = hollow(tmp_path / "input" / "model")
    (model / "original").mkdir()
    (model / "original" / "consolidated.00.pth").touch()
    assert attached_models(tmp_path, tmp_path / "code") == [model]
    told = list(unusable_weights(tmp_path, tmp_path / "code", [model]))
    assert len(told) == 1
    assert str(folder) in told[0] and "cannot be used" in told[0]


# -- what is there more than once --------------------------------------------------------------------------------


def test_of_several_the_commit_run_wants_one_and_the_scored_rerun_takes_the_first() -> None:
    several = [Path("a"), Path("b")]
    for scored in (False, True):
        assert require_one([], "models", scored) == require_one(several[:1], "models", scored) == []
    with pytest.raises(BadInput, match="2 models are attached, a and b: detach all but one"):
        require_one(several, "models", scored=False)
    assert require_one(several, "models", scored=True) == ["2 models are attached, a is taken, not b"]
