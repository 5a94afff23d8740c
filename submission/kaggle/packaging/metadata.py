"""The names of the uploads on Kaggle, and their metadata files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from submission.errors import BadInput
from submission.kaggle.packaging.image import ACCELERATORS

COMPETITION = "arc-prize-2026-arc-agi-2"
FRAMEWORK = "Transformers"
VARIATION = "default"

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
OWNER = re.compile(r"[a-z0-9]+([-_][a-z0-9]+)*")
"""Names that Kaggle's client takes (2.2.5, `_validate_slug_syntax`); user names alone may have underscores."""


@dataclass(frozen=True)
class Names:
    """Owner, names, competition and machine of a bundle."""

    owner: str
    """The Kaggle user name, as in the URL of the profile."""
    name: str = "arc-submission"
    """The notebook's slug; the slugs of data sets and model begin with it."""
    competition: str = COMPETITION
    accelerator: str = "l4x4"
    model_version: int | None = None
    """The version of the attached model; None for the embedded one."""
    licence: str = "Apache 2.0"
    """The model's licence, by Kaggle's name."""

    def __post_init__(self) -> None:
        for what, value in (("--owner", self.owner), ("--name", self.name), ("--competition", self.competition)):
            signs = "'-' or '_'" if what == "--owner" else "'-'"
            if not (OWNER if what == "--owner" else SLUG).fullmatch(value):
                raise BadInput(
                    f"{what} {value!r}: expected lower-case letters and digits, with one {signs} between them at most, "
                    "as in a URL of Kaggle"
                )
        if not 5 <= len(self.name) <= 43:
            raise BadInput(f"--name {self.name!r}: expected 5 to 43 characters (Kaggle takes 50, '-wheels' is added)")
        if self.accelerator not in ACCELERATORS:
            raise BadInput(f"--accelerator {self.accelerator!r}: expected one of {', '.join(ACCELERATORS)}")
        if self.model_version is not None and self.model_version < 1:
            raise BadInput("--model-version: the first version is 1")

    @property
    def notebook(self) -> str:
        """The notebook's id."""
        return f"{self.owner}/{self.name}"

    @property
    def code(self) -> str:
        """The id of the data set of the code."""
        return f"{self.notebook}-code"

    @property
    def wheels(self) -> str:
        """The id of the data set of the wheels."""
        return f"{self.notebook}-wheels"

    @property
    def model(self) -> str:
        """The handle of the model's variation: owner/model/framework/variation."""
        return f"{self.notebook}-model/{FRAMEWORK}/{VARIATION}"


def dataset_metadata(identity: str) -> dict[str, Any]:
    """dataset-metadata.json; Kaggle makes a slug from the title, which must be the one in the id."""
    return {"title": identity.split("/")[1], "id": identity, "licenses": [{"name": "apache-2.0"}]}


def model_metadata(names: Names) -> dict[str, Any]:
    """model-metadata.json."""
    slug = names.model.split("/")[1]
    return {
        "ownerSlug": names.owner, "title": slug, "slug": slug, "subtitle": "", "isPrivate": True,
        "description": f"The weights of the notebook {names.notebook}, in safetensors.", "publishTime": "",
        "provenanceSources": "",
    }  # fmt: skip


def variation_metadata(names: Names) -> dict[str, Any]:
    """model-instance-metadata.json."""
    return {
        "ownerSlug": names.owner, "modelSlug": names.model.split("/")[1], "instanceSlug": VARIATION,
        "framework": FRAMEWORK, "overview": "", "usage": f"See the notebook {names.notebook}.",
        "licenseName": names.licence, "fineTunable": True, "trainingData": [], "modelInstanceType": "Unspecified",
        "baseModelInstance": "", "externalBaseModelUrl": "",
    }  # fmt: skip


def kernel_metadata(names: Names) -> dict[str, Any]:
    """kernel-metadata.json: internet off, and the GPU by name, as `enable_gpu` alone means a P100.

    The image is pinned to the one of the first push, so that commit run and scored rerun have the same.
    """
    model = [] if names.model_version is None else [f"{names.model}/{names.model_version}"]
    return {
        "id": names.notebook, "title": names.name, "code_file": f"{names.name}.ipynb", "language": "python",
        "kernel_type": "notebook", "is_private": True, "enable_gpu": True, "enable_tpu": False,
        "enable_internet": False, "machine_shape": ACCELERATORS[names.accelerator], "keywords": ["gpu"],
        "dataset_sources": [names.code, names.wheels], "competition_sources": [names.competition],
        "kernel_sources": [], "model_sources": model, "docker_image_pinning_type": "original",
    }  # fmt: skip
