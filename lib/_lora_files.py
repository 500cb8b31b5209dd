"""Adapters on disk, as PEFT has them: names, a config, one safetensors file (given)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib import _hub_files as files
from lib import _hub_names as names
from lib._hub_write import choose_architecture
from lib._lora_parts import Adapter, LowRank
from lib._transformer_config import Config

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."
"""What PEFT puts before every name."""
SETTINGS = ("r", "lora_alpha", "peft_type")

REFUSED = {
    "fan_in_fan_out": "transposed weights",
    "lora_bias": "biases beside B",
    "modules_to_save": "whole modules beside LoRA",
    "trainable_token_indices": "trained rows of the embedding",
    "target_parameters": "parameters that are no linear layer's",
    "layer_replication": "repeated layers",
    "alora_invocation_tokens": "activation by certain tokens",
}
"""Settings that change what an adapter does, in words. One that is set is refused."""
STARTS = (True, False, None, "gaussian", "orthogonal", "eva")
"""Ways to start that leave the base as it is. Others (PiSSA, OLoRA …) take something out of it."""


def their_layers(layers: Iterable[str], config: Config, architecture: str | None) -> dict[str, str]:
    """Our names of linear layers to theirs, "model.layers.0.self_attn.q_proj".

    Raises:
        ValueError: no architecture that others know has the model's settings, or it is GPT-2, whose
            query, key and value are one matrix there.
    """
    architecture = choose_architecture(config, architecture)
    if architecture == "gpt2":
        raise ValueError(
            "GPT-2 keeps query, key and value in one matrix, so its adapters are not ours: merge "
            "with merge_lora and save the model with lib.hub"
        )
    weights = {f"{layer}.weight": (1, 1) for layer in layers}
    found = names.places(weights, architecture)
    return {
        ours.removesuffix(".weight"): place.name.removesuffix(".weight")
        for ours, place in found.items()
    }


# --- writing --------------------------------------------------------------------------------------


def write_adapter(
    folder: str | Path, adapter: Adapter, theirs: Mapping[str, str], base: str | None
) -> None:
    """Write an adapter, whole or not at all.

    Args:
        folder: a new one, or one that an earlier call wrote.
        adapter: what is written.
        theirs: our name to theirs for every linear layer of the model that could be adapted.
        base: the model it is for: a folder or a name on the hub.

    Raises:
        ValueError: the folder holds a model, or what was not written here.
    """
    folder = Path(folder)
    if any(folder.glob("model*.safetensors")):
        raise ValueError(f"{folder} holds a model: give the adapter a folder of its own")
    if surplus := [name for name in adapter if name not in theirs]:
        raise ValueError(f"PEFT has no name for {surplus[0]}: only layers of a plain Transformer")
    tensors = {}
    for name, part in adapter.items():
        for kind, x in (("A", part.A), ("B", part.B)):
            tensors[f"{PREFIX}{theirs[name]}.lora_{kind}.weight"] = x.detach().cpu().contiguous()
    with files.new_folder(folder) as beside:
        save_file(tensors, beside / WEIGHTS, metadata=files.METADATA)
        files.write_json(beside / CONFIG, adapter_config(adapter, theirs, base))


def adapter_config(adapter: Adapter, theirs: Mapping[str, str], base: str | None) -> dict[str, Any]:
    """What goes into `adapter_config.json`."""
    rank = Counter(part.rank for part in adapter.values()).most_common(1)[0][0]
    alpha = Counter(part.alpha for part in adapter.values()).most_common(1)[0][0]
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": _whole(alpha),
        "rank_pattern": {theirs[n]: x.rank for n, x in adapter.items() if x.rank != rank},
        "alpha_pattern": {
            theirs[n]: _whole(x.alpha) for n, x in adapter.items() if x.alpha != alpha
        },
        "target_modules": targets(adapter, theirs),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
        "init_lora_weights": True,
    }


def targets(adapter: Collection[str], theirs: Mapping[str, str]) -> list[str]:
    """How to call the adapted layers: "q_proj" where all of that name are, else by whole names."""

    def short(name: str) -> str:
        return theirs[name].rpartition(".")[2]

    adapted = {short(name) for name in adapter}
    if all(name in adapter for name in theirs if short(name) in adapted):
        return sorted(adapted)
    return sorted(theirs[name] for name in adapter)


def _whole(x: float) -> float | int:
    return int(x) if x == int(x) else x


# --- reading --------------------------------------------------------------------------------------


def read_adapter(
    source: str | Path, theirs: Mapping[str, str], prefixes: tuple[str, ...]
) -> Adapter:
    """Read an adapter that PEFT or `write_adapter` has written.

    Args:
        source: a folder, or a name on the hub.
        theirs: our name to theirs for every linear layer of the model that could be adapted.
        prefixes: what may stand before "layers" in the names; the first stands so in `theirs`.

    Raises:
        ValueError: it is no LoRA adapter, is of a kind that would be computed wrongly, is for
            another model, or is damaged; one line says which.
    """
    folder = files.find_folder(source, [CONFIG, WEIGHTS])
    config = files.read_json(folder / CONFIG)
    refuse_other_kinds(config, folder)
    ours: dict[str, str] = {}
    for name, their in theirs.items():
        for prefix in prefixes:
            ours[prefix + their.removeprefix(prefixes[0])] = name
    pairs: dict[str, dict[str, Tensor]] = {}
    for name, x in _tensors(folder).items():
        match = re.fullmatch(re.escape(PREFIX) + r"(.+)\.lora_([AB])\.weight", name)
        if match is None:
            raise ValueError(f"{folder}: {name} is not part of a plain LoRA adapter")
        if match[1] not in ours:
            raise ValueError(
                f"{folder} adapts {match[1]}, and the model has no such linear layer: is the "
                "adapter for another model?"
            )
        pairs.setdefault(match[1], {})[match[2]] = x
    adapter: Adapter = {}
    for their, pair in pairs.items():
        if len(pair) < 2:
            raise ValueError(f"{folder} is not complete: {their} has lora_{next(iter(pair))} alone")
        rank = int(_by_pattern(config, "rank_pattern", their, config["r"]))
        alpha = float(_by_pattern(config, "alpha_pattern", their, config["lora_alpha"]))
        if pair["A"].ndim != 2 or pair["B"].ndim != 2 or pair["A"].size(0) != rank:
            raise ValueError(
                f"{folder}: {their} has matrices of shapes {tuple(pair['A'].shape)} and "
                f"{tuple(pair['B'].shape)}, its config says rank {rank}"
            )
        if config.get("use_rslora"):  # α/√r (arXiv 2312.03732): an α that is √r times as large
            alpha *= math.sqrt(rank)
        adapter[ours[their]] = LowRank(pair["A"], pair["B"], alpha)
    if not adapter:
        raise ValueError(f"{folder / WEIGHTS} holds no LoRA matrices")
    return adapter


def refuse_other_kinds(config: Mapping[str, Any], folder: Path) -> None:
    """Raise `ValueError` unless the config is that of a plain LoRA adapter."""
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ValueError(f"{folder} holds an adapter of the kind {kind}: only LORA is supported")
    if missing := [key for key in SETTINGS if config.get(key) is None]:
        raise ValueError(f"{folder / CONFIG} does not say {', '.join(missing)}")
    for key, value in config.items():
        if not value:
            continue
        if key in REFUSED:
            raise ValueError(f"{folder} uses {REFUSED[key]} ({key}), which is not supported")
        if key.startswith("use_") and key != "use_rslora":
            known = "DoRA" if key == "use_dora" else key
            raise ValueError(f"{folder} is not plain LoRA but {known}, which is not supported")
    if config.get("bias", "none") != "none":
        raise ValueError(f"{folder} has trained biases too, which is not supported: bias='none'")
    start = config.get("init_lora_weights", True)
    if start not in STARTS:
        raise ValueError(
            f"{folder} was started as {start!r}, which changes the base as well: save it as a "
            "plain adapter from PEFT first"
        )


def _by_pattern(config: Mapping[str, Any], which: str, layer: str, otherwise: Any) -> Any:
    """The setting of one layer: the first pattern that fits the end of its name, as PEFT reads."""
    for pattern, value in (config.get(which) or {}).items():
        if re.match(rf"(.*\.)?({pattern})$", layer):
            return value
    return otherwise


def _tensors(folder: Path) -> dict[str, Tensor]:
    if not (folder / WEIGHTS).is_file():
        pickled = (folder / "adapter_model.bin").is_file()
        more = ": adapter_model.bin is a pickle and is not opened" if pickled else ""
        raise ValueError(f"{folder} holds no {WEIGHTS}{more}")
    try:
        return load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{folder / WEIGHTS} is damaged or was cut short: {error}") from None
