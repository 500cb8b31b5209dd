"""Proximal policy optimisation: how a reward changes what a model writes (lesson "rlhf").

A policy writes answers; each earns a reward. Tokens that led to more than was expected are made
likelier, the others less likely, and neither by much: what was written by one policy says little
about another. What was expected is the guess of a critic. Shapes are told by one letter each:
b answers, t tokens, d numbers.

    prompts ─ rollout ─ rewards, values ─ advantages ─ ppo_policy_loss, ppo_value_loss ─ a step
                 ↑                                                                         │
                 └───────────────────────── the policy has moved ──────────────────────────┘

Williams 1992 (REINFORCE); Schulman et al. 2015 (arXiv 1506.02438, advantages); Schulman et al. 2017
(arXiv 1707.06347, PPO); Ouyang et al. 2022 (arXiv 2203.02155, for language models).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from lib._ppo_loop import WatchedLoss, learn_from_rollouts
from lib._ppo_parts import Critic, Rollout, answer_log_probs, rollout, rollout_log_probs, whiten
from lib.training import IGNORED

__all__ = [
    "Critic",
    "Rollout",
    "WatchedLoss",
    "advantages",
    "answer_log_probs",
    "kl_estimates",
    "learn_from_rollouts",
    "ppo_batch",
    "ppo_loss",
    "ppo_policy_loss",
    "ppo_value_loss",
    "rollout",
    "rollout_log_probs",
    "whiten",
]


def kl_estimates(log_probs: Tensor, ref_log_probs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Three estimates of how far a policy is from its reference, on tokens that the policy drew.

    With x = log ref − log p of a token: k1 = −x, k2 = x² / 2, k3 = eˣ − 1 − x. The mean of k1 over
    many draws is KL(p ‖ ref), and so is that of k3, which is never below 0. Where the two are
    close, k3 scatters far less than k1, and the mean of k2 is nearly the same. Schulman 2020,
    "Approximating KL divergence".

    Args:
        log_probs: of the tokens, under the policy that drew them, of any shape.
        ref_log_probs: of the same tokens, under the reference.

    Returns:
        k1, k2 and k3 for each token, in nats.

    >>> kl_estimates(torch.tensor([-1.0, -2.0]), torch.tensor([-2.0, -1.5]))
    (tensor([ 1.0000, -0.5000]), tensor([0.5000, 0.1250]), tensor([0.3679, 0.1487]))
    """
    x = ref_log_probs - log_probs
    return -x, x.square() / 2, torch.expm1(x) - x  # expm1(x) is eˣ − 1, exact near 0


def advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """How much better each token turned out than was expected: generalised advantage estimation.

    Of each answer, from its last token to its first, with V′ and A′ those of the next token and 0
    behind the last:

        δ = r + γ V′ − V            A = δ + γ λ A′            return = A + V

    Schulman et al. 2015 (arXiv 1506.02438), equation 16.

    Args:
        rewards: what each token earned, (b t).
        values: what was expected to come, before the token was drawn, (b t).
        mask: True on the tokens of the answer, (b t); in each row they stand together. All numbers
            elsewhere mean nothing.
        gamma: what a reward one token later is worth.
        lam: λ; at 1 only what was really earned counts, at 0 only the guess for the next token.

    Returns:
        Advantages and returns, (b t) each, 0 outside of the answers.
    """
    found = torch.zeros_like(values)
    next_value = next_advantage = values.new_zeros(len(values))
    for t in reversed(range(values.size(1))):
        inside = mask[:, t]
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        # Outside of the answer both are 0: nothing of the padding reaches the last token.
        next_advantage = (delta + gamma * lam * next_advantage).where(inside, 0.0)
        next_value = values[:, t].where(inside, 0.0)
        found[:, t] = next_advantage
    return found, (found + values).where(mask, 0.0)


def ppo_policy_loss(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, int]:
    """The loss of the policy: −min(ρ A, clip(ρ, 1 − ε, 1 + ε) A), ρ = exp(log_probs − old).

    Schulman et al. 2017 (arXiv 1707.06347), equation 7.

    Args:
        log_probs: of the tokens, under the policy that learns, (b t).
        old_log_probs: under the policy that wrote them, as noted when they were drawn, (b t).
        advantages: (b t)
        mask: True where a token counts, (b t). All numbers elsewhere mean nothing, and may be so
            large that ρ would overflow.
        clip: ε, how far ρ may move from 1 before there is nothing more to gain.

    Returns:
        The sum over the tokens that count, and their number.
    """
    # Before exp: infinity times 0 is nan, in the gradient too.
    ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0).exp()
    clipped = ratio.clamp(1 - clip, 1 + clip)
    # The smaller of the two: a move may be worth less than it seems, never more.
    gains = torch.minimum(ratio * advantages, clipped * advantages)
    return -gains.masked_fill(~mask, 0.0).sum(), int(mask.sum())


def ppo_value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, int]:
    """The loss of the critic: max((V − R)², (V_clipped − R)²).

    V_clipped is V, moved no further than `clip` from what it was when the answers were written. So
    a value that has moved that far towards its return has nothing more to gain.

    Args:
        values: as the critic guesses now, (b t).
        old_values: as it guessed before, (b t).
        returns: what came, (b t).
        mask: True where a token counts, (b t). All numbers elsewhere mean nothing.
        clip: how far a value may move.

    Returns:
        The sum over the tokens that count, and their number.
    """
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    errors = torch.maximum((values - returns).square(), (clipped - returns).square())
    return errors.masked_fill(~mask, 0.0).sum(), int(mask.sum())


@torch.no_grad()
def ppo_batch(
    rollout: Rollout,
    rewards: Tensor,
    reference: nn.Module,
    critic: Critic,
    *,
    temperature: float = 1.0,
    kl_weight: float = 0.05,
    gamma: float = 1.0,
    lam: float = 0.95,
    whitened: bool = True,
    precision: str = "float32",
) -> dict[str, Tensor]:
    """What the loss of PPO takes: answers, and how much better each token was than expected.

    A token earns −kl_weight · k1, so that straying from the reference costs where it happens; the
    last token of the answer earns the answer's reward besides.

    Args:
        rollout: the answers.
        rewards: what they earned, (b).
        reference: a model to stay near to: the policy as it was at first.
        critic: guesses what is to come.
        temperature: of the answers.
        kl_weight: what a nat away from the reference costs.
        gamma: as for `advantages`; 1 for answers of some dozens of tokens.
        lam: as for `advantages`.
        whitened: shift and scale advantages to mean 0 and spread 1 over the tokens of the batch.
            Returns are what they were.
        precision: of the reference.

    Returns:
        "inputs", "targets", "log_probs", "ref_log_probs", "values", "advantages" and "returns",
        (b t) each; "seen" for the critic; "rewards" (b) as given.

    Raises:
        ValueError: there is not one reward for each answer.
    """
    if rewards.shape != (len(rollout),):
        raise ValueError(f"expected {len(rollout)} rewards, got {tuple(rewards.shape)}")
    mask, rewards = rollout.mask, rewards.to(rollout.log_probs)
    ref_log_probs = rollout_log_probs(reference, rollout, temperature, precision)
    seen = critic.read(rollout.inputs, precision)
    values = critic(seen).masked_fill(~mask, 0.0)
    earned = -kl_weight * kl_estimates(rollout.log_probs, ref_log_probs)[0]
    last = rearrange(mask.long().cumsum(dim=1).argmax(dim=1), "b -> b 1")
    earned.scatter_add_(1, last, rearrange(rewards, "b -> b 1"))
    better, returns = advantages(earned, values, mask, gamma, lam)
    return {
        "inputs": rollout.inputs,
        "targets": rollout.targets,
        "log_probs": rollout.log_probs,
        "ref_log_probs": ref_log_probs,
        "values": values,
        "advantages": whiten(better, mask) if whitened else better,
        "returns": returns,
        "seen": seen,
        "rewards": rewards,
    }


def ppo_loss(
    critic: Critic,
    *,
    temperature: float = 1.0,
    clip: float = 0.2,
    value_clip: float = 0.2,
    value_weight: float = 0.5,
) -> WatchedLoss:
    """The loss of PPO on batches of `ppo_batch`, for `learn_from_rollouts`: of policy and critic.

    Args:
        critic: learns too, if the optimizer holds its parameters.
        temperature: the one that the answers were drawn at: what learns is the policy that wrote
            them, not a sharper or flatter one.
        clip: of the policy.
        value_clip: of the critic.
        value_weight: how much the critic's loss counts.
    """

    def loss(
        model: nn.Module, batch: dict[str, Tensor], watched: WatchedLoss
    ) -> tuple[Tensor, int]:
        mask = batch["targets"] != IGNORED
        log_probs = answer_log_probs(model, batch["inputs"], batch["targets"], temperature)
        watched.watch(log_probs, batch["log_probs"], mask, clip)
        of_policy, n = ppo_policy_loss(
            log_probs, batch["log_probs"], batch["advantages"], mask, clip
        )
        of_critic, _ = ppo_value_loss(
            critic(batch["seen"]), batch["values"], batch["returns"], mask, value_clip
        )
        return of_policy + value_weight * of_critic, n

    return WatchedLoss(loss)
