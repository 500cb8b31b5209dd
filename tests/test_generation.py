"""The generation floor against Hugging Face's filters, against models without cache or padding, and
against the distributions it claims to draw from."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from transformers.generation import logits_process as theirs

from lib.generation import (
    Automaton,
    KVCache,
    allowed_tokens,
    constrain,
    generate,
    min_p,
    new_cache,
    next_logits,
    repetition_penalty,
    sampler,
    stream,
    top_k,
    top_p,
)
from lib.tokenizer import Tokenizer
from lib.transformer import Config, RopeScaling, Transformer

V = 300
SHAPES: dict[str, dict[str, Any]] = {
    "qwen3": {"n_kv_head": 2},
    "llama3": {
        "qk_norm": False,
        "n_kv_head": 1,
        "rope_scaling": RopeScaling("llama3", factor=4.0, original_n_context=32),
    },
    "gpt2": {
        "norm": "layer",
        "qk_norm": False,
        "gated": False,
        "activation": "gelu_tanh",
        "bias": True,
        "position": "learned",
    },
    "gemma3": {
        "norm": "rms_plus_one",
        "post_norm": True,
        "n_kv_head": 2,
        "activation": "gelu_tanh",
        "window": 4,
        "local_layers": (0, 2),
        "rope_base_local": 100.0,
        "query_scale": 24.0,
        "scale_embedding": True,
        "tied": False,  # or each token would be followed by itself
    },
    "untied": {"tied": False, "activation": "relu_squared", "gated": False},
}


def model_of(
    shape: str = "qwen3", vocab_size: int = V, seed: int = 0, **changes: Any
) -> Transformer:
    """Random weights, large enough that every token and every place matters."""
    settings = {"d_model": 32, "n_layer": 3, "n_head": 4, "n_context": 64, **SHAPES[shape]}
    model = Transformer(Config(vocab_size, **{**settings, **changes}))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.2, generator=generator)
    return model


def prompts_of(*lengths: int, seed: int = 0) -> list[list[int]]:
    source = random.Random(seed)
    return [[source.randrange(V) for _ in range(length)] for length in lengths]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def write_alone(model: Transformer, prompt: list[int], n: int) -> list[int]:
    """The likeliest tokens, the text read whole at every step."""
    text = list(prompt)
    for _ in range(n):
        with torch.no_grad():
            text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
    return text[len(prompt) :]


# --- filters --------------------------------------------------------------------------------------


def random_logits(seed: int, scale: float) -> Tensor:
    return torch.randn(8, 500, generator=seeded(seed)) * scale


@pytest.mark.parametrize("scale", [0.3, 3.0, 40.0])
@pytest.mark.parametrize("seed", range(5))
def test_filters_equal_hugging_face(seed: int, scale: float) -> None:
    logits = random_logits(seed, scale)
    nothing: Any = None
    for k in (1, 7, 499, 500, 900):
        assert torch.equal(top_k(logits, k), theirs.TopKLogitsWarper(k)(nothing, logits))
    for p in (0.05, 0.5, 0.9, 0.99):
        assert torch.equal(top_p(logits, p), theirs.TopPLogitsWarper(p)(nothing, logits))
        assert torch.equal(min_p(logits, p), theirs.MinPLogitsWarper(p)(nothing, logits))
    tokens = torch.randint(0, 500, (8, 60), generator=seeded(seed))
    for penalty in (0.7, 1.3):
        ours = repetition_penalty(logits, tokens, penalty)
        expected = theirs.RepetitionPenaltyLogitsProcessor(penalty)(tokens, logits)
        assert torch.equal(ours, expected)


def test_ties_are_treated_as_hugging_face_does() -> None:
    nothing: Any = None
    tied = torch.tensor([[1.0, 2.0, 2.0, 2.0, 0.0, 1.0]])
    assert torch.equal(top_k(tied, 2), theirs.TopKLogitsWarper(2)(nothing, tied))
    assert top_k(tied, 2).isfinite().sum() == 3
    for p in (0.1, 0.5, 0.75, 0.85):
        kept = [
            f.isfinite().sum() for f in (top_p(tied, p), theirs.TopPLogitsWarper(p)(nothing, tied))
        ]
        assert kept[0] == kept[1]
    assert torch.equal(min_p(tied, 1.0), theirs.MinPLogitsWarper(1.0)(nothing, tied))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_token_always_stays(dtype: torch.dtype) -> None:
    for logits in (random_logits(0, 50.0), torch.zeros(2, 9), random_logits(1, 0.01)):
        logits = logits.to(dtype)
        for kept in (top_k(logits, 1), top_p(logits, 1e-6), min_p(logits, 1.0)):
            assert kept.dtype == dtype
            assert kept.isfinite().any(dim=-1).all()
            assert torch.equal(kept.amax(dim=-1), logits.amax(dim=-1))
    assert torch.equal(top_p(logits, 1.0), logits), "p=1 keeps all"
    assert torch.equal(min_p(logits, 0.0), logits)


def test_bad_settings_are_refused() -> None:
    logits = torch.zeros(1, 4)
    for call in (
        lambda: top_k(logits, 0),
        lambda: top_p(logits, 0.0),
        lambda: top_p(logits, 1.01),
        lambda: min_p(logits, -0.1),
        lambda: min_p(logits, 1.01),
        lambda: repetition_penalty(logits, torch.tensor([[1]]), 0.0),
    ):
        with pytest.raises(ValueError, match="expected"):
            call()


def test_sampler_is_the_filters_in_order() -> None:
    logits, tokens = random_logits(3, 2.0), torch.randint(-1, 500, (8, 30), generator=seeded())
    answer = logits
    for process in sampler(top_p=0.9, min_p=0.02, top_k=40, repetition_penalty=1.2):
        answer = process(tokens, answer)
    by_hand = repetition_penalty(logits, tokens, 1.2)
    assert torch.equal(answer, min_p(top_p(top_k(by_hand, 40), 0.9), 0.02))
    assert sampler() == []


# --- cache ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_cache_equals_joining(dtype: torch.dtype) -> None:
    cache = KVCache()
    source = random.Random(1)
    keys, values = torch.zeros(2, 3, 0, 4, dtype=dtype), torch.zeros(2, 3, 0, 5, dtype=dtype)
    for step in range(60):
        n = source.choice([1, 1, 1, 7, 40])
        new_key, new_value = torch.randn(2, 3, n, 4).to(dtype), torch.randn(2, 3, n, 5).to(dtype)
        keys, values = torch.cat([keys, new_key], dim=2), torch.cat([values, new_value], dim=2)
        got = cache.append(new_key, new_value)
        assert torch.equal(got[0], keys) and torch.equal(got[1], values)
        if step % 9 == 8:
            n = source.randrange(len(cache) + 1)
            cache.truncate(n)
            keys, values = keys[:, :, :n], values[:, :, :n]
        assert len(cache) == keys.size(2)


def test_cache_moves_each_number_about_twice() -> None:
    cache, places = KVCache(), set()
    for _ in range(2000):
        key, _ = cache.append(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2))
        places.add(key.data_ptr())
    assert len(places) <= 6, "64, 128, ... 2048"
    (cache,), key = new_cache(1, n_tokens=300), torch.zeros(1, 1, 1, 2)
    assert len({cache.append(key, key)[0].data_ptr() for _ in range(300)}) == 1


def test_cache_refuses_what_does_not_fit() -> None:
    cache = KVCache()
    cache.append(torch.zeros(2, 3, 4, 5), torch.zeros(2, 3, 4, 5))
    for shape in [(1, 3, 1, 5), (2, 1, 1, 5), (2, 3, 1, 4)]:
        with pytest.raises(ValueError, match=r"b=2, g=3, d=5 as before, got \(" + str(shape)[1:-1]):
            cache.append(torch.zeros(shape), torch.zeros(shape))
    for n in (-1, 5):
        with pytest.raises(ValueError, match="expected to keep 0 to 4"):
            cache.truncate(n)
    assert len(cache) == 4
    assert [len(c) for c in new_cache(3)] == [0, 0, 0]
    assert len(new_cache(model_of())) == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_a_guess_can_be_taken_back(shape: str) -> None:
    model, (text,) = model_of(shape), prompts_of(20)
    cache = new_cache(model)
    with torch.no_grad():
        next_logits(model, torch.tensor([[*text[:8], 1, 2, 3, 4]]), cache)
        for layer in cache:
            layer.truncate(8)
        got = next_logits(model, torch.tensor([text]), cache)
        expected = model(torch.tensor([text]))[:, -1]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


# --- generate -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cache", [True, False])
def test_batch_equals_one_by_one_read_whole(shape: str, cache: bool) -> None:
    """Unequal prompts, cached or not, are written on as each alone, without cache or padding."""
    model = model_of(shape)
    prompts = prompts_of(1, 9, 4, 13)
    expected = [write_alone(model, prompt, 20) for prompt in prompts]
    assert generate(model, prompts, 20, temperature=0, cache=cache) == expected
    assert len({token for row in expected for token in row}) > 20, "a text that says something"


@pytest.mark.parametrize("shape", SHAPES)
def test_next_logits_equal_the_plain_models(shape: str) -> None:
    model = model_of(shape)
    prompts = prompts_of(3, 12, 7, seed=4)
    padded = torch.tensor([[-1] * (12 - len(p)) + p for p in prompts])
    cache = new_cache(model)
    with torch.no_grad():
        for end in (10, 11, 12):
            got = next_logits(model, padded[:, :end], cache)
            for row, prompt in zip(got, prompts, strict=True):
                text = torch.tensor([prompt[: len(prompt) - 12 + end]])
                torch.testing.assert_close(row, model(text)[0, -1], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="the cache holds 12 tokens, of texts of 12"):
        next_logits(model, padded, cache)


def test_cached_sampling_equals_uncached() -> None:
    model, prompts = model_of(), prompts_of(5, 2, 8)
    settings: Any = {"temperature": 0.8, "processors": sampler(top_p=0.9, repetition_penalty=1.1)}
    a = generate(model, prompts, 25, generator=seeded(3), **settings)
    b = generate(model, prompts, 25, generator=seeded(3), cache=False, **settings)
    c = generate(model, prompts, 25, generator=seeded(4), **settings)
    assert a == b
    assert a != c


def test_rows_stop_by_themselves() -> None:
    model, prompts = model_of(), prompts_of(5, 2, 8, 1)
    free = generate(model, prompts, 20, temperature=0)
    stop = {free[0][3], free[2][9]}
    steps = []
    got = generate(
        model, prompts, 20, temperature=0, stop=stop, on_token=lambda t, _: steps.append(t.tolist())
    )
    for row, whole in zip(got, free, strict=True):
        end = next((i + 1 for i, token in enumerate(whole) if token in stop), 20)
        assert row == whole[:end], "the stop token included, nothing after it"
    assert len(steps) == max(map(len, got))
    for number, row in enumerate(got):
        assert [step[number] for step in steps] == row + [-1] * (len(steps) - len(row))
    assert len({len(row) for row in got}) > 2


def test_edges_of_generate() -> None:
    model = model_of(n_context=16)
    assert generate(model, [], 5) == []
    assert generate(model, [[1], [2]], 0) == [[], []]
    assert generate(model, torch.tensor([[1, 2]]), 3, temperature=0) == generate(
        model, [[1, 2]], 3, temperature=0
    )
    assert [len(row) for row in generate(model, prompts_of(3, 15, 9), 100)] == [13, 1, 7]
    for prompts, message in [
        ([[]], "prompt 0 is empty"),
        ([[1], [2] * 16], "prompt 1 has 16 tokens, which leaves no room in a context of 16"),
        ([[1, V]], f"prompt 0 has ids from 1 to {V}, expected 0 to {V - 1}"),
        ([[-1, 3]], "prompt 0 has ids from -1 to 3"),
        ([1, 2, 3], "put a single prompt into a list"),
        (torch.tensor([1, 2]), "put a single prompt into a list"),
        ("hello", "put a single prompt into a list"),
    ]:
        with pytest.raises(ValueError, match=message):
            generate(model, prompts, 5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected max_new_tokens of 0 or more, got -1"):
        generate(model, [[1]], -1)
    with pytest.raises(ValueError, match="expected temperature of 0 or more, got -1"):
        generate(model, [[1]], 1, temperature=-1)


def test_the_model_is_as_it_was() -> None:
    model = model_of()
    model.train()
    model.blocks[1].eval()
    before = [module.training for module in model.modules()]

    def fail(tokens: Tensor, logits: Tensor) -> Tensor:
        assert not any(module.training for module in model.modules())
        raise RuntimeError("a processor that fails")

    with pytest.raises(RuntimeError, match="a processor that fails"):
        generate(model, [[1]], 3, processors=[fail])
    generate(model, [[1]], 3)
    assert [module.training for module in model.modules()] == before
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    model(torch.tensor([[1, 2]])).sum().backward()


def test_on_token_sees_the_sampling_distribution() -> None:
    """The log-probabilities that a rollout keeps are those of temperature and filters together."""
    model, prompts = model_of(), prompts_of(4, 4)
    seen = []
    got = generate(
        model, prompts, 6, temperature=1.7, processors=sampler(top_k=5), generator=seeded(),
        on_token=lambda drawn, logits: seen.append((drawn.clone(), logits.clone())),
    )  # fmt: skip
    for number, (prompt, row) in enumerate(zip(prompts, got, strict=True)):
        for step, token in enumerate(row):
            with torch.no_grad():
                plain = model(torch.tensor([prompt + row[:step]]))[0, -1]
            expected = top_k(plain / 1.7, 5).log_softmax(dim=-1)
            drawn, logits = seen[step]
            assert drawn[number] == token
            torch.testing.assert_close(
                logits[number].log_softmax(dim=-1), expected, atol=1e-4, rtol=1e-4
            )


def test_on_token_is_a_stop_button() -> None:
    model = model_of()
    calls = []
    got = generate(model, [[1], [2]], 50, on_token=lambda t, _: calls.append(t) or len(calls) == 4)
    assert [len(row) for row in got] == [4, 4]


def test_draws_follow_the_processed_distribution() -> None:
    """Chi-square over 20,000 draws after one prompt; it would notice a wrong temperature."""
    model = model_of(vocab_size=40)
    for parameter in model.parameters():
        parameter.data *= 0.85  # an unsure model: most tokens come
    n, settings = 20_000, {"temperature": 1.3, "processors": sampler(top_p=0.95)}
    rows = generate(model, [[3, 7, 1]] * n, 1, generator=seeded(1), **settings)
    counts = torch.tensor(rows).flatten().bincount(minlength=40).double()
    with torch.no_grad():
        logits = top_p(model(torch.tensor([[3, 7, 1]]))[0, -1] / 1.3, 0.95)
    expected = logits.double().softmax(dim=-1) * n
    kept = expected > 0
    assert 15 < kept.sum() < 40
    assert counts[~kept].sum() == 0
    assert expected[kept].min() > 5, "chi-square needs so many"
    right = chisquare(counts[kept], expected[kept]).pvalue
    wrong = (logits * 1.3).double().softmax(dim=-1) * n
    assert right > 1e-3
    assert chisquare(counts[kept], wrong[kept]).pvalue < 1e-6, "a forgotten temperature shows"


def test_a_cache_is_handed_on() -> None:
    model, (prompt,) = model_of(), prompts_of(6)
    cache = new_cache(model)
    first = generate(model, [prompt], 5, temperature=0, cache=cache)
    assert len(cache[0]) == 10, "all but the last token were read"
    second = generate(model, [prompt + first[0] + [9, 8]], 5, temperature=0, cache=cache)
    assert second == generate(model, [prompt + first[0] + [9, 8]], 5, temperature=0, cache=False)
    with pytest.raises(ValueError, match="the cache holds 17 tokens, of texts of 6"):
        generate(model, [prompt], 5, cache=cache)


# --- stream ---------------------------------------------------------------------------------------

TOKENIZER = Tokenizer.train("naïve café, ein Öl, 漢字 and 🙂 again and again", 290, ["<end>"])


class Script:
    """A processor that makes the model write these ids."""

    def __init__(self, ids: list[int], n_prompt: int) -> None:
        self.ids, self.n_prompt = ids, n_prompt

    def __call__(self, tokens: Tensor, logits: Tensor) -> Tensor:
        forced = torch.full_like(logits, float("-inf"))
        forced[:, self.ids[tokens.size(1) - self.n_prompt]] = 0.0
        return forced


@pytest.mark.parametrize("text", ["plain", "é", "漢字🙂ß", "🙂🙂", "a\u0301e\u200d", "Ω≈ç√∫"])
def test_stream_never_cuts_a_character(text: str) -> None:
    model = model_of(vocab_size=len(TOKENIZER))
    ids = list(text.encode())  # byte by byte: the worst case
    pieces = list(stream(model, TOKENIZER, "so ", len(ids), processors=[Script(ids, 3)]))
    assert "".join(pieces) == text
    assert pieces == list(text), "each character comes when it is whole, and not later"


def test_stream_equals_decode_for_any_bytes() -> None:
    model, source = model_of(vocab_size=len(TOKENIZER)), random.Random(0)
    for _ in range(30):
        ids = [source.choice([0x41, 0xC3, 0xA9, 0xF0, 0x9F, 0xE2, 0x82, 0x80]) for _ in range(9)]
        pieces = list(stream(model, TOKENIZER, [65], 9, processors=[Script(ids, 1)]))
        assert "".join(pieces) == TOKENIZER.decode(ids)
        assert all(pieces)


def test_stream_equals_generate() -> None:
    model = model_of(vocab_size=len(TOKENIZER))
    ids = TOKENIZER.encode("again ")
    settings: Any = {"temperature": 1.5, "processors": sampler(top_k=60)}
    (whole,) = generate(model, [ids], 40, generator=seeded(5), **settings)
    pieces = list(stream(model, TOKENIZER, "again ", 40, generator=seeded(5), **settings))
    assert "".join(pieces) == TOKENIZER.decode(whole)
    assert len(pieces) > 5
    stop = [whole[10]]
    end = whole.index(stop[0])
    pieces = list(stream(model, TOKENIZER, ids, 40, generator=seeded(5), stop=stop, **settings))
    assert "".join(pieces) == TOKENIZER.decode(whole[:end]), "the stop token is not shown"
    short = model_of(vocab_size=len(TOKENIZER), n_context=8)
    list(stream(short, TOKENIZER, ids, 40))  # ends with the context


def test_stream_stops_when_nobody_listens() -> None:
    model = model_of(vocab_size=len(TOKENIZER))
    reads = []
    model.register_forward_hook(lambda *_: reads.append(1))
    for _ in stream(model, TOKENIZER, "a", 50, processors=[Script(list(b"x" * 50), 1)]):
        if len(reads) == 3:
            break
    assert len(reads) == 3
    assert not torch.is_inference_mode_enabled()


# --- constrained output ---------------------------------------------------------------------------

PATTERNS = [
    r"no|yes!?",
    r"\d+(\.\d{1,2})?",
    r"[a-c]{2,4}x*",
    r"(ab|a)(bc)?",
    r".é[ä-ü]|🙂+",
    r"[^ab\n]{0,3}",
    r"[\w-]+@(a|b)\.(de|org)",
    r"",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_automaton_equals_re(pattern: str) -> None:
    automaton, source = Automaton.of(pattern), random.Random(0)
    expected = re.compile(pattern, re.ASCII)
    for _ in range(3000):
        length = source.randrange(7)
        text = "".join(source.choice("abcxyesno!012.é-äü🙂@dorg_\n") for _ in range(length))
        assert automaton.matches(text) == bool(expected.fullmatch(text)), text
    # From every state, a text can be finished.
    alive = set(automaton.accepting)
    for _ in automaton.steps:
        alive |= {s for s, row in enumerate(automaton.steps) if alive & set(row.values())}
    assert len(alive) == len(automaton.steps)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", r"leaves a \( open at position 2"),
        ("a)", "closes a bracket that was never opened at position 1"),
        ("*a", r"has a \* \(write"),
        ("a{3,2}", "more at least than at most"),
        ("[]", r"has an empty \[\]"),
        ("[b-a]", "runs backwards"),
        (r"\q", "not known here"),
        ("(?i)a", "not known here"),
        (".{90000}", "too large"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Automaton.of(pattern)


END = TOKENIZER.special_tokens["<end>"]
JSON = r'\{"name": "[A-Zé][a-zß]{1,6}", "age": [1-9]\d?, "likes": \[("[a-z]{1,4}"(, )?){1,3}\]\}'


@pytest.mark.parametrize(
    ("pattern", "n_rows", "n_tokens"),
    [(JSON, 250, 90), (r"no|yes|naïve|again and again", 250, 24), (r"(🙂|é){1,3}", 250, 16),
     (r"\d+(, \d+)*", 250, 20)],
)  # fmt: skip
def test_constrained_output_stays_in_the_language(pattern: str, n_rows: int, n_tokens: int) -> None:
    """1,000 samples of random models, other processors before and after."""
    model = model_of(vocab_size=len(TOKENIZER) + 3, n_context=128, n_layer=1)
    constraint = constrain(pattern, TOKENIZER, END)
    prompts = [TOKENIZER.encode("and again"[i % 7 :]) for i in range(n_rows)]
    rows = generate(
        model, prompts, n_tokens, temperature=1.5, stop=[END], generator=seeded(2),
        processors=[*sampler(repetition_penalty=1.1), constraint, *sampler(top_p=0.95)],
    )  # fmt: skip
    expected, finished = re.compile(pattern, re.ASCII), 0
    for row in rows:
        if row[-1] == END:
            finished += 1
            assert expected.fullmatch(TOKENIZER.decode(row[:-1]))
        else:
            state: int | None = 0
            for token in row:
                for byte in TOKENIZER.token_bytes(token):
                    state = constraint_automaton(pattern).steps[state].get(byte)  # type: ignore
            assert state is not None, "cut off, but the beginning of something allowed"
    assert finished > n_rows // 4
    if "again" in pattern:
        assert {TOKENIZER.decode(row[:-1]) for row in rows} == set(pattern.split("|"))
        assert any(len(row) < len(TOKENIZER.decode(row[:-1])) for row in rows), "long tokens too"


def constraint_automaton(pattern: str, known: dict[str, Automaton] = {}) -> Automaton:  # noqa: B006
    if pattern not in known:
        known[pattern] = Automaton.of(pattern)
    return known[pattern]


def test_a_constraint_starts_anew_with_new_prompts() -> None:
    model = model_of(vocab_size=len(TOKENIZER))
    constraint = constrain(Automaton.choice(["yes", "no"]), TOKENIZER, END)
    for seed in range(10):
        rows = generate(
            model, [[65], [66, 67]], 9, processors=[constraint], stop=[END], generator=seeded(seed)
        )
        assert all(TOKENIZER.decode(row) in ("yes<end>", "no<end>") for row in rows)
    text = "".join(stream(model, TOKENIZER, "A", 9, processors=[constraint], stop=[END]))
    assert text in ("yes", "no")
    (row,) = generate(model, [[65]], 9, processors=[constraint])
    assert TOKENIZER.decode(row).replace("<end>", "") in ("yes", "no"), "nothing after the end"


def test_nothing_follows_the_end_and_no_special_token_is_text() -> None:
    model, tokens = model_of(vocab_size=len(TOKENIZER)), torch.tensor([[65]])
    (row,) = generate(
        model, [[65]], 40, processors=[constrain(r"\d{1,9}", TOKENIZER, END)], generator=seeded()
    )
    first = row.index(END)
    assert first > 0 and row[first:] == [END] * (40 - first)
    constraint = constrain(r"[<>a-z]+", TOKENIZER, END)  # the text "<end>" would match
    assert constraint(tokens, torch.zeros(1, len(TOKENIZER)))[0, END] == float("-inf")


def test_a_constraint_keeps_the_likelier_of_what_is_allowed() -> None:
    """Scores of what is allowed are left alone, and nothing else can come."""
    constraint = constrain(r"[0-3]", TOKENIZER, END)
    logits = torch.randn(2, len(TOKENIZER), generator=seeded())
    kept = constraint(torch.tensor([[65], [66]]), logits)
    allowed = torch.tensor(list(b"0123"))
    assert torch.equal(kept[:, allowed], logits[:, allowed])
    assert kept.isfinite().sum() == 8


def test_allowed_tokens_equal_trying_every_text() -> None:
    vocab = [bytes([b]) for b in b"abc"] + [b"ab", b"bc", b"abc", b"ca", b""]
    automaton, expected = Automaton.of("(abc|ac)*b?"), re.compile("(abc|ac)*b?")

    def begins(text: str, depth: int = 3) -> bool:
        if expected.fullmatch(text):
            return True
        return depth > 0 and any(begins(text + c, depth - 1) for c in "abc")

    for text in ("", "a", "ab", "abc", "abca", "b", "acac"):
        state = 0
        for byte in text.encode():
            state = automaton.steps[state][byte]
        got = allowed_tokens(automaton, state, vocab, end=7)
        for token_id, token in enumerate(vocab[:7]):
            assert (token_id in got) == begins(text + token.decode()), (text, token)
        assert (7 in got) == bool(expected.fullmatch(text))
    with pytest.raises(ValueError, match="there is no token 290"):
        constrain("a", TOKENIZER, 290)
