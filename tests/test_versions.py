"""The table of versions says the same as pyproject.toml and the constraints of Kaggle's image."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from submission import versions
from submission.kaggle.packaging.image import OFFLINE_WHEELS, read_image

PROJECT = tomllib.loads((Path(versions.__file__).parents[1] / "pyproject.toml").read_text())["project"]


def test_the_supported_versions_are_those_of_pyproject() -> None:
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]
    requirements.append(f"python{PROJECT['requires-python']}")
    bounds = {}
    for requirement in requirements:
        found = re.fullmatch(r"([\w-]+)>=([\d.]+)(?:,<([\d.]+))?", requirement)
        assert found, requirement
        bounds[found[1]] = (found[2], found[3])
    assert {name: bounds.get(name) for name in versions.SUPPORTED} == versions.SUPPORTED
    bounded = {name for name, (_, untried) in bounds.items() if untried}
    assert bounded <= set(versions.SUPPORTED), "an upper bound that `check` does not know"


def test_the_versions_of_the_image_are_those_of_its_constraints() -> None:
    image = read_image(OFFLINE_WHEELS / "image.txt")
    ours = dict(versions.KAGGLE_IMAGE)
    assert versions.numbers(ours.pop("python"))[:2] == image.python
    assert {name: image.versions.get(name) for name in ours} == ours
    assert set(versions.SUPPORTED) - set(versions.KAGGLE_IMAGE) == {"bitsandbytes"}
    assert "bitsandbytes" not in image.versions


def test_a_version_is_read_up_to_its_suffix() -> None:
    assert versions.numbers("2.10.0+cu128") == (2, 10, 0)
    assert versions.numbers("5.0.0rc1") == (5, 0, 0)
    assert versions.numbers("unknown") == ()


def test_peft_refuses_a_torchao_before_0_16() -> None:
    old = {"0.10.0": True, "0.9": True, "0.15.1+cu128": True, "0.16.0": False, "0.16.0+cu128": False, "1.0": False}
    assert {version: versions.is_old_torchao(version) for version in old} == old
