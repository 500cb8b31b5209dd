"""Checks of the floor `lib.ngram`. Oracles: counting by hand, `F.cross_entropy`, exact shares.

What is drawn at random is judged by how often each token came in 10,000 draws. The tolerance, .025,
is five standard deviations of any right sampler at least: it passes whatever its seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.course.bank import Case, Exercise
from lib.course.checks.attention import randn


def came_back(function: Callable[..., Any], *inputs: Any) -> str:
    """Where an error is asked for: whatever else is returned instead counts as the same."""
    function(*inputs)
    return "an answer"


# --- ngram_probabilities --------------------------------------------------------------------------


def count_by_hand(tokens: Tensor, context: Tensor, vocab_size: int, alpha: float = 0.0) -> Tensor:
    """Walk through the text with plain lists."""
    text, wanted = tokens.tolist(), context.tolist()
    counts = [alpha] * vocab_size
    for place in range(len(text) - len(wanted)):
        if text[place : place + len(wanted)] == wanted:
            counts[text[place + len(wanted)]] += 1
    if sum(counts) == 0:
        return torch.full((vocab_size,), 1 / vocab_size)
    return torch.tensor([c / sum(counts) for c in counts])


def text(n_tokens: int, vocab_size: int, seed: int = 0) -> Tensor:
    """Tokens in which the larger ids are rarer, and the last one never comes."""
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(n_tokens, generator=generator) ** 2
    return (draws * (vocab_size - 1)).long()


def ids(*values: int) -> Tensor:
    return torch.tensor(values, dtype=torch.int64)


NGRAM_PROBABILITIES = Exercise(
    "lib.ngram.ngram_probabilities",
    oracle=count_by_hand,
    cases=[
        Case("a context of one token", lambda: (ids(0, 1, 0, 2, 0, 1, 3, 0), ids(0), 5)),
        Case("a context of two tokens", lambda: (text(300, 6), ids(1, 0), 6)),
        Case("no context: how frequent each token is", lambda: (text(50, 6), ids(), 6)),
        Case("a context that overlaps itself", lambda: (ids(2, 2, 2, 2, 1, 2, 2, 0), ids(2, 2), 4)),
        Case("a context of three, alpha 0.5", lambda: (text(400, 5, seed=1), ids(0, 1, 0), 5, 0.5)),
        Case("a context that never came, alpha 0.5", lambda: (text(60, 6), ids(5, 1), 6, 0.5)),
        Case("a context that never came, alpha 0", lambda: (text(60, 6), ids(5, 1), 6)),
        Case("a context that came only at the end", lambda: (ids(0, 1, 0, 1, 3), ids(3), 4)),
    ],
    speed=lambda: (text(50_000, 100), ids(3, 1), 100),
    slowest=30.0,
    hints=(
        "Do it with a pencil first: in 0 1 0 2 0 1, what followed each 0, and how often? Those "
        "counts, divided by their sum, are the answer.",
        "Look at every stretch of n + 1 tokens, n being the length of the context. If its first n "
        "are the context, its last one counts. tokens.unfold(0, n + 1, 1) has one such stretch in "
        "each row.",
        "found = (windows[:, :n] == context).all(dim=1), then windows[found, n].bincount(minlength="
        "vocab_size) + alpha. Divide by the sum; if that is 0, every token gets 1 / vocab_size.",
    ),
)

# --- cross_entropy --------------------------------------------------------------------------------


def torch_cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """PyTorch's own, in float32."""
    rows = logits.float().reshape(-1, logits.size(-1))
    return F.cross_entropy(rows, targets.reshape(-1), ignore_index=ignore_index)


def targets_for(
    *shape: int, vocab_size: int, ignore: Tensor | None = None, mark: int = -100
) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    targets = torch.randint(1, vocab_size, shape, generator=generator)
    return targets if ignore is None else targets.masked_fill(ignore, mark)


def padding(*lengths: int) -> Tensor:
    """True after the end of each text."""
    return torch.arange(max(lengths))[None, :] >= torch.tensor(lengths)[:, None]


CROSS_ENTROPY = Exercise(
    "lib.ngram.cross_entropy",
    oracle=torch_cross_entropy,
    cases=[
        Case(
            "6 rows, 9 tokens in the vocabulary",
            lambda: (randn(6, 9), targets_for(6, vocab_size=9)),
            gradient=True,
        ),
        Case(  # as lessons cut them: the rows of a slice do not lie side by side in memory
            "2 texts, the last 5 of their 6 tokens",
            lambda: (randn(2, 6, 7, scale=2.0)[:, 1:], targets_for(2, 6, vocab_size=7)[:, 1:]),
            gradient=True,
        ),
        Case(
            "2 texts of unequal length: -100 where one has ended",
            lambda: (
                randn(2, 6, 7, scale=2.0),
                targets_for(2, 6, vocab_size=7, ignore=padding(6, 2)),
            ),
            gradient=True,
        ),
        Case(
            "ignore_index=0",
            lambda: (
                randn(2, 6, 7, seed=3, scale=2.0),
                targets_for(2, 6, vocab_size=7, ignore=padding(3, 6), mark=0),
                0,
            ),
        ),
        Case(
            "logits in the hundreds",
            lambda: (randn(8, 12, scale=200.0), targets_for(8, vocab_size=12)),
            gradient=True,
        ),
        Case(
            "bfloat16",
            lambda: (randn(40, 11, dtype=torch.bfloat16), targets_for(40, vocab_size=11)),
            rtol=3e-4,
        ),
        Case(
            "6 rows, but 5 targets",
            lambda: (randn(6, 9), targets_for(5, vocab_size=9)),
            run=came_back,
            raises=ValueError,
        ),
    ],
    # Many rows: a loop over them would slow the rest of the lesson down. Forward only: backwards
    # through a list of 50,000 numbers picked one by one, such a loop takes minutes.
    speed=lambda: (randn(50_000, 96), targets_for(50_000, vocab_size=96)),
    hints=(
        "Per row: turn the scores into log-probabilities, and pick the one of the token that came. "
        "Minus that is the surprise. Then: the mean over the rows that count.",
        "log(softmax(x)) breaks where a probability is too small for a float; x.log_softmax(-1) "
        "never makes it. log_probs.gather(-1, targets[..., None]) picks; "
        "but -100 is no token, so put a harmless 0 in its place first.",
        "counted = targets != ignore_index; losses = -(the picked log-probabilities of "
        "logits.float()); set the losses that do not count to 0, add up, divide by counted.sum().",
    ),
)

# --- bits_per_byte --------------------------------------------------------------------------------

BITS_PER_BYTE = Exercise(
    "lib.ngram.bits_per_byte",
    oracle=lambda loss, n_tokens, n_bytes: n_tokens * math.log2(math.exp(loss)) / n_bytes,
    cases=[
        Case("bytes as tokens", lambda: (1.3, 500, 500)),
        Case("tokens of 4 bytes", lambda: (3.2, 1000, 4000)),
        Case("a character of 3 bytes in 4 tokens", lambda: (0.9, 4, 3)),
        Case("no bytes", lambda: (1.3, 5, 0), raises=ValueError),
    ],
    hints=(
        "How many nats does the model need for the whole text? And how many bytes has the text?",
        "A bit is a fair yes-or-no question. A nat is a little more: 1 / ln 2 = 1.4427 bits.",
        "loss / math.log(2) is bits per token. Times the tokens: bits for the text. Then share "
        "them out.",
    ),
)

# --- sample ---------------------------------------------------------------------------------------

DRAWS = 10_000
Sampler = Callable[..., Tensor]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shares(drawn: Tensor, vocab_size: int) -> Tensor:
    """How often each token came: (n rows) to (rows v)."""
    each = F.one_hot(drawn.long(), vocab_size).double().mean(dim=0)
    return each.float()


def draw_many(function: Sampler, logits: Tensor, temperature: float) -> Tensor:
    """The same rows DRAWS times in one call."""
    many = logits.expand(DRAWS, *logits.shape)
    return shares(function(many, temperature=temperature, generator=generator()), logits.size(-1))


def exact_shares(logits: Tensor, temperature: float) -> Tensor:
    weights = np.exp((logits.double().numpy() - logits.max().item()) / temperature)
    return torch.from_numpy(weights / weights.sum(axis=-1, keepdims=True)).float()


def draw_forbidden(function: Sampler, logits: Tensor) -> tuple[Tensor, bool]:
    """As `draw_many`, and whether a token with a logit of -inf ever came."""
    drawn = function(logits.expand(DRAWS, -1), generator=generator())
    return shares(drawn, logits.size(-1)), bool((logits[drawn] == -torch.inf).any())


def draw_one_by_one(function: Sampler, logits: Tensor) -> Tensor:
    """400 calls with one generator, 50 rows each: calls must differ from one another."""
    source = generator()
    rows = logits.expand(50, -1)
    calls = torch.stack([function(rows, generator=source) for _ in range(400)])
    return torch.stack([shares(calls[:, 0], logits.size(-1)), shares(calls.flatten(), len(logits))])


def draw_again(function: Sampler, logits: Tensor) -> tuple[bool, bool, bool]:
    """The same seed twice, another seed, and no generator but torch's own seed twice."""
    first, second, other = (function(logits, generator=generator(s)) for s in (7, 7, 8))
    own = []
    for _ in range(2):
        torch.manual_seed(3)
        own.append(function(logits))
    return first.equal(second), first.equal(other), own[0].equal(own[1])


FOUR = ((2.0, 0.5, -1.0, 1.5), (-1.0, 0.0, 1.0, -3.0))
NEAR: dict[str, Any] = {"rtol": 0.0, "atol": 0.025}


def shares_case(title: str, logits: Any, temperature: float) -> Case:
    """How often each token comes, in one call with DRAWS times the same rows."""
    shape = " ".join(map(str, (DRAWS, *torch.tensor(logits).shape)))
    return Case(
        title,
        lambda: (torch.tensor(logits), temperature),
        run=draw_many,
        expected=exact_shares,
        call=f"sample(logits, temperature={temperature}, generator=generator)"
        f"    # logits ({shape}); shares of the draws",
        **NEAR,
    )


SAMPLE = Exercise(
    "lib.ngram.sample",
    cases=[
        Case(
            "temperature 0: the likeliest of each row",
            lambda: (randn(2, 3, 7), 0.0),
            expected=lambda logits, temperature: logits.max(dim=-1).indices,
        ),
        shares_case("temperature 1", FOUR[0], 1.0),
        shares_case("temperature 1, three axes", FOUR, 1.0),
        shares_case("temperature 0.5", FOUR[0], 0.5),
        shares_case("temperature 2", FOUR[0], 2.0),
        shares_case("logits around 90, temperature 0.5", (90.0, 89.5, 70.0, 89.0), 0.5),
        Case(
            "a forbidden token, with a logit of -inf",
            lambda: (torch.tensor([0.5, -torch.inf, 1.0]),),
            run=draw_forbidden,
            expected=lambda logits: (exact_shares(logits, 1.0), False),
            call="sample(logits, generator=generator)    # logits (10000 3); shares, -inf ever?",
            **NEAR,
        ),
        Case(
            "400 calls with the same generator",
            lambda: (torch.tensor([0.0, 1.0, 0.5]),),
            run=draw_one_by_one,
            expected=lambda logits: exact_shares(torch.stack([logits, logits]), 1.0),
            call="sample(logits, generator=generator)    # logits (50 3); shares of row 0, of all",
            rtol=0.0,
            atol=0.13,  # 400 draws: five times √(.25 / 400)
        ),
        Case(
            "the same seed twice, another seed, torch's own seed twice",
            lambda: (randn(200, 6),),
            run=draw_again,
            expected=lambda logits: (True, False, True),
            call="sample(logits, generator)    # seeds 7 and 7 alike? 7 and 8? torch's own alike?",
        ),
        Case(
            "one row alone gives one number",
            lambda: (torch.tensor([0.0, 40.0, 0.0]),),
            expected=lambda logits: torch.tensor(1),
        ),
        Case(
            "bfloat16, 2 texts of 3 places",
            lambda: ((F.one_hot(torch.arange(6).view(2, 3), 9) * 60).bfloat16(),),
            expected=lambda logits: torch.arange(6).view(2, 3),
        ),
        Case("temperature −1", lambda: (randn(4, 7), -1.0), run=came_back, raises=ValueError),
    ],
    speed=lambda: (randn(64, 4096), 0.8),
    speed_run=lambda function, logits, t: function(logits, temperature=t, generator=generator()),
    hints=(
        "Three steps: make the logits sharper or flatter, turn them into probabilities, roll the "
        "dice. What would the first step do at temperature 0?",
        "Dividing the logits by a number below 1 moves them apart. Dividing probabilities changes "
        "nothing once they are made to sum to 1 again. At 0: logits.argmax(dim=-1).",
        "torch.multinomial(probabilities, 1, generator=generator) draws once from each row of a "
        "matrix (rows v): flatten what comes before v, and reshape the result to "
        "logits.shape[:-1].",
    ),
)

# --- fit_bigram -----------------------------------------------------------------------------------


def descend(
    tokens: Tensor, vocab_size: int, steps: int = 15_000, learning_rate: float = 30.0
) -> Tensor:
    """Gradient descent in float64 with the gradient worked out on paper:
    (share of pairs that start with a) · (softmax(logits[a]) − share of each b after a)."""
    counts = np.zeros((vocab_size, vocab_size))
    text = tokens.tolist()
    for a, b in pairwise(text):
        counts[a, b] += 1
    counts /= len(text) - 1
    logits = np.zeros_like(counts)
    for _ in range(steps):
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        guess = weights / weights.sum(axis=1, keepdims=True)
        logits -= learning_rate * (counts.sum(axis=1, keepdims=True) * guess - counts)
    return torch.from_numpy(logits).float()


def chain(n_tokens: int) -> Tensor:
    """0 1 2 3 0 1 2 3 ... with now and then a token skipped: what follows is not what precedes."""
    skips = torch.arange(n_tokens) % 5 == 4
    return (1 + skips.long()).cumsum(0) % 4


def excess(function: Callable[..., Tensor], tokens: Tensor, vocab_size: int) -> float:
    """How many nats a table learnt in 2,000 steps loses against the counts; 0.0 below .01."""
    logits = function(tokens, vocab_size, steps=2000, learning_rate=5.0)
    loss = F.cross_entropy(logits[tokens[:-1]].float(), tokens[1:]).item()
    lost = loss - counted_loss(tokens, vocab_size)
    return 0.0 if abs(lost) < 0.01 else lost


def counted_loss(tokens: Tensor, vocab_size: int) -> float:
    following = [
        count_by_hand(tokens, tokens[i : i + 1], vocab_size) for i in range(len(tokens) - 1)
    ]
    return -sum(
        math.log(p[b].item()) for p, b in zip(following, tokens[1:].tolist(), strict=True)
    ) / len(following)


def table_and_gradient(function: Callable[..., Tensor], *inputs: Any) -> tuple[Tensor, bool]:
    logits = function(*inputs)
    return logits, bool(getattr(logits, "requires_grad", False))


CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}

FIT_BIGRAM = Exercise(
    "lib.ngram.fit_bigram",
    oracle=descend,
    cases=[
        Case("no step yet: all logits are 0", lambda: (chain(30), 5, 0, 1.0)),
        Case("one step, learning rate 1", lambda: (chain(30), 5, 1, 1.0), **CLOSE),
        Case("one step on another text", lambda: (text(200, 7), 7, 1, 2.0), **CLOSE),
        Case("two steps", lambda: (chain(30), 5, 2, 1.0), **CLOSE),
        Case("40 steps, learning rate 3", lambda: (text(200, 7), 7, 40, 3.0), **CLOSE),
        Case(
            "the table, and whether it still carries a gradient",
            lambda: (text(60, 4), 4, 3, 1.0),
            run=table_and_gradient,
            expected=lambda *inputs: (descend(*inputs), False),
            call="fit_bigram(tokens, 4, 3, 1.0), .requires_grad",
            **CLOSE,
        ),
        Case(
            "2,000 steps: within 0.01 nat of the counts",
            lambda: (chain(120), 4),
            run=excess,
            expected=lambda *inputs: 0.0,
            call="fit_bigram(tokens, 4, steps=2000, learning_rate=5.0)    # nats above the counts",
        ),
    ],
    speed=lambda: (text(20_000, 96), 96, 100, 5.0),
    hints=(
        "A table of zeros, (vocab_size, vocab_size). Row a holds the logits of what comes after a. "
        "Then, again and again: loss, gradient, one small move downhill.",
        "(tokens[:-1] * vocab_size + tokens[1:]).bincount(minlength=vocab_size**2) counts all pairs "
        "at once; .view(vocab_size, vocab_size) makes it a table. Divided by the number of pairs, "
        "it weighs the log-probabilities: loss = -(share * logits.log_softmax(-1)).sum(). That is "
        "cross_entropy(logits[tokens[:-1]], tokens[1:]), for the price of a table.",
        "torch.autograd.grad(loss, logits) gives a tuple of one fresh gradient; loss.backward() "
        "adds to what is in logits.grad, so clear that. Move the table under torch.no_grad(), and "
        "give back logits.detach().",
    ),
)
