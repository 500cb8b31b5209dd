"""The one loop for learning from one's own answers: PPO, GRPO and SPO all go through it (given)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lib import _training_data as data
from lib._ppo_parts import Rollout, rollout
from lib._training_history import History
from lib.training import IGNORED, Loss, TrainingStopped, in_precision, train_step
from lib.transformer import Transformer

Batch = dict[str, Tensor]
MakeBatch = Callable[[Rollout], Batch | tuple[Batch, dict[str, float]]]
"""Makes of answers what a loss takes; with it, if one likes, numbers for the record."""


class EnoughMoved(Exception):
    """The policy has moved far enough from the one that wrote the answers."""


class WatchedLoss:
    """A loss that also says how far the policy has moved from the one that wrote the answers.

    Attributes:
        loss: what is computed; it calls `watch` on its way.
        seen: sums over the parts of a batch since `forget`.
    """

    def __init__(self, loss: Callable[[nn.Module, Batch, WatchedLoss], tuple[Tensor, int]]) -> None:
        """
        Args:
            loss: `loss(model, batch, watched)`, which gives a sum and a number as any loss, and
                calls `watched.watch`.
        """
        self.loss = loss
        self.seen = {"tokens": 0.0, "step_kl": 0.0, "clip_share": 0.0}

    def __call__(self, model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
        return self.loss(model, batch, self)

    @torch.no_grad()
    def watch(self, log_probs: Tensor, old_log_probs: Tensor, mask: Tensor, clip: float) -> None:
        """Take note of one part.

        Args:
            log_probs: under the policy as it is now, (b t).
            old_log_probs: under the one that wrote the answers, (b t).
            mask: True where a token counts, (b t).
            clip: how far their ratio may stray from 1.
        """
        x = (log_probs - old_log_probs)[mask]
        self.seen["tokens"] += len(x)
        self.seen["step_kl"] += (torch.expm1(-x) + x).sum().item()  # k3, of old from new
        self.seen["clip_share"] += ((x.exp() - 1).abs() > clip).sum().item()

    def forget(self) -> None:
        """Begin anew."""
        self.seen = dict.fromkeys(self.seen, 0.0)

    def means(self) -> dict[str, float]:
        """What was seen, a token: "step_kl" in nats, and "clip_share"."""
        n = max(1.0, self.seen["tokens"])
        return {name: total / n for name, total in self.seen.items() if name != "tokens"}


def learn_from_rollouts(
    policy: Transformer,
    draw_prompts: Callable[[int, torch.Generator], Sequence[Sequence[int]]],
    make_batch: MakeBatch,
    loss: Loss,
    optimizer: Any,
    n_steps: int,
    *,
    n_updates: int = 1,
    n_minibatches: int = 1,
    n_parts: int = 1,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    stop: Collection[int] = (),
    schedule: Callable[[int], float] | None = None,
    evaluate: Callable[[Transformer], dict[str, Any]] | None = None,
    evaluate_every: int | None = None,
    seed: int = 0,
    progress: bool = True,
    precision: str = "float32",
    max_norm: float = 1.0,
    stop_when: Callable[[dict[str, float]], bool] | None = None,
) -> History:
    """Let a policy answer prompts, and learn from its own answers; again and again.

    Args:
        policy: what writes and learns; moved in place.
        draw_prompts: `draw_prompts(step, generator)` gives the prompts of a step, as ids.
        make_batch: see `MakeBatch`. From the batch come, if it has them, "rewards" (b) and
            "ref_log_probs" (b t) for the record.
        loss: as for `lib.training.train_step`; a `WatchedLoss` has more on record.
        optimizer: moves the parameters, those of a critic too if it holds them.
        n_steps: how many times answers are written.
        n_updates: how often each batch of answers is learnt from.
        n_minibatches: in how many batches, with a step of the optimizer each, they are shuffled.
        n_parts: in how many parts each of these is computed, to save memory.
        max_new_tokens: how many tokens an answer has at most.
        temperature: of the answers, above 0; give `loss` the same.
        stop: ids that end an answer.
        schedule: step to what the rates are multiplied by; left out, 1.
        evaluate: takes the policy and gives numbers for the record.
        evaluate_every: steps between two; the first is before any step, the last at the end.
        seed: of the prompts, the answers and the shuffling.
        progress: show a bar with reward, KL and time left.
        precision: of the updates, "float32" or "bfloat16"; answers are written in float32.
        max_norm: gradients longer than this are shortened.
        stop_when: takes what a `WatchedLoss` has seen of the batch at hand, "step_kl" and
            "clip_share"; if it returns True, the optimizer does not step, and no more is learnt
            from these answers. (A loss times 0 would not do: Adam moves without a gradient, too.)

    Returns:
        For each step "loss", "reward", "kl" to the reference in nats an answer, "entropy" in nats a
        token (the last two estimated on the answers), "length" in tokens, "ended", the share of
        answers that came to their end, "updates", the steps of the optimizer, "gradient_norm",
        "rate", "tokens", "seconds" and of these "writing"; with a `WatchedLoss`, "step_kl" and
        "clip_share" at the last update.

    Raises:
        TrainingStopped: the loss became nan or infinite.
        ValueError: `stop_when` is given, and the loss is none that watches.
    """
    watched = loss if isinstance(loss, WatchedLoss) else None
    if stop_when is not None and watched is None:
        raise ValueError("stop_when needs a loss that watches the policy: give a WatchedLoss")
    device = policy.embedding.weight.device
    chance = torch.Generator().manual_seed(seed)
    drawing = torch.Generator(device).manual_seed(seed)
    exact, history, ended_by = in_precision(loss, precision), History(), set(stop)
    bar = tqdm(range(n_steps), unit="step", disable=not progress)

    def measure(step: int) -> dict[str, Any]:
        due = step in (0, n_steps) or bool(evaluate_every and step % evaluate_every == 0)
        if evaluate is None or not due:
            return {}
        policy.eval()
        found = evaluate(policy)
        policy.train()
        return found

    def update(batch: Batch) -> tuple[float, float]:
        """One step of the optimizer, unless `stop_when` says that it is enough."""
        parts, done = data.split_batch(batch, n_parts), 0

        def counted(model: nn.Module, part: Batch) -> tuple[Tensor, int]:
            nonlocal done
            found, done = exact(model, part), done + 1
            if done == len(parts) and stop_when and watched and stop_when(watched.means()):
                raise EnoughMoved
            return found

        if watched is not None:
            watched.forget()
        return train_step(policy, parts, counted, optimizer, max_norm)

    was_training = policy.training
    policy.train()
    with bar:
        history.add({"step": 0, **measure(0)})
        for step in bar:
            start = time.perf_counter()
            optimizer.scale = 1.0 if schedule is None else schedule(step)
            written = rollout(
                policy, draw_prompts(step, chance), max_new_tokens, temperature=temperature,
                stop=stop, generator=drawing,
            )  # fmt: skip
            writing = time.perf_counter() - start
            made = make_batch(written)
            batch, numbers = made if isinstance(made, tuple) else (made, {})
            losses: list[tuple[float, float]] = []
            try:
                for minibatch in _minibatches(batch, n_updates, n_minibatches, chance):
                    losses.append(update(minibatch))
            except EnoughMoved:
                optimizer.zero_grad()
            except FloatingPointError as error:
                raise TrainingStopped(
                    f"{error} at step {step}: the policy was not moved. Try a lower learning rate, "
                    "fewer updates or a smaller max_norm"
                ) from None
            record = {
                "step": step + 1,
                **({"loss": losses[0][0], "gradient_norm": losses[0][1]} if losses else {}),
                **_numbers(written, batch, ended_by),
                **(watched.means() if watched is not None else {}),
                "updates": len(losses),
                "rate": optimizer.scale,
                "tokens": data.n_tokens(written.inputs),
                "seconds": time.perf_counter() - start,
                "writing": writing,
                **numbers,
                **measure(step + 1),
            }
            history.add(record)
            shown = [f"{key} {record[key]:.2f}" for key in ("reward", "kl") if key in record]
            bar.set_postfix_str(", ".join([*shown, f"{record['length']:.0f} tokens"]))
    policy.train(was_training)
    return history


def _minibatches(
    batch: Batch, n_updates: int, n_minibatches: int, generator: torch.Generator
) -> list[Batch]:
    """What each step of the optimizer takes, in order."""
    found: list[Batch] = []
    for _ in range(n_updates):
        if n_minibatches == 1:
            found.append(batch)
            continue
        n = len(next(data.tensors(batch)))
        order = torch.randperm(n, generator=generator)
        shuffled = {key: x[order.to(x.device)] for key, x in batch.items()}
        found += data.split_batch(shuffled, n_minibatches)
    return found


def _numbers(written: Rollout, batch: Batch, ended_by: set[int]) -> dict[str, float]:
    """What the answers of one step tell."""
    n, n_tokens = len(written), int(written.mask.sum())
    found = {
        "length": n_tokens / n,
        "ended": sum(answer[-1] in ended_by for answer in written.answers) / n,
        # On average, −log p of what was drawn from p is p's entropy.
        "entropy": -written.log_probs.sum().item() / n_tokens,
    }
    if "rewards" in batch:
        found["reward"] = batch["rewards"].float().mean().item()
    if "ref_log_probs" in batch:
        x = (batch["ref_log_probs"] - batch["log_probs"]).masked_fill(
            batch["targets"] == IGNORED, 0.0
        )
        found["kl"] = (torch.expm1(x) - x).sum(dim=1).mean().item()  # k3
    return found
