"""Checkpoints with a cut vocabulary: the rows of embeddings and language head that one layout uses, and no others.

    python -m submission shrink --model DIR --layout architects --out DIR
    python -m submission shrink --model DIR --layout numpy --out DIR --nf4

Of an 8B with 131,072 ids this removes 1.07 billion of 8.4 billion weights, and cuts the logits of a token from 131,072
numbers to some 70. Files are copied tensor by tensor, so that NF4 checkpoints can be cut as well as 16-bit ones, in
little memory. The tokenizer is not copied: what is needed of it is written to the config as `arc_layout`.

The logits of the kept ids are those of the whole model. Their probabilities are not: the softmax runs over fewer ids,
so the probability of the removed ids is spread over the kept ones. Thresholds and log-probabilities of a checkpoint and
of its cut copy therefore differ, and training continues from that other distribution. The Architects' and NVARC's
models, for which this is meant, are trained and searched after the cut.
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
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from submission.arc.layouts import CHAT16, NAMED, Layout, described, renumbered, vocabulary
from submission.checkpoint.checkpoint import Checkpoint, read_checkpoint
from submission.checkpoint.families import EMBEDDINGS, HEAD
from submission.checkpoint.layout import layout_of, require_positions
from submission.checkpoint.tokenizer_files import read_words
from submission.checkpoint.weight_files import INDEX
from submission.config import Model
from submission.errors import BadInput, require
from submission.model.loading import load_base

logger = logging.getLogger(__name__)

CHAT16_WORDS: tuple[tuple[str, ...], ...] = (
    *((str(colour), f"▁{colour}") for colour in range(10)),
    ("\n", "Ċ", "<0x0A>"),
    ("user", "Ġuser", "▁user"),
    ("assistant", "Ġassistant", "▁assistant"),
    ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>", "<unk>"),
    ("<|im_start|>", "<|start_header_id|>", "[INST]", "<s>"),
    ("<|im_end|>", "<|eot_id|>", "[/INST]", "</s>"),
)
"""For each of chat16's ids the words of a large vocabulary that may lend it their embedding: the first one it has."""


def shrink(source: Path, out: Path, layout: str = "auto", nf4: bool = False, device: str = "cpu") -> Layout:
    """Write a copy of a checkpoint to `out` with the ids of one layout only; returns the layout in the new ids.

    `layout` is a value of `model.layout`. With `nf4` the blocks are quantized as well; then a vocabulary that is cut
    already may stay as it is. BadInput where the source cannot be used, there is nothing to cut, or `out` is not empty.
    """
    checkpoint = read_checkpoint(source)
    if out.exists() and any(out.iterdir()):
        raise BadInput(f"{out}: is not empty; nothing is overwritten")
    if nf4 and checkpoint.quantized:
        raise BadInput(f"{source}: is quantized already; shrink it without --nf4")
    require(HEAD not in checkpoint.four_bit, f"{source}: its language head is in NF4, so that its rows cannot be cut")
    size = checkpoint.vocabulary
    kept, small = kept_ids(source, layout, size)
    if not nf4 and len(kept) == size:
        raise BadInput(f"{source}: has no ids but those of layout {small.name}; there is nothing to shrink")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as workplace:
        done = Path(workplace) / "cut"
        cut_checkpoint(checkpoint, done, kept, small)
        if nf4:
            load_base(done, Model(dtype="bfloat16"), device).save_pretrained(Path(workplace) / "nf4")
            done = Path(workplace) / "nf4"
        read_checkpoint(done)
        done.replace(out)
    logger.info("%d of %d ids kept, layout %s", len(kept), size, small.name)
    return small


def trainable_base(base: Path, out: Path) -> None:
    """Write a base cut to the ids of chat16 that can be trained: in bfloat16, embeddings and head not tied.

    A folder `out` that is there is replaced. A vocabulary of 16 ids stays as it is. BadInput where the base is
    quantized, or lacks words for these ids.
    """
    checkpoint = trainable_checkpoint(base)
    kept = trainable_ids(checkpoint)
    shutil.rmtree(out, ignore_errors=True)
    cut_checkpoint(checkpoint, out, kept, CHAT16, trainable=True)


def trainable_checkpoint(base: Path) -> Checkpoint:
    """The checkpoint of a base for initial fine-tuning; BadInput where it cannot be used, or is quantized."""
    checkpoint = read_checkpoint(base)
    if checkpoint.quantized:
        raise BadInput(f"{base}: is quantized already; initial fine-tuning starts from 16-bit weights")
    return checkpoint


def trainable_ids(checkpoint: Checkpoint) -> list[int]:
    """The ids of a base that become the 16 of chat16; BadInput where its vocabulary lacks words for them."""
    return list(range(16)) if checkpoint.vocabulary == 16 else chat16_ids(checkpoint.folder, checkpoint.vocabulary)


def kept_ids(source: Path, layout: str, size: int) -> tuple[list[int], Layout]:
    """The old ids in the order of their new numbers, and the layout in the new ids.

    A layout of 16 ids takes its embeddings from the nearest words of a larger vocabulary (`chat16_ids`): such a
    checkpoint has to be trained before it can solve anything.
    """
    if layout in NAMED and size != 16:
        require_positions(source, NAMED[layout])
        return chat16_ids(source, size), NAMED[layout]
    whole = layout_of(source, layout)
    if whole.name in NAMED:
        return list(range(size)), whole
    kept = list(vocabulary(whole))
    return kept, renumbered(whole, kept)


def chat16_ids(base: Path, size: int) -> list[int]:
    """The id of the nearest word in a checkpoint's own vocabulary for each of chat16's 16 ids.

    BadInput where there is none, or where it is not one of the `size` ids that the model has embeddings for.
    """
    told = read_words(base)
    ids = told.vocabulary
    kept = []
    for words in CHAT16_WORDS:
        known = [ids[word] for word in words if word in ids]
        if not known:
            raise BadInput(f"{base}: its vocabulary has none of {', '.join(map(repr, words))}")
        kept.append(known[0])
    told.require_rows(kept, size)
    return kept


def cut_checkpoint(source: Checkpoint, out: Path, kept: Sequence[int], layout: Layout, trainable: bool = False) -> None:
    """Write a copy of a checkpoint with the ids `kept` only, numbered anew in this order, and `layout` in its config.

    With `trainable` its weights are converted to bfloat16, and a head that is tied to the embeddings becomes a copy.
    """
    config = cut_config(source.config.raw, len(kept), layout)
    if trainable:
        config |= {"tie_word_embeddings": False, "dtype": "bfloat16"}
        config.pop("torch_dtype", None)
    out.mkdir(parents=True)
    cut_weights(source, out, kept, trainable)
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def cut_config(config: Mapping[str, Any], size: int, layout: Layout) -> dict[str, Any]:
    """The config with the new vocabulary: its size, its special ids, and the layout.

    How to compute attention is left out: that is for whoever loads the copy, perhaps without the library it names.
    """
    return {key: value for key, value in config.items() if "attn_implementation" not in key} | {
        "vocab_size": size,
        "arc_layout": described(layout),
        "pad_token_id": layout.pad,
        "bos_token_id": (layout.opening or layout.input_open)[0],
        "eos_token_id": layout.answer_close[-1],
    }


def cut_weights(source: Checkpoint, out: Path, kept: Sequence[int], trainable: bool) -> None:
    """Copy the weight files of a checkpoint to `out`, of embeddings and head the rows `kept` only.

    Files keep their names; an index is written anew.
    """
    places = dict(source.weights.places)
    copied_head = trainable and HEAD not in places
    if copied_head:
        places[HEAD] = places[EMBEDDINGS]
    for file in source.files:
        inside = sorted(name for name, place in source.weights.places.items() if place == file.name)
        if not trainable and not {EMBEDDINGS, HEAD} & set(inside):
            shutil.copyfile(file, out / file.name)
            continue
        with safe_open(file, "pt") as opened:
            tensors = {name: cut_tensor(name, opened.get_tensor(name), kept, trainable) for name in inside}
            metadata = opened.metadata() or {"format": "pt"}
        if copied_head and EMBEDDINGS in tensors:
            tensors[HEAD] = tensors[EMBEDDINGS].clone()
        save_file(tensors, out / file.name, metadata)
    if source.weights.index is not None:
        written = sum(path.stat().st_size for path in out.glob("*.safetensors"))
        index = {"metadata": {"total_size": written}, "weight_map": dict(sorted(places.items()))}
        (out / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def cut_tensor(name: str, tensor: Tensor, kept: Sequence[int], trainable: bool) -> Tensor:
    """The tensor of this name: its rows `kept` where it has one for each id; in bfloat16 with `trainable`."""
    if name in (EMBEDDINGS, HEAD):
        tensor = tensor.index_select(0, torch.tensor(kept)).contiguous()
    return tensor.to(torch.bfloat16) if trainable and tensor.is_floating_point() else tensor
