"""Tokenization: how text becomes numbers, and comes back whole (lesson "tokenization").

Byte-pair encoding over UTF-8. A text is cut into pre-tokens (roughly words) by a pattern; each
pre-token starts as its bytes; then pairs of neighbours are merged, the oldest merge first. Here a
token's id is the byte itself below 256, and from 256 on it is a merge, in order of age.

    text ─ special tokens cut out ─ pre-tokens ─ bytes ─ encode_word ─ ids ─ decode ─ text

Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units" (arXiv
1508.07909), section 3.2; over bytes since Radford et al. 2019 (GPT-2), section 2.2.
"""

from __future__ import annotations

import math
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import regex

from lib import _tokenizer_json
from lib._tokenizer_parts import (
    GPT2_PATTERN,
    PATTERN,
    PairRanking,
    compile_pattern,
    count_words,
    encode_long_word,
    place_special_tokens,
    split_words,
    tie_order,
    vocabulary_of,
    well_formed,
)

__all__ = [
    "GPT2_PATTERN",
    "PATTERN",
    "PairRanking",
    "Tokenizer",
    "count_pairs",
    "count_words",
    "encode_long_word",
    "encode_word",
    "merge_pair",
    "split_words",
    "tie_order",
    "train_bpe",
    "well_formed",
]

LONG_WORD = 64
"""Pre-tokens of more bytes are merged with a heap, and not remembered."""

CACHED_WORDS = 2**16
"""So many different pre-tokens are remembered with their ids."""


def count_pairs(words: Mapping[tuple[int, ...], int]) -> dict[tuple[int, int], int]:
    """Count how often each pair of neighbours occurs.

    Pairs are counted inside words, never across them, and may overlap: 1 1 1 holds (1, 1) twice.

    Args:
        words: pre-tokens as tuples of ids, with how often each occurs in the text.

    Returns:
        Pair (left, right) to the number of times it occurs in the text.

    >>> count_pairs({(1, 2, 3): 10, (1, 2): 5})
    {(1, 2): 15, (2, 3): 10}
    """
    counts: dict[tuple[int, int], int] = {}
    for word, times in words.items():
        for pair in pairwise(word):
            counts[pair] = counts.get(pair, 0) + times
    return counts


def merge_pair(ids: Sequence[int], pair: tuple[int, int], new_id: int) -> list[int]:
    """Replace every occurrence of `pair` in `ids` by `new_id`, from left to right.

    An id that went into one merge is used up: 1 1 1 becomes 9 1 when (1, 1) becomes 9.

    Returns:
        A new list; `ids` stays as it is.

    >>> merge_pair([1, 1, 1, 2], (1, 1), 9)
    [9, 1, 2]
    """
    left, right = pair
    merged = []
    i = 0
    while i < len(ids):
        if ids[i] == left and i + 1 < len(ids) and ids[i + 1] == right:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def train_bpe(
    text: str | Iterable[str], vocab_size: int, pattern: str = PATTERN
) -> list[tuple[int, int]]:
    """Learn merges: again and again, the pair that occurs most often becomes a token.

    Merge number k makes the token 256 + k. On ties the smallest `tie_order` wins. Training ends
    early when no pair is left.

    Args:
        text: what to learn from: a text, or several that do not touch.
        vocab_size: how many tokens there shall be, the 256 bytes included.
        pattern: where to cut; pairs never reach across the pre-tokens that `count_words` gives.

    Returns:
        The pairs (left id, right id), oldest first. arXiv 1508.07909, algorithm 1.

    Raises:
        ValueError: `vocab_size` is smaller than the number of bytes.

    >>> train_bpe("hug hug hug pug", 259)
    [(117, 103), (104, 256), (32, 257)]
    """
    if vocab_size < 256:
        raise ValueError(f"vocab_size={vocab_size}, but the 256 bytes alone need 256")
    counted = count_words(text, pattern)
    words, times = [list(word) for word in counted], list(counted.values())
    counts = PairRanking(count_pairs(counted))
    # The words that hold a pair, or once held it.
    where: dict[tuple[int, int], set[int]] = defaultdict(set)
    for i, word in enumerate(words):
        for pair in pairwise(word):
            where[pair].add(i)
    merges: list[tuple[int, int]] = []
    while 256 + len(merges) < vocab_size and (best := counts.leader()):
        new_id = 256 + len(merges)
        merges.append(best)
        for i in where.pop(best):
            before, n = words[i], times[i]
            words[i] = after = merge_pair(before, best, new_id)
            for pair in pairwise(before):
                counts[pair] -= n
            for pair in pairwise(after):
                counts[pair] += n
                if new_id in pair:
                    where[pair].add(i)
    return merges


def encode_word(ids: Sequence[int], merges: Mapping[tuple[int, int], int]) -> list[int]:
    """Merge the ids of one pre-token as far as they go, always the oldest merge first.

    Not the longest token, not the first pair in the word: the oldest merge of all that fit, again
    and again. The older of two merges is the one that makes the smaller id.

    Args:
        ids: the bytes of the pre-token, as ids.
        merges: each pair (left, right) with the id that it becomes.

    Returns:
        The ids of the pre-token's tokens, a new list. arXiv 1508.07909, section 3.2.

    >>> encode_word([1, 2, 3], {(2, 3): 256, (1, 2): 257, (1, 256): 258})
    [258]
    """
    word = list(ids)
    while len(word) > 1:
        pair = min(pairwise(word), key=lambda pair: merges.get(pair, math.inf))
        if pair not in merges:
            break
        word = merge_pair(word, pair, merges[pair])
    return word


class Tokenizer:
    """Text to ids and back, without loss.

    Attributes:
        vocab: what each id stands for, in bytes; of a special token, its text.
        merges: each pair of ids with the id that it becomes, oldest first.
        pattern: where a text is cut into pre-tokens.
        special_tokens: special token to id. No text becomes one unless the caller allows it.
        byte_ids: the id of each of the 256 bytes.
        ignore_merges: whether a pre-token that is a token as a whole is taken whole (Llama 3).
        nfc: whether text is brought into Unicode's normal form C first (Qwen). The round trip then
            gives back the normal form, not always the very text.
    """

    def __init__(
        self,
        merges: Iterable[tuple[int, int]],
        pattern: str = PATTERN,
        special_tokens: Iterable[str] | Mapping[str, int] = (),
        *,
        vocab: Sequence[bytes] | None = None,
        ignore_merges: bool = False,
        nfc: bool = False,
    ) -> None:
        """
        Args:
            merges: pairs of ids as `train_bpe` gives them.
            pattern: where to cut a text into pre-tokens.
            special_tokens: their texts, whose ids come after all others; or text to id.
            vocab: the bytes behind each id, for vocabularies made elsewhere; left out, the 256
                bytes and then the merges.
            ignore_merges: as the attribute.
            nfc: as the attribute.

        Raises:
            ValueError: the parts do not fit together; the message says which.
        """
        self.pattern, self.ignore_merges, self.nfc = pattern, ignore_merges, nfc
        compile_pattern(pattern)  # an error now, not at the first text
        merges = list(merges)
        self.vocab = vocabulary_of(merges) if vocab is None else list(vocab)
        self.special_tokens = place_special_tokens(special_tokens, self.vocab)
        special_ids = set(self.special_tokens.values())
        self.token_ids = {t: i for i, t in enumerate(self.vocab) if i not in special_ids}
        self.byte_ids = [self._id_of(bytes([byte])) for byte in range(256)]
        self.merges = {(i, j): self._id_of(self.vocab[i] + self.vocab[j]) for i, j in merges}
        ids = list(self.merges.values())
        if ids != sorted(ids):
            raise ValueError(
                "the merges are not in the order of the ids that they make: expected the id of an "
                "older merge to be smaller"
            )
        self._cache: dict[str, list[int]] = {}

    def _id_of(self, token: bytes) -> int:
        if token not in self.token_ids:
            raise ValueError(f"the vocabulary has no token for the bytes {token!r}, which it needs")
        return self.token_ids[token]

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        pattern: str = PATTERN,
    ) -> Tokenizer:
        """Train on a text; the special tokens are counted in `vocab_size`."""
        merges = train_bpe(text, vocab_size - len(set(special_tokens)), pattern)
        return cls(merges, pattern, special_tokens)

    def __len__(self) -> int:
        return len(self.vocab)

    @property
    def vocab_size(self) -> int:
        """How many ids there are: every id is smaller than this."""
        return len(self.vocab)

    def __repr__(self) -> str:
        return f"Tokenizer({len(self)} tokens, of them {len(self.special_tokens)} special)"

    def encode(
        self,
        text: str,
        allowed_special: Collection[str] = frozenset(),
        disallowed_special: Collection[str] = "all",
    ) -> list[int]:
        """Text to ids: special tokens are cut out, what lies between goes pre-token by pre-token.

        Args:
            text: any string.
            allowed_special: special tokens that become their id, the longest where several fit;
                "all" for all of them.
            disallowed_special: texts that raise an error; "all" for all special tokens that are not
                allowed. What is in neither is encoded like other text: () refuses nothing.

        Raises:
            ValueError: the text contains a disallowed special token.
        """
        allowed = set(self.special_tokens if allowed_special == "all" else allowed_special)
        allowed &= set(self.special_tokens)
        refused = disallowed_special
        if disallowed_special == "all":
            refused = set(self.special_tokens) - allowed
        for special in refused:
            if special in text:
                raise ValueError(
                    f"the text contains the special token {special!r}: allow it with "
                    "allowed_special, or encode it as text with disallowed_special=()"
                )
        longest_first = sorted(allowed, key=len, reverse=True)
        cuts = "|".join(regex.escape(special) for special in longest_first)
        ids: list[int] = []
        for part in regex.split(f"({cuts})", text) if allowed else [text]:
            if part in allowed:
                ids.append(self.special_tokens[part])
            else:
                for word in self.words(part):
                    ids.extend(self.encode_cached(word))
        return ids

    def encode_ordinary(self, text: str) -> list[int]:
        """Encode a text in which nothing is special."""
        return self.encode(text, disallowed_special=())

    def words(self, text: str) -> Iterator[str]:
        """The pre-tokens of a text."""
        text = well_formed(text)
        return split_words(unicodedata.normalize("NFC", text) if self.nfc else text, self.pattern)

    def encode_cached(self, word: str) -> list[int]:
        """The ids of one pre-token, remembered from the last time if it is short. Do not change
        the list."""
        ids = self._cache.get(word)
        if ids is None:
            raw = word.encode()
            ids = [self.byte_ids[byte] for byte in raw]
            if self.ignore_merges and raw in self.token_ids:
                ids = [self.token_ids[raw]]
            elif len(raw) > LONG_WORD:
                return encode_long_word(ids, self.merges)
            else:
                ids = encode_word(ids, self.merges)
            if len(self._cache) >= CACHED_WORDS:
                self._cache.clear()
            self._cache[word] = ids
        return ids

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes behind one id. Raises `ValueError` when there is no such id."""
        if not 0 <= token_id < len(self.vocab):
            raise ValueError(
                f"there is no token {token_id}: ids go from 0 to {len(self.vocab) - 1}"
            )
        return self.vocab[token_id]

    def decode(self, ids: Iterable[int]) -> str:
        """Ids to text. Bytes that are not UTF-8 become U+FFFD (�), never an error.

        A character may be spread over several tokens: the bytes are joined first, then read.

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def save(self, path: str | Path) -> None:
        """Write a Hugging Face `tokenizer.json`, whole or not at all."""
        _tokenizer_json.save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> Tokenizer:
        """Read a Hugging Face `tokenizer.json` that holds a byte-level BPE: one that `save` wrote,
        or GPT-2's, Llama 3's, Qwen's. Ids stay as they are there; what the file adds by itself at
        the start or end of a text is left out.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is something else, or uses what this class does not know; one line says
                what.
        """
        return _tokenizer_json.load(Path(path), cls)
