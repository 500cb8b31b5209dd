"""Real weights, in and out (given; no lesson builds it).

    from lib import hub

    model = hub.load("HuggingFaceTB/SmolLM2-135M")  # or a folder
    hub.save(model, "my_model")                     # a folder that other tools read

Both sides are Hugging Face's layout: a `config.json` and safetensors files. GPT-2, Llama, Qwen3,
SmolLM2, Gemma and Gemma 3 (its text model) are known, with all their sizes. Whatever a
`Transformer` would compute wrongly is refused by name. Nothing is ever unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib import _hub_files as files
from lib import _hub_names as names
from lib._hub_config import read_config
from lib._hub_files import HubError
from lib._hub_write import choose_architecture, tokenizer_config, write_config
from lib._transformer_config import Config
from lib.tokenizer import Tokenizer
from lib.transformer import Transformer

__all__ = ["HubError", "config_of", "folder_of", "load", "save"]

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
"""safetensors' names for what weights may be stored in."""


def folder_of(source: str | Path) -> Path:
    """The folder of a model, fetched from the hub if need be: its weights and its tokenizer.

    Args:
        source: a folder, or a name on the hub such as "HuggingFaceTB/SmolLM2-135M". What was
            fetched once is found again without a network.

    Raises:
        HubError: a `ValueError` of one line, when it is neither, or out of reach.
    """
    return files.find_folder(source, ["*.json", "model*.safetensors"])


def config_of(source: str | Path | Mapping[str, Any]) -> Config:
    """The shape of a published model, without its weights.

    Args:
        source: what is in its config.json, or that file, or its folder, or its name on the hub.

    Raises:
        ValueError: the model is of another kind, or has settings that are not supported.
        HubError: a `ValueError` of one line, when it is out of reach.
    """
    if isinstance(source, Mapping):
        return read_config(source)[1]
    if Path(source).suffix == ".json" and Path(source).is_file():
        return read_config(files.read_json(Path(source)))[1]
    folder = files.find_folder(source, ["config.json"])
    return read_config(files.read_json(folder / "config.json"))[1]


def load(
    source: str | Path,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Transformer:
    """A model with its published weights. They are copied one by one: memory holds them once.

    Args:
        source: a folder, or a name on the hub.
        device: where the weights go; left out, the CPU.
        dtype: what they become; left out, as they are in the file.

    Raises:
        ValueError: the folder is not a model's, the model is of another kind, tensors are missing,
            too many or of another shape, or a file is damaged; one line says which.
        HubError: a `ValueError` of one line, when the model is out of reach.
    """
    folder = folder_of(source)
    architecture, config = read_config(files.read_json(folder / "config.json"))
    with torch.device("meta"):  # shapes without memory
        model = Transformer(config)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    with files.open_tensors(folder) as tensors:
        prefix, head = names.prefix_of(architecture, tensors), names.head_of(tensors)
        places = names.places(shapes, architecture, prefix, head)
        expected = names.file_shapes(shapes, places)
        if config.tied and head in tensors:
            refuse_other_head(tensors[head], tensors.get(places["embedding.weight"].name), head)
            expected[head] = shapes["embedding.weight"]
        compare(tensors, expected, prefix, folder)
        dtype = stored_dtype(tensors, expected, dtype)
        for name, place in places.items():
            weight = torch.empty(shapes[name], dtype=dtype, device=device or "cpu")
            weight.copy_(read_part(tensors[place.name], place))
            owner, _, kind = name.rpartition(".")
            setattr(model.get_submodule(owner), kind, nn.Parameter(weight))
    if config.tied:
        model.head.weight = model.embedding.weight
    return model


def read_part(tensor: Any, place: names.Place) -> Tensor:
    """One parameter out of a tensor in a file, which may hold several."""
    if place.transposed:
        return tensor[:, place.start : place.stop].t()
    return tensor[place.start : place.stop]


def compare(
    tensors: Mapping[str, Any], expected: Mapping[str, tuple[int, ...]], prefix: str, folder: Path
) -> None:
    """Raise `ValueError` unless the files hold just what the config asks for."""
    if missing := [name for name in expected if name not in tensors]:
        raise ValueError(
            f"{folder} lacks tensors that its config asks for: {names.listed(missing)}"
        )
    surplus = [
        name
        for name in tensors
        if name not in expected and not names.IGNORED.fullmatch(name.removeprefix(prefix))
    ]
    if surplus:
        raise ValueError(
            f"{folder} holds tensors that its config has no use for: {names.listed(surplus)}"
        )
    for name, shape in expected.items():
        stored = tuple(tensors[name].get_shape())
        if stored != shape:
            raise ValueError(f"{folder}: {name} has the shape {stored}, its config says {shape}")


def stored_dtype(
    tensors: Mapping[str, Any], expected: Mapping[str, Any], dtype: torch.dtype | None
) -> torch.dtype:
    """What the weights become. Raises `ValueError` if they are quantised, or differ."""
    stored: dict[str, str] = {}
    for name in expected:
        kind = str(tensors[name].get_dtype())
        if kind not in DTYPES:
            raise ValueError(f"{name} is stored as {kind}: only {', '.join(DTYPES)} are supported")
        stored.setdefault(kind, name)
    if dtype is not None:
        if not dtype.is_floating_point:
            raise ValueError(f"weights are fractions: expected a floating dtype, got {dtype}")
        return dtype
    if len(stored) > 1:
        kinds = ", ".join(f"{kind} ({name})" for kind, name in stored.items())
        raise ValueError(f"the weights are of several kinds, {kinds}: say which dtype they become")
    return DTYPES[next(iter(stored))]


def refuse_other_head(head: Any, embedding: Any, name: str) -> None:
    """A tied model may carry its head a second time, but it must be the same one."""
    if embedding is None or head.get_shape() != embedding.get_shape():
        return  # told as missing or misshapen
    if not torch.equal(head[:], embedding[:]):
        raise ValueError(
            f"the config ties head and embedding, but {name} differs from the embedding: set "
            "tie_word_embeddings to false in config.json if the head is its own"
        )


def save(
    model: Transformer,
    folder: str | Path,
    architecture: str | None = None,
    shard_bytes: int = 5_000_000_000,
    *,
    bos_token_id: int | None = None,
    eos_token_id: int | list[int] | None = None,
    pad_token_id: int | None = None,
    tokenizer: Tokenizer | None = None,
    chat_template: str | None = None,
) -> None:
    """Write a model so that other tools read it: whole, or not at all.

    Left alone, `Config` describes a Qwen3, so that is what most models of this course become.

    Args:
        model: what to write, in the precision that it has.
        folder: a new one, or one that an earlier call wrote; other files in it stay.
        architecture: "qwen3", "llama", "gemma", "gemma3_text" or "gpt2"; left out, the first that
            has the model's settings.
        shard_bytes: larger models are cut into files of at most this size.
        bos_token_id: the token that begins a text, for tools that generate.
        eos_token_id: the token, or tokens, at which they stop.
        pad_token_id: the token that fills up a batch.
        tokenizer: written beside the model, as other tools read it.
        chat_template: how messages become a text, in Jinja: `lib.chat.TEMPLATE` for an assistant of
            this course. Goes with the tokenizer, and with the eos_token_id that ends a turn.

    Raises:
        ValueError: no architecture knows the model's settings, or not the one given; or the folder
            holds what was not written here.
    """
    config = model.config
    if chat_template is not None and (tokenizer is None or eos_token_id is None):
        raise ValueError(
            "a chat_template needs the tokenizer and the eos_token_id that ends a turn: other "
            "tools would not know where an answer ends"
        )
    architecture = choose_architecture(config, architecture)
    parameters = dict(model.named_parameters())
    with torch.device("meta"):
        plain = dict(Transformer(config).named_parameters())
    shapes = {name: tuple(parameter.shape) for name, parameter in plain.items()}
    places = names.places({name: tuple(p.shape) for name, p in parameters.items()}, architecture)
    if absent := [name for name in plain if name not in parameters]:
        raise ValueError(f"the model lacks parameters of its config: {names.listed(absent)}")
    parts: dict[str, list[str]] = {}
    for name in shapes:
        parts.setdefault(places[name].name, []).append(name)

    def whole(ours: list[str]) -> Tensor:
        joined = torch.cat([parameters[name].detach().cpu() for name in ours])
        return joined.t().contiguous() if places[ours[0]].transposed else joined

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, ours in parts.items():
            yield name, whole(ours)

    def size(ours: list[str]) -> int:
        return sum(parameters[name].numel() * parameters[name].element_size() for name in ours)

    dtype = str(parameters["embedding.weight"].dtype).removeprefix("torch.")
    ids = {"bos_token_id": bos_token_id, "eos_token_id": eos_token_id, "pad_token_id": pad_token_id}
    with files.new_folder(Path(folder)) as beside:
        sizes = {name: size(ours) for name, ours in parts.items()}
        files.write_tensors(beside, sizes, tensors(), shard_bytes)
        content = write_config(config, architecture, dtype, ids)
        files.write_json(beside / "config.json", content)
        if tokenizer is not None:
            tokenizer.save(beside / "tokenizer.json")
            described = tokenizer_config(config, tokenizer, ids, chat_template)
            files.write_json(beside / "tokenizer_config.json", described)
