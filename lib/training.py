"""Training: one loop for everything that learns (lesson "pretraining").

    draw a batch ─ loss ─ backward ─ clip ─ optimizer ─ and again

Pretraining, fine-tuning, reward models, preferences, distillation: what differs is where batches
come from and what the loss is, so both are arguments. A loss gives two numbers, the sum over what
it counted and how many that were; only so is a step on several small batches the step on the one
large batch they make up.

    python -m lib.training --config FILE             a long run, outside of notebooks
    torchrun --nproc-per-node=2 -m lib.training …    the same, on several processes
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lib import _training_data as data
from lib import _training_parallel as parallel
from lib import _training_speed as speed
from lib._attention_fused import fused_attention
from lib._training_data import document_starts, encode_documents
from lib._training_history import History
from lib._training_state import restore, save_state
from lib.ngram import cross_entropy
from lib.optim import Optimizer, clip_gradients, learning_rate

__all__ = [
    "History",
    "TrainingStopped",
    "best_precision",
    "document_starts",
    "encode_documents",
    "evaluate_loss",
    "in_precision",
    "next_token_batch",
    "next_token_loss",
    "train",
    "train_step",
]

IGNORED = -100
"""The target of places that do not count."""

Loss = Callable[[nn.Module, Any], tuple[Tensor, int]]
"""Takes the model and a batch; gives the sum of the losses and over how many it runs."""


class TrainingStopped(RuntimeError):
    """The loss became nan, or exploded. The message says when, and what is left to go on from."""


def next_token_batch(
    tokens: Tensor,
    batch_size: int,
    n_context: int,
    generator: torch.Generator | None = None,
    starts: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw stretches of a long text, and for each of their tokens the one that comes next.

    Args:
        tokens: the whole text, one document after the other, (n) whole numbers of any type.
        batch_size: how many stretches, b.
        n_context: how long each is, t.
        generator: where the chance comes from.
        starts: places where a stretch may begin, all alike likely; left out, anywhere. Those too
            late for a whole stretch and its last target are passed over, not moved.

    Returns:
        Inputs (b t) and targets (b t), int64: the target of a place is the token after it.

    Raises:
        ValueError: the text has not even n_context + 1 tokens, or all `starts` are too late.
    """
    n_starts = len(tokens) - n_context
    if n_starts < 1:
        raise ValueError(
            f"{n_context} tokens and the one after them need a text of {n_context + 1}, got "
            f"{len(tokens)}"
        )
    if starts is None:
        chosen = torch.randint(n_starts, (batch_size,), generator=generator)
    else:
        starts = starts[starts < n_starts]
        if len(starts) == 0:
            raise ValueError(f"no start is early enough: {n_starts - 1} is the last that is")
        chosen = starts[torch.randint(len(starts), (batch_size,), generator=generator)]
    places = chosen[:, None] + torch.arange(n_context + 1)  # (b t+1)
    stretches = tokens[places].long()
    return stretches[:, :-1], stretches[:, 1:]


def next_token_loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, int]:
    """The loss of pretraining: how surprised the model is by each next token.

    Args:
        model: a transformer.
        batch: inputs (b t) and targets (b t); a target of −100 does not count.

    Returns:
        The sum over all tokens that count, in nats, and their number. If none counts, both are 0,
        and going backward from there makes gradients of 0.
    """
    inputs, targets = batch
    logits, n = model(inputs), int((targets != IGNORED).sum())
    if n == 0:
        return 0.0 * logits.sum(), 0
    return cross_entropy(logits, targets, ignore_index=IGNORED) * n, n


def train_step(
    model: nn.Module,
    batches: Sequence[Any],
    loss: Loss,
    optimizer: Optimizer,
    max_norm: float = 1.0,
) -> tuple[float, float]:
    """One step of the optimizer on one large batch that comes in parts.

    The parts may count unequally many tokens, some of them none. The gradient is that of (sum of
    all losses) / (number of all tokens), as if the large batch had come whole; gradients left over
    from before do not count. To save memory, each part goes forward and backward before the next
    one begins.

    Args:
        model: what is trained.
        batches: the parts, for `loss`.
        loss: `loss(model, part)` gives the sum of a part's losses and how many they are.
        optimizer: moves the parameters, which need not be those of the model: only its own,
            `optimizer.params`, are emptied, divided and clipped.
        max_norm: gradients longer than this are shortened.

    Returns:
        The mean loss before the step, and the length of its gradient before it was shortened.

    Raises:
        FloatingPointError: the loss or its gradient is nan or infinite; the model was not moved.
        ValueError: nothing in any of the parts counts.
    """
    optimizer.zero_grad()
    total, count = 0.0, 0
    for batch in batches:
        part, n = loss(model, batch)
        part.backward()
        total, count = total + part.item(), count + n
    if count == 0:
        raise ValueError("nothing in the batch counts: are all its targets masked (−100)?")
    for p in optimizer.params:
        if p.grad is not None:
            p.grad.div_(count)
    mean, norm = total / count, clip_gradients(optimizer.params, max_norm).item()
    if not (math.isfinite(mean) and math.isfinite(norm)):
        raise FloatingPointError(f"the loss is {mean} and its gradient {norm} long")
    optimizer.step()
    return mean, norm


def train(
    model: nn.Module,
    draw: Callable[[int, torch.Generator], Any],
    n_steps: int,
    optimizer: Optimizer,
    loss: Loss = next_token_loss,
    *,
    schedule: Callable[[int], float] | None = None,
    n_parts: int = 1,
    max_norm: float = 1.0,
    precision: str = "float32",
    compiled: bool = False,
    fused: bool = False,
    evaluate: Callable[[nn.Module], dict[str, Any]] | None = None,
    evaluate_every: int | None = None,
    folder: str | Path | None = None,
    save_every: int | None = None,
    tokenizer: Any = None,
    card: dict[str, Any] | None = None,
    seed: int = 0,
    loss_limit: float | None = None,
    tensorboard: str | Path | None = None,
    progress: bool = True,
) -> History:
    """Train a model: the one loop for everything that learns.

    Args:
        model: moved in place. Wrapped by DDP or FSDP where several processes train it.
        draw: `draw(step, generator)` gives the batch of a step: tensors, or tuples, lists or dicts
            of them, with the examples along the first axis. It should depend on nothing else.
        n_steps: where to stop, counted from the first step ever, also when going on.
        optimizer: moves the parameters.
        loss: see `Loss`.
        schedule: step to what the rates are multiplied by; left out, 2 % warm-up, then a cosine
            down to a tenth.
        n_parts: in how many parts a batch is computed, to save memory.
        max_norm: gradients longer than this are shortened.
        precision: "float32" or "bfloat16" (see `best_precision`).
        compiled: let torch compile the model: 10 to 60 seconds at first, faster steps after them.
        fused: attend by a kernel of torch that never holds all scores: for GPUs.
        evaluate: takes the model and gives numbers for the record.
        evaluate_every: steps between two; the first is before any step, the last at the end.
        folder: where checkpoints go, as step-000100 and so on. If there are some already, training
            goes on from the latest.
        save_every: steps between two; the last step is always saved.
        tokenizer: written into the checkpoints.
        card: written into the checkpoints.
        seed: of the batches and of all chance in training.
        loss_limit: a loss above it stops the training; left out, 3 + 3 · the first loss.
        tensorboard: a folder for TensorBoard's files, if it is installed.
        progress: show a bar with loss, speed and time left.

    Returns:
        What was measured at each step.

    Raises:
        TrainingStopped: the loss became nan or exploded.
    """
    schedule = schedule or (lambda step: learning_rate(step, n_steps, n_warmup=n_steps // 50))
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    history = History(tensorboard if parallel.is_first() else None)
    first = 0
    if folder is not None:
        first = restore(Path(folder), model, optimizer, generator, history)
    runner: nn.Module = cast(nn.Module, torch.compile(model)) if compiled else model
    loss = _over_processes(in_precision(loss, precision))
    device = next(model.parameters()).device
    bar = tqdm(range(first, n_steps), initial=first, total=n_steps, unit="step",
               disable=not (progress and parallel.is_first()))  # fmt: skip

    def measure(step: int) -> dict[str, Any]:
        # The model itself, not as compiled: other shapes would be compiled anew.
        return _evaluate(model, evaluate) if evaluate is not None and _due(step) else {}

    def _due(step: int) -> bool:
        return step in (0, n_steps) or bool(evaluate_every and step % evaluate_every == 0)

    def save(step: int) -> None:
        if folder is not None:
            save_state(Path(folder), step, model, optimizer, generator, history, tokenizer, card)

    was_training = model.training
    model.train()
    with bar, fused_attention(fused):
        if first == 0:
            history.add({"step": 0, **measure(0)})
        for step in bar:
            optimizer.scale = schedule(step)
            batch = data.to_device(parallel.share(draw(step, generator)), device)
            start = time.perf_counter()
            try:
                value, norm = train_step(
                    runner, data.split_batch(batch, n_parts), loss, optimizer, max_norm
                )
            except FloatingPointError as error:
                raise _stopped(str(error), step, folder) from None
            seconds = time.perf_counter() - start
            if loss_limit is None:
                loss_limit = 3 + 3 * abs(history.first("loss", value))
            if value > loss_limit:
                raise _stopped(f"the loss exploded to {value:.2f}", step, folder)
            n_tokens = data.n_tokens(batch) * parallel.n_processes()
            history.add(
                {
                    "step": step + 1,
                    "loss": value,
                    "gradient_norm": norm,
                    "rate": optimizer.scale,
                    "tokens": n_tokens,
                    "seconds": seconds,
                    **measure(step + 1),
                }
            )
            bar.set_postfix_str(f"loss {value:.3f}, {n_tokens / seconds:,.0f} tokens/s")
            if step + 1 == n_steps or (save_every and (step + 1) % save_every == 0):
                save(step + 1)
    model.train(was_training)
    return history


@torch.no_grad()
def evaluate_loss(
    model: nn.Module,
    tokens: Tensor,
    n_context: int,
    batch_size: int = 16,
    loss: Loss | None = None,
    starts: Tensor | None = None,
) -> float:
    """The mean loss over a text, in nats per token: every token is guessed once.

    The text is cut into stretches of `n_context`; the few tokens behind the last one are left out.
    With `starts`, a stretch begins at each of them and ends before the next.

    Args:
        model: a transformer.
        tokens: the text, (n) whole numbers.
        n_context: how long a stretch is; of a longer document only its beginning counts.
        batch_size: stretches at once.
        loss: left out, `next_token_loss`.
        starts: where documents begin, in order, as `document_starts` gives them.

    Raises:
        ValueError: the text is shorter than one stretch and a token.
    """
    if len(tokens) < n_context + 1:
        raise ValueError(f"expected at least {n_context + 1} tokens, got {len(tokens)}")
    device = next(model.parameters()).device
    borders = torch.arange(0, len(tokens), n_context) if starts is None else starts
    places = borders[:-1, None] + torch.arange(n_context)  # (n t)
    inputs = tokens[places.clamp(max=len(tokens) - 1)].long()
    targets = tokens[(places + 1).clamp(max=len(tokens) - 1)].long()
    targets = targets.masked_fill(places >= borders[1:, None], IGNORED)
    total, count = 0.0, 0
    for first in range(0, len(inputs), batch_size):
        batch = inputs[first : first + batch_size], targets[first : first + batch_size]
        part, m = (loss or next_token_loss)(model, data.to_device(batch, device))
        total, count = total + part.item(), count + m
    return total / count


def best_precision(device: torch.device | str = "cpu") -> str:
    """ "bfloat16" where the processor multiplies it in hardware and fast, else "float32".

    A CPU without such hardware computes far more slowly in bfloat16 than in float32.
    """
    device = torch.device(device)
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu" and speed.multiplies_bfloat16():
        return "bfloat16"
    return "float32"


def in_precision(loss: Loss, precision: str) -> Loss:
    """The same loss with matrix products in "float32" or "bfloat16"; weights stay float32."""
    speed.prepare()
    if precision == "float32":
        return loss
    if precision != "bfloat16":
        raise ValueError(f"precision is 'float32' or 'bfloat16', got {precision!r}")

    def wrapped(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        device = next(model.parameters()).device.type
        with torch.autocast(device, dtype=torch.bfloat16):
            return loss(model, batch)

    return wrapped


def _over_processes(loss: Loss) -> Loss:
    """The same loss, of the parts that all processes hold: a step need not know of the others."""
    n = parallel.n_processes()
    if n == 1:
        return loss

    def wrapped(model: nn.Module, batch: Any) -> tuple[Tensor, int]:
        part, count = loss(model, batch)
        total, count = parallel.over_processes(part.item(), count)
        # DDP and FSDP take the mean of the processes' gradients; n times that is their sum.
        return total + n * (part - part.detach()), count

    return wrapped


def _evaluate(model: nn.Module, evaluate: Callable[[nn.Module], dict[str, Any]]) -> dict[str, Any]:
    model.eval()
    with contextlib.ExitStack() as stack:
        stack.callback(model.train)
        return evaluate(model)


def _stopped(why: str, step: int, folder: str | Path | None) -> TrainingStopped:
    from lib.checkpoint import latest

    last = latest(folder) if folder is not None else None
    left = f"the last good checkpoint is {last}" if last else "there is no checkpoint"
    return TrainingStopped(
        f"{why} at step {step}: {left}. Try a lower learning rate, a longer warm-up or a smaller "
        "max_norm, and look at the batches just before"
    )


if __name__ == "__main__":
    from lib._training_cli import main

    main()
