"""The names of the uploads on Kaggle, and their metadata files.

The rules for names are those of Kaggle's own client, version 2.2.5 (kaggle/api/kaggle_api_extended.py):
`_validate_slug_syntax` for an owner and for a slug; a data set's slug and title have 6 to 50 characters
(`dataset_create_new`), a notebook's slug and title at least 5 (`validate_kernel_string`, `kernels_push`); a title that
makes another slug than the one in the id is a conflict. The client bounds no owner and no notebook from above; the
notebook's bound follows from its data sets, whose slugs begin with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from submission.errors import BadInput
from submission.kaggle.packaging.image import ACCELERATORS

COMPETITION = "arc-prize-2026-arc-agi-2"
FRAMEWORK = "Transformers"
VARIATION = "default"

OWNER = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""What an owner and a slug must match as a whole. The client's patterns end with $, which lets a line break through."""

CODE_SUFFIX, WHEELS_SUFFIX, MODEL_SUFFIX = "-code", "-wheels", "-model"
"""What the slugs of data sets and model add to the notebook's."""

SHORTEST_NOTEBOOK = 5
DATASET_LENGTHS = (6, 50)
"""Characters of a slug and a title: a notebook has at least, a data set at least and at most."""

NAME_LENGTHS = (
    max(SHORTEST_NOTEBOOK, DATASET_LENGTHS[0] - len(CODE_SUFFIX)),
    DATASET_LENGTHS[1] - len(WHEELS_SUFFIX),
)
"""Characters of a bundle's name, at least and at most."""


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
        if not OWNER.fullmatch(self.owner):
            raise BadInput(
                f"--owner {self.owner!r}: expected lower-case letters and digits, with single '-' or '_' between them, "
                "as in the URL of the profile"
            )
        for what, value in (("--name", self.name), ("--competition", self.competition)):
            if not SLUG.fullmatch(value):
                raise BadInput(
                    f"{what} {value!r}: expected lower-case letters and digits, with single '-' between them, "
                    "as in a URL of Kaggle"
                )
        least, most = NAME_LENGTHS
        if not least <= len(self.name) <= most:
            raise BadInput(
                f"--name {self.name!r}: expected {least} to {most} characters "
                f"(Kaggle takes {DATASET_LENGTHS[1]}, {WHEELS_SUFFIX!r} is added)"
            )
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
        return f"{self.notebook}{CODE_SUFFIX}"

    @property
    def wheels(self) -> str:
        """The id of the data set of the wheels."""
        return f"{self.notebook}{WHEELS_SUFFIX}"

    @property
    def model(self) -> str:
        """The handle of the model's variation: owner/model/framework/variation."""
        return f"{self.notebook}{MODEL_SUFFIX}/{FRAMEWORK}/{VARIATION}"


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
