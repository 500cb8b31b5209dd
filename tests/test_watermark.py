"""The floor `lib.watermark` beyond its exercises: the same numbers for ever, p-values that are what
they say, on real text and with wrong keys; distributions that stay as they are, and planted bugs
that do not; every sampler; the command."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats

from lib._watermark_cli import main
from lib._watermark_parts import binomial_tail, counted_words, gamma_tail
from lib.checkpoint import load_tokenizer, shipped
from lib.corpora import read
from lib.course.floors import ROOT
from lib.generation import constrain, generate, next_logits, sampler
from lib.transformer import Config, Transformer
from lib.watermark import (
    GreenListWatermark,
    GumbelWatermark,
    OddEvenWatermark,
    TournamentWatermark,
    attack_edit,
    colours,
    detect,
    detect_odd_even,
    detect_tournament,
    green_list,
    gumbel_sample,
    gumbel_score,
    key_of,
    keyed_hash,
    keyed_uniform,
    mix,
)

N_WINDOWS = 10_000
CORPORA = [("town", "stories"), ("python", "reference")]
DETECTORS = {"green": detect, "gumbel": gumbel_score, "tournament": detect_tournament}
MARKS = {
    "green": partial(GreenListWatermark, delta=4.0),
    "gumbel": GumbelWatermark,
    "tournament": TournamentWatermark,
}


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(shipped("mini"))


@pytest.fixture(scope="module")
def tiny() -> Transformer:
    """Knows nothing: all tokens are nearly as likely."""
    torch.manual_seed(3)
    return Transformer(
        Config(
            vocab_size=300, n_context=256, n_layer=1, n_head=2, n_kv_head=1, d_model=16, d_hidden=16
        )
    )


def windows_of(corpus: tuple[str, str], tokenizer, n: int, n_tokens: int = 200) -> list[list[int]]:
    """So many different stretches of real text."""
    name, part = corpus
    ids: list[int] = []
    for document in read(name, part, split="all", size=1200 if name == "town" else None):
        ids += tokenizer.encode_ordinary(document)
        if len(ids) > 400_000:
            break
    step = (len(ids) - n_tokens) // n
    assert step > 0
    return [ids[i * step : i * step + n_tokens] for i in range(n)]


# --- the same numbers for ever --------------------------------------------------------------------


def slow_hash(key: int, *words: int) -> int:
    """Independent: whole numbers of Python, written from the description alone."""
    state = 0x9E3779B9
    for word in [key & 0xFFFFFFFF, key >> 32, *(w & 0xFFFFFFFF for w in words)]:
        state ^= word
        state ^= state >> 17
        state = state * 0x6D5AD4BB & 0xFFFFFFFF
        state ^= state >> 11
        state = state * 0x2C4C1B51 & 0xFFFFFFFF
        state ^= state >> 15
        state = state * 0x31848BAB & 0xFFFFFFFF
        state ^= state >> 14
    return state


VECTORS = [
    (0, (), 1825299072),
    (0, (0,), 2833984842),
    (1, (8, 5, 7), 4133228843),
    (1, (5, 8, 7), 2677987046),
    (42, (-1, 3), 3671779878),
    (4294967296, (3,), 790378233),
    (18446744073709551615, (2047, 0, 150000), 148277400),
]
"""Never change these: texts that were written with a key must be found with it."""


@pytest.mark.parametrize(("key", "words", "number"), VECTORS)
def test_frozen_numbers(key: int, words: tuple[int, ...], number: int) -> None:
    found = keyed_hash(key, *(torch.tensor(word) for word in words))
    assert found.item() == number == slow_hash(key, *words)
    u = keyed_uniform(key, *(torch.tensor(word) for word in words))
    assert u.dtype == torch.float64
    assert u.item() == (number + 0.5) / 2**32


def test_frozen_green_list_and_whole_table() -> None:
    green = green_list(torch.tensor([8, 5]), 42, 64)
    assert green.nonzero().flatten().tolist() == [
        1,
        4,
        9,
        10,
        14,
        15,
        18,
        22,
        24,
        25,
        27,
        32,
        34,
        35,
        38,
        44,
        46,
        56,
        57,
    ]
    context = torch.stack([torch.arange(50), torch.arange(50).flip(0)], dim=1)
    table = green_list(context, 2**40 + 1, 2048)
    assert hashlib.sha256(bytes(table.flatten().tolist())).hexdigest()[:16] == "d25cf8fa5b49642c"


def test_frozen_detections() -> None:
    ids = [(i * i + 3 * i) % 211 for i in range(150)]
    found = {name: (d(ids, 9).n_counted, d(ids, 9).score) for name, d in DETECTORS.items()}
    assert found["green"] == (148, 32)
    assert found["gumbel"] == pytest.approx((148, 156.72239590082364), rel=1e-12)
    assert found["tournament"] == pytest.approx((148, 74.4), rel=1e-12)


def test_the_same_in_another_process() -> None:
    """Python salts its own hash() anew in every process; nothing here may depend on it."""
    code = (
        "import torch; from lib.watermark import *\n"
        "print(green_list(torch.tensor([[8, 5], [5, 8]]), key_of('x'), 2048).int().sum(1).tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True,
            env={"PYTHONHASHSEED": seed, "TOKENS_LIB": "reference"},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    green = green_list(torch.tensor([[8, 5], [5, 8]]), key_of("x"), 2048)
    assert said == {f"{green.int().sum(1).tolist()}\n"}


def test_as_an_independent_slow_implementation() -> None:
    chance = torch.Generator().manual_seed(0)
    for width in (1, 2, 5):
        contexts = torch.randint(-1, 50_000, (4, width), generator=chance)
        key = int(torch.randint(2**62, (), generator=chance)) * 3
        green = green_list(contexts, key, 500, 0.3)
        for row, words in zip(green.tolist(), contexts.tolist()):
            assert row == [(slow_hash(key, *words, t) + 0.5) / 2**32 < 0.3 for t in range(500)]


def test_no_product_leaves_63_bits() -> None:
    assert mix(torch.tensor([0, 1, 2**32 - 1])).ge(0).all()
    for factor in (0x6D5AD4BB, 0x2C4C1B51, 0x31848BAB):
        assert factor % 2 == 1
        assert (2**32 - 1) * factor < 2**63


def test_one_bit_changes_half_of_all_bits() -> None:
    words = torch.randint(2**32, (100_000,), generator=torch.Generator().manual_seed(1))
    bits = torch.arange(32)
    for changed in range(32):
        apart = mix(words) ^ mix(words ^ (1 << changed))
        shares = (apart[:, None] >> bits & 1).double().mean(dim=0)
        assert (shares - 0.5).abs().max() < 0.008  # five standard deviations


def test_keys_and_neighbours_are_independent() -> None:
    """Lists of neighbouring keys, contexts and tokens have in common what chance gives."""
    base = green_list(torch.tensor([[i, 7] for i in range(200)]), 10, 2048, 0.5)
    others = {
        "key": green_list(torch.tensor([[i, 7] for i in range(200)]), 11, 2048, 0.5),
        "high half of the key": green_list(
            torch.tensor([[i, 7] for i in range(200)]), 10 + 2**32, 2048, 0.5
        ),
        "context": green_list(torch.tensor([[i, 8] for i in range(200)]), 10, 2048, 0.5),
        "order": green_list(torch.tensor([[7, i] for i in range(200)]), 10, 2048, 0.5)[8:],
        "token": base.roll(1, dims=1),
    }
    for name, other in others.items():
        mine = base[8:] if name == "order" else base
        z = ((mine == other).double().mean() - 0.5) * 2 * math.sqrt(mine.numel())
        assert abs(z) < 5, name


@pytest.mark.parametrize(
    ("text", "key"), [("0", 0), ("42", 42), ("18446744073709551615", 2**64 - 1)]
)
def test_a_number_is_its_own_key(text: str, key: int) -> None:
    assert key_of(text) == key


def test_bad_keys_are_refused() -> None:
    for key in (-1, 2**64, 1.5, True, "7"):
        with pytest.raises(ValueError, match="expected a key"):
            keyed_hash(key, torch.tensor(1))
    with pytest.raises(ValueError, match="expected a key"):
        key_of("18446744073709551616")
    assert key_of("²") != 2


# --- p-values are what they say -------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("n", [1, 30, 200, 6000])
def test_tails_are_scipys(n: int, p: float) -> None:
    for k in {0, 1, n // 4, n // 2, n - 1, n}:
        ours, theirs = binomial_tail(k, n, p), stats.binom.sf(k - 1, n, p)
        assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-300)
    for s in (0.1, n / 2, n * 1.0, n * 1.5):
        assert gamma_tail(s, n) == pytest.approx(stats.gamma.sf(s, n), rel=1e-8, abs=1e-300)


def test_the_tail_at_z_4_is_not_that_of_the_normal() -> None:
    for gamma, tail in ((0.25, 6.2e-5), (0.5, 2.5e-5)):
        g = math.ceil(200 * gamma + 4 * math.sqrt(200 * gamma * (1 - gamma)))
        assert binomial_tail(g, 200, gamma) == pytest.approx(tail, rel=0.35)


@pytest.mark.parametrize("corpus", CORPORA)
def test_wrong_keys_give_uniform_p_values(corpus, tokenizer) -> None:
    """10,000 windows of 200 tokens of real text, each with a key of its own."""
    windows = windows_of(corpus, tokenizer, N_WINDOWS)
    counts = np.zeros((N_WINDOWS, 3))
    for key, window in enumerate(windows):
        contexts, followers = counted_words(window, 2)
        numbers = keyed_uniform(key, *contexts.unbind(1), followers)
        counts[key] = len(numbers), (numbers < 0.25).sum(), -torch.log1p(-numbers).sum()
    n, g, score = counts.T
    p_values = stats.binom.sf(g - 1, n, 0.25)
    # A count is not continuous: drawn within its step, it is uniform exactly.
    chance = np.random.default_rng(0).random(N_WINDOWS)
    within = stats.binom.sf(g, n, 0.25) + chance * stats.binom.pmf(g, n, 0.25)
    assert stats.kstest(within, "uniform").pvalue > 1e-4
    assert stats.kstest(stats.gamma.sf(score, n), "uniform").pvalue > 1e-4
    for alpha in (0.1, 0.01, 0.001):
        alarms = (p_values <= alpha).sum()
        assert alarms <= stats.binom.isf(1e-6, N_WINDOWS, alpha), "more than is promised"
    # This is what the detectors say.
    for key in range(0, N_WINDOWS, N_WINDOWS // 40):
        assert detect(windows[key], key).p_value == pytest.approx(p_values[key], rel=1e-9)
        found = gumbel_score(windows[key], key)
        assert found.p_value == pytest.approx(stats.gamma.sf(score[key], n[key]), rel=1e-9)


def test_tournament_p_values_are_uniform(tokenizer) -> None:
    windows = windows_of(CORPORA[0], tokenizer, 1000)
    p_values = [detect_tournament(window, key).p_value for key, window in enumerate(windows)]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_looping_text_raises_no_alarm_if_contexts_count_once(tokenizer) -> None:
    """Ten times the same sentence: every coincidence comes ten times."""
    loops = [window[:20] * 10 for window in windows_of(CORPORA[0], tokenizer, 500)]
    once = [detect(loop, key).p_value for key, loop in enumerate(loops)]
    every = [detect(loop, key, count_repeats=True).p_value for key, loop in enumerate(loops)]
    assert sum(p < 1e-3 for p in once) <= 5
    assert sum(p < 1e-3 for p in every) > 25, "more than fifty times as many as promised"
    for scheme in (gumbel_score, detect_tournament):
        assert sum(scheme(loop, key).p_value < 1e-3 for key, loop in enumerate(loops)) <= 5


def test_fixed_and_odd_even_lists_raise_false_alarms(tokenizer) -> None:
    """Why neither of them will do: frequent tokens decide everything."""
    windows = windows_of(CORPORA[0], tokenizer, 500)
    fixed = partial(detect, width=0, gamma=0.5, count_repeats=True)
    alarms = sum(fixed(window, key).p_value < 1e-3 for key, window in enumerate(windows))
    assert alarms > 10


def test_colours_are_what_is_counted() -> None:
    ids = [i * i % 23 for i in range(90)]
    found, marks = detect(ids, 5, n_prompt=20), colours(ids, 5, n_prompt=20)
    assert marks[:20] == [None] * 20
    assert marks.count(True) == found.score
    assert len(marks) - marks.count(None) == found.n_counted


def test_nothing_to_count_is_no_sign() -> None:
    for detector in DETECTORS.values():
        for text in ([], [3], [3, 4]):
            found = detector(text, 1)
            assert (found.n_counted, found.p_value, found.share, found.z) == (0, 1.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="one text"):
        detect(torch.zeros(2, 5, dtype=torch.int64), 1)


# --- watermarks and models ------------------------------------------------------------------------

SAMPLERS = {
    "plain": {},
    "temperature 0.7": {"temperature": 0.7},
    "top-k": {"processors": sampler(top_k=40)},
    "top-p": {"processors": sampler(top_p=0.9), "temperature": 1.2},
    "min-p": {"processors": sampler(min_p=0.3)},
    "all": {"processors": sampler(top_k=80, top_p=0.95, min_p=0.1, repetition_penalty=1.2)},
}


@pytest.mark.parametrize("how", SAMPLERS)
@pytest.mark.parametrize("scheme", MARKS)
def test_goes_with_every_sampler(tiny, scheme: str, how: str) -> None:
    """Found with the key, not with another; and no token that the sampler had left out."""
    settings = dict(SAMPLERS[how])
    before = list(settings.pop("processors", []))
    settings["generator"] = torch.Generator().manual_seed(1)
    allowed = []

    def note(tokens, logits):
        allowed.append(logits.isfinite())
        return logits

    mark = MARKS[scheme](11)
    prompts = [[1, 2, 3, 4], [5, 6]]
    texts = generate(tiny, prompts, 150, processors=[*before, note, mark], **settings)
    assert len(allowed) == 150
    for row, (prompt, text) in enumerate(zip(prompts, texts)):
        assert all(allowed[i][row, token] for i, token in enumerate(text))
        whole = prompt + text
        assert DETECTORS[scheme](whole, 11, n_prompt=len(prompt)).p_value < 1e-6
        assert DETECTORS[scheme](text, 11).p_value < 1e-6, "without the prompt as well"
        assert DETECTORS[scheme](text, 12).p_value > 1e-4


@pytest.mark.parametrize("scheme", MARKS)
def test_looks_only_at_the_tokens_before(tiny, scheme: str) -> None:
    """No memory, no matter what stands beside: what speculative decoding needs, which asks for
    several places at once and takes tokens back."""
    mark, chance = MARKS[scheme](11), torch.Generator().manual_seed(0)
    tokens = torch.randint(300, (3, 12), generator=chance)
    logits = torch.randn(3, 12, 300, generator=chance)
    forwards = [mark(tokens[:, : i + 1], logits[:, i]) for i in range(12)]
    for i in reversed(range(12)):
        assert mark(tokens[:, : i + 1], logits[:, i]).equal(forwards[i])
        for row in range(3):
            alone = mark(tokens[row : row + 1, : i + 1], logits[row : row + 1, i])
            torch.testing.assert_close(alone[0], forwards[i][row])
            padded = torch.nn.functional.pad(tokens[row : row + 1, : i + 1], (4, 0), value=-1)
            assert mark(padded, logits[row : row + 1, i]).isfinite().equal(alone.isfinite())


def test_goes_with_constraints(tiny) -> None:
    tokenizer = load_tokenizer(shipped("mini"))
    torch.manual_seed(0)
    model = Transformer(
        Config(
            vocab_size=2048, n_context=64, n_layer=1, n_head=1, n_kv_head=1, d_model=8, d_hidden=8
        )
    )
    end = tokenizer.special_tokens["<|im_end|>"]
    for scheme in MARKS.values():
        rule = constrain("[a-z]{5,20}", tokenizer, end)
        (text,) = generate(model, [[1]], 30, processors=[rule, scheme(3)], stop=[end])
        assert tokenizer.decode(text[:-1]).isalpha()


def test_found_in_text_that_was_written_by_mini(tokenizer) -> None:
    """As it will be used: written, decoded, read again, in another tokenisation perhaps."""
    from lib.checkpoint import load

    model = load(shipped("mini"))
    prompts = [tokenizer.encode(start) for start in ("One morning", "Once upon a time", "In the")]
    chance = torch.Generator().manual_seed(4)
    for scheme, mark in MARKS.items():
        texts = generate(model, prompts, 160, processors=[mark(2024)], generator=chance)
        read_again = [tokenizer.encode_ordinary(tokenizer.decode(text)) for text in texts]
        p_values = [DETECTORS[scheme](text, 2024).p_value for text in read_again]
        assert sorted(p_values)[1] < 1e-4, (scheme, p_values)
        wrong = [DETECTORS[scheme](text, 2025).p_value for text in read_again]
        assert min(wrong) > 1e-4


def test_one_deleted_token_ends_odd_and_even_lists(tiny) -> None:
    mark = OddEvenWatermark(5, delta=4.0)
    (text,) = generate(
        tiny, [[1, 2]], 200, processors=[mark], generator=torch.Generator().manual_seed(0)
    )
    assert detect_odd_even([1, 2, *text], 5, n_prompt=2).z > 7
    assert abs(detect_odd_even([1, 2, *text[:100], *text[101:]], 5, n_prompt=2).z) < 3
    (text,) = generate(
        tiny, [[1, 2]], 200, processors=[GreenListWatermark(5, delta=4.0)],
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert detect([*text[:100], *text[101:]], 5).p_value < 1e-20


def test_edits_weaken_and_enough_of_them_wash_out(tiny) -> None:
    (text,) = generate(
        tiny, [[1, 2]], 240, processors=[GreenListWatermark(5, delta=4.0)],
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    for kind in ("replace", "delete", "insert"):
        z = [
            detect(attack_edit(text, share, kind, 300, torch.Generator().manual_seed(1)), 5).z
            for share in (0.0, 0.2, 0.5)
        ]
        assert z[0] > z[1] > z[2], kind
    gone = attack_edit(text, 1.0, "replace", 300, torch.Generator().manual_seed(1))
    assert detect(gone, 5).p_value > 1e-3


def test_repeats_are_left_to_chance(tiny) -> None:
    """In a context that came before, Gumbel's and the tournament's watermark step aside."""
    tokens = torch.tensor([[7, 1, 2, 9, 1, 2], [7, 1, 2, 9, 2, 1], [-1, -1, -1, -1, -1, 1]])
    logits = torch.randn(3, 300)
    for scheme in (GumbelWatermark, TournamentWatermark):
        marked, always = scheme(3)(tokens, logits), scheme(3, skip_repeats=False)(tokens, logits)
        assert marked[0].equal(logits[0])
        assert not always[0].equal(logits[0])
        assert marked[1:].equal(always[1:])
    (loop,) = generate(tiny, [[1, 2]], 200, processors=[GumbelWatermark(3)])
    assert len(set(itertools.pairwise(loop))) > 150


# --- the distribution stays as it is --------------------------------------------------------------

P = torch.tensor([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
N = 20_000
CONTEXTS = torch.stack([torch.arange(N), torch.arange(N) % 97], dim=1)


def fits(drawn: torch.Tensor, p: torch.Tensor = P) -> float:
    """The p-value of chi-square: do the draws come from p?"""
    counts = drawn.bincount(minlength=len(p)).double()
    return float(
        stats.chisquare(counts.numpy(), (p.double() / p.double().sum() * N).numpy()).pvalue
    )


@pytest.mark.parametrize("key", [1, 2, 3])
@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
def test_gumbel_keeps_the_distribution(key: int, temperature: float) -> None:
    logits = P.log().expand(N, -1)
    drawn = gumbel_sample(logits, CONTEXTS, key, temperature)
    assert fits(drawn, (P.log() / temperature).softmax(-1)) > 1e-3
    marked = GumbelWatermark(key)(CONTEXTS, logits / temperature)
    assert marked.argmax(dim=1).equal(drawn)
    assert (marked.isfinite().sum(dim=1) == 1).all()


def test_chi_square_would_see_planted_bugs_of_gumbel() -> None:
    u = keyed_uniform(1, *CONTEXTS.T[..., None], torch.arange(6))
    bugs = {
        "u^p": u**P,
        "u · p": u * P,
        "0.9 temperature": P.log() / 0.9 - (-u.log()).log(),
        "half the noise": P.log() - 0.9 * (-u.log()).log(),
    }
    for name, scores in bugs.items():
        assert fits(scores.argmax(dim=1)) < 1e-6, name


def tournament(key: int, n_layers: int, ties: str = "chance") -> torch.Tensor:
    """Independent: played, token against token, 2^n_layers of them at every place."""
    chance = torch.Generator().manual_seed(key)
    players = torch.multinomial(P.expand(N, -1), 2**n_layers, True, generator=chance)
    for layer in range(n_layers):
        first, second = players[:, ::2], players[:, 1::2]
        words = [word[:, None] for word in CONTEXTS.T]
        g = [keyed_hash(key, *words, side) >> layer & 1 for side in (first, second)]
        toss = torch.rand(first.shape, generator=chance) < 0.5
        second_wins = (g[1] > g[0]) | ((g[0] == g[1]) & toss)
        if ties == "larger":  # a bug: among equals the larger id wins
            second_wins = (g[1] > g[0]) | ((g[0] == g[1]) & (second > first))
        players = torch.where(second_wins, second, first)
    return players[:, 0]


@pytest.mark.parametrize("n_layers", [1, 3, 30])
def test_the_tournament_keeps_the_distribution(n_layers: int) -> None:
    logits = TournamentWatermark(5, n_layers)(CONTEXTS, P.log().expand(N, -1))
    p = logits.softmax(dim=-1)
    torch.testing.assert_close(logits.exp().sum(dim=1), torch.ones(N), rtol=1e-3, atol=1e-3)
    drawn = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(0)).squeeze(1)
    assert fits(drawn) > 1e-3


def test_the_tournament_as_it_is_played() -> None:
    """Computed and played: the same share of ones in every layer, the same distribution; and a bug
    in the ties is seen."""
    p = TournamentWatermark(5, 3)(CONTEXTS, P.log().expand(N, -1)).softmax(dim=-1)
    bits = keyed_hash(5, *CONTEXTS.T[..., None], torch.arange(6))
    played = tournament(5, 3)
    assert fits(played) > 1e-3
    for layer in range(3):
        g = (bits >> layer & 1).double()
        ones = g.gather(1, played[:, None]).mean()
        assert abs((p * g).sum(dim=1).mean() - ones) < 5 * 0.5 / math.sqrt(N)
    assert fits(tournament(5, 3, ties="larger")) < 1e-6


def test_a_green_list_does_change_the_distribution() -> None:
    marked = GreenListWatermark(5)(CONTEXTS, P.log().expand(N, -1)).softmax(dim=-1)
    drawn = torch.multinomial(marked, 1, generator=torch.Generator().manual_seed(0)).squeeze(1)
    assert fits(drawn) < 1e-6


def test_at_a_temperature_of_0_gumbel_takes_the_likeliest() -> None:
    logits = torch.randn(50, 20)
    assert gumbel_sample(logits, CONTEXTS[:50], 3, 0.0).equal(logits.argmax(dim=1))


def test_a_sure_model_is_left_alone(tiny) -> None:
    """One token that holds everything comes, whatever the key says."""
    tokens = torch.randint(300, (5, 9))
    sure = torch.full((5, 300), -50.0).index_fill(1, torch.tensor([17]), 50.0)
    for scheme in MARKS.values():
        assert scheme(3)(tokens, sure).argmax(dim=1).eq(17).all()


def test_processors_take_what_the_model_gives(tiny) -> None:
    logits = next_logits(tiny, torch.tensor([[1, 2, 3]])).detach()
    for scheme in (*MARKS.values(), OddEvenWatermark):
        for dtype in (torch.float32, torch.bfloat16, torch.float64):
            assert scheme(3)(torch.tensor([[1, 2, 3]]), logits.to(dtype)).dtype == dtype


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma"):
        GreenListWatermark(1, gamma=0.0)
    with pytest.raises(ValueError, match="width"):
        GumbelWatermark(1, width=-1)
    with pytest.raises(ValueError, match="layers"):
        TournamentWatermark(1, n_layers=33)
    with pytest.raises(ValueError, match="vocabulary"):
        attack_edit([1], 0.5, "insert", 1)


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory, tokenizer):
    """A text of town in which, where several tokens would do, green ones were taken."""
    ids, chance = [300, 301], torch.Generator().manual_seed(0)
    while len(ids) < 150:
        offered = torch.randint(300, 1500, (6,), generator=chance)
        green = green_list(torch.tensor(ids[-2:]), key_of("our key"), 2048)
        ids.append(int(offered[green[offered].int().argmax()]))
    path = tmp_path_factory.mktemp("marked") / "text.txt"
    path.write_text(tokenizer.decode(ids), encoding="utf-8")
    return path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_the_command_finds_the_watermark(file, capsys) -> None:
    assert run("detect", str(file), "--key", "our key") == 0
    said = capsys.readouterr().out
    assert "p-value" in said
    assert "Green" in said
    assert "Verdict   watermarked with this key" in said
    assert run("detect", str(file), "--key", "another key") == 1
    assert "no sign of this key" in capsys.readouterr().out


def test_the_command_says_what_detect_says(file, tokenizer, capsys) -> None:
    ids = tokenizer.encode_ordinary(file.read_text(encoding="utf-8"))
    for scheme, detector in DETECTORS.items():
        run("detect", str(file), "--key", "our key", "--scheme", scheme, "--json")
        said = json.loads(capsys.readouterr().out)
        found = detector(ids, key_of("our key"))
        assert said["p_value"] == found.p_value
        assert said["counted"] == found.n_counted
        assert said["share"] == found.share
        assert run("detect", str(file), "--key", "7", "--scheme", scheme) == 1
        assert "Verdict" in capsys.readouterr().out


def test_the_command_shows_colours(file, capsys) -> None:
    assert run("detect", str(file), "--key", "our key", "--show") == 0
    said = capsys.readouterr().out
    assert said.count("\033[32m") > said.count("\033[31m") > 0


def test_the_command_says_when_a_text_is_too_short(tmp_path, capsys) -> None:
    path = tmp_path / "short.txt"
    path.write_text("A fox.", encoding="utf-8")
    assert run("detect", str(path), "--key", "1") == 1
    assert "too short to tell" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.txt", "--key", "1"], "missing.txt"),
        (["{file}", "--key", "1", "--tokenizer", "nothing"], "no checkpoint 'nothing'"),
        (["{file}", "--key", "1", "--gamma", "2"], "gamma"),
        (["{file}", "--key", "1", "--width", "0"], "width of 0"),
        (["{bytes}", "--key", "1"], "no text in UTF-8"),
        (["{file}", "--key", "99999999999999999999"], "expected a key"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, file, tmp_path, capsys) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    filled = [a.format(file=file, bytes=tmp_path / "bytes") for a in arguments]
    assert run("detect", *filled) == 2
    assert message in capsys.readouterr().err


def test_as_a_command_of_its_own(file) -> None:
    command = [sys.executable, "-m", "lib.watermark", "detect", "-", "--key", "our key"]
    ended = subprocess.run(
        command, input=file.read_bytes(), capture_output=True, cwd=ROOT, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert b"watermarked with this key" in ended.stdout
