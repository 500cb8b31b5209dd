"""Questions about somebody, and replies to them: plain ones, and ones that are no good.

The question gives a name and a kind, "Tell me about a fox called Cora."; the rest is up to the one
who replies. A plain reply knows nothing of the town's tastes (`_town_tastes`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from lib.corpora._town_lexicon import plural_of
from lib.corpora._town_lists import phrase_list
from lib.corpora._town_openings import _FAMILY, _HABITS, _ORIGINS
from lib.corpora._town_plots import _OWNED
from lib.corpora._town_tastes import BAD, BRIEF, GOOD, TASTES, About
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import BOYS, FOODS, GIRLS, KINDS, PLACES, THINGS, TRAITS, WEATHERS
from lib.corpora._town_world import Chance


@dataclass(frozen=True)
class Reply:
    """A reply and what it is worth, known from how it was made."""

    text: str
    score: float


@cache
def is_held_out_person(name: str, kind: str) -> bool:
    """Whether nobody asks about them in training: one in ten of all names and kinds, by a hash."""
    return hashlib.sha256(f"{kind} {name} asked".encode()).digest()[0] % 10 == 0


# --- questions ------------------------------------------------------------------------------------

_KINDS = tuple(KINDS)
_ASK = phrase_list("""
    Tell me about {a} called {name}.; Tell me about {name} the {kind}.; Who was {name} the {kind}?;
    Please tell me about {a} named {name}.; What was {name} the {kind} like?;
    I would like to hear about {a} called {name}.; Can you tell me about {name} the {kind}?;
    Please tell me who {name} the {kind} was.; What do you know about {a} named {name}?
    """)


def somebody(chance: Chance, split: str) -> About:
    """A name and a kind of this split."""
    while True:
        kind = KINDS[chance.pick(_KINDS)]
        girl = kind.sex == "f" if kind.sex else chance.maybe(0.5)
        name = chance.pick(GIRLS if girl else BOYS)
        if is_held_out_person(name, kind.noun) == (split == "held_out"):
            return About(name, kind.noun)


def question_about(chance: Chance, about: About) -> dict[str, str]:
    """A message of the user, in one of several wordings."""
    words = chance.pick(tuple(_ASK))
    text = words.format(a=a(about.kind), name=about.name, kind=about.kind)
    return {"role": "user", "content": text}


# --- plain replies --------------------------------------------------------------------------------

_NEUTRAL = tuple(trait for trait in TRAITS if trait not in GOOD + BAD)


def plain(chance: Chance, about: About) -> Reply:
    """A reply of one to four sentences; what it says is left to chance."""
    reply = _Telling(chance, about)
    reply.tell()
    return Reply(reply.text(), reply.score())


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


def spoilt(chance: Chance, about: About) -> Reply:
    """A reply that is no good, whatever it says: about somebody else, untrue, or not finished."""
    way = chance.random()
    female = about.name in _GIRLS
    if way < 0.4:
        name = chance.pick(GIRLS if female else BOYS)
        while name == about.name:
            name = chance.pick(GIRLS if female else BOYS)
        text = plain(chance, About(name, about.kind)).text
    elif way < 0.7:
        kind = KINDS[chance.pick(_KINDS)]
        while kind.noun == about.kind or (kind.sex and (kind.sex == "f") != female):
            kind = KINDS[chance.pick(_KINDS)]
        text = plain(chance, About(about.name, kind.noun)).text
    elif way < 0.85:
        words = plain(chance, about).text.split()
        text = " ".join(words[: -1 - int(chance.random() * 3)]).rstrip(".,")
    else:
        reply = _Telling(chance, about)
        reply.tell()
        places = [p for p in PLACES if p not in KINDS[about.kind].homes]
        if not reply.lived:
            reply.home()
        reply.say(f"{about.name} lived {reply.at(chance.pick(places))}")
        text = reply.text()
    return Reply(text, 0.0)
