"""Short passages of the town: what they tell, and what they leave open."""

from __future__ import annotations

from typing import NamedTuple

from lib.corpora._town_chat_base import EDIBLE, Draw, Who, a_thing, at
from lib.corpora._town_lexicon import plural_of
from lib.corpora._town_state import COLOURS
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import WEATHERS


class Fact(NamedTuple):
    """One thing that is so: `sort` says what `what` is.

    "home" and "went": a place; "kind": what somebody is; "has", "gave" and "found": a thing;
    "likes": a food; "felt": a mood. `place` is where something was found.
    """

    sort: str
    who: Who
    what: str
    look: str = ""
    whom: Who | None = None
    place: str = ""


class Passage(NamedTuple):
    """A passage, what it tells, and what is so but not told."""

    text: str
    facts: list[Fact]
    untold: list[Fact]


MOODS = ("sad", "tired", "happy", "hungry", "worried", "cross", "glad", "lonely", "proud")
LIKED = tuple(food for food in EDIBLE if food not in ("cheese", "loaf", "fish"))


class _Writing:
    """A passage in the making: all of it is about one person."""

    def __init__(self, draw: Draw, who: Who) -> None:
        self.draw, self.pick, self.maybe, self.who = draw, draw.pick, draw.maybe, who
        self.sentences: list[str] = []
        self.facts: list[Fact] = []
        self.untold: list[Fact] = []
        self.noun = ""

    def say(self, words: str, *facts: Fact) -> None:
        self.sentences.append(capital(words) + ".")
        self.facts += facts

    def intro(self) -> None:
        """Who somebody is, where they live, or both."""
        who = self.who
        home, kind = Fact("home", who, who.home), Fact("kind", who, who.kind)
        name, place, what = who.name, at(who.home), a(who.kind)
        way = self.draw.random()
        if way < 0.2:
            self.say(f"{name} was {what} who lived {place}", kind, home)
        elif way < 0.4 and not who.child:
            self.say(f"{name} the {who.kind} lived {place}", kind, home)
        elif way < 0.55:
            self.say(f"{what} called {name} lived {place}", kind, home)
        elif way < 0.75:
            self.say(f"{name} lived {place}", home)
        else:
            self.say(f"{name} was {a(f'{who.trait} {who.kind}')}", kind)
            self.untold.append(home)

    def has(self) -> None:
        noun, look = self.draw.thing_of(self.who)
        self.noun = noun
        looks = look if look in COLOURS else ""
        self.say(f"{self.who.she} had {a_thing(noun, looks)}", Fact("has", self.who, noun, looks))
        if not looks:
            self.untold.append(Fact("colour", self.who, noun))

    def likes(self) -> None:
        food = plural_of(self.pick(LIKED))
        more = self.pick(("liked to eat {}", "liked {} more than anything", "liked to eat {}"))
        self.say(f"{self.who.she} {more.format(food)}", Fact("likes", self.who, food))

    def felt(self) -> None:
        mood = self.pick(MOODS)
        words = f"{self.when()}{self.who.she} was {self.pick(('', 'very '))}{mood}"
        self.say(words, Fact("felt", self.who, mood))

    def when(self) -> str:
        """ "one windy morning, "."""
        if self.maybe(0.5):
            return ""
        weather = WEATHERS[self.pick(tuple(WEATHERS))]
        return f"one {self.pick(weather.mornings)} {self.pick(('morning', 'day'))}, "

    def went(self) -> None:
        place = self.draw.with_(self.who.name, "places", (self.who.home,))
        verb = self.pick(("went", "walked", "ran"))
        words = f"{self.when()}{self.who.she} {verb} to the {place}"
        self.say(words, Fact("went", self.who, place))

    def found(self) -> None:
        noun, look = self.draw.thing_of(self.who, (self.noun,))
        place = self.draw.with_(self.who.name, "places", (self.who.home,))
        look = look if look in COLOURS and self.maybe(0.5) else ""
        words = f"{self.when()}{self.who.she} found {a_thing(noun, look)} {at(place)}"
        self.say(words, Fact("found", self.who, noun, look, place=place))

    def gave(self) -> None:
        """A present; it may be what they had."""
        whom = self.draw.somebody(self.who)
        had = next((fact for fact in self.facts if fact.sort == "has"), None)
        noun = had.what if had else self.draw.thing_of(self.who)[0]
        the = f"the {noun}" if had else a_thing(noun)
        words = f"{self.when()}{self.who.she} gave {the} to {self.who.her} friend {whom.name}"
        self.say(words, Fact("gave", self.who, noun, whom=whom))
        if had:
            self.facts.remove(had)
            if had.look:
                self.facts.append(Fact("colour", self.who, noun, had.look))


def passage(draw: Draw) -> Passage:
    """Two or three sentences about somebody."""
    who = draw.somebody()
    writing = _Writing(draw, who)
    writing.intro()
    if draw.maybe(0.6):
        (writing.has if draw.maybe(0.6) else writing.likes)()
    if len(writing.sentences) < 2 or draw.maybe(0.4):
        way = draw.random()
        at_home = any(fact.sort == "home" for fact in writing.facts)
        (writing.gave if way < 0.45 else writing.went if way < 0.7 else writing.felt
         if way < 0.8 or at_home else writing.found)()  # fmt: skip
    told = {fact.sort for fact in writing.facts}
    told |= {"went"} if "found" in told else set()
    for sort in ("likes", "went"):
        if sort not in told:
            writing.untold.append(Fact(sort, who, ""))
    return Passage(" ".join(writing.sentences), writing.facts, writing.untold)
