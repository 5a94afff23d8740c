"""The wheels for Kaggle: resolve them against its image, lock them with hashes, download and check them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submission.errors import BadInput
from submission.kaggle.manifests import sha256
from submission.kaggle.packaging.image import NEVER_SHIPPED, Image, Profile, misfit, normalized, platforms, read_image


@dataclass(frozen=True)
class Pin:
    """One locked wheel."""

    name: str
    version: str
    sha256: str


def read_lock(profile: Profile) -> list[Pin]:
    """The pins in a profile's lock; BadInput for a line without a hash."""
    pins = []
    for line in profile.lock.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})", line)
            if match is None:
                raise BadInput(f"{profile.lock}: {line!r} is not NAME==VERSION --hash=sha256:HEX")
            pins.append(Pin(match[1], match[2], match[3]))
    return pins


def lock_text(profile: Profile, pins: Iterable[Pin]) -> str:
    """The lock in pip's format, sorted by name."""
    command = f"python build.py wheels --profile {profile.name} --relock"
    head = f"# Made by `{command}` from {profile.requirements.name} and image.txt.\n"
    lines = sorted(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n" for pin in pins)
    return head + "".join(lines)


def resolve(profile: Profile) -> list[Pin]:
    """The wheels that the image lacks for a profile's requirements; needs a package index.

    pip evaluates environment markers for the Python that it runs on: best run this on the image's Python version.
    """
    image = read_image(profile.image)
    requirements = profile.requirements.read_text(encoding="utf-8")
    unconstrained = {normalized(name) for name in re.findall(r"^[\w.-]+", requirements, re.M)}
    constrained = {name: version for name, version in image.versions.items() if name not in unconstrained}
    with tempfile.TemporaryDirectory() as scratch:
        constraints, report = Path(scratch, "constraints.txt"), Path(scratch, "report.json")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in constrained.items()))
        _pip([
            "install", "--dry-run", "--ignore-installed", "--target", scratch, "--report", str(report),
            "--constraint", str(constraints), "--requirement", str(profile.requirements), *_target(image),
            *(["--no-deps"] if profile.alone else []),
        ])  # fmt: skip
        would_install: dict[str, Any] = json.loads(report.read_text())
    return missing_from_image(would_install, image.versions)


def missing_from_image(report: Mapping[str, Any], versions: Mapping[str, str]) -> list[Pin]:
    """Of what pip would install, what the image does not have in this version; never torch, triton or CUDA."""
    pins = []
    for each in report["install"]:
        name, version = normalized(each["metadata"]["name"]), each["metadata"]["version"]
        if versions.get(name) != version and not NEVER_SHIPPED.fullmatch(name.replace("-", "_")):
            pins.append(Pin(name, version, each["download_info"]["archive_info"]["hashes"]["sha256"]))
    return sorted(pins, key=lambda pin: pin.name)


def download(profile: Profile, into: Path) -> None:
    """Download the locked wheels of a profile; BadInput without an index, or where it has other files."""
    into.mkdir(parents=True, exist_ok=True)
    _pip(["download", "--no-deps", "--require-hashes", "--dest", str(into),
          "--requirement", str(profile.lock), *_target(read_image(profile.image))])  # fmt: skip


def problems(wheels: Sequence[Path], pins: Sequence[Pin], images: Iterable[Image]) -> list[str]:
    """One sentence for each wheel that is missing, changed, not locked or not fit for one of the images."""
    by_hash = {sha256(path): path for path in wheels}
    wanted = {pin.sha256: pin for pin in pins}
    found = [f"{pin.name}=={pin.version}: no wheel has its sha256" for pin in pins if pin.sha256 not in by_hash]
    found += [f"{path.name}: is not in the lock" for digest, path in by_hash.items() if digest not in wanted]
    unfit = (misfit(path.name, image) for image in images for path in wheels)
    return found + list(dict.fromkeys(filter(None, unfit)))


def _target(image: Image) -> list[str]:
    """pip's options for: wheels only, for the image's Python and platform."""
    major, minor = image.python
    words = ["--only-binary=:all:", "--implementation", "cp", "--python-version", f"{major}.{minor}"]
    return words + [word for tag in platforms(image) for word in ("--platform", tag)]


def _pip(words: Sequence[str]) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([sys.executable, "-m", "pip", *words[:1], *quiet, *words[1:]], capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise BadInput(f"the wheels could not be downloaded from the package index (pip {words[0]}: {lines[-1]})")
