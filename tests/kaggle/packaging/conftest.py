"""A profile of one small wheel, a small model, and a whole bundle of both."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from submission.kaggle.manifests import sha256
from submission.kaggle.packaging.bundle import bundle
from submission.kaggle.packaging.image import OFFLINE_WHEELS, Profile
from submission.kaggle.packaging.model_upload import prepared_model
from tests.support.checkpoints import hollow, write_weights
from tests.support.kaggle_inputs import NAMES_WITH_MODEL, wheelhouse


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the place of offline_wheels/: a profile "native" of one small wheel, locked and downloaded."""
    folder = tmp_path_factory.mktemp("home")
    wheel = wheelhouse(folder / "made")
    (folder / "native").mkdir()
    shutil.copyfile(wheel, folder / "native" / wheel.name)
    (folder / "native.lock").write_text(f"small-thing==1.0 --hash=sha256:{sha256(wheel)}\n")
    shutil.copyfile(OFFLINE_WHEELS / "image.txt", folder / "image.txt")
    return folder


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model folder, with things in it that must not travel."""
    folder = hollow(tmp_path_factory.mktemp("model"))
    (folder / "tokenizer.json").write_text("{}\n")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    (folder / "modeling_own.py").write_text("print('code')\n")
    write_weights(folder / "consolidated.safetensors", {"tok_embeddings.weight": ("BF16", (16, 64))})
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1-of-9.safetensors"}}')
    return folder


@pytest.fixture(scope="session")
def ready(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, made ready."""
    return prepared_model(str(model), tmp_path_factory.mktemp("ready") / "model")


@pytest.fixture(scope="session")
def made(home: Path, ready: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle with a model."""
    out = tmp_path_factory.mktemp("made") / "bundle"
    bundle(NAMES_WITH_MODEL, out, Profile("native", home), None, ready)
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A bundle to spoil."""
    return Path(shutil.copytree(made, tmp_path / "bundle"))
