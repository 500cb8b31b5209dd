"""Reasoning: a model learns to think before it answers (lesson "reasoning").

Whether a sum is right can be checked, so nobody has to learn what a good answer is: the model
answers, is told how well it did, and answers likewise more often or less. How good an answer is
compared with others of the same prompt is its advantage. Shapes are told by one letter each:
b answers, t tokens, v the vocabulary, n prompts, g answers to each.

    prompts ─ rollout ─ rewards ─┬─ group_advantages ──────┬─ grpo_loss ─ a step
                                 └─ SinglestreamTracker ───┘

    limit_thinking   how long it may think           majority_vote   several answers, one vote each
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Any, Literal, TypeVar

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from lib._reasoning_parts import (
    PromptMemory,
    SumTask,
    Thinking,
    answer_of,
    check_grpo,
    check_votes,
    draw_prompts_by,
    is_right,
    pass_at_k,
    problem_messages,
    solve_sums,
    sum_prompts,
    sum_reward,
    thinking_tokens,
)
from lib.generation import Processor
from lib.ppo import Rollout, WatchedLoss, answer_log_probs
from lib.training import IGNORED

__all__ = [
    "SinglestreamTracker",
    "SumTask",
    "Thinking",
    "answer_of",
    "group_advantages",
    "grpo_batch",
    "grpo_loss",
    "is_right",
    "limit_thinking",
    "majority_vote",
    "pass_at_k",
    "policy_loss",
    "problem_messages",
    "solve_sums",
    "spo_batch",
    "sum_prompts",
    "sum_reward",
    "thinking_tokens",
]

Answer = TypeVar("Answer", bound=Hashable)
Batch = dict[str, Tensor]


def group_advantages(
    rewards: Tensor,
    group_size: int,
    normalise: Literal["std"] | None = "std",
    eps: float = 1e-4,
) -> Tensor:
    """How much better is each answer than the others to the same prompt?

    The reward less the group's mean; with "std", divided by the group's standard deviation (that
    of a sample: g − 1 in the denominator) plus `eps`. Groups whose answers all earn the same give
    zeros. Shao et al. 2024 (arXiv 2402.03300), section 4.1; without the division Liu et al. 2025,
    "Dr. GRPO" (arXiv 2503.20783).

    Args:
        rewards: (n g), flat: the answers to a prompt stand one after the other.
        group_size: how many answers each prompt has, g; at least 2.
        normalise: "std" to divide, None not to.
        eps: is added to the standard deviation.

    Returns:
        (n g), flat, in the same order.

    Raises:
        ValueError: there are no whole groups, g is below 2, or `normalise` is something else.

    >>> group_advantages(torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 1.0]), 3, normalise=None)
    tensor([ 0.6667, -0.3333, -0.3333,  0.0000,  0.0000,  0.0000])
    """
    if group_size < 2 or len(rewards) % group_size:
        got = f"{len(rewards)} rewards in groups of {group_size}"
        raise ValueError(f"expected whole groups of 2 answers at least, got {got}")
    if normalise not in ("std", None):
        raise ValueError(f'normalise is "std" or None, got {normalise!r}')
    groups = rearrange(rewards, "(n g) -> n g", g=group_size)
    advantages = groups - groups.mean(dim=1, keepdim=True)
    if normalise == "std":
        advantages = advantages / (groups.std(dim=1, keepdim=True) + eps)
    return rearrange(advantages, "n g -> (n g)")


def grpo_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, *,
    ref_log_probs: Tensor | None = None,
    clip: float = 0.2, clip_high: float | None = None, kl_weight: float = 0.0,
    average: Literal["answer", "token", "constant"] = "answer", max_length: int | None = None,
) -> tuple[Tensor, int]:  # fmt: skip
    """The loss of group relative policy optimisation, and of those that came from it.

    A token costs −min(ρA, clip(ρ)A), where ρ = exp(log_probs − old_log_probs) and clip(ρ) lies in
    1 − clip … 1 + clip_high; and kl_weight · (eˣ − 1 − x), where x = ref_log_probs − log_probs.

    | average | sum of | divided by | paper |
    |---|---|---|---|
    | "answer" | the mean of each answer | answers | GRPO, 2402.03300, equation 3 |
    | "token" | all tokens | tokens | DAPO, 2503.14476 |
    | "constant" | all tokens | answers · max_length | Dr. GRPO, 2503.20783 |

    Args:
        log_probs: of the tokens, under the policy that learns, (b t).
        old_log_probs: under the policy that wrote them, (b t).
        advantages: of the answers, (b).
        mask: True on the tokens of the answer, its end token too, (b t). Others do not count.
        ref_log_probs: under the reference, (b t).
        clip, clip_high: how far ρ may fall, and rise (as far, if left out; DAPO takes 0.28).
        kl_weight: how much straying from the reference costs.
        average: see above.
        max_length: for "constant": the most tokens an answer may have.

    Returns:
        The sum, and the number to divide it by: what `lib.training.train_step` takes.

    Raises:
        ValueError: `average` is none of these, or what it or a `kl_weight` needs is missing.
    """
    check_grpo(average, max_length, kl_weight, ref_log_probs)
    gain = rearrange(advantages, "b -> b 1")
    ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0).exp()
    clipped = ratio.clamp(1 - clip, 1 + (clip if clip_high is None else clip_high))
    losses = -torch.minimum(ratio * gain, clipped * gain)
    if kl_weight and ref_log_probs is not None:
        x = (ref_log_probs - log_probs).masked_fill(~mask, 0.0)
        losses = losses + kl_weight * (x.exp() - 1 - x)
    losses = losses.masked_fill(~mask, 0.0)
    lengths = reduce(mask.long(), "b t -> b", "sum")
    if average == "answer":
        return (losses.sum(dim=1) / lengths.clamp(min=1)).sum(), len(losses)
    if average == "token":
        return losses.sum(), int(lengths.sum())
    return losses.sum(), len(losses) * (max_length or 1)


def policy_loss(temperature: float = 1.0, **settings: Any) -> WatchedLoss:
    """`grpo_loss` as the loss of `learn_from_rollouts`, on batches of `grpo_batch` or `spo_batch`.

    Args:
        temperature: the one that the answers were drawn at: what learns is the policy that wrote
            them, not a sharper or flatter one.
        settings: of `grpo_loss`.
    """

    def loss(model: nn.Module, batch: Batch, watched: WatchedLoss) -> tuple[Tensor, int]:
        targets, old = batch["targets"], batch["log_probs"]
        log_probs = answer_log_probs(model, batch["inputs"], targets, temperature)
        mask = targets != IGNORED
        watched.watch(log_probs, old, mask, settings.get("clip", 0.2))
        ref = batch.get("ref_log_probs")
        return grpo_loss(log_probs, old, batch["advantages"], mask, ref_log_probs=ref, **settings)

    return WatchedLoss(loss)


def grpo_batch(
    rollout: Rollout,
    rewards: Tensor,
    group_size: int,
    *,
    normalise: Literal["std"] | None = "std",
    drop_uniform: bool = False,
    ref_log_probs: Tensor | None = None,
) -> tuple[Batch, dict[str, float]]:
    """What groups of answers, and what they earned, have to teach.

    Args:
        rollout: of prompts that come `group_size` times in a row each.
        rewards: of its answers, (b).
        group_size: answers to each prompt.
        normalise: as for `group_advantages`.
        drop_uniform: leave out groups whose answers all earned the same: they teach nothing, and
            without them the others weigh more. (DAPO's dynamic sampling, which draws more prompts
            until a batch is full.) If all are such, all stay.
        ref_log_probs: of a model to stay near to, for `kl_weight`, (b t): `rollout_log_probs`.

    Returns:
        For each answer that stays a row of "inputs", "targets", "log_probs" (b t), "advantages" and
        "rewards" (b), and "ref_log_probs" if given; and for the record "reward", the mean over all
        answers, and "uniform", the share of groups that teach nothing.
    """
    advantages = group_advantages(rewards, group_size, normalise)
    groups = rearrange(rewards, "(n g) -> n g", g=group_size)
    differ = groups.amax(dim=1) > groups.amin(dim=1)
    batch = _batch(rollout, rewards, advantages, ref_log_probs)
    if drop_uniform and differ.any():
        kept = differ.repeat_interleave(group_size)
        batch = {key: rows[kept.to(rows.device)] for key, rows in batch.items()}
    uniform = 1 - differ.float().mean().item()
    return batch, {"reward": rewards.mean().item(), "uniform": uniform}


def spo_batch(
    tracker: SinglestreamTracker,
    prompts: Tensor,
    rollout: Rollout,
    rewards: Tensor,
    policy: nn.Module,
    *,
    ref_log_probs: Tensor | None = None,
    temperature: float = 1.0,
) -> tuple[Batch, dict[str, float]]:
    """What single answers, and what they earned, have to teach; the tracker learns as well.

    Args:
        tracker: of the prompts.
        prompts: which of them were answered, (b), none twice: `SumTask.numbers`.
        rollout: the answers.
        rewards: what they earned, (b), from 0 to 1.
        policy: what wrote them, to see how far it has moved since each prompt was last used.
        ref_log_probs: as for `grpo_batch`.
        temperature: the one that the answers were drawn at.

    Returns:
        As `grpo_batch`; for the record "moved", the mean divergence in nats a token, and
        "expected", the mean value of these prompts before.

    Raises:
        ValueError: a prompt comes twice, or a reward is not from 0 to 1.
    """
    if len(prompts.unique()) < len(prompts):
        raise ValueError("a prompt comes twice in the batch: a tracker takes one answer at a time")
    moved, expected = tracker.divergences(policy, prompts, temperature), tracker.values[prompts]
    advantages = tracker.update(prompts, rewards, moved)
    tracker.remember(prompts, rollout.inputs, rollout.targets, rollout.log_probs)
    numbers = {"moved": moved.mean().item(), "expected": expected.mean().item()}
    return _batch(rollout, rewards, advantages, ref_log_probs), numbers


def _batch(
    rollout: Rollout, rewards: Tensor, advantages: Tensor, ref_log_probs: Tensor | None
) -> Batch:
    """A rollout as a batch, with what was made of its rewards."""
    batch = {key: getattr(rollout, key) for key in ("inputs", "targets", "log_probs")}
    batch["advantages"] = advantages.to(rollout.inputs.device)
    batch["rewards"] = rewards.to(rollout.inputs.device)
    return batch if ref_log_probs is None else {**batch, "ref_log_probs": ref_log_probs}


class SinglestreamTracker(PromptMemory):
    """What to expect of each prompt, so that one answer at a time will do: no groups.

    For each prompt it keeps how much success, α, and how much failure, β, it has seen lately; the
    value of the prompt is α / (α + β). The more the policy has changed since a prompt was last
    used, the more of what was seen then is forgotten. Xu and Ding 2025, "Single-stream Policy
    Optimization" (arXiv 2509.13232).

    Attributes:
        alpha: (n)
        beta: (n)
        half, least, most, eps: as given.
    """

    def __init__(
        self, values: Tensor, half: float = 0.06, least: float = 0.875, most: float = 0.96,
        eps: float = 1e-4,
    ) -> None:  # fmt: skip
        """
        Args:
            values: what to expect of each prompt at first, from 0 to 1, (n): the share that was
                right of a few answers to it, or one half. It counts as 1 / (1 − least) answers.
            half: after a divergence of so many nats, half is forgotten.
            least, most: the share that is kept at least, and at most.
            eps: is added to the standard deviation.

        Raises:
            ValueError: a value is not from 0 to 1, or not 0 ≤ least ≤ most < 1.
        """
        if ((values < 0) | (values > 1)).any():
            raise ValueError("expected values from 0 to 1: shares of right answers")
        if not (half > 0 and 0 <= least <= most < 1):
            raise ValueError(
                f"expected half above 0 and 0 ≤ least ≤ most < 1, got {half=}, {least=}, {most=}"
            )
        super().__init__()
        self.half, self.least, self.most, self.eps = half, least, most, eps
        self.alpha = values.float() / (1 - least)
        self.beta = (1 - values.float()) / (1 - least)

    @property
    def values(self) -> Tensor:
        """What to expect of each prompt, (n)."""
        return self.alpha / (self.alpha + self.beta)

    def draw(self, n: int, generator: torch.Generator | None = None, floor: float = 0.05) -> Tensor:
        """Prompts to use next, (n), none twice: most likely those that are neither easy nor hard.

        A prompt weighs √(v (1 − v)) + `floor`: how much its rewards vary, and a little for all.
        """
        return draw_prompts_by((self.values * (1 - self.values)).sqrt() + floor, n, generator)

    def update(self, prompts: Tensor, rewards: Tensor, divergences: Tensor) -> Tensor:
        """Take in one answer to each of these prompts, and say how much better than expected it is.

        The advantage is r − v, where v is the value before this answer counts. Then, with
        ρ = 2^(−D / half), kept within `least` and `most`: α ← ρα + r and β ← ρβ + 1 − r. In the
        end the advantages are brought to mean 0 and standard deviation 1 over the batch: less their
        mean, divided by (standard deviation of a sample + `eps`).

        Args:
            prompts: which prompts, (b) whole numbers from 0 to n − 1, none twice; at least two, as
                one alone has no standard deviation.
            rewards: from 0 to 1, (b).
            divergences: KL from the policy that used the prompt last to the present one, in nats a
                token, (b); 0 at the first use.

        Returns:
            The advantages, (b).

        Raises:
            ValueError: a reward is below 0 or above 1; the tracker stays as it was.
        """
        if ((rewards < 0) | (rewards > 1)).any():
            raise ValueError(f"expected rewards from 0 to 1, got {rewards.tolist()}: rescale them")
        alpha, beta = self.alpha[prompts], self.beta[prompts]
        advantages = rewards - alpha / (alpha + beta)
        kept = (2 ** (-divergences / self.half)).clamp(self.least, self.most)
        self.alpha[prompts] = kept * alpha + rewards
        self.beta[prompts] = kept * beta + 1 - rewards
        return (advantages - advantages.mean()) / (advantages.std() + self.eps)


def limit_thinking(budget: int, ids: Thinking) -> Processor:
    """A processor that ends a thought when it has used up its budget.

    A row thinks if a `begin` came in its present turn and no `end` since. If so many tokens as the
    budget has came after that `begin`, `end` is the only token that may come. All other rows stay
    as they are: those that have no thought, or have ended it. What earlier turns thought does not
    count; the present one starts at the last `turn`, or where the row does.

    Args:
        budget: how many tokens may stand between `begin` and `end`; 0 ends a thought at once.
        ids: of the tokens: `ids.begin` ("<think>"), `ids.end` ("</think>") and `ids.turn`
            ("<|im_start|>"), with which each turn starts.

    Returns:
        (texts so far (b t), −1 before the shorter ones; logits (b v)) -> logits (b v), which
        remembers nothing from call to call.

    Raises:
        ValueError: the budget is below 0.

    >>> limit = limit_thinking(2, Thinking(begin=0, end=1, turn=2))
    >>> limit(torch.tensor([[2, 0, 3, 3], [-1, 2, 0, 3]]), torch.zeros(2, 4)).softmax(-1)
    tensor([[0.0000, 1.0000, 0.0000, 0.0000],
            [0.2500, 0.2500, 0.2500, 0.2500]])
    """
    if budget < 0:
        raise ValueError(f"expected a budget of 0 tokens or more, got {budget}")

    def process(tokens: Tensor, logits: Tensor) -> Tensor:
        places = torch.arange(tokens.size(1), device=tokens.device)

        def last(token: int) -> Tensor:
            """Where it came last in each row, (b); −1 if it never did."""
            return places.where(tokens == token, -1).amax(dim=1)

        begin = last(ids.begin)
        thinks = (begin > last(ids.turn)) & (begin > last(ids.end))
        used = tokens.size(1) - 1 - begin
        ended = torch.full_like(logits, float("-inf"))
        ended[:, ids.end] = 0.0  # whatever was left of it: it must be possible
        return torch.where((thinks & (used >= budget))[:, None], ended, logits)

    return process


def majority_vote(
    answers: Sequence[Answer | None], weights: Sequence[float] | None = None
) -> Answer | None:
    """The answer that most agree on.

    Wang et al. 2022, "Self-consistency" (arXiv 2203.11171): right ways of thinking end at the same
    number, wrong ones each at another.

    Args:
        answers: None is no answer, and has no vote.
        weights: how much each vote counts, above 0; left out, all alike.

    Returns:
        The answer with the most votes. Of those with equally many, the one that had them first.
        None if nobody votes.

    Raises:
        ValueError: there is not one weight for each answer, or one is not above 0.

    >>> majority_vote([7, None, 12, 12, None, None])
    12
    """
    weights = check_votes(answers, weights)
    votes: dict[Answer, float] = defaultdict(float)
    best, most = None, 0.0
    for answer, weight in zip(answers, weights):
        if answer is None:
            continue
        votes[answer] += weight
        if votes[answer] > most:
            best, most = answer, votes[answer]
    return best
