"""Short passages of the town, what they tell, and questions that they answer or leave open."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from lib.corpora._town_chat_base import EDIBLE, Draw, Ways, Who, a_thing, at, ways
from lib.corpora._town_lexicon import NAMES, plural_of
from lib.corpora._town_state import COLOURS
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import PLACES, THINGS, WEATHERS


class Fact(NamedTuple):
    """One thing that is so: `sort` says what `what` is.

    "home" and "went": a place; "kind": what somebody is; "has", "gave" and "found": a thing;
    "likes": a food; "felt": a mood.
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
    people: list[Who]


MOODS = ("sad", "tired", "happy", "hungry", "worried", "cross", "glad", "lonely", "proud")
LIKED = tuple(food for food in EDIBLE if food not in ("cheese", "loaf", "fish"))


class _Writing:
    """A passage in the making."""

    def __init__(self, draw: Draw) -> None:
        self.draw, self.pick, self.maybe = draw, draw.pick, draw.maybe
        self.sentences: list[str] = []
        self.facts: list[Fact] = []
        self.untold: list[Fact] = []
        self.subject: Who | None = None
        self.met: set[str] = set()
        self.nouns: set[str] = set()
        self.places: set[str] = set()

    def say(self, words: str, who: Who, *facts: Fact) -> None:
        self.sentences.append(capital(words) + ".")
        self.facts += facts
        self.subject = who
        self.met.add(who.name)

    def sub(self, who: Who) -> str:
        """ "she" where it is plain who is meant, else the name."""
        return who.she if self.subject is who else who.name

    def intro(self, who: Who) -> None:
        """Who somebody is, where they live, or both."""
        home, kind = Fact("home", who, who.home), Fact("kind", who, who.kind)
        self.places.add(who.home)
        name, place, what = who.name, at(who.home), a(who.kind)
        way = self.draw.random()
        if way < 0.2:
            self.say(f"{name} was {what} who lived {place}", who, kind, home)
        elif way < 0.4 and not who.child:
            self.say(f"{name} the {who.kind} lived {place}", who, kind, home)
        elif way < 0.55:
            self.say(f"{what} called {name} lived {place}", who, kind, home)
        elif way < 0.75:
            self.say(f"{name} lived {place}", who, home)
            self.untold.append(kind)
        else:
            self.say(f"{name} was {a(f'{who.trait} {who.kind}')}", who, kind)
            self.untold.append(home)

    def has(self, who: Who) -> None:
        noun, look = self.thing(who)
        looks = look if look in COLOURS or self.maybe(0.3) else ""
        self.say(f"{self.sub(who)} had {a_thing(noun, looks)}", who, Fact("has", who, noun, looks))
        if not looks:
            self.untold.append(Fact("colour", who, noun))

    def thing(self, who: Who) -> tuple[str, str]:
        """A thing that nobody has yet."""
        noun, look = self.draw.thing_of(who, self.nouns)
        self.nouns.add(noun)
        return noun, look

    def likes(self, who: Who) -> None:
        food = self.pick(LIKED)
        if food in self.nouns:
            return
        self.nouns.add(food)
        more = self.pick(("liked to eat {}", "liked {} more than anything", "liked to eat {}"))
        words = f"{self.sub(who)} {more.format(plural_of(food))}"
        self.say(words, who, Fact("likes", who, plural_of(food)))

    def felt(self, who: Who) -> None:
        mood = self.pick(MOODS)
        words = f"{self.when()}{self.sub(who)} was {self.pick(('', 'very '))}{mood}"
        self.say(words, who, Fact("felt", who, mood))

    def when(self) -> str:
        """ "one windy morning, "."""
        if self.maybe(0.4):
            return ""
        weather = WEATHERS[self.pick(tuple(WEATHERS))]
        return f"one {self.pick(weather.mornings)} {self.pick(('morning', 'day'))}, "

    def place(self, who: Who) -> str:
        """A place that nobody has to do with yet."""
        place = self.draw.with_(who.name, "places", self.places)
        self.places.add(place)
        return place

    def went(self, who: Who) -> None:
        place = self.place(who)
        verb = self.pick(("went", "walked", "ran"))
        words = f"{self.when()}{self.sub(who)} {verb} to the {place}"
        self.say(words, who, Fact("went", who, place))

    def found(self, who: Who) -> None:
        noun, look = self.thing(who)
        place = self.place(who)
        look = look if self.maybe(0.3) else ""
        words = f"{self.when()}{self.sub(who)} found {a_thing(noun, look)} {at(place)}"
        self.say(words, who, Fact("found", who, noun, look, place=place))

    def gave(self, who: Who, whom: Who) -> None:
        """A present; it may be what they had."""
        had = next((f for f in self.facts if f.sort == "has" and f.who is who), None)
        noun = had.what if had else self.thing(who)[0]
        new = whom.name not in self.met and not whom.child
        to = f"{whom.name} the {whom.kind}" if new else whom.name
        the = f"the {noun}" if had else a_thing(noun)
        words = f"{the} to {to}" if self.maybe(0.6) else f"{to} {the}"
        facts = [Fact("gave", who, noun, whom=whom)]
        if new:
            facts.append(Fact("kind", whom, whom.kind))
        elif whom.name not in self.met:
            self.untold += [Fact("kind", whom, whom.kind), Fact("home", whom, whom.home)]
        self.say(f"{self.when()}{self.sub(who)} gave {words}", who, *facts)
        if had:
            self.facts.remove(had)
            if had.look:
                self.facts.append(Fact("colour", who, noun, had.look))
        self.met.add(whom.name)


def passage(draw: Draw) -> Passage:
    """Two to four sentences about one or two people."""
    writing = _Writing(draw)
    one = draw.somebody()
    two = draw.somebody(one)
    people = [one, two]
    writing.intro(one)
    if draw.maybe(0.6):
        (writing.has if draw.maybe(0.6) else writing.likes)(one)
    if draw.maybe(0.6):
        writing.intro(two)
        if len(writing.sentences) < 3 and draw.maybe(0.5):
            (writing.has if draw.maybe(0.5) else writing.likes)(two)
    while len(writing.sentences) < 2 or (len(writing.sentences) < 4 and draw.maybe(0.4)):
        way = draw.random()
        sorts = {fact.sort for fact in writing.facts}
        if way < 0.45 and "gave" not in sorts:
            writing.gave(one, two)
        elif way < 0.65 and "found" not in sorts:
            writing.found(one)
        elif way < 0.85 and "went" not in sorts:
            writing.went(one)
        elif "felt" not in sorts:
            writing.felt(one)
    told = {(fact.sort, fact.who.name) for fact in writing.facts}
    for who in people[: len(writing.met)]:
        for sort in ("likes", "went", "felt"):
            if (sort, who.name) not in told:
                writing.untold.append(Fact(sort, who, ""))
    untold = [fact for fact in writing.untold if (fact.sort, fact.who.name) not in told]
    return Passage(" ".join(writing.sentences), writing.facts, untold, people)


# --- questions ------------------------------------------------------------------------------------

QUESTIONS: dict[tuple[str, str], Ways] = {
    ("home", "what"): ways("Where does {n} live?; Where did {n} live?", "Where is {n}'s home?"),
    ("home", "who"): ways("Who lives {p}?; Who lived {p}?", "Whose home is {p}?"),
    ("kind", "what"): ways("What is {n}?; What was {n}?", "What kind of creature is {n}?"),
    ("kind", "who"): ways("Who is {k}?; Who was {k}?", "What is the {kind} called?"),
    ("has", "what"): ways("What did {n} have?; What does {n} have?", "What did {n} own?"),
    ("has", "who"): ways("Who had {t}?; Who has {t}?", "Who owned {t}?"),
    ("has", "look"): ways("What colour {is} the {noun}?; What colour {was} the {noun}?",
                          "What colour {was} {n}'s {noun}?"),
    ("colour", "look"): ways("What colour {is} the {noun}?; What colour {was} the {noun}?",
                             "What colour {was} {n}'s {noun}?"),
    ("gave", "who"): ways("Who gave the {noun} to {m}?; Who gave {m} the {noun}?",
                          "From whom did {m} get the {noun}?"),
    ("gave", "what"): ways("What did {n} give to {m}?; What did {n} give {m}?",
                           "What did {m} get from {n}?"),
    ("gave", "whom"): ways("To whom did {n} give the {noun}?; Who got the {noun}?",
                           "Who got the {noun} from {n}?"),
    ("gave", "holder"): ways("Who has the {noun} now?; Who has the {noun} at the end?",
                             "With whom is the {noun} now?"),
    ("found", "place"): ways("Where did {n} find the {noun}?; Where was the {noun}?",
                             "In what place did {n} find the {noun}?"),
    ("found", "who"): ways("Who found the {noun}?; Who found {t} {q}?", "By whom was the {noun} found?"),
    ("found", "what"): ways("What did {n} find?; What did {n} find {q}?", "What was it that {n} found?"),
    ("likes", "what"): ways("What did {n} like to eat?; What does {n} like to eat?",
                            "What food did {n} like?"),
    ("likes", "who"): ways("Who liked {w}?; Who liked to eat {w}?", "Who was it that liked {w}?"),
    ("went", "what"): ways("Where did {n} go?; To what place did {n} go?", "Where was it that {n} went?"),
    ("went", "who"): ways("Who went to the {w}?; Who was it that went to the {w}?",
                          "Who made a trip to the {w}?"),
    ("felt", "what"): ways("How did {n} feel?; How was {n}?", "In what mood was {n}?"),
    ("felt", "who"): ways("Who was {w}?; Who felt {w}?", "Who was it that was {w}?"),
}  # fmt: skip
"""For each fact and each part of it, how to ask for that part."""


def question(draw: Draw, fact: Fact, part: str) -> str:
    """How to ask for a part of a fact."""
    text = draw.ask(QUESTIONS[fact.sort, part])
    thing = THINGS.get(fact.what)
    many = thing is not None and thing.plural
    return text.format(
        n=fact.who.name, w=fact.what, noun=fact.what, kind=fact.what, k=a(fact.what) if fact.what else "",
        m=fact.whom.name if fact.whom else "",
        p=at(fact.what) if fact.what in PLACES else "", q=at(fact.place) if fact.place else "",
        t=f"the {fact.what}", **{"is": "are" if many else "is", "was": "were" if many else "was"},
    )  # fmt: skip


def asked(draw: Draw, passage: Passage) -> tuple[Fact, str]:
    """A fact that the passage tells, and which part of it to ask for."""
    facts = passage.facts
    options = []
    for fact in facts:
        for sort, part in _BY_SORT[fact.sort]:
            if part == "look" and fact.look not in COLOURS:
                continue
            if part == "who" and sum(f.sort == sort and f.what == fact.what for f in facts) > 1:
                continue
            options.append((fact, part))
    return draw.pick(options)


_BY_SORT: dict[str, list[tuple[str, str]]] = {}
for _key in QUESTIONS:
    _BY_SORT.setdefault(_key[0], []).append(_key)


# --- answers --------------------------------------------------------------------------------------


def statement(fact: Fact, part: str = "what", pronoun: bool = False) -> str:
    """A fact as a sentence."""
    who, what = fact.who, fact.what
    name = who.she if pronoun and part not in ("who", "whom", "holder") else who.name
    if fact.sort == "home":
        words = f"{name} lives {at(what)}"
    elif fact.sort == "kind":
        words = f"{name} is {a(what)}"
    elif fact.sort == "user":
        words = f"your name is {what}"
    elif fact.sort == "name":
        words = f"{who.she} is called {what}" if pronoun else f"{who.her} name is {what}"
    elif fact.sort == "trait":
        words = f"{name} is {what}"
    elif part == "look":
        words = f"the {what} {'are' if THINGS[what].plural else 'is'} {fact.look}"
    elif part == "holder" and fact.whom:
        words = f"{fact.whom.name} has the {what}"
    elif fact.sort == "has":
        words = f"{name} had {a_thing(what, fact.look)}"
    elif fact.sort == "gave" and fact.whom:
        words = f"{name} gave the {what} to {fact.whom.name}"
    elif fact.sort == "found":
        words = f"{name} found the {what} {at(fact.place)}"
    elif fact.sort == "likes":
        words = f"{name} liked {what}"
    elif fact.sort == "went":
        words = f"{name} went to the {what}"
    else:
        words = f"{name} was {what}"
    return capital(words) + "."


def one_word(fact: Fact, part: str) -> str:
    """The part that was asked for, as one word."""
    return {
        "who": fact.who.name,
        "whom": fact.whom.name if fact.whom else "",
        "holder": fact.whom.name if fact.whom else "",
        "what": fact.what,
        "look": fact.look,
        "place": fact.place,
    }[part]


@dataclass(frozen=True)
class Says:
    """The answer says what is so, in a sentence or a part of one, as `form` wants it.

    Attributes:
        fact: what is so.
        part: which part of it was asked for.
        form: "" for any, "word" for one word, "sentence" for a whole one; or "name": with the name
            of whoever asks.
        call: that name.
    """

    fact: Fact
    part: str
    form: str = ""
    call: str = ""

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        right = statement(self.fact, self.part)
        if self.form == "word":
            word = one_word(self.fact, self.part)
            if answer.rstrip(".!").lower() == word.lower():
                return ""
            return f"expected one word, {word!r}"
        if self.form == "name":
            named = re.fullmatch(rf"(?:{self.call}, (.+)|(.+), {self.call})\.", answer)
            if not named:
                return f"it does not say {self.call}, the name of whoever asks"
            answer = (named[1] or named[2]) + "."
            if named[1]:
                answer = capital(answer)
        if not answer[0].isupper() or answer[-1] not in ".!":
            return "it is no whole sentence: a sentence begins with a capital and ends with a stop"
        if any(w.capitalize() in NAMES and w.islower() for w in re.findall(r"\w+", answer)):
            return "a name begins with a capital"
        patterns = list(self.sentences())
        if self.form != "sentence":
            patterns += self.phrases()
        if any(re.fullmatch(pattern, answer[:-1], re.IGNORECASE) for pattern in patterns):
            return ""
        return f"it does not say that {_low(right[:-1])}" + (
            " in a whole sentence" if self.form == "sentence" else ""
        )

    def sentences(self) -> list[str]:
        """Patterns of sentences that say it."""
        fact, what = self.fact, self.fact.what
        full = _name(fact.who)
        who = full if self.part == "who" else f"(?:{full}|{fact.who.she})"
        whose = rf"(?:{fact.who.name}'s|{fact.who.her})"
        place = _place(what if what in PLACES else fact.place)
        it = "" if self.part == "what" else "|it|them"
        thing = rf"(?:(?:an?|the|{whose}|a pair of|the pair of) (?:{fact.look or '-'} )?{what}{it})"
        if fact.sort == "user":
            return [rf"your name is {what}", rf"you are (?:called |named )?{what}"]
        if fact.sort == "name":
            return [rf"(?:{fact.who.she}|the {fact.who.kind}) (?:is|was) (?:called |named )?{what}",
                    rf"{fact.who.her} name (?:is|was) {what}"]  # fmt: skip
        if fact.sort == "trait":
            return [rf"{who} (?:is|was) (?:very )?{what}",
                    rf"{who} (?:is|was) (?:an?|the) {what} {fact.who.kind}"]  # fmt: skip
        if self.part == "look":
            subject = rf"(?:(?:the|{whose}) {what}|it|they)"
            return [rf"{subject} (?:is|are|was|were) {fact.look}",
                    rf"{who} (?:has|had) (?:an?|a pair of) {fact.look} {what}"]  # fmt: skip
        if fact.sort == "home":
            there = rf"{who} (?:lives|lived) {place}"
            return [there, rf"{place} (?:lives|lived) {full}",
                    rf"{whose} home (?:is|was) {place}"]  # fmt: skip
        if fact.sort == "kind":
            trait = rf"(?:{fact.who.trait} )?"
            return [rf"{who} (?:is|was) (?:an?|the) {trait}{what}",
                    rf"(?:the|an?) {trait}{what} (?:is|was)(?: called| named)? {fact.who.name}"]  # fmt: skip
        if fact.sort == "has":
            return [rf"{who} (?:has|had|owns|owned) {thing}",
                    rf"{thing} (?:belongs|belonged) to {full}"]  # fmt: skip
        if fact.sort == "gave" and fact.whom:
            whom = _name(fact.whom)
            holder = [rf"{whom} (?:has|had|holds|got) {thing}(?: now| at the end)?"]
            if self.part == "holder":
                return holder
            both = whom if self.part == "whom" else f"(?:{whom}|{fact.whom.him})"
            taker = whom if self.part == "whom" else f"(?:{whom}|{fact.whom.she})"
            gave = [rf"{who} (?:gave|handed) {thing} to {both}",
                    rf"{who} (?:gave|handed) {both} {thing}"]  # fmt: skip
            source = full if self.part == "who" else f"(?:{full}|{fact.who.him})"
            got = [rf"{taker} got {thing} from {source}"]
            return gave + got + ([rf"{taker} got {thing}"] if self.part == "whom" else [])
        if fact.sort == "found":
            there = "" if self.part == "place" else "?"
            lay = [rf"(?:{thing}) (?:was|were|lay) {place}"] if self.part == "place" else []
            return [rf"{who} found {thing}(?: {place}){there}", *lay]
        if fact.sort == "likes":
            return [
                rf"{who} (?:likes|liked|loves|loved) (?:to eat )?{what}(?: more than anything)?"
            ]
        if fact.sort == "went":
            return [rf"{who} (?:went|walked|ran) to the {what}"]
        return [rf"{who} (?:was|is|felt|feels) (?:very )?{what}"]

    def phrases(self) -> list[str]:
        """Patterns of less than a sentence that say it."""
        fact, part = self.fact, self.part
        if part == "who":
            return [rf"{_name(fact.who)}(?: did| does| was| is| had| has)?"]
        if part in ("whom", "holder") and fact.whom:
            return [rf"(?:to )?{_name(fact.whom)}(?: did| does| has)?"]
        if part == "look":
            return [fact.look]
        if part == "place" or fact.sort in ("home", "went"):
            place = fact.place or fact.what
            return [_place(place), rf"to the {place}"] if fact.sort == "went" else [_place(place)]
        if fact.sort in ("name", "user"):
            return [what for what in (fact.what,)]
        if fact.sort in ("likes", "felt", "trait"):
            return [rf"(?:very )?{fact.what}"]
        trait = f"(?:{fact.who.trait} )?" if fact.sort == "kind" else f"(?:{fact.look or '-'} )?"
        return [rf"(?:an?|the|a pair of) {trait}{fact.what}"]


def _name(who: Who) -> str:
    """What somebody may be called."""
    return rf"(?:{who.name}(?: the {who.kind})?|the {who.kind})"


def _place(place: str) -> str:
    """ "in the barn", "at the barn"."""
    if place not in PLACES:
        return "-"
    return rf"(?:{PLACES[place].at}|at) the {place}"


def _low(text: str) -> str:
    """The text with its first letter small, unless it is a name."""
    return text if text.split()[0] in NAMES else text[0].lower() + text[1:]
