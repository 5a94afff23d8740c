"""Wheels: locked with hashes, none that the image has, and refused where they are others or cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from submission.errors import BadInput
from submission.kaggle.manifests import sha256
from submission.kaggle.packaging import wheels
from submission.kaggle.packaging.bundle import bundle
from submission.kaggle.packaging.image import PROFILES, Image, Profile, read_image
from submission.versions import SUPPORTED, numbers
from tests.support.kaggle_inputs import NAMES, wheelhouse


@pytest.mark.parametrize("profile", PROFILES)
def test_the_committed_locks_have_what_is_asked_for_and_never_torch(profile: str) -> None:
    pins = {pin.name: pin for pin in wheels.read_lock(Profile(profile))}
    assert "bitsandbytes" in pins
    assert profile in pins or profile == "native"
    assert not [name for name in pins if name in ("torch", "triton") or name.startswith("nvidia")]
    assert wheels.lock_text(Profile(profile), pins.values()) == Profile(profile).lock.read_text()
    image = read_image(Profile(profile).image)
    assert image.python == (3, 12)
    assert not [name for name, pin in pins.items() if image.versions.get(name) == pin.version], "the image has these"


def test_what_the_image_has_in_this_version_is_not_shipped() -> None:
    def each(name: str, version: str) -> dict[str, object]:
        info = {"archive_info": {"hashes": {"sha256": "0" * 64}}}
        return {"metadata": {"name": name, "version": version}, "download_info": info}

    found = [
        each("New_Thing", "1.0"),
        each("numpy", "2.0.2"),
        each("trl", "2"),
        each("torch", "2.11"),
        each("triton", "9"),
    ]
    report = {"install": [*found, each("nvidia-nccl-cu12", "2.27.5")]}
    pins = wheels.missing_from_image(report, {"numpy": "2.0.2", "trl": "1", "torch": "2.10.0"})
    assert [pin.name for pin in pins] == ["new-thing", "trl"]


@pytest.mark.slow
def test_only_the_profile_of_kernels_is_resolved_without_what_its_wheels_require(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = wheelhouse(tmp_path / "made", requires="nowhere-to-be-had")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    shutil.copyfile(home / "image.txt", tmp_path / "image.txt")
    for name in PROFILES:
        (tmp_path / f"{name}.in").write_text("small_thing==1.0\n")
    assert wheels.resolve(Profile("unsloth", tmp_path)) == [wheels.Pin("small-thing", "1.0", sha256(wheel))]
    with pytest.raises(BadInput, match="could not be downloaded"):
        wheels.resolve(Profile("native", tmp_path))


def test_a_lock_without_hashes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "native.lock").write_text("bitsandbytes==0.50.2\n")
    with pytest.raises(BadInput, match="--hash=sha256"):
        wheels.read_lock(Profile("native", tmp_path))


def test_wheels_of_another_content_are_not_bundled(home: Path, tmp_path: Path) -> None:
    other = wheelhouse(tmp_path / "other", "value = 8\n").parent
    with pytest.raises(BadInput, match="no wheel has its sha256"):
        bundle(NAMES, tmp_path / "out", Profile("native", home), other, None)
    assert not (tmp_path / "out").exists()


def test_a_wheel_must_fit_each_image(tmp_path: Path) -> None:
    wheel = tmp_path / "small_thing-1.0-cp312-cp312-manylinux_2_17_x86_64.whl"
    wheel.write_bytes(b"x")
    pins = [wheels.Pin("small-thing", "1.0", sha256(wheel))]
    today, following = Image((3, 12), (2, 35), {}), Image((3, 13), (2, 35), {})
    assert wheels.problems([wheel], pins, [today, today]) == []
    assert wheels.problems([wheel], pins, [today, following]) == [f"{wheel.name}: is not for Python 3.13"]


def test_a_bundle_is_held_against_the_next_image_as_well(home: Path, tmp_path: Path) -> None:
    profile = Profile("native", Path(shutil.copytree(home, tmp_path / "home")))
    assert bundle(NAMES, tmp_path / "out", profile, None, None)
    (profile.home / "image_next.txt").write_text("# python 3.13\n")
    with pytest.raises(BadInput, match="image_next.txt: needs the comment lines"):
        bundle(NAMES, tmp_path / "other", profile, None, None)


def test_every_image_has_versions_that_this_package_works_with() -> None:
    images = [read_image(path) for path in Profile("native").images]
    assert [image.python for image in images] == [(3, 12), (3, 13)]
    for image in images:
        for name, (oldest, untried) in SUPPORTED.items():
            if (version := image.versions.get(name)) is not None:
                assert numbers(oldest) <= numbers(version) < numbers(untried or "999"), name


def test_without_wheels_and_without_an_index_there_is_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    for name in ("native.lock", "image.txt"):
        shutil.copyfile(home / name, tmp_path / name)
    with pytest.raises(BadInput, match="could not be downloaded from the package index") as told:
        bundle(NAMES, tmp_path / "out", Profile("native", tmp_path), None, None)
    assert len(str(told.value).splitlines()) == 1
