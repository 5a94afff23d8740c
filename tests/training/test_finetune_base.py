"""Initial fine-tuning of a large base, on stock architectures with random weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from submission.arc.layouts import CHAT16
from submission.checkpoint.layout import layout_of
from submission.config import Adapt, Model, Search
from submission.errors import BadInput
from submission.model.loading import load_base
from submission.model.lora import with_adapter
from submission.model.unsloth_kernels import TrainingKernels
from submission.model.vocabulary import CHAT16_WORDS, chat16_ids, trainable_base
from submission.training.corpus import Corpus
from submission.training.finetune_base import Guarded, finetune_base
from submission.training.loop import Learner
from submission.training.settings import FineTuning, TrainingFailed
from tests.support.checkpoints import NF4, config_of, hollow, in_nf4, tensors_of
from tests.support.engines import loaded
from tests.support.plain_kernels import plain_kernels

SMALL = FineTuning(
    steps=120, tokens=1024, limit=100, warmup=3, rank=8, rate=2e-3, other_rate=1e-2, new_rules=0.0,
    checkpointing="off", dtype="float32",  # the type that every machine is fast enough in
)  # fmt: skip


def logits(folder: Path, four_bit: bool) -> torch.Tensor:
    engine = loaded(folder, Model(device="cpu", four_bit=four_bit), Adapt(rank=0), Search())
    with torch.no_grad():
        found: torch.Tensor = engine.model(torch.arange(16)[None]).logits
    return found


@pytest.mark.parametrize("four_bit", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_base_learns_and_is_saved_merged_and_in_four_bits(
    tiny_line_model: Path, tmp_path: Path, copying: Corpus, four_bit: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    loss = finetune_base(replace(SMALL, four_bit=four_bit), lambda: copying, tiny_line_model, tmp_path)
    assert loss < 0.3, "it has learned to copy; a random model is near ln 16 = 2.77"
    told = json.loads((tmp_path / "merged" / "training.json").read_text())
    assert told["steps"] == 120
    assert told["held_out_loss_before"] > 2 > 0.3 > told["held_out_loss"]
    assert layout_of(tmp_path / "merged") == layout_of(tmp_path / "nf4") == CHAT16
    assert not (tmp_path / "base16").exists()
    merged = logits(tmp_path / "merged", four_bit=False)
    quantized = logits(tmp_path / "merged", four_bit=True)
    assert torch.equal(logits(tmp_path / "nf4", four_bit=True), quantized), "nf4 is the merged model in four bits"
    assert 0 < (merged - quantized).abs().mean() < 0.5 * merged.std()


@pytest.mark.slow
@pytest.mark.parametrize("four_bit", [True, False])
def test_a_base_learns_in_bfloat16_as_well(
    tiny_line_model: Path, tmp_path: Path, copying: Corpus, four_bit: bool
) -> None:
    in_bfloat16 = replace(SMALL, dtype="bfloat16", four_bit=four_bit)
    assert finetune_base(in_bfloat16, lambda: copying, tiny_line_model, tmp_path) < 0.35
    assert json.loads((tmp_path / "merged" / "training.json").read_text())["products"] == "bfloat16"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("four_bit", [True, False])
def test_a_gpu_learns_as_the_cpu_does(tiny_line_model: Path, tmp_path: Path, copying: Corpus, four_bit: bool) -> None:
    on_gpu = replace(SMALL, device="cuda", checkpointing="on", four_bit=four_bit)
    assert finetune_base(on_gpu, lambda: copying, tiny_line_model, tmp_path) < 0.3


@pytest.mark.slow
def test_a_training_goes_on_from_its_checkpoint(tiny_line_model: Path, tmp_path: Path, copying: Corpus) -> None:
    with pytest.raises(BadInput, match="nothing to resume"):
        finetune_base(SMALL, lambda: copying, tiny_line_model, tmp_path, resume=True)
    first = finetune_base(replace(SMALL, steps=40), lambda: copying, tiny_line_model, tmp_path)
    with pytest.raises(BadInput, match="--resume goes on"):
        finetune_base(SMALL, lambda: copying, tiny_line_model, tmp_path)
    with pytest.raises(BadInput, match="another --rank"):
        finetune_base(replace(SMALL, rank=4), lambda: copying, tiny_line_model, tmp_path, resume=True)
    again = finetune_base(replace(SMALL, steps=80), lambda: copying, tiny_line_model, tmp_path, resume=True)
    assert again < first
    told = json.loads((tmp_path / "merged" / "training.json").read_text())
    assert 80 < told["steps"] < 120, "the anneal of the first call was not kept"


def test_a_training_that_fails_ends_in_a_sentence_and_leaves_nothing_in_the_way(
    tiny_line_model: Path, tmp_path: Path, copying: Corpus
) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_line_model)
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    shutil.copytree(tiny_line_model, tmp_path / "base")
    model.save_pretrained(tmp_path / "base")
    wild = replace(SMALL, rate=1e30, other_rate=1e30)
    failing: list[tuple[Path, FineTuning, type[Exception], str]] = [
        (tmp_path / "base", SMALL, BadInput, "NaN or infinity in 1 tensor"),
        (tiny_line_model, wild, TrainingFailed, "10 steps in a row"),
        (tiny_line_model, replace(wild, steps=1, anneal=0.1), TrainingFailed, "are not finite in 16 bits"),
    ]
    for base, settings, error, told in failing:
        with pytest.raises(error, match=told):
            finetune_base(settings, lambda: copying, base, tmp_path / "out")
        assert not any((tmp_path / "out").iterdir()), "a training can begin there"


@pytest.mark.slow
def test_the_merged_model_is_the_adapted_one(tiny_line_model: Path, tmp_path: Path, copying: Corpus) -> None:
    """Its held-out loss, read from disk in 16 bits, is what training ended with in 16 bits."""
    from submission.training.evaluation import evaluate, evaluation_rows

    loss = finetune_base(replace(SMALL, four_bit=False), lambda: copying, tiny_line_model, tmp_path)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert evaluate(merged, evaluation_rows(copying.held_out, 100, CHAT16), CHAT16).loss == pytest.approx(
        loss, rel=0.03
    )


@pytest.fixture(params=[True, False], ids=["tied", "untied"])
def wordy(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A Llama with a vocabulary of words, head and embeddings tied or not, and its tokenizer."""
    words = [f"word{k}" for k in range(40)] + [names[-1] for names in reversed(CHAT16_WORDS)]
    tokenizer = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token="word0"))
    config = AutoConfig.for_model(
        "llama", vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=request.param,
    )  # fmt: skip
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(tmp_path / "wordy")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path / "wordy")
    return tmp_path / "wordy"


def test_a_cut_vocabulary_says_the_same_of_the_tokens_that_are_left(wordy: Path, tmp_path: Path) -> None:
    trainable_base(wordy, tmp_path / "cut")
    kept = torch.tensor(chat16_ids(wordy, 56))
    assert len(set(kept.tolist())) == 16
    whole = AutoModelForCausalLM.from_pretrained(wordy)
    small = AutoModelForCausalLM.from_pretrained(tmp_path / "cut")
    ids = torch.arange(16)[None]
    with torch.no_grad():
        assert torch.equal(small(ids).logits, whole(kept[ids]).logits[..., kept])
    assert small.config.vocab_size == 16
    assert small.get_input_embeddings().weight is not small.get_output_embeddings().weight


def test_a_vocabulary_without_what_is_needed_is_refused(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({str(k): k for k in range(10)} | {"\n": 10}, unk_token="0"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(BadInput, match="none of 'user'"):
        chat16_ids(tmp_path, 16)


def test_a_tokenizer_that_is_not_there_is_refused(tiny_line_model: Path) -> None:
    with pytest.raises(BadInput, match=r"has no tokenizer\.json"):
        chat16_ids(tiny_line_model, 16)


def test_a_base_that_is_quantized_already_is_refused(tiny_line_model: Path, tmp_path: Path, copying: Corpus) -> None:
    finetune_base(replace(SMALL, steps=1), lambda: copying, tiny_line_model, tmp_path)
    with pytest.raises(BadInput, match="quantized already"):
        trainable_base(tmp_path / "nf4", tmp_path / "again")
    with pytest.raises(BadInput, match="nothing is overwritten"):
        finetune_base(SMALL, lambda: copying, tiny_line_model, tmp_path)
    with pytest.raises(BadInput, match=r"no config\.json"):
        finetune_base(SMALL, lambda: copying, tmp_path / "nowhere", tmp_path / "out")


def test_kernels_that_cannot_be_had_are_told_before_the_corpus_is_read(
    tiny_line_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never() -> Corpus:
        raise AssertionError("the corpus was read")

    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(BadInput, match="model.backend=unsloth needs a CUDA GPU"):
        finetune_base(replace(SMALL, backend="unsloth"), never, tiny_line_model, tmp_path)


def test_a_kernel_that_fails_in_a_step_costs_nothing(tiny_line_model: Path) -> None:
    """From the second step on one raises in the backward pass: that step, and all others, are native ones."""
    steps = 3
    kernels = plain_kernels()

    def norm(module: Any, x: torch.Tensor) -> torch.Tensor:
        result = kernels.norm(module, x)
        if len(losses[1]) == 1 and result.requires_grad:
            result.register_hook(raising)
        return result

    def raising(gradient: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no kernel image")

    losses: list[list[float]] = [[], []]
    ids = torch.arange(12)[None] % 10
    batch = ids, torch.ones_like(ids, dtype=torch.bool), torch.arange(12)[None, None], 12
    for k in range(2):
        base = load_base(tiny_line_model, Model(device="cpu"), "cpu")
        model = with_adapter(base, Adapt(rank=4), 0).train()
        optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2)
        learner = Learner(model, [optimizer], torch.float32)
        if k == 1:
            on = TrainingKernels(model, base, replace(kernels, norm=norm))
            learner = Guarded(model, [optimizer], torch.float32, kernels=on)
        for _ in range(steps):
            losses[k].append(learner.step(batch, "cpu"))
    assert not on.on
    assert losses[1] == pytest.approx(losses[0], rel=1e-5) and losses[1][2] < losses[1][0]


def test_a_base_is_judged_whole_before_the_corpus_is_read(tmp_path: Path) -> None:
    def never() -> Corpus:
        raise AssertionError("the corpus was read")

    hollow(tmp_path / "mute", config_of(vocab_size=40))
    in_four_bits = config_of(quantization_config=NF4)
    hollow(tmp_path / "nf4", in_four_bits, in_nf4(tensors_of(config_of())))
    hollow(tmp_path / "odd", config_of(), tensors_of(config_of(attention_bias=True)))
    for name, told in (("mute", "tokenizer|vocabulary"), ("nf4", "quantized already"), ("odd", "no place in a llama")):
        with pytest.raises(BadInput, match=told):
            finetune_base(SMALL, never, tmp_path / name, tmp_path / "out")
        assert not (tmp_path / "out").exists()
