"""Lists of words, written as text."""

from __future__ import annotations


def word_list(text: str) -> list[str]:
    """The words of a text.

    >>> word_list("one two")
    ['one', 'two']
    """
    return text.split()


def phrase_list(text: str) -> list[str]:
    """Phrases that are parted by semicolons.

    >>> phrase_list("once more; at last")
    ['once more', 'at last']
    """
    return [" ".join(phrase.split()) for phrase in text.split(";") if phrase.strip()]
