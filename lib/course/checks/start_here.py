"""Checks of the lesson "start_here". Oracle: counting with plain lists.

Every text is small enough to be counted by eye, but for the last ones, where chance makes the words.
"""

from __future__ import annotations

import random

from lib.course.bank import Case, Exercise


def count_by_hand(text: str, word: str) -> str:
    """Walk through the words with plain lists; ties go to the word that was seen first."""
    words = text.split()
    seen: list[str] = []
    counts: list[int] = []
    for place in range(1, len(words)):
        if words[place - 1] == word:
            if words[place] not in seen:
                seen.append(words[place])
                counts.append(0)
            counts[seen.index(words[place])] += 1
    return seen[counts.index(max(counts))] if seen else ""


def chatter(n_words: int, seed: int) -> str:
    """A text of chance in which words hide in one another: on, one, none."""
    vocabulary = ["on", "one", "none", "On", "ton,", "we", "go", "is", "it", "no"]
    draw = random.Random(seed)
    weights = [9, 4, 3, 3, 2, 5, 4, 3, 2, 1]
    return " ".join(draw.choices(vocabulary, weights, k=n_words))


MOST_COMMON_NEXT = Exercise(
    "start_here.most_common_next",
    oracle=count_by_hand,
    cases=[
        Case("one sentence", lambda: ("the cat saw a dog and the dog saw the cat", "the")),
        Case("the most common word is not the answer", lambda: ("a b c a d a d e b c", "b")),
        Case("the last pair decides", lambda: ("so far so good so good", "so")),
        Case(
            "a tie, and its last place is the end of the text",
            lambda: ("we see what we want if we", "we"),
        ),
        Case(
            "the word hides in longer words",
            lambda: (
                "he is so here we hello we help we the man she man then man other man he is",
                "he",
            ),
        ),
        Case("all equally often: the first seen wins", lambda: ("x m x z x a x k", "x")),
        Case("twice each: the first seen wins", lambda: ("x m x k x k x m x a x a x z x z", "x")),
        Case(
            "two each, letters at odds: the first seen wins", lambda: ("q w q b q w q b q h", "q")
        ),
        Case("three each: the first seen wins", lambda: ("p z p c p z p c p z p c p a", "p")),
        Case("The is not the", lambda: ("the end The day The day the Day the Day", "the")),
        Case(
            "a comma belongs to its word", lambda: ("stop, go stop, go stop here, he said", "stop")
        ),
        Case("line breaks and several spaces", lambda: ("so\nit is  so\t\tit  was so\nso", "so")),
        Case("a word that follows itself", lambda: ("ha ha ha he ha he", "ha")),
        Case("nothing ever follows it", lambda: ("this is the end", "end")),
        Case("it is not in the text", lambda: ("this is the end", "start")),
        Case("300 words of chance", lambda: (chatter(300, seed=1), "on")),
        Case("60 words of chance", lambda: (chatter(60, seed=2), "we")),
    ],
    speed=lambda: (chatter(50_000, seed=3), "on"),
    hints=(
        'Take a pencil: in "a b a c a b", which words stand right after an a, and how often does '
        "each of them?",
        "text.split() gives the words in their order, and pairwise(words) gives each of them "
        "together with the one after it. Count the second ones of those pairs whose first is the "
        "word.",
        "A Counter counts, and remembers in which order its words first came; max(counts, "
        "key=counts.get) takes the first of the most frequent. Where nothing follows the counter "
        'is empty, and the answer is "".',
    ),
)
