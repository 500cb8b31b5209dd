"""Checks of the floor `lib.reasoning`. Oracles: plain Python numbers, one group, one token, one
prompt, one row, one vote after the other; for the gradient of the loss, its formula."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lib.course.bank import Case, Exercise, with_method
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back
from lib.generation import Processor, top_k
from lib.reasoning import SinglestreamTracker, Thinking

# --- group_advantages -----------------------------------------------------------------------------


def one_group_after_the_other(
    rewards: Tensor, group_size: int, normalise: str | None = "std", eps: float = 1e-4
) -> Tensor:
    everything, found = [float(r) for r in rewards], []
    for first in range(0, len(everything), group_size):
        group = everything[first : first + group_size]
        scale = statistics.stdev(group) + eps if normalise == "std" else 1.0
        found += [(r - statistics.fmean(group)) / scale for r in group]
    return torch.tensor(found, dtype=rewards.dtype)


def graded(n: int, seed: int = 0) -> Tensor:
    """Rewards that are not all 0 or 1, as when a part is paid for the form."""
    return (randn(n, seed=seed) * 0.3 + 0.5).clamp(0, 1)


GROUP_ADVANTAGES = Exercise(
    "lib.reasoning.group_advantages",
    oracle=one_group_after_the_other,
    cases=[
        Case("2 groups of 3, right or wrong", lambda: (torch.tensor([1.0, 0, 0, 1, 1, 0]), 3)),
        Case("3 groups of 5 with rewards in between", lambda: (graded(15), 5)),
        Case("the same, not divided", lambda: (graded(15), 5, None)),
        Case("groups of 2", lambda: (graded(8, seed=4), 2)),
        Case("one group of 7", lambda: (graded(7, seed=2), 7)),
        Case(
            "a group that is all right, one all wrong, one mixed",
            lambda: (torch.tensor([1.0, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0]), 4),
        ),
        Case("rewards far from 0, below it too", lambda: (randn(12, seed=1, scale=40.0) - 90, 4)),
        Case("eps of 0.5", lambda: (graded(12, seed=5), 4, "std", 0.5)),
        Case("float64", lambda: (graded(6).double(), 3)),
        Case(
            "10 rewards are no groups of 4",
            lambda: (graded(10), 4),
            run=came_back,
            raises=ValueError,
        ),
        Case("a group of 1", lambda: (graded(3), 1), run=came_back, raises=ValueError),
        Case(
            'normalise="mean"',
            lambda: (graded(6), 3, "mean"),
            run=came_back,
            raises=ValueError,
        ),
    ],
    speed=lambda: (graded(4096), 8),
    hints=(
        "An answer is compared with those to the same prompt, nothing else. How are they found in a "
        "flat list in which they stand one after the other?",
        'rearrange(rewards, "(n g) -> n g", g=group_size) gives a row to each group. mean and std '
        "along the rows, with keepdim=True, line up with it.",
        "groups - groups.mean(dim=1, keepdim=True), divided by groups.std(dim=1, keepdim=True) + "
        'eps if normalise is "std"; flat again at the end. Before all: 2 answers at least, a number '
        "of rewards that group_size divides, and a normalise that is known.",
    ),
)

# --- grpo_loss ------------------------------------------------------------------------------------

Loss = Callable[..., tuple[Tensor, int]]


def answers(*lengths: int, width: int | None = None, apart: float = 0.25, seed: int = 0) -> Any:
    """Answers of these lengths, behind a prompt of 1 token: log-probabilities under the policy and
    under the one before, advantages of both signs, mask. What stands elsewhere is not 0."""
    b, t = len(lengths), width or max(lengths) + 2
    log_probs = -randn(b, t, seed=seed).abs() - 0.1
    old = log_probs + randn(b, t, seed=seed + 1, scale=apart)
    gains = randn(b, seed=seed + 2).abs() + 0.3
    gains[::2] *= -1
    places = torch.arange(t)
    mask = (places >= 1) & (places < 1 + torch.tensor(lengths)[:, None])
    return log_probs, old, gains, mask


def elsewhere(log_probs: Tensor, seed: int = 7) -> Tensor:
    """The reference's log-probabilities: some above, some below."""
    return log_probs + randn(*log_probs.shape, seed=seed, scale=0.7)


def moved(function: Loss, inputs: Sequence[Tensor], settings: dict[str, Any]) -> Any:
    """The sum, what to divide it by, and the gradient for the policy's log-probabilities."""
    log_probs, old, gains, mask = inputs
    log_probs = log_probs.clone().requires_grad_(True)
    total, count = function(log_probs, old, gains, mask, **settings)
    if not isinstance(total, Tensor) or not total.requires_grad:
        return total, count, "no gradient flows back"
    (gradient,) = torch.autograd.grad(total, log_probs)
    return total, count, gradient


def token_by_token(inputs: Sequence[Tensor], settings: dict[str, Any]) -> Any:
    """Each token's loss and its derivative, by cases instead of minima."""
    log_probs, old, gains, mask = (x.tolist() for x in inputs)
    low = settings.get("clip", 0.2)
    high = low if settings.get("clip_high") is None else settings["clip_high"]
    weight, average = settings.get("kl_weight", 0.0), settings.get("average", "answer")
    ref = settings["ref_log_probs"].tolist() if weight else log_probs
    total, n_tokens = 0.0, 0
    gradient = [[0.0] * len(row) for row in log_probs]
    for i, row in enumerate(mask):
        share = 1 / max(sum(row), 1) if average == "answer" else 1.0
        for j, counts in enumerate(row):
            if not counts:
                continue
            ratio, gain = math.exp(log_probs[i][j] - old[i][j]), gains[i]
            stuck = ratio > 1 + high if gain > 0 else ratio < 1 - low
            bound = 1 + high if gain > 0 else 1 - low
            x = ref[i][j] - log_probs[i][j]
            loss = -(bound if stuck else ratio) * gain + weight * (math.exp(x) - 1 - x)
            slope = (0.0 if stuck else -ratio * gain) + weight * (1 - math.exp(x))
            total, n_tokens = total + share * loss, n_tokens + 1
            gradient[i][j] = share * slope
    count = {"answer": len(mask), "token": n_tokens}.get(average)
    if count is None:
        count = len(mask) * settings["max_length"]
    return torch.tensor(total), count, torch.tensor(gradient)


def written(settings: dict[str, Any]) -> str:
    shown = [f"{k}={v if not isinstance(v, Tensor) else '...'}" for k, v in settings.items()]
    return ", ".join(["grpo_loss(log_probs, old_log_probs, advantages, mask", *shown])


def loss_case(title: str, *lengths: int, near: bool = False, kl: float = 0.0, width: int | None = None,
              apart: float = 0.25, seed: int = 0, huge: bool = False, **settings: Any) -> Case:  # fmt: skip
    """A case on answers of these lengths; `near`: nothing was learnt since they were written;
    `huge`: outside of the mask ρ, and eˣ in the penalty, are more than a number can hold."""

    def inputs() -> tuple[Sequence[Tensor], dict[str, Any]]:
        new, old, gains, mask = answers(
            *lengths, width=width, apart=0.0 if near else apart, seed=seed
        )
        ref = elsewhere(new)
        if huge:
            new, old = new.masked_fill(~mask, -500.0), old.masked_fill(~mask, -1000.0)
            ref = ref.masked_fill(~mask, 0.0)
        with_reference = {"ref_log_probs": ref, "kl_weight": kl} if kl else {}
        return (new, old, gains, mask), {**settings, **with_reference}

    return Case(
        title,
        inputs,
        run=moved,
        expected=token_by_token,
        call=written(inputs()[1]) + ")    # sum, count, gradient",
    )


def loss_refused(title: str, settings: dict[str, Any]) -> Case:
    return Case(
        title,
        lambda: (answers(3, 2), settings),
        run=lambda function, inputs, settings: came_back(lambda: function(*inputs, **settings)),
        raises=ValueError,
        call=written(settings) + ")",
    )


GRPO_LOSS = Exercise(
    "lib.reasoning.grpo_loss",
    cases=[
        loss_case("2 answers, of 3 tokens and of 5", 3, 5),
        loss_case("nothing learnt since they were written: ρ is 1", 4, 2, 6, near=True),
        loss_case("3 answers, policies far apart", 5, 2, 6, apart=0.8, seed=3),
        loss_case("clip=0.1, clip_high=0.4", 5, 2, 6, apart=0.8, seed=3, clip=0.1, clip_high=0.4),
        loss_case("clip=0.3, clip_high=0.05", 6, 4, apart=0.5, seed=4, clip=0.3, clip_high=0.05),
        loss_case(
            "clip is infinite: nothing is clipped", 5, 2, 6, apart=0.8, seed=3, clip=math.inf
        ),
        loss_case("mean over all tokens", 5, 2, 6, average="token"),
        loss_case("one divisor, whatever the lengths", 5, 2, 6, average="constant", max_length=11),
        loss_case("a penalty of 0.4 for straying", 4, 2, kl=0.4),
        loss_case("the same, mean over all tokens", 5, 2, 6, kl=0.4, average="token", seed=5),
        loss_case("the same, one divisor", 5, 3, kl=0.2, average="constant", max_length=20, seed=6),
        loss_case("as many answers as columns", 2, 3, 1, 2, 3, width=5, average="token", seed=8),
        loss_case("answers of 1 token, the one that ends them", 1, 1, 4, seed=9),
        loss_case("clip_high=0: ρ may fall, but not rise", 6, 4, apart=0.5, seed=4, clip_high=0.0),
        loss_case("outside of the mask, exp overflows", 4, 2, 5, seed=10, huge=True),
        loss_case(
            "the same with a penalty, whose exp overflows too", 4, 2, 5, seed=10, huge=True, kl=0.3
        ),
        loss_refused('average="mean"', {"average": "mean"}),
        loss_refused("one divisor, but which?", {"average": "constant"}),
        loss_refused("a penalty, but no reference", {"kl_weight": 0.1}),
    ],
    speed=lambda: answers(*[96] * 64),
    hints=(
        "Take one token: what is its ρ, what is its advantage, which of the two products is "
        "smaller? Only after that ask which tokens count, and what to divide by.",
        "ρ = (log_probs - old_log_probs).masked_fill(~mask, 0.0).exp(), (b t), and the x of the penalty "
        "likewise; the advantages need a second axis to line up with it. torch.minimum takes the "
        "smaller product, clamp keeps ρ within its bounds.",
        'losses.masked_fill(~mask, 0.0). Then for "answer" each row\'s sum over its own length, all '
        'added, and the number of rows; for "token" the sum of all and how many count; for '
        '"constant" the sum of all and rows times max_length. check_grpo refuses bad settings.',
    ),
)

# --- SinglestreamTracker.update -------------------------------------------------------------------

Use = tuple[list[int], list[float], list[float]]
"""Prompts, rewards, divergences of one call."""


def tracked(function: Any, values: list[float], uses: Sequence[Use], settings: Any) -> Any:
    """What comes back at every call, and α and β of all prompts in the end."""
    tracker = with_method(SinglestreamTracker, "update", function)(torch.tensor(values), **settings)
    found = [
        tracker.update(torch.tensor(prompts), torch.tensor(rewards), torch.tensor(divergences))
        for prompts, rewards, divergences in uses
    ]
    return found, tracker.alpha, tracker.beta


def one_prompt_after_the_other(values: list[float], uses: Sequence[Use], settings: Any) -> Any:
    set_ = {"half": 0.06, "least": 0.875, "most": 0.96, "eps": 1e-4, **settings}
    weight = 1 / (1 - set_["least"])
    state = {i: (v * weight, (1 - v) * weight) for i, v in enumerate(values)}
    found = []
    for prompts, rewards, divergences in uses:
        better = []
        for prompt, reward, divergence in zip(prompts, rewards, divergences):
            alpha, beta = state[prompt]
            better.append(reward - alpha / (alpha + beta))
            rho = min(max(0.5 ** (divergence / set_["half"]), set_["least"]), set_["most"])
            state[prompt] = (rho * alpha + reward, rho * beta + 1 - reward)
        mean, scale = statistics.fmean(better), statistics.stdev(better) + set_["eps"]
        found.append(torch.tensor([(a - mean) / scale for a in better]))
    return found, *(torch.tensor([state[i][k] for i in range(len(values))]) for k in (0, 1))


def tracker_case(
    title: str, values: list[float], *uses: Use, call: str | None = None, **settings: Any
) -> Case:
    shown = "".join(f", {k}={v}" for k, v in settings.items())
    made = call or f"SinglestreamTracker(values{shown}).update(...)    # {len(uses)} calls"
    return Case(
        title,
        lambda: (values, uses, settings),
        run=tracked,
        expected=one_prompt_after_the_other,
        call=f"{made}; advantages, α, β",
    )


def tracker_refused(title: str, *rewards: float) -> Case:
    def run(function: Any, rewards: Tensor) -> None:
        tracker = with_method(SinglestreamTracker, "update", function)(torch.full((4,), 0.5))
        came_back(tracker.update, torch.arange(len(rewards)), rewards, torch.zeros(len(rewards)))

    return Case(
        title,
        lambda: (torch.tensor(rewards),),
        run=run,
        raises=ValueError,
        call=f"tracker.update(prompts, tensor({list(rewards)}), divergences)",
    )


def unmoved(function: Any, rewards: Tensor) -> tuple[str, Tensor, Tensor]:
    """α and β after a call that was refused."""
    tracker = with_method(SinglestreamTracker, "update", function)(torch.tensor([0.5, 0.25, 0.5]))
    try:
        tracker.update(torch.arange(3), rewards, torch.full((3,), 0.01))
    except ValueError:
        return "refused", tracker.alpha, tracker.beta
    return "taken in", tracker.alpha, tracker.beta


HALVES = [0.5, 0.5, 0.5, 0.5, 0.5]
MIXED = [0.2, 0.9, 0.5, 0.7, 0.05, 0.6]

UPDATE = Exercise(
    "lib.reasoning.SinglestreamTracker.update",
    cases=[
        tracker_case(
            "3 of 5 prompts, used for the first time",
            HALVES,
            ([0, 3, 1], [1.0, 0.0, 1.0], [0.0, 0.0, 0.0]),
        ),
        tracker_case(
            "prompts of unequal difficulty",
            MIXED,
            ([4, 0, 1, 3], [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]),
        ),
        tracker_case(
            "the same prompts twice: the second time more is expected",
            HALVES,
            ([2, 4, 0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]),
            ([0, 2, 4], [1.0, 1.0, 0.0], [0.006, 0.008, 0.004]),
        ),
        tracker_case(
            "divergences of 0, of a little and of much",
            MIXED,
            ([0, 1, 2, 3], [0.0, 1.0, 1.0, 0.0], [0.0, 0.005, 0.009, 3.0]),
        ),
        tracker_case(
            "half=0.5, between least=0.3 and most=0.9",
            MIXED,
            ([5, 1, 2, 0], [1.0, 0.0, 1.0, 0.0], [0.0, 0.2, 0.6, 2.0]),
            half=0.5,
            least=0.3,
            most=0.9,
        ),
        tracker_case(
            "rewards in between",
            MIXED,
            ([0, 1, 2, 3, 4], [0.25, 0.9, 0.1, 0.75, 0.5], [0.0, 0.01, 0.002, 0.05, 0.0]),
            ([3, 2, 5], [0.6, 0.3, 0.8], [0.003, 0.0, 0.0]),
        ),
        tracker_case(
            "all exactly as good as expected", HALVES, ([0, 1, 2], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0])
        ),
        tracker_case("eps of 0.5", MIXED, ([4, 0, 1], [1.0, 1.0, 0.0], [0.0, 0.004, 0.0]), eps=0.5),
        tracker_refused("a reward of 1.5", 1.0, 1.5, 0.0),
        tracker_refused("a reward of −1", 1.0, -1.0),
        Case(
            "a reward of 3: α and β stay as they were",
            lambda: (torch.tensor([1.0, 0.0, 3.0]),),
            run=unmoved,
            expected=lambda rewards: (
                "refused",
                torch.tensor([4.0, 2, 4]),
                torch.tensor([4.0, 6, 4]),
            ),
            call="tracker.update(prompts, tensor([1, 0, 3]), divergences)    # refused; α, β",
        ),
    ],
    hints=(
        "Two things happen: the answers are judged by what was expected, and what is expected is "
        "brought up to date. Which must come first?",
        "self.alpha[prompts] and self.beta[prompts] are those of the prompts of this batch; "
        "assigning to them changes those alone. 2 ** (-divergences / self.half) says how much is "
        "kept of the past, clamp keeps that within self.least and self.most.",
        "advantages = rewards - alpha / (alpha + beta); then self.alpha[prompts] = kept * alpha + "
        "rewards, self.beta[prompts] = kept * beta + 1 - rewards; last (advantages - mean) / (std + "
        "self.eps). Rewards outside 0 … 1 raise a ValueError before anything is changed.",
    ),
)

# --- limit_thinking -------------------------------------------------------------------------------

IDS = Thinking(begin=3, end=4, turn=5)
B, E, T, P = IDS.begin, IDS.end, IDS.turn, -1
"""<think>, </think>, <|im_start|>, padding; all below are words."""


def limited(
    function: Callable[..., Processor], budget: int, ids: Thinking, rows: Tensor, logits: Tensor
) -> Any:
    """How likely each token is after the processor."""
    return function(budget, ids)(rows, logits).float().softmax(dim=-1)


def row_by_row(budget: int, ids: Thinking, rows: Tensor, logits: Tensor) -> Tensor:
    found = []
    for row, scores in zip(rows.tolist(), logits):
        thought: int | None = None  # how many tokens it has, while it is open
        for token in row:
            if token in (ids.turn, ids.end):
                thought = None
            elif token == ids.begin:
                thought = 0
            elif thought is not None:
                thought += 1
        if thought is not None and thought >= budget:
            found.append(torch.eye(len(scores))[ids.end])
        else:
            found.append(scores.float().softmax(dim=-1))
    return torch.stack(found)


def limit_case(title: str, budget: int, *rows: list[int], logits: Callable[[Tensor], Tensor] | None = None,
               dtype: Any = torch.float32) -> Case:  # fmt: skip
    def inputs() -> tuple[int, Thinking, Tensor, Tensor]:
        scores = randn(len(rows), 9, seed=budget, scale=2.0, dtype=dtype)
        return budget, IDS, torch.tensor(rows), logits(scores) if logits else scores

    return Case(
        title,
        inputs,
        run=limited,
        expected=row_by_row,
        atol=1e-3 if dtype == torch.bfloat16 else 1e-5,
        call=f"limit_thinking({budget}, ids)({list(rows)}, logits)    # softmax of it",
    )


def banned(logits: Tensor) -> Tensor:
    """As when an earlier processor has left </think> out."""
    return logits.index_fill(1, torch.tensor(E), -math.inf)


def several(
    function: Callable[..., Processor], budget: int, ids: Thinking, texts: Sequence[Tensor]
) -> Any:
    """One processor on several batches, one after the other."""
    process = function(budget, ids)
    scores = [randn(len(t), 9, seed=i) for i, t in enumerate(texts)]
    return [process(t, s).softmax(dim=-1) for t, s in zip(texts, scores)]


def several_row_by_row(budget: int, ids: Thinking, texts: Sequence[Tensor]) -> Any:
    return [row_by_row(budget, ids, t, randn(len(t), 9, seed=i)) for i, t in enumerate(texts)]


def composed(
    function: Callable[..., Processor], budget: int, ids: Thinking, rows: Tensor, logits: Tensor
) -> Any:
    """The best two after the limit, and the limit after the best two."""
    limit = function(budget, ids)
    return (
        top_k(limit(rows, logits), 2).softmax(dim=-1),
        limit(rows, top_k(logits, 2)).softmax(dim=-1),
    )


def composed_row_by_row(budget: int, ids: Thinking, rows: Tensor, logits: Tensor) -> Any:
    two = row_by_row(budget, ids, rows, top_k(logits, 2))
    return two, two


GROWING = [[P, T, 0, B, 6], [T, 6, 7, 0, 6]]

LIMIT_THINKING = Exercise(
    "lib.reasoning.limit_thinking",
    cases=[
        limit_case(
            "budget 3: 2 tokens of thought, 3, 4",
            3,
            [T, 6, 0, B, 7, 8],
            [T, 0, B, 7, 8, 1],
            [T, B, 7, 8, 1, 6],
        ),
        limit_case(
            "a thought that has ended, and no thought at all",
            2,
            [T, B, 7, 8, E, 0, 0],
            [T, 6, 7, 8, 0, 1, 2],
            [T, 6, B, 7, 8, 1, 2],
        ),
        limit_case(
            "prompts of unequal length",
            3,
            [P, P, P, T, B, 7, 8, 6],
            [T, 6, 7, 8, 0, 1, B, 6],
            [P, T, 6, 7, B, 0, 1, 2],
            [P, P, P, P, P, P, T, B],
        ),
        limit_case(
            "a long prompt does not use up the budget",
            4,
            [T, 6, 7, 8, 0, 1, 2, T, 7, B, 8],
            [P, P, P, P, T, 6, T, B, 7, 8, 0],
        ),
        limit_case(
            "an earlier turn had a thought, which ended",
            2,
            [T, B, 6, 7, 8, E, 0, T, 7, 0],
            [T, B, 6, E, 0, T, 7, B, 6, 8],
        ),
        limit_case(
            "an earlier turn had a thought that never ended",
            2,
            [T, B, 6, 7, 8, 1, T, 7, 0],
            [T, B, 6, 7, 8, T, 7, B, 6],
        ),
        limit_case(
            "words before the thought begins", 2, [T, 6, 7, 8, 0, 1, B, 2], [T, 6, 7, 8, 0, B, 1, 2]
        ),
        limit_case(
            "a second thought in the same turn",
            2,
            [T, B, 6, E, 0, B, 7, 8],
            [T, B, 6, 7, E, 0, B, 8],
            [T, B, E, B, 6, 7, 8, E],
        ),
        limit_case("no budget at all", 0, [T, 0, B], [T, B, E], [T, 0, 0]),
        limit_case("texts without turns", 2, [6, 7, B, 8, 1], [6, B, 7, 8, E], [P, 6, 7, B, 8]),
        limit_case(
            "</think> had been left out before",
            2,
            [T, B, 6, 7],
            [T, 0, B, 6],
            [T, B, 6, E],
            logits=banned,
        ),
        limit_case("logits in bfloat16", 1, [T, B, 6], [T, 0, 6], [B, 7, E], dtype=torch.bfloat16),
        limit_case(
            "logits in the hundreds",
            1,
            [T, B, 6, 7],
            [T, 0, 6, 7],
            logits=lambda logits: logits * 300,
        ),
        Case(
            "before and behind top_k",
            lambda: (2, IDS, torch.tensor([[T, B, 6, 7], [T, 0, B, 6]]), randn(2, 9, seed=3)),
            run=composed,
            expected=composed_row_by_row,
            call="limit_thinking(2, ids)    # then top_k(…, 2); and the other way round",
        ),
        Case(
            "one processor: a text that grows, then another batch",
            lambda: (
                2,
                IDS,
                [
                    torch.tensor(GROWING),
                    torch.tensor([[*GROWING[0], 7], [*GROWING[1], B]]),
                    torch.tensor([[*GROWING[0], 7, E], [*GROWING[1], B, 0]]),
                    torch.tensor([[T, 6, B], [T, B, 0], [P, T, 0]]),
                ],
            ),
            run=several,
            expected=several_row_by_row,
            call="limit = limit_thinking(2, ids)    # called 4 times",
        ),
        Case(
            "budget −1",
            lambda: (-1, IDS),
            run=came_back,
            raises=ValueError,
        ),
    ],
    speed=lambda: (20, IDS, torch.randint(9, (64, 300)), randn(64, 2048)),
    speed_run=limited,
    hints=(
        "Read one row from the left with a finger. What must you have seen, and what must you not "
        "have seen since, for it to be thinking now? How many tokens ago did that begin?",
        "torch.arange(t).where(tokens == token, -1).amax(dim=1) tells where a token came last in "
        "each row, −1 if never. A row thinks if ids.begin came last later than ids.turn and than "
        "ids.end. Your function returns a function: (tokens, logits) -> logits.",
        "tokens.size(1) - 1 - begin tokens have come since. Where a row thinks and has used its "
        "budget, its logits become -inf but for ids.end, which becomes 0, whatever it was: "
        "torch.where((thinks & used_up)[:, None], ended, logits).",
    ),
)

# --- majority_vote --------------------------------------------------------------------------------


def count_every_time(answers: list[Any], weights: list[float] | None = None) -> Any:
    """Count anew after every vote: who was the first to have as many as the winner in the end?"""
    weights = weights or [1.0] * len(answers)
    pairs = [(a, w) for a, w in zip(answers, weights) if a is not None]

    def votes(n: int, answer: Any) -> float:
        return math.fsum(w for a, w in pairs[:n] if a == answer)

    most = max((votes(len(pairs), a) for a, _ in pairs), default=0.0)
    for n, (answer, _) in enumerate(pairs, 1):
        if votes(n, answer) == most:
            return answer
    return None


def vote(title: str, *arguments: Any) -> Case:
    return Case(title, lambda: arguments)


MAJORITY_VOTE = Exercise(
    "lib.reasoning.majority_vote",
    oracle=count_every_time,
    cases=[
        vote("5 votes", [12, 7, 12, 9, 7, 12][:5]),
        vote("the most common comes last", [3, 4, 5, 5]),
        vote("most give no answer", [None, 8, None, 3, None, 8, None]),
        vote("nobody gives an answer", [None, None, None]),
        vote("nobody is asked", []),
        vote("3 and 5 have two votes each: 5 had them first", [3, 5, 5, 3]),
        vote("each has one vote", [9, 2, 4]),
        vote("8, 6 and 7 have three each: 6 had them first", [8, 7, 6, 8, 6, 7, 6, 7, 8]),
        vote("the answer 0 is an answer", [0, 4, 0, None, None]),
        vote("the answer 0 is ahead, and stays there", [0, 0, 4]),
        vote("answers that are texts", ["yes", "no", "no", "maybe"]),
        Case(
            "7 and 7.0 are one number",
            lambda: ([3, 7.0, 3, 7, 7],),
            run=lambda function, votes: float(function(votes)),
            expected=lambda votes: 7.0,
            call="majority_vote([3, 7.0, 3, 7, 7])",
        ),
        vote("weights: one sure voter against two unsure", [5, 8, 5], [0.5, 2.0, 0.75]),
        vote("weights: two unsure voters against one sure", [5, 8, 5], [0.75, 1.0, 0.5]),
        vote("weights: 4 and 6 weigh 2 each, 6 had it first", [4, 6, 4], [1.0, 2.0, 1.0]),
        vote("weights: no answer weighs nothing", [None, 2, 3, 2], [9.0, 0.5, 0.75, 0.5]),
        vote("weights: each goes with its own answer", [None, 2, 3, 2], [0.5, 0.5, 2.0, 0.75]),
        Case(
            "2 weights for 3 answers",
            lambda: ([1, 2, 2], [1.0, 1.0]),
            run=came_back,
            raises=ValueError,
        ),
        Case(
            "a weight below 0",
            lambda: ([1, 2, 2], [1.0, -1.0, 1.0]),
            run=came_back,
            raises=ValueError,
        ),
    ],
    speed=lambda: ([i * i % 97 for i in range(3000)],),
    hints=(
        "Count the votes as they come in. When does the lead change hands, and when two have equally "
        "many, who had them first?",
        "A dictionary holds how many votes each answer has so far. Beside it, remember who leads and "
        "with how many; a new leader needs more than that, not just as many.",
        "For each answer that is not None: votes[answer] += weight; if votes[answer] > most, it is "
        "the best and most is its number. check_votes(answers, weights) gives the weights, 1 each if "
        "there are none, and refuses bad ones.",
    ),
)
