"""Folders of weights: opening safetensors, writing them whole or not at all, asking the hub."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lib._hub_names import listed

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
METADATA = {"format": "pt", "writer": "lib.hub"}
"""In every file that is written here: the format, as readers want it, and by whom."""


class HubError(ValueError):
    """A model on the hub is out of reach. The message is one line and says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


# --- reading --------------------------------------------------------------------------------------


def read_json(path: Path) -> dict[str, Any]:
    """An object from a JSON file. `ValueError` says in one line what is wrong with it."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path.parent} holds no {path.name}: expected a model's folder") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no JSON, or only a part of it: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected an object, got {type(content).__name__}")
    return content


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that hold a model, one or several.

    Raises:
        ValueError: there are none, or some are missing; pickles are refused.
    """
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    if not (folder / INDEX).is_file():
        pickles = sorted(
            file.name for kind in ("*.bin", "*.pt", "*.pth") for file in folder.glob(kind)
        )
        if pickles:
            raise ValueError(
                f"{folder} holds {listed(pickles)}, which is a pickle: reading one can run any "
                f"code that it carries, so it is not opened; get the model as {SINGLE}"
            )
        raise ValueError(f"{folder} holds no {SINGLE} and no {INDEX}")
    weight_map = read_json(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ValueError(f"{folder / INDEX}: expected a weight_map of tensor to file")
    names = sorted({str(name) for name in weight_map.values()})
    for name in names:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise ValueError(f"{folder / INDEX}: {name!r} is no safetensors file of this folder")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise ValueError(f"{folder} is not complete, it lacks {listed(missing)}: fetch it again")
    return [folder / name for name in names]


@contextmanager
def open_tensors(folder: Path) -> Iterator[dict[str, Any]]:
    """All tensors of a folder by name, as slices that are read only when asked for.

    Raises:
        ValueError: a file is damaged, or a tensor is there twice.
    """
    with ExitStack() as opened:
        tensors: dict[str, Any] = {}
        for file in weight_files(folder):
            try:
                content = opened.enter_context(safe_open(file, framework="pt"))
                names = list(content.keys())
            except SafetensorError as error:
                raise ValueError(
                    f"{file} is damaged or was cut short ({error}): fetch it again"
                ) from None
            if twice := sorted(set(names) & set(tensors)):
                raise ValueError(f"{folder} holds {listed(twice)} more than once")
            tensors.update((name, content.get_slice(name)) for name in names)
        yield tensors


# --- writing --------------------------------------------------------------------------------------


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """An empty folder beside `folder` to write into; at the end it takes its place, or vanishes.

    What an earlier model left in `folder` is replaced; files of others beside it, a tokenizer for
    instance, stay.

    Raises:
        ValueError: `folder` holds a model that was not written here, or something else.
    """
    folder = folder.expanduser().resolve()
    refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside, old = (
        folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("part", "old")
    )
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    try:
        yield beside
        if not folder.exists():
            os.replace(beside, folder)
            return
        os.replace(folder, old)
        try:
            os.replace(beside, folder)
        except OSError:
            os.replace(old, folder)
            raise
        for file in old.iterdir():
            if not is_ours(file.name) and not (folder / file.name).exists():
                os.replace(file, folder / file.name)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def is_ours(name: str) -> bool:
    """Whether this is the name of a file that `save` writes."""
    return name in ("config.json", INDEX) or (
        name.startswith("model") and name.endswith(".safetensors")
    )


def refuse_foreign(folder: Path) -> None:
    """Raise `ValueError` if writing to `folder` would destroy what was not written here."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ValueError(f"{folder} is a file: give a folder that is new, or empty")
    files = sorted(file.name for file in folder.iterdir())
    weights = [name for name in files if name.endswith(".safetensors")]
    written_here = bool(weights) and all(_written_here(folder / name) for name in weights)
    if files and not written_here:
        raise ValueError(
            f"{folder} holds {listed(files)}, which this library did not write: give a folder that "
            "is new, or empty"
        )


def _written_here(file: Path) -> bool:
    with suppress(SafetensorError, OSError), safe_open(file, framework="pt") as content:
        return (content.metadata() or {}).get("writer") == METADATA["writer"]
    return False


def write_tensors(
    folder: Path, sizes: Mapping[str, int], tensors: Iterator[tuple[str, Tensor]], shard_bytes: int
) -> None:
    """Write tensors into one file, or into several with an index.

    Args:
        folder: where to; empty.
        sizes: bytes of each tensor, in the order in which they come.
        tensors: names and tensors. One file's worth of them is kept at a time.
        shard_bytes: a file holds no more than this, unless a single tensor does.
    """
    shards: list[list[str]] = []
    filled = 0
    for name, size in sizes.items():
        if not shards or filled + size > shard_bytes:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    weight_map: dict[str, str] = {}
    for number, names in enumerate(shards, start=1):
        file = SINGLE if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file({name: next(tensors)[1] for name in names}, folder / file, metadata=METADATA)
        weight_map |= dict.fromkeys(names, file)
    if len(shards) > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        write_json(folder / INDEX, index)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON that people can read too."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


# --- the hub --------------------------------------------------------------------------------------


def find_folder(source: str | Path, patterns: list[str]) -> Path:
    """The folder that `source` names; of a model on the hub, the files that match are fetched."""
    name, path = str(source), Path(source).expanduser()
    if name and path.is_dir():
        return path
    local = isinstance(source, Path) or name[:1] in ("", ".", "/", "~") or "\\" in name
    if local or name.count("/") > 1 or path.is_file():
        what = "is a file: give the folder it lies in" if path.is_file() else "is no folder"
        raise HubError(f"{name!r} {what} (looked from {Path.cwd()})")
    try:
        import huggingface_hub as hub
        from huggingface_hub import errors
    except ImportError:
        raise HubError(
            f"there is no folder {name!r} here, and to get a model of that name from the hub the "
            "package huggingface_hub is needed: pip install huggingface_hub"
        ) from None
    try:
        return Path(hub.snapshot_download(name, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except errors.GatedRepoError:
        raise HubError(
            f"the model {name!r} is given only to those who accepted its terms: do so on its page, "
            "then log in with: hf auth login"
        ) from None
    except errors.RepositoryNotFoundError:
        raise HubError(f"there is no folder {name!r} here, and no such model on the hub") from None
    except errors.HFValidationError:
        raise HubError(f"{name!r} is neither a folder nor the name of a model on the hub") from None
    except Exception as error:  # each network library has errors of its own
        raise HubError(
            f"there is no folder {name!r} here, and the hub is out of reach "
            f"({type(error).__name__}): go online, or give the folder of a model that you have"
        ) from None
