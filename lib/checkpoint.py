"""Checkpoints: a model on disk, with all it takes to go on (given; no lesson builds it).

A checkpoint is a folder:

    model.safetensors      the weights
    training.safetensors   what the optimizer remembers and the state of the random numbers, if kept
    card.json              the model's shape, the recipe that made it, the sha256 of the other files
    tokenizer.json         if there is one

It is written beside its place and then renamed: a crash leaves the old one or the new one, never
half of one (an old one that a crash left under another name is found again). Reading refuses
whatever does not fit its card, and never unpickles anything, so that a stranger's file can do no
harm.
"""

from __future__ import annotations

import argparse
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lib._places import workbook_folder
from lib._training_parallel import gathered, spread_like
from lib.tokenizer import Tokenizer
from lib.transformer import Config, Transformer

FORMAT = 1
DATA = Path(__file__).resolve().parents[1] / "data"
"""What comes with the course: small files that lessons read."""
WEIGHTS, TRAINING, CARD, TOKENIZER = (
    "model.safetensors",
    "training.safetensors",
    "card.json",
    "tokenizer.json",
)


class CheckpointError(ValueError):
    """A checkpoint cannot be read. The message says which, what is wrong and what to do."""


def save(
    folder: str | Path,
    model: Transformer,
    tokenizer: Tokenizer | None = None,
    card: dict[str, Any] | None = None,
    training: dict[str, Tensor] | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write a checkpoint, complete or not at all.

    Args:
        folder: where; a checkpoint that is there already is replaced.
        model: its weights and config are written.
        tokenizer: what turns text into the model's tokens.
        card: whatever should be known of it: recipe, data, results, as plain values.
        training: tensors that only going on with the training needs.
        dtype: the precision of the weights in the file; left out, as they are.

    Returns:
        The folder.

    Raises:
        ValueError: the folder is there and is no checkpoint; or the model has LoRA or a quantised
            base, which `load` would not know. With `training` it is written all the same: who goes
            on with the training has added LoRA again before.
    """
    if training is None and any(getattr(module, "unmerged", False) for module in model.modules()):
        raise ValueError(
            "the model has LoRA, or a quantised base, and a checkpoint holds a plain model: write "
            "lib.lora.save_adapter(model, folder), or merge_lora(model) first"
        )
    return _save(Path(folder), weights_of(model), model.config, tokenizer, card, training, dtype)


def _save(
    folder: Path,
    weights: dict[str, Tensor],
    config: Config,
    tokenizer: Tokenizer | None,
    card: dict[str, Any] | None,
    training: dict[str, Tensor] | None,
    dtype: torch.dtype | None,
) -> Path:
    """Write weights, by name, as a checkpoint."""
    _mend(folder)
    if folder.exists() and not (folder / CARD).exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds something else than a checkpoint: choose another place")
    beside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        small = {name: _for_file(x, dtype) for name, x in weights.items()}
        save_file(small, beside / WEIGHTS, metadata={"format": "pt"})
        if training is not None:
            save_file({name: _for_file(x) for name, x in training.items()}, beside / TRAINING)
        if tokenizer is not None:
            tokenizer.save(beside / TOKENIZER)
        _write_card(beside, config, card or {})
        _flush(beside)
        _replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def load(folder: str | Path, device: torch.device | str | None = None) -> Transformer:
    """The model of a checkpoint, in float32, ready to be trained or used.

    Raises:
        CheckpointError: it is not there, not whole, or not of this kind.
    """
    folder = Path(folder)
    card = read_card(folder)
    try:
        config = Config.from_dict(card["config"])
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"the card of {folder} describes no model: {error}") from None
    model = Transformer(config)
    load_weights(model, read_tensors(folder, WEIGHTS, card), folder)
    return model.to(device or "cpu")


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer of a checkpoint.

    Raises:
        CheckpointError: it has none, or it was changed.
    """
    folder = Path(folder)
    _verify(folder, TOKENIZER, read_card(folder))
    return Tokenizer.load(folder / TOKENIZER)


def load_training(folder: str | Path) -> dict[str, Tensor]:
    """What only going on with the training needs, as it was given to `save`."""
    folder = Path(folder)
    return read_tensors(folder, TRAINING, read_card(folder))


def read_card(folder: str | Path) -> dict[str, Any]:
    """What is known of a checkpoint: config, recipe, results, files.

    Raises:
        CheckpointError: there is no card, or somebody changed it.
    """
    folder = Path(folder)
    _mend(folder)
    path = folder / CARD
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{folder} is no checkpoint: it has no {CARD}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): fetch it again") from None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not the card of a checkpoint of format {FORMAT}")
    said = card.pop("sha256", None)
    if said != _digest_of_card(card):
        raise CheckpointError(
            f"{path} was changed after it was written: fetch the checkpoint again, or write it "
            "with lib.checkpoint.save"
        )
    files = card.get("files")
    if not isinstance(files, dict) or not all(
        isinstance(known, dict) and {"bytes", "sha256"} <= set(known) for known in files.values()
    ):
        raise CheckpointError(f"{path} does not say which files belong to it: fetch it again")
    return card


def read_tensors(folder: Path, name: str, card: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of one file of a checkpoint, after a look at its sha256."""
    _verify(folder, name, card)
    try:
        return load_file(folder / name)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{folder / name} is no safetensors file: {error}") from None


def load_weights(model: torch.nn.Module, weights: dict[str, Tensor], origin: object) -> None:
    """Copy `weights` into `model`, in its precision.

    Raises:
        CheckpointError: names or shapes differ; the model is unchanged.
    """
    own = weights_of(model)
    missing, surplus = sorted(set(own) - set(weights)), sorted(set(weights) - set(own))
    if missing or surplus:
        lack = f"; it lacks {', '.join(missing[:4])}" if missing else ""
        extra = f"; it has {', '.join(surplus[:4])} besides" if surplus else ""
        if any(name.endswith((".A", ".B")) for name in surplus):
            extra += ": it was saved with LoRA, so add_lora before loading it"
        raise CheckpointError(f"the weights of {origin} are for another model{lack}{extra}")
    for name, x in own.items():
        if x.shape != weights[name].shape:
            raise CheckpointError(
                f"{name} has shape {tuple(weights[name].shape)} in {origin}, the model needs "
                f"{tuple(x.shape)}"
            )
    with torch.no_grad():
        for name, x in own.items():
            x.copy_(spread_like(weights[name], x))


def weights_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """A model's weights by name, shared ones (a tied head) once."""
    seen: set[int] = set()
    found: dict[str, Tensor] = {}
    for name, x in model.state_dict(keep_vars=True).items():
        if id(x) not in seen:
            seen.add(id(x))
            found[name] = x
    return found


def latest(folder: str | Path) -> Path | None:
    """The checkpoint with the highest step among `folder`/step-…; None if there is none."""
    found = [
        (int(match[1]), path)
        for path in Path(folder).glob("step-*")
        if (match := re.fullmatch(r"step-(\d+)", path.name)) and (path / CARD).exists()
    ]
    return max(found)[1] if found else None


def shipped(name: str) -> Path:
    """The folder of a checkpoint that comes with the course, in data/.

    Raises:
        CheckpointError: there is none of this name.
    """
    folder = DATA / name
    if not (folder / CARD).exists():
        known = sorted(path.parent.name for path in DATA.glob(f"*/{CARD}"))
        there = f"there are: {', '.join(known)}" if known else f"there is none in {DATA}"
        raise CheckpointError(f"no checkpoint {name!r} comes with the course; {there}")
    return folder


def own_folder(name: str) -> Path:
    """Where a learner's own checkpoint of this name is kept, in the workbook."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(
            f"expected a name of letters, digits, '-' and '_' such as 'assistant', got {name!r}"
        )
    return workbook_folder() / "models" / name


def start_from(name: str, own: bool = False) -> Path:
    """The folder of the checkpoint that a lesson starts from.

    Args:
        name: what it is called: "mini", "assistant" …
        own: yours, which an earlier lesson has kept, in place of the course's.

    Raises:
        CheckpointError: there is none of this name.
    """
    if not own:
        return shipped(name)
    folder = own_folder(name)
    _mend(folder)
    if not (folder / CARD).exists():
        known = sorted(path.parent.name for path in folder.parent.glob(f"*/{CARD}"))
        there = f"there are: {', '.join(known)}" if known else "there is none yet"
        raise CheckpointError(
            f"you have no checkpoint {name!r} of your own ({there}): run the lesson that keeps it, "
            "or start from the one that comes with the course, with own=False"
        )
    return folder


def keep(
    name: str,
    model: Transformer,
    tokenizer: Tokenizer | None = None,
    card: dict[str, Any] | None = None,
    dtype: torch.dtype | None = torch.float16,
) -> Path:
    """Write a learner's own checkpoint into the workbook, where `start_from(name, own=True)` finds
    it in later lessons. One of the same name is replaced.

    Args:
        name: what it is called.
        model: as for `save`, and so are the others.
        tokenizer: what turns text into the model's tokens.
        card: whatever should be known of it.
        dtype: the precision of the weights in the file; None, as they are.
    """
    return save(own_folder(name), model, tokenizer, card, dtype=dtype)


def ship(run: str | Path, name: str, dtype: torch.dtype = torch.float16) -> Path:
    """Put the latest checkpoint of a training run into data/, small: python -m lib.checkpoint.

    Args:
        run: the folder of the run, as the training's config names it.
        name: what it will be called.
        dtype: the precision of the weights in the file.

    Raises:
        CheckpointError: the run has no checkpoint.
    """
    found = latest(run)
    if found is None:
        raise CheckpointError(f"{run} has no checkpoint: expected folders step-… in it")
    card = read_card(found)
    weights, config = read_tensors(found, WEIGHTS, card), Config.from_dict(card["config"])
    told = {key: value for key, value in card.items() if key not in ("config", "files")}
    made = str(card.get("command", ""))
    if (DATA / f"{name}_recipe.json").exists():
        made = made.replace("FILE", f"data/{name}_recipe.json")
    if made:
        told["command"] = f"{made}; python -m lib.checkpoint {run} {name}"
    if (found / TRAINING).exists():
        kept = load_training(found)
        if "history" in kept:
            told["results"] = _results(json.loads(bytes(kept["history"].tolist())))
    # Whatever the weights are of: a language model, or a reward model.
    return _save(DATA / name, weights, config, load_tokenizer(found), told, None, dtype)


def _results(records: list[dict[str, Any]]) -> dict[str, Any]:
    """What a run has measured, in short: what it read, how long it took, where it came to.

    Each measure of held-out text is a list of [step, value].
    """
    steps = [record for record in records if "loss" in record]
    usual = {"step", "loss", "gradient_norm", "rate", "tokens", "seconds"}
    measured: dict[str, Any] = {}
    for record in records:
        for key in set(record) - usual:
            measured.setdefault(key, []).append([record["step"], round(record[key], 4)])
    last = steps[-50:]
    return {
        **dict(sorted(measured.items())),
        "last_loss": round(sum(record["loss"] for record in last) / max(len(last), 1), 4),
        "tokens": sum(record["tokens"] for record in steps),
        "hours": round(sum(record["seconds"] for record in steps) / 3600, 2),
    }


def sha256(path: str | Path) -> str:
    """The sha256 of a file, in hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _for_file(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    x = gathered(x).cpu()
    return (x.to(dtype) if dtype is not None and x.is_floating_point() else x).contiguous()


def _digest_of_card(card: dict[str, Any]) -> str:
    text = json.dumps(card, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write_card(folder: Path, config: Config, extra: dict[str, Any]) -> None:
    files = {
        path.name: {"sha256": sha256(path), "bytes": path.stat().st_size}
        for path in sorted(folder.iterdir())
    }
    card = {**extra, "format": FORMAT, "config": config.to_dict(), "files": files}
    card = json.loads(json.dumps(card))  # as it will be read
    card["sha256"] = _digest_of_card(card)
    text = json.dumps(card, indent=2, ensure_ascii=False) + "\n"
    (folder / CARD).write_text(text, encoding="utf-8")


def _verify(folder: Path, name: str, card: dict[str, Any]) -> None:
    """Refuse a file that is not the one the card was written for."""
    path, known = folder / name, card["files"].get(name)
    if known is None:
        raise CheckpointError(f"the checkpoint {folder} was written without {name}")
    if not path.exists():
        raise CheckpointError(f"{path} is missing: fetch the checkpoint again")
    size = path.stat().st_size
    if size != known["bytes"]:
        raise CheckpointError(
            f"{path} has {size:,} bytes, its card says {known['bytes']:,}: it was cut off or "
            "replaced; fetch it again"
        )
    if sha256(path) != known["sha256"]:
        raise CheckpointError(
            f"{path} is not what its card was written for (the sha256 differs): it is damaged or "
            "was replaced; fetch it again"
        )


def _flush(folder: Path) -> None:
    """Make sure the bytes are on the disk before the name is."""
    for path in folder.iterdir():
        with open(path, "rb+") as stream:
            os.fsync(stream.fileno())


def _replace(beside: Path, folder: Path) -> None:
    """Give `beside` the name of `folder`. The old one, if any, goes only after the new one is
    complete, and comes back if the new one cannot take its place."""
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        beside.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    for left in _left(folder, "part") + _left(folder, "old"):
        shutil.rmtree(left, ignore_errors=True)


def _mend(folder: Path) -> None:
    """Bring an old checkpoint back, if a process was killed just before the new one took its
    place."""
    for old in [] if folder.exists() else _left(folder, "old"):
        if (old / CARD).exists():
            with contextlib.suppress(OSError):
                old.rename(folder)
            return


def _left(folder: Path, kind: str) -> list[Path]:
    """What a write of `folder` has put beside it, of this process or of one that was killed."""
    return sorted(folder.parent.glob(f".{glob.escape(folder.name)}.*.{kind}"))


def main() -> None:
    """python -m lib.checkpoint RUN NAME: the latest checkpoint of a run, into data/NAME."""
    parser = argparse.ArgumentParser(prog="python -m lib.checkpoint", description=main.__doc__)
    parser.add_argument("run", help="the folder of a training run")
    parser.add_argument("name", help="what it is called in data/")
    options = parser.parse_args()
    try:
        print(ship(options.run, options.name))
    except CheckpointError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
