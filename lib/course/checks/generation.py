"""Checks of the floor `lib.generation`. Oracles: plain Python lists and loops; for whatever a model
writes, the model reading each text alone, unpadded and from its beginning, at every step.

What is drawn at random is judged by how often each token came in 2,000 draws. The tolerance, .06,
is five standard deviations of any right sampler at least: it passes whatever its seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lib.course.bank import Case, Exercise, with_method
from lib.course.checks.attention import randn
from lib.course.checks.ngram import came_back, generator
from lib.generation import Automaton, KVCache, new_cache
from lib.transformer import Config, Transformer

NEVER = -math.inf
Row = list[float]


# --- filters --------------------------------------------------------------------------------------


def row_by_row(kept: Callable[..., list[bool]]) -> Callable[..., Tensor]:
    """A filter on tensors from one on lists: which of these logits stay?"""

    def oracle(logits: Tensor, limit: float) -> Tensor:
        rows = logits.reshape(-1, logits.size(-1)).tolist()
        new = [[x if keep else NEVER for x, keep in zip(r, kept(r, limit))] for r in rows]
        return torch.tensor(new, dtype=logits.dtype).view(logits.shape)

    return oracle


def probabilities_of(row: Row) -> Row:
    weights = [math.exp(x - max(row)) for x in row]
    return [w / sum(weights) for w in weights]


def k_largest(row: Row, k: int) -> list[bool]:
    return [sum(other > x for other in row) < k for x in row]


def nucleus(row: Row, p: float) -> list[bool]:
    """Walk down from the likeliest until p is reached."""
    probabilities = probabilities_of(row)
    kept, held = [False] * len(row), 0.0
    for token in sorted(range(len(row)), key=lambda token: -row[token]):
        if held < p:
            kept[token] = True
        held += probabilities[token]
    return kept


def near_the_best(row: Row, p: float) -> list[bool]:
    probabilities = probabilities_of(row)
    return [x >= p * max(probabilities) for x in probabilities]


def logits_of(*probabilities: float) -> Tensor:
    return torch.tensor(probabilities).log()


def refused(title: str, *inputs: Any) -> Case:
    """A case whose right answer is a ValueError."""
    return Case(title, lambda: (randn(3, 7), *inputs), run=came_back, raises=ValueError)


TOP_K = Exercise(
    "lib.generation.top_k",
    oracle=row_by_row(k_largest),
    cases=[
        Case("2 texts of 3 places, 9 tokens, k=4", lambda: (randn(2, 3, 9), 4)),
        Case("one row, k=1", lambda: (randn(6), 1)),
        Case("all logits below 0", lambda: (randn(3, 7) - 9.0, 3)),
        Case(
            "two tokens tie with the second",
            lambda: (torch.tensor([[1.0, 3.0, 2.0, 2.0, 2.0, 0.0]]), 2),
        ),
        Case("more than there are tokens", lambda: (randn(2, 5), 8)),
        Case(
            "some tokens are out already",
            lambda: (torch.tensor([[NEVER, 1.0, NEVER, 3.0], [0.5, NEVER, 0.7, 0.6]]), 2),
        ),
        Case("bfloat16", lambda: (randn(3, 12, dtype=torch.bfloat16), 5)),
        refused("k=0", 0),
    ],
    speed=lambda: (randn(64, 4096), 50),
    hints=(
        "Which is the smallest logit that may stay? Once you know it, every other token can be "
        "judged by itself.",
        "logits.topk(k, dim=-1).values holds the k largest of each row, largest first. Its last "
        "one is the bar. topk does not like a k above the number of tokens.",
        "least = logits.topk(min(k, logits.size(-1)), dim=-1).values[..., -1:], with the axis kept "
        "so that it lines up with the rows; then logits.masked_fill(logits < least, -inf).",
    ),
)

TOP_P = Exercise(
    "lib.generation.top_p",
    oracle=row_by_row(nucleus),
    cases=[
        Case("probabilities .5 .05 .3 .15, p=0.6", lambda: (logits_of(0.5, 0.05, 0.3, 0.15), 0.6)),
        Case("2 texts of 3 places, 9 tokens, p=0.7", lambda: (randn(2, 3, 9), 0.7)),
        Case("the likeliest alone holds more than p", lambda: (logits_of(0.1, 0.85, 0.05), 0.5)),
        Case("p=0.98", lambda: (randn(4, 20, seed=3), 0.98)),
        Case("p=1 keeps all", lambda: (randn(2, 8), 1.0)),
        Case("logits in the hundreds", lambda: (randn(3, 8, seed=5, scale=200.0), 0.9)),
        Case(
            "some tokens are out already",
            lambda: (torch.tensor([[NEVER, 1.0, NEVER, 3.0], [0.5, NEVER, 0.9, 0.6]]), 0.8),
        ),
        Case("bfloat16", lambda: (randn(3, 12, seed=9, scale=2.0, dtype=torch.bfloat16), 0.75)),
        refused("p=0", 0.0),
        refused("p=1.2", 1.2),
    ],
    speed=lambda: (randn(64, 4096), 0.9),
    hints=(
        "Line the tokens up, the likeliest first. How much do those before a token hold together? "
        "That number decides about it, not its own probability.",
        "ordered, order = logits.sort(dim=-1, descending=True). The cumulative sum of the softmax "
        "counts each token itself too: take it off again. And what you decide about the ordered "
        "row must find its way back to the tokens' own places.",
        "removed = (probabilities.cumsum(-1) - probabilities) >= p is in sorted order. "
        "torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, removed) puts each answer "
        "where its token stands.",
    ),
)

MIN_P = Exercise(
    "lib.generation.min_p",
    oracle=row_by_row(near_the_best),
    cases=[
        Case("probabilities .6 .25 .1 .05, p=0.3", lambda: (logits_of(0.6, 0.25, 0.1, 0.05), 0.3)),
        Case("2 texts of 3 places, 9 tokens, p=0.2", lambda: (randn(2, 3, 9), 0.2)),
        Case(
            "a sure row and an unsure one, p=0.1",
            lambda: (randn(2, 9) * torch.tensor([[4.0], [0.3]]), 0.1),
        ),
        Case("p=0 keeps all", lambda: (randn(2, 8), 0.0)),
        Case("p=1 keeps the likeliest", lambda: (torch.tensor([[0.0, 2.0, 1.0, 2.0]]), 1.0)),
        Case("logits in the hundreds", lambda: (randn(3, 8, seed=5, scale=200.0), 0.05)),
        Case("all logits below 0", lambda: (randn(3, 9, seed=6) - 12.0, 0.4)),
        Case("bfloat16", lambda: (randn(3, 12, seed=9, dtype=torch.bfloat16), 0.33)),
        refused("p=-0.1", -0.1),
        refused("p=1.2", 1.2),
    ],
    speed=lambda: (randn(64, 4096), 0.05),
    hints=(
        "The bar is not the same for every row: it hangs from the likeliest token of that row.",
        "Probabilities, then their largest in each row, then the comparison. Keep the axis of the "
        "largest, so that each row is compared with its own.",
        "likeliest = probabilities.amax(dim=-1, keepdim=True); what is below p * likeliest goes. "
        "With p=1 the likeliest itself must not.",
    ),
)


# --- repetition_penalty ---------------------------------------------------------------------------


def penalised(logits: Tensor, tokens: Tensor, penalty: float) -> Tensor:
    rows = [[float(x) for x in row] for row in logits.tolist()]
    for row, text in zip(rows, tokens.tolist()):
        for token in {t for t in text if t >= 0}:
            row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
    return torch.tensor(rows, dtype=logits.dtype)


def ids(*rows: Sequence[int]) -> Tensor:
    return torch.tensor(rows, dtype=torch.int64)


REPETITION_PENALTY = Exercise(
    "lib.generation.repetition_penalty",
    oracle=penalised,
    cases=[
        Case(
            "positive and negative logits, penalty 1.5",
            lambda: (torch.tensor([[2.0, -2.0, 1.0, -1.0, 0.0]]), ids([0, 1, 4]), 1.5),
        ),
        Case("a token that came three times", lambda: (randn(1, 6), ids([2, 5, 2, 2]), 1.3)),
        Case("2 texts", lambda: (randn(2, 8), ids([1, 2, 3], [7, 6, 7]), 1.2)),
        Case(
            "padding: -1 before the shorter text",
            lambda: (randn(2, 5, seed=2) + 2.0, ids([-1, -1, 3], [1, 2, 4]), 2.0),
        ),
        Case("padding, and token 0 as well", lambda: (randn(1, 5), ids([-1, -1, 0, 2]), 1.7)),
        Case("a penalty below 1", lambda: (randn(2, 6, seed=4), ids([0, 1], [5, 5]), 0.5)),
        Case(
            "one token is out already",
            lambda: (torch.tensor([[NEVER, 1.0, -1.0]]), ids([0, 1, 2]), 1.5),
        ),
        Case(
            "logits in the hundreds", lambda: (randn(2, 7, scale=200.0), ids([3, 1], [2, 6]), 1.1)
        ),
        Case(
            "penalty 0",
            lambda: (randn(1, 4), ids([1, 2]), 0.0),
            run=came_back,
            raises=ValueError,
        ),
    ],
    speed=lambda: (randn(16, 4096), torch.arange(16 * 200).view(16, 200), 1.2),
    hints=(
        "Two questions, one after the other: which tokens has each text seen? And what does a logit "
        "become if its token was seen?",
        "-2 / 1.5 is larger than -2: dividing would reward what has a negative logit. As to who was "
        "seen: a table of booleans (b v), filled by scatter, does not care how often.",
        "Padding has no place in the table. Give the table one column more, send everything below "
        "0 there, tokens.where(tokens >= 0, v), and cut the column off again. Then torch.where(seen,"
        " torch.where(logits > 0, logits / penalty, logits * penalty), logits).",
    ),
)

# --- KVCache.append -------------------------------------------------------------------------------


def pieces(
    *lengths: int, b: int = 2, g: int = 3, d_key: int = 4, d_value: int = 5, dtype: Any = None
) -> tuple[list[Tensor], list[Tensor]]:
    """Keys and values of new tokens, as many as each of `lengths` says."""
    options: Any = {"dtype": dtype or torch.float32}
    keys = [randn(b, g, t, d_key, seed=i, **options) for i, t in enumerate(lengths)]
    values = [randn(b, g, t, d_value, seed=99 + i, **options) for i, t in enumerate(lengths)]
    return keys, values


def cache_with(append: Any) -> Any:
    """A cache whose append is the learner's. What nobody has written reads as 77, always."""

    class Marked(KVCache):
        def room(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
            before = self.buffers
            buffers = super().room(key, value)
            if buffers is not before:
                for buffer in buffers:
                    buffer[:, :, self.length :] = 77
            return buffers

    return with_method(Marked, "append", append)()


def appended(append: Any, keys: list[Tensor], values: list[Tensor]) -> list[Any]:
    """What comes back at every call, and how long the cache then says it is."""
    cache = cache_with(append)
    answers: list[Any] = []
    for key, value in zip(keys, values, strict=True):
        back = cache.append(key, value)
        copies = tuple(x.clone() if isinstance(x, Tensor) else x for x in back) if back else back
        answers.append((copies, len(cache)))
    return answers


def joined(keys: list[Tensor], values: list[Tensor]) -> list[Any]:
    """The same from lists of tokens."""
    answers: list[Any] = []
    old: tuple[list[Tensor], list[Tensor]] = ([], [])
    for both in zip(keys, values, strict=True):
        for tokens, new in zip(old, both):
            tokens.extend(new[:, :, t] for t in range(new.size(2)))
        answers.append((tuple(torch.stack(tokens, dim=2) for tokens in old), len(old[0])))
    return answers


def first_and_last(append: Any, keys: list[Tensor], values: list[Tensor]) -> list[Any]:
    return appended(append, keys, values)[-1:]


def appended_after_truncate(append: Any, keys: list[Tensor], values: list[Tensor]) -> list[Any]:
    """Two pieces, then all but 3 tokens are forgotten, then the third piece."""
    cache = cache_with(append)
    for key, value in zip(keys[:2], values[:2]):
        cache.append(key, value)
    cache.truncate(3)
    back = cache.append(keys[2], values[2])
    return [tuple(x.clone() for x in back), len(cache)]


def joined_after_truncate(keys: list[Tensor], values: list[Tensor]) -> list[Any]:
    both = [torch.cat([torch.cat(x[:2], dim=2)[:, :, :3], x[2]], dim=2) for x in (keys, values)]
    return [tuple(both), both[0].size(2)]


def another_batch(append: Any, keys: list[Tensor], values: list[Tensor]) -> None:
    cache = cache_with(append)
    cache.append(keys[0], values[0])
    came_back(cache.append, keys[0][:1], values[0][:1])


APPENDS = "cache.append(key, value)    # {}; what comes back, len(cache)"

APPEND = Exercise(
    "lib.generation.KVCache.append",
    cases=[
        Case(
            "3 tokens, then 2, then 1",
            lambda: pieces(3, 2, 1),
            run=appended,
            expected=joined,
            call=APPENDS.format("for 3 tokens, for 2, for 1"),
        ),
        Case(
            "one token at a time",
            lambda: pieces(1, 1, 1, 1, g=1, d_value=4),
            run=appended,
            expected=joined,
            call=APPENDS.format("4 times 1 token"),
        ),
        Case(
            "a prompt of 60 tokens, then 9 more: the buffer must grow",
            lambda: pieces(60, 5, 1, 1, 1, 1, b=1),
            run=first_and_last,
            expected=lambda keys, values: joined(keys, values)[-1:],
            call=APPENDS.format("for 60 tokens, then 5, 1, 1, 1, 1: the last answer"),
        ),
        Case(
            "a prompt of 150 tokens, then 10 more",
            lambda: pieces(150, 10, b=1, g=2),
            run=appended,
            expected=joined,
            call=APPENDS.format("for 150 tokens, then 10"),
        ),
        Case(
            "bfloat16",
            lambda: pieces(2, 2, dtype=torch.bfloat16),
            run=appended,
            expected=joined,
            call=APPENDS.format("twice 2 tokens in bfloat16"),
        ),
        Case(
            "4 tokens, 2 tokens, cache.truncate(3), 2 tokens",
            lambda: pieces(4, 2, 2),
            run=appended_after_truncate,
            expected=joined_after_truncate,
            call="cache.truncate(3); cache.append(key, value)    # what comes back, len(cache)",
        ),
        Case(
            "then other texts: 1 instead of 2",
            lambda: pieces(3),
            run=another_batch,
            raises=ValueError,
            call="cache.append(key, value)    # first b=2, then b=1",
        ),
    ],
    speed=lambda: pieces(100, *[1] * 200, b=1, g=4, d_key=32, d_value=32),
    speed_run=lambda append, keys, values: [
        cache.append(key, value)
        for cache in [with_method(KVCache, "append", append)()]
        for key, value in zip(keys, values)
    ],
    hints=(
        "The buffers are shelves with room to spare. Where does the free room begin? How far will "
        "it be filled when the new tokens have moved in?",
        "start = self.length and end = start + key.size(2) are the places of the new tokens along "
        "the axis of the tokens, which is the third. keys, values = self.room(key, value) are the "
        "shelves.",
        "keys[:, :, start:end] = key, the same for values; then self.length must become end; give "
        "back what is filled and no more: keys[:, :, :end], values[:, :, :end].",
    ),
)

# --- next_logits ----------------------------------------------------------------------------------

MODELS: dict[str, dict[str, Any]] = {
    "qwen": {"n_kv_head": 2},
    "gpt2": {
        "norm": "layer",
        "qk_norm": False,
        "gated": False,
        "activation": "gelu_tanh",
        "bias": True,
        "position": "learned",
    },
    "gemma": {
        "norm": "rms_plus_one",
        "post_norm": True,
        "n_kv_head": 1,
        "activation": "gelu_tanh",
        "window": 3,
        "local_layers": (0,),
        "rope_base_local": 100.0,
        "scale_embedding": True,
    },
}


def tiny_model(kind: str = "qwen", n_layer: int = 1, vocab_size: int = 23) -> Transformer:
    """A small model with weights large enough that every token and place matters."""
    model = Transformer(
        Config(vocab_size, d_model=16, n_layer=n_layer, n_head=4, n_context=12, **MODELS[kind])
    )
    source = generator(11)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.4, generator=source)
    return model


def alone(model: Transformer, text: Sequence[int]) -> Tensor:
    """The logits after one text, read whole, without padding or cache: (v)."""
    with torch.no_grad():
        return model(torch.tensor([list(text)]))[0, -1]


def each_alone(model: Transformer, tokens: Tensor) -> Tensor:
    return torch.stack([alone(model, [t for t in row if t >= 0]) for row in tokens.tolist()])


TEXT = ([3, 17, 5, 9, 20, 1, 8], [-1, -1, -1, 4, 4, 15, 2], [-1, 6, 19, 0, 11, 13, 7])


def read_once(function: Any, kind: str, tokens: Tensor) -> Tensor:
    with torch.no_grad():
        return function(tiny_model(kind, n_layer=2), tokens)


def read_in_steps(function: Any, kind: str, tokens: Tensor, *ends: int) -> tuple[Any, ...]:
    """The text as it grows, with one cache; and how much the cache holds in the end."""
    model = tiny_model(kind, n_layer=2)
    cache = new_cache(model)
    with torch.no_grad():
        answers = [function(model, tokens[:, :end], cache) for end in ends]
    return (*answers, len(cache[0]))


def steps_alone(kind: str, tokens: Tensor, *ends: int) -> tuple[Any, ...]:
    model = tiny_model(kind, n_layer=2)
    return (*(each_alone(model, tokens[:, :end]) for end in ends), ends[-1])


def grown(title: str, kind: str, rows: Sequence[Sequence[int]], *ends: int) -> Case:
    written = ", ".join(str(end) for end in ends)
    return Case(
        title,
        lambda: (kind, ids(*rows), *ends),
        run=read_in_steps,
        expected=steps_alone,
        rtol=1e-3,
        atol=1e-4,
        call=f"next_logits(model, tokens[:, :n], cache)    # n = {written}; len(cache[0])",
    )


def whole(title: str, kind: str, rows: Sequence[Sequence[int]]) -> Case:
    return Case(
        title,
        lambda: (kind, ids(*rows)),
        run=read_once,
        expected=lambda kind, tokens: each_alone(tiny_model(kind, n_layer=2), tokens),
        rtol=1e-3,
        atol=1e-4,
        call=f"next_logits(model, tokens)    # tokens {tuple(ids(*rows).shape)}",
    )


def nothing_new(function: Any, kind: str, tokens: Tensor) -> None:
    model = tiny_model(kind, n_layer=2)
    cache = new_cache(model)
    with torch.no_grad():
        model(tokens, cache=cache)
        came_back(function, model, tokens, cache)


NEXT_LOGITS = Exercise(
    "lib.generation.next_logits",
    cases=[
        whole("one text, no cache", "qwen", TEXT[:1]),
        whole("three texts of unequal length, no cache", "qwen", TEXT),
        whole("learned positions, unequal length, no cache", "gpt2", TEXT),
        grown("one text with a cache: 4 tokens, then one more each", "qwen", TEXT[:1], 4, 5, 6, 7),
        grown("learned positions, one text with a cache", "gpt2", TEXT[:1], 3, 4, 7),
        grown("three texts of unequal length with a cache", "qwen", TEXT, 4, 5, 6, 7),
        grown("learned positions, unequal length, with a cache", "gpt2", TEXT, 4, 5, 7),
        grown("a layer with a window, unequal length, with a cache", "gemma", TEXT, 4, 5, 6, 7),
        Case(
            "everything is in the cache already",
            lambda: ("qwen", ids(TEXT[0])),
            run=nothing_new,
            raises=ValueError,
            call="next_logits(model, tokens, cache)    # len(cache[0]) == tokens.size(1)",
        ),
    ],
    speed=lambda: (ids(*TEXT).clamp(min=0),),
    speed_run=lambda function, tokens: [
        function(model, tokens, new_cache(model)) for model in [tiny_model()]
    ],
    hints=(
        "What must the model read? What is in the cache it knows. What is padding must not disturb: "
        "neither by being looked at, nor by pushing the text to later positions.",
        "real = tokens >= 0. Counting the real tokens from the left, (real.cumsum(dim=1) - 1), gives "
        "each its position. The mask (b 1 t s) is the causal mask for the new tokens over all, and "
        "real keys only. Rows of padding see no key at all then: softmax makes nan of them, and "
        "nan spreads.",
        "n_cached = len(cache[0]); positions and the rows of the mask are those from n_cached on: "
        "[:, n_cached:]. causal_mask(t - n_cached, t) & (real[:, None, None, :] | ~real[:, None, "
        "n_cached:, None]). Padded ids are -1: clamp them to 0. Last, head=lambda x: "
        "model.head(x[:, -1]) scores the last place only.",
    ),
)

# --- generate -------------------------------------------------------------------------------------

PROMPTS = ([3, 17, 5, 9], [4], [6, 19])


@lru_cache
def greedy_alone(kind: str, prompt: tuple[int, ...], n: int, stop: tuple[int, ...]) -> list[int]:
    """Write after one prompt with nothing but lists."""
    model, text = tiny_model(kind), list(prompt)
    for _ in range(n):
        text.append(int(alone(model, text).argmax()))
        if text[-1] in stop or len(text) >= model.config.n_context:
            break
    return text[len(prompt) :]


def written(function: Any, kind: str, prompts: Any, n: int, options: dict[str, Any]) -> Any:
    return function(tiny_model(kind), prompts, n, temperature=0, **options)


def written_alone(kind: str, prompts: Any, n: int, options: dict[str, Any]) -> Any:
    rows = prompts.tolist() if isinstance(prompts, Tensor) else prompts
    return [greedy_alone(kind, tuple(prompt), n, tuple(options.get("stop", ()))) for prompt in rows]


def writing(
    title: str, prompts: Callable[[], Any], n: int, kind: str = "qwen", **options: Any
) -> Case:
    """The likeliest tokens after each prompt."""
    more = "".join(f", {name}={value!r}" for name, value in options.items())
    return Case(
        title,
        lambda: (kind, prompts(), n, options),
        run=written,
        expected=written_alone,
        call=f"generate(model, {prompts()}, {n}, temperature=0{more})",
    )


def three() -> list[list[int]]:
    return [list(prompt) for prompt in PROMPTS]


def stops() -> list[int]:
    """Ids that end the three texts at different steps, the last one after 4."""
    first, second = (greedy_alone("qwen", tuple(prompt), 8, ()) for prompt in PROMPTS[:2])
    return [first[2], second[3]]


def stopped(function: Any, prompts: Any, options: dict[str, Any]) -> Any:
    """The answers, and how often the model was asked."""
    calls: list[int] = []
    answers = function(
        tiny_model(), prompts, 8, temperature=0, stop=stops(),
        on_token=lambda drawn, logits: calls.append(1), **options,
    )  # fmt: skip
    return answers, len(calls)


def stopped_alone(prompts: Any, options: dict[str, Any]) -> Any:
    answers = written_alone("qwen", prompts, 8, {"stop": stops()})
    return answers, max(map(len, answers))


def follow(text: Sequence[int]) -> int:
    """A rule that has nothing to do with a model: which token comes after these."""
    return (2 * text[-1] + len(text) + 5) % 23


def obey(tokens: Tensor, logits: Tensor) -> Tensor:
    """A processor that leaves only the token of `follow`."""
    kept = torch.full_like(logits, NEVER)
    for row, text in enumerate(tokens.tolist()):
        token = follow([t for t in text if t >= 0])
        kept[row, token] = logits[row, token]
    return kept


def watched(function: Any, prompts: Any, n: int, temperature: float) -> Any:
    """Two processors, the second one `obey`. What the first sees, what on_token sees."""
    seen: list[Any] = []

    def shift(tokens: Tensor, logits: Tensor) -> Tensor:
        seen.append((tokens.clone(), logits.clone()))
        return logits + torch.arange(23)

    def look(drawn: Tensor, logits: Tensor) -> None:
        seen.append((drawn.clone(), logits.clone()))

    answers = function(
        tiny_model(), prompts, n, temperature=temperature, processors=[shift, obey], on_token=look
    )
    return answers, seen


def watched_alone(prompts: Any, n: int, temperature: float) -> Any:
    model, seen = tiny_model(), []
    texts = [list(prompt) for prompt in prompts]
    for _ in range(n):
        longest = max(map(len, texts))
        padded = ids(*[[-1] * (longest - len(text)) + text for text in texts])
        logits = torch.stack([alone(model, text) for text in texts]) / (temperature or 1)
        seen.append((padded, logits))
        drawn = [follow(text) for text in texts]
        seen.append((torch.tensor(drawn), obey(padded, logits + torch.arange(23))))
        texts = [[*text, token] for text, token in zip(texts, drawn)]
    return [text[len(prompt) :] for text, prompt in zip(texts, prompts)], seen


def button(function: Any, prompts: Any) -> Any:
    """on_token says stop at the third token."""
    calls: list[int] = []

    def press(drawn: Tensor, logits: Tensor) -> bool:
        calls.append(1)
        return len(calls) == 3

    return function(tiny_model(), prompts, 6, temperature=0, on_token=press), len(calls)


DRAWS = 2000


def drawn_shares(function: Any, temperature: float, k: int) -> Tensor:
    """How often each token comes after the same prompt, with only the k likeliest allowed."""

    def keep(tokens: Tensor, logits: Tensor) -> Tensor:
        return logits.masked_fill(logits < logits.topk(k).values[:, -1:], NEVER)

    model = tiny_model(vocab_size=7)
    answers = function(model, [[2, 5]] * DRAWS, 1, temperature=temperature, processors=[keep],
                       generator=generator())  # fmt: skip
    counts = torch.tensor([row[0] for row in answers]).bincount(minlength=7)
    return counts.float() / DRAWS


def exact_shares(temperature: float, k: int) -> Tensor:
    logits = alone(tiny_model(vocab_size=7), [2, 5]) / temperature
    kept = [x if keep else NEVER for x, keep in zip(logits.tolist(), k_largest(logits.tolist(), k))]
    return torch.tensor(probabilities_of(kept))


def seeded(function: Any, prompts: Any) -> Any:
    """Seed 5 twice, seed 6 once: alike? And torch's own seed twice."""
    first, second, other = (
        function(tiny_model(), prompts, 5, temperature=2.0, generator=generator(seed))
        for seed in (5, 5, 6)
    )
    own = []
    for _ in range(2):
        torch.manual_seed(3)
        own.append(function(tiny_model(), prompts, 5, temperature=2.0))
    return first == second, first == other, own[0] == own[1]


def reads(function: Any, prompts: Any, cache: bool) -> Any:
    """How many columns of tokens the model reads at each step; eval mode? gradients? afterwards?"""
    model, sizes = tiny_model(), []
    model.train()
    model.blocks[0].eval()

    def note(module: Any, inputs: Any) -> None:
        sizes.append((inputs[0].size(1), module.training, torch.is_grad_enabled()))

    model.register_forward_pre_hook(note)
    function(model, prompts, 4, temperature=0, cache=cache)
    return sizes, model.training, model.blocks[0].training, model.norm.training


def reads_expected(prompts: Any, cache: bool) -> Any:
    longest = max(map(len, prompts))
    sizes = [longest, 1, 1, 1] if cache else [longest + i for i in range(4)]
    return [(size, False, False) for size in sizes], True, False, True


def continued(function: Any, prompts: Any) -> Any:
    """Twice 3 tokens with one cache, the second time after what came the first time."""
    model = tiny_model()
    cache = new_cache(model)
    first = function(model, prompts, 3, temperature=0, cache=cache)
    longer = [list(prompt) + new for prompt, new in zip(prompts, first)]
    second = function(model, longer, 3, temperature=0, cache=cache)
    return [a + b for a, b in zip(first, second)], len(cache[0])


def refuse(title: str, prompts: Any, n: int, temperature: float = 0.0) -> Case:
    return Case(
        title,
        lambda: (prompts, n, temperature),
        run=lambda function, prompts, n, temperature: came_back(
            lambda: function(tiny_model(), prompts, n, temperature=temperature)
        ),
        raises=ValueError,
        call=f"generate(model, {str(prompts)[:40]}, {n}, temperature={temperature})",
    )


GENERATE = Exercise(
    "lib.generation.generate",
    cases=[
        writing("one prompt", lambda: [[3, 17, 5, 9]], 6),
        writing("three prompts of unequal length", three, 6),
        Case(
            "two processors, temperature 0.5; what they and on_token see",
            lambda: (three(), 4, 0.5),
            run=watched,
            expected=watched_alone,
            rtol=1e-3,
            atol=1e-3,
            call=f"generate(model, {three()}, 4, temperature=0.5, processors=[...], on_token=...)",
        ),
        Case(
            "two processors, temperature 0",
            lambda: (three()[:2], 3, 0.0),
            run=watched,
            expected=watched_alone,
            rtol=1e-3,
            atol=1e-3,
            call=f"generate(model, {three()[:2]}, 3, temperature=0, processors=[...], on_token=...)",
        ),
        writing("a tensor of prompts", lambda: ids([3, 17, 5], [4, 4, 8]), 5),
        writing("no tokens", three, 0),
        writing("learned positions, no cache", three, 6, kind="gpt2", cache=False),
        writing("learned positions, cache", three, 6, kind="gpt2"),
        writing("up to the end of the context, 12 tokens", three, 40),
        Case(
            "a row ends after a stop token, the others go on",
            lambda: (three(), {}),
            run=stopped,
            expected=stopped_alone,
            call=f"generate(model, {three()}, 8, temperature=0, stop=..., on_token=...)"
            "    # answers, number of steps",
        ),
        Case(
            "the model is not asked again when all rows have ended",
            lambda: (three()[:1], {}),
            run=stopped,
            expected=stopped_alone,
            call=f"generate(model, {three()[:1]}, 8, temperature=0, stop=..., on_token=...)"
            "    # answers, number of steps",
        ),
        Case(
            "on_token returns True at the third token",
            lambda: (three(),),
            run=button,
            expected=lambda prompts: (written_alone("qwen", prompts, 3, {}), 3),
            call=f"generate(model, {three()}, 6, temperature=0, on_token=...)"
            "    # answers, number of steps",
        ),
        Case(
            "how often each token comes: the 4 likeliest of 7, temperature 1.5",
            lambda: (1.5, 4),
            run=drawn_shares,
            expected=exact_shares,
            rtol=0.0,
            atol=0.06,
            call="generate(model, [[2, 5]] * 2000, 1, temperature=1.5, processors=[...])"
            "    # shares of the tokens",
        ),
        Case(
            "the same seed twice, another seed, torch's own seed twice",
            lambda: (three(),),
            run=seeded,
            expected=lambda prompts: (True, False, True),
            call="generate(..., generator=generator)    # seeds 5, 5 alike? 5, 6? torch's own?",
        ),
        Case(
            "tokens read at each step, eval mode, gradients; modes afterwards",
            lambda: (three(), True),
            run=reads,
            expected=reads_expected,
            call="generate(model, ..., 4)    # (columns read, training, gradients) at each step; "
            "then the modes of model, block 0, last norm",
        ),
        Case(
            "the same without cache",
            lambda: (three(), False),
            run=reads,
            expected=reads_expected,
            call="generate(model, ..., 4, cache=False)    # the same",
        ),
        Case(
            "a second call goes on with the cache of the first",
            lambda: (three()[:1],),
            run=continued,
            expected=lambda prompts: (written_alone("qwen", prompts, 6, {}), 9),
            call="generate(model, ..., 3, cache=cache), twice    # answers, len(cache[0])",
        ),
        refuse("an empty prompt", [[3], []], 4),
        refuse("a prompt that fills the context", [[1] * 12], 4),
        refuse("max_new_tokens=-1", [[3]], -1),
        refuse("temperature=-1", [[3]], 2, -1.0),
    ],
    speed=lambda: ([[1, 2]] * 4, 10),
    speed_run=lambda function, prompts, n: function(
        tiny_model(), prompts, n, temperature=1.0, generator=generator()
    ),
    hints=(
        "Say one step aloud: ask the model, make the scores sharper or flatter, let the processors "
        "change them, draw, write it down. What must be true before the next step is taken?",
        "left_pad makes one tensor of the prompts, next_logits(model, tokens, cache) asks, sample("
        "logits, 1 or 0, generator) draws: the temperature was applied before the processors, and "
        "only whether it is 0 matters by then. In rows that are finished, put -1 in place of what "
        "was drawn. with reading(model): keeps the model in eval mode.",
        "finished = finished | torch.isin(drawn, stop_ids) | (the row fills the context). "
        "tokens = torch.cat([tokens, drawn[:, None]], dim=1). In the end cut the prompts off, "
        "tokens[:, width:], and leave the -1 out of each row.",
    ),
)

# --- allowed_tokens -------------------------------------------------------------------------------

VOCAB = (
    b"a", b"b", b"ab", b"ba", b"abc", b"1", b"12", b"2,", b", ", b"yes", b"ye", b"s", b"no", b"n",
    "é".encode()[:1], "é".encode()[1:], "é".encode(), b"yesno", b"", b"", b"o",
)  # fmt: skip
END = 19


def read_bytes(automaton: Automaton, state: int, token: bytes) -> int | None:
    """Where reading `token` leads, one byte and then the rest; None if nowhere."""
    if not token:
        return state
    if token[0] not in automaton.steps[state]:
        return None
    return read_bytes(automaton, automaton.steps[state][token[0]], token[1:])


def walk_all(automaton: Automaton, state: int, vocab: Sequence[bytes], end: int) -> dict[int, int]:
    answer = {}
    for token_id in range(len(vocab)):
        reached = read_bytes(automaton, state, vocab[token_id])
        if len(vocab[token_id]) > 0 and reached is not None:
            answer[token_id] = reached
    if state in automaton.accepting:
        answer[end] = state
    return answer


def state_after(automaton: Automaton, text: str) -> int:
    state = read_bytes(automaton, 0, text.encode())
    assert state is not None
    return state


def language(title: str, pattern: str, after: str = "") -> Case:
    """What may come once `after` is written."""

    def inputs() -> tuple[Any, ...]:
        automaton = Automaton.of(pattern)
        return automaton, state_after(automaton, after), list(VOCAB), END

    written = f'after "{after}"' if after else "at the beginning"
    call = f"allowed_tokens(Automaton.of({pattern!r}), state, vocab, end=19)    # {written}"
    return Case(title, inputs, call=call)


def many_tokens() -> tuple[Any, ...]:
    vocab = [f"{i}".encode() for i in range(3000)] + [f"x{i}".encode() for i in range(1000)]
    return Automaton.of(r"\d+(, \d+)*"), 0, vocab, 3999


ALLOWED_TOKENS = Exercise(
    "lib.generation.allowed_tokens",
    oracle=walk_all,
    cases=[
        language("yes or no, at the beginning", "yes|no"),
        language('yes or no, after "ye"', "yes|no", "ye"),
        language('yes or no, after "yes": only the end', "yes|no", "yes"),
        language("tokens of several bytes", "(ab)+c?"),
        language("in the middle of a token's bytes", "(ab)+c?", "a"),
        language("where the text may end, but need not", "(ab)+c?", "ab"),
        language("numbers with commas", r"\d+(, \d+)*", "1"),
        language("half a character", "é?[ab]"),
        language("a text that may be empty", "(no)*"),
    ],
    speed=many_tokens,
    hints=(
        "Take one token and be the automaton: read its first byte, go to the next state, read the "
        "second byte from there. When is the token out?",
        "automaton.steps[state] tells for each byte where it leads; a byte that is not in it leads "
        "nowhere. Start each token anew from `state`. A token without bytes would bring nothing "
        "forward: leave it out.",
        "Python's for has an else: it runs if no break came. After the loop over the tokens: if "
        "state in automaton.accepting, allowed[end] = state.",
    ),
)
