"""The parts of `lib.tokenizer` that no exercise builds: patterns and pre-tokens, the order of ties,
counts with a leader, very long words, vocabularies."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import pairwise

import regex

GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""Where GPT-2 cuts a text into pre-tokens."""

GPT2_DIGITS_PATTERN = (
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?![^\s\p{N}])|\s+"
)
"""The same with every digit on its own, cut out before all else, as SmolLM2 does."""

PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where this course cuts, as Qwen does: words with the blank before them, digits one by one, runs
of punctuation, line ends, blanks."""

PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
"""The bytes that GPT-2's byte alphabet shows as the Latin-1 characters of the same number."""

ALPHABET = PRINTABLE + [byte for byte in range(256) if byte not in PRINTABLE]
"""All bytes in the order of that alphabet: printable first, the rest after."""

AGE = {byte: age for age, byte in enumerate(ALPHABET)}
"""The place of each byte in `ALPHABET`."""


@lru_cache(maxsize=32)
def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a pattern so that what lies between its matches counts as pre-tokens as well.

    Raises:
        ValueError: it is no regular expression.
    """
    try:
        return regex.compile(rf"(?:{pattern})|(?s:.+?)(?=(?:{pattern})|\Z)")
    except regex.error as error:
        raise ValueError(f"the pattern {pattern!r} is no regular expression: {error}") from None


def split_words(text: str, pattern: str = PATTERN) -> Iterator[str]:
    """Cut a text into pre-tokens; put together, they are the text again.

    >>> list(split_words("It's 42, yes"))
    ['It', "'s", ' ', '4', '2', ',', ' yes']
    """
    for match in compile_pattern(pattern).finditer(text):
        yield match[0]


def well_formed(text: str) -> str:
    r"""A text that has UTF-8: halves of characters (surrogates) are joined where they are pairs
    and become U+FFFD where they are alone. Any other text is given back as it is.

    >>> well_formed("\ud83d\ude00, \ud83d")
    '😀, �'
    """
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encode_long_word(ids: Sequence[int], merges: Mapping[tuple[int, int], int]) -> list[int]:
    """The same as `encode_word`, for thousands of ids: n·log n steps instead of n².

    Pairs wait in a heap, oldest merge first, then from left to right; the ids are a linked list.
    """
    word, n = list(ids), len(ids)
    left, right = list(range(-1, n - 1)), list(range(1, n + 1))
    heap = [(merges[p], i, p) for i, p in enumerate(pairwise(word)) if p in merges]
    heapq.heapify(heap)
    while heap:
        new_id, i, pair = heapq.heappop(heap)
        j = right[i]
        if j == n or (word[i], word[j]) != pair:
            continue  # one of the two was merged in the meantime
        word[i], word[j] = new_id, -1
        right[i] = right[j]
        if right[i] < n:
            left[right[i]] = i
        for k in (left[i], i):
            if k >= 0 and right[k] < n:
                pair = (word[k], word[right[k]])
                if pair in merges:
                    heapq.heappush(heap, (merges[pair], k, pair))
    return [i for i in word if i >= 0]


def tie_order(pair: tuple[int, int]) -> tuple[int, int]:
    """Of pairs that occur equally often, the one with the smallest `tie_order` is merged.

    Pairs are compared by their left token, then by their right one. Bytes come first, in the order
    of `ALPHABET`; merged tokens come after, the older first. Any rule would do, but it has to be
    fixed, or two programs learn different merges from one text. This is Hugging Face's rule.

    >>> tie_order((ord("a"), 256)) < tie_order((ord("b"), ord("a"))) < tie_order((ord(" "), 256))
    True
    """
    left, right = pair
    return AGE.get(left, left), AGE.get(right, right)


def count_words(text: str | Iterable[str], pattern: str = PATTERN) -> dict[tuple[int, ...], int]:
    """The pre-tokens of a text, or of many, as tuples of byte values, with how often each occurs.

    >>> count_words("so so")
    {(115, 111): 1, (32, 115, 111): 1}
    """
    counts: Counter[str] = Counter()
    for document in [text] if isinstance(text, str) else text:
        counts.update(split_words(well_formed(document), pattern))
    return {tuple(word.encode()): times for word, times in counts.items()}


class PairRanking(dict[tuple[int, int], int]):
    """How often each pair occurs, and which pair leads.

    A dictionary of counts; a pair that is not in it counts as 0. The count of a pair may rise only
    before `leader` has looked at it; afterwards it may only fall.

    >>> counts = PairRanking({(1, 2): 5, (2, 3): 7})
    >>> counts.leader()
    (2, 3)
    >>> counts[2, 3] -= 4
    >>> counts[9, 9] += 6
    >>> counts.leader()
    (9, 9)
    """

    def __init__(self, counts: Mapping[tuple[int, int], int]) -> None:
        super().__init__(counts)
        self.unseen = list(counts)
        self.heap: list[tuple[int, tuple[int, int], tuple[int, int]]] = []

    def __missing__(self, pair: tuple[int, int]) -> int:
        self.unseen.append(pair)
        return 0

    def leader(self) -> tuple[int, int] | None:
        """The pair that occurs most often, on ties the smallest `tie_order`; None if none does.
        Asking changes nothing: it leads until its count falls or a new pair passes it."""
        for pair in self.unseen:  # what is new since the last time
            heapq.heappush(self.heap, (-self.get(pair, 0), tie_order(pair), pair))
        self.unseen.clear()
        while self.heap:
            noted, order, pair = self.heap[0]
            count = self.get(pair, 0)
            if count == -noted > 0:
                return pair
            heapq.heappop(self.heap)
            if count > 0:  # it has fallen since it was noted: back with it
                heapq.heappush(self.heap, (-count, order, pair))
        return None


def vocabulary_of(merges: Iterable[tuple[int, int]]) -> list[bytes]:
    """The bytes behind each id: the 256 bytes, then what each merge puts together.

    Raises:
        ValueError: a merge uses an id that does not exist yet.
    """
    vocab = [bytes([byte]) for byte in range(256)]
    for left, right in merges:
        if not (0 <= left < len(vocab) and 0 <= right < len(vocab)):
            raise ValueError(
                f"merge number {len(vocab) - 256}, ({left}, {right}), uses a token that does not "
                f"exist yet: expected ids from 0 to {len(vocab) - 1}"
            )
        vocab.append(vocab[left] + vocab[right])
    return vocab


def place_special_tokens(
    names: Iterable[str] | Mapping[str, int], vocab: list[bytes]
) -> dict[str, int]:
    """Give special tokens their places in `vocab`, which grows: those asked for, else at the end.

    Raises:
        ValueError: a place is not free, or a special token is empty.
    """
    if not isinstance(names, Mapping):
        names = {name: len(vocab) + i for i, name in enumerate(dict.fromkeys(names))}
    for name, i in sorted(names.items(), key=lambda item: item[1]):
        if i == len(vocab) and name:
            vocab.append(name.encode())
        elif not (0 <= i < len(vocab) and vocab[i] == name.encode() and name):
            raise ValueError(
                f"the special token {name!r} cannot have the id {i}: expected a text that is not "
                f"empty, and the next free id, {len(vocab)}"
            )
    return dict(names)
