"""Long runs outside of notebooks: python -m lib.training --config FILE (given).

The file is JSON. This is one with everything in it; what is left out is as here, but for "model",
"corpus", "n_steps" and "folder", which must be there:

    {
      "model": {"size": "mini"},
      "corpus": [{"name": "town", "part": "stories", "size": 100000}],
      "tokenizer": {"vocab_size": 2048},
      "n_encoders": 1,
      "n_context": 256, "batch_size": 16, "n_parts": 1, "n_steps": 2000, "seed": 0,
      "aligned": false,
      "optimizer": {"name": "adamw", "lr": 0.003, "embedding_lr": 0.02, "weight_decay": 0.1},
      "warmup": 0.02, "final": 0.1,
      "precision": "auto", "compiled": false, "fused": false, "sharded": false,
      "evaluate_every": 200, "save_every": 200,
      "folder": "runs/mini"
    }

Several corpora are read one after the other, and mix because batches are drawn anywhere. The
tokens are kept in the folder, so starting again is quick; "n_encoders" processes make them.
"tokenizer" may be the path of a tokenizer.json. With "aligned", each text of a
batch begins where a document begins. "warmup" and "final" shape the learning rate: the share of all
steps that climb, and what is left of the peak at the end.

Run it again with the same folder, and it goes on where it stopped. With torchrun it trains on
several processes; "sharded" then means FSDP.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from lib import _training_parallel as parallel
from lib import training
from lib._training_data import END, encode_corpus, encode_documents
from lib.corpora import read
from lib.ngram import bits_per_byte
from lib.optim import learning_rate, make_optimizer
from lib.tokenizer import Tokenizer
from lib.transformer import Config, Transformer, count_parameters


@dataclass(frozen=True)
class Recipe:
    """What a config may say.

    Attributes:
        defaults: what is left out.
        kinds: of what type each entry is.
        needed: what must not be left out.
        sources: the entry that says what is read: { }, or a list of them, each with a name.
        settings: what the entries that have entries of their own may say.
    """

    defaults: Mapping[str, Any]
    kinds: Mapping[str, Any]
    needed: tuple[str, ...]
    sources: str
    settings: Mapping[str, set[str]]


DEFAULTS: dict[str, Any] = {
    "tokenizer": {"vocab_size": 2048},
    "n_encoders": 1,
    "n_context": 256,
    "batch_size": 16,
    "n_parts": 1,
    "aligned": False,
    "seed": 0,
    "optimizer": {},
    "warmup": 0.02,
    "final": 0.1,
    "precision": "auto",
    "compiled": False,
    "fused": False,
    "sharded": False,
    "evaluate_every": 200,
    "save_every": 200,
}
KINDS: dict[str, Any] = {
    **{name: type(value) for name, value in DEFAULTS.items()},
    "model": dict,
    "corpus": (list, dict),
    "n_steps": int,
    "folder": str,
    "tokenizer": (dict, str),
}
"""What each entry is."""
RECIPE = Recipe(
    defaults=DEFAULTS,
    kinds=KINDS,
    needed=("model", "corpus", "n_steps", "folder"),
    sources="corpus",
    settings={
        "model": {"size", *(field.name for field in fields(Config))} - {"vocab_size"},
        "corpus": set(inspect.signature(read).parameters) - {"split"},
        "tokenizer": {"vocab_size", "special_tokens"},
        "optimizer": set(inspect.signature(make_optimizer).parameters) - {"model"},
    },
)
HELD_OUT_BYTES, TOKENIZER_BYTES = 200_000, 2_000_000
"""How much text is held out to be measured on, and how much a tokenizer is trained on."""
TOKENS = "tokens.safetensors"
"""Where a run keeps its text, in its folder."""


def main(arguments: list[str] | None = None) -> None:
    """Read the config, train, save."""
    command("python -m lib.training", str(__doc__), RECIPE, run, arguments)


def command(
    program: str,
    description: str,
    known: Recipe,
    run: Callable[[dict[str, Any], torch.device], Any],
    arguments: list[str] | None = None,
) -> None:
    """A program that reads a config and carries it out; what goes wrong is said in one line."""
    parser = argparse.ArgumentParser(
        prog=program,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", required=True, help="a JSON file: what to train, on what")
    parser.add_argument("--folder", help="where checkpoints go, in place of the config's")
    parser.add_argument("--steps", type=int, help="how many steps, in place of the config's")
    options = parser.parse_args(arguments)
    try:
        recipe = read_recipe(options.config, known)
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


def read_recipe(path: str | Path, known: Recipe) -> dict[str, Any]:
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
    missing = [name for name in known.needed if name not in recipe]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}")
    recipe, sources = {**known.defaults, **recipe}, known.sources
    if isinstance(recipe[sources], dict):
        recipe[sources] = [recipe[sources]]
    unknown = sorted(set(recipe) - set(known.kinds))
    for name, settings in known.settings.items():
        entries = recipe[name] if isinstance(recipe[name], list) else [recipe[name]]
        for entry in entries:
            if isinstance(entry, dict):
                unknown += [f"{name}.{setting}" for setting in sorted(set(entry) - settings)]
    if unknown:
        raise ValueError(f"{path} has {', '.join(unknown)}, which means nothing here")
    for name, kind in known.kinds.items():
        value = recipe[name]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            wanted = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
            raise ValueError(f"{path}: {name} should be of type {wanted}, got {value!r}")
        if kind is int and name != "seed" and value < 1:
            raise ValueError(f"{path}: {name} should be at least 1, got {value}")
    entries = recipe[sources]
    if not entries or not all(isinstance(one, dict) for one in entries):
        raise ValueError(f"{path}: {sources} should be one or more of {{ }}, got {entries!r}")
    if not all("name" in one for one in entries):
        raise ValueError(f"{path}: {sources} lacks name")
    return recipe


def run(recipe: dict[str, Any], device: torch.device) -> training.History:
    """Train what the recipe says; several processes do it together."""
    tokenizer = make_tokenizer(recipe)
    n_context, n_steps = recipe["n_context"], recipe["n_steps"]
    tokens = training_tokens(recipe, tokenizer)
    held_out, n_bytes = held_out_tokens(recipe, tokenizer)
    end = tokenizer.special_tokens[END]
    starts, held_out_starts = (
        training.document_starts(text, end) if recipe["aligned"] else None
        for text in (tokens, held_out)
    )

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
        return training.next_token_batch(tokens, recipe["batch_size"], n_context, generator, starts)

    def schedule(step: int) -> float:
        n_warmup = int(recipe["warmup"] * n_steps)
        return learning_rate(step, n_steps, n_warmup=n_warmup, final=recipe["final"])

    def evaluate(model: nn.Module) -> dict[str, float]:
        loss = training.evaluate_loss(model, held_out, n_context, starts=held_out_starts)
        return {"held_out_bits_per_byte": bits_per_byte(loss, len(held_out), n_bytes)}

    precision = recipe["precision"]
    return training.train(
        model,
        draw,
        n_steps,
        make_optimizer(bare, **recipe["optimizer"]),
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
        card={"recipe": recipe, "command": "python -m lib.training --config FILE"},
        seed=recipe["seed"],
    )


def make_tokenizer(recipe: dict[str, Any]) -> Tokenizer:
    """The tokenizer the recipe names, or one trained on the beginnings of its corpora."""
    wanted = recipe["tokenizer"]
    if isinstance(wanted, str):
        return Tokenizer.load(wanted)
    limit = TOKENIZER_BYTES // len(recipe["corpus"])
    texts = [read(**corpus).text(limit=limit) for corpus in recipe["corpus"]]
    wanted = {"vocab_size": 2048, "special_tokens": [END], **wanted}
    return Tokenizer.train(texts, wanted["vocab_size"], wanted["special_tokens"])


def training_tokens(recipe: dict[str, Any], tokenizer: Tokenizer) -> Tensor:
    """The corpora of a run as one row of tokens: made by the first process, once for the folder."""
    path = Path(recipe["folder"]) / TOKENS
    made_of = [recipe["corpus"], *identity_of(tokenizer)]
    digest = hashlib.sha256(json.dumps(made_of).encode()).hexdigest()
    if parallel.is_first() and digest_of(path) != digest:
        rows = [
            encode_corpus(corpus, tokenizer, recipe["n_encoders"]) for corpus in recipe["corpus"]
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.part")
        save_file({"tokens": torch.cat(rows)}, beside, metadata={"made_of": digest})
        beside.replace(path)
    parallel.wait()
    return load_file(path)["tokens"]


def identity_of(tokenizer: Tokenizer) -> list[Any]:
    """What makes a tokenizer give the tokens it gives."""
    return [list(tokenizer.merges), tokenizer.special_tokens, tokenizer.pattern]


def digest_of(path: Path) -> str | None:
    """What a file of tokens says it was made of; None if it cannot be read."""
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("made_of")
    except (OSError, SafetensorError):
        return None


def held_out_tokens(recipe: dict[str, Any], tokenizer: Tokenizer) -> tuple[Tensor, int]:
    """Held-out text of the same corpora: its tokens, and how many bytes they stand for."""
    total, documents = 0, []
    for corpus in recipe["corpus"]:
        n_bytes = 0
        for document in read(**{**corpus, "split": "held_out"}):
            documents.append(document)
            n_bytes += len(document.encode())
            if n_bytes > HELD_OUT_BYTES // len(recipe["corpus"]):
                break
        total += n_bytes
    return encode_documents(documents, tokenizer, progress=False), total
