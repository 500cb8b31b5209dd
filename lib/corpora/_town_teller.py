"""The storyteller's craft: names and pronouns, sentences joined out of clauses, paragraphs.

An event becomes clauses (`_town_phrases`); a clause knows its subject and gives its verb phrase in
any form, so that two clauses can become one sentence in many ways: "She took the lamp and left",
"After taking the lamp, she left". Who "she" is, is decided when the words are set down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from lib.corpora._town_verbs import phrase
from lib.corpora._town_words import KINDS, PLACES
from lib.corpora._town_world import Chance, Event, Person, Thing

T = TypeVar("T")


def a(words: str) -> str:
    """`words` with the right article: "an old hat".

    >>> a("honest man")
    'an honest man'
    """
    return f"an {words}" if words[0] in "aeiou" or words.startswith("honest") else f"a {words}"


def capital(text: str) -> str:
    """The text with its first letter, even inside a quotation mark, in upper case."""
    start = 1 if text[0] == '"' else 0
    return text[:start] + text[start].upper() + text[start + 1 :]


@dataclass(slots=True)
class Clause:
    """Something to be said about one event."""

    events: tuple[int, ...]
    who: Person | None = None  # the subject, if `verb` is given
    verb: Callable[[str], str] | None = None  # the verb phrase in a form: "past", "ing", "inf"
    text: Callable[[], str] | None = None  # or else a whole clause
    whole: bool = False  # `text` is a whole sentence with its full stop
    link: str = ""  # how it follows from what was said before: "so", "but", "react" or ""
    role: str = "act"  # "act", "move", "mind" (a plan, a start: not yet over), "state" or "scene"
    front: str = ""  # what may stand before it: "with a smile, "
    tail: str = ""  # what may stand after it: " in the rain"
    scene: bool = False  # a new scene may begin here


@dataclass(slots=True)
class Sentence:
    """A sentence of a story, and which events it tells."""

    text: str
    events: tuple[int, ...]


@dataclass(slots=True)
class Teller:
    """Sets down clauses as sentences and remembers who and what has been mentioned."""

    chance: Chance
    people: list[Person]
    sentences: list[Sentence] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)  # the sentences that begin a paragraph
    now: int = 0  # the sentence being written
    known: set[Person] = field(default_factory=set)
    seen: dict[Person, int] = field(default_factory=dict)  # last sentence that mentions them
    named: dict[Person, int] = field(default_factory=dict)  # last sentence with their name
    thing_seen: dict[Thing, int] = field(default_factory=dict)
    subject: Person | None = None
    opener: str = ""
    last_openers: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)  # all that happens
    theme: str = ""
    weather: str = ""
    here: str = ""  # where the hero is, as far as clauses have been made
    mood: str = ""  # the hero's, as far as clauses have been made
    want: str = ""  # what the hero wants to do: "fly it on the hill"
    looks: dict[str, str] = field(default_factory=dict)  # the adjective that goes with a place
    said: set[str] = field(default_factory=set)  # what is not said twice

    def pick(self, options: Sequence[T]) -> T:
        return self.chance.pick(options)

    def maybe(self, share: float) -> bool:
        return self.chance.maybe(share)

    # --- people -----------------------------------------------------------------------------------

    def clear(self, who: Person) -> bool:
        """Whether "he" or "she" can only be this one."""
        now = self.now - 1
        if self.seen.get(who, -9) < now or self.named.get(who, -9) < now - 2:
            return False
        for other in self.people:
            if (
                other is not who
                and other.female == who.female
                and self.seen.get(other, -9) >= now - 1
            ):
                return False
        return True

    def mention(self, who: Person, by_name: bool = True) -> None:
        self.seen[who] = self.now
        if by_name:
            self.named[who] = self.now
            self.known.add(who)

    def sub(self, who: Person, name: bool = False) -> str:
        """Somebody as the subject."""
        self.subject = who
        here = self.seen.get(who) == self.now and self.alone(who)
        if not name and (here or (self.clear(who) and self.maybe(0.85))):
            self.mention(who, False)
            return self.again(who)
        return self.named_as(who)

    def again(self, who: Person) -> str:
        """The subject of the same sentence once more."""
        return "she" if who.female else "he"

    def once_more(self, who: Person) -> str:
        """The subject of the clause before, again as a subject."""
        self.subject = who
        if not self.alone(who):
            return self.named_as(who)
        self.mention(who, False)
        return self.again(who)

    def alone(self, who: Person) -> bool:
        """Whether this sentence has named nobody else who would be "he" or "she" too."""
        return all(
            other is who or other.female != who.female or self.seen.get(other, -9) < self.now
            for other in self.people
        )

    def obj(self, who: Person) -> str:
        """Somebody as the object."""
        if self.clear(who) and self.maybe(0.9):
            self.mention(who, False)
            return "her" if who.female else "him"
        return self.named_as(who)

    def poss(self, who: Person) -> str:
        """ "her", or "Mia's"."""
        own = self.subject is who and self.alone(who)
        if own or self.clear(who):
            self.mention(who, False)
            return "her" if who.female else "his"
        return self.named_as(who) + "'s"

    def named_as(self, who: Person) -> str:
        """A name, with a word on who this is at the first mention."""
        if who in self.known:
            share = (
                0.22
                if who.group != "child"
                else 0.12
                if who is self.people[0] and self.only(who)
                else 0
            )
            late = self.now - 4 < self.seen.get(who, -9) < self.now
            if self.maybe(share) and late and self.named.get(who) != self.now:
                self.mention(who)
                return f"the {who.kind}"
            self.mention(who)
            return who.name
        words = self.introduction(who)
        self.mention(who)
        return words

    def only(self, who: Person) -> bool:
        """Nobody else in the story is of this kind."""
        return all(other is who or other.kind != who.kind for other in self.people)

    def introduction(self, who: Person) -> str:
        """The first mention of somebody: "a grumpy miller named Otto"."""
        if who.bond:
            friend, word = who.bond
            kind = "" if who.group == "child" else f" the {who.kind}"
            return f"{self.poss(friend)} {word} {who.name}{kind}"
        if who.group != "child" and self.maybe(0.3):
            return f"{who.name} the {who.kind}"
        return f"{self.described(who)} {self.pick(('named', 'called'))} {who.name}"

    def described(self, who: Person) -> str:
        """ "a grumpy miller", "a young fox"."""
        if self.maybe(0.5):
            return a(f"{who.trait} {who.kind}")
        if who.group == "child":
            return a(f"{self.pick(('little', 'small', 'young'))} {who.kind}")
        words = ("old", "young", "fat", "thin") if who.group == "grown" else _BEASTS
        return a(f"{self.pick(words)} {who.kind}") if self.maybe(0.7) else a(who.kind)

    def pair(self, one: Person, two: Person) -> str:
        """Two people as the subject."""
        if one in self.known and two in self.known and self.seen.get(two, -9) >= self.now - 1:
            self.subject = None
            both = one.bond or two.bond
            options = ["they", "they", "the two of them"]
            if both and both[1] == "friend":
                options.append("the two friends")
            word = self.pick(options)
            self.seen[one] = self.seen[two] = self.now
            return word
        first = self.named_as(one) if one not in self.known or two in self.known else self.sub(one)
        self.subject = one
        second = self.named_as(two)
        self.subject = None
        return f"{first} and {second}"

    # --- things and places ------------------------------------------------------------------------

    def thing(self, thing: Thing, owner: Person | None = None, it: bool = True) -> str:
        """A thing: "an old map" when it is new to the listener, then "the map", "it", "her map"."""
        last = self.thing_seen.get(thing, -9)
        alone = all(
            seen < self.now - 1 or other is thing for other, seen in self.thing_seen.items()
        )
        self.thing_seen[thing] = self.now
        full = f"{thing.look} {thing.noun}"
        if last == -9:
            if owner:
                return f"{self.poss(owner)} {full}"
            return f"a pair of {full}" if thing.plural else a(full)
        if it and alone and last >= self.now - 1 and self.maybe(0.7):
            return "them" if thing.plural else "it"
        words = full if self.maybe(0.18) else thing.noun
        if owner and thing.owner is owner and self.maybe(0.5):
            whose = self.poss(owner)
            if whose in ("her", "his") or self.subject is not owner:
                return f"{whose} {words}"
        return f"the {words}"

    def thing_sub(self, thing: Thing, owner: Person | None = None) -> str:
        """A thing as the subject."""
        words = self.thing(thing, owner)
        return "they" if words == "them" else words

    def a_thing(self, thing: Thing) -> str:
        """A thing of this sort, not yet this very one."""
        self.thing_seen[thing] = self.now
        full = f"{thing.look} {thing.noun}"
        return f"a pair of {full}" if thing.plural else a(full)

    def fade(self) -> None:
        """Nothing that was named is "it" any more, for something else was."""
        for thing, seen in self.thing_seen.items():
            self.thing_seen[thing] = min(seen, self.now - 2)

    def to(self, place: str) -> str:
        """The place as a goal, without a preposition: "the old mill"."""
        if self.maybe(0.3):
            look = self.pick(PLACES[place].adjectives)
            return f"the {self.looks.setdefault(place, look)} {place}"
        return f"the {place}"

    def at(self, place: str) -> str:
        """ "at the mill"."""
        return f"{PLACES[place].at} {self.to(place)}"

    # --- sentences --------------------------------------------------------------------------------

    def write(self, text: str, events: tuple[int, ...]) -> None:
        """Set down one sentence; full stop and capital are seen to."""
        text = capital(text)
        if text[-1] not in '.!?"':
            text += "."
        self.sentences.append(Sentence(text, events))
        self.now += 1

    def say(self, clause: Clause) -> str:
        """The clause in the past, with its subject."""
        if clause.verb and clause.who:
            return f"{self.sub(clause.who)} {clause.verb('past')}"
        assert clause.text
        self.subject = None
        return clause.text()

    def tell(self, clauses: list[Clause]) -> None:
        """Set down all clauses, joining some."""
        at = 0
        while at < len(clauses):
            clause = clauses[at]
            if clause.scene and self.now - (self.breaks[-1] if self.breaks else 0) >= 4:
                if self.maybe(0.6):
                    self.breaks.append(self.now)
            if clause.link == "open":
                assert clause.text
                self.opener = clause.text()
                at += 1
                continue
            if clause.whole:
                assert clause.text
                self.subject = None
                self.write(clause.text(), clause.events)
                at += 1
                continue
            following = clauses[at + 1 : at + 3]
            while following and (following[-1].whole or following[-1].scene):
                following.pop()
            if following and (following[0].whole or following[0].link == "open"):
                following = []
            if len(following) > 1 and following[1].link == "open":
                following.pop()
            used = self.join(clause, following)
            at += used

    def opening(self, clause: Clause) -> str:
        """ "Then ", "Soon ", or nothing."""
        if self.opener:
            words, self.opener = self.opener, ""
            return words
        if clause.link == "but":
            return "but "
        if clause.link == "so":
            return "so "
        if clause.link == "react":
            return ""
        share = {"move": 0.2, "act": 0.13}.get(clause.role, 0.0)
        if clause.front and self.maybe(0.6):
            return clause.front
        if self.now > 3 and clause.verb and self.maybe(share):
            word = self.pick(_THEN if clause.role == "move" else _THEN[:3])
            if word not in self.last_openers:
                self.last_openers = [word, *self.last_openers[:3]]
                return word
        return ""

    def join(self, one: Clause, following: list[Clause]) -> int:
        """Write one sentence out of the next one to three clauses; how many were used."""
        two = following[0] if following else None
        if two is None:
            self.write(self.opening(one) + self.say(one) + self.after(one), one.events)
            return 1
        both = one.events + two.events
        plain = one.role in _PLAIN
        if one.verb and two.verb and one.who is two.who and plain:
            if two.link == "but" and one.link != "but":
                self.write(f"{self.opening(one)}{self.say(one)} but {two.verb('past')}", both)
                return 2
            if two.role in _PLAIN and self.maybe(0.84):
                return self._join_same(one, two, following, both)
        elif two.link == "more" and one.link != "but" and self.maybe(0.8):
            assert two.verb
            text = self.opening(one) + self.say(one)
            self.write(f"{text}{',' if ', ' in text else ''} and {two.verb('past')}", both)
            return 2
        elif two.link == "but" and one.link != "but":
            self.write(f"{self.opening(one)}{self.say(one)}, but {self.say(two)}", both)
            return 2
        elif two.link == "so" and not one.link and self.maybe(0.85):
            if self.maybe(0.6) or self.opener:
                self.write(f"{self.opening(one)}{self.say(one)}, so {self.say(two)}", both)
            else:
                self.write(
                    f"{self.pick(('because ', 'since '))}{self.say(one)}, {self.say(two)}", both
                )
            return 2
        elif two.link == "react" and not self.opener and one.link != "but" and self.maybe(0.6):
            done = one.role in ("act", "move")
            word = self.pick(("when ", "when ", "as soon as ", "")) if done else ""
            if word:
                self.write(f"{word}{self.say(one)}, {self.say(two)}", both)
            else:
                self.write(f"{self.opening(one)}{self.say(one)}, and {self.say(two)}", both)
            return 2
        elif two.link == "result" and one.link != "but" and self.maybe(0.7):
            self.write(f"{self.opening(one)}{self.say(one)}, and {self.say(two)}", both)
            return 2
        elif plain and two.role == "scene" and two.link == "" and self.maybe(0.5):
            self.write(f"{self.opening(one)}{self.say(one)}, where {self.say(two)}", both)
            return 2
        elif plain and two.role == "act" and two.link == "" and two.verb and self.maybe(0.4):
            self.write(self._and(f"{self.opening(one)}{self.say(one)}", one, two), both)
            return 2
        text = self.opening(one) + self.say(one) + self.after(one)
        fits = two.link == "" and one.link != "but" and one.role != "scene"
        fits = fits and (two.verb is not None or two.role == "scene")
        if text.count(" ") < 6 and fits and self.maybe(0.7):
            where = two.role == "scene" and one.role == "move"
            text = f"{text}, where {self.say(two)}" if where else self._and(text, one, two)
            self.write(text, both)
            return 2
        self.write(text, one.events)
        return 1

    def _and(self, text: str, one: Clause, two: Clause) -> str:
        """`text`, which says `one`, and `two`: without its subject where that is the same."""
        if one.verb and two.verb and one.who is two.who:
            return f"{text}{',' if ', who' in text else ''} and {two.verb('past')}"
        return f"{text}, and {self.say(two)}"

    def after(self, clause: Clause) -> str:
        """What is added behind a short clause."""
        return clause.tail if clause.tail and self.maybe(0.7) else ""

    def _join_same(
        self, one: Clause, two: Clause, following: list[Clause], both: tuple[int, ...]
    ) -> int:
        """Two or three clauses about the same person."""
        assert one.verb and two.verb and one.who
        three = following[1] if len(following) > 1 else None
        if (
            three
            and three.verb
            and three.who is one.who
            and three.role == "act"
            and three.link in ("", "react")
            and self.maybe(0.4)
        ):
            text = f"{self.opening(one)}{self.say(one)}, {two.verb('past')}"
            text += f"{',' if ', who' in text else ''} and {three.verb('past')}"
            self.write(text, both + three.events)
            return 3
        way = self.chance.random()
        stays = one.role == "mind" or self.opener or one.link
        if way < 0.52 or stays or one.who not in self.known:
            word = "and so" if two.link == "so" and self.maybe(0.3) else "and"
            text = f"{self.opening(one)}{self.say(one)}"
            comma = "," if ", who" in text else ""
            text += f"{comma} {word} {two.verb('past')}{self.after(two)}"
        elif way < 0.68:
            self.subject = one.who
            name = not self.clear(one.who)
            text = f"after {one.verb('ing')}, {self.sub(one.who, name)} {two.verb('past')}"
        elif way < 0.8:
            had = f"{self.sub(one.who)} had {one.verb('part')}"
            text = f"when {had}, {self.once_more(one.who)} {two.verb('past')}"
        elif way < 0.88 and two.role == "move" and one.role == "move":
            text = f"{self.opening(one)}{self.say(one)}"
            text += f"{',' if ', who' in text else ''} before {two.verb('ing')}"
        else:
            text = f"{self.opening(one)}{self.say(one)}"
            again = f", and then {self.again(one.who)}" if self.alone(one.who) else " and then"
            text += f"{again} {two.verb('past')}"
        self.write(text, both)
        return 2

    # --- speech -----------------------------------------------------------------------------------

    def quote(self, who: Person, words: str, verb: str = "say", manner: str = "") -> str:
        """Direct speech, in one of several orders."""
        way = self.chance.random()
        tail = f" {manner}" if manner else ""
        stop = max(words.find(mark) for mark in ("! ", "? ", ". ")) if way > 0.25 else -1
        if verb == "ask" and words[stop] != "?":
            stop = -1
        if way < 0.42 and stop > 0:  # "Thank you," said Mia. "Now I can go home."
            first, rest = words[: stop + 1], words[stop + 2 :]
            return f'{self._said(who, first, verb, tail)} "{capital(rest)}"'
        if way < 0.75:
            return self._said(who, words, verb, tail)
        if way < 0.88:
            return f'{capital(self.sub(who))} {phrase(verb, "past")}{tail}, "{capital(words)}"'
        gestures = _THINKING if verb in ("think", "mutter", "sigh") else _GESTURES[who.group]
        gesture = f"{capital(self.sub(who))} {phrase(self.pick(gestures), 'past')}"
        return f'{gesture} and {phrase(verb, "past")}, "{capital(words)}"'

    def _said(self, who: Person, words: str, verb: str, tail: str) -> str:
        inside = words[:-1] + "," if words[-1] == "." else words
        speaker, said = self.sub(who), phrase(verb, "past")
        if speaker in ("he", "she") or self.maybe(0.35):
            return f'"{capital(inside)}" {speaker} {said}{tail}.'
        return f'"{capital(inside)}" {said} {speaker}{tail}.'


_PLAIN = ("act", "move", "mind")
_THINKING = ("pause", "look around", "stand still", "stop for a moment", "sit down")
_BEASTS = ("young", "old", "small", "fat", "fluffy", "thin")
_THEN = (
    "then ",
    "then ",
    "after that, ",
    "soon ",
    "a little later, ",
    "before long, ",
    "after a while, ",
    "without delay, ",
    "soon after, ",
)
_GESTURES = {
    "child": ("take a deep breath", "step closer", "pause", "look up", "lean forward",
              "turn around", "pause for a moment"),
    "grown": ("look up", "lean forward", "pause", "step closer", "take a deep breath",
              "turn around", "wait for a moment"),
    "animal": ("look up", "step closer", "pause", "look around", "sniff the air", "turn around",
               "wait for a moment"),
}  # fmt: skip


def verb_of(event: Event) -> str:
    """How somebody of this kind gets about."""
    who = event.who
    assert who
    return who.kind if who.kind in _GAITS else who.group


_GAITS = {
    "child": ("walk", "run", "hurry", "skip", "march", "race", "go", "wander"),
    "grown": ("walk", "hurry", "go", "stroll", "march", "wander", "head", "plod"),
    "animal": ("trot", "run", "scurry", "go", "hurry", "wander", "scamper", "amble"),
    "duck": ("waddle", "flutter", "swim", "hurry"),
    "goose": ("waddle", "march", "flutter", "hurry"),
    "swan": ("glide", "waddle", "fly", "go"),
    "hen": ("hurry", "run", "trot", "flutter"),
    "rabbit": ("hop", "run", "dash", "bound"),
    "hare": ("hop", "race", "dash", "bound"),
    "frog": ("hop", "leap", "hurry", "bounce"),
    "toad": ("hop", "crawl", "plod", "go"),
    "turtle": ("crawl", "plod", "creep", "amble"),
    "mole": ("crawl", "scurry", "shuffle", "creep"),
    "owl": ("fly", "glide", "flutter", "hurry"),
    "crow": ("fly", "hop", "flutter", "hurry"),
    "robin": ("fly", "hop", "flutter", "hurry"),
    "sparrow": ("fly", "hop", "flutter", "dart"),
    "magpie": ("fly", "hop", "flutter", "hurry"),
    "horse": ("trot", "gallop", "canter", "go"),
    "pony": ("trot", "gallop", "canter", "go"),
    "bear": ("plod", "amble", "tramp", "wander"),
    "mouse": ("scurry", "scamper", "creep", "dash"),
    "cat": ("pad", "creep", "stroll", "dash"),
}
GAITS = _GAITS
assert set(_GAITS) - set(KINDS) == {"child", "grown", "animal"}
