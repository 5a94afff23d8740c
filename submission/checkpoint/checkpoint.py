"""The one judgement of a model folder: what it holds, or one sentence that says why it cannot be used.

Every command reads a model through `read_checkpoint` before torch is imported, so that none takes a folder that another
refuses. Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submission.checkpoint import quantization
from submission.checkpoint.bounded_json import read_object
from submission.checkpoint.config_json import CONFIG, SPECIAL_IDS, Config, check_special_ids, read_config
from submission.checkpoint.families import EMBEDDINGS, HEAD, tensor_shapes
from submission.checkpoint.weight_files import GGUF, WHOLE, Tensor, WeightFiles, gguf_sentence, read_weights
from submission.errors import BadInput, require

GENERATION = "generation_config.json"
"""Where the tokens are named at which a text ends."""

ADAPTER = "adapter_config.json"
"""The config of a LoRA that peft saved."""

ROTARY = re.compile(r"model\.(?:layers\.([0-9]{1,4})\.self_attn\.)?rotary_emb\.inv_freq")
"""Rotary frequencies, which old versions of transformers saved, of a block or of all."""

NUMBERS = {"F16", "BF16", "F32", "F64"}
"""The types of weights that are not quantized."""

DEEPEST = 3
"""Levels below a folder without a config.json in which the model is looked for."""

SEEN = 1000
"""Folders that are looked at for it."""

HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
KAGGLE = re.compile(r"[A-Za-z0-9][\w-]*(?:/[A-Za-z0-9][\w.-]*){3}/[0-9]{1,6}", re.ASCII)
"""The names of models on huggingface.co, and of their versions on Kaggle."""

CHARACTERS = 255
"""Ids of a vocabulary up to which it is taken for one that was cut to characters."""


@dataclass(frozen=True)
class Checkpoint:
    """A model folder that can be used."""

    folder: Path
    config: Config
    weights: WeightFiles
    four_bit: frozenset[str]
    """The weights that are stored in NF4, by name; empty for a model in 16 or 32 bits."""
    special_ids: Mapping[str, Any]
    """The ids of special tokens, by their keys in generation_config.json, or else in config.json."""

    @property
    def model_type(self) -> str:
        """The family."""
        return self.config.model_type

    @property
    def vocabulary(self) -> int:
        """Token ids."""
        return self.config.sizes.vocabulary

    @property
    def files(self) -> tuple[Path, ...]:
        """The weight files."""
        return self.weights.files

    @property
    def quantized(self) -> bool:
        """Whether weights are stored in NF4."""
        return bool(self.four_bit)

    def notes(self) -> list[str]:
        """A sentence for each thing about the folder that is worth a word in a log."""
        ignored = self.weights.ignored
        if not ignored:
            return []
        shown = ", ".join(ignored[:3]) + (", ..." if len(ignored) > 3 else "")
        used = WHOLE if self.weights.index is None else f"the {len(self.files)} files of the index"
        return [f"{self.folder}: {used} alone holds the weights; {shown}: not used"]


def read_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in a folder; BadInput, one sentence, where it cannot be used whole."""
    require_folder(folder)
    config = read_config(folder)
    weights = read_weights(folder)
    four_bit = quantization.judged(folder, config.quantization, weights.tensors)
    _check_tensors(folder, config, weights.tensors, four_bit)
    _check_tied_head(folder, config, weights)
    return Checkpoint(folder, config, weights, four_bit, _special_ids(folder, config))


def _special_ids(folder: Path, config: Config) -> dict[str, Any]:
    """The ids of special tokens; BadInput where generation_config.json, which libraries read too, is damaged."""
    path = folder / GENERATION
    told = read_object(path) if os.path.lexists(path) else {}
    check_special_ids(told, config.sizes.vocabulary, path)
    return {key: told[key] if key in told else config.raw.get(key) for key in SPECIAL_IDS}


def layout_name(folder: Path) -> str:
    """The layout that a checkpoint's config.json tells: its `arc_layout`, or what the size of its vocabulary means.

    16 ids mean chat16, up to 255 (cut to characters) architects, more numpy. Whether the tokenizer bears this out is
    for `layout.layout_of` to say. BadInput where this is no model folder.
    """
    require_folder(folder)
    config = read_object(folder / CONFIG)
    named, size = config.get("arc_layout"), config.get("vocab_size")
    if isinstance(named, dict):
        named = named.get("name")
    if isinstance(named, str):
        return named
    if size == 16:
        return "chat16"
    return "architects" if isinstance(size, int) and size <= CHARACTERS else "numpy"


def names_its_layout(folder: Path) -> bool:
    """Whether a model folder's config.json tells the layout, so that none has to be concluded from the vocabulary."""
    return read_object(folder / CONFIG).get("arc_layout") is not None


def require_folder(folder: Path) -> None:
    """BadInput unless this is a folder with a config.json, and without an adapter."""
    try:
        names = set(os.listdir(folder))
    except FileNotFoundError:
        raise BadInput(f"{folder}: there is no such folder, and so no {CONFIG}{fetching(folder)}") from None
    except NotADirectoryError:
        if folder.suffix == GGUF:
            raise BadInput(f"{folder}: {gguf_sentence(folder.parent, folder.name)}") from None
        raise BadInput(f"{folder}: is a file; name the folder that holds {CONFIG} and the weights") from None
    except OSError as error:
        raise BadInput(f"{folder}: cannot be read as a model folder ({error.strerror})") from None
    if ADAPTER in names:
        raise BadInput(_adapter_sentence(folder, names))
    if CONFIG in names:
        return
    below = model_below(folder)
    require(below is None, f"{folder}: there is no {CONFIG}, but there is one in {below}: name that folder")
    if gguf := sorted(name for name in names if name.endswith(GGUF)):
        raise BadInput(f"{folder}: there is no {CONFIG}; {gguf_sentence(folder, gguf[0])}")
    raise BadInput(f"{folder}: there is no {CONFIG}, so this is not a model folder")


def fetching(name: Path) -> str:
    """How to fetch what looks like the name of a published model and is no folder; "" for any other path.

    Such a name, owner/model or on Kaggle owner/model/framework/variation/version, begins at no folder that exists.
    """
    text = name.as_posix().removeprefix("hf:")
    if HUB.fullmatch(text) and not Path(text).parent.exists():
        return f"; if it is a repository on huggingface.co: python build.py model hf:{text} --out {name.name}"
    if KAGGLE.fullmatch(text) and not Path(text).parents[3].exists():
        download = f"kaggle models variations versions download {text} --untar -p {name.parts[1]}"
        return f"; if it is a model on Kaggle: {download}"
    return ""


def model_below(folder: Path) -> Path | None:
    """The first folder below this one that has a config.json, as in Kaggle's NAME/VARIATION/1; None where none has."""
    level, seen = [folder], 0
    for _ in range(DEEPEST):
        following: list[Path] = []
        for each in level:
            try:
                following += [Path(entry) for entry in os.scandir(each) if entry.is_dir()]
            except OSError:  # A folder that may not be looked into holds no model for us.
                continue
            seen += 1
            if seen > SEEN:
                return None
        level = sorted(following)
        if found := next((each for each in level if (each / CONFIG).is_file()), None):
            return found
    return None


def _adapter_sentence(folder: Path, names: set[str]) -> str:
    """What to do with a folder that holds an adapter, with or without the weights that it belongs to."""
    base = read_object(folder / ADAPTER).get("base_model_name_or_path")
    base = base if isinstance(base, str) and base else "BASE"
    merge = (
        'python -c "from peft import AutoPeftModelForCausalLM as A; '
        f"A.from_pretrained('{folder}', dtype='bfloat16').merge_and_unload().save_pretrained('MERGED')\""
    )
    weights = {name for name in names if name.endswith(".safetensors") and not name.startswith("adapter_model")}
    if weights:
        return (
            f"{folder}: holds an adapter ({ADAPTER}) beside the weights of a model, so it is not clear which is meant; "
            f"merge the adapter into its base, or delete {ADAPTER}"
        )
    return f"{folder}: is an adapter (a LoRA of {base}), not a whole model; merge it first: {merge}"


# -- the tensors ------------------------------------------------------------------------------------------------


def _check_tensors(folder: Path, config: Config, tensors: Mapping[str, Tensor], four_bit: frozenset[str]) -> None:
    """BadInput unless the files hold every weight that the config asks for, in its shape, and nothing else."""
    expected = dict(tensor_shapes(config.family, config.sizes, config.flags, config.tied))
    missing = [name for name in expected if name not in tensors]
    parts = quantization.parts_of(four_bit)
    extra = [name for name in tensors if name not in expected and name not in parts and not is_harmless(name, config)]
    if missing or extra:
        raise BadInput(f"{folder}: {_misfit(config, sorted(missing), sorted(extra))}")
    if HEAD in tensors:
        expected[HEAD] = (config.sizes.vocabulary, config.sizes.hidden)
    plain = {name: tensors[name] for name in expected if name not in four_bit}
    if odd := sorted(name for name, each in plain.items() if each.dtype not in NUMBERS):
        types = ", ".join(sorted({plain[name].dtype for name in odd}))
        raise BadInput(f"{folder}: {listed(odd)} {_are(odd)} stored as {types}, and weights have 16 or 32 bits")
    wrong = [name for name, each in plain.items() if each.shape != expected[name]]
    wrong += [name for name in four_bit if not quantization.fits(tensors[name], expected.get(name))]
    if wrong:
        first = sorted(wrong)[0]
        raise BadInput(
            f"{folder}: {first} has the shape {str(list(tensors[first].shape))[:80]}, and {CONFIG} asks for "
            f"{list(expected[first])}{' in 4 bits' * (first in four_bit)} ({len(wrong)} such tensors): config and "
            "weights are of different models"
        )


def _check_tied_head(folder: Path, config: Config, weights: WeightFiles) -> None:
    """BadInput where the config ties the head to the embeddings, and the files hold another head.

    So does a merged LoRA on the ends of a tied model (transformers issue 45127): some versions of transformers take the
    head, others the embeddings in its place.
    """
    if config.tied and HEAD in weights.tensors and not weights.same(HEAD, EMBEDDINGS):
        raise BadInput(
            f"{folder}: {CONFIG} says that the head shares the embeddings' weights (tie_word_embeddings), but {HEAD} "
            "is another tensor: set tie_word_embeddings to false if the head was trained, or leave it out of the files"
        )


def is_harmless(name: str, config: Config) -> bool:
    """Whether a tensor without a place in the model may be left out: rotary frequencies, a tied head's copy."""
    if name == HEAD:
        return config.tied
    block = ROTARY.fullmatch(name)
    return block is not None and (block[1] is None or int(block[1]) < config.sizes.blocks)


def _misfit(config: Config, missing: list[str], extra: list[str]) -> str:
    """What is wrong with the names of the tensors, in one sentence."""
    parts = []
    if missing:
        parts.append(f"{listed(missing)} {_are(missing)} not in its files")
    if extra:
        parts.append(f"{listed(extra)} {_have(extra)} no place in a {config.model_type} of this {CONFIG}")
    found = "; ".join(parts)
    if any(".lora_" in name for name in extra):
        return f"{found}: an adapter that was not merged; merge_and_unload() it before save_pretrained()"
    if missing and extra and len(missing) == len({_bare(each) for each in extra} & {_bare(each) for each in missing}):
        return f"{found}: the weights bear other names than this family's; save the model anew by transformers"
    return f"{found}: weights and {CONFIG} are of different models"


def _bare(name: str) -> str:
    """A tensor's name without what stands before its block or its module."""
    for start in ("layers.", "embed_tokens.", "lm_head.", "norm."):
        if start in name:
            return name[name.index(start) :]
    return name


def listed(names: list[str]) -> str:
    """The number of these tensors, and the first three by name."""
    kind = "tensor" if len(names) == 1 else "tensors"
    return f"{len(names)} {kind} ({', '.join(each[:80] for each in names[:3])}{', ...' * (len(names) > 3)})"


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _have(names: list[str]) -> str:
    return "has" if len(names) == 1 else "have"
