"""Files held against the manifest that came with them, and weights against their own headers."""

from __future__ import annotations

from pathlib import Path

import pytest

from submission.config import EMBEDDED
from submission.errors import BadInput
from submission.kaggle.install import WHEELS_MANIFEST
from submission.kaggle.manifests import manifest_mismatches, require_complete_weights
from tests.support.kaggle_inputs import weights, wheelhouse


def test_weights_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    weights(path)
    require_complete_weights(tmp_path)
    content = path.read_bytes()
    for cut in (content[:-1], content[:20], content[:4], b""):
        path.write_bytes(cut)
        with pytest.raises(BadInput, match=r"model\.safetensors: is cut short.* upload the model again"):
            require_complete_weights(tmp_path)
    require_complete_weights(EMBEDDED)


def test_files_are_held_against_their_manifest(tmp_path: Path) -> None:
    wheel = wheelhouse(tmp_path)
    assert manifest_mismatches(tmp_path, WHEELS_MANIFEST) == []
    assert manifest_mismatches(tmp_path, "no_manifest.json") == []
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert "is not the file" in manifest_mismatches(tmp_path, WHEELS_MANIFEST)[0]
    wheel.unlink()
    assert "is missing" in manifest_mismatches(tmp_path, WHEELS_MANIFEST)[0]
