"""Watermarks: can we tell that our model wrote this? (lesson "watermarking")

Where several tokens would do, a secret key decides between them. Readers notice nothing; whoever
has the key asks of each token how well it agrees with the key, and whether chance could explain
that. The tokens just before, the context, say which question the key is asked, so that edits do
only local harm. Shapes are told by one letter each: b texts, t tokens, h tokens of a context, v the
vocabulary.

    context + key ─┬─ green_list ─ GreenListWatermark ─── a few likelier ───┬─ text ─ detect
                   ├─ gumbel_sample ─ GumbelWatermark ─── the same chance ──┤       ─ gumbel_score
                   └─ TournamentWatermark ─────────────── the same chance ──┘  detect_tournament

Each watermark is a `Processor` of `lib.generation` that looks only at the tokens before, and
remembers nothing. Put it last: what the others have left is what the key decides about.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor

from lib._watermark_parts import (
    WIDTH,
    Detection,
    OddEvenWatermark,
    as_ids,
    binomial_tail,
    check_edit,
    check_settings,
    counted_places,
    counted_words,
    detect_odd_even,
    gamma_tail,
    key_of,
    keyed_hash,
    keyed_uniform,
    last_tokens,
    mix,
    repeated,
)

__all__ = [
    "WIDTH",
    "Detection",
    "GreenListWatermark",
    "GumbelWatermark",
    "OddEvenWatermark",
    "TournamentWatermark",
    "attack_edit",
    "colours",
    "counted_places",
    "detect",
    "detect_odd_even",
    "detect_tournament",
    "gamma_tail",
    "green_list",
    "gumbel_sample",
    "gumbel_score",
    "key_of",
    "keyed_hash",
    "keyed_uniform",
    "last_tokens",
    "mix",
    "repeated",
]


# --- green lists ----------------------------------------------------------------------------------


def green_list(context: Tensor, key: int, vocab_size: int, gamma: float = 0.25) -> Tensor:
    """Which tokens are green after this context?

    Each token has a number between 0 and 1, that of `keyed_uniform(key, the tokens of the context
    from the oldest on, the token itself)`; it is green if that is below `gamma`. So the key and the
    context decide, and nothing else. After Kirchenbauer et al. 2023 (arXiv 2301.10226), algorithm
    2; there a list has exactly the share γ, here each token is green with that chance.

    Args:
        context: the tokens just before, oldest first, (... h); −1 before the beginning of a text.
            With h = 0 all lists are the same.
        key: from 0 to 2⁶⁴ − 1.
        vocab_size: how many tokens there are, v.
        gamma: the chance of each token to be green.

    Returns:
        (... v) bool, on the device of the context.

    >>> green_list(torch.tensor([[8, 5], [5, 8]]), key=1, vocab_size=6, gamma=0.5).int()
    tensor([[0, 0, 0, 0, 1, 1],
            [1, 1, 0, 0, 1, 1]], dtype=torch.int32)
    """
    ids = torch.arange(vocab_size, device=context.device).expand(*context.shape[:-1], vocab_size)
    words = rearrange(context, "... h -> h ... 1")
    return keyed_uniform(key, *words, ids) < gamma


class GreenListWatermark:
    """A processor that makes green tokens likelier (arXiv 2301.10226, algorithm 2).

    Where the model is sure, the bonus changes little; where many tokens would do, most that are
    drawn are green. It is seen by `detect`, with the same key, gamma and width.

    Attributes:
        key: decides which tokens are green.
        gamma: the chance of each token to be green.
        delta: is added to the logits of green tokens.
        width: how many tokens make up a context; 0 for one list that never changes.
    """

    def __init__(
        self, key: int, gamma: float = 0.25, delta: float = 2.0, width: int = WIDTH
    ) -> None:
        """
        Args:
            key: see above; `key_of(text)` makes one of a text.
            gamma: likewise.
            delta: likewise.
            width: likewise.

        Raises:
            ValueError: a setting is out of its range.
        """
        check_settings(key, width, gamma)
        self.key, self.gamma, self.delta, self.width = key, gamma, delta, width

    def __call__(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """Add `delta` to the logits of the tokens that are green after each text.

        Each row has its own context, its last `width` tokens: `last_tokens(tokens, width)`. The
        list covers all logits, however many there are. What is -inf stays so.

        Args:
            tokens: the texts so far, (b t), −1 where there is no token.
            logits: of the next token, (b v). They stay as they are.

        Returns:
            (b v)
        """
        context = last_tokens(tokens, self.width).to(logits.device)
        green = green_list(context, self.key, logits.size(-1), self.gamma)
        return torch.where(green, logits + self.delta, logits)


def detect(
    tokens: Sequence[int] | Tensor,
    key: int,
    gamma: float = 0.25,
    width: int = WIDTH,
    n_prompt: int = 0,
    count_repeats: bool = False,
) -> Detection:
    """Are more tokens green than chance explains?

    A token is counted if `width` tokens stand before it, it is not part of the prompt, and no
    counted token before it had the same context: a text that repeats itself asks the key the same
    question again. Of n counted tokens, g are green; in a text written without the key each is with
    chance γ. The p-value is the chance of g green tokens or more, exactly:
    Σ n! / (k! (n − k)!) γᵏ (1 − γ)ⁿ⁻ᵏ over k = g … n.

    Args:
        tokens: the text, (t).
        key: as for the watermark.
        gamma: likewise.
        width: likewise.
        n_prompt: how many tokens at the beginning are a prompt: they are not counted, but stand in
            the contexts of those that come after.
        count_repeats: count every token, to see what goes wrong; for `width` 0 there is no other
            way.

    Returns:
        A `Detection`: how many were counted, how many are green, the p-value, and γ and γ(1 − γ):
        mean and variance of one token. With nothing to count, the p-value is 1.

    Raises:
        ValueError: a setting is out of its range.

    >>> found = detect(range(100), key=4)
    >>> found.n_counted, found.score, round(found.p_value, 3)
    (98, 27, 0.315)
    """
    check_settings(key, width, gamma, n_prompt)
    ids, seen, contexts, followers = as_ids(tokens), set(), [], []
    for place in range(max(width, n_prompt), len(ids)):
        context = tuple(ids[place - width : place])
        if count_repeats or context not in seen:
            seen.add(context)
            contexts.append(context)
            followers.append(ids[place])
    n = len(followers)
    words = torch.tensor(contexts, dtype=torch.int64).view(n, width)
    green = keyed_uniform(key, *words.unbind(1), torch.tensor(followers, dtype=torch.int64)) < gamma
    g = int(green.sum())
    k = torch.arange(g, n + 1, dtype=torch.float64)
    ways = math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    tail = (ways + k * math.log(gamma) + (n - k) * math.log(1 - gamma)).logsumexp(0).exp()
    return Detection(n, g, min(1.0, tail.item()), gamma, gamma * (1 - gamma))


def colours(
    tokens: Sequence[int] | Tensor,
    key: int,
    gamma: float = 0.25,
    width: int = WIDTH,
    n_prompt: int = 0,
) -> list[bool | None]:
    """The colour of each token, to show it: True is green, False is red, None is not counted.

    `detect` finds as many green ones as here are.

    Args:
        tokens: the text, (t).
        key: as for `detect`, and so are the other settings.
        gamma: likewise.
        width: likewise.
        n_prompt: likewise.
    """
    check_settings(key, width, gamma, n_prompt)
    contexts, followers = counted_words(tokens, width, n_prompt)
    green = (keyed_uniform(key, *contexts.unbind(1), followers) < gamma).tolist()
    found: list[bool | None] = [None] * len(as_ids(tokens))
    for place, is_green in zip(counted_places(tokens, width, n_prompt), green):
        found[place] = is_green
    return found


# --- the same chance, decided by the key ----------------------------------------------------------


def gumbel_sample(logits: Tensor, context: Tensor, key: int, temperature: float = 1.0) -> Tensor:
    """Draw a token with the probabilities softmax(logits / T), where the key rolls the dice.

    Each token has a number u between 0 and 1, that of `keyed_uniform(key, the tokens of the context
    from the oldest on, the token itself)`. The token with the largest u^(1/p) is drawn, where p is
    its probability. Over all keys, each token is drawn with exactly its p: the text is no worse;
    but what is drawn has a large u. Aaronson and Kirchner's scheme of 2022; the trick is Gumbel's.

    Args:
        logits: (b v); what is -inf is never drawn.
        context: the tokens just before, oldest first, (b h).
        key: from 0 to 2⁶⁴ − 1.
        temperature: T; at 0 the likeliest token is taken, and the key has no say.

    Returns:
        (b) token ids.

    Raises:
        ValueError: the temperature is below 0.

    >>> gumbel_sample(torch.zeros(2, 50), torch.tensor([[8, 5], [5, 8]]), key=1).tolist()
    [32, 12]
    """
    if temperature < 0:
        raise ValueError(f"expected a temperature of 0 or more, got {temperature}")
    if temperature == 0:
        return logits.argmax(dim=-1)
    ids = torch.arange(logits.size(-1), device=logits.device)
    words = rearrange(context, "b h -> h b 1")
    u = keyed_uniform(key, *words, ids)
    # The largest u^(1/p) has the largest log p − log(−log u), which underflows nowhere.
    return ((logits.double() / temperature) - (-u.log()).log()).argmax(dim=-1)


def gumbel_score(
    tokens: Sequence[int] | Tensor, key: int, width: int = WIDTH, n_prompt: int = 0
) -> Detection:
    """Do the tokens have larger numbers than chance explains?

    A counted token scores −ln(1 − u), with u as for `gumbel_sample`; which tokens are counted is
    told by `counted_words`. In a text written without the key each score is exponential with mean
    1, so that the sum of n has the Gamma(n, 1) distribution; the p-value is the chance of such a
    sum or a larger one, `gamma_tail(sum, n)`.

    Args:
        tokens: the text, (t).
        key: as for `gumbel_sample`.
        width: how many tokens make up a context.
        n_prompt: how many tokens at the beginning are not counted.

    Returns:
        A `Detection`: how many were counted, the sum, the p-value; mean and variance of one are 1.

    Raises:
        ValueError: a setting is out of its range.

    >>> found = gumbel_score(range(100), key=1)
    >>> found.n_counted, round(found.score, 3), round(found.p_value, 3)
    (98, 96.922, 0.53)
    """
    check_settings(key, width, n_prompt=n_prompt)
    contexts, followers = counted_words(tokens, width, n_prompt)
    u = keyed_uniform(key, *contexts.unbind(1), followers)
    score = -torch.log1p(-u).sum().item()
    return Detection(len(u), score, gamma_tail(score, len(u)), 1.0, 1.0)


class GumbelWatermark:
    """A processor that leaves one token, the one that `gumbel_sample` draws.

    The logits it is given are those after temperature and processors, so that it draws from what
    they have left. It must come last, and wants a temperature above 0: `generate` does not divide
    by a temperature of 0, and the text would be that of temperature 1. The same key writes the same
    text after the same prompt.

    Attributes:
        key: rolls the dice.
        width: how many tokens make up a context.
        skip_repeats: leave the draw to chance where the context stood in the text before. Else
            a text that has come back to a context may go round in circles for ever.
    """

    def __init__(self, key: int, width: int = WIDTH, skip_repeats: bool = True) -> None:
        """
        Args:
            key: see above.
            width: likewise.
            skip_repeats: likewise.

        Raises:
            ValueError: a setting is out of its range.
        """
        check_settings(key, width)
        self.key, self.width, self.skip_repeats = key, width, skip_repeats

    def __call__(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """Texts so far (b t), −1 where there is no token, and logits (b v), to logits (b v)."""
        tokens = tokens.to(logits.device)
        drawn = gumbel_sample(logits, last_tokens(tokens, self.width), self.key)
        drawn = rearrange(drawn, "b -> b 1")
        alone = torch.full_like(logits, float("-inf")).scatter(1, drawn, 0.0)
        return _unless_repeated(self, tokens, logits, alone)


class TournamentWatermark:
    """A processor in which tokens play a tournament, and the key decides who wins.

    Each token has a bit of 0 or 1 in each layer. Two tokens drawn by chance meet, the one with the
    larger bit goes on to the next layer, and where both have the same, chance decides. What comes
    out is computed, not played: in each layer p becomes p (1 + g − Σ p g), where g are the bits.
    Over all keys p stays as it is. Dathathri et al. 2024, "SynthID-Text" (Nature 634).

    As `GumbelWatermark` it takes what temperature and processors have left, and should come last;
    chance has the last word, so that the same prompt may be answered differently.

    Attributes:
        key: decides the bits.
        n_layers: how many layers, 1 to 32.
        width: how many tokens make up a context.
        skip_repeats: let the model write unmarked where the context stood in the text before.
    """

    def __init__(
        self, key: int, n_layers: int = 30, width: int = WIDTH, skip_repeats: bool = True
    ) -> None:
        """
        Args:
            key: see above.
            n_layers: likewise.
            width: likewise.
            skip_repeats: likewise.

        Raises:
            ValueError: a setting is out of its range.
        """
        check_settings(key, width, n_layers=n_layers)
        self.key, self.n_layers, self.width, self.skip_repeats = key, n_layers, width, skip_repeats

    def __call__(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """Texts so far (b t), −1 where there is no token, and logits (b v), to logits (b v)."""
        tokens = tokens.to(logits.device)
        words = rearrange(last_tokens(tokens, self.width), "b h -> h b 1")
        bits = keyed_hash(self.key, *words, torch.arange(logits.size(-1), device=logits.device))
        p = logits.float().softmax(dim=-1)
        for layer in range(self.n_layers):
            g = bits >> layer & 1
            p = p * (1 + g - (p * g).sum(dim=-1, keepdim=True)).clamp(min=0)
        return _unless_repeated(self, tokens, logits, p.log().to(logits.dtype))


def _unless_repeated(
    mark: GumbelWatermark | TournamentWatermark, tokens: Tensor, logits: Tensor, marked: Tensor
) -> Tensor:
    """Marked logits, but those of the model where a context comes again."""
    if not mark.skip_repeats or mark.width == 0:
        return marked
    return torch.where(rearrange(repeated(tokens, mark.width), "b -> b 1"), logits, marked)


def detect_tournament(
    tokens: Sequence[int] | Tensor,
    key: int,
    n_layers: int = 30,
    width: int = WIDTH,
    n_prompt: int = 0,
) -> Detection:
    """Have the tokens won more than chance explains?

    A counted token scores the mean of its bits. By chance every bit is 1 with chance 1/2, so that
    the p-value is the binomial tail over all bits of all counted tokens.

    Args:
        tokens: the text, (t).
        key: as for `TournamentWatermark`.
        n_layers: likewise.
        width: likewise.
        n_prompt: how many tokens at the beginning are not counted.

    Returns:
        A `Detection`: how many were counted, the sum of their scores, the p-value.
    """
    check_settings(key, width, n_prompt=n_prompt, n_layers=n_layers)
    contexts, followers = counted_words(tokens, width, n_prompt)
    bits = keyed_hash(key, *contexts.unbind(1), followers)
    n, ones = len(bits), sum(int((bits >> layer & 1).sum()) for layer in range(n_layers))
    p_value = binomial_tail(ones, n * n_layers, 0.5)
    return Detection(n, ones / n_layers, p_value, 0.5, 0.25 / n_layers)


# --- attacks --------------------------------------------------------------------------------------


def attack_edit(
    tokens: Sequence[int],
    share: float,
    kind: Literal["replace", "delete", "insert"],
    vocab_size: int,
    generator: torch.Generator | None = None,
) -> list[int]:
    """Edit a share of a text at random places, as someone who wants to wash out a watermark.

    Of t tokens, round(share · t) different places are drawn, all equally likely. At each of them
    the token is replaced by another one, or is deleted, or one more is put in before it. New tokens
    are drawn from the whole vocabulary, all equally likely; but none is replaced by itself.

    Args:
        tokens: the text, (t); it stays as it is.
        share: from 0 to 1.
        kind: "replace", "delete" or "insert".
        vocab_size: how many tokens there are; 2 at least.
        generator: where the chance comes from: the same state, the same edits.

    Returns:
        The new text.

    Raises:
        ValueError: the share is not from 0 to 1, the kind is none of these, or there are fewer than
            2 tokens.

    >>> len(attack_edit(range(20), 0.25, "delete", vocab_size=50))
    15
    """
    check_edit(share, kind, vocab_size)
    edited = list(tokens)
    n_edits = round(share * len(edited))
    places = torch.randperm(len(edited), generator=generator)[:n_edits].tolist()
    for place in sorted(places, reverse=True):  # from the end on: places before stay where they are
        if kind == "delete":
            del edited[place]
            continue
        n_choices = vocab_size - 1 if kind == "replace" else vocab_size
        new = int(torch.randint(n_choices, (), generator=generator))
        if kind == "replace":
            edited[place] = new + (new >= edited[place])  # step over the old one
        else:
            edited.insert(place, new)
    return edited


if __name__ == "__main__":
    from lib._watermark_cli import main

    main()
