"""Checks of the floor `lib.dpo`. Oracles: `F.cross_entropy` token by token, and the formulas in
float64 as the papers first write them, with probabilities of whole answers.

Answers are of unequal length throughout: a mean in place of a sum is invisible otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.course.bank import Case, Exercise
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back, targets_for

IGNORED = -100

# --- sequence_log_prob ----------------------------------------------------------------------------


def answers(*spans: tuple[int, int], n_tokens: int, vocab_size: int, seed: int = 5) -> Tensor:
    """Targets (b t) of one answer a row: it stands from `first` up to `end`; all else is ignored."""
    places = torch.arange(n_tokens)
    outside = torch.stack([(places < first) | (places >= end) for first, end in spans])
    targets = targets_for(len(spans), n_tokens, vocab_size=vocab_size)
    return targets.roll(seed, dims=1).masked_fill(outside, IGNORED)


def token_by_token(logits: Tensor, targets: Tensor) -> Tensor:
    """Minus the cross-entropy of every token that counts, one at a time, added up."""
    sums = []
    for row, wanted in zip(logits.double(), targets, strict=True):
        losses = [
            F.cross_entropy(scores[None], token[None])
            for scores, token in zip(row, wanted, strict=True)
            if token != IGNORED
        ]
        sums.append(-torch.stack(losses).sum() if losses else row.new_zeros(()))
    return torch.stack(sums).float()


def with_token_0(targets: Tensor) -> Tensor:
    """Every second token of the answers is token 0."""
    every_second = torch.arange(targets.size(1)) % 2 == 0
    return targets.masked_fill(every_second & (targets != IGNORED), 0)


def forbidding_token_0(logits: Tensor) -> Tensor:
    """Token 0 cannot come: its score is -inf everywhere."""
    return logits.index_fill(-1, torch.tensor([0]), -math.inf)


SEQUENCE_LOG_PROB = Exercise(
    "lib.dpo.sequence_log_prob",
    oracle=token_by_token,
    cases=[
        Case(
            "2 answers, of 5 tokens and of 2; prompt and padding ignored",
            lambda: (randn(2, 8, 7), answers((3, 8), (2, 4), n_tokens=8, vocab_size=7)),
            gradient=True,
        ),
        Case(
            "no prompt, no padding",
            lambda: (randn(3, 4, 6, seed=1), targets_for(3, 4, vocab_size=6)),
            gradient=True,
        ),
        Case(
            "token 0 is a token like any other",
            lambda: (
                randn(2, 9, 5, seed=2, scale=2.0),
                with_token_0(answers((1, 9), (4, 8), n_tokens=9, vocab_size=5)),
            ),
        ),
        Case(
            "an answer of one token, and one that was cut off wholly",
            lambda: (randn(2, 5, 6, seed=3), answers((4, 5), (0, 0), n_tokens=5, vocab_size=6)),
        ),
        Case(
            "logits in the hundreds",
            lambda: (
                randn(2, 7, 9, seed=4, scale=200.0),
                answers((2, 7), (3, 5), n_tokens=7, vocab_size=9),
            ),
            gradient=True,
        ),
        Case(
            "token 0 can never come: its logits are -inf",
            lambda: (
                forbidding_token_0(randn(2, 6, 5, seed=6)),
                answers((2, 6), (1, 3), n_tokens=6, vocab_size=5),
            ),
        ),
        Case(
            "bfloat16, answers of 90 tokens and of 30",
            lambda: (
                randn(2, 100, 12, seed=7, scale=3.0, dtype=torch.bfloat16),
                answers((10, 100), (60, 90), n_tokens=100, vocab_size=12),
            ),
        ),
        Case(
            "float16, answers of 40 tokens and of 10",
            lambda: (
                randn(2, 50, 12, seed=8, scale=3.0, dtype=torch.float16),
                answers((10, 50), (20, 30), n_tokens=50, vocab_size=12),
            ),
        ),
        Case(
            "6 rows of logits, but 5 targets",
            lambda: (randn(2, 6, 7), answers((2, 5), (1, 4), n_tokens=5, vocab_size=7)),
            run=came_back,
            raises=ValueError,
        ),
        Case(
            "6 rows of logits, but 7 targets",
            lambda: (randn(2, 6, 7), answers((2, 7), (1, 4), n_tokens=7, vocab_size=7)),
            run=came_back,
            raises=ValueError,
        ),
        Case(
            "logits of 2 texts, but targets of one",
            lambda: (randn(2, 6, 7), answers((2, 6), n_tokens=6, vocab_size=7)),
            run=came_back,
            raises=ValueError,
        ),
        Case(
            "2 texts of 6 rows, but 3 of 4 targets",
            lambda: (randn(2, 6, 7), answers((1, 4), (2, 4), (0, 3), n_tokens=4, vocab_size=7)),
            run=came_back,
            raises=ValueError,
        ),
    ],
    speed=lambda: (
        randn(16, 128, 256),
        answers(*[(40, 60 + 4 * i) for i in range(16)], n_tokens=128, vocab_size=256),
    ),
    hints=(
        "The probability of 'no rain' after a prompt is p(no) times p(rain after no). What does "
        "that product become as a logarithm, and which of its factors belong to the prompt?",
        "Softmax over the vocabulary, as a logarithm and in float32; then from each row the entry of "
        "its target. -100 is no entry: put a harmless 0 in its place before, and set what comes out "
        "there to 0 afterwards, with masked_fill.",
        "logits.float().log_softmax(-1).gather(-1, index[..., None]) picks, with index = "
        "targets.masked_fill(~counted, 0) and counted = targets != IGNORED. Then masked_fill(~counted, "
        "0).sum(dim=1): a sum over tokens, one number a row. First compare the shapes.",
    ),
)

# --- implicit_reward ------------------------------------------------------------------------------


def sums(*values: float) -> Tensor:
    return torch.tensor(values)


def backward(total: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The gradient of `total` by each tensor; zeros where none arrives."""
    if not (isinstance(total, Tensor) and total.requires_grad):
        return [torch.zeros_like(x) for x in tensors]
    found = torch.autograd.grad(total, list(tensors), allow_unused=True)
    return [
        torch.zeros_like(x) if g is None else g.detach()
        for x, g in zip(tensors, found, strict=True)
    ]


def leaves(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [x.detach().clone().requires_grad_(True) for x in tensors]


def reward_gradients(function: Callable[..., Tensor], *inputs: Any) -> list[Tensor]:
    *tensors, beta = inputs
    fresh = leaves(tensors)
    rewards = function(*fresh, beta)
    return backward((rewards * torch.arange(1, 1 + len(fresh[0]))).sum(), fresh)


def right_reward_gradients(log_prob: Tensor, ref_log_prob: Tensor, beta: float) -> list[Tensor]:
    return [beta * torch.arange(1.0, 1 + len(log_prob)), torch.zeros(len(log_prob))]


def reward_by_hand(log_prob: Tensor, ref_log_prob: Tensor, beta: float) -> Tensor:
    pairs = zip(log_prob.tolist(), ref_log_prob.tolist(), strict=True)
    return torch.tensor([beta * (now - before) for now, before in pairs])


IMPLICIT_REWARD = Exercise(
    "lib.dpo.implicit_reward",
    oracle=reward_by_hand,
    cases=[
        Case(
            "two answers, beta 0.5",
            lambda: (sums(-8.0, -14.0), sums(-10.0, -11.0), 0.5),
        ),
        Case(
            "answers of hundreds of tokens, beta 0.03",
            lambda: (sums(-812.5, -44.25, -301.0), sums(-790.0, -61.5, -301.0), 0.03),
        ),
        Case("beta 2", lambda: (sums(-3.5), sums(-1.25), 2.0)),
        Case(
            "the gradient: the policy learns, the reference does not",
            lambda: (sums(-8.0, -14.0, -9.5), sums(-10.0, -11.0, -9.0), 0.3),
            run=reward_gradients,
            expected=right_reward_gradients,
            call="(implicit_reward(log_prob, ref_log_prob, 0.3) * torch.arange(1, 4)).sum()    # "
            "gradients of log_prob, ref_log_prob",
        ),
    ],
    speed=lambda: (randn(4096), randn(4096, seed=1), 0.1),
    hints=(
        "Of which reward is this policy the best one could have? Where the policy likes an answer "
        "exactly as much as the reference did, nothing has pulled at it: the reward is 0.",
        "Take the best policy, π = ref · exp(r / β) / Z, and solve it for r. The logarithm of Z is "
        "the same for all answers to a prompt and is left out.",
        "beta times the difference of the two log-probabilities. The reference is fixed: "
        "ref_log_prob.detach() keeps gradients out of it.",
    ),
)

# --- dpo_loss and ipo_loss ------------------------------------------------------------------------

Four = tuple[Tensor, Tensor, Tensor, Tensor]


def four(b: int, seed: int = 0, scale: float = 6.0) -> Four:
    """Log-probabilities of pairs of answers: the longer ones are far less likely, and the policy
    has moved away from its reference by some nats, sometimes to the wrong side."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(3, 120, (2, b), generator=generator)
    ref_chosen, ref_rejected = -1.7 * lengths
    moved = randn(2, b, seed=seed + 1, scale=scale)
    return ref_chosen + moved[0], ref_rejected + moved[1], ref_chosen, ref_rejected


def apart(*margins: float) -> Four:
    """Pairs whose log-ratios differ by these margins."""
    ref_chosen, ref_rejected = sums(*[-120.0] * len(margins)), sums(*[-35.0] * len(margins))
    up = 0.75 * sums(*margins)
    return ref_chosen + up, ref_rejected - (sums(*margins) - up), ref_chosen, ref_rejected


def dpo_by_hand(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, int]:
    """ln(1 + e^−x) pair by pair, in float64."""
    a, b, c, d = (x.double() for x in (chosen, rejected, ref_chosen, ref_rejected))
    losses = torch.logaddexp(-beta * ((a / 1 - c) - (b - d)), torch.zeros(len(a)).double())
    return losses.sum().float(), len(chosen)


def ipo_by_hand(
    chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float
) -> tuple[Tensor, int]:
    """Squared distance of policy's log-odds to where they should be, in float64."""
    a, b, c, d = (x.double() for x in (chosen, rejected, ref_chosen, ref_rejected))
    goal = (c - d) + 0.5 / beta
    return F.mse_loss(a - b, goal, reduction="sum").float(), len(chosen)


def loss_gradients(function: Callable[..., tuple[Tensor, int]], *inputs: Any) -> list[Tensor]:
    *tensors, beta = inputs
    fresh = leaves(tensors)
    total, _ = function(*fresh, beta)
    return backward(total, fresh)


def gradients_of(
    by_hand: Callable[..., tuple[Tensor, int]],
) -> Callable[..., list[Tensor]]:
    """By autograd through the formula in float64; none for the two of the reference."""

    def gradients(*inputs: Any) -> list[Tensor]:
        *tensors, beta = inputs
        fresh = leaves(tensors)
        total, _ = by_hand(*fresh, beta)
        a, b, c, d = backward(total, fresh)
        return [a, b, torch.zeros_like(c), torch.zeros_like(d)]

    return gradients


def one_and_all(
    function: Callable[..., tuple[Tensor, int]], *inputs: Any
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """The loss of all pairs, of the first two and the rest added up, and both counts."""
    *tensors, beta = inputs
    total, count = function(*tensors, beta)
    first, n = function(*(x[:2] for x in tensors), beta)
    rest, m = function(*(x[2:] for x in tensors), beta)
    return total, first + rest, (count, n + m)


def right_one_and_all(
    by_hand: Callable[..., tuple[Tensor, int]],
) -> Callable[..., tuple[Tensor, Tensor, tuple[int, int]]]:
    def answer(*inputs: Any) -> tuple[Tensor, Tensor, tuple[int, int]]:
        total, count = by_hand(*inputs)
        return total, total, (count, count)

    return answer


def pair_cases(
    name: str, by_hand: Callable[..., tuple[Tensor, int]], first_beta: float
) -> list[Case]:
    """What both losses are asked."""
    return [
        Case(
            f"1 pair, beta {first_beta}",
            lambda: (sums(-8.0), sums(-11.0), sums(-10.0), sums(-10.5), first_beta),
        ),
        Case(
            "5 pairs of unequal length, beta 0.1",
            lambda: (*four(5, seed=2), 0.1),
        ),
        Case(
            "the policy is the reference still",
            lambda: (*four(3, seed=4, scale=0.0), 0.2),
        ),
        Case(
            "the gradients of all four: the reference does not learn",
            lambda: (*four(4, seed=6, scale=3.0), 0.4),
            run=loss_gradients,
            expected=gradients_of(by_hand),
            call=f"{name}(chosen, rejected, ref_chosen, ref_rejected, 0.4)    # gradients of all four",
        ),
        Case(
            "6 pairs at once, and cut into 2 and 4",
            lambda: (*four(6, seed=8), 0.3),
            run=one_and_all,
            expected=right_one_and_all(by_hand),
            call=f"{name}(…)    # sum of all, sum of the parts' sums, both counts",
        ),
    ]


DPO_LOSS = Exercise(
    "lib.dpo.dpo_loss",
    oracle=dpo_by_hand,
    cases=[
        *pair_cases("dpo_loss", dpo_by_hand, 0.5),
        Case(
            "the wrong answer leads by 300 and by 1,500 nats, beta 0.5",
            lambda: (*apart(-300.0, -1500.0), 0.5),
        ),
        Case(
            "the right answer leads by 300 and by 1,500 nats, beta 0.5",
            lambda: (*apart(300.0, 1500.0), 0.5),
        ),
        Case(
            "the gradients where the wrong answer leads by 300 nats",
            lambda: (*apart(-300.0), 0.5),
            run=loss_gradients,
            expected=gradients_of(dpo_by_hand),
            call="dpo_loss(chosen, rejected, ref_chosen, ref_rejected, 0.5)    # gradients of all four",
        ),
    ],
    speed=lambda: (*four(4096), 0.1),
    hints=(
        "Two answers, two rewards, one label: which loss of the lesson on reward models asks for "
        "just these? What is new is only where the rewards come from.",
        "implicit_reward gives the reward of an answer from two of the four numbers: do it for the "
        "chosen and for the rejected one. The loss of a pair is -log σ(difference), which is "
        "preference_loss; by hand, write it with F.logsigmoid, which does not lose large ones.",
        "-F.logsigmoid(implicit_reward(chosen, ref_chosen, beta) - implicit_reward(rejected, "
        "ref_rejected, beta)): then the sum of it, and len(chosen) beside it.",
    ),
)

IPO_LOSS = Exercise(
    "lib.dpo.ipo_loss",
    oracle=ipo_by_hand,
    cases=[
        *pair_cases("ipo_loss", ipo_by_hand, 0.25),
        Case(
            "margins just right, half of that, and twice of that",
            lambda: (*apart(2.0, 1.0, 4.0), 0.25),
        ),
        Case("beta 3", lambda: (*apart(0.5, -2.0), 3.0)),
    ],
    speed=lambda: (*four(4096), 0.1),
    hints=(
        "DPO's loss never says that it is enough. Draw a loss of the margin that has a lowest "
        "point, and say where that point should be if β is the price of leaving the reference.",
        "The margin is how much further the chosen answer has moved from the reference than the "
        "rejected one, in nats: a difference of two differences, without β. It should be 1 / (2β).",
        "margins = (chosen - ref_chosen) - (rejected - ref_rejected), the references detached; then "
        "(margins - 1 / (2 * beta)).square().sum(), and len(chosen) beside it.",
    ),
)
