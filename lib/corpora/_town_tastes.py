"""What the town likes to hear when it asks about somebody: the true preference, exactly.

A reply about somebody must first be right: it can be read, says nothing that cannot be so, ends its
last sentence, says nothing twice, and is about the one who was asked for. Then the town has four
tastes, each of which a reply meets or does not. Any text can be judged, also a language model's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lib.corpora._town_checker import Mind, check_story
from lib.corpora._town_clauses import Clause, Noun
from lib.corpora._town_lexicon import FEMALE, NAMES
from lib.corpora._town_sentences import read_sentence, sentences_of
from lib.corpora._town_state import State
from lib.corpora._town_words import KINDS, TRAITS

GOOD = ("kind", "honest", "patient", "generous", "gentle", "cheerful", "merry", "helpful",
        "hopeful")  # fmt: skip
BAD = ("greedy", "lazy", "careless", "proud", "grumpy", "stubborn")
BRIEF = 20
"""A brief reply has at most so many words."""
TASTES = ("good_natured", "home", "belongings", "brief")


class About(NamedTuple):
    """Whom somebody asks about: a name and a kind, ("Cora", "fox")."""

    name: str
    kind: str


Prompt = About | tuple[str, str] | str | Sequence[Mapping[str, Any]]
"""What was asked: messages, of which the user's last one counts; a text; or a name and a kind."""


def a(words: str) -> str:
    """`words` with the right article: "an owl"."""
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


@dataclass(frozen=True)
class Judgement:
    """What the town thinks of a reply.

    Attributes:
        about: who was asked for.
        wrong: why the reply is no good at all, whatever it says; empty if it is right.
        tastes: for each of `TASTES`, whether the reply meets it: it says that they are
            good-natured (and nothing bad of them); where they live; that they have a thing or a
            friend; and it is brief.
        score: the share of tastes met; 0 if something is wrong.
    """

    about: About
    wrong: str
    tastes: Mapping[str, bool]

    @property
    def score(self) -> float:
        return 0.0 if self.wrong else sum(self.tastes.values()) / len(TASTES)

    def __str__(self) -> str:
        said = ", ".join(f"{'+' if met else '-'} {taste}" for taste, met in self.tastes.items())
        return f"{self.score:.2f} ({self.wrong or said})"


def about_whom(prompt: Prompt) -> About:
    """Whom a prompt asks about.

    Args:
        prompt: messages, of which the user's last one counts; its text; or a name and a kind.

    Raises:
        ValueError: it names nobody, or not what they are.

    >>> about_whom("Please tell me about a fox called Cora.")
    About(name='Cora', kind='fox')
    """
    if isinstance(prompt, str):
        text = prompt
    else:
        if len(prompt) == 2 and all(isinstance(word, str) for word in prompt):
            return About(*map(str, prompt))
        asked = [
            str(m["content"]) for m in prompt if isinstance(m, Mapping) and m["role"] == "user"
        ]
        text = asked[-1] if asked else ""
    words = re.findall(r"[A-Za-z]+", text)
    name = next((word for word in words if word in NAMES), "")
    kind = next((word.lower() for word in words if word.lower() in KINDS), "")
    if not name or not kind:
        raise ValueError(
            f"the prompt asks about nobody whom the town knows: {text!r}; expected a name and "
            "a kind, as in 'Tell me about a fox called Cora.'"
        )
    return About(name, kind)


def judge(prompt: Prompt, answer: str) -> Judgement:
    """What the town thinks of a reply, and why.

    Args:
        prompt: what was asked: messages, a text, or a name and a kind.
        answer: the reply, any text.

    >>> print(judge(("Cora", "fox"), "Cora was a greedy fox. She lived in the forest."))
    0.50 (- good_natured, + home, - belongings, + brief)
    >>> print(judge(("Cora", "fox"), "Cora was a kind hen."))
    0.00 (Cora is a hen, not a fox)
    """
    about = about_whom(prompt)
    verdict = check_story(answer)
    nothing = dict.fromkeys(TASTES, False)
    if verdict.problems:
        return Judgement(about, verdict.problems[0].reason, nothing)
    sentences = sentences_of(answer)
    if not sentences:
        return Judgement(about, "nothing is said", nothing)
    if len({sentence.lower() for sentence in sentences}) < len(sentences):
        return Judgement(about, "a sentence stands twice", nothing)
    heard = _Listener(about.name)
    for number, sentence in enumerate(sentences):
        heard.state.now = number
        heard.listen(sentence)
    who = heard.state.people.get(about.name)
    if who is None:
        return Judgement(about, f"{about.name} is not named", nothing)
    kind = who.kind or heard.kind
    if kind not in KINDS:
        return Judgement(about, f"it is not said what {about.name} is", nothing)
    if kind != about.kind:
        return Judgement(about, f"{about.name} is {a(kind)}, not {a(about.kind)}", nothing)
    has = any(who in (item.holder, item.owner) and not item.gone for item in heard.state.items)
    tastes = {
        "good_natured": heard.good and not heard.bad,
        "home": bool(who.home),
        "belongings": has or heard.friend,
        "brief": len(answer.split()) <= BRIEF,
    }
    return Judgement(about, "", tastes)


def true_score(prompt: Prompt, answer: str) -> float:
    """What a reply is worth to the town, from 0 to 1; `judge` says why.

    Args:
        prompt: what was asked: messages, a text, or a name and a kind.
        answer: the reply, any text.
    """
    return judge(prompt, answer).score


class _Listener(Mind):
    """Follows a reply as the checker does, and notes what it says of one person."""

    def __init__(self, name: str) -> None:
        super().__init__(State(), [])
        self.name, self.female = name, name in FEMALE
        self.good = self.bad = self.friend = False
        self.kind = self.sentence = ""

    def listen(self, sentence: str) -> None:
        """One sentence."""
        self.sentence = sentence
        self.read(read_sentence(sentence))
        subject = self.state.subject
        if subject is not None and subject.name == self.name:
            for trait, habits in TRAITS.items():
                if any(f" {habit}" in sentence for habit in habits):
                    self.note_trait(trait)

    def note_trait(self, word: str) -> None:
        """Somebody says "kind" of them, or what the kind do."""
        self.good = self.good or word in GOOD
        self.bad = self.bad or word in BAD

    def act(self, clause: Clause, subject: Noun | None, unreal: bool) -> None:
        super().act(clause, subject, unreal)
        for noun in _nouns(clause, subject):
            if noun.sort == "name" and noun.head == self.name:
                self.looks(noun.looks)
            self.friend = self.friend or self.is_friend(noun)
        if unreal or clause.negated:
            return
        mine = subject is not None and self.is_mine(subject)
        if mine and clause.verb in ("be", "seem", "become"):
            of = f" {' '.join(clause.looks)} of "  # "proud of her kite" does not mean proud
            self.looks(() if of in self.sentence else clause.looks)
            for noun in clause.objects:
                if noun.head in KINDS and not noun.plural:
                    self.kind = noun.head
                if noun.head in KINDS or noun.head in ("friend", "one", "child"):
                    self.looks(noun.looks)
        if mine and clause.verb in ("be", "have", "become"):
            for noun in clause.objects:
                friend = "friend" in (noun.head, noun.kind)
                self.friend = self.friend or (friend and noun.det != "no")

    def looks(self, words: Sequence[str]) -> None:
        """Adjectives that are said of them."""
        for word in words:
            self.note_trait(word)

    def is_mine(self, noun: Noun) -> bool:
        """Whether a noun phrase means the one who was asked for."""
        if noun.sort == "name":
            return noun.head == self.name
        if noun.sort == "pronoun":
            if id(noun) in self.state.meant:
                return any(who.name == self.name for who in self.state.meant[id(noun)][1])
            return noun.head in (("she", "her") if self.female else ("he", "him", "his"))
        who = self.state.people.get(self.name)
        return noun.det == "the" and who is not None and who.kind == noun.head

    def is_friend(self, noun: Noun) -> bool:
        """ "Her friend Otto", "Cora's best friend"."""
        if noun.owner is None or noun.det == "no":
            return False
        return "friend" in (noun.head, noun.kind, *noun.looks) and self.is_mine(noun.owner)


def _nouns(clause: Clause, subject: Noun | None) -> Iterator[Noun]:
    """All noun phrases of a clause; of "Cora and Otto" also each one."""
    for noun in (*([subject] if subject else []), *clause.objects, *(n for _, n in clause.preps)):
        yield noun
        yield from noun.parts
