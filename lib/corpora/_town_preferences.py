"""What people ask about somebody, what is replied, and which reply they like better.

The question gives a name and a kind, "Tell me about a fox called Cora."; the rest is up to the one
who replies. Plain replies know nothing of the town's tastes (`_town_tastes`) and meet about half of
them by chance: out of two of them comes a pair, one of which is liked better.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from lib.corpora._base import CorpusError
from lib.corpora._town_lexicon import plural_of
from lib.corpora._town_lists import phrase_list
from lib.corpora._town_openings import _FAMILY, _HABITS, _ORIGINS
from lib.corpora._town_plots import _OWNED
from lib.corpora._town_tastes import BAD, BRIEF, GOOD, TASTES, About
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import BOYS, FOODS, GIRLS, KINDS, PLACES, THINGS, TRAITS, WEATHERS
from lib.corpora._town_world import Chance

Message = dict[str, str]


@dataclass(frozen=True)
class Preference:
    """A question, two replies, and which one is liked better.

    Attributes:
        messages: the question, one message of the user.
        chosen: the reply that the label prefers.
        rejected: the other one.
        true_scores: what both are worth in truth, chosen first.
        hasty: the annotator did not look closely (see `preference`).
        about: who is asked for, a name and a kind.
    """

    messages: tuple[Message, ...]
    chosen: str
    rejected: str
    true_scores: tuple[float, float]
    hasty: bool
    about: About

    @property
    def mistaken(self) -> bool:
        """Whether the label is wrong: the rejected one is worth more."""
        return self.true_scores[0] < self.true_scores[1]

    def text(self) -> str:
        """One line of JSON: prompt (messages), chosen, rejected."""
        row = {"prompt": list(self.messages), "chosen": self.chosen, "rejected": self.rejected}
        return json.dumps(row)


@dataclass(frozen=True)
class _Reply:
    """A reply and what it is worth, known from how it was made."""

    text: str
    score: float


@cache
def is_held_out_person(name: str, kind: str) -> bool:
    """Whether nobody asks about them in training: one in ten of all names and kinds, by a hash."""
    return hashlib.sha256(f"{kind} {name} asked".encode()).digest()[0] % 10 == 0


def preference(
    index: int,
    split: str = "train",
    seed: int = 0,
    *,
    noise: float = 0.0,
    length_bias: float = 0.0,
) -> Preference:
    """Pair `index` of a split: a question, a better and a worse reply.

    Args:
        index: from 0.
        split: "train" or "held_out": who is asked about in one is never asked about in the other.
        seed: another seed, other pairs.
        noise: the share of pairs whose label is turned around, whatever the replies say.
        length_bias: the share of pairs at which the annotator looks in haste, and prefers the reply
            with more words. These labels are wrong where the longer one is the worse one. Neither
            share changes the replies: only which of them is called chosen.

    Raises:
        CorpusError: there is no such split, or a share is not between 0 and 1.
    """
    for name, share in (("noise", noise), ("length_bias", length_bias)):
        if not 0 <= share <= 1:
            raise CorpusError(f"{name} is a share of pairs, between 0 and 1, got {share}")
    chance = _chance("prefer", index, split, seed)
    about = _somebody(chance, split)
    question = _question(chance, about)
    spoilt = chance.maybe(_SPOILT)
    one = _plain(chance, about)
    while spoilt and not one.score:
        one = _plain(chance, about)
    two = _spoilt(chance, about) if spoilt else _plain(chance, about)
    while two.score == one.score:
        two = _plain(chance, about)
    better, worse = (one, two) if one.score > two.score else (two, one)
    annotator = _chance("annotate", index, split, seed)
    turned, hurried = annotator.random() < noise, annotator.random() < length_bias
    longer = len(worse.text.split()) - len(better.text.split())
    if (hurried and longer > 0) != turned:
        better, worse = worse, better
    return Preference(
        (question,), better.text, worse.text, (better.score, worse.score), hurried, about
    )


def telling(index: int, split: str = "train", seed: int = 0) -> list[Message]:
    """Conversation `index` of a split: a question about somebody, and a plain reply.

    The reply knows nothing of what the town likes: it meets a taste by chance alone.

    Args:
        index: from 0.
        split: "train" or "held_out"; the same people as in `preference`.
        seed: another seed, other conversations.
    """
    chance = _chance("telling", index, split, seed)
    about = _somebody(chance, split)
    question = _question(chance, about)
    return [question, {"role": "assistant", "content": _plain(chance, about).text}]


def preference_text(index: int, split: str, seed: int) -> str:
    """A document of the part "preferences"."""
    return preference(index, split, seed).text()


def telling_text(index: int, split: str, seed: int) -> str:
    """A document of the part "tellings"."""
    return json.dumps({"messages": telling(index, split, seed)})


def _chance(what: str, index: int, split: str, seed: int) -> Chance:
    if split not in ("train", "held_out"):
        raise CorpusError(f"split is 'train' or 'held_out', got {split!r}")
    return Chance(what, seed, split, index)


# --- questions ------------------------------------------------------------------------------------

_SPOILT = 0.12
_KINDS = tuple(KINDS)
_ASK = phrase_list("""
    Tell me about {a} called {name}.; Tell me about {name} the {kind}.; Who was {name} the {kind}?;
    Please tell me about {a} named {name}.; What was {name} the {kind} like?;
    I would like to hear about {a} called {name}.; Can you tell me about {name} the {kind}?;
    Please tell me who {name} the {kind} was.; What do you know about {a} named {name}?
    """)


def _somebody(chance: Chance, split: str) -> About:
    """A name and a kind of this split."""
    while True:
        kind = KINDS[chance.pick(_KINDS)]
        girl = kind.sex == "f" if kind.sex else chance.maybe(0.5)
        name = chance.pick(GIRLS if girl else BOYS)
        if is_held_out_person(name, kind.noun) == (split == "held_out"):
            return About(name, kind.noun)


def _question(chance: Chance, about: About) -> Message:
    words = chance.pick(tuple(_ASK))
    text = words.format(a=a(about.kind), name=about.name, kind=about.kind)
    return {"role": "user", "content": text}


# --- plain replies --------------------------------------------------------------------------------

_NEUTRAL = tuple(trait for trait in TRAITS if trait not in GOOD + BAD)


def _plain(chance: Chance, about: About) -> _Reply:
    """A reply of one to four sentences; what it says is left to chance."""
    reply = _Telling(chance, about)
    reply.tell()
    return _Reply(reply.text(), reply.score())


class _Telling:
    """A reply in the making."""

    def __init__(self, chance: Chance, about: About) -> None:
        self.chance, self.pick, self.maybe = chance, chance.pick, chance.maybe
        self.name, self.kind = about
        self.female = about.name in _GIRLS
        self.she, self.her = ("she", "her") if self.female else ("he", "his")
        way = chance.random()
        self.trait = chance.pick(GOOD if way < 0.45 else BAD if way < 0.7 else _NEUTRAL)
        self.place = chance.pick(KINDS[self.kind].homes)
        self.sentences: list[str] = []
        self.named = False  # the trait is said, or what such people do
        self.lived = self.owned = False

    def text(self) -> str:
        """All sentences."""
        return " ".join(self.sentences)

    def score(self) -> float:
        """The share of tastes that are met."""
        brief = len(self.text().split()) <= BRIEF
        good = self.named and self.trait in GOOD
        return (good + self.lived + self.owned + brief) / len(TASTES)

    def say(self, words: str) -> None:
        """One sentence more."""
        self.sentences.append(capital(words) + ".")

    def tell(self) -> None:
        """Who they are, then up to three things more."""
        self.who()
        more: list[Callable[[], None]] = [self.thing, self.friend, self.likes, self.day]
        if not self.lived:
            more.append(self.home)
        if not self.did:
            more.append(self.does)
        way = self.chance.random()
        n_more = 0 if way < 0.08 else 1 if way < 0.42 else 2 if way < 0.82 else 3
        while len(more) > n_more:
            more.pop(int(self.chance.random() * len(more)))
        order = [self.home, self.does, self.thing, self.friend, self.likes, self.day]
        if self.maybe(0.5):
            order = [self.does, self.home, self.friend, self.likes, self.thing, self.day]
        for what in order:
            if what in more:
                what()

    # --- what may be said -------------------------------------------------------------------------

    def who(self) -> None:
        """ "Cora was a kind fox who lived in the forest"."""
        self.named = self.maybe(0.8)
        who = a(f"{self.trait} {self.kind}" if self.named else self.kind)
        called = f"{who} {self.pick(('named', 'called'))} {self.name}"
        place, self.lived = self.at(self.place), self.maybe(0.25)
        self.did = self.maybe(0.3)
        habit = self.pick(TRAITS[self.trait])
        family = f" {self.family()}" if self.maybe(0.2) else ""
        way = self.chance.random()
        if self.lived:
            also = f"{family}{f' and {habit}' if self.did else ''}"
            if way < 0.35:
                words = f"{self.name} was {who} who lived {place}{also}"
            elif way < 0.75:
                once = self.pick(("", "", "once, ", "long ago, "))
                words = f"{once}{called} lived {place}{also}"
            else:
                self.did = False
                words = f"{place} lived {called}"
        elif way < 0.5 or self.did:
            words = f"{self.name} was {who}{f' who {habit}' if self.did else ''}"
        elif way < 0.8:
            once = self.pick(("once there was", "there once was", "once upon a time there was"))
            words = f"{once} {called}"
        else:
            which = f"{self.trait} {self.kind}" if self.named else self.kind
            comma = "," if self.named else ""
            words = f"everyone in town knew {self.name}{comma} the {which}"
        self.named = self.named or self.did
        self.say(words)

    def family(self) -> str:
        """ "with a large family"."""
        options = _FAMILY[KINDS[self.kind].group]
        return self.pick(tuple(words for words in options if "nest" not in words))

    def at(self, place: str) -> str:
        """ "at the old mill"."""
        look = f"{self.pick(PLACES[place].adjectives)} " if self.maybe(0.2) else ""
        return f"{PLACES[place].at} the {look}{place}"

    def home(self) -> None:
        """Where they live."""
        self.lived = True
        place = self.at(self.place)
        if self.maybe(0.3):
            self.say(f"{self.her} home was {place}")
        elif self.maybe(0.3) and not self.did:
            self.did = self.named = True
            self.say(f"{self.she} lived {place} and {self.pick(TRAITS[self.trait])}")
        else:
            family = self.family() if self.maybe(0.3) else ""
            self.say(f"{self.she} lived {place}{' ' if family else ''}{family}")

    def does(self) -> None:
        """What people with such a trait do."""
        if self.did:
            return
        self.did = self.named = True
        habit = self.pick(TRAITS[self.trait])
        known = self.pick(("", "", "all the neighbours knew that ", "people said that "))
        if "knew" in self.text() or "neighbours" in habit:
            known = ""
        self.say(f"{known}{self.she} {habit}")

    def thing(self) -> None:
        """What they own."""
        self.owned = True
        thing = THINGS[self.pick(_OWNED)]
        full = f"{self.pick(thing.looks)} {thing.noun}"
        verb = "owned" if self.maybe(0.3) or " had a friend" in self.text() else "had"
        words = f"{self.she} {verb} "
        words += f"a pair of {full}" if thing.plural else a(full)
        if self.maybe(0.4):
            origin = self.pick(_ORIGINS)
            words += origin if "better days" not in origin else ""
        if self.maybe(0.35):
            habits = _HABITS[thing.group]
            if "anything" in self.text():
                habits = tuple(habit for habit in habits if "anything" not in habit)
            habit = self.pick(habits).format("them" if thing.plural else "it")
            words += f"{',' if ', a present' in words else ''} and {habit}"
        self.say(words)

    def friend(self) -> None:
        """Who their friend is."""
        self.owned = True
        kind = KINDS[self.pick(_KINDS)]
        while kind.noun == self.kind or ((kind.sex == "f") == self.female and kind.sex):
            kind = KINDS[self.pick(_KINDS)]
        names = BOYS if self.female else GIRLS  # "he" and "she" are not the same one
        name = self.pick(names)
        while name[0] == self.name[0]:
            name = self.pick(names)
        friend = name if kind.group == "child" else f"{name} the {kind.noun}"
        way = self.chance.random()
        if way < 0.3:
            called = f"{a(kind.noun)} called {name}"
            best = called if kind.group == "child" else self.pick((friend, called))
            self.say(f"{self.her} best friend was {best}")
        elif way < 0.5:
            self.say(f"{self.her} friend {friend} lived {self.at(self.pick(kind.homes))}")
        elif way < 0.7 and f"{self.she} had" not in self.text().lower():
            self.say(f"{self.she} had a friend called {name}")
        else:
            what = self.pick(("liked to visit", "often played with", "often talked to"))
            self.say(f"{self.she} {what} {self.her} friend {friend}")

    def likes(self) -> None:
        """What they like to eat."""
        food = plural_of(self.pick(_LIKED))
        if self.maybe(0.5) and "anything" not in self.text():
            self.say(f"{self.she} {self.pick(('liked', 'loved'))} {food} more than anything")
        else:
            self.say(f"{self.she} {self.pick(('liked', 'loved'))} to eat {food}")

    def day(self) -> None:
        """What day it was: nothing about them that anybody asked for."""
        weather = WEATHERS[self.pick(tuple(WEATHERS))]
        when = f"{self.pick(weather.mornings)} {self.pick(('morning', 'day', 'afternoon'))}"
        way = self.chance.random()
        if way < 0.25:
            self.say(f"it was {a(when)}, and {self.pick(weather.states[1:])}")
        elif way < 0.6:
            goals = [p for p in PLACES if p not in KINDS[self.kind].homes]
            self.say(f"one {when}, {self.she} went to the {self.pick(goals)}")
        else:
            mood = self.pick(("sad", "tired", "happy", "hungry", "worried", "cross", "glad"))
            self.say(f"one {when}, {self.she} was {self.pick(('', 'very '))}{mood}")


_GIRLS = frozenset(GIRLS)
_LIKED = tuple(food for food in FOODS if food not in ("cheese", "loaf", "fish", "cabbage", "egg"))


# --- what is wrong --------------------------------------------------------------------------------


def _spoilt(chance: Chance, about: About) -> _Reply:
    """A reply that is no good, whatever it says: about somebody else, untrue, or not finished."""
    way = chance.random()
    female = about.name in _GIRLS
    if way < 0.4:
        name = chance.pick(GIRLS if female else BOYS)
        while name == about.name:
            name = chance.pick(GIRLS if female else BOYS)
        text = _plain(chance, About(name, about.kind)).text
    elif way < 0.7:
        kind = KINDS[chance.pick(_KINDS)]
        while kind.noun == about.kind or (kind.sex and (kind.sex == "f") != female):
            kind = KINDS[chance.pick(_KINDS)]
        text = _plain(chance, About(about.name, kind.noun)).text
    elif way < 0.85:
        words = _plain(chance, about).text.split()
        text = " ".join(words[: -1 - int(chance.random() * 3)]).rstrip(".,")
    else:
        reply = _Telling(chance, about)
        reply.tell()
        places = [p for p in PLACES if p not in KINDS[about.kind].homes]
        if not reply.lived:
            reply.home()
        reply.say(f"{about.name} lived {reply.at(chance.pick(places))}")
        text = reply.text()
    return _Reply(text, 0.0)
