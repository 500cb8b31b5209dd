"""The card of the corpus "town": numbers that say how varied its text is."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

from lib.corpora._town_sentences import sentences_of

_TOKEN = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]")


def words_of(text: str) -> list[str]:
    """Words in lower case, and marks."""
    return _TOKEN.findall(text.lower())


def variety(stories: Iterable[str]) -> dict[str, float]:
    """How varied stories are: distinct words, and how many sentences occur more than once.

    Args:
        stories: texts; a million words of them for the card.

    Returns:
        `words` read, the `vocabulary` (distinct words in lower case), `sentences`, and
        `repeated`, the share of sentences that stand elsewhere too, letter by letter.
    """
    words: Counter[str] = Counter()
    sentences: Counter[str] = Counter()
    for story in stories:
        words.update(word for word in words_of(story) if word[0].isalpha())
        sentences.update(sentences_of(story))
    total = sum(sentences.values())
    return {
        "words": sum(words.values()),
        "vocabulary": len(words),
        "sentences": total,
        "repeated": sum(n for n in sentences.values() if n > 1) / max(total, 1),
    }


def five_gram_bits(train: Iterable[str], held_out: Iterable[str], order: int = 5) -> float:
    """Bits per word of an interpolated Kneser–Ney model, on text it has not seen.

    Chen and Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling",
    section 3: one discount, 0.75. Words and marks both count as words; an unknown word costs as
    much as the rarest guess, one in the vocabulary plus one.

    Args:
        train: texts to count in.
        held_out: texts to guess.
        order: how many words each count spans.
    """
    counts: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order)]
    for text in train:
        tokens = ["<s>"] * (order - 1) + words_of(text)
        for at in range(order - 1, len(tokens)):
            counts[-1][tuple(tokens[at - order + 1 : at + 1])] += 1
    for n in range(order - 1, 0, -1):  # lower orders count how many words come before
        for gram in counts[n]:
            counts[n - 1][gram[1:]] += 1
    totals: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order)]
    kinds: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(order)]
    for n in range(order):
        for gram, count in counts[n].items():
            totals[n][gram[:-1]] += count
            kinds[n][gram[:-1]] += 1
    vocabulary, bits, guessed = len(counts[0]) + 1, 0.0, 0
    for text in held_out:
        tokens = ["<s>"] * (order - 1) + words_of(text)
        for at in range(order - 1, len(tokens)):
            chance = 1 / vocabulary
            for n in range(order):
                context = tuple(tokens[at - n : at])
                total = totals[n][context]
                if total:
                    gram = (*context, tokens[at])
                    seen = max(counts[n][gram] - 0.75, 0)
                    chance = (seen + 0.75 * kinds[n][context] * chance) / total
            bits -= math.log2(chance)
            guessed += 1
    return bits / max(guessed, 1)
