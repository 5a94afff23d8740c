"""A checkpoint with the vocabulary of one layout: the rows of embeddings and head that a solver ever uses.

    python -m submission shrink --model DIR --layout architects --out DIR
    python -m submission shrink --model DIR --layout numpy --out DIR --nf4

Of an 8B with 131,072 ids this takes away 1.07 billion of 8.4 billion weights, and the logits of a row from 131,072
numbers to some 70. The files are copied tensor by tensor, so that a checkpoint in NF4 can be cut as well as one in 16
bits, in little memory. The tokenizer stays behind: what the solver needs of it stands in the config as `arc_layout`.

The logits of the ids that are kept are those of the whole model. Their softmax is not: it is taken over fewer ids, so
what the whole model gave to the others is shared out among these. Thresholds and log-probabilities of a checkpoint and
of its shrunk copy therefore differ, and training continues from that other distribution (the Architects' and NVARC's
models are trained and searched after the cut, which is the case this is meant for).
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from submission.arc.layouts import CHAT16, NAMED, Layout, described, renumbered, vocabulary
from submission.config import Model
from submission.errors import BadInput
from submission.model.loading import layout_of, load_base, read_tokenizer

logger = logging.getLogger(__name__)

ENDS = ("model.embed_tokens.weight", "lm_head.weight")
"""The tensors with a row for each id, as Llama, Mistral and Qwen3 call them; tied models have the first alone."""

INDEX = "model.safetensors.index.json"


def shrink(source: Path, out: Path, layout: str = "auto", nf4: bool = False, device: str = "cpu") -> Layout:
    """Write a checkpoint into `out` that knows the ids of this layout only; returns the layout as it stands there.

    `layout` is a name of `model.layout`. With `nf4` the blocks are quantized as well. A checkpoint that has no other
    ids can still be quantized. BadInput where there is nothing to do, or `out` is not empty.
    """
    config = read_config(source)
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty; nothing is overwritten")
    quantized = "quantization_config" in config
    if nf4 and quantized:
        raise BadInput(f"{source}: is quantized already; shrink it without --nf4")
    kept, small = what_is_kept(source, layout, config["vocab_size"])
    if not nf4 and len(kept) == config["vocab_size"]:
        raise BadInput(f"{source}: has no ids but those of layout {small.name}; there is nothing to shrink")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as workplace:
        done = Path(workplace) / "cut"
        done.mkdir()
        copy_weights(source, done, kept)
        (done / "config.json").write_text(json.dumps(cut_config(config, kept, small), indent=2) + "\n")
        if nf4:
            load_base(done, Model(dtype="bfloat16"), device).save_pretrained(Path(workplace) / "nf4")
            done = Path(workplace) / "nf4"
        done.replace(out)
    logger.info("%d of %d ids kept, layout %s", len(kept), config["vocab_size"], small.name)
    return small


def read_config(source: Path) -> dict[str, Any]:
    """The config.json of a model folder."""
    try:
        config: dict[str, Any] = json.loads((source / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{source}: has no config.json that can be read ({error})") from None
    if "vocab_size" not in config:
        raise BadInput(f"{source}: its config.json does not tell the size of its vocabulary")
    return config


def what_is_kept(source: Path, layout: str, size: int) -> tuple[list[int], Layout]:
    """The ids to keep, in their new order, and the layout in the new ids.

    The layouts of 16 ids take the first embeddings of a whole vocabulary from its nearest words, see
    `initial.sixteen`: such a checkpoint has to be trained before it can solve anything.
    """
    if layout in NAMED and size != 16:
        return sixteen(source), NAMED[layout]
    whole = layout_of(source, layout)
    if whole.name in NAMED:
        return list(range(size)), whole
    kept = list(vocabulary(whole))
    return kept, renumbered(whole, kept)


def cut_config(config: Mapping[str, Any], kept: Sequence[int], layout: Layout) -> dict[str, Any]:
    """The config with the new vocabulary: its size, its special ids, and the layout."""
    new = {old: k for k, old in enumerate(kept)}
    changed = dict(config) | {"vocab_size": len(kept), "arc_layout": described(layout), "pad_token_id": layout.pad}
    for name in ("bos_token_id", "eos_token_id"):
        old = config.get(name)
        left = [new[each] for each in (old if isinstance(old, list) else [old]) if each in new]
        changed[name] = left[0] if left else None
    return changed


def copy_weights(source: Path, out: Path, kept: Sequence[int]) -> None:
    """Copy the safetensors of a checkpoint, of embeddings and head the rows `kept` only."""
    files = sorted(source.glob("*.safetensors"))
    if not files:
        raise BadInput(f"{source}: holds no safetensors")
    rows, seen = torch.tensor(kept), set[str]()
    for file in files:
        try:
            with safe_open(file, "pt") as opened:
                names = set(opened.keys())
                seen |= names & set(ENDS)
                if not names & set(ENDS):
                    shutil.copyfile(file, out / file.name)
                    continue
                tensors = {name: opened.get_tensor(name) for name in names}
                about = opened.metadata() or {"format": "pt"}
        except SafetensorError as error:
            raise BadInput(f"{file}: cannot be read ({error})") from None
        save_file({name: cut_rows(name, tensor, rows) for name, tensor in tensors.items()}, out / file.name, about)
    if ENDS[0] not in seen:
        raise BadInput(f"{source}: has no {ENDS[0]}, so its vocabulary cannot be cut")
    if (source / INDEX).is_file():
        index = json.loads((source / INDEX).read_text())
        written = sum(path.stat().st_size for path in out.glob("*.safetensors"))
        index["metadata"] = {**index.get("metadata", {}), "total_size": written}
        (out / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def cut_rows(name: str, tensor: Tensor, rows: Tensor) -> Tensor:
    """The tensor of this name, or its rows where it has one for each id."""
    return tensor.index_select(0, rows).contiguous() if name in ENDS else tensor


SPOKEN: tuple[tuple[str, ...], ...] = (
    *((str(colour),) for colour in range(10)),
    ("\n", "Ċ"),
    ("user", "Ġuser"),
    ("assistant", "Ġassistant"),
    ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<unk>"),
    ("<|im_start|>", "<|start_header_id|>", "[INST]", "<s>"),
    ("<|im_end|>", "<|eot_id|>", "[/INST]", "</s>"),
)
"""The tokens of a large vocabulary that the 16 ids of chat16 take their first embeddings from: the first known one."""


def cut_vocabulary(base: Path, into: Path) -> None:
    """Write a checkpoint with the 16 tokens of chat16 only, in bfloat16; one that has just these is copied."""
    config: Any = AutoConfig.from_pretrained(base, local_files_only=True)
    if "quantization_config" in config.to_dict():
        raise BadInput(f"{base}: is quantized already; initial fine-tuning starts from 16-bit weights")
    kept = list(range(16)) if config.vocab_size == 16 else sixteen(base)
    model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, local_files_only=True)
    index = torch.tensor(kept)
    rows_in, rows_out = (
        end.weight.detach()[index].clone() for end in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    model.config.tie_word_embeddings = False
    model.set_input_embeddings(nn.Embedding(16, rows_in.shape[1], CHAT16.pad, _weight=rows_in))
    head = nn.Linear(rows_out.shape[1], 16, bias=False, dtype=rows_out.dtype)
    head.weight = nn.Parameter(rows_out)
    model.set_output_embeddings(head)
    ids = {"pad_token_id": CHAT16.pad, "bos_token_id": CHAT16.input_open[0], "eos_token_id": CHAT16.answer_close[-1]}
    model.config.update({"vocab_size": 16, "arc_layout": CHAT16.name, **ids})
    model.generation_config = GenerationConfig(**ids)
    model.save_pretrained(into)


def sixteen(base: Path) -> list[int]:
    """The ids, in a checkpoint's own vocabulary, of the 16 tokens of chat16."""
    try:
        vocabulary: dict[str, int] = read_tokenizer(base).get_vocab()
    except ValueError as error:
        raise BadInput(f"{base}: {error}") from error
    kept = []
    for names in SPOKEN:
        known = [vocabulary[name] for name in names if name in vocabulary]
        if not known:
            raise BadInput(f"{base}: its vocabulary has none of {', '.join(map(repr, names))}")
        kept.append(known[0])
    return kept
