"""Wheels for a machine without a network: resolved against its image, locked with hashes, downloaded, checked."""

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
from submission.kaggle.packaging.image import NEVER, Image, Profile, misfit, normal, platforms, read_image


@dataclass(frozen=True)
class Pin:
    """One wheel that is needed."""

    name: str
    version: str
    sha256: str


def read_lock(profile: Profile) -> list[Pin]:
    """The pins of a profile's committed lock; BadInput for a line without a hash."""
    pins = []
    for line in profile.lock.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})", line)
            if match is None:
                raise BadInput(f"{profile.lock}: {line!r} is not NAME==VERSION --hash=sha256:HEX")
            pins.append(Pin(match[1], match[2], match[3]))
    return pins


def lock_text(profile: Profile, pins: Iterable[Pin]) -> str:
    """The lock as pip reads it, in order of name."""
    made = f"python build.py wheels --profile {profile.name} --relock"
    head = f"# Made by `{made}` from {profile.asked.name} and image.txt.\n"
    lines = sorted(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n" for pin in pins)
    return head + "".join(lines)


def resolve(profile: Profile) -> list[Pin]:
    """What has to be shipped so that a profile's requirements hold beside what the image has; needs an index.

    pip evaluates markers for the Python it runs on, so that this is best run on the image's own version.
    """
    image = read_image(profile.image)
    free = {normal(name) for name in re.findall(r"^[\w.-]+", profile.asked.read_text(encoding="utf-8"), re.M)}
    held = {name: version for name, version in image.versions.items() if name not in free}
    with tempfile.TemporaryDirectory() as scratch:
        constraints, report = Path(scratch, "constraints.txt"), Path(scratch, "report.json")
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in held.items()))
        _pip(["install", "--dry-run", "--ignore-installed", "--target", scratch, "--report", str(report),
              "--constraint", str(constraints), "--requirement", str(profile.asked), *_target(image)])  # fmt: skip
        found: dict[str, Any] = json.loads(report.read_text())
    return needed(found, image.versions)


def needed(report: Mapping[str, Any], has: Mapping[str, str]) -> list[Pin]:
    """Of what pip would install, what the image has not got in this version; never torch, triton or CUDA."""
    pins = []
    for each in report["install"]:
        name, version = normal(each["metadata"]["name"]), each["metadata"]["version"]
        if has.get(name) != version and not NEVER.fullmatch(name.replace("-", "_")):
            pins.append(Pin(name, version, each["download_info"]["archive_info"]["hashes"]["sha256"]))
    return sorted(pins, key=lambda pin: pin.name)


def download(profile: Profile, into: Path) -> None:
    """Fetch the locked wheels of a profile; BadInput where the index or its files are not as locked."""
    into.mkdir(parents=True, exist_ok=True)
    _pip(["download", "--no-deps", "--require-hashes", "--dest", str(into),
          "--requirement", str(profile.lock), *_target(read_image(profile.image))])  # fmt: skip


def problems(wheels: Sequence[Path], pins: Sequence[Pin], image: Image) -> list[str]:
    """A sentence for each wheel that is missing, changed, not locked or not fit for the image."""
    by_hash = {sha256(path): path for path in wheels}
    wanted = {pin.sha256: pin for pin in pins}
    found = [f"{pin.name}=={pin.version}: no wheel has its sha256" for pin in pins if pin.sha256 not in by_hash]
    found += [f"{path.name}: is not in the lock" for digest, path in by_hash.items() if digest not in wanted]
    return found + [sentence for path in wheels if (sentence := misfit(path.name, image))]


def _target(image: Image) -> list[str]:
    """pip's words for: wheels only, for the image's Python and platform."""
    major, minor = image.python
    words = ["--only-binary=:all:", "--implementation", "cp", "--python-version", f"{major}.{minor}"]
    return words + [word for tag in platforms(image) for word in ("--platform", tag)]


def _pip(words: Sequence[str]) -> None:
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([sys.executable, "-m", "pip", *words[:1], *quiet, *words[1:]], capture_output=True, text=True)
    if done.returncode != 0:
        lines = [line.strip() for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["no reason given"]
        raise BadInput(f"the wheels could not be had from the package index (pip {words[0]}: {lines[-1]})")
