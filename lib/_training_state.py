"""What a training run needs to go on to the same numbers (given).

Beside the weights: what the optimizer remembers, every state of random numbers, and the history.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lib import _training_parallel as parallel
from lib._training_history import History
from lib.checkpoint import (
    CheckpointError,
    latest,
    load_training,
    load_weights,
    read_card,
    read_tensors,
    save,
)
from lib.optim import Optimizer

KEEP = 2
"""How many checkpoints of a run stay on the disk."""


def save_state(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: Optimizer,
    generator: torch.Generator,
    history: History,
    tokenizer: Any = None,
    card: dict[str, Any] | None = None,
) -> None:
    """Write folder/step-NNNNNN, then remove all but the newest checkpoints of this run."""
    bare: Any = parallel.bare(model)
    parallel.settle(bare)
    names = {id(p): name for name, p in bare.named_parameters()}
    training: dict[str, Tensor] = {"random.batches": generator.get_state()}
    training["random.torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        training["random.cuda"] = torch.cuda.get_rng_state()
    for p, state in optimizer.state.items():
        for key, value in state.items():
            number = value if isinstance(value, Tensor) else torch.tensor(value)
            training[f"optimizer.{names[id(p)]}.{key}"] = parallel.gathered(number)
    text = json.dumps(history.records).encode()
    training["history"] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    bare = parallel.gathered_model(bare)  # all processes take part
    if parallel.is_first():
        folder.mkdir(parents=True, exist_ok=True)
        extra = {**(card or {}), "step": step}
        save(folder / f"step-{step:06d}", bare, tokenizer, extra, training)
        _tidy(folder)
    parallel.wait()


def _tidy(folder: Path) -> None:
    """Remove all but the newest checkpoints, and what runs left that were killed while writing."""
    done = [path for path in folder.glob("step-*") if (path / "card.json").exists()]
    for old in sorted(done, key=lambda path: int(path.name.removeprefix("step-")))[:-KEEP]:
        old.rename(folder / f".{old.name}.old")  # so that none is ever seen half removed
    for left in folder.glob(".step-*"):
        shutil.rmtree(left, ignore_errors=True)


def restore(
    folder: Path,
    model: nn.Module,
    optimizer: Optimizer,
    generator: torch.Generator,
    history: History,
) -> int:
    """Go on from the latest checkpoint under `folder`: the step to go on with, 0 if there is none.

    Raises:
        CheckpointError: the checkpoint is damaged, or of another model or optimizer.
    """
    found = latest(folder)
    if found is None:
        return 0
    bare = parallel.bare(model)
    card = read_card(found)
    config = getattr(bare, "config", None)
    if config is not None and json.loads(json.dumps(config.to_dict())) != card["config"]:
        raise CheckpointError(
            f"{found} is of a model of another shape: train into another folder, or remove it"
        )
    training = load_training(found)
    load_weights(bare, read_tensors(found, "model.safetensors", card), found)
    params = dict(bare.named_parameters())
    known = {id(p) for p in optimizer.params}
    for name, value in training.items():
        if name.startswith("optimizer."):
            parameter, key = name.removeprefix("optimizer.").rsplit(".", 1)
            p = params.get(parameter)
            if p is None or id(p) not in known:
                raise CheckpointError(f"{found} remembers {parameter}, which is not trained here")
            state = optimizer.state.setdefault(p, {})
            state[key] = int(value) if key == "step" else parallel.spread_like(value, p)
    generator.set_state(training["random.batches"])
    torch.set_rng_state(training["random.torch"])
    if torch.cuda.is_available() and "random.cuda" in training:
        torch.cuda.set_rng_state(training["random.cuda"])
    history.records[:] = json.loads(bytes(training["history"].tolist()))
    return int(card["step"])
