"""Long runs outside of notebooks: python -m lib.sft --config FILE (given).

The file is JSON. This is one with everything in it; what is left out is as here, but for
"conversations", "n_steps" and "folder", which must be there:

    {
      "start": "mini",
      "conversations": [
        {"name": "town", "part": "instructions", "size": 20000, "seed": 0},
        {"name": "dolly", "size": 1000},
        {"name": "file", "path": "my_chats.jsonl"},
        {"name": "town", "part": "stories", "size": 5000, "plain": true}
      ],
      "n_context": 384, "cut": false,
      "batch_size": 12, "n_parts": 1, "n_steps": 2000, "seed": 0,
      "optimizer": {"name": "muon", "lr": 0.01, "embedding_lr": 0.005, "weight_decay": 0.01},
      "warmup": 0.05, "final": 0.0,
      "precision": "auto", "compiled": false, "fused": false, "sharded": false,
      "evaluate_every": 200, "save_every": 200,
      "folder": "runs/assistant"
    }

"start" is a checkpoint that comes with the course, or the folder of one, or of a run. Conversations
come from `lib.corpora.read_records`, or from a file with one {"messages": [...]} a line. "plain"
documents are texts to be gone on reading, so that they are not forgotten: every token counts, and
what is longer than a row is cut. "cut" does so with conversations, which are an error otherwise.

Run it again with the same folder, and it goes on where it stopped. With torchrun it trains on
several processes; "sharded" then means FSDP.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib import _training_cli as cli
from lib import _training_parallel as parallel
from lib import sft, training
from lib._training_data import END
from lib.checkpoint import DATA, latest, load, load_tokenizer, shipped
from lib.corpora import read, read_jsonl, read_records
from lib.corpora._base import is_held_out
from lib.optim import learning_rate, make_optimizer
from lib.tokenizer import Tokenizer
from lib.transformer import count_parameters

DEFAULTS: dict[str, Any] = {
    "start": "mini",
    "n_context": 384,
    "cut": False,
    "batch_size": 12,
    "n_parts": 1,
    "seed": 0,
    "optimizer": {},
    "warmup": 0.05,
    "final": 0.0,
    "precision": "auto",
    "compiled": False,
    "fused": False,
    "sharded": False,
    "evaluate_every": 200,
    "save_every": 200,
}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "muon": {"lr": 0.01, "embedding_lr": 0.005, "weight_decay": 0.01},
    "adamw": {"lr": 0.003, "embedding_lr": 0.003, "weight_decay": 0.01},
}
"""Smaller steps than in pretraining: the model knows most of it already."""

RECIPE = cli.Recipe(
    defaults=DEFAULTS,
    kinds={
        **{name: type(value) for name, value in DEFAULTS.items()},
        "conversations": (list, dict),
        "n_steps": int,
        "folder": str,
    },
    needed=("conversations", "n_steps", "folder"),
    sources="conversations",
    settings={
        "conversations": set(inspect.signature(read).parameters) - {"split"} | {"plain"},
        "optimizer": set(inspect.signature(make_optimizer).parameters) - {"model"},
    },
)
HELD_OUT = 300
"""How many held-out conversations of each source are measured on."""
ROWS = "conversations.safetensors"
"""Where a run keeps its packed conversations, in its folder."""


def main(arguments: list[str] | None = None) -> None:
    """Read the config, train, save."""
    cli.command("python -m lib.sft", str(__doc__), RECIPE, run, arguments)


def run(recipe: dict[str, Any], device: torch.device) -> training.History:
    """Fine-tune what the recipe says; several processes do it together."""
    start = start_of(recipe["start"])
    tokenizer, bare = load_tokenizer(start), load(start, device)
    rows, held_out = training_rows(recipe, tokenizer, bare.config.n_context)
    model = parallel.spread(bare, recipe["sharded"])
    if parallel.is_first():
        n_tokens = int((rows["targets"] != training.IGNORED).sum())
        print(
            f"{count_parameters(bare.config):,} parameters, {len(rows['inputs']):,} rows, "
            f"{n_tokens:,} tokens to learn, {device}"
        )
    n_steps, precision = recipe["n_steps"], recipe["precision"]
    named = {"name": "muon", **recipe["optimizer"]}
    optimizer = make_optimizer(bare, **{**OPTIMIZERS.get(named["name"], {}), **named})

    def schedule(step: int) -> float:
        n_warmup = int(recipe["warmup"] * n_steps)
        return learning_rate(step, n_steps, n_warmup=n_warmup, final=recipe["final"])

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"held_out_loss": sft.evaluate_sft(model, held_out)}

    return training.train(
        model,
        sft.draw_rows(rows, recipe["batch_size"], recipe["seed"]),
        n_steps,
        optimizer,
        sft.sft_loss,
        schedule=schedule,
        n_parts=recipe["n_parts"],
        precision=training.best_precision(device) if precision == "auto" else precision,
        compiled=recipe["compiled"],
        fused=recipe["fused"],
        evaluate=evaluate,
        evaluate_every=recipe["evaluate_every"],
        save_every=recipe["save_every"],
        folder=recipe["folder"],
        tokenizer=tokenizer,
        card={"recipe": recipe, "command": "python -m lib.sft --config FILE"},
        seed=recipe["seed"],
    )


def start_of(name: str) -> Path:
    """The checkpoint to start from: one of the course, a folder, or the latest of a run."""
    folder = Path(name).expanduser()
    if (DATA / name / "card.json").exists() or not folder.is_dir():
        return shipped(name)
    return latest(folder) or folder


def training_rows(
    recipe: dict[str, Any], tokenizer: Tokenizer, n_context: int
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What a run learns and what it is measured on: made by the first process, once for the folder.

    Args:
        recipe: says which conversations, and how wide a row is.
        tokenizer: the model's.
        n_context: of the model: a conversation must fit into it, however wide a row is.
    """
    path = Path(recipe["folder"]) / ROWS
    names = ("conversations", "n_context", "cut", "seed")
    made_of = [[recipe[name] for name in names], n_context, cli.identity_of(tokenizer)]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    if parallel.is_first() and cli.digest_of(path) != digest:
        tensors = {}
        for split in ("train", "held_out"):
            tokens, masks = encode_sources(recipe, tokenizer, n_context, split)
            packed = sft.pack_rows(tokens, masks, recipe["n_context"], recipe["seed"])
            tensors.update({f"{split}.{name}": x for name, x in packed.items()})
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.part")
        save_file(tensors, beside, metadata={"made_of": digest})
        beside.replace(path)
    parallel.wait()
    tensors = load_file(path)
    train, held_out = (
        {name.removeprefix(split): x for name, x in tensors.items() if name.startswith(split)}
        for split in ("train.", "held_out.")
    )
    return train, held_out


def encode_sources(
    recipe: dict[str, Any], tokenizer: Tokenizer, n_context: int, split: str
) -> tuple[list[list[int]], list[list[bool]]]:
    """All conversations of a recipe as tokens, with what of each is to be learnt."""
    fits = min(recipe["n_context"], n_context)
    tokens: list[list[int]] = []
    masks: list[list[bool]] = []
    for source in recipe["conversations"]:
        source = {**source, "split": split}
        if split == "held_out":
            source["size"] = min(HELD_OUT, source.get("size", HELD_OUT))
        if source.pop("plain", False):
            end = tokenizer.special_tokens[END]
            for document in read(**source):
                ids = [end, *tokenizer.encode_ordinary(document), end][: fits + 1]
                tokens.append(ids)
                masks.append([True] * len(ids))
            continue
        ids_of, masks_of = sft.encode_conversations(
            read_conversations(**source),
            tokenizer,
            fits,
            cut=recipe["cut"],
            progress=split == "train",
        )
        tokens += ids_of
        masks += masks_of
    return tokens, masks


def read_conversations(
    name: str, split: str, size: int | None = None, path: str | None = None, **settings: Any
) -> Iterator[Sequence[dict[str, Any]]]:
    """The conversations of one source, each a list of messages.

    Of a file one line in ten is held out, by what it says; of a file that has too few, the first.
    """
    if name != "file":
        for number, record in enumerate(
            read_records(name, split=split, size=size, path=path, **settings)
        ):
            if "messages" not in record:
                raise ValueError(
                    f"record {number} of {name} has no 'messages': it has "
                    f"{', '.join(record)}, which is no conversation"
                )
            yield record["messages"]
        return
    if path is None:
        raise ValueError('conversations of the name "file" need a "path"')
    records, _ = read_jsonl(path)
    held_out = [is_held_out(json.dumps(record, sort_keys=True)) for record in records]
    if not any(held_out) or all(held_out):
        held_out = [number == 0 for number in range(len(records))]
    if len(records) < 2:
        raise ValueError(f"{path} holds one conversation: expected two or more, to hold one out")
    kept = [r for r, out in zip(records, held_out) if out == (split == "held_out")]
    for record in kept[:size]:
        yield record["messages"]
