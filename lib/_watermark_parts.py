"""The parts of `lib.watermark` that no exercise builds: numbers out of a key, where a text is
counted, tails of distributions, what a detector found, and lists that are too simple.

Whoever detects must find the very numbers that whoever wrote has used: on another machine, another
device, years later. So they come from whole numbers alone, never from a random generator, whose
stream may change with the device and the version, and never from Python's `hash`.
"""

from __future__ import annotations

import hashlib
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

WORD = 2**32 - 1
"""All 32 bits of a word."""

START = 0x9E3779B9
"""The state before anything is mixed in: any number but 0 would do."""

WIDTH = 2
"""How many tokens make up a context, if nobody says otherwise."""


# --- numbers out of a key -------------------------------------------------------------------------


def key_of(text: str) -> int:
    """A key from a text: the same text, the same key, everywhere.

    Digits alone are the number they write. Anything else becomes the first 64 bits of its SHA-256.

    >>> key_of("42"), key_of("the mayor's cat")
    (42, 17637802823259279782)
    """
    if text.isascii() and text.isdigit():
        return check_key(int(text))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def check_key(key: int) -> int:
    """The key.

    Raises:
        ValueError: it is no whole number from 0 to 2⁶⁴ − 1.
    """
    if not isinstance(key, int) or isinstance(key, bool) or not 0 <= key < 2**64:
        raise ValueError(
            f"expected a key from 0 to 2**64 - 1, got {key!r}: key_of(text) makes one of a text"
        )
    return key


def mix(words: Tensor) -> Tensor:
    """Scramble 32-bit words: change one bit, and each bit of the result changes with chance 1/2.

    Two words never become the same one. The multipliers have 31 bits at most, so that no product
    leaves 63 bits: int64 holds it on every device.

    Args:
        words: (...) int64, from 0 to 2³² − 1.

    Returns:
        (...) likewise.
    """
    words = words ^ (words >> 17)
    words = words * 0x6D5AD4BB & WORD
    words = words ^ (words >> 11)
    words = words * 0x2C4C1B51 & WORD
    words = words ^ (words >> 15)
    words = words * 0x31848BAB & WORD
    return words ^ (words >> 14)


def keyed_hash(key: int, *words: Tensor) -> Tensor:
    """A 32-bit number from a key and words in their order: looks random, and is always the same.

    The state starts from the key; each word is combined with it by exclusive or, and the result is
    mixed. It is no cryptographic hash: it hides the key from readers, not from those who set out
    to find it.

    Args:
        key: from 0 to 2⁶⁴ − 1.
        words: whole numbers, such as token ids, whose shapes go together (they are broadcast).
            Of each its lowest 32 bits count: −1 is a word as well.

    Returns:
        (...) int64, from 0 to 2³² − 1, in the shape that the words have together.

    Raises:
        ValueError: the key is none.
    """
    check_key(key)
    device = words[0].device if words else None
    state = torch.tensor(START, device=device)
    for word in (torch.tensor(key & WORD), torch.tensor(key >> 32), *words):
        state = mix(state ^ (word.to(device=state.device, dtype=torch.int64) & WORD))
    return state


def keyed_uniform(key: int, *words: Tensor) -> Tensor:
    """A number between 0 and 1 from a key and words in their order, as if drawn at random.

    The same key and words give the same number, bit by bit, on every machine and device.

    Args:
        key: from 0 to 2⁶⁴ − 1.
        words: as for `keyed_hash`: whole numbers whose shapes go together.

    Returns:
        (...) float64, above 0 and below 1: `(keyed_hash(key, *words) + 1/2) / 2³²`.

    >>> keyed_uniform(7, torch.tensor([3, 4]), torch.tensor([4, 3])).float()
    tensor([0.5823, 0.1282])
    """
    return (keyed_hash(key, *words).double() + 0.5) / 2**32


# --- where a text is counted ----------------------------------------------------------------------


def last_tokens(tokens: Tensor, width: int) -> Tensor:
    """The last `width` tokens of each text, (b width); −1 before the beginning of short ones.

    >>> last_tokens(torch.tensor([[5, 6, 7], [-1, -1, 8]]), 2).tolist()
    [[6, 7], [-1, 8]]
    """
    missing = max(0, width - tokens.size(1))
    padded = torch.nn.functional.pad(tokens, (missing, 0), value=-1)
    return padded[:, padded.size(1) - width :]


def repeated(tokens: Tensor, width: int) -> Tensor:
    """Whether the last `width` tokens of each text stood in it before, one after the other.

    Args:
        tokens: (b t), −1 where there is no token.
        width: 1 at least.

    Returns:
        (b) bool; False where the text is shorter.
    """
    if tokens.size(1) <= width:
        return torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    windows = tokens.unfold(1, width, 1)  # (b n width)
    newest = windows[:, -1:]
    found = (windows[:, :-1] == newest).all(dim=2).any(dim=1)
    return found & (newest >= 0).all(dim=2).squeeze(1)


def counted_places(
    tokens: Sequence[int] | Tensor, width: int, n_prompt: int = 0, count_repeats: bool = False
) -> list[int]:
    """The places of a text whose token is counted: each context the first time it comes.

    A text that repeats itself asks the key the same question again and again: counting the answer
    each time would mistake one coincidence for many.

    Args:
        tokens: the text, (t).
        width: how many tokens before make up the context; places with fewer are not counted.
        n_prompt: how many tokens at the beginning nobody has watermarked: they are not counted,
            but stand in contexts.
        count_repeats: count every place, to see what goes wrong.

    >>> counted_places([1, 2, 1, 2, 3, 1, 2], width=2)
    [2, 3, 5, 6]
    """
    ids, seen, places = as_ids(tokens), set(), []
    for place in range(max(width, n_prompt), len(ids)):
        context = tuple(ids[place - width : place])
        if count_repeats or context not in seen:
            seen.add(context)
            places.append(place)
    return places


def counted_words(
    tokens: Sequence[int] | Tensor, width: int, n_prompt: int = 0, count_repeats: bool = False
) -> tuple[Tensor, Tensor]:
    """Contexts (n width) and tokens (n) of `counted_places`."""
    places = counted_places(tokens, width, n_prompt, count_repeats)
    ids = as_ids(tokens)
    contexts = [ids[place - width : place] for place in places]
    followers = torch.tensor([ids[place] for place in places], dtype=torch.int64)
    return torch.tensor(contexts, dtype=torch.int64).view(len(places), width), followers


def as_ids(tokens: Sequence[int] | Tensor) -> list[int]:
    """A text as a list of ids.

    Raises:
        ValueError: it is a batch, or holds something else.
    """
    ids = tokens.tolist() if isinstance(tokens, Tensor) else list(tokens)
    try:
        return [operator.index(token) for token in ids]
    except TypeError:
        raise ValueError(f"expected one text, a list of token ids, got {ids[:3]!r} …") from None


# --- tails ----------------------------------------------------------------------------------------


def binomial_tail(least: int, n: int, p: float) -> float:
    """The chance of `least` successes or more in `n` trials that succeed with chance `p`, exactly.

    >>> round(binomial_tail(2, 3, 0.5), 6)
    0.5
    """
    if least <= 0:
        return 1.0
    k = torch.arange(least, n + 1, dtype=torch.float64)
    ways = math.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma(n - k + 1)
    return _chance((ways + k * math.log(p) + (n - k) * math.log1p(-p)).logsumexp(0))


def gamma_tail(least: float, n: int) -> float:
    """The chance that a sum of `n` waiting times, exponential with mean 1, is `least` or more.

    Such a sum has the Gamma(n, 1) distribution. It is that long if fewer than n events come
    meanwhile, and how many come is known: Poisson. So the tail is Σ e⁻ˢ sᵏ / k! over k < n.

    >>> round(gamma_tail(1.0, 1), 6), gamma_tail(0.0, 5)
    (0.367879, 1.0)
    """
    if least <= 0 or n == 0:
        return 1.0
    k = torch.arange(n, dtype=torch.float64)
    return _chance((k * math.log(least) - least - torch.lgamma(k + 1)).logsumexp(0))


def _chance(logarithm: Tensor) -> float:
    """A probability from its logarithm; rounding must not make it larger than 1."""
    return min(1.0, math.exp(logarithm.item()))


# --- what a detector found ------------------------------------------------------------------------


@dataclass(frozen=True)
class Detection:
    """What a detector found in a text.

    Attributes:
        n_counted: how many tokens were counted.
        score: their scores together: for green lists, how many are green.
        p_value: how likely so high a score is, or a higher one, in a text written without the key.
        mean: what one token scores by chance, on average.
        variance: and its variance.
    """

    n_counted: int
    score: float
    p_value: float
    mean: float
    variance: float

    @property
    def share(self) -> float:
        """The score of a token on average: for green lists, the share of green tokens."""
        return self.score / self.n_counted if self.n_counted else 0.0

    @property
    def z(self) -> float:
        """How many standard deviations the score lies above what chance gives."""
        if not self.n_counted:
            return 0.0
        spread = math.sqrt(self.n_counted * self.variance)
        return (self.score - self.n_counted * self.mean) / spread


def check_settings(
    key: int, width: int, gamma: float = 0.5, n_prompt: int = 0, n_layers: int = 1
) -> None:
    """
    Raises:
        ValueError: a setting of a watermark is out of its range.
    """
    check_key(key)
    if width < 0 or n_prompt < 0:
        raise ValueError(f"expected width and n_prompt of 0 or more, got {width} and {n_prompt}")
    if not 0 < gamma < 1:
        raise ValueError(f"expected gamma above 0 and below 1, got {gamma}")
    if not 1 <= n_layers <= 32:
        raise ValueError(f"expected 1 to 32 layers, got {n_layers}: each takes one bit of 32")


def check_edit(share: float, kind: str, vocab_size: int) -> None:
    """
    Raises:
        ValueError: a setting of `attack_edit` is out of its range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"expected a share from 0 to 1, got {share}")
    if kind not in ("replace", "delete", "insert"):
        raise ValueError(f'kind is "replace", "delete" or "insert", got {kind!r}')
    if vocab_size < 2:
        raise ValueError(f"expected a vocabulary of 2 tokens at least, got {vocab_size}")


# --- lists that are too simple --------------------------------------------------------------------


class OddEvenWatermark:
    """A processor with two lists, which take turns: one for odd places, the rest for even ones.

    It hides a sign well, until somebody adds or drops a single token: from there on each place
    is looked up in the wrong list.
    """

    def __init__(self, key: int, delta: float = 2.0) -> None:
        """
        Args:
            key: decides which half of the tokens is whose.
            delta: is added to the logits of the list whose turn it is.
        """
        self.key, self.delta = check_key(key), delta

    def __call__(self, tokens: Tensor, logits: Tensor) -> Tensor:
        """Texts so far (b t), −1 where there is no token, and logits (b v), to logits (b v)."""
        place = (tokens >= 0).sum(dim=1)
        ids = torch.arange(logits.size(-1), device=logits.device)
        odd = rearrange(place % 2 == 1, "b -> b 1")
        return torch.where(_odd_list(self.key, ids) == odd, logits + self.delta, logits)


def _odd_list(key: int, tokens: Tensor) -> Tensor:
    return keyed_uniform(key, tokens) < 0.5


def detect_odd_even(tokens: Sequence[int] | Tensor, key: int, n_prompt: int = 0) -> Detection:
    """How many tokens stand in the list of their place?

    Args:
        tokens: the whole text, its prompt included: (t).
        key: the key.
        n_prompt: how many tokens at the beginning do not count.
    """
    check_settings(key, 0, n_prompt=n_prompt)
    ids = torch.tensor(as_ids(tokens), dtype=torch.int64)
    odd = torch.arange(len(ids)) % 2 == 1
    right = int((_odd_list(key, ids) == odd)[n_prompt:].sum())
    n = max(0, len(ids) - n_prompt)
    return Detection(n, right, binomial_tail(right, n, 0.5), 0.5, 0.25)
