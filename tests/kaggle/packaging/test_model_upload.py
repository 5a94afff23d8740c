"""A model made ready for upload: safetensors only, with a manifest; what is none is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import build
from submission.checkpoint.checkpoint import read_checkpoint
from submission.errors import BadInput
from submission.kaggle.manifests import MODEL_MANIFEST, manifest_mismatches
from submission.kaggle.packaging.bundle import bundle
from submission.kaggle.packaging.image import Profile
from submission.kaggle.packaging.model_upload import prepared_model, require_safetensors
from tests.support.checkpoints import in_shards, write_weights
from tests.support.kaggle_inputs import NAMES


def test_a_model_that_is_ready_has_safetensors_only_and_a_manifest(ready: Path) -> None:
    assert sorted(path.name for path in ready.iterdir()) == [
        "config.json", "manifest.json", "model.safetensors", "tokenizer.json",
    ]  # fmt: skip
    assert manifest_mismatches(ready, MODEL_MANIFEST) == []


def test_a_model_that_was_not_made_ready_or_was_changed_since_is_not_bundled(
    model: Path, ready: Path, home: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=r"run `python build\.py model"):
        bundle(NAMES, tmp_path / "out", Profile("native", home), None, model)
    other = shutil.copytree(ready, tmp_path / "other")
    config = other / "config.json"
    config.write_text(config.read_text() + " ")
    with pytest.raises(BadInput, match="is not the file"):
        bundle(NAMES, tmp_path / "out", Profile("native", home), None, other)


def test_what_is_no_whole_model_in_safetensors_is_refused(model: Path, tmp_path: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(BadInput, match=words):
            prepared_model(str(tmp_path / "m"), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused("no config.json")
    (tmp_path / "m").mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        shutil.copyfile(model / name, tmp_path / "m" / name)
    refused(r"pickled weights \(pytorch_model\.bin\) are not taken")
    (tmp_path / "m" / "model.safetensors").write_bytes((model / "model.safetensors").read_bytes()[:-1])
    refused("upload the model again")
    (tmp_path / "m" / "model.safetensors").unlink()
    (tmp_path / "m" / "model.safetensors.index.json").write_text(
        '{"metadata": {}, "weight_map": {"w": "model-2.safetensors"}}'
    )
    refused(r"model-2\.safetensors: is missing, but model\.safetensors\.index\.json names it")


def test_the_weights_alone_are_copied_with_the_index_that_names_them(tmp_path: Path) -> None:
    source = in_shards(tmp_path / "m")
    for left in ("model-3-of-9.safetensors", "consolidated.safetensors"):
        write_weights(source / left, {"w": ("F32", (4,))})
    out = prepared_model(str(source), tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json", "manifest.json", "model-1-of-2.safetensors", "model-2-of-2.safetensors",
        "model.safetensors.index.json",
    ]  # fmt: skip
    assert read_checkpoint(out).weights.index is not None


def test_a_model_on_the_hub_needs_a_network_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert build.main(["model", "hf:someone/something", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "someone/something could not be downloaded" in told
    assert len(told.splitlines()) == 1


def test_a_repository_without_safetensors_is_refused_with_the_way_to_convert_it() -> None:
    require_safetensors("a/b", ["config.json", "model-00001-of-00002.safetensors", "pytorch_model.bin"])
    # The files of the TTT paper's Llama-3 8B.
    shards = [f"pytorch_model-000{k}-of-0004.bin" for k in (2, 1, 3, 4)]
    with pytest.raises(BadInput, match=r"pickled weights \(pytorch_model-0001-of-0004.bin\).*hf download a/b"):
        require_safetensors("a/b", [".gitattributes", "README.md", "config.json", *shards, "tokenizer.model"])
    with pytest.raises(BadInput, match="no \\*.safetensors among its 1 files"):
        require_safetensors("a/b", ["README.md"])


@pytest.mark.slow
def test_a_model_is_quantized_on_request(tiny_grid_model: Path, tmp_path: Path) -> None:
    out = prepared_model(str(tiny_grid_model), tmp_path / "out", quantize=True)
    config = json.loads((out / "config.json").read_text())
    assert config["quantization_config"]["bnb_4bit_quant_type"] == "nf4"
    assert manifest_mismatches(out, MODEL_MANIFEST) == []
