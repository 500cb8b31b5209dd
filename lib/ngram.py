"""N-grams: how good is a guess at the next token (lesson "language_models").

A language model gives every possible next token a probability. The oldest one counts: what followed
these tokens, every time they stood in the text? Everything that judges and uses a model is built
here too, for this one and for all that follow: its loss, its bits per byte, a sample from it.
Shapes are told by one letter each: t tokens, v the size of the vocabulary.

    tokens (t) ─ count ─ probabilities (v) ─┬─ cross_entropy ─ bits_per_byte
                                            └─ sample ─ next token

Shannon 1948, "A Mathematical Theory of Communication", sections 2 and 3; for smoothing, Chen and
Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling" (TR-10-98).
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor


def ngram_probabilities(
    tokens: Tensor, context: Tensor, vocab_size: int, alpha: float = 0.0
) -> Tensor:
    """How likely is each next token, after `context`? Count what followed it in `tokens`.

    With a context of n − 1 tokens this is the n-gram model; with none, how frequent each token is.

    Args:
        tokens: the text to count in, (t) whole numbers; longer than the context.
        context: the tokens just before the one to guess, oldest first, (n − 1) whole numbers.
        vocab_size: how many different tokens there are, v.
        alpha: added to each of the v counts, so that nothing is impossible (add-alpha smoothing).

    Returns:
        (v) probabilities in float32. They sum to 1: where the context never stood before another
        token and alpha is 0, all tokens are equally likely.

    >>> ngram_probabilities(torch.tensor([0, 1, 0, 2, 0, 1]), torch.tensor([0]), vocab_size=4)
    tensor([0.0000, 0.6667, 0.3333, 0.0000])
    """
    n_context = len(context)
    if len(tokens) <= n_context:
        raise ValueError(f"a context of {n_context} needs a longer text than {len(tokens)} tokens")
    windows = tokens.unfold(0, n_context + 1, 1)  # every stretch of n tokens, (t-n+1 n)
    found = (windows[:, :n_context] == context).all(dim=1)
    counts = windows[found, n_context].bincount(minlength=vocab_size) + alpha
    if counts.sum() == 0:
        counts = torch.ones_like(counts)
    return counts / counts.sum()


def cross_entropy(logits: Tensor, targets: Tensor, ignore_index: int = -100) -> Tensor:
    """How surprised the model is by what really came: the mean of −log softmax(logits)[target].

    Args:
        logits: a score for every token of the vocabulary, (... v): a row for each place, whatever
            axes stand before, (t v) or (text t v); scores of any size, in any precision.
        targets: the token that came at each of these places, (...) whole numbers.
        ignore_index: places with this target do not count, neither in the sum nor in the mean.

    Returns:
        One number in float32: nats per counted token. Over no tokens there is no mean: nan.

    Raises:
        ValueError: there is not exactly one target for each row of logits.

    >>> cross_entropy(torch.zeros(3, 8), torch.tensor([5, 0, -100]))  # ln 8: no idea at all
    tensor(2.0794)
    """
    if logits.shape[:-1] != targets.shape:
        shapes = f"logits {tuple(logits.shape)} and targets {tuple(targets.shape)}"
        raise ValueError(f"expected one target for each row of logits, got {shapes}")
    counted = targets != ignore_index
    index = rearrange(targets.masked_fill(~counted, 0), "... -> ... 1")
    # log_softmax never takes the log of a probability that has been rounded to 0.
    log_probs = logits.float().log_softmax(dim=-1)
    losses = -rearrange(log_probs.gather(-1, index), "... 1 -> ...")
    return losses.masked_fill(~counted, 0).sum() / counted.sum()


def bits_per_byte(loss: float, n_tokens: int, n_bytes: int) -> float:
    """How many bits the model needs for one byte of the text; it does not depend on the tokenizer.

    Args:
        loss: the mean loss over the text, in nats per token.
        n_tokens: how many tokens the loss is a mean of.
        n_bytes: how many bytes of text these tokens stand for.

    Raises:
        ValueError: there are no bytes.

    >>> round(bits_per_byte(math.log(256), n_tokens=1000, n_bytes=1000), 6)  # guessing bytes
    8.0
    """
    if n_bytes <= 0:
        raise ValueError(f"expected the number of bytes of the text, at least 1, got {n_bytes}")
    bits_per_token = loss / math.log(2)
    return bits_per_token * n_tokens / n_bytes


def sample(
    logits: Tensor, temperature: float = 1.0, generator: torch.Generator | None = None
) -> Tensor:
    """Draw the next token of each row at random, with the probabilities softmax(logits / T).

    Args:
        logits: a score for every token, (... v); -inf for what must not be drawn.
        temperature: T. Below 1 the likely tokens become likelier, above 1 all become more equal;
            at 0 the likeliest is taken, without chance.
        generator: where the chance comes from: the same state, the same tokens. Left out, torch's
            own.

    Returns:
        (...) token ids, int64: one drawn for each row, independently of the others.

    Raises:
        ValueError: the temperature is negative.

    >>> sample(torch.tensor([[0.0, 3.0], [2.0, 1.0]]), temperature=0).tolist()
    [1, 0]
    """
    if temperature < 0:
        raise ValueError(f"expected a temperature of 0 or more, got {temperature}")
    if temperature == 0:
        return logits.argmax(dim=-1)
    probabilities = (logits.float() / temperature).softmax(dim=-1)
    # Side by side on a line, each token has a stretch as long as it is likely: throw a dart at it.
    ends = probabilities.cumsum(dim=-1, dtype=torch.float64)
    dart = 1 - torch.rand(ends[..., :1].shape, generator=generator, dtype=ends.dtype,
                          device=ends.device)  # above 0, at most 1  # fmt: skip
    return torch.searchsorted(ends, dart * ends[..., -1:]).squeeze(-1)


def fit_bigram(
    tokens: Tensor, vocab_size: int, steps: int = 15_000, learning_rate: float = 30.0
) -> Tensor:
    """Learn by gradient descent what counting knows: which token follows which.

    A table holds one row of logits for each token: a guess at the next. It starts at 0, and every
    step moves it against the gradient of the mean cross-entropy over all pairs of neighbours. That
    loss depends on the text only through how often each pair occurs, so one look at the text is
    enough, and a step costs v × v numbers however long the text is.

    Args:
        tokens: the text, (t) whole numbers.
        vocab_size: how many different tokens there are, v.
        steps: how many times the table is moved.
        learning_rate: by how much: table ← table − learning_rate · gradient. A row moves by its
            share of the text, so the rate may be far above 1.

    Returns:
        (v v) logits, without gradient: softmax(logits[a])[b] estimates how likely b follows a.
    """
    pairs = tokens[:-1] * vocab_size + tokens[1:]
    counts = pairs.bincount(minlength=vocab_size * vocab_size)
    share = rearrange(counts, "(a b) -> a b", b=vocab_size) / len(pairs)
    logits = torch.zeros_like(share, requires_grad=True)
    for _ in range(steps):
        loss = -(share * logits.log_softmax(dim=-1)).sum()
        (gradient,) = torch.autograd.grad(loss, logits)
        with torch.no_grad():
            logits -= learning_rate * gradient
    return logits.detach()


class NgramModel:
    """Counts of all n-grams up to one order, and the probabilities they give; made for speed.

    Left to itself it trusts a context as far as it knows it. From the count of every token that
    followed a context, `types` different ones, a discount D is taken; what that frees goes to the
    guess from one token less, down to the empty context, which leans on 1 / v:

        p(token | context) = (max(count − D, 0) + D · types · p(token | context without its oldest
                             token)) / (sum of the counts)

    For all but the longest n-grams, `count` is not how often they stood, but after how many
    different tokens: "Francisco" is frequent, yet unlikely anywhere but after "San". This is
    interpolated Kneser–Ney smoothing (Kneser and Ney 1995, "Improved Backing-off for M-gram
    Language Modeling"; Chen and Goodman 1998, TR-10-98). D = n₁ / (n₁ + 2 n₂) at each length, from
    how many n-grams have the count 1 and 2; one of each is added, so that 0 < D < 1.

    With `alpha` it is add-alpha smoothing of the longest context alone, the same as
    `ngram_probabilities`; with alpha 0, the bare counts.

    >>> model = NgramModel(order=2, vocab_size=3).fit(torch.tensor([0, 1, 0, 2, 0, 1]))
    >>> model.probabilities(torch.tensor([0]))
    tensor([0.1667, 0.5833, 0.2500])
    """

    # The n-grams form a tree. Level n holds those of n + 1 tokens, each as the sorted key
    # (number of its first n tokens in level n − 1) · v + last token: what follows one context
    # stands side by side. Counts, totals and types end with a 0, for number −1: never seen.

    def __init__(self, order: int, vocab_size: int, alpha: float | None = None) -> None:
        """
        Args:
            order: n, the longest n-gram: it guesses from at most n − 1 tokens.
            vocab_size: how many different tokens there are, v.
            alpha: added to each count, instead of leaning on shorter contexts.

        Raises:
            ValueError: the order is below 1.
        """
        if order < 1:
            raise ValueError(f"expected an order of at least 1 (single tokens), got {order}")
        self.order, self.vocab_size, self.alpha = order, vocab_size, alpha
        self.keys: list[Tensor] = []
        self.counts: list[Tensor] = []
        self.totals: list[Tensor] = []
        self.types: list[Tensor] = []
        self.discounts: list[float] = []

    def fit(self, tokens: Tensor) -> NgramModel:
        """Count all n-grams of `tokens`, (t) whole numbers; what was counted before is forgotten.

        Raises:
            ValueError: a token is outside the vocabulary, or the text shorter than one n-gram.
        """
        if len(tokens) < self.order:
            raise ValueError(f"order {self.order} needs as many tokens, got {len(tokens)}")
        self._check(tokens)
        self.keys, self.counts, self.totals, self.types, self.discounts = [], [], [], [], []
        context = torch.zeros_like(tokens)  # the number of the n-gram that starts at each place
        counts = context[:1]
        for n in range(self.order):
            following = context[: len(tokens) - n] * self.vocab_size + tokens[n:]
            keys, gram, often = torch.unique(following, return_inverse=True, return_counts=True)
            if n > 0:
                # Each longer n-gram is one more token before its last n tokens. (The first n-gram
                # of the text has none before it.)
                ending = torch.zeros_like(keys).index_put((gram,), context[1:])
                before = ending.bincount(minlength=len(self.keys[-1])).clamp(min=1)
                self._close_level(before if self.alpha is None else counts)
            self.keys.append(keys)
            context, counts = gram, often
        self._close_level(counts)
        return self

    def _close_level(self, counts: Tensor) -> None:
        """Keep the counts of the level whose keys came last, and what they add up to."""
        owner = self.keys[-1] // self.vocab_size
        n_contexts = len(self.keys[-2]) if len(self.keys) > 1 else 1
        zeros = counts.new_zeros(n_contexts + 1)
        self.counts.append(torch.cat([counts, zeros[:1]]))
        self.totals.append(zeros.index_add(0, owner, counts))
        self.types.append(owner.bincount(minlength=n_contexts + 1))
        once, twice = ((counts == c).sum().item() + 1 for c in (1, 2))
        self.discounts.append(once / (once + 2 * twice))

    def log_prob(self, tokens: Tensor) -> Tensor:
        """The natural logarithm of each token's probability, given the tokens before it.

        Args:
            tokens: (t) whole numbers; the first ones are guessed from what little stands before.

        Returns:
            (t) in float64; -inf where the counts say "impossible".

        Raises:
            ValueError: a token is outside the vocabulary.
        """
        self._check(tokens)
        n_tokens = len(tokens)
        probability = self._uniform(n_tokens)
        context = torch.zeros_like(tokens)
        for n in range(min(self.order, n_tokens)):
            context = context[: n_tokens - n]
            gram = self._find(n, context, tokens[n:])
            prior = probability[n:]
            probability[n:] = self._estimate(n, context, self.counts[n][gram], prior)
            context = gram
        return probability.log()

    def loss(self, tokens: Tensor) -> float:
        """The mean cross-entropy over `tokens` (t), in nats per token."""
        return -self.log_prob(tokens).mean().item()

    def probabilities(self, context: Tensor) -> Tensor:
        """How likely each token is after `context`, (any length) whole numbers: (v) in float32."""
        self._check(context)
        probability = self._uniform(self.vocab_size)
        for n in range(min(self.order, len(context) + 1)):
            number = context.new_zeros(1)
            for level, token in enumerate(context[len(context) - n :]):
                number = self._find(level, number, token)
            gram = self._find(n, number, torch.arange(self.vocab_size, device=context.device))
            probability = self._estimate(n, number, self.counts[n][gram], probability)
        return probability.float()

    def generate(
        self,
        n_tokens: int,
        context: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Write `n_tokens` more tokens after `context`, each drawn by `sample`: (n_tokens)."""
        text = torch.zeros(0, dtype=torch.int64) if context is None else context
        for _ in range(n_tokens):
            recent = text[max(0, len(text) - self.order + 1) :]
            token = sample(self.probabilities(recent).log(), temperature, generator)
            text = torch.cat([text, token.view(1)])
        return text[len(text) - n_tokens :]

    def _check(self, tokens: Tensor) -> None:
        if len(tokens) and (tokens.min() < 0 or tokens.max() >= self.vocab_size):
            span = f"{tokens.min().item()} to {tokens.max().item()}"
            raise ValueError(f"expected tokens from 0 to {self.vocab_size - 1}, got {span}")

    def _uniform(self, size: int) -> Tensor:
        return torch.full((size,), 1 / self.vocab_size, dtype=torch.float64)

    def _find(self, n: int, context: Tensor, token: Tensor) -> Tensor:
        """The numbers in level n of `context` (numbers in level n − 1) + `token`; −1: not there."""
        key = context * self.vocab_size + token  # negative, so never found, after an unseen context
        place = torch.searchsorted(self.keys[n], key).clamp(max=len(self.keys[n]) - 1)
        return place.where(self.keys[n][place] == key, -1)

    def _estimate(self, n: int, context: Tensor, count: Tensor, prior: Tensor) -> Tensor:
        """The probability of what was counted after `context`, given that of one token less."""
        total = self.totals[n][context].double()
        if self.alpha is not None:
            total = total + self.alpha * self.vocab_size
            kept, prior = count + self.alpha, torch.full_like(prior, 1 / self.vocab_size)
        else:
            freed = self.discounts[n] * self.types[n][context]
            kept = (count - self.discounts[n]).clamp(min=0) + freed * prior
        return torch.where(total > 0, kept / total, prior)
