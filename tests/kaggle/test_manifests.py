"""Files held against the manifest that came with them."""

from __future__ import annotations

from pathlib import Path

from submission.kaggle.install import WHEELS_MANIFEST
from submission.kaggle.manifests import manifest_mismatches
from tests.support.kaggle_inputs import wheelhouse


def test_files_are_held_against_their_manifest(tmp_path: Path) -> None:
    wheel = wheelhouse(tmp_path)
    assert manifest_mismatches(tmp_path, WHEELS_MANIFEST) == []
    assert manifest_mismatches(tmp_path, "no_manifest.json") == []
    wheel.write_bytes(wheel.read_bytes() + b"x")
    assert "is not the file" in manifest_mismatches(tmp_path, WHEELS_MANIFEST)[0]
    wheel.unlink()
    assert "is missing" in manifest_mismatches(tmp_path, WHEELS_MANIFEST)[0]
