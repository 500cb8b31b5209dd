"""Checks of the floor `lib.speculative`. Oracles: the probability of every outcome, worked out by
hand; a model that reads each text alone and from its beginning; plain lists searched from end to
end.

What is drawn at random is judged by shares of thousands of rows. The tolerances are five standard
deviations of any right answer at least: it passes whatever its seed.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lib.course.bank import Case, Exercise, with_method
from lib.course.checks.attention import randn
from lib.course.checks.generation import alone, ids, probabilities_of
from lib.course.checks.ngram import came_back, generator
from lib.speculative import Drafter, ModelDrafter, NgramDrafter, Reader, Rule
from lib.transformer import Config, Transformer

# --- accept_or_resample ---------------------------------------------------------------------------

ROWS = 20_000


def certain(*tokens: int, vocab_size: int = 5) -> Tensor:
    """All of the probability on these tokens, one a place; none at all for −1."""
    return torch.stack([torch.arange(vocab_size).eq(token).float() for token in tokens])


def table(function: Any, q: Tensor, p: Tensor, guesses: int | None = None) -> Tensor:
    """Shares of (how many stay, which token follows) over many rows whose guesses come from q."""
    n, source = len(q), generator(3)
    drawn = [torch.multinomial(row, ROWS, replacement=True, generator=source) for row in q]
    drafted = torch.stack(drawn, dim=1)
    draft_probs = q.expand(ROWS, *q.shape).clone()
    if guesses is not None:
        drafted[:, guesses:], draft_probs[:, guesses:] = -1, 0.0
    found = function(drafted, draft_probs, p.expand(ROWS, *p.shape), generator(4))
    accepted, following = found
    flat = accepted * p.size(-1) + following
    counts = flat.bincount(minlength=(n + 1) * p.size(-1))
    return counts.view(n + 1, -1).float() / ROWS


def exact_table(q: Tensor, p: Tensor, guesses: int | None = None) -> Tensor:
    """The probability of each entry: the stays multiply; at the first refusal, (p − q)₊."""
    rows, reached = torch.zeros_like(p), 1.0
    for place in range(len(p)):
        if place == (len(q) if guesses is None else guesses):
            rows[place] = reached * p[place]
            break
        for token, (target, draft) in enumerate(zip(p[place].tolist(), q[place].tolist())):
            rows[place, token] = reached * max(target - draft, 0.0)
        reached *= sum(min(a, b) for a, b in zip(p[place].tolist(), q[place].tolist()))
    return rows


def spread(n: int, vocab_size: int = 5, seed: int = 0, scale: float = 1.5) -> Tensor:
    return randn(n, vocab_size, seed=seed, scale=scale).softmax(-1)


def nearly_alike() -> tuple[Tensor, Tensor]:
    """Behind a guess that nearly always stays, one whose q is p in bfloat16: of .333 that makes .334.
    A few are refused by rounding alone, and then nothing is left of p − q."""
    q, p = spread(2, scale=0.3), spread(3, scale=0.4)
    p[1] = torch.tensor([0.0, 1.0, 1.0, 1.0, 0.0]) / 3
    q[1] = p[1].bfloat16().float()
    return q, p


def in_shares(title: str, inputs: Callable[[], Sequence[Any]], call: str) -> Case:
    return Case(
        title,
        inputs,
        run=table,
        expected=exact_table,
        rtol=0.0,
        atol=0.02,
        call=f"{call}    # shares of (how many stay, what follows) in {ROWS} rows",
    )


def alike_by_seed(function: Any, q: Tensor, p: Tensor) -> Any:
    """Two seeds; torch's own generator must not matter."""
    drafted = torch.multinomial(q.expand(64, -1), 1, generator=generator(3))
    inputs = drafted, q.expand(64, 1, -1), p.expand(64, *p.shape)
    found = []
    for seed, other in ((5, 0), (5, 1), (6, 2)):
        torch.manual_seed(other)
        found.append([x.tolist() for x in function(*inputs, generator(seed))])
    return found[0] == found[1], found[0] == found[2]


CALL = "accept_or_resample(drafted, draft_probs, probs, generator)"

ACCEPT = Exercise(
    "lib.speculative.accept_or_resample",
    cases=[
        Case(
            "no chance anywhere: all stay, none, one of two",
            lambda: (
                ids([1, 2], [0, 3], [4, 1]),
                torch.stack([certain(1, 2), certain(0, 3), certain(4, 1)]),
                torch.stack([certain(1, 2, 3), certain(2, 3, 4), certain(4, 0, 1)]),
            ),
            expected=lambda *_: (torch.tensor([2, 0, 1]), torch.tensor([3, 2, 0])),
        ),
        Case(
            "a right guess behind a wrong one",
            lambda: (
                ids([1, 2, 3]),
                certain(1, 2, 3)[None],
                certain(0, 2, 3, 4)[None],
            ),
            expected=lambda *_: (torch.tensor([0]), torch.tensor([0])),
        ),
        Case(
            "rows with 2, 1 and no guesses",
            lambda: (
                ids([1, 2], [3, -1], [-1, -1]),
                torch.stack([certain(1, 2), certain(3, -1), certain(-1, -1)]),
                torch.stack([certain(1, 2, 3), certain(3, 0, 4), certain(0, 1, 2)]),
            ),
            expected=lambda *_: (torch.tensor([2, 1, 0]), torch.tensor([3, 0, 0])),
        ),
        Case(
            "no guesses at all",
            lambda: (ids([], []), torch.zeros(2, 0, 5), certain(3, 1)[:, None]),
            expected=lambda *_: (torch.tensor([0, 0]), torch.tensor([3, 1])),
        ),
        in_shares("one guess", lambda: (spread(1, seed=1), spread(2, seed=2)), CALL),
        in_shares("three guesses", lambda: (spread(3, seed=3), spread(4, seed=4)), CALL),
        in_shares("p and q nearly alike; then p in thirds, q rounded up", nearly_alike, CALL),
        in_shares(
            "top-p on both sides: each has zeros that the other has not",
            lambda: (
                torch.tensor([[0.0, 0.5, 0.3, 0.2, 0.0]]),
                torch.tensor([[0.4, 0.0, 0.2, 0.4, 0.0], [0.0, 0.0, 0.7, 0.0, 0.3]]),
            ),
            CALL,
        ),
        in_shares(
            "the guess was looked up: q is one token",
            lambda: (certain(2), torch.tensor([[0.1, 0.2, 0.4, 0.2, 0.1], [0.5, 0.3, 0.2, 0, 0]])),
            CALL,
        ),
        in_shares(
            "one guess where two had room",
            lambda: (spread(2, seed=6), spread(3, seed=7), 1),
            CALL,
        ),
        Case(
            "seed 5 twice, and 6",
            lambda: (spread(1, seed=1)[0], spread(2, seed=2)),
            run=alike_by_seed,
            expected=lambda *_: (True, False),
            call=f"{CALL}    # seeds 5 and 5 alike? 5 and 6?",
            aside=True,
        ),
    ],
    speed=lambda: (
        torch.zeros(4, 8, dtype=torch.int64),
        spread(32, 4096).view(4, 8, -1),
        spread(36, 4096, seed=1).view(4, 9, -1),
    ),
    hints=(
        "Draw p and q as two hills over the tokens. Where q is higher than p, guesses come too "
        "often: how many must go? Where p is higher, tokens are missing: how many, and which?",
        "gather picks p and q of the guessed tokens, (b n); it takes no −1, so clamp(min=0) first. A "
        "guess stays if chance < p / q; where it is −1, never. Those that count stand before the first that does not stay: cumprod "
        "keeps ones only up to there, and its sum is how many. Then p and q of that place.",
        "rest = (p - q).clamp(min=0) at the place `accepted`; sample(rest.log(), generator=generator) draws. "
        "Behind the last guess q is all zeros, and the same formula draws from p. Should rounding "
        "leave nothing of p − q, draw from p.",
    ),
)

# --- speculative_step -----------------------------------------------------------------------------


def small_model(vocab_size: int = 23, seed: int = 11, n_layer: int = 2) -> Transformer:
    """Weights large enough that every token and place matters."""
    model = Transformer(
        Config(
            vocab_size, d_model=16, n_layer=n_layer, n_head=4, n_kv_head=2, n_context=40, tied=False
        )
    ).eval()
    source = generator(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.4, generator=source)
    return model


class Scripted(Drafter):
    """Guesses what it was told to, and remembers what it is told."""

    def __init__(self, guesses: Sequence[Sequence[int]], vocab_size: int = 23) -> None:
        self.guesses, self.vocab_size, self.told = guesses, vocab_size, [0]

    def draft(self, tokens: Tensor, n: int) -> tuple[Tensor, Tensor]:
        width = min(n, max(map(len, self.guesses)))
        rows = [[*guess[:width], *[-1] * (width - len(guess))] for guess in self.guesses]
        probs = [[[float(t == g) for t in range(self.vocab_size)] for g in row] for row in rows]
        shape = (len(rows), width)
        drafted = torch.tensor(rows, dtype=torch.int64).view(shape)
        return drafted, torch.tensor(probs).view(*shape, self.vocab_size)

    def roll_back(self, n_tokens: int, accepted: Tensor) -> None:
        self.told = [n_tokens, *accepted.tolist()]


def written(model: Transformer, text: Sequence[int], n: int) -> list[int]:
    """What the model writes by itself, always the likeliest."""
    text = list(text)
    for _ in range(n):
        text.append(int(alone(model, text).argmax()))
    return text[len(text) - n :]


def padded(texts: Sequence[Sequence[int]], width: int | None = None) -> Tensor:
    width = max(map(len, texts)) if width is None else width
    return ids(*[[-1] * (width - len(text)) + list(text) for text in texts])


TEXTS = ([3, 17, 5, 9], [4, 4], [6, 19, 0, 11, 13])


def guesses_for(model: Transformer, texts: Any, right: Sequence[int], sizes: Sequence[int]) -> Any:
    """Guesses of these sizes, of which so many are right; those behind the wrong one are too."""
    found = []
    for text, n_right, size in zip(texts, right, sizes):
        guess = written(model, text, size)
        if n_right < size:
            guess[n_right] = (guess[n_right] + 1) % 23
        found.append(guess)
    return found


def one_step(function: Any, texts: Any, right: Any, sizes: Any, n: int) -> Any:
    """One step with scripted guesses: its results; how many columns the target read, call by call;
    how many tokens its cache holds; what the drafter was told."""
    model = small_model()
    drafter, target = (
        Scripted(guesses_for(model, texts, right, sizes)),
        Reader(model, Rule(0.0, (), generator())),
    )
    read: list[int] = []
    model.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].size(1)))
    with torch.no_grad():
        found = function(target, drafter, padded(texts), n)
    return found, read, len(target.cache[0]), drafter.told


def one_step_by_hand(texts: Any, right: Any, sizes: Any, n: int) -> Any:
    model = small_model()
    drafted = [min(size, n) for size in sizes]
    stay = [min(r, d) for r, d in zip(right, drafted)]
    longer = [[*text, *written(model, text, a + 1)] for text, a in zip(texts, stay)]
    width = max(map(len, texts))
    end = width + max(stay) + 1
    columns = width + max(drafted)
    results = padded(longer, end), torch.tensor(drafted), torch.tensor(stay)
    return results, [columns], end - 1, [end - 1, *stay]


def scripted(title: str, texts: Any, right: Any, sizes: Any, n: int = 4) -> Case:
    return Case(
        title,
        lambda: (texts, right, sizes, n),
        run=one_step,
        expected=one_step_by_hand,
        call=f"speculative_step(target, drafter, tokens, {n})    # its results; columns read in each "
        "call; tokens in the target's cache; what the drafter was told",
    )


def several_steps(function: Any, texts: Any) -> Any:
    """Four steps with a model that guesses: texts; what both caches hold after each step; and what
    both models say next, which a cache with something wrong in it changes."""
    model = small_model()
    rule = Rule(0.0, (), generator())
    # The drafter is the target with noise: right about half of the time.
    other = small_model()
    with torch.no_grad():
        for i, parameter in enumerate(other.parameters()):
            parameter.add_(randn(*parameter.shape, seed=i, scale=0.05))
    target, drafter = Reader(model, rule), ModelDrafter(other)
    drafter.start(rule, model, 40)
    tokens, sizes = padded(texts), []
    with torch.no_grad():
        for _ in range(4):
            tokens, _, _ = function(target, drafter, tokens, 3)
            sizes.append((tokens.size(1) - len(target.cache[0]), len(drafter.reader.cache[0])))
            sizes[-1] = (sizes[-1][0], sizes[-1][1] <= tokens.size(1) - 1)
        says = [side.logits(tokens, 1)[:, 0] for side in (target, drafter.reader)]
        rows = [[token for token in row if token >= 0] for row in tokens.tolist()]
        whole = [torch.stack([alone(m, row) for row in rows]) for m in (model, other)]
    right = [row == [*t, *written(model, t, len(row) - len(t))] for row, t in zip(rows, texts)]
    same = [bool((a - b).abs().max() < 1e-3) for a, b in zip(says, whole)]
    return right, sizes, same


def several_steps_right(texts: Any) -> Any:
    return [True] * len(texts), [(1, True)] * 4, [True, True]


PAIRS = 4_000


def keep_four(tokens: Tensor, logits: Tensor) -> Tensor:
    """The four likeliest, and less of what came last: it looks at the text."""
    again = torch.zeros_like(logits).scatter(1, tokens[:, -1:].clamp(min=0), 2.0)
    logits = logits - again
    return logits.masked_fill(logits < logits.topk(4).values[:, -1:], -math.inf)


def pairs_drawn(function: Any, temperature: float) -> Tensor:
    """Shares of the first two new tokens, over many rows with the same prompt."""
    model, other = small_model(6, 1, 1), small_model(6, 2, 1)
    rule = Rule(temperature, [keep_four], generator(9))
    target, drafter = Reader(model, rule), ModelDrafter(other)
    drafter.start(rule, model, 10)
    tokens = ids([2, 5]).expand(PAIRS, -1)
    with torch.no_grad():
        for _ in range(2):
            tokens, _, _ = function(target, drafter, tokens, 2)
    place = (tokens < 0).sum(dim=1)[:, None] + torch.tensor([2, 3])
    first, second = tokens.gather(1, place).unbind(1)
    return (first * 6 + second).bincount(minlength=36).view(6, 6).float() / PAIRS


def exact_pairs(temperature: float) -> Tensor:
    model = small_model(6, 1, 1)

    def after(text: list[int]) -> list[float]:
        logits = keep_four(ids(text), alone(model, text)[None] / temperature)[0]
        return probabilities_of(logits.tolist())

    first = after([2, 5])
    return torch.tensor([[p * q for q in after([2, 5, i])] for i, p in enumerate(first)])


def by_seed(function: Any) -> Any:
    """Two seeds; torch's own generator must not matter."""
    found = []
    for seed, other in ((5, 0), (5, 1), (6, 2)):
        torch.manual_seed(other)
        model, rule = small_model(6, 1, 1), Rule(1.5, (), generator(seed))
        target, drafter = Reader(model, rule), ModelDrafter(small_model(6, 2, 1))
        drafter.start(rule, model, 10)
        with torch.no_grad():
            found.append(function(target, drafter, ids([2, 5]).expand(40, -1), 2)[0].tolist())
    return found[0] == found[1], found[0] == found[2]


STEP = Exercise(
    "lib.speculative.speculative_step",
    cases=[
        scripted("one text, all 3 guesses right", TEXTS[:1], [3], [3]),
        scripted("one text, 2 of 4 guesses right", TEXTS[:1], [2], [4]),
        scripted("one text, no guess right", TEXTS[:1], [0], [3]),
        scripted("three texts: 4, 1 and 2 of 4 right", TEXTS, [4, 1, 2], [4, 4, 4]),
        scripted("three texts with 3, 1 and no guesses", TEXTS, [1, 1, 0], [3, 1, 0]),
        scripted("nobody guesses", TEXTS, [0, 0, 0], [0, 0, 0]),
        scripted("5 guesses where 2 are asked for", TEXTS[:2], [5, 1], [5, 5], 2),
        Case(
            "four steps, one text, a model guesses",
            lambda: (TEXTS[:1],),
            run=several_steps,
            expected=several_steps_right,
            call="speculative_step(target, drafter, tokens, 3), 4 times    # texts as the target alone "
            "writes them? columns that the target has not read, and whether the drafter's cache "
            "holds no more than it may; do both say next what they say without cache?",
        ),
        Case(
            "four steps, three texts, a model guesses",
            lambda: (TEXTS,),
            run=several_steps,
            expected=several_steps_right,
            call="speculative_step(target, drafter, tokens, 3), 4 times    # as above",
        ),
        Case(
            "how often each pair of tokens comes: temperature 1.6, a processor",
            lambda: (1.6,),
            run=pairs_drawn,
            expected=exact_pairs,
            rtol=0.0,
            atol=0.04,
            call=f"speculative_step(target, drafter, tokens, 2), twice    # shares in {PAIRS} rows",
        ),
        Case(
            "how often each pair of tokens comes: temperature 0.5, a processor",
            lambda: (0.5,),
            run=pairs_drawn,
            expected=exact_pairs,
            rtol=0.0,
            atol=0.04,
            call=f"speculative_step(target, drafter, tokens, 2), twice    # shares in {PAIRS} rows",
        ),
        Case(
            "seed 5 twice, and 6",
            lambda: (),
            run=by_seed,
            expected=lambda: (True, False),
            call="speculative_step(...)    # seeds 5 and 5 alike? 5 and 6?",
            aside=True,
        ),
    ],
    speed=lambda: (TEXTS, [4, 1, 2], [4, 4, 4], 4),
    speed_run=one_step,
    hints=(
        "Write the new text of one row down: old text, guesses, and behind them one more token. What "
        "has the target read of it, if all guesses stay? And if the second was refused, what do both "
        "caches hold that never happened?",
        "The drafter gives m guesses a row, maybe fewer than n. After torch.cat([tokens, drafted], "
        "dim=1) ask for m + 1 places: before each guess, and behind the last. In new, (b m+1): the "
        "guesses that stay, then what follows, then −1; align_right makes all texts end together.",
        "places = torch.arange(m + 1); new = F.pad(drafted, (0, 1)).masked_fill(places > accepted[:, "
        "None], -1) and .scatter(1, accepted[:, None], following[:, None]). The width is tokens.size(1) + 1 + the most "
        "accepted. side.roll_back(width - 1, accepted), for target and drafter alike.",
    ),
)

# --- NgramDrafter.draft ---------------------------------------------------------------------------


def look_up(function: Any, texts: Any, store: Any, n: int, settings: Any = None) -> Any:
    drafter = with_method(NgramDrafter, "draft", function)(9, store, **(settings or {}))
    return drafter.draft(padded(texts), n)


def look_up_twice(function: Any, texts: Any, store: Any, n: int, settings: Any = None) -> Any:
    """The text grows by a token that was not guessed: the memory must have read only real text."""
    drafter = with_method(NgramDrafter, "draft", function)(9, store, **(settings or {}))
    drafter.draft(padded(texts), n)
    return drafter.draft(padded([[*text, text[0]] for text in texts]), n)


def searched(texts: Any, store: Any, n: int, settings: Any = None) -> Any:
    """Every place of every list is compared with the end of the text."""
    shortest, longest = ({"shortest": 2, "longest": 5} | (settings or {})).values()

    def followers(text: Sequence[int], context: Sequence[int]) -> list[int]:
        k = len(context)
        return [text[i + k] for i in range(len(text) - k) if list(text[i : i + k]) == context]

    guesses = []
    for text in texts:
        grown = list(text)
        for _ in range(n):
            token = None
            for k in range(min(longest, len(grown)), shortest - 1, -1):
                context = grown[-k:]
                own = followers(text, context)
                others = Counter(t for other in store for t in followers(other, context))
                if own:
                    token = own[-1]
                elif others:
                    token = min(others, key=lambda t: (-others[t], t))
                if token is not None:
                    break
            if token is None:
                break
            grown.append(token)
        guesses.append(grown[len(text) :])
    width = max(map(len, guesses))
    rows = [[*guess, *[-1] * (width - len(guess))] for guess in guesses]
    probs = torch.stack([certain(*row, vocab_size=9) for row in rows]) if width else None
    drafted = torch.tensor(rows, dtype=torch.int64).view(len(rows), width)
    return drafted, torch.zeros(len(rows), 0, 9) if probs is None else probs


def grown_twice(texts: Any, store: Any, n: int, settings: Any = None) -> Any:
    return searched([[*text, text[0]] for text in texts], store, n, settings)


STORE = (
    [1, 2, 3, 4, 5, 6, 7, 8],
    [2, 3, 4, 8, 8, 2, 3, 5, 2, 3, 5],
    [0, 2, 3, 4, 5, 1],
    [7, 7, 1, 6, 2],
    [6, 1, 6, 4],
)


def looking(
    title: str, texts: Any, store: Any, n: int, settings: Any = None, twice: bool = False
) -> Case:
    written_out = "".join(f", {key}={value}" for key, value in (settings or {}).items())
    call = f"NgramDrafter(9, {'texts' if store else '()'}{written_out}).draft(tokens, {n})"
    return Case(
        title,
        lambda: (texts, store, n, settings),
        run=look_up_twice if twice else look_up,
        expected=grown_twice if twice else searched,
        call=call + ("    # and again, one token later" if twice else ""),
    )


DRAFT = Exercise(
    "lib.speculative.NgramDrafter.draft",
    cases=[
        looking("the text repeats itself", [[4, 1, 2, 3, 0, 5, 1, 2]], (), 3),
        looking("a collection", [[0, 7, 1, 2]], STORE, 4),
        looking("the longest context decides", [[5, 6, 2, 3, 8, 1, 7, 0, 6, 2, 3]], STORE, 1),
        looking("of one length: text before collection", [[2, 3, 7, 0, 5, 2, 3]], STORE, 2),
        looking(
            "a longer context of the collection before a shorter one of the text",
            [[3, 4, 1, 0, 2, 3, 4]],
            STORE,
            2,
        ),
        looking("the last time counts in the text", [[1, 2, 5, 1, 2, 7, 3, 1, 2]], (), 1),
        looking("the guesses run on", [[8, 8, 2]], STORE, 6),
        looking("nothing to guess", [[8, 0, 6, 5]], STORE, 4),
        looking(
            "three texts: a short guess, a long one, none",
            [[5, 0, 7, 7], [6, 6, 1, 2], [3, 8, 0, 6, 5, 0]],
            STORE,
            4,
        ),
        looking(
            "a text shorter than the longest context",
            [[2], [1, 2]],
            STORE,
            3,
            {"shortest": 1, "longest": 6},
        ),
        looking(
            "contexts of one token", [[5, 3, 5, 0, 3]], STORE, 3, {"shortest": 1, "longest": 1}
        ),
        looking(
            "contexts of 3 tokens at least", [[0, 1, 2, 3]], STORE, 4, {"shortest": 3, "longest": 4}
        ),
        looking(
            "guesses are no memory", [[1, 2, 4, 2, 4, 2]], (), 5, {"shortest": 1, "longest": 3}
        ),
        looking(
            "later, the text has gone on otherwise",
            [[1, 2, 3, 1, 2]],
            (),
            3,
            {"shortest": 1, "longest": 2},
            True,
        ),
        looking(
            "what was only guessed has not been written",
            [[3, 5, 0, 1, 2, 3]],
            ([1, 2, 3, 4, 6, 3],),
            5,
            {"shortest": 1, "longest": 3},
        ),
        looking(
            "a shorter text, which ends with token 0",
            [[1, 2, 1, 2], [6, 0]],
            (),
            2,
            {"shortest": 1, "longest": 2},
        ),
        looking("no tokens asked for", [[0, 7, 1, 2]], STORE, 0),
    ],
    speed=lambda: ([[i * i % 9 for i in range(200)]] * 2, [[i * 7 % 9 for i in range(500)]], 8),
    speed_run=look_up,
    hints=(
        "Do it with a pencil: cover the next word of a text you know, and look at the last few words. "
        "Where have they stood before? What if you find nothing: shorten, or give up?",
        "For one guess: for k from the longest to the shortest, for source in (memory, store): "
        "source.after(text[-k:]); the first that is not None is it. Append it to the text and look up "
        "the next; stop where nothing is found, or at n.",
        "memory = self.memory(row, text) before any guess is appended. Fill the shorter guesses up "
        "with -1. probs = zeros (b m v), then probs.scatter(-1, drafted.clamp(min=0)[..., None], "
        "(drafted >= 0).float()[..., None]): ones at the guesses, and nothing where there is none.",
    ),
)

# --- choose_drafter -------------------------------------------------------------------------------


def tried_out(acceptance: Any, cost: Any, longest: int, call: Any = None) -> tuple[int, int]:
    """All pairs, by the sum of the series; ties by fewer guesses, then by the first."""
    call = [1.0] * (longest + 1) if call is None else call
    pairs = [(0, 0), *itertools.product(range(len(cost)), range(1, longest + 1))]

    def speed(pair: tuple[int, int]) -> float:
        i, n = pair
        if n == 0:
            return 1 / call[0]
        tokens = math.fsum(acceptance[i] ** k for k in range(n + 1))
        return tokens / (n * cost[i] + call[n])

    return min(pairs, key=lambda pair: (-round(speed(pair), 9), pair[1], pair[0]))


def refused(title: str, *inputs: Any) -> Case:
    return Case(title, lambda: inputs, run=came_back, raises=ValueError)


RISING = [1.0, 1.06, 1.13, 1.19, 1.24, 1.3, 1.36, 1.41, 1.47]

CHOOSE = Exercise(
    "lib.speculative.choose_drafter",
    oracle=tried_out,
    cases=[
        Case("a good one that costs, a poor one for nothing", lambda: ([0.9, 0.6], [0.5, 0.01], 8)),
        Case("a good one that costs little, a poor one", lambda: ([0.9, 0.6], [0.05, 0.0], 8)),
        Case("three of them", lambda: ([0.55, 0.8, 0.7], [0.01, 0.2, 0.03], 12)),
        Case("one that costs more than it brings", lambda: ([0.4], [0.6], 6)),
        Case(
            "one guess of one as good as two of another",
            lambda: ([1.0, 0.5], [0.375, 0.0], 2, [1.0, 1.0, 1.25]),
        ),
        Case("always accepted, at a price", lambda: ([0.3, 1.0], [0.0, 0.55], 5)),
        Case("never accepted, for nothing", lambda: ([0.0, 0.0], [0.0, 0.0], 4)),
        Case("two that are alike", lambda: ([0.7, 0.7], [0.1, 0.1], 6)),
        Case(
            "checks that cost more the more they check",
            lambda: ([0.62, 0.9], [0.005, 0.5], 8, RISING),
        ),
        Case("checks that cost twice as much", lambda: ([0.7], [0.0], 3, [1.0, 2.0, 2.1, 2.2])),
        Case("nearly as good, for nothing", lambda: ([0.62, 0.6], [0.5, 0.0], 3)),
        Case("long guesses of a good one", lambda: ([0.9, 0.7], [0.1, 0.01], 20)),
        Case("no guesses allowed", lambda: ([0.9], [0.0], 0)),
        Case("a length that stops paying", lambda: ([0.85], [0.15], 20)),
        refused("two drafters, one cost", [0.5, 0.6], [0.1], 4),
        refused("an acceptance of 1.2", [1.2], [0.1], 4),
        refused("a cost below 0", [0.5], [-0.1], 4),
        refused("what 5 guesses cost is not told", [0.5], [0.1], 5, [1.0, 1.1]),
    ],
    speed=lambda: ([0.62, 0.9, 0.8, 0.7], [0.005, 0.5, 0.1, 0.2], 16),
    hints=(
        "Two numbers for each choice: how many tokens a step yields on average, and how long it takes. "
        "Which of them in relation to the other?",
        "expected_tokens(alpha, n) counts the guesses that stay and the one that follows. A step takes "
        "n times the guess and one check, call[n]. Writing alone yields 1 token for call[0].",
        "check_costs refuses what is no cost, and fills in the calls. Start from best = (0, 0) with "
        "speed 1 / call[0]; go through n = 1 … longest, drafters inside; take who is faster (>), so "
        "that of equals the first stays.",
    ),
)

# --- adapt_length ---------------------------------------------------------------------------------


def voted(length: int, drafted: Any, accepted: Any, longest: int = 16) -> int:
    votes: Counter[str] = Counter()
    for guessed, stayed in zip(drafted, accepted):
        if stayed != guessed:
            votes["fewer"] += 1
        elif guessed == length:
            votes["more"] += 1
    if not votes:
        return min(max(length, 1), longest)
    change = 2 if votes["more"] >= votes["fewer"] else -1
    return min(max(length + change, 1), longest)


def lengths(title: str, length: int, drafted: Any, accepted: Any, *longest: int) -> Case:
    return Case(title, lambda: (length, list(drafted), list(accepted), *longest))


ADAPT = Exercise(
    "lib.speculative.adapt_length",
    oracle=voted,
    cases=[
        lengths("all 4 accepted", 4, [4], [4]),
        lengths("3 of 4 accepted", 4, [4], [3]),
        lengths("none of 4 accepted", 4, [4], [0]),
        lengths("only 2 were guessed, both accepted", 4, [2], [2]),
        lengths("only 2 were guessed, one accepted", 4, [2], [1]),
        lengths("nothing was guessed", 5, [0], [0]),
        lengths("already at the longest", 16, [16], [16]),
        lengths("one below the longest", 7, [7], [7], 8),
        lengths("already 1", 1, [1], [0]),
        lengths("length 1, accepted", 1, [1], [1], 8),
        lengths(
            "four rows: one for more, two for fewer, one says nothing",
            3,
            [3, 3, 3, 1],
            [3, 2, 0, 1],
        ),
        lengths("four rows: two for more, one for fewer", 3, [3, 3, 3, 2], [3, 3, 2, 2]),
        lengths("as many for more as for fewer", 6, [6, 6], [6, 5]),
        lengths("most tokens accepted, most rows refused", 5, [5, 5, 5], [5, 4, 4]),
        lengths("few tokens accepted, most rows full", 2, [2, 2, 2, 2, 2], [2, 0, 2, 0, 2]),
        lengths("one row full, two short and right", 4, [4, 1, 2], [4, 1, 2]),
        lengths("rows that guessed nothing among others", 4, [0, 4, 0, 0], [0, 3, 0, 0]),
        lengths("longer than the longest has become", 12, [4], [4], 8),
    ],
    speed=lambda: (4, [4] * 64, [4, 3] * 32),
    slowest=50.0,
    hints=(
        "What does a guess tell that was right to its end? What one that was refused? And one that "
        "ended early because nothing came to the drafter's mind, but was right?",
        "Count the rows that speak for more, accepted == length, and those that speak for fewer, "
        "accepted < drafted. All others are silent.",
        "If anybody speaks: + 2 if more >= fewer, else - 1. In any case between 1 and longest: "
        "max(1, min(length, longest)).",
    ),
)
