"""Long runs outside of notebooks: python -m lib.training --config FILE (given).

The file is JSON. This is one with everything in it; what is left out is as here, but for "model",
"corpus", "n_steps" and "folder", which must be there:

    {
      "model": {"size": "mini"},
      "corpus": {"name": "town", "part": "stories", "size": 100000},
      "tokenizer": {"vocab_size": 2048},
      "n_context": 256, "batch_size": 16, "n_parts": 1, "n_steps": 2000, "seed": 0,
      "optimizer": {"name": "adamw", "lr": 0.003, "embedding_lr": 0.02, "weight_decay": 0.1},
      "precision": "auto", "compiled": false, "sharded": false,
      "evaluate_every": 200, "save_every": 200,
      "folder": "runs/mini"
    }

"tokenizer" may be the path of a tokenizer.json. Run it again with the same folder, and it goes on
where it stopped. With torchrun it trains on several processes; "sharded" then means FSDP.
"""

from __future__ import annotations

import argparse
import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib import _training_parallel as parallel
from lib import training
from lib._training_data import END, encode_documents
from lib.corpora import read
from lib.ngram import bits_per_byte
from lib.optim import make_optimizer
from lib.tokenizer import Tokenizer
from lib.transformer import Config, Transformer, count_parameters

DEFAULTS: dict[str, Any] = {
    "tokenizer": {"vocab_size": 2048},
    "n_context": 256,
    "batch_size": 16,
    "n_parts": 1,
    "seed": 0,
    "optimizer": {},
    "precision": "auto",
    "compiled": False,
    "sharded": False,
    "evaluate_every": 200,
    "save_every": 200,
}
NEEDED = ("model", "corpus", "n_steps", "folder")
KINDS: dict[str, Any] = {
    **{name: type(value) for name, value in DEFAULTS.items()},
    "model": dict,
    "corpus": dict,
    "n_steps": int,
    "folder": str,
    "tokenizer": (dict, str),
}
"""What each entry is."""
HELD_OUT_BYTES = 200_000


def main(arguments: list[str] | None = None) -> None:
    """Read the config, train, save."""
    parser = argparse.ArgumentParser(
        prog="python -m lib.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, help="a JSON file: what to train, on what")
    parser.add_argument("--folder", help="where checkpoints go, in place of the config's")
    parser.add_argument("--steps", type=int, help="how many steps, in place of the config's")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.config)
    except ValueError as error:
        parser.error(str(error))
    if options.folder:
        recipe["folder"] = options.folder
    if options.steps:
        recipe["n_steps"] = options.steps
    device = parallel.start()
    try:
        run(recipe, device)
    except (ValueError, OSError) as error:  # a config that cannot be carried out
        parser.error(str(error))
    except training.TrainingStopped as stop:
        parser.exit(1, f"{parser.prog}: {stop}\n")
    finally:
        parallel.stop()


def read_recipe(path: str | Path) -> dict[str, Any]:
    """The config of a run, what is left out filled in.

    Raises:
        ValueError: it cannot be read, lacks something, has a name that means nothing, or a value
            of the wrong kind.
    """
    try:
        recipe = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from None
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} should hold names and values in {{ }}, it holds {recipe!r:.60}")
    missing = [name for name in NEEDED if name not in recipe]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    recipe = {**DEFAULTS, **recipe}
    unknown = sorted(set(recipe) - set(KINDS))
    for name, known in known_settings().items():
        if isinstance(recipe[name], dict):
            unknown += [f"{name}.{setting}" for setting in sorted(set(recipe[name]) - known)]
    if unknown:
        raise ValueError(f"{path} has {', '.join(unknown)}, which means nothing here")
    for name, kind in KINDS.items():
        value = recipe[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise ValueError(f"{path}: {name} should be of type {wanted}, got {value!r}")
        if kind is int and name != "seed" and value < 1:
            raise ValueError(f"{path}: {name} should be at least 1, got {value}")
    if "name" not in recipe["corpus"]:
        raise ValueError(f"{path}: corpus lacks name")
    return recipe


def known_settings() -> dict[str, set[str]]:
    """What the entries that have entries of their own may say."""
    return {
        "model": {"size", *(field.name for field in fields(Config))} - {"vocab_size"},
        "corpus": set(inspect.signature(read).parameters) - {"split"},
        "tokenizer": {"vocab_size", "special_tokens"},
        "optimizer": set(inspect.signature(make_optimizer).parameters) - {"model"},
    }


def run(recipe: dict[str, Any], device: torch.device) -> training.History:
    """Train what the recipe says; several processes do it together."""
    tokenizer = make_tokenizer(recipe)
    n_context = recipe["n_context"]
    tokens = encode_documents(read(**recipe["corpus"]), tokenizer, progress=parallel.is_first())
    held_out, n_bytes = held_out_tokens(recipe, tokenizer)

    torch.manual_seed(recipe["seed"])
    shape = {"n_context": n_context, **recipe["model"]}
    size = shape.pop("size", None)
    vocab_size = tokenizer.vocab_size
    config = (
        Config.of_size(size, vocab_size, **shape)
        if size
        else Config(vocab_size=vocab_size, **shape)
    )
    bare = Transformer(config).to(device)
    model = parallel.spread(bare, recipe["sharded"])
    if parallel.is_first():
        print(f"{count_parameters(config):,} parameters, {len(tokens):,} tokens, {device}")

    def draw(step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return training.next_token_batch(tokens, recipe["batch_size"], n_context, generator)

    def evaluate(model: nn.Module) -> dict[str, float]:
        loss = training.evaluate_loss(model, held_out, n_context)
        return {"held_out_bits_per_byte": bits_per_byte(loss, len(held_out), n_bytes)}

    precision = recipe["precision"]
    return training.train(
        model,
        draw,
        recipe["n_steps"],
        make_optimizer(bare, **recipe["optimizer"]),
        n_parts=recipe["n_parts"],
        precision=training.best_precision(device) if precision == "auto" else precision,
        compiled=recipe["compiled"],
        evaluate=evaluate,
        evaluate_every=recipe["evaluate_every"],
        save_every=recipe["save_every"],
        folder=recipe["folder"],
        tokenizer=tokenizer,
        card={"recipe": recipe, "command": "python -m lib.training --config FILE"},
        seed=recipe["seed"],
    )


def make_tokenizer(recipe: dict[str, Any]) -> Tokenizer:
    """The tokenizer the recipe names, or one trained on the beginning of its corpus."""
    wanted = recipe["tokenizer"]
    if isinstance(wanted, str):
        return Tokenizer.load(wanted)
    text = read(**recipe["corpus"]).text(limit=2_000_000)
    wanted = {"vocab_size": 2048, "special_tokens": [END], **wanted}
    return Tokenizer.train(text, wanted["vocab_size"], wanted["special_tokens"])


def held_out_tokens(recipe: dict[str, Any], tokenizer: Tokenizer) -> tuple[Tensor, int]:
    """Held-out text of the same corpus: its tokens, and how many bytes they stand for."""
    n_bytes, documents = 0, []
    for document in read(**{**recipe["corpus"], "split": "held_out"}):
        documents.append(document)
        n_bytes += len(document.encode())
        if n_bytes > HELD_OUT_BYTES:
            break
    return encode_documents(documents, tokenizer, progress=False), n_bytes
