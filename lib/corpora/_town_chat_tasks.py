"""What an answer must do, and exact checks of whether it does: for all tasks but those of reading."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lib.corpora._town_chat_base import at, said_twice
from lib.corpora._town_checker import Mind, follow
from lib.corpora._town_clauses import Clause, Noun
from lib.corpora._town_lexicon import FEMALE, NAMES
from lib.corpora._town_sentences import read_sentence, sentences_of
from lib.corpora._town_state import State
from lib.corpora._town_teller import a
from lib.corpora._town_words import KINDS, TRAITS

LONGEST = 4
"""A beginning has at most so many sentences."""


@dataclass(frozen=True)
class Begins:
    """The answer begins a story about somebody; what is empty is left to whoever answers.

    Attributes:
        kind: what they are.
        name: what they are called.
        trait: what they are like.
        home: where they live.
        female: whether it is a she; None for either.
    """

    kind: str = ""
    name: str = ""
    trait: str = ""
    home: str = ""
    female: bool | None = None

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        story = follow(answer)
        if story.problems:
            return story.problems[0].reason
        if len(story.sentences) > LONGEST:
            return f"a beginning has at most {LONGEST} sentences, this has {len(story.sentences)}"
        if said_twice(answer):
            return said_twice(answer)
        heard = _Listener()
        for number, sentence in enumerate(sentences_of(answer)):
            heard.state.now = number
            heard.hear(sentence)
        names = [self.name] if self.name else list(heard.state.people)
        reasons = [self.of(name, heard) for name in names]
        return "" if "" in reasons else (reasons or ["it is about nobody"])[0]

    def of(self, name: str, heard: _Listener) -> str:
        """Why this cannot be who was asked for."""
        who = heard.state.people.get(name)
        if who is None:
            return f"{name} is not named"
        kind = who.kind or heard.kinds.get(name, "")
        if self.kind and kind != self.kind:
            is_a = f"is {a(kind)}" if kind else "is nothing in particular"
            return f"{name} {is_a}, not {a(self.kind)}"
        if self.female is not None and (name in FEMALE) != self.female:
            return f"{name} is {'no girl' if self.female else 'no boy'}'s name"
        if self.trait and self.trait not in heard.traits.get(name, ()):
            return f"it is not said that {name} is {self.trait}"
        if self.home and who.home != self.home:
            lives = f"lives {at(who.home)}" if who.home else "lives nowhere in particular"
            return f"{name} {lives}, not {at(self.home)}"
        return ""


class _Listener(Mind):
    """Follows a beginning as the checker does, and notes what people are like."""

    def __init__(self) -> None:
        super().__init__(State(), [])
        self.traits: dict[str, set[str]] = {}
        self.kinds: dict[str, str] = {}

    def hear(self, sentence: str) -> None:
        """One sentence."""
        self.read(read_sentence(sentence))
        subject = self.state.subject
        if subject is not None:
            for trait, habits in TRAITS.items():
                if any(f" {habit}" in sentence for habit in habits):
                    self.hear_of(subject.name, (trait,))

    def hear_of(self, name: str, words: Sequence[str]) -> None:
        """Adjectives that are said of somebody."""
        self.traits.setdefault(name, set()).update(words)

    def act(self, clause: Clause, subject: Noun | None, unreal: bool) -> None:
        super().act(clause, subject, unreal)
        for noun in (*([subject] if subject else []), *clause.objects):
            if noun.sort == "name":
                self.hear_of(noun.head, noun.looks)
        if unreal or clause.negated or clause.verb not in ("be", "seem"):
            return
        who = self.state.subject
        nouns = (*([subject] if subject else []), *clause.objects)
        alone = [noun.head for noun in nouns if noun.sort == "thing" and noun.head in TRAITS]
        for noun in nouns:  # "a quiet deer" can be read as two: "a quiet", "deer"
            if noun.sort == "name":
                self.hear_of(noun.head, alone)
        if who is not None:
            self.hear_of(who.name, clause.looks)
            for noun in clause.objects:
                self.hear_of(who.name, noun.looks)
                if noun.head in KINDS and not noun.plural:
                    self.kinds[who.name] = noun.head


@dataclass(frozen=True)
class Happens:
    """The answer is one sentence in which this happens."""

    verbs: tuple[str, ...]
    who: str
    noun: str
    whom: str = ""
    place: str = ""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        story = follow(answer)
        if story.problems:
            return story.problems[0].reason
        if len(story.sentences) != 1:
            return f"expected one sentence, got {len(story.sentences)}"
        wanted = {self.who, self.whom} - {""}
        others = NAMES & set(re.findall(r"\w+", answer)) - wanted
        if others:
            return f"nobody asked for {min(others)}"
        for event in story.happened:
            if (
                event.verb in self.verbs
                and event.who is not None
                and event.who.name == self.who
                and event.item is not None
                and event.item.noun == self.noun
                and (event.whom.name if event.whom else "") == self.whom
                and (not self.place or event.place == self.place)
            ):
                return ""
        return f"it does not tell what {self.who} should do with the {self.noun}"


@dataclass(frozen=True)
class Copies:
    """The answer is exactly this text."""

    text: str

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if " ".join(answer.split()) == self.text:
            return ""
        wanted = self.text.split()
        for place, word in enumerate(answer.split()):
            if place >= len(wanted):
                return f"after {wanted[-1]!r} nothing more was expected, got {word!r}"
            if word != wanted[place]:
                return f"expected {wanted[place]!r} as word {place + 1}, got {word!r}"
        return f"the end is missing: {' '.join(wanted[len(answer.split()) :])!r}"


@dataclass(frozen=True)
class Repeats:
    """The answer is these words, one after the other."""

    words: tuple[str, ...]

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        answer = re.sub(r"^[A-Z][a-z ]{,40}: ", "", answer)
        if not re.fullmatch(r"\w+(?:(?:,|,? and)? \w+)*[.!]?", answer):
            return "expected words parted by commas, and nothing else"
        said = [w.lower() for w in re.findall(r"\w+", answer) if w != "and"]
        if said == [word.lower() for word in self.words]:
            return ""
        return f"expected {', '.join(self.words)}; got {', '.join(said)}"


@dataclass(frozen=True)
class Unsaid:
    """The answer says that the passage does not say."""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer.rstrip(".!").lower() in _UNSAID:
            return ""
        return "the story does not say, and nor should the answer"


_UNSAID = frozenset(
    f"{who} {does} not {verb}{end}"
    for who, does in (("the story", "does"), ("it", "does"), ("the text", "does"), ("they", "do"))
    for verb in ("say", "tell")
    for end in ("", " that", " it", " so", " us", " us that", " me", " anything about that")
) | {"we are not told", "i do not know", "i cannot know", "nobody says", "that is not said",
     "it is not said", "the story says nothing about that", "i cannot tell",
     "the story did not say"}  # fmt: skip
