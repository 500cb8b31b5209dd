"""Where our parameters lie in Hugging Face's files: names, fused tensors, transposed ones."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

_GPT2 = {
    "blocks": "h",
    "embedding": "wte",
    "position": "wpe",
    "norm": "ln_f",
    "attention_norm": "ln_1",
    "mlp_norm": "ln_2",
    "attention.query": "attn.c_attn",
    "attention.key": "attn.c_attn",
    "attention.value": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}
_LLAMA = {
    "blocks": "layers",
    "embedding": "embed_tokens",
    "norm": "norm",
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
    "mlp.gate": "mlp.gate_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}
_GEMMA3 = _LLAMA | {
    "attention_post_norm": "post_attention_layernorm",  # not what Llama calls so
    "mlp_norm": "pre_feedforward_layernorm",
    "mlp_post_norm": "post_feedforward_layernorm",
}
NAMES = {"gpt2": _GPT2, "llama": _LLAMA, "qwen3": _LLAMA, "gemma": _LLAMA, "gemma3_text": _GEMMA3}
"""Our module names to theirs."""

HEAD = "lm_head.weight"
PREFIXES = {
    "gpt2": ("transformer.", ""),
    "gemma3_text": ("model.", "language_model.model.", "model.language_model.", ""),
}
"""What stands before all names but the head's; the first is what we write."""

IGNORED = re.compile(
    r"h\.\d+\.attn\.(bias|masked_bias)"  # GPT-2's causal mask
    r"|layers\.\d+\.self_attn\.rotary_emb\.inv_freq"
    r"|(model\.)?(vision_tower|multi_modal_projector)\..*"  # what sees, in Gemma 3
)
"""Tensors, without prefix, that hold nothing which a `Transformer` learns."""


@dataclass(frozen=True)
class Place:
    """Where one of our parameters lies.

    Attributes:
        name: the tensor in the file.
        start: its first row there (column if transposed).
        stop: the row after its last.
        transposed: GPT-2 keeps its matrices (in, out), torch and all others (out, in).
    """

    name: str
    start: int
    stop: int
    transposed: bool


def prefix_of(architecture: str, names: Collection[str]) -> str:
    """What stands before the names in this file."""
    anchor = NAMES[architecture]["embedding"] + ".weight"
    prefixes = PREFIXES.get(architecture, ("model.", ""))
    return next((prefix for prefix in prefixes if prefix + anchor in names), prefixes[0])


def head_of(names: Collection[str]) -> str:
    """The head's name in this file."""
    other = f"language_model.{HEAD}"
    return other if other in names else HEAD


def places(
    shapes: Mapping[str, tuple[int, ...]],
    architecture: str,
    prefix: str | None = None,
    head: str = HEAD,
) -> dict[str, Place]:
    """For each of our parameters, in their order, its place in the file.

    Args:
        shapes: our parameters' names and shapes.
        architecture: whose names to use.
        prefix: left out, the one that we write.
        head: the head's name there.

    Raises:
        ValueError: a parameter is none of a plain `Transformer`'s.
    """
    if prefix is None:
        prefix = PREFIXES.get(architecture, ("model.",))[0]
    filled: dict[str, int] = {}
    found: dict[str, Place] = {}
    for ours, shape in shapes.items():
        name = head if ours == "head.weight" else prefix + _their_name(ours, NAMES[architecture])
        transposed = architecture == "gpt2" and ours.startswith("blocks.") and len(shape) == 2
        start = filled.get(name, 0)
        filled[name] = start + shape[0]
        found[ours] = Place(name, start, filled[name], transposed)
    return found


def _their_name(ours: str, names: Mapping[str, str]) -> str:
    module, _, kind = ours.rpartition(".")
    block = re.fullmatch(r"blocks\.(\d+)\.(.+)", module)
    inner = block[2] if block else module
    if inner not in names or kind not in ("weight", "bias"):
        raise ValueError(
            f"the parameter {ours!r} is none of a plain Transformer's: if adapters were added, "
            "merge them first"
        )
    return (
        f"{names['blocks']}.{block[1]}.{names[inner]}.{kind}" if block else f"{names[inner]}.{kind}"
    )


def file_shapes(
    shapes: Mapping[str, tuple[int, ...]], found: Mapping[str, Place]
) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in the file; a fused one is as long as its parts together."""
    result = {}
    for ours, place in found.items():
        shape = (place.stop, *shapes[ours][1:])  # of a fused one, the last part's stop stays
        result[place.name] = shape[::-1] if place.transposed else shape
    return result


def listed(names: Iterable[str], most: int = 4) -> str:
    """Names for a message, the first few of them."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
