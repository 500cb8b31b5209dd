"""Experiments that are too long for a notebook: `python -m lib.course.studies NAME`.

Each trains many small models on the town and keeps what it measured in data/studies/NAME.json,
which lessons read by `study(NAME)`. Runs that are there already are not run again, so it may be
stopped and started at any time; a change of the corpus or of the settings asks for `--afresh`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from lib.checkpoint import DATA, load_tokenizer, shipped
from lib.corpora import read
from lib.corpora.town import score_stories
from lib.generation import generate
from lib.ngram import bits_per_byte
from lib.optim import learning_rate, make_optimizer
from lib.tokenizer import Tokenizer
from lib.training import (
    best_precision,
    document_starts,
    encode_documents,
    evaluate_loss,
    next_token_batch,
    train,
)
from lib.transformer import Config, Transformer, count_parameters, flops_per_token

END = "<|endoftext|>"
SEEDS = (0, 1, 2)

Spec = dict[str, Any]
"""What a run is: everything that `run` reads, by name. Two runs of one spec give one record."""

USUAL: Spec = {
    "part": "village", "n_documents": 20_000, "model": {"size": "nano"}, "n_context": 256,
    "batch_size": 16, "n_steps": 250, "optimizer": {"name": "muon", "lr": 0.02},
    "max_norm": 1.0, "evaluate_every": 0, "n_stories": 0, "seed": 0,
}  # fmt: skip


def specs_of(name: str) -> list[Spec]:
    """The runs of a study.

    Raises:
        ValueError: there is no such study.
    """
    if name == REASONING:
        from lib.course import reasoning_study

        return reasoning_study.specs()
    if name not in STUDIES:
        known = ", ".join((*STUDIES, REASONING))
        raise ValueError(f"there is no study {name!r}; there are: {known}")
    return [
        {**USUAL, **{key: value for key, value in spec.items() if key != "seeds"}, "seed": seed}
        for seed in SEEDS
        for spec in STUDIES[name]
        if seed in spec.get("seeds", SEEDS)
    ]


STUDIES: dict[str, list[Spec]] = {
    # Which optimizer? Each at three rates, then the best of each with more seeds.
    "optimizers": [
        {
            "optimizer": {"name": name, "lr": lr, "embedding_lr": embedding_lr},
            "seeds": SEEDS if lr == best else SEEDS[:1],
        }
        for name, embedding_lr, best, rates in (
            ("adamw", None, 3e-3, (1e-3, 3e-3, 1e-2)),
            ("adamw", 2e-2, 3e-3, (1e-3, 3e-3, 1e-2)),
            ("muon", 2e-2, 2e-2, (1e-2, 2e-2, 4e-2)),
        )
        for lr in rates
    ],
    # How does the loss fall with the number of parameters?
    "sizes": [
        {
            "part": "stories", "n_documents": 20_000, "n_steps": 250,
            "model": {"d_model": d, "n_layer": n_layer, "n_head": d // 32},
        }
        for d, n_layer in ((32, 2), (64, 3), (96, 4), (128, 4))
    ],
    # Deep and thin, or shallow and wide, at equal parameters (1.11 million)?
    "shapes": [
        {"n_steps": 300,
         "model": {"d_model": d, "n_layer": n_layer, "n_head": d // 32, "d_hidden": d_hidden}}
        for d, n_layer, d_hidden in ((224, 1, 672), (160, 2, 608), (128, 4, 384), (96, 8, 270))
    ],
}  # fmt: skip


REASONING = "reasoning"
"""A study of another kind, in `lib.course.reasoning_study`."""


@cache
def _texts(part: str, n_documents: int) -> tuple[Tensor, Tensor, int, Tokenizer]:
    """Training tokens, held-out tokens, the bytes of the latter, and the tokenizer of `mini`."""
    tokenizer = load_tokenizer(shipped("mini"))
    held_out = list(read("town", part=part, split="held_out", size=200))
    tokens = encode_documents(read("town", part=part, size=n_documents), tokenizer, progress=False)
    rest = encode_documents(held_out, tokenizer, progress=False)
    return tokens, rest, sum(len(text.encode()) for text in held_out), tokenizer


def openings(n: int, part: str = "stories", n_words: int = 2) -> list[str]:
    """How stories begin that no model was trained on: the first words of each."""
    texts = read("town", part=part, split="held_out", size=n)
    return [" ".join(text.split()[:n_words]) for text in texts]


def write_stories(
    model: Transformer,
    tokenizer: Tokenizer,
    n: int,
    temperature: float = 0.5,
    seed: int = 0,
    begin: Sequence[str] = ("",),
) -> list[str]:
    """Stories that a model of the town makes up.

    Args:
        model: what writes.
        tokenizer: what it reads and writes with.
        n: how many stories.
        temperature: as for `lib.generation.generate`.
        seed: other stories for another seed.
        begin: how they begin, in turns. A model that has read other things than stories needs such
            an opening, as `openings` gives it, or writes the other things.

    Returns:
        The stories, openings included; questions and facts behind a story are cut off.
    """
    end = tokenizer.special_tokens[END]
    generator = torch.Generator(model.embedding.weight.device).manual_seed(seed)
    starts = [begin[i % len(begin)] for i in range(n)]
    rows = generate(
        model, [[end, *tokenizer.encode(start)] for start in starts], 320,
        temperature=temperature, stop=[end], generator=generator,
    )  # fmt: skip
    texts = [
        start + tokenizer.decode([token for token in row if token != end])
        for start, row in zip(starts, rows)
    ]
    return [re.split(r"\n(?:Question|Facts):", text)[0] for text in texts]


def run(spec: Spec, device: str = "cpu", progress: bool = True) -> dict[str, Any]:
    """Train one model and measure it.

    Args:
        spec: see `Spec`.
        device: where.
        progress: show a bar.

    Returns:
        The spec, and `parameters`, `tokens`, `flops`, `seconds`, `steps` and `bits_per_byte` (at
        these steps, on held-out text), `stories` (at these steps, what `score_stories` says),
        `losses` (means of 25 steps each).
    """
    if "group_size" in spec:  # a run of the study "reasoning"
        from lib.course import reasoning_study

        return reasoning_study.run(spec, device, progress)
    start = time.perf_counter()
    tokens, rest, n_bytes, tokenizer = _texts(spec["part"], spec["n_documents"])
    shape = {"n_context": 512, **spec["model"]}
    size = shape.pop("size", None)
    vocab_size = tokenizer.vocab_size
    config = Config.of_size(size, vocab_size, **shape) if size else Config(vocab_size, **shape)
    torch.manual_seed(spec["seed"])
    model = Transformer(config).to(device)
    n_steps, n_context = spec["n_steps"], spec["n_context"]
    end = tokenizer.special_tokens[END]
    starts, rest_starts = document_starts(tokens, end), document_starts(rest, end)

    def draw(step: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return next_token_batch(tokens, spec["batch_size"], n_context, generator, starts)

    def evaluate(model: Any) -> dict[str, Any]:
        loss = evaluate_loss(model, rest, 512, batch_size=32, starts=rest_starts)
        found: dict[str, Any] = {"bits_per_byte": bits_per_byte(loss, len(rest), n_bytes)}
        if spec["n_stories"]:
            found["stories"] = score_stories(write_stories(model, tokenizer, spec["n_stories"]))
        return found

    history = train(
        model,
        draw,
        n_steps,
        make_optimizer(model, **spec["optimizer"]),
        schedule=lambda step: learning_rate(step, n_steps, n_warmup=max(1, n_steps // 50)),
        max_norm=spec["max_norm"],
        precision=best_precision(device),
        evaluate=evaluate,
        evaluate_every=spec["evaluate_every"] or None,
        seed=spec["seed"],
        progress=progress,
    )
    losses = history.column("loss")
    n_tokens = n_steps * spec["batch_size"] * n_context
    return {
        **spec,
        "parameters": count_parameters(config),
        "tokens": n_tokens,
        "flops": n_tokens * flops_per_token(config, n_context),
        "seconds": round(time.perf_counter() - start, 1),
        "steps": history.steps("bits_per_byte"),
        "bits_per_byte": [round(value, 4) for value in history.column("bits_per_byte")],
        "stories": history.column("stories"),
        "losses": [round(sum(x) / len(x), 4) for x in _pieces(losses, 25)],
    }


def _pieces(values: Sequence[float], n: int) -> list[Sequence[float]]:
    return [values[i : i + n] for i in range(0, len(values), n)]


def study(name: str) -> list[Spec]:
    """What a study has measured: a record for each run.

    Raises:
        ValueError: it has not been run here, and did not come with the course.
    """
    path = _path(name)
    if not path.exists():
        raise ValueError(f"{path} is missing: python -m lib.course.studies {name} makes it")
    records: list[Spec] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return records


def _path(name: str) -> Path:
    return DATA / "studies" / f"{name}.json"


def _write(path: Path, made_by: str, records: Sequence[Spec], device: str = "cpu") -> None:
    where = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    lines = ",\n".join("  " + json.dumps(record) for record in records)
    head = json.dumps({"made_by": made_by, "on": where, "runs": None})[: -len("null}")]
    beside.write_text(f"{head}[\n{lines}\n]}}\n", encoding="utf-8")
    beside.replace(path)


def _is_of(record: Spec, spec: Spec) -> bool:
    """Whether a run was made with these settings; a setting that is left out is None."""
    return {key: record.get(key) for key in spec} == json.loads(json.dumps(spec))


def run_missing(
    path: Path, made_by: str, specs: Sequence[Spec], run: Callable[[Spec], Spec],
    arguments: Sequence[str] | None = None,
) -> int:  # fmt: skip
    """The command line of a study that has a module of its own: runs what is missing.

    What was measured is kept after every run, in the order of `specs`.

    Args:
        path: where the runs are kept.
        made_by: the command, as it is written into the file.
        specs: the settings of all runs; one that a run leaves out must not be in its record.
        run: measures one; what it gives holds its settings as well.
        arguments: of the command line; None for those of this process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog=made_by)
    parser.add_argument("--afresh", action="store_true", help="forget what was measured before")
    parser.add_argument("--minutes", type=float, help="begin no run after so many minutes")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    there = json.loads(path.read_text())["runs"] if path.exists() and not options.afresh else []
    settings = {name: None for spec in specs for name in spec}
    found = [next((r for r in there if _is_of(r, settings | spec)), None) for spec in specs]
    began = time.monotonic()
    for place in tqdm([i for i, record in enumerate(found) if record is None], unit="run"):
        if options.minutes is not None and time.monotonic() - began > 60 * options.minutes:
            break
        found[place] = run(specs[place])
        _write(path, made_by, [record for record in found if record is not None])
    return 0


def _in_worker(job: tuple[Spec, str]) -> dict[str, Any]:
    spec, device = job
    torch.set_num_threads(1)
    return run(spec, device, progress=False)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m lib.course.studies", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", choices=[*STUDIES, REASONING])
    parser.add_argument("--workers", type=int, default=1, help="runs at the same time")
    parser.add_argument("--afresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    path, made_by = _path(options.name), f"python -m lib.course.studies {options.name}"
    there = path.exists() and not options.afresh
    old = study(options.name) if there else []
    specs = specs_of(options.name)
    records = [record for record in old if any(_is_of(record, spec) for spec in specs)]
    left = [spec for spec in specs if not any(_is_of(record, spec) for record in records)]
    jobs = [(spec, device) for spec in left]
    bar = tqdm(total=len(specs), initial=len(records), unit="run", desc=options.name)
    if options.workers > 1:
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            for record in pool.imap_unordered(_in_worker, jobs):
                records.append(record)
                _write(path, made_by, records, device)
                bar.update()
    else:
        for spec in left:
            records.append(run(spec, device))
            _write(path, made_by, records, device)
            bar.update()
    bar.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
