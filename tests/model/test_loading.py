"""A checkpoint in memory: in four bits, in its own layout; one with something wrong is refused in a sentence."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

import submission
from submission.arc.tasks import Task
from submission.checkpoint.checkpoint import read_checkpoint
from submission.config import Model, Search
from submission.errors import BadInput
from submission.model.loading import from_unsloth, is_of_memory, load_base, with_fused_norms
from tests.support.checkpoints import config_of, hollow
from tests.support.engines import ADAPT, engine, loaded, logits
from tests.support.families import FAMILIES, miniature


def test_four_bits_cost_little(tiny_grid_model: Path, small_task: Task) -> None:
    exact = loaded(tiny_grid_model, Model(device="cpu", four_bit=False), ADAPT, Search())
    rounded = engine(tiny_grid_model)
    difference = (logits(exact, small_task) - logits(rounded, small_task)).norm() / logits(exact, small_task).norm()
    assert 0 < difference < 0.25


def test_a_checkpoint_is_the_same_after_inference(tiny_grid_model: Path, small_task: Task) -> None:
    model = engine(tiny_grid_model)
    kept = {name: p.clone() for name, p in model.model.state_dict().items()}
    logits(model, small_task)
    assert all(torch.equal(p, kept[name]) for name, p in model.model.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_fused_norms_say_the_same(family: str, dtype: torch.dtype, tmp_path: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(miniature(tmp_path, family), dtype=dtype)
    ids = torch.arange(16)[None]
    theirs = base(ids).logits
    with_fused_norms(base)
    assert sum("forward" in module.__dict__ for module in base.modules()) >= 5, "two of each block, and the last"
    tolerance = 1e-5 if dtype is torch.float32 else 0.05
    torch.testing.assert_close(base(ids).logits, theirs, atol=tolerance, rtol=tolerance)


def test_a_folder_without_a_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"there is no config\.json"):
        engine(tmp_path)


def test_weights_that_are_cut_short_or_missing_are_refused_in_a_sentence(tmp_path: Path) -> None:
    cut = miniature(tmp_path / "cut", "llama-3.1") / "model.safetensors"
    cut.write_bytes(cut.read_bytes()[:-64])
    with pytest.raises(BadInput, match=r"model\.safetensors: is cut short: 64 bytes are missing"):
        engine(tmp_path / "cut")
    less = miniature(tmp_path / "less", "llama-3.1") / "model.safetensors"
    tensors = load_file(less)
    del tensors["model.layers.1.self_attn.q_proj.weight"]
    save_file(tensors, less, {"format": "pt"})
    with pytest.raises(BadInput, match=r"1 tensor \(model\.layers\.1\.self_attn\.q_proj\.weight\) is not in its files"):
        engine(tmp_path / "less")
    none = miniature(tmp_path / "none", "llama-3.1")
    (none / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="the weights are missing"):
        engine(none)


def test_what_only_the_library_finds_is_a_sentence_too(tmp_path: Path) -> None:
    """Keys that no reader foresees: one line, whatever kind of error the library raises."""
    for number, more in enumerate(({"num_labels": "x"}, {"to_dict": "x"}, {"per_layer_config": 3})):
        folder = hollow(tmp_path / str(number), config_of())
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | more))
        with pytest.raises(BadInput, match=str(folder)) as refused:
            load_base(folder, Model(device="cpu"), "cpu")
        assert "\n" not in str(refused.value)


def test_errors_of_memory_are_no_judgement_of_the_folder() -> None:
    cpu = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
    assert is_of_memory(cpu) and is_of_memory(RuntimeError("CUDA error: out of memory"))
    assert not is_of_memory(RuntimeError("Error(s) in loading state_dict")) and not is_of_memory(ValueError("memory"))


def test_null_is_no_quantization(tmp_path: Path) -> None:
    folder = miniature(tmp_path, "llama-3.1")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": None}))
    four_bit = [m for m in load_base(folder, Model(device="cpu"), "cpu").modules() if isinstance(m, Linear4bit)]
    assert len(four_bit) == 14


FOREIGN = {"trust_remote_code": "False", "use_safetensors": "True"}
"""The words that every call of from_pretrained says: no code of others, no pickles."""


def test_no_door_runs_foreign_code_or_reads_pickles() -> None:
    package = Path(submission.__file__).parent
    calls = [
        (path.name, node)
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "from_pretrained"
    ]
    assert calls
    for name, call in calls:
        assert isinstance(call.func, ast.Attribute)
        words = {each.arg: ast.unparse(each.value) for each in call.keywords}
        weights = ast.unparse(call.func.value) != "AutoConfig"
        wanted = FOREIGN if weights else {"trust_remote_code": "False"}
        assert None in words or wanted.items() <= words.items(), f"{name} line {call.lineno}"
    options = (package / "model" / "loading.py").read_text(encoding="utf-8")
    assert '"use_safetensors": True' in options and '"trust_remote_code": False' in options


def test_unsloth_is_refused_where_it_cannot_be(tmp_path: Path) -> None:
    folder = miniature(tmp_path, "llama-3.1")
    with pytest.raises(BadInput, match="needs a CUDA GPU"):
        loaded(folder, Model(device="cpu", backend="unsloth"), ADAPT, Search())
    with pytest.raises(BadInput, match="cannot be imported here"):
        from_unsloth(read_checkpoint(folder), None, Model(backend="unsloth"), "cuda")
