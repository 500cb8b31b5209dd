"""Long runs outside of notebooks: python -m lib.reward --config FILE (given).

The file is JSON. This is one with everything in it; what is left out is as here, but for "pairs",
"n_steps" and "folder", which must be there:

    {
      "start": "assistant",
      "pairs": [
        {"name": "town", "part": "preferences", "size": 6000, "seed": 0},
        {"name": "hh_rlhf", "part": "helpful-base", "size": 2000},
        {"name": "file", "path": "my_pairs.jsonl"}
      ],
      "batch_size": 24, "n_parts": 1, "n_steps": 300, "seed": 0,
      "optimizer": {"name": "muon", "lr": 0.01, "embedding_lr": 0.003, "weight_decay": 0.0},
      "warmup": 0.02, "final": 0.1,
      "precision": "auto",
      "evaluate_every": 50, "save_every": 100,
      "folder": "runs/reward"
    }

"start" is a checkpoint that comes with the course, or the folder of one, or of a run: a language
model, best one that has been fine-tuned to answer. Pairs come from `lib.corpora.read_records`, or
from a file with one {"prompt": [messages], "chosen": text, "rejected": text} a line. What is too
long for the model's context is left out.

Run it again with the same folder, and it goes on where it stopped.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from lib import _training_cli as cli
from lib import reward, training
from lib._reward_parts import encode_pair
from lib._sft_cli import start_of
from lib.checkpoint import load, load_tokenizer
from lib.corpora import read, read_jsonl, read_records
from lib.corpora._base import is_held_out
from lib.optim import learning_rate, make_optimizer
from lib.tokenizer import Tokenizer

DEFAULTS: dict[str, Any] = {
    "start": "assistant",
    "batch_size": 24,
    "n_parts": 1,
    "seed": 0,
    "optimizer": {},
    "warmup": 0.02,
    "final": 0.1,
    "precision": "auto",
    "evaluate_every": 50,
    "save_every": 100,
}
OPTIMIZER = {"name": "muon", "lr": 0.01, "embedding_lr": 0.003, "weight_decay": 0.0}
RECIPE = cli.Recipe(
    defaults=DEFAULTS,
    kinds={
        **{name: type(value) for name, value in DEFAULTS.items()},
        "pairs": (list, dict),
        "n_steps": int,
        "folder": str,
    },
    needed=("pairs", "n_steps", "folder"),
    sources="pairs",
    settings={
        "pairs": set(inspect.signature(read).parameters) - {"split"},
        "optimizer": set(inspect.signature(make_optimizer).parameters) - {"model"},
    },
)
HELD_OUT = 256
"""How many held-out pairs of each source are measured on."""


def main(arguments: list[str] | None = None) -> None:
    """Read the config, train, save."""
    cli.command("python -m lib.reward", str(__doc__), RECIPE, run, arguments)


def run(recipe: dict[str, Any], device: torch.device) -> training.History:
    """Train what the recipe says."""
    start = start_of(recipe["start"])
    tokenizer, backbone = load_tokenizer(start), load(start, device)
    longest = backbone.config.n_context
    pairs = encode_sources(recipe, tokenizer, longest, "train")
    held_out = encode_sources(recipe, tokenizer, longest, "held_out")
    print(f"{len(pairs):,} pairs to learn from, {len(held_out):,} held out, {device}")
    torch.manual_seed(recipe["seed"])
    model = reward.RewardModel(backbone)
    n_steps, wanted = recipe["n_steps"], recipe["precision"]
    precision = training.best_precision(device) if wanted == "auto" else wanted
    batches = [reward.reward_batch(held_out[i : i + 64]) for i in range(0, len(held_out), 64)]

    def schedule(step: int) -> float:
        n_warmup = int(recipe["warmup"] * n_steps)
        return learning_rate(step, n_steps, n_warmup=n_warmup, final=recipe["final"])

    def evaluate(model: nn.Module) -> dict[str, float]:
        return {"held_out_accuracy": reward.reward_accuracy(model, batches, precision)}

    return training.train(
        model,
        reward.draw_pairs(pairs, batch_size=recipe["batch_size"], seed=recipe["seed"]),
        n_steps,
        make_optimizer(model, **{**OPTIMIZER, **recipe["optimizer"]}),
        reward.reward_loss,
        schedule=schedule,
        n_parts=recipe["n_parts"],
        precision=precision,
        evaluate=evaluate,
        evaluate_every=recipe["evaluate_every"],
        save_every=recipe["save_every"],
        folder=recipe["folder"],
        tokenizer=tokenizer,
        card={
            "kind": "reward model", "recipe": recipe,
            "command": "python -m lib.reward --config FILE",
        },
        seed=recipe["seed"],
    )  # fmt: skip


def encode_sources(
    recipe: dict[str, Any], tokenizer: Tokenizer, n_context: int, split: str
) -> list[dict[str, list[int]]]:
    """All pairs of a recipe as tokens, but for those that are too long.

    Raises:
        ValueError: none is left.
    """
    found = []
    for source in recipe["pairs"]:
        source = {**source, "split": split}
        if split == "held_out":
            source["size"] = min(HELD_OUT, source.get("size", HELD_OUT))
        for pair in read_pairs(**source):
            ids = encode_pair(pair, tokenizer)
            if len(ids["prompt"]) + max(map(len, (ids["chosen"], ids["rejected"]))) <= n_context:
                found.append(ids)
    if not found:
        raise ValueError(f"none of the {split} pairs fits into a context of {n_context} tokens")
    return found


def read_pairs(
    name: str, split: str, size: int | None = None, path: str | None = None, **settings: Any
) -> Iterator[dict[str, Any]]:
    """The pairs of one source, but for those whose answers are the same.

    Of a file one pair in ten is held out, by its prompt; of a file that has too few, the first.

    Raises:
        ValueError: a record is no pair, or the file holds fewer than two.
    """
    records: Iterable[dict[str, Any]]
    if name == "file":
        if path is None:
            raise ValueError('pairs of the name "file" need a "path"')
        every, _ = read_jsonl(path, "preference")
        if len(every) < 2:
            raise ValueError(f"{path} holds one pair: expected two or more, to hold one out")
        out = [is_held_out(json.dumps(record["prompt"], sort_keys=True)) for record in every]
        if not any(out) or all(out):
            out = [number == 0 for number in range(len(every))]
        records = [r for r, held in zip(every, out) if held == (split == "held_out")][:size]
    else:
        records = read_records(name, split=split, size=size, path=path, **settings)
    for number, record in enumerate(records):
        if "chosen" not in record:
            raise ValueError(
                f"record {number} of {name} has no 'chosen': it has {', '.join(record)}, "
                "which is no pair"
            )
        one, other = (
            side[0] if isinstance(side, list) else side
            for side in (record["chosen"], record["rejected"])
        )
        if one != other:
            yield {"prompt": record["prompt"], "chosen": one, "rejected": other}
