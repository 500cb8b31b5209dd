"""The floor `lib.ngram` against PyTorch, SciPy and counting by hand."""

from __future__ import annotations

import doctest
import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

import lib.ngram
from lib.ngram import (
    NgramModel,
    bits_per_byte,
    cross_entropy,
    fit_bigram,
    ngram_probabilities,
    sample,
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def skewed_text(n_tokens: int, vocab_size: int, seed: int = 0) -> torch.Tensor:
    """Tokens whose successor depends on them: some pairs are frequent, many never occur."""
    generator = seeded(seed)
    steps = (torch.rand(n_tokens, generator=generator) ** 3 * vocab_size).long()
    return (steps + steps.roll(1) * 2) % vocab_size


def english() -> torch.Tensor:
    """Bytes of real text that every Python carries."""
    topics = pytest.importorskip("pydoc_data.topics").topics
    return torch.tensor(list("\n\n".join(topics.values()).encode()))


def test_docstrings() -> None:
    assert doctest.testmod(lib.ngram).failed == 0


# --- ngram_probabilities --------------------------------------------------------------------------


@pytest.mark.parametrize("n_context", [0, 1, 2, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_probabilities_are_counts(n_context: int, alpha: float) -> None:
    tokens, v = skewed_text(500, 5), 6
    text = tokens.tolist()
    grams = Counter(tuple(text[i : i + n_context + 1]) for i in range(len(text) - n_context))
    for place in range(0, 480, 40):
        context = tokens[place : place + n_context]
        counts = [grams[(*context.tolist(), token)] + alpha for token in range(v)]
        got = ngram_probabilities(tokens, context, v, alpha)
        torch.testing.assert_close(got, torch.tensor(counts) / sum(counts))
        assert got.sum().item() == pytest.approx(1.0, abs=1e-6)


def test_unseen_context_is_uniform() -> None:
    got = ngram_probabilities(torch.tensor([0, 1, 2, 0]), torch.tensor([2, 2]), vocab_size=5)
    assert got.tolist() == pytest.approx([0.2] * 5)


def test_text_must_be_longer_than_context() -> None:
    with pytest.raises(ValueError, match="longer text than 2"):
        ngram_probabilities(torch.tensor([0, 1]), torch.tensor([0, 1]), vocab_size=2)


# --- cross_entropy --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(50,), (4, 9), (2, 3, 5)])
@pytest.mark.parametrize("scale", [1.0, 300.0])
@pytest.mark.parametrize("ignore_index", [-100, 3])
def test_cross_entropy_is_torchs(shape: tuple[int, ...], scale: float, ignore_index: int) -> None:
    logits = (torch.randn(*shape, 11, generator=seeded()) * scale).requires_grad_()
    targets = torch.randint(11, shape, generator=seeded(1))
    targets[torch.rand(shape, generator=seeded(2)) < 0.3] = ignore_index
    expected = F.cross_entropy(
        logits.reshape(-1, 11), targets.reshape(-1), ignore_index=ignore_index
    )
    got = cross_entropy(logits, targets, ignore_index)
    torch.testing.assert_close(got, expected)
    a, b = (torch.autograd.grad(x, logits)[0] for x in (got, expected))
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_cross_entropy_in_half_precision(dtype: torch.dtype) -> None:
    logits = (torch.randn(64, 500, generator=seeded()) * 5).to(dtype).requires_grad_()
    targets = torch.randint(500, (64,), generator=seeded(1))
    got = cross_entropy(logits, targets)
    expected = F.cross_entropy(logits.float(), targets)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)
    a, b = (torch.autograd.grad(x, logits)[0] for x in (got, expected))
    assert a.dtype == dtype
    torch.testing.assert_close(a, b)


def test_ignored_places_get_no_gradient_and_nothing_counted_is_nan() -> None:
    logits = torch.randn(4, 5, generator=seeded(), requires_grad=True)
    targets = torch.tensor([1, -100, 2, -100])
    (gradient,) = torch.autograd.grad(cross_entropy(logits, targets), logits)
    assert gradient[1].eq(0).all()
    assert gradient[3].eq(0).all()
    assert gradient[0].ne(0).all()
    assert cross_entropy(logits, torch.full((4,), -100)).isnan()


def test_cross_entropy_refuses_targets_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4, 7\) and targets \(4, 2\)"):
        cross_entropy(torch.zeros(2, 4, 7), torch.zeros(4, 2, dtype=torch.long))


# --- bits_per_byte --------------------------------------------------------------------------------


def test_bits_per_byte_does_not_depend_on_the_tokens() -> None:
    # Guessing at random among 256 bytes, or among 65,536 pairs of bytes: the same 8 bits.
    assert bits_per_byte(math.log(2**8), 600, 600) == pytest.approx(8)
    assert bits_per_byte(math.log(2**16), 300, 600) == pytest.approx(8)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        bits_per_byte(1.0, 10, 0)


# --- sample ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_sample_follows_the_distribution(temperature: float) -> None:
    logits = torch.randn(9, generator=seeded(4)) * 2
    drawn = sample(logits.expand(50_000, 9), temperature, seeded(5))
    expected = (logits.double() / temperature).softmax(-1) * len(drawn)
    frequent = expected > 5
    observed = drawn.bincount(minlength=9)[frequent].double()
    expected = expected[frequent] * (observed.sum() / expected[frequent].sum())
    assert stats.chisquare(observed.numpy(), expected.numpy()).pvalue > 1e-4


def test_rows_are_drawn_independently() -> None:
    drawn = sample(torch.zeros(20_000, 2, 3), generator=seeded(1))
    table = torch.zeros(3, 3)
    table.index_put_((drawn[:, 0], drawn[:, 1]), torch.ones(len(drawn)), accumulate=True)
    assert stats.chi2_contingency(table.numpy()).pvalue > 1e-4


def test_sample_shapes_and_edges() -> None:
    logits = torch.randn(2, 3, 7, generator=seeded())
    for temperature in (0.0, 1.0):
        ids = sample(logits, temperature)
        assert ids.shape == (2, 3)
        assert ids.dtype == torch.int64
    assert sample(logits, 0).equal(logits.argmax(-1))
    assert sample(logits[0, 0]).shape == ()
    only = torch.full((100, 5), -torch.inf)
    only[:, 3] = -2.0
    assert sample(only, 5.0).eq(3).all()
    assert sample(logits.bfloat16() * 100, 0.01).equal((logits.bfloat16() * 100).argmax(-1))
    assert sample(logits, generator=seeded(3)).equal(sample(logits, generator=seeded(3)))
    with pytest.raises(ValueError, match="0 or more, got -1"):
        sample(logits, -1)


# --- fit_bigram -----------------------------------------------------------------------------------


def test_gradient_descent_finds_the_counts() -> None:
    tokens, v = skewed_text(5_000, 12), 12
    logits = fit_bigram(tokens, v, steps=6_000, learning_rate=10.0)
    loss = cross_entropy(logits[tokens[:-1]], tokens[1:]).item()
    counted = NgramModel(2, v, alpha=0.0).fit(tokens).log_prob(tokens)[1:]
    assert -1e-5 < loss + counted.mean().item() < 0.01
    learnt, rows = (
        logits.softmax(-1),
        [ngram_probabilities(tokens, torch.tensor([a]), v) for a in range(v)],
    )
    assert (learnt - torch.stack(rows)).abs().max() < 0.02
    assert not logits.requires_grad


def test_each_step_is_one_of_full_gradient_descent() -> None:
    tokens = skewed_text(300, 7)
    table = torch.zeros(7, 7, requires_grad=True)
    for _ in range(5):
        (gradient,) = torch.autograd.grad(F.cross_entropy(table[tokens[:-1]], tokens[1:]), table)
        table = (table - 2.0 * gradient).detach().requires_grad_()
    torch.testing.assert_close(fit_bigram(tokens, 7, 5, 2.0), table.detach())


# --- NgramModel -----------------------------------------------------------------------------------


def kneser_ney(text: list[int], order: int, v: int, context: tuple[int, ...]) -> list[float]:
    """The formula of the class, with dictionaries and no thought of speed."""
    prior = [1 / v] * v
    for n in range(1, order + 1):
        if n - 1 > len(context):
            break
        grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        if n == order:
            counts = Counter(grams)
        else:
            before = {(text[i - 1], g) for i, g in enumerate(grams) if i > 0}
            counts = Counter(g for _, g in before)
            counts = Counter({g: max(counts[g], 1) for g in grams})
        once, twice = (sum(c == k for c in counts.values()) + 1 for k in (1, 2))
        discount = once / (once + 2 * twice)
        recent = context[len(context) - n + 1 :]
        row = [counts[(*recent, token)] for token in range(v)]
        if sum(row):
            freed = discount * sum(c > 0 for c in row)
            prior = [
                (max(c - discount, 0) + freed * p) / sum(row)
                for c, p in zip(row, prior, strict=True)
            ]
    return prior


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_smoothing_is_kneser_ney(order: int) -> None:
    tokens, held_out, v = skewed_text(400, 6), skewed_text(60, 7, seed=1), 8
    model = NgramModel(order, v).fit(tokens)
    log_probs = model.log_prob(held_out)
    text = held_out.tolist()
    for place in range(len(text)):
        context = held_out[max(0, place - order + 1) : place]
        expected = kneser_ney(tokens.tolist(), order, v, tuple(context.tolist()))
        got = model.probabilities(context)
        torch.testing.assert_close(got, torch.tensor(expected))
        assert got.sum().item() == pytest.approx(1.0, abs=1e-6)
        assert log_probs[place].item() == pytest.approx(math.log(expected[text[place]]))
    assert model.loss(held_out) == pytest.approx(-log_probs.mean().item())


@pytest.mark.parametrize("order", [1, 2, 4])
@pytest.mark.parametrize("alpha", [0.0, 0.2])
def test_with_alpha_it_is_the_exercise(order: int, alpha: float) -> None:
    tokens, v = skewed_text(400, 6), 8
    model = NgramModel(order, v, alpha).fit(tokens)
    held_out = skewed_text(40, 7, seed=1)
    log_probs = model.log_prob(held_out)
    for place in range(len(held_out)):
        context = held_out[max(0, place - order + 1) : place]
        expected = ngram_probabilities(tokens, context, v, alpha)
        torch.testing.assert_close(model.probabilities(context), expected)
        assert log_probs[place].exp().item() == pytest.approx(expected[held_out[place]].item())


def test_model_on_real_text() -> None:
    tokens = english()
    train, held_out = tokens[:-40_000], tokens[-40_000:]
    bits = [NgramModel(n, 256).fit(train).loss(held_out) / math.log(2) for n in (1, 2, 3, 4, 5, 6)]
    assert all(longer < shorter for shorter, longer in pairwise(bits))
    assert bits[5] < 2.6 < 4.4 < bits[0]
    bare = NgramModel(6, 256, alpha=0.0).fit(train)
    assert bare.loss(held_out) == math.inf
    assert bare.loss(train) < 0.8


def test_large_vocabulary() -> None:
    tokens = (english() * 16 + 5).roll(3)  # up to 4,085
    model = NgramModel(4, 4096).fit(tokens[:100_000])
    assert math.isfinite(model.loss(tokens[100_000:110_000]))
    assert model.probabilities(tokens[:3]).sum().item() == pytest.approx(1.0, abs=1e-5)


def test_generate() -> None:
    tokens, v = skewed_text(2_000, 6), 6
    model = NgramModel(3, v).fit(tokens)
    one, two = (model.generate(200, generator=seeded(1)) for _ in range(2))
    assert one.equal(two)
    assert one.shape == (200,)
    assert one.dtype == torch.int64
    # At temperature 0 every token is the likeliest after the two before it.
    context = tokens[:5]
    greedy = torch.cat([context, model.generate(20, context, temperature=0)])
    for place in range(5, 25):
        assert greedy[place] == model.probabilities(greedy[place - 2 : place]).argmax()
    assert len(model.generate(0, context)) == 0
    # Its own text is as surprising to it as it expects: mean loss equals mean entropy.
    text = model.generate(3_000, generator=seeded(2))
    rows = [model.probabilities(text[max(0, i - 2) : i]).double() for i in range(len(text))]
    entropy = sum(-(p * p.log()).sum().item() for p in rows) / len(rows)
    assert model.loss(text) == pytest.approx(entropy, abs=0.06)


def test_short_texts_and_bad_input() -> None:
    model = NgramModel(4, 3).fit(torch.tensor([0, 1, 2, 0, 1]))
    assert model.loss(torch.tensor([1])) < math.log(5)
    assert len(model.log_prob(torch.tensor([], dtype=torch.int64))) == 0
    with pytest.raises(ValueError, match="at least 1"):
        NgramModel(0, 3)
    with pytest.raises(ValueError, match="needs as many tokens, got 2"):
        NgramModel(3, 3).fit(torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="from 0 to 2, got 0 to 5"):
        NgramModel(1, 3).fit(torch.tensor([0, 5]))
    for use in (model.log_prob, model.probabilities):
        with pytest.raises(ValueError, match="from 0 to 2, got 3 to 3"):
            use(torch.tensor([3]))
