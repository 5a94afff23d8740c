"""A checkpoint in memory: in four bits, in its own layout; one with something wrong is refused in a sentence."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from bitsandbytes.nn import Linear4bit
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

import submission
from submission.arc.layouts import CHAT16
from submission.arc.prompts import row
from submission.arc.tasks import Task, grid
from submission.config import Model, Search
from submission.deadline import NEVER
from submission.errors import BadInput
from submission.inference.test_time_training import backward
from submission.model.attention import attends_by_row
from submission.model.loading import (
    is_of_memory,
    load_base,
    sum_in_float32,
)
from submission.model.modules import with_fused_norms, without_dropout
from tests.support.checkpoints import config_of, hollow, written
from tests.support.engines import ADAPT, engine, loaded, logits, questions, scored
from tests.support.families import FAMILIES, miniature, packed


def test_four_bits_cost_little(tiny_grid_model: Path, small_task: Task) -> None:
    exact = loaded(tiny_grid_model, Model(device="cpu", four_bit=False), ADAPT, Search())
    rounded = engine(tiny_grid_model)
    difference = (logits(exact, small_task) - logits(rounded, small_task)).norm() / logits(exact, small_task).norm()
    assert 0 < difference < 0.25


@pytest.mark.usefixtures("reduced_sums")
def test_on_a_cpu_the_sums_of_a_gpu_are_left_as_they_are(tiny_grid_model: Path) -> None:
    """Those of float16 on a GPU are in `tests/inference/test_pretended_gpu.py`."""
    load_base(tiny_grid_model, Model(dtype="float16"), "cpu")
    assert torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
    sum_in_float32()
    assert not torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction


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


def test_keys_that_were_not_judged_do_not_get_to_the_library(tmp_path: Path) -> None:
    """transformers takes any key for an attribute of its own: some would break it, or have it read other files."""
    for number, more in enumerate(({"num_labels": "x"}, {"to_dict": "x"}, {"get_text_config": 3}, {"generator": {}})):
        folder = hollow(tmp_path / str(number), config_of())
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | more))
        assert load_base(folder, Model(device="cpu", four_bit=False), "cpu").config.vocab_size == config["vocab_size"]


def test_other_weights_that_a_config_names_are_not_taken_in_silence(tmp_path: Path) -> None:
    folder = hollow(tmp_path / "model", config_of())
    (folder / "config.json").write_text(json.dumps(config_of(transformers_weights="other.safetensors")))
    shutil.copyfile(folder / "model.safetensors", folder / "other.safetensors")
    with pytest.raises(BadInput, match="names other files of weights"):
        load_base(folder, Model(device="cpu"), "cpu")


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


DTYPES: tuple[Literal["float32", "bfloat16", "float16"], ...] = ("float32", "bfloat16", "float16")

STORAGES = ("uint8", "bfloat16", "float16", "float32")
"""The types that bitsandbytes packs 4-bit weights into."""


def logits_of(model: Any) -> torch.Tensor:
    """Logits of all ids of a vocabulary of 16, in order."""
    with torch.no_grad():
        found: torch.Tensor = model(torch.arange(16)[None]).logits
    return found


@pytest.mark.parametrize("family", ["llama-3.1", "qwen3"])
def test_packed_weights_mean_the_same_in_every_type_that_they_are_stored_in(family: str, tmp_path: Path) -> None:
    source = miniature(tmp_path / "source", family)
    folders = {storage: packed(source, tmp_path / storage, storage) for storage in STORAGES}
    for storage, folder in folders.items():
        file = load_file(folder / "model.safetensors")
        assert str(file["model.layers.0.mlp.up_proj.weight"].dtype) == f"torch.{storage}", "as it should be saved"
    bare = tmp_path / "bare"
    shutil.copytree(folders["bfloat16"], bare)
    config = json.loads((bare / "config.json").read_text())
    del config["quantization_config"]["bnb_4bit_quant_storage"]
    (bare / "config.json").write_text(json.dumps(config))
    folders["not told"] = bare
    for dtype in DTYPES:
        loaded_once = {name: load_base(folder, Model(dtype=dtype), "cpu") for name, folder in folders.items()}
        expected = logits_of(loaded_once["uint8"])
        for name, model in loaded_once.items():
            assert torch.equal(logits_of(model), expected), (dtype, name)
            assert all(m.weight.dtype is torch.uint8 for m in model.modules() if isinstance(m, Linear4bit))


@pytest.mark.parametrize("storage", STORAGES[1:])
def test_a_task_is_trained_and_searched_the_same_whatever_the_storage(
    storage: str, tmp_path: Path, small_task: Task
) -> None:
    source = miniature(tmp_path / "source", "llama-3.1")
    found = []
    for each in ("uint8", storage):
        model = loaded(packed(source, tmp_path / each, each), Model(device="cpu", dtype="float16"), ADAPT, Search())
        fit = model.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 8, NEVER, seed=0)
        scores = scored(model, questions(small_task, CHAT16), [grid([[1, 2]]), grid([[3]])], 2, NEVER)
        found.append((fit.losses, scores.tolist(), [p.tolist() for p in model._adapter]))
    assert found[0] == found[1]


def test_weights_packed_into_several_types_are_refused(tmp_path: Path) -> None:
    source = miniature(tmp_path / "source", "llama-3.1")
    one, other = (packed(source, tmp_path / each, each) / "model.safetensors" for each in ("uint8", "float32"))
    name = "model.layers.0.mlp.up_proj.weight"
    save_file(load_file(one) | {name: load_file(other)[name]}, one, {"format": "pt"})
    with pytest.raises(BadInput, match="packed into F32, U8"):
        load_base(one.parent, Model(), "cpu")


MIXED = {
    "two modules of unsloth's dynamic kind": (["lm_head", "model.layers.0.mlp", "model.layers.1.self_attn.o_proj"], 10),
    "a block": (["lm_head", "model.layers.1"], 7),
    "the head in 4 bits": (["model.layers.0.mlp.down_proj"], 14),
    "the head alone in 16 bits": (["lm_head"], 14),
}
"""Name -> the modules that are left in 16 bits, and how many are in 4 bits."""


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """A matrix as it is after it was quantized to NF4 from bfloat16."""
    codes, state = quantize_4bit(weight.bfloat16(), quant_type="nf4", compress_statistics=True)
    state.dtype = torch.float32
    found: torch.Tensor = dequantize_4bit(codes, state)
    return found


@pytest.mark.parametrize("name", MIXED)
def test_a_checkpoint_of_4_and_16_bits_is_what_its_weights_are(name: str, tmp_path: Path) -> None:
    kept, count = MIXED[name]
    folder = packed(miniature(tmp_path / "source", "llama-3.1"), tmp_path / "mixed", kept=kept)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "source", dtype=torch.float32)
    for path, module in theirs.named_modules():
        if isinstance(module, torch.nn.Linear) and not any(path.startswith(each) for each in kept):
            module.weight.data = rounded(module.weight.data)
    config = json.loads((folder / "config.json").read_text())
    for section in (kept, None, ["lm_head"]):
        config["quantization_config"]["llm_int8_skip_modules"] = section
        (folder / "config.json").write_text(json.dumps(config))
        model = load_base(folder, Model(device="cpu"), "cpu")
        assert sum(isinstance(each, Linear4bit) for each in model.modules()) == count, "whatever the section says"
        torch.testing.assert_close(logits_of(model), logits_of(theirs), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["two modules of unsloth's dynamic kind", "the head in 4 bits"])
def test_a_checkpoint_of_4_and_16_bits_is_trained_searched_and_merged(
    name: str, tmp_path: Path, small_task: Task
) -> None:
    folder = packed(miniature(tmp_path / "source", "llama-3.1"), tmp_path / "mixed", kept=MIXED[name][0])
    asked, answers = questions(small_task, CHAT16)[:1], [grid([[1, 2]]), grid([[3]])]
    found = []
    for megabytes in (0, 1000):
        engine = loaded(folder, Model(device="cpu", dense_megabytes=megabytes), ADAPT, Search(threshold=0.5))
        assert (engine._merged is None) == (megabytes == 0)
        before = scored(engine, asked, answers, 2, NEVER)
        engine.adapt([row(CHAT16, small_task.demonstrations, 4096)] * 8, NEVER, seed=0)
        found.append(scored(engine, asked, answers, 2, NEVER))
        assert not np.allclose(found[-1], before, atol=1e-2)
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in engine._adapter)
        with engine.inference(asked) as inference:
            assert len(inference.propose([0], answers, NEVER, 0, best_paths=False)) == 1
        engine.forget()
        assert np.array_equal(scored(engine, asked, answers, 2, NEVER), before)
    assert np.allclose(*found, atol=1e-4), "merged or not"


ATTENTIONS = ("flash_attention_2", "flex_attention", "eager", "no_such_attention", {"": "sdpa"}, 7, None)


@pytest.mark.parametrize("key", ["_attn_implementation", "attn_implementation"])
def test_the_attention_is_ours_whatever_the_config_asks_for(key: str, tmp_path: Path) -> None:
    folder = miniature(tmp_path, "llama-3.2")
    config = json.loads((folder / "config.json").read_text())
    expected = logits_of(load_base(folder, Model(device="cpu"), "cpu"))
    for value in ATTENTIONS:
        (folder / "config.json").write_text(json.dumps(config | {key: value}))
        model = load_base(folder, Model(device="cpu"), "cpu")
        assert attends_by_row(model) and torch.equal(logits_of(model), expected), value


DROPOUT = {
    "granite": {"attention_dropout": 0.1},
    "llama": {"attention_dropout": 0.5},
    "seed_oss": {"attention_dropout": 0.1, "residual_dropout": 0.3},
}
"""Family -> the dropout that a config asks for."""


@pytest.mark.parametrize(
    "family", [pytest.param(each, marks=[] if each == "granite" else pytest.mark.slow) for each in DROPOUT]
)
def test_dropout_that_a_config_asks_for_is_off(family: str, tmp_path: Path, small_task: Task) -> None:
    rows, other = ([row(CHAT16, small_task.demonstrations, limit)] * 4 for limit in (4096, 60))
    found = []
    for name, options in (("with", DROPOUT[family]), ("without", {})):
        model = engine(written(tmp_path / name, family, **options))
        model.adapt(rows, NEVER, seed=0)
        trained = [p.detach().clone() for p in model._adapter]
        model.forget()
        model.adapt(other, NEVER, seed=1)
        model.forget()
        model.adapt(rows, NEVER, seed=0)
        assert all(map(torch.equal, trained, model._adapter)), "a task does not depend on the one before"
        model.model.zero_grad()
        model.model.train()
        backward(model.model, CHAT16, rows[:1], 4096)
        found.append([*trained, *(p.grad for p in model._adapter)])
    assert all(map(torch.equal, *found)), "as without dropout in the config"


class _Dropping(torch.nn.Module):
    """A module with every kind of dropout that transformers knows."""

    def __init__(self) -> None:
        super().__init__()
        self.config = AutoConfig.for_model("gpt2", embd_pdrop=0.1, resid_pdrop=0.2, attn_pdrop=0.3, layerdrop=0.5)
        self.layers = torch.nn.ModuleList([torch.nn.Dropout(0.4), torch.nn.AlphaDropout(0.2), torch.nn.Dropout2d(0.1)])
        self.hidden_dropout, self.attention_dropout, self.resid_pdrop, self.layerdrop = 0.1, 0.2, 0.3, 1


def test_every_kind_of_dropout_is_known() -> None:
    model = _Dropping()
    without_dropout(model)
    assert [each.p for each in model.layers] == [0, 0, 0]
    assert model.hidden_dropout == model.attention_dropout == model.resid_pdrop == model.layerdrop == 0
    told = model.config
    assert told.embd_pdrop == told.resid_pdrop == told.attn_pdrop == told.layerdrop == 0
    assert told.n_embd == 768


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


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "model.norm.weight"])
@pytest.mark.parametrize(
    "settings", [Model(), Model(four_bit=False), Model(dtype="float16")], ids=["nf4", "dense", "half"]
)
@pytest.mark.parametrize("value", [float("nan"), float("-inf"), 1e38])
def test_weights_that_are_no_finite_numbers_are_refused(
    value: float, settings: Model, name: str, tiny_line_model: Path, tmp_path: Path
) -> None:
    """1e38 is a number in float32, and infinity in float16."""
    folder = shutil.copytree(tiny_line_model, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights = {key: each.float() for key, each in weights.items()}
    weights[name].view(-1)[33] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    if value == 1e38 and settings.dtype != "float16":
        load_base(folder, settings, "cpu")
        return
    with pytest.raises(BadInput, match=f"NaN or infinity in 1 tensor .{name}"):
        load_base(folder, settings, "cpu")
