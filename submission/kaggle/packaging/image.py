"""Kaggle's image: its Python, glibc and versions, and which wheels fit it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from submission.errors import BadInput

OFFLINE_WHEELS = Path(__file__).parents[3] / "offline_wheels"

PROFILES = ("native", "unsloth")
"""native: bitsandbytes, which the image lacks. unsloth: the same, and unsloth for its kernels."""

ALONE = ("unsloth",)
"""Profiles that ship what they name and nothing of what that requires. Unsloth's kernels are imported without the rest
of unsloth (`model.unsloth_import`) and work with the image's own transformers, which unsloth as a whole excludes."""


@dataclass(frozen=True)
class Profile:
    """One set of wheels: its requirements, and the lock with the files that they resolve to."""

    name: str
    home: Path = OFFLINE_WHEELS
    """The folder of all profiles and of image.txt."""

    @property
    def requirements(self) -> Path:
        """The requirements, in pip's format."""
        return self.home / f"{self.name}.in"

    @property
    def lock(self) -> Path:
        """One line per wheel, NAME==VERSION --hash=sha256:HEX; in git."""
        return self.home / f"{self.name}.lock"

    @property
    def folder(self) -> Path:
        """Where its wheels are downloaded to; not in git."""
        return self.home / self.name

    @property
    def alone(self) -> bool:
        """Whether its requirements are resolved without their own: pip's --no-deps."""
        return self.name in ALONE

    @property
    def image(self) -> Path:
        """The versions that the image has, as pip constraints."""
        return self.home / "image.txt"

    @property
    def images(self) -> list[Path]:
        """The same and the images that may follow it: wheels must fit each of them."""
        return [self.image, *sorted(self.home.glob("image_*.txt"))]


NEVER_SHIPPED = re.compile(r"(torch|torchvision|torchaudio|triton|pytorch_triton|nvidia_.+|cuda_(bindings|pathfinder))")
"""Packages that are never shipped: the image's own torch fits its driver, and a second one beside it breaks both."""

ACCELERATORS = {"none": "", "l4x4": "NvidiaL4", "t4x2": "NvidiaTeslaT4"}
"""--accelerator -> machine_shape in kernel-metadata.json (Kaggle CLI, docs/kernels.md, 2026-09); "": no GPU."""


@dataclass(frozen=True)
class Image:
    """What wheels must fit."""

    python: tuple[int, int]
    glibc: tuple[int, int]
    versions: dict[str, str]
    """Normalized package name -> version."""


def read_image(path: Path) -> Image:
    """Read the constraints file; its comments hold the versions of Python and glibc."""
    text = path.read_text(encoding="utf-8")
    facts = dict(re.findall(r"^# (python|glibc) (\d+\.\d+)$", text, re.M))
    if set(facts) != {"python", "glibc"}:
        raise BadInput(f"{path}: needs the comment lines '# python X.Y' and '# glibc X.Y'")
    versions = {normalized(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.M)}
    return Image(_major_minor(facts["python"]), _major_minor(facts["glibc"]), versions)


def platforms(image: Image) -> list[str]:
    """Every platform tag that the image's pip accepts, newest first.

    All of them are needed: with manylinux2014 alone, or without a single tag, pip silently takes an old version
    (bitsandbytes 0.42 for 0.50).
    """
    major, minor = image.glibc
    tags = [f"manylinux_{major}_{k}_x86_64" for k in range(minor, 4, -1)]
    return [*tags, "manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def misfit(wheel: str, image: Image) -> str:
    """Why a wheel of this file name does not fit the image; "" if it does (tags: PEP 425, PEP 600)."""
    parts = wheel.removesuffix(".whl").split("-")
    if not wheel.endswith(".whl") or len(parts) not in (5, 6):
        return f"{wheel}: is not the name of a wheel"
    python, abi, platform = (part.split(".") for part in parts[-3:])
    if NEVER_SHIPPED.fullmatch(normalized(parts[0]).replace("-", "_")):
        return f"{wheel}: must not be shipped: the image has its own, which fits its driver"
    if not any(_fits_python(tag, abi, image.python) for tag in python):
        return f"{wheel}: is not for Python {image.python[0]}.{image.python[1]}"
    if not set(platform) & {"any", *platforms(image)}:
        return f"{wheel}: is not for x86-64 Linux with glibc {image.glibc[0]}.{image.glibc[1]}"
    return ""


def _fits_python(tag: str, abis: list[str], python: tuple[int, int]) -> bool:
    if tag in ("py3", f"py3{python[1]}"):
        return "none" in abis
    match = re.fullmatch(r"(cp|py)3(\d+)", tag)
    if match is None:
        return False
    minor, image_tag = int(match[2]), f"cp3{python[1]}"
    if minor == python[1]:
        return bool({image_tag, "abi3", "none"} & set(abis))
    return minor < python[1] and ("abi3" in abis or (match[1] == "py" and "none" in abis))


def normalized(name: str) -> str:
    """A package name in its normalized form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _major_minor(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
