"""How the weights of a checkpoint are quantized, told by their tensors, and held against its config.json.

Standard library alone: on Kaggle this runs before anything is installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from submission.checkpoint.families import EMBEDDINGS
from submission.checkpoint.weight_files import DTYPE_BITS, Tensor
from submission.errors import BadInput, require

NF4_STATE = ".quant_state.bitsandbytes__nf4"
"""What bitsandbytes adds to the name of a weight in NF4, for the tensor that describes it."""

NF4_NEEDED = (".absmax", ".quant_map", NF4_STATE)
NF4_NESTED = (".nested_absmax", ".nested_quant_map")
"""The tensors beside a weight in NF4; the nested ones where its scales are quantized too."""

SIGNS = {
    "bitsandbytes' FP4": (".quant_state.bitsandbytes__fp4",),
    "bitsandbytes' INT8": (".SCB", ".weight_format"),
    "GPTQ or AWQ": (".qweight", ".qzeros", ".g_idx"),
    "compressed-tensors": (".weight_packed", ".weight_shape", ".weight_zero_point"),
    "MXFP4": ("_blocks", "_scales", "_proj.scales"),
    "HQQ": (".W_q",),
    "FP8": (".weight_scale_inv", ".weight_scale", ".input_scale"),
}
"""Quantization -> what the names of its tensors end with."""

ADVICE = "take the 16-bit model instead, which is quantized to NF4 when it is loaded"

SECTION = (
    '{"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": '
)


def judged(folder: Path, section: Mapping[str, Any] | None, tensors: Mapping[str, Tensor]) -> frozenset[str]:
    """The names of the weights in NF4, empty for an unquantized checkpoint.

    BadInput for any other quantization, and where config.json says otherwise than the weights. `section` is the
    config's quantization_config.
    """
    found = quantization_of(tensors)
    require(
        found in (None, "NF4"),
        f"{folder}: its weights are quantized by {found}, and only bitsandbytes' NF4 is supported; {ADVICE}",
    )
    told = _named(section)
    if found is None:
        require(
            told is None,
            f"{folder}: its config.json has a quantization_config ({told}), but the weights are not quantized; delete "
            "quantization_config from config.json",
        )
        return frozenset()
    four_bit = frozenset(name.removesuffix(NF4_STATE) for name in tensors if name.endswith(NF4_STATE))
    nested = any(name.endswith(NF4_NESTED) for name in tensors)
    require(
        told == "NF4",
        f"{folder}: its weights are in bitsandbytes' NF4, but its config.json has "
        f"{'no quantization_config' if told is None else f'a quantization_config of another kind ({told})'}; put in "
        f'"quantization_config": {SECTION}{str(nested).lower()}}}',
    )
    _check_parts(folder, four_bit, tensors)
    return four_bit


def quantization_of(tensors: Mapping[str, Tensor]) -> str | None:
    """The quantization that the tensors show; None where they show none."""
    for kind, endings in SIGNS.items():
        if any(name.endswith(endings) for name in tensors):
            return kind
    if any(each.dtype.startswith("F8_") for each in tensors.values()):
        return "FP8"
    return "NF4" if any(name.endswith(NF4_STATE) for name in tensors) else None


def _named(section: Mapping[str, Any] | None) -> str | None:
    """The quantization that a config asks for; None where it asks for none."""
    if section is None:
        return None
    method = section.get("quant_method", "bitsandbytes")
    if method != "bitsandbytes":
        return str(method)[:40]
    if section.get("load_in_4bit") or section.get("_load_in_4bit"):
        kind = section.get("bnb_4bit_quant_type", "fp4")
        return "NF4" if kind == "nf4" else f"bitsandbytes {str(kind)[:40]}"
    return "bitsandbytes INT8" if section.get("load_in_8bit") else "bitsandbytes without load_in_4bit"


def _check_parts(folder: Path, four_bit: Iterable[str], tensors: Mapping[str, Tensor]) -> None:
    """BadInput where a weight in NF4 lacks a tensor that describes it, or is no weight of a linear layer."""
    lacking = [name + part for name in sorted(four_bit) for part in ("", *NF4_NEEDED) if name + part not in tensors]
    lacking += [
        name + other
        for name in sorted(four_bit)
        for part, other in (NF4_NESTED, NF4_NESTED[::-1])
        if name + part in tensors and name + other not in tensors
    ]
    if lacking:
        shown = ", ".join(lacking[:3])
        raise BadInput(f"{folder}: {len(lacking)} tensors of its weights in NF4 are missing ({shown}); save it again")
    require(EMBEDDINGS not in four_bit, f"{folder}: its embeddings are in NF4, which is not supported; {ADVICE}")


def parts_of(four_bit: Iterable[str]) -> set[str]:
    """The names of all tensors that may stand beside these weights in NF4."""
    return {name + part for name in four_bit for part in (*NF4_NEEDED, *NF4_NESTED)}


def fits(packed: Tensor, shape: tuple[int, ...] | None) -> bool:
    """Whether a packed weight has room for exactly a matrix of this shape, two weights a byte, in any storage type."""
    if shape is None or len(shape) != 2 or packed.dtype not in DTYPE_BITS:
        return False
    unit = DTYPE_BITS[packed.dtype] // 8
    return packed.bytes == math.ceil(math.prod(shape) / (2 * unit)) * unit
