"""Checks of the floor `lib.ppo`. Oracles: the definitions token by token in float64, with sums
written out where the exercise runs backwards.

Answers are of unequal length, with prompts before them and padding behind; in both stand numbers
that mean nothing and are not small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lib.course.bank import Case, Exercise
from lib.course.checks.attention import randn

# --- kl_estimates ---------------------------------------------------------------------------------

Estimates = tuple[Tensor, Tensor, Tensor]


def numbers(*values: float) -> Tensor:
    return torch.tensor(values)


def by_definition(log_probs: Tensor, ref_log_probs: Tensor) -> Estimates:
    """With the ratio r = ref / p itself: −log r, (log r)² / 2, (r − 1) − log r, in float64."""
    log_ratio = ref_log_probs.double() - log_probs.double()
    ratio = log_ratio.exp()
    return (-log_ratio).float(), (0.5 * log_ratio**2).float(), (ratio - 1 - log_ratio).float()


def choices(seed: int, scale: float) -> Tensor:
    """Log-probabilities of 7 tokens."""
    return randn(7, seed=seed, scale=scale).log_softmax(dim=0)


def expectations(function: Callable[..., Estimates], p: Tensor, ref: Tensor) -> tuple[Tensor, ...]:
    """The exact means of k1 and k3 if tokens are drawn from p."""
    k1, _, k3 = function(p, ref)
    return (p.exp() * k1).sum(), (p.exp() * k3).sum()


def divergences(p: Tensor, ref: Tensor) -> tuple[Tensor, ...]:
    """KL(p ‖ ref) as torch.distributions has it, twice."""
    policy, reference = (torch.distributions.Categorical(logits=x) for x in (p, ref))
    kl = torch.distributions.kl_divergence(policy, reference)
    return kl, kl


KL_ESTIMATES = Exercise(
    "lib.ppo.kl_estimates",
    oracle=by_definition,
    cases=[
        Case(
            "3 tokens: likelier than under the reference, alike, less likely",
            lambda: (numbers(-1.0, -2.0, -3.5), numbers(-2.0, -2.0, -1.5)),
            gradient=True,
        ),
        Case(
            "2 answers of 5 tokens",
            lambda: (-randn(2, 5).exp(), -randn(2, 5, seed=1).exp()),
            gradient=True,
        ),
        Case(
            "drawn from the policy, the means of k1 and k3 are KL(policy ‖ reference)",
            lambda: (choices(2, 1.0), choices(3, 2.0)),
            run=expectations,
            expected=divergences,
            call="k1, k2, k3 = kl_estimates(log_probs, ref_log_probs)    "
            "# Σ p k1, Σ p k3 over all 7 tokens",
        ),
        Case(
            "far apart: 30 nats one way, 8 the other",
            lambda: (numbers(-0.1, -8.5), numbers(-30.1, -0.5)),
        ),
        Case("the policy is the reference", lambda: (choices(4, 1.0), choices(4, 1.0))),
    ],
    speed=lambda: (-randn(64, 256).exp(), -randn(64, 256, seed=1).exp()),
    hints=(
        "All three are made of one number a token, x = log ref − log p. Which sign has it where the "
        "policy likes a token more than the reference does, and which sign should k1 have there?",
        "k1 = −x is right on average, but often negative. eˣ − 1 is 0 on average, for the reference's "
        "probabilities add up to 1; take it along, and nothing is below 0 any more: k3 = eˣ − 1 − x.",
        "x = ref_log_probs - log_probs; return -x, x.square() / 2, torch.expm1(x) - x.",
    ),
)

# --- advantages -----------------------------------------------------------------------------------

Span = tuple[int, int]
"""Where an answer begins and where it has ended."""


def spans(n_tokens: int, *answers: Span) -> Tensor:
    """The mask (b t) of answers."""
    places = torch.arange(n_tokens)
    return torch.stack([(places >= first) & (places < end) for first, end in answers])


def noisy(mask: Tensor, seed: int, outside: float = 20.0) -> Tensor:
    """Numbers (b t): small in the answers, larger and meaningless elsewhere."""
    b, t = mask.shape
    return randn(b, t, seed=seed).where(mask, outside * randn(b, t, seed=seed + 100) + 5.0)


def answers_of(
    n_tokens: int, *answers: Span, gamma: float, lam: float, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, float, float]:
    mask = spans(n_tokens, *answers)
    return noisy(mask, seed), noisy(mask, seed + 1), mask, gamma, lam


def at_the_end(n_tokens: int, *answers: Span, gamma: float, lam: float) -> Any:
    """Only the last token of each answer earns something, as from a reward model."""
    mask = spans(n_tokens, *answers)
    rewards = torch.zeros(mask.shape)
    for row, (_, end) in enumerate(answers):
        rewards[row, end - 1] = 1.5 - row
    return rewards, noisy(mask, 7), mask, gamma, lam


def sums_written_out(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """A_t = Σ (γλ)^l δ_{t+l}, each answer cut out of its row, each sum by itself, in float64."""
    found, returns = torch.zeros(mask.shape), torch.zeros(mask.shape)
    for row in range(len(mask)):
        places = mask[row].nonzero()[:, 0].tolist()
        r = [float(rewards[row, p]) for p in places]
        v = [float(values[row, p]) for p in places] + [0.0]
        deltas = [r[i] + gamma * v[i + 1] - v[i] for i in range(len(places))]
        for i, place in enumerate(places):
            terms = [(gamma * lam) ** l * delta for l, delta in enumerate(deltas[i:])]
            found[row, place] = math.fsum(terms)
            returns[row, place] = math.fsum(terms) + v[i]
    return found, returns


def advantages_case(title: str, make: Callable[[], Any]) -> Case:
    return Case(title, make, atol=1e-4)


ADVANTAGES = Exercise(
    "lib.ppo.advantages",
    oracle=sums_written_out,
    cases=[
        advantages_case(
            "1 answer of 3 tokens, γ = 0.9, λ = 0.5",
            lambda: (
                numbers(0.0, 0.5, 2.0)[None],
                numbers(0.5, 1.0, 1.5)[None],
                torch.ones(1, 3, dtype=torch.bool),
                0.9,
                0.5,
            ),
        ),
        advantages_case(
            "3 answers of 6, 3 and 1 tokens, with prompts and padding, γ = 0.9, λ = 0.8",
            lambda: answers_of(9, (2, 8), (4, 7), (1, 2), gamma=0.9, lam=0.8),
        ),
        advantages_case(
            "only the last token of an answer earns something, γ = 1, λ = 0.95",
            lambda: at_the_end(7, (2, 6), (3, 5), gamma=1.0, lam=0.95),
        ),
        advantages_case(
            "λ = 1: what was really earned, less what was expected; γ = 0.7",
            lambda: answers_of(6, (1, 5), (2, 6), gamma=0.7, lam=1.0, seed=10),
        ),
        advantages_case(
            "λ = 0: one token ahead; γ = 0.7",
            lambda: answers_of(6, (1, 5), (2, 6), gamma=0.7, lam=0.0, seed=20),
        ),
        advantages_case(
            "one row has no answer at all",
            lambda: answers_of(5, (1, 4), (0, 0), gamma=0.95, lam=0.9, seed=30),
        ),
    ],
    speed=lambda: answers_of(
        128, *[(20, 40 + 6 * i) for i in range(16)], gamma=1.0, lam=0.95, seed=40
    ),
    slowest=20.0,
    hints=(
        "Begin at the last token of an answer: what is still to come behind it? Then the token before "
        "it: what did it earn, where has it led to, and what was expected of it?",
        "Walk through the columns backwards with two numbers for each row: the value and the advantage "
        "of the token just behind. Both are 0 at the end of an answer, wherever in the row that is.",
        "for t in reversed(range(n)): delta = rewards[:, t] + gamma * next_value - values[:, t]; "
        "advantage = delta + gamma * lam * advantage; where mask[:, t] is False, set both it and "
        "next_value to 0. Returns are advantages + values where the mask is True.",
    ),
)

# --- ppo_policy_loss ------------------------------------------------------------------------------

PolicyLoss = Callable[..., tuple[Tensor, int]]


def moved(
    *answers: Span, n_tokens: int, clip: float, far: float = 0.4, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """A policy that has moved away from the old one, up and down, further than `clip` allows."""
    mask = spans(n_tokens, *answers)
    old = noisy(mask, seed, outside=3.0)
    old = (-old.exp()).where(mask, old)
    new = old + noisy(mask, seed + 1, outside=3.0) * far
    return new, old, noisy(mask, seed + 2), mask, clip


def overflowing() -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """In the padding the two differ by 300 nats: e^300 is infinite."""
    new, old, better, mask, clip = moved((1, 4), (2, 6), n_tokens=7, clip=0.2, seed=30)
    return new, (new - 300.0).where(~mask, old), better, mask, clip


def token_by_token(
    log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, int]:
    """By cases, in float64: a good token gains up to 1 + ε, a bad one is lost from 1 − ε up."""
    total, count = log_probs.new_zeros((), dtype=torch.float64), 0
    for row, column in mask.nonzero().tolist():
        new, old = log_probs[row, column].double(), old_log_probs[row, column].double()
        better = advantages[row, column].double()
        ratio, count = (new - old).exp(), count + 1
        if better >= 0:
            total = total - better * (ratio if ratio < 1 + clip else 1 + clip)
        else:
            total = total - better * (ratio if ratio > 1 - clip else 1 - clip)
    return total.float(), count


def with_gradient(loss: PolicyLoss, first: Tensor, *others: Any) -> tuple[Any, Any, Tensor]:
    """The sum, the number, and the gradient of the first argument."""
    learns = first.detach().clone().requires_grad_(True)
    total, count = loss(learns, *others)
    gradient = torch.zeros_like(learns)
    if isinstance(total, Tensor) and total.requires_grad and total.ndim == 0:
        (found,) = torch.autograd.grad(total, [learns], allow_unused=True)
        gradient = gradient if found is None else found
    return total.detach() if isinstance(total, Tensor) else total, count, gradient


def policy_case(title: str, make: Callable[[], Any], clip: str = "clip") -> Case:
    return Case(
        title,
        make,
        run=with_gradient,
        expected=lambda *inputs: with_gradient(token_by_token, *inputs),
        call=f"ppo_policy_loss(log_probs, old_log_probs, advantages, mask, {clip})    "
        "# sum, number, gradient of log_probs",
    )


def four_corners() -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Likelier and less likely, good and bad, with ε = 0.2."""
    old = numbers(-1.0, -1.0, -1.0, -1.0)[None]
    new = old + numbers(1.5, 0.5, 1.5, 0.5).log()
    return new, old, numbers(2.0, 2.0, -2.0, -2.0)[None], torch.ones(1, 4).bool(), 0.2


PPO_POLICY_LOSS = Exercise(
    "lib.ppo.ppo_policy_loss",
    oracle=token_by_token,
    cases=[
        policy_case("ρ = 1.5, 0.5, 1.5, 0.5 and A = 2, 2, −2, −2", four_corners, "0.2"),
        policy_case(
            "3 answers of 6, 3 and 1 tokens, with prompts and padding, ε = 0.2",
            lambda: moved((2, 8), (4, 7), (1, 2), n_tokens=9, clip=0.2),
            "0.2",
        ),
        policy_case(
            "the same with ε = 0.05",
            lambda: moved((2, 8), (4, 7), (1, 2), n_tokens=9, clip=0.05, far=0.2, seed=10),
            "0.05",
        ),
        policy_case(
            "the policy has not moved yet: ρ = 1",
            lambda: moved((1, 5), (2, 4), n_tokens=6, clip=0.2, far=0.0, seed=20),
            "0.2",
        ),
        policy_case("in the padding ρ would be infinite", overflowing, "0.2"),
        policy_case(
            "one row has no answer at all",
            lambda: moved((1, 4), (0, 0), n_tokens=5, clip=0.3, far=0.6, seed=40),
            "0.3",
        ),
    ],
    speed=lambda: moved(
        *[(20, 40 + 6 * i) for i in range(16)], n_tokens=128, clip=0.2, far=0.3, seed=50
    ),
    hints=(
        "A token was good, A > 0, and is 1.5 times as likely as when it was drawn; ε is 0.2. Should "
        "the policy gain by making it likelier still? And if it is only 0.5 times as likely?",
        "ρ = exp(new − old). Compare ρ A with clip(ρ, 1 − ε, 1 + ε) A and take the smaller gain, so "
        "that leaving the band never pays, but coming back from the wrong side does. A loss is minus "
        "the gain.",
        "ratio = (log_probs - old_log_probs).masked_fill(~mask, 0.0).exp(); "
        "torch.minimum(ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages); 0 where the "
        "mask is False; minus its sum, and int(mask.sum()).",
    ),
)

# --- ppo_value_loss -------------------------------------------------------------------------------


def guesses(
    *answers: Span, n_tokens: int, clip: float, far: float = 0.5, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Values that have moved, towards their returns and away from them."""
    mask = spans(n_tokens, *answers)
    old = noisy(mask, seed)
    return old + far * noisy(mask, seed + 1), old, noisy(mask, seed + 2), mask, clip


def guess_by_guess(
    values: Tensor, old_values: Tensor, returns: Tensor, mask: Tensor, clip: float
) -> tuple[Tensor, int]:
    """One at a time, in float64: the worse of two squared errors."""
    total, count = values.new_zeros((), dtype=torch.float64), 0
    for row, column in mask.nonzero().tolist():
        new, old = values[row, column].double(), old_values[row, column].double()
        goal, count = returns[row, column].double(), count + 1
        if new > old + clip:
            near = old + clip
        elif new < old - clip:
            near = old - clip
        else:
            near = new
        free, bound = (new - goal) ** 2, (near - goal) ** 2
        total = total + (free if free >= bound else bound)
    return total.float(), count


def value_case(title: str, make: Callable[[], Any], clip: str = "clip") -> Case:
    return Case(
        title,
        make,
        run=with_gradient,
        expected=lambda *inputs: with_gradient(guess_by_guess, *inputs),
        call=f"ppo_value_loss(values, old_values, returns, mask, {clip})    "
        "# sum, number, gradient of values",
    )


def four_moves() -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """From 1: far and near towards a return of 3, past it, and the wrong way."""
    values, old = numbers(1.6, 1.1, 4.5, 0.5)[None], torch.ones(1, 4)
    return values, old, torch.full((1, 4), 3.0), torch.ones(1, 4).bool(), 0.2


PPO_VALUE_LOSS = Exercise(
    "lib.ppo.ppo_value_loss",
    oracle=guess_by_guess,
    cases=[
        value_case("from V = 1 to 1.6, 1.1, 4.5, 0.5; R = 3", four_moves, "0.2"),
        value_case(
            "3 answers of 6, 3 and 1 tokens, with prompts and padding, clip 0.3",
            lambda: guesses((2, 8), (4, 7), (1, 2), n_tokens=9, clip=0.3),
            "0.3",
        ),
        value_case(
            "clip 0.05",
            lambda: guesses((2, 8), (0, 3), n_tokens=8, clip=0.05, far=0.2, seed=10),
            "0.05",
        ),
        value_case(
            "the critic has not moved yet",
            lambda: guesses((1, 5), (2, 4), n_tokens=6, clip=0.2, far=0.0, seed=20),
            "0.2",
        ),
        value_case(
            "one row has no answer at all, clip 1.5",
            lambda: guesses((1, 4), (0, 0), n_tokens=5, clip=1.5, far=2.0, seed=40),
            "1.5",
        ),
    ],
    speed=lambda: guesses(*[(20, 40 + 6 * i) for i in range(16)], n_tokens=128, clip=0.2, seed=50),
    hints=(
        "When the answers were written the critic guessed 1; 3 came. Now it guesses 1.6, and may move "
        "by 0.2 only. How large is its error as it guesses now, and how large where it may be?",
        "V_clipped is the old value plus the move, clamped to −clip … clip. Square the error of both V "
        "and V_clipped, and take the larger: that is the careful choice for a loss, as the smaller "
        "is for a gain.",
        "clipped = old_values + (values - old_values).clamp(-clip, clip); torch.maximum of the two "
        "squared differences to returns; 0 where the mask is False; its sum, and int(mask.sum()).",
    ),
)
