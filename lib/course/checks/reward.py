"""Checks of the floor `lib.reward`. Oracles: ln(1 + e^−x) in float64, and plain lists."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from lib.course.bank import Case, Exercise
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back

# --- preference_loss ------------------------------------------------------------------------------

Loss = Callable[[Tensor, Tensor], tuple[Tensor, int]]


def numbers(*values: float) -> Tensor:
    return torch.tensor(values)


def surprise(chosen: Tensor, rejected: Tensor) -> tuple[Tensor, int]:
    """ln(1 + e^(r_l − r_w)) pair by pair, in float64."""
    lead = rejected.double() - chosen.double()
    return torch.logaddexp(lead, torch.zeros_like(lead)).sum().float(), chosen.numel()


def one_and_all(loss: Loss, chosen: Tensor, rejected: Tensor) -> tuple[Tensor, Tensor, int, int]:
    """The loss of all pairs, and of the first two and the rest added up; both counts."""
    total, count = loss(chosen, rejected)
    first, n = loss(chosen[:2], rejected[:2])
    rest, m = loss(chosen[2:], rejected[2:])
    return total, first + rest, count, n + m


def right_one_and_all(chosen: Tensor, rejected: Tensor) -> tuple[Tensor, Tensor, int, int]:
    total, count = surprise(chosen, rejected)
    return total, total, count, count


PREFERENCE_LOSS = Exercise(
    "lib.reward.preference_loss",
    oracle=surprise,
    cases=[
        Case("1 pair", lambda: (numbers(1.5), numbers(0.25)), gradient=True),
        Case(
            "5 pairs, of which the rewards get two wrong",
            lambda: (numbers(2.0, -1.0, 0.5, 3.0, -2.5), numbers(0.5, 0.25, 0.5, -1.0, 1.5)),
            gradient=True,
        ),
        Case(
            "the loser leads by 200 and by 1,500",
            lambda: (numbers(-120.0, -700.0, 1.0), numbers(80.0, 800.0, 2.0)),
            gradient=True,
        ),
        Case(
            "the winner leads by 200 and by 1,500",
            lambda: (numbers(80.0, 800.0, 1.0), numbers(-120.0, -700.0, 2.0)),
            gradient=True,
        ),
        Case(
            "all rewards are about 1,000: only differences count",
            lambda: (numbers(1001.5, 998.25), numbers(1000.0, 999.0)),
            gradient=True,
        ),
        Case(
            "6 pairs at once, and cut into 2 and 4",
            lambda: (randn(6, seed=1, scale=2.0), randn(6, seed=2, scale=2.0)),
            run=one_and_all,
            expected=right_one_and_all,
            call="preference_loss(…)    # sum of all, sum of the parts' sums, both counts",
        ),
    ],
    speed=lambda: (randn(4096), randn(4096, seed=1)),
    hints=(
        "By Bradley and Terry the better answer wins with the probability σ(r_w − r_l). What does a "
        "model pay, in all of these lessons, for something that it held likely with probability p?",
        "It pays −log p. But σ of a large negative number is rounded to 0, whose log is infinite, "
        "and where σ is rounded to 1 there is nothing left to learn from: look for one function "
        "that gives log σ(x) at once.",
        "-F.logsigmoid(chosen - rejected).sum() is the sum; the number of pairs, len(chosen), "
        "stands beside it.",
    ),
)

# --- last_token_reward ----------------------------------------------------------------------------


def texts(*lengths: int, seed: int = 3, ends: bool = True, width: int | None = None) -> Tensor:
    """Texts of these lengths, of ids from 1 on; the last token is 0 if they end."""
    generator = torch.Generator().manual_seed(seed)
    width = width or max(lengths)
    tokens = torch.randint(1, 9, (len(lengths), width), generator=generator)
    for row, n in enumerate(lengths):
        tokens[row, n:] = -1
        if ends and n:
            tokens[row, n - 1] = 0
    return tokens


def dialogues() -> Tensor:
    """Token 0 ends each turn, of the user and of the assistant."""
    return torch.tensor(
        [
            [5, 3, 0, 6, 2, 2, 0, -1, -1],
            [5, 0, 6, 4, 0, 5, 7, 0, -1],
            [5, 8, 8, 1, 0, 6, 3, 7, 2],
        ]
    )


def read_off(scores: Tensor, tokens: Tensor) -> Tensor:
    """Each row as a list: throw the padding away, take what is last."""
    found = []
    for row, ids in zip(scores, tokens.tolist(), strict=True):
        while ids[-1] == -1:
            ids = ids[:-1]
        found.append(row[len(ids) - 1])
    return torch.stack(found)


LAST_TOKEN_REWARD = Exercise(
    "lib.reward.last_token_reward",
    oracle=read_off,
    cases=[
        Case(
            "3 texts, of 5 tokens, 3 and 1; each ends with token 0",
            lambda: (randn(3, 5, scale=3.0), texts(5, 3, 1)),
            gradient=True,
        ),
        Case("no padding", lambda: (randn(2, 4, seed=1), texts(4, 4))),
        Case(
            "token 0 ends every turn; the last text was cut off",
            lambda: (randn(3, 9, seed=2, scale=3.0), dialogues()),
        ),
        Case(
            "all are shorter than the row, none ends",
            lambda: (randn(4, 8, seed=3, scale=3.0), texts(2, 7, 4, 1, ends=False, width=8)),
        ),
        Case(
            "one text",
            lambda: (randn(1, 6, seed=4), texts(4, width=6)),
            gradient=True,
        ),
        Case(
            "scores in bfloat16",
            lambda: (randn(2, 7, seed=5, dtype=torch.bfloat16), texts(6, 7)),
        ),
        Case(
            "a text of no tokens",
            lambda: (randn(2, 3, seed=6), texts(3, 0)),
            run=came_back,
            raises=ValueError,
            aside=True,
        ),
    ],
    speed=lambda: (randn(64, 256), texts(*range(40, 232, 3), width=256)),
    hints=(
        "A score is read where the model has seen the whole text and nothing else. Behind the end "
        "of a shorter text it has read padding; before its end, half a text.",
        "How many tokens of a row are real, that is, not below 0? The last of them stands one place "
        "before that number. Every row needs its own column: gather takes one index a row.",
        "lengths = (tokens >= 0).sum(dim=1); raise ValueError if one is 0; then "
        "scores.gather(1, (lengths - 1)[:, None])[:, 0].",
    ),
)
