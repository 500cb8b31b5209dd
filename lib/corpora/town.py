"""The corpus "town": a small made-up world, told in plain English, whose truth can be checked.

A simulator lets people and animals with traits and wants live through a small story; a storyteller
tells it; a checker that shares nothing with the storyteller but the dictionary reads any text,
also a language model's, and says whether it can be read and whether it contradicts itself.

    from lib.corpora import read
    from lib.corpora.town import check_story, score_stories

    for story in read("town", size=3):
        print(story, check_story(story).consistent)

| part                | a document                                                      |
|---------------------|-----------------------------------------------------------------|
| "stories"           | a story of 70 to 300 words, in one to five paragraphs           |
| "village"           | a story of a smaller world, of a fifth of all people and things  |
| "facts"             | a story, then true sentences about it, one a line                |
| "questions"         | a story, then "Question: ..." and "Answer: ..." once to three times |
| "arithmetic"        | a sum in the town's terms, "Question: ..." and "Answer: ..."      |
| "worked_arithmetic" | the same sums with "Steps: ..." before the answer                 |
| "tellings"          | JSON: a question about somebody and a plain reply, as messages    |
| "preferences"       | JSON: such a question and two replies, the better one chosen       |
| "instructions"      | JSON: an instruction and a model answer, as messages               |
| "chats"             | JSON: two or three turns that rest on each other                   |
| "identity"          | JSON: who the assistant is, and that it is called Mini             |
| "reversals"         | JSON: words said backwards, which no instruction teaches           |

Document i depends on (seed, part, split, i) alone: on every machine and Python the same bytes, and
none is kept in memory. What is held out are combinations: who (by kind) did what with which thing,
("fox", "lend", "lantern") for instance. One combination in ten, chosen by a hash, never happens in
training; in a held-out story at least one does. For sums it is the operations, 37 + 25 say; for
tellings and preferences who is asked about, Cora the fox for instance; for conversations
`instruction` says it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from lib.corpora._base import CorpusError, Document, MadeDocuments, Request
from lib.corpora._town_card import five_gram_bits, variety
from lib.corpora._town_checker import Problem, Verdict, check_story
from lib.corpora._town_instructions import (
    CHAT_KINDS,
    INSTRUCTION_KINDS,
    Followed,
    Instruction,
    chat,
    conversation_text,
    follows,
    identity,
    instruction,
    reversal,
)
from lib.corpora._town_plots import Plot
from lib.corpora._town_preferences import (
    Preference,
    preference,
    preference_text,
    telling,
    telling_text,
)
from lib.corpora._town_questions import answer, facts_about, questions_about
from lib.corpora._town_story import story as tell_story
from lib.corpora._town_story import text_of
from lib.corpora._town_sums import arithmetic
from lib.corpora._town_tastes import Judgement, judge, true_score
from lib.corpora._town_teller import Sentence
from lib.corpora._town_themes import happen
from lib.corpora._town_world import Chance, Event, Moment, Person, Thing

__all__ = [
    "CHAT_KINDS", "INSTRUCTION_KINDS", "PARTS", "Event", "Followed", "Instruction", "Judgement",
    "Moment", "Person", "Preference", "Problem", "Story", "Thing", "Verdict", "answer",
    "arithmetic", "card", "chat", "check_story", "follows", "identity", "instruction", "judge",
    "preference", "reversal", "score_stories", "story", "telling", "true_score",
]  # fmt: skip

T = TypeVar("T")
PARTS = ("stories", "village", "facts", "questions", "arithmetic", "worked_arithmetic", "tellings",
         "preferences", "instructions", "chats", "identity", "reversals")  # fmt: skip
SIZE = 10_000
"""How many documents a split has, unless another size is asked for."""
COMBINED = ("give", "lend", "return", "find", "break", "mend", "make", "use", "trade", "eat",
            "share_out")  # fmt: skip
"""The events whose combinations of who and what are held out."""


@dataclass(frozen=True)
class Story:
    """A story and the truth about it.

    Attributes:
        text: how it is told.
        theme: what kind of story it is, "lost", "trade" and so on.
        sentences: each sentence, with the numbers of the events that it tells.
        events: everything that happened, in order, with its cause; also what is not told.
        moments: what was so right after each event: who is where, who holds what, the weather.
        people: who takes part; the first one is the hero.
        things: what changes hands.
        questions: questions that the story answers, with their answers.
        facts: true sentences about it.
        combinations: who (by kind) did what with which thing.
    """

    text: str
    theme: str
    sentences: tuple[Sentence, ...]
    events: tuple[Event, ...]
    moments: tuple[Moment, ...]
    people: tuple[Person, ...]
    things: tuple[Thing, ...]
    questions: tuple[tuple[str, str], ...]
    facts: tuple[str, ...]
    combinations: frozenset[tuple[str, str, str]]


def story(index: int, split: str = "train", seed: int = 0, part: str = "stories") -> Story:
    """Story `index` of a split, with all that is true of it.

    Args:
        index: from 0; its text is document `index` of `read("town", part, split, seed=seed)`.
        split: "train" or "held_out".
        seed: another seed, other stories.
        part: "stories" or "village".
    """
    if split not in ("train", "held_out"):
        raise CorpusError(
            f"split is 'train' or 'held_out', got {split!r}: a story is in one of them"
        )
    plot = _world(index, split, seed, remember=True, few=part == "village")
    teller = tell_story(plot)
    return Story(
        text_of(teller), plot.theme, tuple(teller.sentences), tuple(plot.events),
        tuple(plot.moments or ()), tuple(plot.people), tuple(plot.things),
        tuple(questions_about(plot, teller)), tuple(facts_about(plot, teller)),
        frozenset(combinations(plot)),
    )  # fmt: skip


@cache
def is_held_out_combination(kind: str, event: str, noun: str) -> bool:
    """Whether this never happens in training: one combination in ten is held out, by a hash."""
    return hashlib.sha256(f"{kind} {event} {noun}".encode()).digest()[0] % 10 == 0


def combinations(plot: Plot) -> set[tuple[str, str, str]]:
    """Who did what with which thing, by kinds: ("fox", "give", "lantern")."""
    return {
        (event.who.kind, event.kind, event.thing.noun)
        for event in plot.events
        if event.kind in COMBINED and event.who and event.thing
    }


def _world(
    index: int, split: str, seed: int = 0, remember: bool = False, few: bool = False
) -> Plot:
    """The world of one story, after everything has happened: the first try that fits the split."""
    for attempt in range(1000):
        which = ("village" if few else "town", seed, split, index, attempt)
        plot = happen(*which, few=few)
        held_out = any(is_held_out_combination(*names) for names in combinations(plot))
        if held_out == (split == "held_out"):
            return happen(*which, remember=True, few=few) if remember else plot
    raise AssertionError("no world in a thousand fits")


def _text(part: str, index: int, split: str, seed: int) -> str:
    """One document."""
    if part in ("arithmetic", "worked_arithmetic"):
        return arithmetic(index, split, seed).text(worked=part == "worked_arithmetic")
    if part in ("tellings", "preferences"):
        make = telling_text if part == "tellings" else preference_text
        return make(index, split, seed)
    if part in _CONVERSATIONS:
        return conversation_text(_CONVERSATIONS[part](index, split, seed))
    plot = _world(index, split, seed, few=part == "village")
    teller = tell_story(plot)
    text = text_of(teller)
    chance = Chance("ask", seed, split, index)
    if part == "facts":
        facts = facts_about(plot, teller)
        return "\n".join([text, "Facts:", *_some(chance, facts, 4)])
    if part == "questions":
        asked = _some(chance, questions_about(plot, teller), 3)
        return "\n".join([text, *(f"Question: {q}\nAnswer: {a}" for q, a in asked)])
    return text


_CONVERSATIONS = {
    "instructions": instruction, "chats": chat, "identity": identity, "reversals": reversal,
}  # fmt: skip


def _some(chance: Chance, items: Sequence[T], most: int) -> list[T]:
    """One to `most` of the items, in a random order."""
    left, taken = list(items), []
    for _ in range(1 + int(chance.random() * most)):
        if left:
            taken.append(left.pop(int(chance.random() * len(left))))
    return taken


def documents_of_town(asked: Request) -> tuple[Sequence[Document], str]:
    """The documents that were asked for, made when they are read."""
    if asked.path is not None:
        raise CorpusError(f"the corpus 'town' is made up: it takes no path, got {asked.path}")

    def make(number: int) -> Document:
        split, index = asked.split, number
        if split == "all":  # nine of training, then one held out
            last = number % 10 == 9
            split, index = ("held_out", number // 10) if last else ("train", number - number // 10)
        key = f"{asked.seed}/{asked.part}/{split}/{index}"
        return Document(key, lambda: _text(asked.part, index, split, asked.seed))

    return MadeDocuments(asked.size or SIZE, make), f"the town, made from seed {asked.seed}"


def score_stories(texts: Iterable[str]) -> dict[str, float]:
    """How good stories are, a language model's for instance.

    Args:
        texts: stories; a beginning that the model was given belongs to its story.

    Returns:
        `stories`, how many there are; the shares of them that `parse` (every sentence can be
        read), are `consistent` (and nothing contradicts anything), are `complete` (the last
        sentence ends) and are `good` (all three); `sentences`, the share of sentences that can be
        read and are true so far; and `words`, the mean length.
    """
    verdicts = [(text, check_story(text)) for text in texts]
    n = max(len(verdicts), 1)
    sentences = sum(verdict.sentences for _, verdict in verdicts)
    wrong = sum(len(verdict.problems) for _, verdict in verdicts)
    return {
        "stories": len(verdicts),
        "parse": sum(verdict.parses for _, verdict in verdicts) / n,
        "consistent": sum(verdict.consistent for _, verdict in verdicts) / n,
        "complete": sum(verdict.complete for _, verdict in verdicts) / n,
        "good": sum(verdict.consistent and verdict.complete for _, verdict in verdicts) / n,
        "sentences": 1 - wrong / max(sentences, 1),
        "words": sum(len(text.split()) for text, _ in verdicts) / n,
    }


def card(words: int = 1_000_000, guesses: int = 50_000, seed: int = 0) -> dict[str, float]:
    """How varied the stories are, measured: `CARD` holds the numbers for a million words.

    Args:
        words: how many words of training stories to look at (a million takes some ten seconds).
        guesses: how many words of held-out stories the 5-gram model guesses.
        seed: which stories.

    Returns:
        What `variety` counts, and `bits_per_word`: what a 5-gram model that has read the training
        stories needs for each word of held-out ones, marks counted as words.
    """
    train, held_out = _stories(words, "train", seed), _stories(guesses, "held_out", seed)
    return {**variety(train), "bits_per_word": five_gram_bits(train, held_out)}


def _stories(words: int, split: str, seed: int) -> list[str]:
    texts: list[str] = []
    count = 0
    while count < words:
        texts.append(_text("stories", len(texts), split, seed))
        count += len(texts[-1].split())
    return texts


CARD = {
    "words": 1_000_314,
    "vocabulary": 1852,
    "sentences": 93_281,
    "repeated": 0.1638,
    "bits_per_word": 2.624,
}
"""What `card()` measured on the first million words of training stories."""
