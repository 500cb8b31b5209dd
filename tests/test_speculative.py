"""The floor `lib.speculative` beyond its exercises: the text is the target's, to the letter at
temperature 0 and in distribution at any other, by a test whose power is shown on planted bugs;
caches, memories, several drafters, and what is gained against the formula."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter

import pytest
import torch
from torch import Tensor

from lib import speculative
from lib.checkpoint import load, load_tokenizer, shipped
from lib.corpora import read
from lib.generation import (
    Automaton,
    Constraint,
    allowed_tokens,
    generate,
    new_cache,
    next_logits,
    sampler,
)
from lib.speculative import (
    Drafter,
    ModelDrafter,
    NgramDrafter,
    Reader,
    Rule,
    SeveralDrafters,
    Tally,
    TextMemory,
    TextStore,
    accept_or_resample,
    align_right,
    choose_drafter,
    expected_tokens,
    first_layers,
    in_eight_bits,
    speculate,
    speculative_step,
)
from lib.transformer import Config, Transformer


def model_of(seed: int = 0, vocab_size: int = 29, **settings) -> Transformer:
    shape = {"d_model": 16, "n_layer": 2, "n_head": 4, "n_kv_head": 2, "n_context": 48}
    model = Transformer(Config(vocab_size, **(shape | {"tied": False} | settings))).eval()
    source = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.4, generator=source)
    return model


def with_noise(model: Transformer, scale: float = 0.05) -> Transformer:
    other = Transformer(model.config).eval()
    other.load_state_dict(model.state_dict())
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += scale * torch.randn(parameter.shape, generator=source)
    return other


def prompts_of(n: int, vocab_size: int = 29, seed: int = 0) -> list[list[int]]:
    source = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, 9, (n,), generator=source).tolist()
    return [torch.randint(vocab_size, (size,), generator=source).tolist() for size in sizes]


def drafters_for(model: Transformer) -> dict[str, Drafter]:
    n_vocab = model.config.vocab_size
    texts = generate(model, [[i] for i in range(min(n_vocab, 20))], 20, temperature=0)
    near = ModelDrafter(with_noise(model))
    looked_up = NgramDrafter(n_vocab, texts, 1, 4)
    return {
        "near": near,
        "foreign": ModelDrafter(model_of(9, n_vocab, n_layer=1)),
        "n-gram": looked_up,
        "several": SeveralDrafters([near, looked_up], [0.3, 0.01]),
    }


# --- temperature 0: the same text -----------------------------------------------------------------


@pytest.mark.parametrize("which", ["near", "foreign", "n-gram", "several"])
def test_greedy_is_the_same_for_100_prompts(which: str) -> None:
    model, prompts = model_of(), prompts_of(100)
    drafter, tally = drafters_for(model)[which], Tally()
    plain = generate(model, prompts, 24, temperature=0)
    same = 0
    for first in range(0, 100, 25):  # batches of unequal prompts
        part = slice(first, first + 25)
        new = speculate(model, drafter, prompts[part], 24, temperature=0, n_draft=5, tally=tally)
        same += sum(a == b for a, b in zip(new, plain[part]))
    assert same == 100
    if which != "foreign":
        assert tally.tokens_per_step > 1.3


@pytest.mark.parametrize("n_draft", [0, 1, 3])
def test_one_text_with_processors_stops_and_context(n_draft: int) -> None:
    model = model_of()
    processors = sampler(top_k=6, repetition_penalty=1.4)
    settings = {"temperature": 0, "processors": processors}
    for prompt in prompts_of(6, seed=3):
        plain = generate(model, [prompt], 99, **settings)
        stop = plain[0][min(9, len(plain[0]) - 1)]
        for drafter in drafters_for(model).values():
            new = speculate(model, drafter, [prompt], 99, n_draft=n_draft, longest=6, **settings)
            assert new == plain  # up to the end of the context
            new = speculate(model, drafter, [prompt], 99, stop=[stop], **settings)
            assert new == generate(model, [prompt], 99, stop=[stop], **settings)
            assert speculate(model, drafter, [prompt], 0, **settings) == [[]]
            assert speculate(model, drafter, [prompt], 1, **settings) == [plain[0][:1]]


@pytest.mark.parametrize(
    "settings",
    [
        {"position": "learned", "norm": "layer", "gated": False, "activation": "gelu"},
        {"window": 4, "local_layers": (0,)},
    ],
    ids=["learned positions", "a window"],
)
def test_other_architectures(settings: dict) -> None:
    model, prompts = model_of(**settings), prompts_of(7, seed=2)
    stop = [3, 4]
    plain = generate(model, prompts, 60, temperature=0, stop=stop)
    for drafter in drafters_for(model).values():
        assert speculate(model, drafter, prompts, 60, temperature=0, stop=stop) == plain


def test_a_constraint_holds_and_is_the_same() -> None:
    model, vocab = model_of(), [bytes([97 + i]) for i in range(26)] + [b"ab", b"ca", b""]
    automaton = Automaton.of("(ab|ca)+(xyz)*d")

    def constraint() -> Constraint:
        return Constraint(lambda state: allowed_tokens(automaton, state, vocab, 28), 28)

    prompts = prompts_of(5, 26, seed=4)
    settings = {"temperature": 0, "stop": [28]}
    plain = generate(model, prompts, 30, processors=[constraint()], **settings)
    for drafter in drafters_for(model).values():
        new = speculate(model, drafter, prompts, 30, processors=[constraint()], **settings)
        assert new == plain
    drawn = speculate(model, drafter, prompts * 4, 30, processors=[constraint()], stop=[28],
                      generator=torch.Generator().manual_seed(0))  # fmt: skip
    for answer in drawn:
        text = b"".join(vocab[token] for token in answer).decode()
        assert answer[-1] != 28 or re.fullmatch("(ab|ca)+(xyz)*d", text)


def test_mini_writes_the_same_story() -> None:
    model, tokenizer = load(shipped("mini")), load_tokenizer(shipped("mini"))
    told = [tokenizer.encode(text) for text in itertools.islice(read("town", size=60), 60)]
    prompt, tally = told[-1][:16], Tally()
    plain = generate(model, [prompt], 48, temperature=0)
    drafter = NgramDrafter(2048, told[:-1])
    assert speculate(model, drafter, [prompt], 48, temperature=0, tally=tally) == plain
    assert tally.calls < 40


# --- any other temperature: the same distribution -------------------------------------------------


def p_value(counts: Tensor, probabilities: Tensor) -> float:
    """Of Pearson's χ², cells below 5 put together."""
    expected = probabilities.double() * counts.sum()
    small = expected < 5
    cells = [*zip(counts[~small].tolist(), expected[~small].tolist())]
    rest = (counts[small].sum().item(), expected[small].sum().item())
    cells += [rest] if rest[1] >= 1 else []
    statistic = sum((c - e) ** 2 / e for c, e in cells)
    half = torch.tensor([(len(cells) - 1) / 2, statistic / 2], dtype=torch.float64)
    return torch.special.gammaincc(half[0], half[1]).item()


def first_tokens(function, q: Tensor, p: Tensor, n: int, seed: int) -> Tensor:
    """How often each token comes first, of n."""
    source = torch.Generator().manual_seed(seed)
    drafted = torch.multinomial(q, n, replacement=True, generator=source)[:, None]
    accepted, following = function(
        drafted, q.expand(n, 1, -1), torch.stack([p, p]).expand(n, 2, -1), source
    )
    return torch.where(accepted > 0, drafted[:, 0], following).bincount(minlength=len(p))


def far_apart(seed: int) -> tuple[Tensor, Tensor]:
    """p and q over 16 tokens, of which about .4 is accepted."""
    source = torch.Generator().manual_seed(seed)
    for scale in torch.linspace(0.5, 4, 200).tolist():
        q, p = (torch.randn(2, 16, generator=source) * scale).softmax(-1)
        if 0.37 < torch.minimum(p, q).sum() < 0.43:
            return q, p
    raise AssertionError("no such pair")


def test_the_first_token_is_the_targets_and_planted_bugs_are_seen() -> None:
    """5,000 draws over 16 tokens: twenty pairs of p and q; p-values even for the right rule, tiny
    for each wrong one."""
    bugs = {
        "from p": lambda d, q, p, g: wrong_rule(d, q, p, g, rest=lambda p, q: p),
        "q / p": lambda d, q, p, g: wrong_rule(d, q, p, g, ratio=lambda p, q: q / p),
        "even": lambda d, q, p, g: accept_or_resample(d, torch.full_like(q, 1 / 16), p, g),
        "flat": lambda d, q, p, g: accept_or_resample(
            d, q, (p.clamp(min=1e-9).log() / 1.3).softmax(-1), g
        ),
    }
    values = []
    for seed in range(20):
        q, p = far_apart(seed)
        values.append(p_value(first_tokens(accept_or_resample, q, p, 5000, seed), p))
        for name, bug in bugs.items():
            assert p_value(first_tokens(bug, q, p, 5000, seed), p) < 1e-4, (name, seed)
    assert min(values) > 1e-4
    assert 0.2 < sum(values) / len(values) < 0.8


def wrong_rule(drafted, q, p, source, ratio=lambda p, q: p / q, rest=lambda p, q: p - q):
    p, q = p[:, 0], q[:, 0]
    chance = torch.rand(len(drafted), generator=source)
    stays = chance < ratio(p.gather(1, drafted), q.gather(1, drafted))[:, 0]
    return stays.long(), torch.multinomial(rest(p, q).clamp(min=0), 1, generator=source)[:, 0]


def test_hugging_face_draws_likewise() -> None:
    """transformers' rule on the same p and q: the same shares of (how many stay, what follows)."""
    utils = pytest.importorskip("transformers.generation.utils")
    rule = getattr(utils, "_speculative_sampling", None)
    if rule is None:
        pytest.skip("transformers has no such function any more")
    source = torch.Generator().manual_seed(0)
    q, p = (
        (torch.randn(2, 4, generator=source) * 1.5).softmax(-1),
        torch.randn(3, 4, generator=source).softmax(-1),
    )
    n = 3000
    drafted = torch.stack([torch.multinomial(row, n, replacement=True) for row in q], dim=1)
    theirs: Counter = Counter()
    torch.manual_seed(1)
    for guess in drafted[:, None]:
        tokens, stay = rule(guess, q.log()[None], 2, p.log()[None])
        theirs[int(stay), int(tokens[0, -1])] += 1
    accepted, following = accept_or_resample(
        drafted, q.expand(n, -1, -1), p.expand(n, -1, -1), source
    )
    ours = Counter(zip(accepted.tolist(), following.tolist()))
    for cell in set(ours) | set(theirs):
        assert abs(ours[cell] - theirs[cell]) / n < 0.05


def sequence_probabilities(model, prompt, n, temperature, processors) -> Tensor:
    """Of every text of n tokens, one call each."""
    v = model.config.vocab_size
    table = torch.ones([v] * n)
    for k in range(n):
        for start in itertools.product(range(v), repeat=k):
            text = torch.tensor([[*prompt, *start]])
            with torch.no_grad():
                logits = next_logits(model, text) / temperature
            for process in processors:
                logits = process(text, logits)
            probabilities = logits.softmax(-1)[0]
            table[start] = table[start] * probabilities.view(-1, *[1] * (n - k - 1))
    return table.flatten()


@pytest.mark.parametrize("which", ["near", "foreign", "n-gram", "several"])
def test_texts_are_drawn_as_the_target_draws_them(which: str) -> None:
    """Texts of three tokens at temperature 1.3 with top-p and a penalty, in batches of unequal
    prompts; what belongs to the plain softmax is seen to be something else."""
    model = model_of(3, vocab_size=5)
    processors = sampler(top_p=0.9, repetition_penalty=1.5)
    prompts = [[1, 2, 1], [3]]
    source = torch.Generator().manual_seed(8)
    counts = {0: torch.zeros(125), 1: torch.zeros(125)}
    answers = speculate(
        model, drafters_for(model)[which], [prompts[i % 2] for i in range(12_000)], 3,
        temperature=1.3, processors=processors, generator=source, n_draft=2,
    )  # fmt: skip
    for i, (a, b, c) in enumerate(answers):
        counts[i % 2][a * 25 + b * 5 + c] += 1
    for i, prompt in enumerate(prompts):
        exact = sequence_probabilities(model, prompt, 3, 1.3, processors)
        assert counts[i][exact == 0].sum() == 0
        assert p_value(counts[i], exact) > 1e-4
        for other in (
            sequence_probabilities(model, prompt, 3, 1.0, processors),
            sequence_probabilities(model, prompt, 3, 1.3, ()),
        ):
            assert p_value(counts[i], other) < 1e-4


def test_the_same_seed_writes_the_same() -> None:
    model = model_of()
    for drafter in drafters_for(model).values():
        found = [
            speculate(model, drafter, prompts_of(3), 12, generator=torch.Generator().manual_seed(s))
            for s in (1, 1, 2)
        ]
        assert found[0] == found[1] != found[2]


# --- what is gained -------------------------------------------------------------------------------


class Independent(Drafter):
    """Draws every guess from the same q."""

    def __init__(self, q: Tensor) -> None:
        self.q = q

    def start(self, rule: Rule, model: Transformer, n_tokens: int) -> None:
        self.rule = rule

    def draft(self, tokens: Tensor, n: int) -> tuple[Tensor, Tensor]:
        if not n:
            return tokens[:, :0], self.q.expand(len(tokens), 0, -1)
        shape = len(tokens) * n
        drawn = torch.multinomial(self.q, shape, replacement=True, generator=self.rule.generator)
        return drawn.view(-1, n), self.q.expand(len(tokens), n, -1)


@pytest.mark.parametrize("n", [1, 3, 6])
def test_tokens_a_call_are_as_the_formula_says(n: int) -> None:
    """With guesses that are independent: (1 − αⁿ⁺¹) / (1 − α), where α = Σ min(p, q)."""
    source = torch.Generator().manual_seed(2)
    p, q = (torch.randn(2, 29, generator=source) * 0.8).softmax(-1)
    alpha, tally = torch.minimum(p, q).sum().item(), Tally()
    speculate(
        model_of(n_context=4000), Independent(q), [[1]] * 150, 30, n_draft=n, tally=tally,
        processors=[lambda tokens, logits: p.log().expand_as(logits)], generator=source,
    )  # fmt: skip
    assert tally.acceptance == pytest.approx(alpha, abs=0.03)
    formula = (1 - alpha ** (n + 1)) / (1 - alpha)
    assert expected_tokens(alpha, n) == pytest.approx(formula)
    # At the end of a text fewer are guessed: 30 tokens make that rare.
    assert tally.tokens_per_step == pytest.approx(formula, rel=0.08)


# --- caches ---------------------------------------------------------------------------------------


def real_columns(reader: Reader, tokens: Tensor) -> list[Tensor]:
    """Keys and values of all real tokens that the cache holds."""
    n = len(reader.cache[0])
    real = tokens[:, :n] >= 0
    return [b[:, :, :n].transpose(1, 2)[real] for layer in reader.cache for b in layer.buffers]


@pytest.mark.parametrize("n_rows", [1, 4])
def test_caches_after_rolling_back_are_those_of_a_fresh_run(n_rows: int) -> None:
    model, rule = model_of(), Rule(0.0)
    target, drafter = Reader(model, rule), ModelDrafter(with_noise(model))
    drafter.start(rule, model, 40)
    width = 8
    tokens = torch.tensor([[-1] * (width - len(p)) + p for p in prompts_of(n_rows, seed=7)])
    stays = set()
    with torch.inference_mode():
        for _ in range(6):
            tokens, _, accepted = speculative_step(target, drafter, tokens, 3)
            stays |= set(accepted.tolist())
            for side in (target, drafter.reader):
                fresh = new_cache(side.model)
                next_logits(side.model, tokens[:, : len(side.cache[0])], fresh)
                other = Reader(side.model, rule)
                other.cache = fresh
                for a, b in zip(real_columns(side, tokens), real_columns(other, tokens)):
                    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
            assert len(target.cache[0]) == tokens.size(1) - 1
    assert len(stays) > 1


def test_a_cache_that_holds_too_much_is_refused() -> None:
    reader = Reader(model_of(), Rule())
    with torch.inference_mode():
        reader.logits(torch.tensor([[1, 2, 3]]), 2)
        with pytest.raises(ValueError, match="roll it back"):
            reader.logits(torch.tensor([[1, 2, 3, 4]]), 2)


def test_texts_move_to_the_right() -> None:
    tokens = torch.tensor([[-1, 5, 6, -1, -1], [-1, -1, 7, 8, 9]])
    assert align_right(tokens, 4).tolist() == [[-1, -1, 5, 6], [-1, 7, 8, 9]]
    assert align_right(tokens[:1], 3).tolist() == [[-1, 5, 6]]


# --- memories and drafters ------------------------------------------------------------------------


def test_a_store_counts() -> None:
    source = torch.Generator().manual_seed(0)
    texts = [torch.randint(4, (n,), generator=source).tolist() for n in (0, 1, 3, 60, 90)]
    store = TextStore(texts, 1, 4)
    counts: dict[tuple[int, ...], Counter] = {}
    for text in texts:
        for k in range(1, 5):
            for i in range(k, len(text)):
                counts.setdefault(tuple(text[i - k : i]), Counter())[text[i]] += 1
    for k in range(1, 5):
        for context in itertools.product(range(4), repeat=k):
            found = counts.get(context, {})
            best = min(found, key=lambda t: (-found[t], t)) if found else None
            assert store.after(context) == best
    assert store.after((1, 2, 3, 0, 1)) is None
    assert TextStore([]).after((1,)) is None


def test_a_memory_follows_its_text() -> None:
    memory = TextMemory(1, 2)
    memory.see([1, 2, 3, 1])
    assert memory.after((1,)) == 2
    memory.see([1, 2, 3, 1, 4])
    assert (memory.after((1,)), memory.after([3, 1]), memory.after((4,))) == (4, 4, None)
    memory.see([2, 3])
    assert (memory.after((1,)), memory.after((2,))) == (None, 3)
    for shortest, longest in ((0, 2), (3, 2)):
        with pytest.raises(ValueError, match="shortest"):
            TextMemory(shortest, longest)


def test_the_better_of_several_is_asked() -> None:
    """A near model for nothing, and a foreign one: the first does nearly all of the guessing."""
    model = model_of()
    asked = [0, 0]

    class Counted(ModelDrafter):
        def draft(self, tokens, n):
            asked[self.number] += n > 0
            return super().draft(tokens, n)

    drafters = [Counted(model_of(9, n_layer=1)), Counted(with_noise(model, 0.01))]
    for number, drafter in enumerate(drafters):
        drafter.number = number
    several = SeveralDrafters(drafters, [0.05, 0.05])
    prompt = prompts_of(1)
    assert speculate(model, several, prompt, 40, temperature=0) == generate(
        model, prompt, 40, temperature=0
    )
    assert asked[1] > 2 * asked[0] > 0
    assert several.acceptance[1] > several.acceptance[0]
    with pytest.raises(ValueError, match="one cost"):
        SeveralDrafters(drafters, [0.1])


def test_who_has_nothing_to_say_is_passed_over() -> None:
    model, prompt = model_of(), prompts_of(1)
    several = SeveralDrafters([NgramDrafter(29, ()), ModelDrafter(model)], [0.0, 0.1])
    tally = Tally()
    speculate(model, several, prompt, 24, temperature=0, tally=tally)
    assert tally.drafted > 15


@pytest.mark.parametrize("quick", [True, False])
def test_the_target_in_eight_bits_is_nearly_the_target(quick: bool, monkeypatch) -> None:
    if not quick:
        monkeypatch.setattr("lib._speculative_models.multiplies_eight_bits", lambda: False)
    model = model_of(d_model=32)
    rounded = in_eight_bits(model)
    tokens = torch.tensor([prompts_of(1, seed=5)[0]])
    with torch.no_grad():
        apart = (rounded(tokens) - model(tokens)).abs().max() / model(tokens).abs().max()
    assert 0 < apart < 0.1
    tally, prompts = Tally(), prompts_of(5)
    plain = generate(model, prompts, 20, temperature=0)
    assert speculate(model, ModelDrafter(rounded), prompts, 20, temperature=0, tally=tally) == plain
    assert tally.acceptance > 0.7


def test_first_layers_share_their_weights() -> None:
    model = model_of()
    shallow = first_layers(model, 1)
    assert (len(shallow.blocks), len(model.blocks)) == (1, 2)
    assert shallow.config.n_layer == 1
    assert shallow.blocks[0] is model.blocks[0]
    prompts = prompts_of(3)
    plain = generate(model, prompts, 12, temperature=0)
    assert speculate(model, ModelDrafter(shallow), prompts, 12, temperature=0) == plain
    with pytest.raises(ValueError, match="1 to 2 layers"):
        first_layers(model, 3)


def test_modes_come_back_and_what_does_not_fit_is_refused() -> None:
    model = model_of().train()
    other = model_of(1).train()
    speculate(model, ModelDrafter(other), [[1, 2]], 4)
    assert model.training
    assert other.training
    with pytest.raises(ValueError, match="same tokenizer"):
        speculate(model, ModelDrafter(model_of(vocab_size=31)), [[1]], 4)
    with pytest.raises(ValueError, match="n_draft"):
        speculate(model, ModelDrafter(model), [[1]], 4, n_draft=-1)
    with pytest.raises(ValueError, match="prompt 0 is empty"):
        speculate(model, ModelDrafter(model), [[]], 4)
    assert speculate(model, ModelDrafter(model), [], 4) == []
    learned = {"position": "learned", "norm": "layer"}
    with pytest.raises(ValueError, match="positions"):
        speculate(model, ModelDrafter(model_of(n_context=8, **learned)), [[1]], 4)


def test_the_best_length_is_where_the_formula_peaks() -> None:
    for alpha, cost in ((0.5, 0.05), (0.8, 0.1), (0.95, 0.3)):
        _, n = choose_drafter([alpha], [cost], 40)
        speeds = [(1 - alpha ** (k + 1)) / (1 - alpha) / (k * cost + 1) for k in range(41)]
        assert n == speeds.index(max(speeds))
    assert choose_drafter([0.2], [0.9], 40) == (0, 0)
    assert math.isclose(expected_tokens(1.0, 4), 5)


def test_what_is_offered_is_there() -> None:
    assert all(hasattr(speculative, name) for name in speculative.__all__)
