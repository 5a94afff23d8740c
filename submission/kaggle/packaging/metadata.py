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
"""The competition of a bundle by default: the one line to change when the next season has a name."""

NO_COMPETITION = "none"
"""In the place of a competition: the notebook has no competition, but the public tasks that come with the code."""

CLOSED = {
    "arc-prize-2024": "in November 2024", "arc-prize-2025": "on 3 November 2025",
    "arc-prize-2026-arc-agi-2": "on 2 November 2026",
}  # fmt: skip
"""Competition -> when it closed. A late submission gets a score there, where Kaggle allows it, but no place."""

LICENCES = (
    "Apache 2.0", "MIT", "BSD-3-Clause", "CC0: Public Domain", "GPL 2", "GPL 3",
    "GNU Affero General Public License 3.0", "GNU Free Documentation License 1.3",
    "GNU Lesser General Public License 3.0", "Attribution 3.0 IGO (CC BY 3.0 IGO)",
    "Attribution 3.0 Unported (CC BY 3.0)", "Attribution 4.0 International (CC BY 4.0)",
    "Attribution-NoDerivatives 4.0 International (CC BY-ND 4.0)",
    "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)",
    "Attribution-NonCommercial-NoDerivatives 4.0 International (CC BY-NC-ND 4.0)",
    "Attribution-NonCommercial-ShareAlike 3.0 IGO (CC BY-NC-SA 3.0 IGO)", "CC BY-NC-SA 4.0", "CC BY-SA 3.0",
    "CC BY-SA 4.0", "Community Data License Agreement - Permissive - Version 1.0",
    "Community Data License Agreement - Sharing - Version 1.0", "ODC Attribution License (ODC-By)",
    "ODC Public Domain Dedication and Licence (PDDL)",
)  # fmt: skip
"""Kaggle's names for the licence of a model (Kaggle CLI, docs/models_metadata.md). Its client sends any name."""

FRAMEWORK = "Transformers"
VARIATION = "default"

OWNER = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""What an owner and a slug must match as a whole. The client's patterns end with $, which lets a line break through."""

PUBLISHED = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){3}/[1-9][0-9]{0,5}")
"""What the handle of a published model's version must match: owner/model/framework/variation/version. Kaggle's client
asks for five parts and a whole number (`validate_model_instance_version_string`); older slugs have underscores."""

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
    accelerator: str = "none"
    model_version: int | None = None
    """The version of the attached model; None for the embedded one."""
    licence: str = ""
    """The licence of an uploaded model, by Kaggle's name; "" without one."""
    model_source: str | None = None
    """The handle of a model that is on Kaggle already, owner/model/framework/variation/version: it is attached, and
    the bundle holds none."""

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
        if self.competition == NO_COMPETITION and self.accelerator == "l4x4":
            raise BadInput("--accelerator l4x4: only participants of a competition get L4 x4, take t4x2 or none")
        if self.model_source is not None and not PUBLISHED.fullmatch(self.model_source):
            raise BadInput(
                f"--model-source {self.model_source!r}: expected owner/model/framework/variation/version, as the page "
                "of the model on Kaggle shows it for its use in a notebook"
            )
        if self.model_source is not None and self.model_version is not None:
            raise BadInput("--model-source names a model that is on Kaggle, --model one to upload: give one of them")
        if self.model_version is not None and self.model_version < 1:
            raise BadInput("--model-version: the first version is 1")
        if attached_model(self) is not None and self.accelerator == "none":
            raise BadInput("--accelerator none: an attached model needs a GPU, take l4x4 or t4x2")
        if self.model_version is not None and self.licence not in LICENCES:
            raise BadInput(
                (f"--license {self.licence!r}: " if self.licence else "--license is needed: ")
                + f"name the licence under which the weights were published (their model "
                f"card has it), by Kaggle's name, one of: {'; '.join(LICENCES)}"
            )

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


def attached_model(names: Names) -> str | None:
    """The handle of the model version that the notebook attaches; None for the embedded model, which is in the code."""
    if names.model_source is not None:
        return names.model_source
    return None if names.model_version is None else f"{names.model}/{names.model_version}"


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
    """kernel-metadata.json: internet off, and the GPU by name, as `enable_gpu` alone leaves it to Kaggle.

    The image is pinned to the one of the first push, so that commit run and scored rerun have the same.
    """
    model = attached_model(names)
    competition = [] if names.competition == NO_COMPETITION else [names.competition]
    shape = ACCELERATORS[names.accelerator]
    gpu = {"machine_shape": shape, "keywords": ["gpu"]} if shape else {"keywords": []}
    return {
        "id": names.notebook, "title": names.name, "code_file": f"{names.name}.ipynb", "language": "python",
        "kernel_type": "notebook", "is_private": True, "enable_gpu": bool(shape), "enable_tpu": False,
        "enable_internet": False, **gpu, "dataset_sources": [names.code, names.wheels],
        "competition_sources": competition, "kernel_sources": [], "model_sources": [] if model is None else [model],
        "docker_image_pinning_type": "original",
    }  # fmt: skip
