"""A cut vocabulary: the same logits for what is kept, in every family, and a checkpoint that loads by itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from submission.arc.layouts import CHAT16, Layout, renumbered, vocabulary
from submission.arc.prompts import prompt
from submission.arc.tasks import Task
from submission.checkpoint.layout import layout_of
from submission.cli.commands import main
from submission.config import Model
from submission.errors import BadInput
from submission.model.loading import load_base
from submission.model.vocabulary import CHAT16_WORDS, HEAD, INDEX, chat16_ids, shrink, trainable_base
from tests.support.families import FAMILIES, miniature, packed, tokenizer_of
from tests.support.layouts import sentencepiece_tokenizer

CPU = Model(device="cpu")


def logits(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)(ids[None]).logits[0]
    return found


def asked(layout: Layout, task: Task) -> torch.Tensor:
    return torch.from_numpy(prompt(layout, task.demonstrations, task.tests[0], 10_000).ids)


@pytest.mark.parametrize("layout", ["architects", "numpy"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_of_what_is_kept_are_those_of_the_whole_model(
    family: str, layout: str, tmp_path: Path, small_task: Task
) -> None:
    whole = miniature(tmp_path / "whole", family, layout)
    written = layout_of(whole, layout)
    small = shrink(whole, tmp_path / "small", layout)
    kept = torch.tensor(vocabulary(written))
    before, after = asked(written, small_task), asked(small, small_task)
    assert torch.equal(kept[after], before), "the same text, in new numbers"
    all_of_it, cut = logits(whole, before), logits(tmp_path / "small", after)
    torch.testing.assert_close(cut, all_of_it[:, kept], atol=1e-6, rtol=1e-5)
    assert cut.shape[1] == len(kept) < all_of_it.shape[1]


def test_the_probabilities_of_what_is_kept_are_not(tmp_path: Path, small_task: Task) -> None:
    whole = miniature(tmp_path / "whole", "llama-3.1", "numpy")
    ids = asked(layout_of(whole), small_task)
    small = shrink(whole, tmp_path / "small")
    kept = torch.tensor(vocabulary(layout_of(whole)))
    before = logits(whole, ids).log_softmax(-1)[:, kept]
    after = logits(tmp_path / "small", asked(small, small_task)).log_softmax(-1)
    shared_out = after - before
    assert (shared_out > 0.01).all(), "what the others had is shared out among those that are left"
    torch.testing.assert_close(shared_out, -before.logsumexp(-1, keepdim=True).expand_as(after), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", ["llama-3.1", "llama-3.2"])
def test_tied_ends_stay_tied_and_untied_ends_apart(family: str, tmp_path: Path) -> None:
    shrink(miniature(tmp_path / "whole", family, "architects"), tmp_path / "small", "architects")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "small")
    ends = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert (ends[0] is ends[1]) == FAMILIES[family]["tie_word_embeddings"]
    assert len(ends[0]) == len(ends[1]) == model.config.vocab_size


@pytest.mark.parametrize("layout", ["architects", "numpy"])
def test_a_shrunk_checkpoint_brings_its_layout_and_needs_no_tokenizer(layout: str, tmp_path: Path) -> None:
    small = shrink(miniature(tmp_path / "whole", "minitron", layout), tmp_path / "small", layout)
    assert layout_of(tmp_path / "small") == layout_of(tmp_path / "small", layout) == small
    assert not list((tmp_path / "small").glob("tokenizer*"))
    config = json.loads((tmp_path / "small" / "config.json").read_text())
    assert config["pad_token_id"] == small.pad < config["vocab_size"] == len(vocabulary(small))
    assert config["eos_token_id"] == (small.answer_close[-1])
    other = {"architects": "numpy", "numpy": "architects"}[layout]
    with pytest.raises(BadInput, match=f"made for layout {layout}"):
        layout_of(tmp_path / "small", other)


@pytest.mark.parametrize("family", FAMILIES)
def test_cutting_and_quantizing_go_in_either_order(family: str, tmp_path: Path, small_task: Task) -> None:
    whole = miniature(tmp_path / "whole", family, "architects")
    small = shrink(whole, tmp_path / "small", "architects", nf4=True)
    assert not (tmp_path / "small" / "cut").exists()
    load_base(whole, Model(device="cpu", dtype="bfloat16"), "cpu").save_pretrained(tmp_path / "nf4")
    tokenizer_of("architects").save_pretrained(tmp_path / "nf4")
    assert shrink(tmp_path / "nf4", tmp_path / "later", "architects") == small
    ids = asked(small, small_task)[None]
    with torch.no_grad():
        first, then = (load_base(tmp_path / name, CPU, "cpu")(ids).logits for name in ("small", "later"))
    assert torch.equal(first, then)


def test_a_checkpoint_in_many_files_is_cut_file_by_file(tmp_path: Path, small_task: Task) -> None:
    whole = miniature(tmp_path / "whole", "llama-3.1", "numpy")
    AutoModelForCausalLM.from_pretrained(whole).save_pretrained(tmp_path / "parts", max_shard_size="60KB")
    tokenizer_of("numpy").save_pretrained(tmp_path / "parts")
    files = {path.name for path in (tmp_path / "parts").glob("*.safetensors")}
    assert len(files) > 2
    small = shrink(tmp_path / "parts", tmp_path / "small", "numpy")
    assert shrink(whole, tmp_path / "one", "numpy") == small
    assert {path.name for path in (tmp_path / "small").glob("*.safetensors")} == files
    told = json.loads((tmp_path / "small" / INDEX).read_text())["metadata"]["total_size"]
    assert told < json.loads((tmp_path / "parts" / INDEX).read_text())["metadata"]["total_size"]
    ids = asked(small, small_task)
    assert torch.equal(logits(tmp_path / "small", ids), logits(tmp_path / "one", ids))


def test_the_sixteen_ids_of_chat16_come_from_the_nearest_words(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    whole = miniature(tmp_path / "whole", "qwen3", "numpy")
    words = [f"word{k}" for k in range(40)] + [names[-1] for names in reversed(CHAT16_WORDS)]
    words_of = Tokenizer(WordLevel({word: k for k, word in enumerate(words)}, unk_token="word0"))
    PreTrainedTokenizerFast(tokenizer_object=words_of).save_pretrained(tmp_path / "whole")
    assert shrink(whole, tmp_path / "small", "chat16") is CHAT16
    assert layout_of(tmp_path / "small") is CHAT16
    kept = torch.tensor([len(words) - 1 - k for k in range(16)])
    ids = torch.arange(16)
    cut = logits(tmp_path / "small", ids)
    torch.testing.assert_close(cut, logits(whole, kept[ids])[:, kept], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["prepend", "unigram"])
def test_chat16_finds_its_words_in_a_sentencepiece_vocabulary(kind: str, tmp_path: Path) -> None:
    made = sentencepiece_tokenizer(kind, lacking="7")
    made.add_tokens(["▁assistant", "▁7"])
    made.save(str(tmp_path / "tokenizer.json"))
    ids = made.get_vocab()
    words = [*"0123456", "▁7", *"89", "<0x0A>", "user", "▁assistant", "<unk>", "<s>", "</s>"]
    assert chat16_ids(tmp_path, len(ids)) == [ids[word] for word in words]
    with pytest.raises(BadInput, match=r"'▁7' has the id \d+, but vocab_size in config\.json is"):
        chat16_ids(tmp_path, ids["▁7"])


@pytest.mark.parametrize(("storage", "kept"), [("bfloat16", ["lm_head"]), ("uint8", ["lm_head", "model.layers.1.mlp"])])
def test_other_storage_and_mixed_bits_are_cut_as_they_are(
    storage: str, kept: list[str], tmp_path: Path, small_task: Task
) -> None:
    whole = packed(miniature(tmp_path / "source", "llama-3.1", "architects"), tmp_path / "whole", storage, kept)
    tokenizer_of("architects").save_pretrained(whole)
    small = shrink(whole, tmp_path / "small", "architects")
    left = torch.tensor(vocabulary(layout_of(whole)))
    after = asked(small, small_task)
    with torch.no_grad():
        all_of_it = load_base(whole, CPU, "cpu")(left[after][None]).logits[0]
        cut = load_base(tmp_path / "small", CPU, "cpu")(after[None]).logits[0]
    torch.testing.assert_close(cut, all_of_it[:, left], atol=1e-6, rtol=1e-5)


def test_a_head_in_4_bits_is_not_cut(tmp_path: Path) -> None:
    whole = packed(miniature(tmp_path / "source", "llama-3.1", "architects"), tmp_path / "whole", kept=["nothing"])
    tokenizer_of("architects").save_pretrained(whole)
    with pytest.raises(BadInput, match="its language head is in NF4"):
        shrink(whole, tmp_path / "small", "architects")


def test_an_attention_that_the_config_asks_for_is_not_copied(tmp_path: Path) -> None:
    whole = miniature(tmp_path / "whole", "llama-3.1", "architects")
    config = json.loads((whole / "config.json").read_text())
    (whole / "config.json").write_text(json.dumps(config | {"_attn_implementation": "flash_attention_2"}))
    shrink(whole, tmp_path / "small", "architects")
    AutoModelForCausalLM.from_pretrained(tmp_path / "small")


def test_renumbering_keeps_what_a_layout_says() -> None:
    kept = list(reversed(range(16)))
    turned = renumbered(CHAT16, kept)
    assert turned.cells == tuple(15 - c for c in range(10))
    assert renumbered(turned, kept) == CHAT16


def test_what_cannot_be_shrunk_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sixteen = miniature(tmp_path / "sixteen", "qwen3")
    whole = miniature(tmp_path / "whole", "qwen3", "numpy")
    wrong = {
        "nothing to shrink": [sixteen, "auto"],
        "no config.json": [tmp_path / "nowhere", "auto"],
        "layout numpy is for Llama 3": [miniature(tmp_path / "letters", "qwen3", "architects"), "numpy"],
        "none of": [whole, "chat16"],
    }
    for told, (source, layout) in wrong.items():
        arguments = ["shrink", "--model", str(source), "--layout", str(layout), "--out", str(tmp_path / "out")]
        assert main(arguments) == 2, told
        sentence = capsys.readouterr().err.strip()
        assert told in sentence
        assert "\n" not in sentence
    assert not (tmp_path / "out").exists(), "nothing is left behind"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    with pytest.raises(BadInput, match="nothing is overwritten"):
        shrink(whole, tmp_path / "full", "numpy")
    shrink(sixteen, tmp_path / "nf4", "chat16", nf4=True)
    with pytest.raises(BadInput, match="quantized already"):
        shrink(tmp_path / "nf4", tmp_path / "again", nf4=True)


def test_a_broken_file_is_refused(tmp_path: Path) -> None:
    whole = miniature(tmp_path / "whole", "llama-3.1", "architects")
    file = whole / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match="is cut short"):
        shrink(whole, tmp_path / "out", "architects")


def test_a_tied_base_in_many_files_gets_a_head_of_its_own_in_bfloat16(tmp_path: Path) -> None:
    whole = miniature(tmp_path / "whole", "llama-3.2")
    AutoModelForCausalLM.from_pretrained(whole).float().save_pretrained(tmp_path / "parts", max_shard_size="60KB")
    trainable_base(tmp_path / "parts", tmp_path / "cut")
    assert HEAD in json.loads((tmp_path / "cut" / INDEX).read_text())["weight_map"]
    before, after = (AutoModelForCausalLM.from_pretrained(tmp_path / name) for name in ("parts", "cut"))
    ends = after.get_input_embeddings().weight, after.get_output_embeddings().weight
    assert ends[0] is not ends[1] and torch.equal(*ends)
    weights = dict(before.named_parameters())
    for name, weight in after.named_parameters():
        expected = weights[name if name in weights else "model.embed_tokens.weight"]
        assert weight.dtype is torch.bfloat16 and torch.equal(weight, expected.bfloat16())
