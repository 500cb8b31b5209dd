"""Checks of the floor `lib.watermark`. Oracles: the hash in plain Python numbers, one token after
the other; tails as exact fractions, or as a sum of whole numbers.

What is drawn at random is judged by how often each thing happened. The tolerance, .08, is five
standard deviations of any right answer at least: it passes whatever its seed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lib.course.bank import Case, Exercise, with_method
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back, generator
from lib.generation import top_k
from lib.watermark import Detection, GreenListWatermark

NEVER = -math.inf
BIG = 2**63 + 5
"""A key that needs more than 32 bits."""


@lru_cache(maxsize=200_000)
def slow_uniform(key: int, *words: int) -> float:
    """The number of a key and words, by plain whole numbers."""
    state = 0x9E3779B9
    for word in (key % 2**32, key // 2**32, *words):
        state ^= word % 2**32
        for shift, factor in ((17, 0x6D5AD4BB), (11, 0x2C4C1B51), (15, 0x31848BAB)):
            state = (state ^ state // 2**shift) * factor % 2**32
        state ^= state // 2**14
    return (state + 0.5) / 2**32


def text(n: int, vocab_size: int, seed: int = 0) -> list[int]:
    """Tokens at random."""
    drawn = torch.randint(vocab_size, (n,), generator=generator(seed))
    return [int(token) for token in drawn]


def marked(n: int, key: int, score: Callable[[float], float], width: int = 2, choices: int = 4,
           prompt: Sequence[int] = ()) -> list[int]:  # fmt: skip
    """A text in which, of a few tokens, always the one with the best score was written."""
    return list(_marked(n, key, score, width, choices, tuple(prompt)))


@lru_cache
def _marked(
    n: int, key: int, score: Callable[[float], float], width: int, choices: int, prompt: tuple[int, ...]
) -> tuple[int, ...]:  # fmt: skip
    ids = list(prompt) or text(width, 97)
    while len(ids) < n:
        offered = text(choices, 97, seed=len(ids))
        context = ids[len(ids) - width :]
        ids.append(max(offered, key=lambda token: score(slow_uniform(key, *context, token))))
    return tuple(ids)


def low(u: float) -> float:
    """Green comes first."""
    return -u


def high(u: float) -> float:
    """What Gumbel's draw prefers."""
    return u


# --- green_list -----------------------------------------------------------------------------------


def token_by_token(context: Tensor, key: int, vocab_size: int, gamma: float = 0.25) -> Tensor:
    rows = context.reshape(math.prod(context.shape[:-1]), context.size(-1)).tolist()
    lists = [[slow_uniform(key, *r, token) < gamma for token in range(vocab_size)] for r in rows]
    return torch.tensor(lists).view(*context.shape[:-1], vocab_size)


def after(*rows: Sequence[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64)


GREEN_LIST = Exercise(
    "lib.watermark.green_list",
    oracle=token_by_token,
    cases=[
        Case("one context of 2 tokens, 30 in all", lambda: (torch.tensor([8, 5]), 7, 30)),
        Case("2 contexts: 8 5, and 5 8", lambda: (after([8, 5], [5, 8]), 7, 40)),
        Case("contexts of 1 token, gamma=0.5", lambda: (after([3], [4], [3]), 11, 25, 0.5)),
        Case("contexts of 4 tokens, gamma=0.1", lambda: (after([1, 2, 3, 4], [4, 3, 2, 1]), 2, 60, 0.1)),
        Case("(2 3 2): contexts in two axes", lambda: (torch.tensor(text(12, 50)).view(2, 3, 2), 5, 20, 0.4)),
        Case("a short text: −1 before it", lambda: (after([-1, 6], [-1, -1], [0, 6], [6, -1]), 3, 40, 0.5)),
        Case("no context at all, 2 rows", lambda: (torch.zeros(2, 0, dtype=torch.int64), 9, 30, 0.5)),
        Case("key 0", lambda: (after([1, 2], [0, 0]), 0, 30)),
        Case("a key above 2³²", lambda: (after([1, 2], [2, 2]), BIG, 30, 0.5)),
        Case("ids up to 150,000, 3,000 tokens", lambda: (after([149_999, 70_000]), 7, 3000, 0.75)),
    ],
    speed=lambda: (torch.tensor(text(8, 2048)).view(4, 2), 7, 2048),
    slowest=20.0,
    hints=(
        "Every token of the vocabulary asks the same question: what is my number, with this key and "
        "after this context? In which order do the words of the question stand?",
        "keyed_uniform broadcasts: words of shape (... 1), one for each token of the context, and "
        "the ids 0 … v − 1 give numbers of shape (... v).",
        'words = rearrange(context, "... h -> h ... 1"); then keyed_uniform(key, *words, ids) < '
        "gamma. Where h is 0 there are no words: ids.expand(*context.shape[:-1], vocab_size) has "
        "the right shape by itself.",
    ),
)  # fmt: skip

# --- GreenListWatermark.__call__ ------------------------------------------------------------------

Settings = dict[str, Any]


def chances(method: Any, settings: Settings, tokens: Tensor, logits: Tensor) -> Tensor:
    """How likely each token is after the processor."""
    mark = with_method(GreenListWatermark, "__call__", method)(**settings)
    found: Tensor = mark(tokens, logits).float().softmax(dim=-1)
    return found


def chances_row_by_row(settings: Settings, tokens: Tensor, logits: Tensor) -> Tensor:
    gamma, delta = settings.get("gamma", 0.25), settings.get("delta", 2.0)
    width, found = settings.get("width", 2), []
    for row, scores in zip(tokens.tolist(), logits.float().tolist()):
        padded = [-1] * width + row
        context = padded[len(padded) - width :]
        green = [slow_uniform(settings["key"], *context, t) < gamma for t in range(len(scores))]
        weights = [
            math.exp(score - max(scores)) * (math.exp(delta) if is_green else 1)
            for score, is_green in zip(scores, green)
        ]
        found.append([weight / sum(weights) for weight in weights])
    return torch.tensor(found)


def mark_case(title: str, settings: Settings, *rows: list[int], v: int = 12, scale: float = 1.0,
              banned: Sequence[int] = (), dtype: Any = torch.float32) -> Case:  # fmt: skip
    def inputs() -> tuple[Settings, Tensor, Tensor]:
        logits = randn(len(rows), v, seed=len(rows), scale=scale, dtype=dtype)
        return (
            settings,
            torch.tensor(rows),
            logits.index_fill(1, torch.tensor(list(banned), dtype=torch.int64), NEVER),
        )

    written = ", ".join(f"{name}={value}" for name, value in settings.items())
    return Case(
        title,
        inputs,
        run=chances,
        expected=chances_row_by_row,
        atol=1e-2 if dtype == torch.bfloat16 else 1e-5,
        call=f"GreenListWatermark({written})(tokens, logits)    # softmax of it",
    )  # fmt: skip


def then_filtered(method: Any, settings: Settings, tokens: Tensor, logits: Tensor) -> Any:
    """The best three after the watermark; the watermark after the best three, and what stays -inf."""
    mark = with_method(GreenListWatermark, "__call__", method)(**settings)
    filtered = mark(tokens, top_k(logits, 3))
    return (
        top_k(mark(tokens, logits), 3).softmax(dim=-1),
        filtered.softmax(dim=-1),
        filtered.isneginf(),
    )


def then_filtered_row_by_row(settings: Settings, tokens: Tensor, logits: Tensor) -> Any:
    first = chances_row_by_row(settings, tokens, logits)
    least = first.sort(dim=1).values[:, -3:-2]
    kept = first.where(first >= least, 0.0)
    best = top_k(logits, 3)
    return (
        kept / kept.sum(dim=1, keepdim=True),
        chances_row_by_row(settings, tokens, best),
        best.isneginf(),
    )


def growing(method: Any, settings: Settings, texts: Sequence[Tensor]) -> list[Tensor]:
    """One processor on several batches, one after the other."""
    mark = with_method(GreenListWatermark, "__call__", method)(**settings)
    return [mark(t, randn(len(t), 12, seed=i)).softmax(-1) for i, t in enumerate(texts)]


def growing_row_by_row(settings: Settings, texts: Sequence[Tensor]) -> list[Tensor]:
    return [chances_row_by_row(settings, t, randn(len(t), 12, seed=i)) for i, t in enumerate(texts)]


GREEN_CALL = Exercise(
    "lib.watermark.GreenListWatermark.__call__",
    cases=[
        mark_case("one text", {"key": 7}, [1, 2, 8, 5]),
        mark_case("3 texts with contexts of their own", {"key": 7}, [1, 8, 5], [1, 5, 8], [9, 2, 2]),
        mark_case("gamma=0.5, delta=1.3", {"key": 4, "gamma": 0.5, "delta": 1.3}, [1, 2], [2, 1]),
        mark_case("contexts of 1 token", {"key": 7, "width": 1}, [5, 8], [8, 5]),
        mark_case("contexts of 4 tokens", {"key": 7, "width": 4}, [0, 1, 2, 3, 4], [9, 2, 1, 3, 4]),
        mark_case("unequal lengths", {"key": 3}, [-1, -1, 6], [-1, 4, 6], [3, 4, 6]),
        mark_case("fewer tokens than make up a context", {"key": 3, "width": 3}, [6], [5]),
        mark_case("width=0: one list for all", {"key": 5, "width": 0}, [1, 2, 3], [3, 2, 1]),
        mark_case("some tokens are out already", {"key": 7}, [1, 2], [3, 4], banned=[0, 3, 4, 8]),
        mark_case("logits in the hundreds", {"key": 7, "delta": 40.0}, [1, 2], [3, 4], scale=100.0),
        mark_case("logits in bfloat16", {"key": 7}, [1, 2], [3, 4], dtype=torch.bfloat16),
        mark_case("a model with 2,060 logits", {"key": 7}, [1, 2], v=2060),
        Case(
            "before and behind top_k",
            lambda: ({"key": 6, "gamma": 0.5}, after([1, 2], [3, 4]), randn(2, 12, seed=9)),
            run=then_filtered,
            expected=then_filtered_row_by_row,
            call="GreenListWatermark(key=6, gamma=0.5)    # then top_k(…, 3); the other way "
            "round; and what is -inf then",
        ),
        Case(
            "one processor: a text that grows, then another batch",
            lambda: ({"key": 2}, [after([1, 2]), after([1, 2, 3]), after([4, 4], [3, 1])]),
            run=growing,
            expected=growing_row_by_row,
            call="mark = GreenListWatermark(key=2)    # called 3 times",
        ),
    ],
    speed=lambda: ({"key": 7}, torch.tensor(text(4 * 200, 2048)).view(4, 200), randn(4, 2048)),
    speed_run=chances,
    slowest=20.0,
    hints=(
        "Three things are needed: the context of each row, its green list, and where the bonus goes. "
        "How long must the list be?",
        "last_tokens(tokens, self.width) gives the contexts, (b h), whatever the width and however "
        "short the text. green_list takes them all at once; logits.size(-1) says how many tokens "
        "there are.",
        "torch.where(green, logits + self.delta, logits) is a new tensor, keeps -inf and the dtype. "
        "The bonus belongs to the logits: after the softmax it would be something else.",
    ),
)  # fmt: skip

# --- detect ---------------------------------------------------------------------------------------


def smallness(p: Any) -> Any:
    """−log₁₀ p, so that small p-values can be compared; 400 for 0."""
    if not isinstance(p, int | float) or math.isnan(p) or p < 0:
        return p
    return -math.log10(p) if p > 0 else 400.0


def facts(found: Detection) -> Any:
    """What a detection says, as plain numbers."""
    return {
        "n_counted": int(found.n_counted),
        "score": float(found.score),
        "-log10 of the p-value": smallness(found.p_value),
        "mean": float(found.mean),
        "variance": float(found.variance),
    }


def detected(function: Callable[..., Detection], tokens: Any, settings: Settings) -> Any:
    return facts(function(tokens, **settings))


@lru_cache
def exact_tail(g: int, n: int, gamma: float) -> float:
    """−log₁₀ of the tail, from whole numbers: γ is a fraction with a power of 2 below."""
    up, below = Fraction(gamma).as_integer_ratio()
    down = below - up
    power, total = up**g * down ** (n - g), 0
    for k in range(g, n + 1):
        total += math.comb(n, k) * power
        power = power // down * up if k < n else power
    bits = below.bit_length() - 1
    extra = max(0, total.bit_length() - 900)
    return n * bits * math.log10(2) - math.log10(total >> extra) - extra * math.log10(2)


def counted_by_hand(
    ids: list[int], width: int, n_prompt: int, count_repeats: bool = False
) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Contexts and tokens that count: those whose context no counted place before has."""
    return _counted(tuple(ids), width, n_prompt, count_repeats)


@lru_cache
def _counted(
    ids: tuple[int, ...], width: int, n_prompt: int, count_repeats: bool
) -> tuple[tuple[tuple[int, ...], int], ...]:
    found: list[tuple[tuple[int, ...], int]] = []
    for place, token in enumerate(ids):
        context = ids[place - width : place]
        if place < width or place < n_prompt:
            continue
        if count_repeats or all(context != other for other, _ in found):
            found.append((context, token))
    return tuple(found)


def detected_by_hand(tokens: Any, settings: Settings) -> Any:
    ids = [int(token) for token in tokens]
    gamma, width = settings.get("gamma", 0.25), settings.get("width", 2)
    counted = counted_by_hand(
        ids, width, settings.get("n_prompt", 0), settings.get("count_repeats", False)
    )
    numbers = [slow_uniform(settings["key"], *context, token) for context, token in counted]
    g, n = sum(u < gamma for u in numbers), len(numbers)
    return {
        "n_counted": n,
        "score": float(g),
        "-log10 of the p-value": exact_tail(g, n, gamma) if g else 0.0,
        "mean": gamma,
        "variance": gamma * (1 - gamma),
    }


def detect_case(title: str, tokens: Callable[[], Any], **settings: Any) -> Case:
    written = ", ".join(f"{name}={value}" for name, value in settings.items())
    return Case(
        title,
        lambda: (tokens(), settings),
        run=detected,
        expected=detected_by_hand,
        atol=1e-6,
        call=f"detect(tokens, {written})",
    )


def refuses(title: str, **settings: Any) -> Case:
    def inputs() -> tuple[Any, Settings]:
        return text(20, 9), settings

    def run(function: Callable[..., Any], tokens: Any, settings: Settings) -> str:
        return came_back(lambda: function(tokens, **settings))

    return Case(title, inputs, run=run, raises=ValueError)


LOOP = [4, 1, 7, 2, 9, 5]

DETECT = Exercise(
    "lib.watermark.detect",
    cases=[
        detect_case("40 tokens that nobody marked", lambda: text(40, 500), key=7),
        detect_case("120 marked tokens", lambda: marked(120, 7, low), key=7),
        detect_case("the same with another key", lambda: marked(120, 7, low), key=8),
        detect_case("marked, gamma=0.5", lambda: marked(90, 7, low, choices=3), key=7, gamma=0.5),
        detect_case("contexts of 1 token", lambda: marked(80, 3, low, width=1), key=3, width=1),
        detect_case(
            "contexts of 4 tokens", lambda: marked(80, BIG, low, width=4), key=BIG, width=4
        ),
        detect_case("few contexts, many tokens after them", lambda: text(60, 5, seed=2), key=5),
        detect_case("20 times the same 6 tokens", lambda: LOOP * 20, key=6),
        detect_case("the same, every token counted", lambda: LOOP * 20, key=6, count_repeats=True),
        detect_case(
            "one list for all, every token counted",
            lambda: text(70, 90, seed=3),
            key=9,
            width=0,
            gamma=0.5,
            count_repeats=True,
        ),
        detect_case(
            "a prompt of 30 tokens, then 60 marked ones",
            lambda: marked(90, 7, low, prompt=text(30, 97, seed=5)),
            key=7,
            n_prompt=30,
        ),
        detect_case(
            "a prompt of 1 token, contexts of 3",
            lambda: text(30, 97, seed=6),
            key=7,
            width=3,
            n_prompt=1,
            gamma=0.5,
        ),
        detect_case(
            "the answer repeats what the prompt says", lambda: text(12, 50) * 2, key=4, n_prompt=12
        ),
        detect_case("not one is green", lambda: marked(30, 7, high), key=7),
        detect_case(
            "every one is green", lambda: marked(50, 7, low, choices=30), key=7, gamma=0.25
        ),
        detect_case("a tensor", lambda: torch.tensor(marked(40, 7, low)), key=7),
        detect_case("1,200 tokens", lambda: text(1200, 40_000, seed=8), key=7, gamma=0.5),
        detect_case("2 tokens: nothing to count", lambda: [4, 5], key=7),
        detect_case("a prompt, and nothing behind it", lambda: text(9, 50), key=7, n_prompt=9),
        refuses("gamma=1.5", key=7, gamma=1.5),
        refuses("a key below 0", key=-1),
    ],
    speed=lambda: (text(300, 300), {"key": 7}),
    speed_run=detected,
    slowest=30.0,
    quicker="Ask keyed_uniform once, for all contexts (n h) and tokens (n) that count.",
    hints=(
        "Two questions: which tokens count, and how surprising is the number of green ones among "
        "them? For the first, walk through the text and remember which contexts you have met.",
        "A context can be a tuple, and a set knows which ones were there. When you have the contexts "
        "(n h) and the tokens (n) that count, keyed_uniform(key, *contexts.unbind(1), followers) < "
        "gamma says which are green.",
        "The tail runs over k = g … n. Logarithms keep it in range: lgamma(n + 1) − lgamma(k + 1) − "
        "lgamma(n − k + 1) + k ln γ + (n − k) ln(1 − γ), in float64; then logsumexp and exp. "
        "check_settings(key, width, gamma, n_prompt) refuses bad settings.",
    ),
)

# --- gumbel_sample --------------------------------------------------------------------------------


def first_to_come(logits: Tensor, context: Tensor, key: int, temperature: float = 1.0) -> Tensor:
    """Each token waits −ln(u) / p; who waits the shortest time is drawn."""
    drawn = []
    for row, words in zip(logits.float().tolist(), context.tolist()):
        best, shortest = row.index(max(row)), math.inf
        for token, score in enumerate(row if temperature else []):
            weight = math.exp((score - max(row)) / temperature)
            wait = -math.log(slow_uniform(key, *words, token)) / weight if weight else math.inf
            if wait < shortest:
                best, shortest = token, wait
        drawn.append(best)
    return torch.tensor(drawn)


def draws(
    n: int, v: int, *, h: int = 2, seed: int = 0, scale: float = 1.5, dtype: Any = None
) -> Any:
    """Logits of n texts, and their contexts."""
    logits = randn(n, v, seed=seed, scale=scale, dtype=dtype or torch.float32)
    return logits, torch.tensor(text(n * h, 500, seed=seed + 1)).view(n, h)


def ahead(first: Tensor, token: int, by: float) -> Tensor:
    """The same logits, with one token ahead of the others in all rows."""
    return first.index_fill(1, torch.tensor([token]), by)


TOP = [7, 233, 138]
"""With key 7, the number of token 138 after 7 233 is 1 − 2.5e-8: in float32, that is 1."""


def far_ahead() -> Any:
    """15 texts of 150 tokens; the first asks for the number of `TOP`."""
    logits, contexts = draws(15, 150)
    return ahead(logits, 3, 30.0), torch.cat([after(TOP[:2]), contexts[1:]]), 7


GUMBEL_SAMPLE = Exercise(
    "lib.watermark.gumbel_sample",
    oracle=first_to_come,
    cases=[
        Case("one text, 12 tokens", lambda: (*draws(1, 12), 7)),
        Case("30 texts, 12 tokens", lambda: (*draws(30, 12), 7)),
        Case("contexts of 1 token", lambda: (*draws(20, 8, h=1, seed=2), 3)),
        Case("contexts of 4 tokens, a key above 2³²", lambda: (*draws(20, 8, h=4, seed=3), BIG)),
        Case("contexts that are each other backwards", lambda: (torch.zeros(12, 40), torch.cat([after(*[[i, 9] for i in range(6)]), after(*[[9, i] for i in range(6)])]), 5)),
        Case("temperature 0.5", lambda: (*draws(40, 12, seed=4), 7, 0.5)),
        Case("temperature 2.5", lambda: (*draws(40, 12, seed=5), 7, 2.5)),
        Case("temperature 0: no chance", lambda: (*draws(12, 12, seed=6), 7, 0.0)),
        Case("some tokens are out already", lambda: (ahead(ahead(draws(30, 6)[0], 2, NEVER), 5, NEVER), draws(30, 6)[1], 7)),
        Case("one token far ahead; the number of another is nearly 1", far_ahead),
        Case("logits in the hundreds", lambda: (*draws(20, 9, seed=7, scale=200.0), 7)),
        Case("short texts: −1 in the context", lambda: (randn(3, 30), after([-1, 4], [-1, -1], [0, 4]), 7)),
        Case("bfloat16", lambda: (*draws(20, 9, seed=8, dtype=torch.bfloat16), 7)),
        Case("temperature −1", lambda: (*draws(2, 5), 7, -1.0), run=came_back, raises=ValueError),
    ],
    speed=lambda: (*draws(4, 2048), 7),
    slowest=20.0,
    hints=(
        "The key gives every token a number u, after this row's context. A likely token needs less "
        "luck than an unlikely one: how do u and p go together?",
        "u^(1/p) is largest where log(u) / p is largest: a number below 0, divided by p. What is p "
        "if the temperature is not 1, and what if a token is out, with p = 0?",
        "Take the logarithm twice: logits / temperature − log(−log u) has its largest value at the "
        "same token, without a power or a softmax. Stay in float64, as keyed_uniform gives it: in float32 "
        "a u can be rounded to 1, and log 1 is 0. A temperature of 0 is an argmax of the logits, one below 0 a ValueError.",
    ),
)  # fmt: skip

# --- gumbel_score ---------------------------------------------------------------------------------


@lru_cache
def poisson_tail(score: float, n: int) -> float:
    """−log₁₀ of the chance of fewer than n events where `score` are expected, by fractions."""
    rate = Fraction(score)
    scale = 10**40
    term, total = scale, 0
    for k in range(n):
        total += term
        term = int(term * rate / (k + 1))
    return (score - math.log(total / scale)) / math.log(10)


def scored_by_hand(tokens: Any, settings: Settings) -> Any:
    ids = [int(token) for token in tokens]
    counted = counted_by_hand(ids, settings.get("width", 2), settings.get("n_prompt", 0))
    numbers = [slow_uniform(settings["key"], *context, token) for context, token in counted]
    score = math.fsum(-math.log(1 - u) for u in numbers)
    return {
        "n_counted": len(numbers),
        "score": score,
        "-log10 of the p-value": poisson_tail(score, len(numbers)) if numbers else 0.0,
        "mean": 1.0,
        "variance": 1.0,
    }


def score_case(title: str, tokens: Callable[[], Any], **settings: Any) -> Case:
    written = ", ".join(f"{name}={value}" for name, value in settings.items())
    return Case(
        title,
        lambda: (tokens(), settings),
        run=detected,
        expected=scored_by_hand,
        call=f"gumbel_score(tokens, {written})",
    )


GUMBEL_SCORE = Exercise(
    "lib.watermark.gumbel_score",
    cases=[
        score_case("100 marked tokens", lambda: marked(100, 7, high), key=7),
        score_case("the same with another key", lambda: marked(100, 7, high), key=8),
        score_case(
            "40 tokens, and one whose number is nearly 1", lambda: [*text(40, 500), *TOP], key=7
        ),
        score_case("contexts of 1 token", lambda: marked(60, 3, high, width=1), key=3, width=1),
        score_case("contexts of 4", lambda: marked(60, BIG, high, width=4), key=BIG, width=4),
        score_case("few contexts, many tokens after them", lambda: text(60, 5, seed=2), key=5),
        score_case("20 times the same 6 tokens", lambda: LOOP * 20, key=6),
        score_case(
            "a prompt of 30 tokens, then 60 marked ones",
            lambda: marked(90, 7, high, prompt=text(30, 97, seed=5)),
            key=7,
            n_prompt=30,
        ),
        score_case("tokens that lose every time", lambda: marked(30, 7, low), key=7),
        score_case("a tensor", lambda: torch.tensor(marked(30, 7, high)), key=7),
        score_case("2 tokens: nothing to count", lambda: [4, 5], key=7),
        refuses("width below 0", key=7, width=-1),
        refuses("a key below 0", key=-1),
    ],
    speed=lambda: (text(300, 300), {"key": 7}),
    speed_run=detected,
    slowest=30.0,
    quicker="Ask keyed_uniform once, for all contexts (n h) and tokens (n) that count.",
    hints=(
        "Which u do tokens have that were drawn with this key, large ones or small ones? The score "
        "must be large exactly for those.",
        "counted_words(tokens, width, n_prompt) gives the contexts (n h) and the tokens (n) that "
        "count; their numbers are keyed_uniform(key, *contexts.unbind(1), followers).",
        "The score is -torch.log1p(-u).sum().item(), the p-value gamma_tail(score, n): n is how many "
        "were counted. Detection(n, score, p_value, 1.0, 1.0); check_settings(key, width, "
        "n_prompt=n_prompt) refuses bad settings.",
    ),
)

# --- attack_edit ----------------------------------------------------------------------------------


def edited(
    function: Any, tokens: list[int], share: float, kind: str, vocab_size: int, seed: int
) -> Any:
    """What can be said of one edited text, wherever the edits are."""
    new = function(tokens, share, kind, vocab_size, generator(seed))
    known = all(isinstance(token, int) for token in new)
    facts: dict[str, Any] = {"whole numbers": known, "length": len(new)}
    if kind == "replace":
        facts["replaced"] = sum(a != b for a, b in zip(tokens, new))
    if kind != "delete" and vocab_size > 2 and len(tokens) > 9:
        facts["new tokens differ"] = len(set(new) - set(tokens)) > 1
    if kind == "delete":
        facts["in order"] = new == sorted(new)
        facts["nothing new"] = set(new) <= set(tokens)
    if kind == "insert":
        facts["the old text in order"] = [token for token in new if token in set(tokens)] == tokens
    return facts


def counted_edits(
    tokens: list[int], share: float, kind: str, vocab_size: int, seed: int
) -> dict[str, Any]:
    n = round(share * len(tokens))
    length = len(tokens) + {"replace": 0, "delete": -n, "insert": n}[kind]
    facts: dict[str, Any] = {"whole numbers": True, "length": length}
    if kind == "replace":
        facts["replaced"] = n
    if kind != "delete" and vocab_size > 2 and len(tokens) > 9:
        facts["new tokens differ"] = True
    if kind == "delete":
        return {**facts, "in order": True, "nothing new": True}
    return facts if kind == "replace" else {**facts, "the old text in order": True}


def edit_case(title: str, n: int, share: float, kind: str, seed: int = 0) -> Case:
    """Tokens 100, 101, … of a vocabulary of 100: what is new can be told from what is old."""
    v = 300 if kind == "replace" else 100
    return Case(
        title,
        lambda: (list(range(100, 100 + n)), share, kind, v, seed),
        run=edited,
        expected=counted_edits,
        call=f'attack_edit([100, 101, …, {99 + n}], {share}, "{kind}", vocab_size={v}, generator=…)',
    )


def how_often(function: Any, tokens: list[int], share: float, kind: str, v: int, n: int) -> Any:
    """Over many texts: how often each place was edited, and how often each new token came."""
    chance, places, new_tokens = generator(5), Counter[int](), Counter[int]()
    for _ in range(n):
        new = function(list(tokens), share, kind, v, chance)
        if kind == "replace":
            changed = [i for i, (a, b) in enumerate(zip(tokens, new)) if a != b]
            places.update(changed)
            new_tokens.update(new[i] for i in changed)
        elif kind == "delete":
            left = set(new)
            places.update(i for i, token in enumerate(tokens) if token not in left)
        else:
            before = 0
            for token in new:
                if token in tokens:
                    before += 1
                else:
                    places[before] += 1
                    new_tokens[token] += 1
    total = max(1, new_tokens.total())
    return (
        torch.tensor([places[i] / n for i in range(len(tokens) + 1)]),
        torch.tensor([new_tokens[token] / total for token in range(v)]),
    )


def as_often(tokens: list[int], share: float, kind: str, v: int, n: int) -> Any:
    old = set(tokens) if kind == "replace" else set()
    new = [0.0 if token in old or kind == "delete" else 1 / (v - len(old)) for token in range(v)]
    return torch.tensor([share] * len(tokens) + [0.0]), torch.tensor(new)


def frequency(title: str, tokens: list[int], share: float, kind: str, v: int) -> Case:
    return Case(
        title,
        lambda: (list(tokens), share, kind, v, 500),
        run=how_often,
        expected=as_often,
        atol=0.11,
        rtol=0.0,
        call=f'attack_edit({tokens}, {share}, "{kind}", {v}, generator)    '
        "# 500 times: shares of edited places, of new tokens",
    )


def twice(function: Any, kind: str) -> Any:
    """The same state, the same edits; another state, others."""
    first, again, other = (
        function(list(range(40)), 0.5, kind, 1000, generator(seed)) for seed in (3, 3, 4)
    )
    return {"the same state, the same edits": first == again, "another state": first != other}


ATTACK_EDIT = Exercise(
    "lib.watermark.attack_edit",
    cases=[
        edit_case("replace a quarter of 20 tokens", 20, 0.25, "replace"),
        edit_case("delete a quarter of 20 tokens", 20, 0.25, "delete"),
        edit_case("insert a quarter of 20 tokens", 20, 0.25, "insert"),
        edit_case("replace 80 % of 30", 30, 0.8, "replace", seed=1),
        edit_case("delete 80 % of 30", 30, 0.8, "delete", seed=1),
        edit_case("insert 80 % of 28: 22, rounded", 28, 0.8, "insert", seed=1),
        edit_case("a quarter of 7 is 2, rounded", 7, 0.25, "delete"),
        edit_case("all replaced", 15, 1.0, "replace"),
        edit_case("all deleted", 6, 1.0, "delete"),
        edit_case("nothing replaced", 9, 0.0, "replace"),
        Case(
            "a vocabulary of 2: each token that is replaced becomes the other one",
            lambda: ([0, 1, 1, 0, 1] * 4, 0.5, "replace", 2, 0),
            run=edited,
            expected=counted_edits,
            call='attack_edit([0, 1, 1, 0, 1] * 4, 0.5, "replace", 2, generator)',
        ),
        edit_case("nothing to insert into", 0, 0.5, "insert"),
        frequency("each place is as likely to be replaced", [2] * 6, 0.5, "replace", 5),
        frequency("each place is as likely to be deleted", list(range(10)), 0.3, "delete", 12),
        frequency("each place is as likely to get one before it", list(range(50, 58)), 0.5, "insert", 3),
        Case("a generator's state decides", lambda: ("replace",), run=twice,
             expected=lambda kind: {"the same state, the same edits": True, "another state": True},
             call='attack_edit([0, …, 39], 0.5, "replace", 1000, generator)    # 3 times'),
        Case("share=1.5", lambda: ([1, 2], 1.5, "replace", 9), run=came_back, raises=ValueError),
        Case('kind="swap"', lambda: ([1, 2], 0.5, "swap", 9), run=came_back, raises=ValueError),
    ],
    speed=lambda: (list(range(300)), 0.3, "replace", 2048, generator()),
    hints=(
        "First decide where, then what. How do you draw places so that none comes twice?",
        "torch.randperm(len(tokens), generator=generator)[:n] are n different places. A token that "
        "is deleted or put in moves all those behind it: from which end should you work?",
        "From the last place to the first: del edited[place], edited.insert(place, new), or "
        "edited[place] = new. For a token other than the old one draw from v − 1 and step over it: "
        "new + (new >= old). check_edit(share, kind, vocab_size) refuses bad settings.",
    ),
)  # fmt: skip
