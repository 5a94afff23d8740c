"""A language model that writes programs: tiny models with random weights or a little training, real tokenizers."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as Bytes
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from submission.arc.tasks import Pair, Task, grid
from submission.config import Model, with_changes
from submission.deadline import NEVER, Deadline, within
from submission.errors import BadInput
from submission.presets import PRESETS
from submission.programs.induction.budget_forcing import WAIT, TokenBudget
from submission.programs.induction.dialogue import OPENING, WriterFormat, messages, program_of
from submission.programs.induction.induction import Induction, Writer
from submission.programs.induction.sampler import LanguageWriter, Sampling, sample_tokens
from submission.programs.sandbox.sandbox import Limits, Sandbox
from submission.runner.schedule import Order
from submission.runner.solvers import ProgramSolver
from submission.runner.spec import WorkerSpec

GREEDY = Sampling(temperature=0.0)
ON_CPU = Model(device="cpu", four_bit=False)
TEMPLATE = "{% for turn in messages %}<{{ turn['role'] }}>{{ turn['content'] }}{% endfor %}<assistant>"
STEPS = 120
SAID = "Flip it.\n```python\ndef transform(grid):\n    return grid[::-1]\n```"


def tokenizer_for(texts: list[str], template: str | None) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer whose merges were learned from these texts."""
    made = Tokenizer(BPE())
    made.pre_tokenizer = ByteLevel(add_prefix_space=False)
    made.decoder = Bytes()
    alphabet = sorted(ByteLevel.alphabet())
    trainer = BpeTrainer(
        vocab_size=420, special_tokens=["<bos>", "<eos>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<bos>", eos_token="<eos>")
    fast.chat_template = template
    return fast


def model_for(tokenizer: PreTrainedTokenizerFast) -> Any:
    """A Llama of two blocks with random weights."""
    config = AutoConfig.for_model(
        "llama", vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=4096,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return AutoModelForCausalLM.from_config(config)


def task_of(seed: int) -> Task:
    """Turn each grid upside down; tasks that differ in their cells."""
    rng = np.random.default_rng(seed)
    inputs = [grid(rng.integers(0, 10, (2, 2))) for _ in range(3)]
    return Task(f"t{seed}", tuple(Pair(each, grid(each[::-1])) for each in inputs[:2]), (inputs[2],))


@pytest.fixture(scope="module", params=[TEMPLATE, None], ids=["chat", "plain"])
def random_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder of a Llama with random weights and its tokenizer, with a chat template or without."""
    folder = tmp_path_factory.mktemp("random")
    tokenizer = tokenizer_for([messages(task_of(0))[1].content, SAID], request.param)
    tokenizer.save_pretrained(folder)
    model_for(tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained to say one thing whatever the task."""
    folder = tmp_path_factory.mktemp("trained")
    tokenizer = tokenizer_for([messages(task_of(0))[1].content, SAID], TEMPLATE)
    tokenizer.save_pretrained(folder)
    model = model_for(tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95))
    said = tokenizer.encode(SAID) + [tokenizer.eos_token_id]
    for step in range(STEPS):
        turns = [{"role": each.role, "content": each.content} for each in messages(task_of(step))]
        prompt = tokenizer.encode(tokenizer.apply_chat_template(turns, tokenize=False), add_special_tokens=False)
        ids = torch.tensor([prompt + said])
        labels = torch.tensor([[-100] * len(prompt) + said])
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / STEPS) * min(1.0, (step + 1) / 10)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_worker_has_it_beside_the_search_if_the_settings_name_it(trained_model: Path, tmp_path: Path) -> None:
    changes = [f"programs.writer={trained_model}", "programs.samples=1", "model.four_bit=False", "model.threads=1"]
    settings = with_changes(PRESETS["laptop"], changes)
    searcher = ProgramSolver(WorkerSpec(tmp_path, settings, 0, kind="programs"))
    record = searcher.solve(Order(task_of(7), settings, 0, 60.0), within(60.0), lambda so_far: None)
    searcher.close()
    origins = [each.origin for each in record.programs or ()]
    assert origins[0] == "search"
    assert "written" in origins
    assert np.array_equal(record.attempts[0][0], task_of(7).tests[0][::-1])
    refused = with_changes(settings, [f"programs.writer={tmp_path}"])
    with pytest.raises(BadInput, match=r"no config\.json"):
        ProgramSolver(WorkerSpec(tmp_path, refused, 0, kind="programs"))


@pytest.mark.parametrize(("form", "tokens"), [("plain", 1024), ("barc", 1536)])
def test_the_setting_format_says_how_a_worker_asks_and_reads(
    random_model: Path, tmp_path: Path, form: WriterFormat, tokens: int
) -> None:
    changes = [f"programs.writer={random_model}", f"programs.format={form}", "model.four_bit=False", "model.threads=1"]
    settings = with_changes(PRESETS["laptop"], changes if form == "barc" else [changes[0], *changes[2:]])
    solver = ProgramSolver(WorkerSpec(tmp_path, settings, 0, kind="programs"))
    solver.close()
    (written,) = (each for each in solver.sources if isinstance(each, Induction))
    assert written.form == form
    assert isinstance(written.writer, LanguageWriter)
    assert written.writer.budget.program == tokens
    prompt = written.writer.prompt(task_of(1))
    assert prompt is not None
    assert messages(task_of(1), form=form)[1].content in written.writer.words.decode(prompt)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Limits(call_seconds=0.4, seconds=1.0)) as made:
        yield made


def writer(folder: Path, effort: TokenBudget = TokenBudget(), writing: Sampling = GREEDY) -> LanguageWriter:  # noqa: B008
    return LanguageWriter(folder, ON_CPU, writing, effort)


def test_with_nothing_forced_it_writes_what_generate_writes(random_model: Path) -> None:
    one = writer(random_model, TokenBudget(reasoning=48, program=1, delimiter="(done)"))
    one.codec = replace(one.codec, stops=frozenset())
    one.model.generation_config.eos_token_id = None
    prompt = one.prompt(task_of(1))
    assert prompt is not None
    generated = one.model.generate(
        torch.tensor([prompt]), do_sample=False, max_new_tokens=48, attention_mask=torch.ones(1, len(prompt)).long()
    )[0, len(prompt) :]
    assert len(generated) == 48
    texts = one.write(task_of(1), 3, NEVER, seed=0)
    assert len(set(texts)) == 1 and len(texts) == 3, "side by side they are the same"
    expected = one.words.decode(generated.tolist(), skip_special=True)
    assert texts[0].startswith(expected + "(done)\n" + OPENING)


def test_a_prompt_read_in_parts_is_a_prompt_read_whole(random_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    effort = TokenBudget(reasoning=20, program=10)
    whole = writer(random_model, effort).write(task_of(1), 1, NEVER, seed=0)
    monkeypatch.setattr("submission.programs.induction.sampler.CHUNK", 7)
    assert writer(random_model, effort).write(task_of(1), 1, NEVER, seed=0) == whole


def test_texts_that_end_leave_the_others_undisturbed(random_model: Path) -> None:
    """The logits of the last text's last step equal those of a pass over that text alone."""
    one = writer(random_model, TokenBudget(reasoning=8, program=40), Sampling(temperature=1.0))
    one.codec = replace(one.codec, stops=frozenset(range(100, 110)))
    sizes: list[int] = []
    kept: list[torch.Tensor] = []

    def look(_: Any, __: Any, out: Any) -> None:
        sizes.append(len(out.logits))
        kept.append(out.logits[:, -1])

    prompt = one.prompt(task_of(1))
    prefix = one._prefill(prompt or [], NEVER)
    assert prefix is not None
    one.model.register_forward_hook(look)
    drafts = one._decode(prefix, 6, NEVER, torch.Generator().manual_seed(1))
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) >= 3, "the batch got smaller, more than once"
    longest = max(drafts, key=lambda each: len(each.ids))
    last = kept[-1]
    with torch.inference_mode():
        alone = one.model(torch.tensor([prefix.ids + longest.ids[:-1]])).logits[0, -1]
    assert min((row - alone).abs().max().item() for row in last) < 1e-4


def test_the_program_is_forced_and_bounded_by_tokens(random_model: Path) -> None:
    one = writer(random_model, TokenBudget(reasoning=5, program=9), Sampling(temperature=1.0))
    prefix = one._prefill(one.prompt(task_of(1)) or [], NEVER)
    assert prefix is not None
    opening = one.codec.encode("\n" + OPENING)
    for draft in one._decode(prefix, 8, NEVER, torch.Generator().manual_seed(5)):
        at = one.codec.decode(draft.ids).index("\n" + OPENING)
        assert len(draft.ids) <= 5 + len(opening) + 9
        assert one.codec.decode(draft.ids[:5]).startswith(one.codec.decode(draft.ids)[:at])


def test_samples_are_set_by_the_seed(random_model: Path) -> None:
    one = writer(random_model, TokenBudget(reasoning=6, program=6), Sampling(temperature=1.0))
    first, again, other = (one.write(task_of(1), 4, NEVER, seed) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 4


def test_no_more_texts_are_written_side_by_side_than_there_is_memory_for(random_model: Path) -> None:
    effort = TokenBudget(reasoning=4, program=4)
    prompt = writer(random_model).prompt(task_of(1)) or []
    one = writer(random_model, effort, Sampling(cache_tokens=2 * (len(prompt) + 8)))
    sizes: list[int] = []
    one.model.register_forward_hook(lambda _, __, out: sizes.append(len(out.logits)))
    assert len(one.write(task_of(1), 5, NEVER, seed=0)) == 5
    assert max(sizes) == 2


def test_a_long_prompt_loses_its_last_demonstrations(random_model: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = task_of(1)
    lengths = [len(writer(random_model)._chat_ids(task, shown)) for shown in (1, 2)]
    assert lengths[0] < lengths[1]
    for room, length in ((lengths[1], lengths[1]), (lengths[1] - 1, lengths[0])):
        kept = writer(random_model, writing=Sampling(prompt_tokens=room)).prompt(task)
        assert kept is not None and len(kept) == length
    none = writer(random_model, writing=Sampling(prompt_tokens=lengths[0] - 1))
    with caplog.at_level(logging.WARNING):
        assert none.write(task, 3, NEVER, seed=0) == []
    assert "not one demonstration fits" in caplog.text


class Ticks:
    """A clock that goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_the_deadline_holds_in_the_prompt_and_in_the_text(random_model: Path) -> None:
    one = writer(random_model, TokenBudget(reasoning=5000, program=100), Sampling(temperature=1.0))
    assert one.write(task_of(1), 2, Deadline(0.5, Ticks()), seed=0) == []
    assert one.write(task_of(1), 2, within(0), seed=0) == []
    clock = Ticks()
    cut = one.write(task_of(1), 2, Deadline(60.0, clock), seed=0)
    assert clock.now < 70, "no step goes by without a look"
    assert len(cut) == 2 and all(cut)


def test_when_time_is_short_the_program_is_begun_early(random_model: Path) -> None:
    """A real clock: the pace so far says how long a program takes."""
    one = writer(random_model, TokenBudget(reasoning=3000, program=30), Sampling(temperature=1.0))
    one.write(task_of(1), 1, within(0.2), seed=0)  # the prompt is read, and all is warm
    (text,) = one.write(task_of(1), 1, within(1.0), seed=0)
    assert OPENING in text


def test_a_trained_model_thinks_waits_and_writes_a_program_that_solves_the_task(
    trained_model: Path, sandbox: Sandbox
) -> None:
    task = task_of(1000)
    one: Writer = writer(trained_model, TokenBudget(reasoning=60, waits=1, program=60))
    (text,) = one.write(task, 1, NEVER, seed=0)
    assert text.startswith("Flip it.") and text.count(WAIT.strip()) == 1
    plain = writer(trained_model, TokenBudget(reasoning=60, program=60))
    (text,) = plain.write(task, 1, NEVER, seed=0)
    assert text.startswith("Flip it.") and "Wait" not in text
    assert "return grid[::-1]" in (program_of(text) or "")
    (found,) = Induction(plain, sandbox, count=2, batch=1).programs(task, NEVER, seed=0)
    assert found.answers[0] is not None
    assert found.answers[0].tolist() == task.tests[0][::-1].tolist()


def test_four_bits_write_too(trained_model: Path) -> None:
    four = LanguageWriter(trained_model, Model(device="cpu"), GREEDY, TokenBudget(reasoning=0, program=40))
    assert four.write(task_of(1), 1, NEVER, seed=0)[0].startswith(OPENING)


def test_a_folder_that_cannot_write_is_refused_with_a_sentence(tiny_grid_model: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no tokenizer\.json"):
        writer(tiny_grid_model)
    with pytest.raises(BadInput, match=r"no config\.json"):
        writer(tmp_path)
    with pytest.raises(BadInput, match="temperature"):
        Sampling(temperature=-1.0)


def test_a_chat_template_that_cannot_be_rendered_is_refused(trained_model: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_model, tmp_path / "copy")
    for template, told in (("{{ 1 / 0 }}", "ZeroDivisionError"), ("{% if %}", "TemplateSyntaxError")):
        (tmp_path / "copy" / "chat_template.jinja").write_text(template)
        with pytest.raises(BadInput, match=f"chat template cannot be used .{told}"):
            writer(tmp_path / "copy").prompt(task_of(1))


def test_temperature_sharpens() -> None:
    logits = torch.tensor([[0.0, 1.0, 3.0]]).expand(4000, -1)
    shares = {}
    for temperature in (0.0, 0.5, 1.0, 100.0):
        chosen = sample_tokens(logits, temperature, torch.Generator().manual_seed(0))
        shares[temperature] = (chosen == 2).float().mean().item()
    expected = {t: torch.softmax(torch.tensor([0.0, 1.0, 3.0]) / t, 0)[2].item() for t in (0.5, 1.0, 100.0)}
    assert shares[0.0] == 1.0
    assert all(shares[t] == pytest.approx(expected[t], abs=0.03) for t in expected)
