"""What the checker believes while it reads: who is there, who holds what, what words refer to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lib.corpora._town_clauses import Noun
from lib.corpora._town_grammar import ALIVE
from lib.corpora._town_lexicon import FEMALE
from lib.corpora._town_lists import word_list
from lib.corpora._town_words import KINDS, PLACES, THINGS

COLOURS = frozenset(word_list("red blue green yellow brown white black purple orange pink grey"))
METALS = frozenset(word_list("silver golden wooden brass woollen straw silk"))
MORE_ITEMS = word_list(
    "bone lunch bottle glass plate pencil newspaper pillow flag toy rose stone milk"
)
ITEMS = frozenset((*THINGS, *MORE_ITEMS)) | {
    noun.rstrip("s") for noun, t in THINGS.items() if t.plural
}
SEXED = {
    "girl": True, "woman": True, "sister": True, "aunt": True, "grandmother": True, "mother": True,
    "queen": True, "hen": True, "cow": True, "boy": False, "man": False, "brother": False,
    "uncle": False, "grandfather": False, "father": False, "king": False,
}  # fmt: skip
SEXED |= {kind.noun: kind.sex == "f" for kind in KINDS.values() if kind.sex}


@dataclass(eq=False, slots=True)
class Somebody:
    """A person or an animal, as far as the text has told."""

    name: str
    kind: str = ""
    place: str = ""
    home: str = ""
    asleep: bool = False
    seen: int = -1  # the last sentence that mentions them
    born: int = 0  # the first one

    @property
    def female(self) -> bool:
        return self.name in FEMALE


@dataclass(eq=False, slots=True)
class Item:
    """A thing, as far as the text has told."""

    noun: str
    looks: set[str] = field(default_factory=set)
    owner: Somebody | None = None
    holder: Somebody | None = None
    place: str = ""
    spot: str = ""
    gone: bool = False
    shared: bool = False
    broken: bool = False
    locked: bool = False
    seen: int = -1  # the last sentence that mentions it
    turn: int = 0  # which mention of all mentions that was
    plural: bool = False

    def __str__(self) -> str:
        return f"the {self.noun}"


class Contradiction(Exception):
    """What is told cannot be so."""


@dataclass(slots=True)
class State:
    """The world of a story, as read so far."""

    people: dict[str, Somebody] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    now: int = 0
    weather: str = ""
    hour: int = 0
    winner: Somebody | None = None
    subject: Somebody | None = None  # the subject of the clause before
    acting: Somebody | None = None  # the subject of this clause
    partner: Somebody | None = None  # whom the subject last dealt with
    group: tuple[Somebody, ...] = ()
    turns: int = 0
    stranger: int = -9  # the last sentence with somebody who has no name
    meant: dict[int, tuple[Noun, tuple[Somebody, ...]]] = field(default_factory=dict)

    # --- people -----------------------------------------------------------------------------------

    def introduce(self, noun: Noun) -> Somebody:
        """A name with a word on who it is."""
        name = noun.head
        who = self.people.get(name)
        kind = noun.kind
        if who is None:
            who = self.people[name] = Somebody(name, born=self.now)
        elif kind in KINDS and who.kind in KINDS and kind != who.kind:
            raise Contradiction(f"{name} is a {who.kind}, not a {kind}")
        for word in (kind, *noun.looks):
            if word in SEXED and SEXED[word] != who.female:
                raise Contradiction(f"{name} cannot be a {word}")
        if kind in KINDS:
            others = [o for o in self.people.values() if o.kind == kind and o is not who]
            if others and kind not in ("girl", "boy"):
                raise Contradiction(f"the {kind} is {others[0].name}, not {name}")
            who.kind = kind
        elif not who.kind:
            who.kind = kind
        return who

    def person(self, noun: Noun, is_subject: bool = False) -> tuple[Somebody, ...]:
        """Whom a noun phrase means; nobody for things and strangers."""
        if noun.sort == "and":
            found: tuple[Somebody, ...] = ()
            for part in noun.parts:
                found += self.person(part, is_subject)
            if len(found) > 1:
                self.group = found
                if len(set(map(id, found))) < len(found):
                    raise Contradiction(f"{found[0].name} is named twice")
            return found
        if noun.sort == "name":
            who = self.introduce(noun) if noun.introduces else self.people.get(noun.head)
            if who is None:
                if any(known.born < self.now for known in self.people.values()):
                    raise Contradiction(f"nobody has said who {noun.head} is")
                who = self.introduce(noun)
            who.seen = self.now
            return (who,)
        if noun.sort == "pronoun":  # one phrase means the same for all verbs that share it
            if id(noun) not in self.meant:
                self.meant[id(noun)] = noun, self._pronoun(noun, is_subject)
            return self.meant[id(noun)][1]
        if noun.head in KINDS or noun.head in ("friend", "friends"):
            return self._by_kind(noun)
        if noun.sort == "thing" and noun.head in ALIVE:
            self.stranger = self.now  # "a thief": "he" may be somebody without a name
        return ()

    def _by_kind(self, noun: Noun) -> tuple[Somebody, ...]:
        if noun.det not in ("the", "this", "that") and not noun.owner:
            return ()
        if noun.plural:
            return self.pair() if noun.head == "friend" else ()
        found = [who for who in self.people.values() if who.kind == noun.head]
        if noun.head == "friend" and noun.owner:
            return ()
        if len(found) > 1:
            found = sorted(found, key=lambda who: -who.seen)[:1]
        if found:
            found[0].seen = self.now
        return tuple(found)

    def pair(self) -> tuple[Somebody, ...]:
        """Whom "they" means: the last two or three people."""
        recent = sorted(self.people.values(), key=lambda who: -who.seen)
        recent = [who for who in recent if who.seen >= self.now - 3]
        both = tuple(recent[:2]) if len(recent) >= 2 else ()
        if self.group and all(who in recent for who in self.group):
            both = self.group
        for who in both:
            who.seen = self.now
        return both

    def _pronoun(self, noun: Noun, is_subject: bool) -> tuple[Somebody, ...]:
        word = noun.head
        if word in ("they", "them", "their", "each other", "themselves"):
            return self.pair() if word == "they" else ()
        sex = {"he": False, "him": False, "his": False, "himself": False,
               "she": True, "her": True, "herself": True, "hers": True}.get(word)  # fmt: skip
        if sex is None:
            return ()
        found = [w for w in self.people.values() if w.female == sex and w.seen >= self.now - 4]
        if word in ("him", "her") and not is_subject and len(found) > 1:
            found = [w for w in found if w is not self.acting]
        if not found and self.stranger >= self.now - 4:
            return ()
        if not found:
            raise Contradiction(f"{word!r} can mean nobody here")
        if is_subject and self.subject in found and self.subject is not None:
            if self.subject.seen >= max(w.seen for w in found) - 1:
                return (self.subject,)
        best = max(found, key=lambda w: (w.seen, w is self.acting, w is self.subject))
        best.seen = max(best.seen, self.now - 1)
        return (best,)

    def means_person(self, noun: Noun) -> bool:
        """Whether a noun phrase means people, told from its words alone."""
        return (
            noun.head in KINDS
            or noun.head in ("him", "her", "me", "you", "us", "friend")
            or noun.sort == "and"
        )

    # --- things -----------------------------------------------------------------------------------

    def item(
        self, noun: Noun, real: bool = True, fits: Callable[[Item], bool] | None = None
    ) -> Item | None:
        """Which thing a noun phrase means; a new one if it is new. None for what is not tracked."""
        if noun.sort == "pronoun":
            if noun.head not in ("it", "them", "they"):
                return None
            plural = noun.head != "it"
            found = [
                x
                for x in self.items
                if x.plural == plural and x.seen >= self.now - 3 and not x.gone
            ]
            found.sort(key=lambda x: -x.turn)
            good = [x for x in found if fits is None or fits(x)]
            chosen = (good or found or [None])[0]  # type: ignore[list-item]
            if chosen is not None:
                self.mark(chosen)
            return chosen
        head = noun.head if noun.head in ITEMS or noun.head == "key" else ""
        if not head and noun.head + "s" in ITEMS:
            head = noun.head + "s"
        if noun.sort != "thing" or not head:
            return None
        if (
            noun.plural
            and not noun.det
            and noun.owner is None
            and not THINGS.get(head, THINGS["hat"]).plural
        ):
            return None  # "she carried bags": no bags in particular
        looks = {look for look in noun.looks if look in _LOOKS}
        known = [x for x in self.items if x.noun == head and x.plural == noun.plural]
        real = real and noun.det != "no"
        counted = noun.det in ("no", "a", "an", "another", "some", "two", "three", "many", "few")
        new = counted or (not noun.det and noun.owner is None)
        if new and real:
            if noun.det != "another" and (
                same := [x for x in known if x.looks == looks and looks and not x.gone]
            ):
                self.mark(same[0])
                return same[0]
            made = Item(head, looks, plural=noun.plural)
            self.mark(made)
            self.items.append(made)
            return made
        if new:
            return next((x for x in known if not looks or looks <= x.looks), None)
        owner = None
        if noun.owner is not None and noun.owner.sort != "pronoun":
            owner = next(iter(self.person(noun.owner)), None)
        match = [x for x in known if not looks or looks <= x.looks or not x.looks]
        if owner is not None:
            match = [x for x in match if x.owner in (owner, None) or x.holder is owner] or []
            if known and not match:
                raise Contradiction(f"the {head} is not {owner.name}'s")
        if known and not match:
            wrong = " ".join(sorted(looks))
            if looks & _FIRM or any(x.looks for x in known):
                raise Contradiction(f"there is no {wrong} {head}")
        if match:
            match.sort(key=lambda x: (-(fits is None or fits(x)), -x.turn))
            self.mark(match[0])
            match[0].looks |= looks
            if owner is not None and match[0].owner is None:
                match[0].owner = owner
            return match[0]
        made = Item(head, looks, owner=owner, plural=noun.plural)
        self.mark(made)
        if real:
            self.items.append(made)
        return made

    def mark(self, item: Item) -> None:
        """The thing is mentioned now."""
        self.turns += 1
        item.seen, item.turn = self.now, self.turns

    def touch(self, noun: Noun) -> None:
        """A thing is spoken of: "it" can mean it from now on."""
        known = [x for x in self.items if x.noun == noun.head and x.plural == noun.plural]
        colours = COLOURS & set(noun.looks)
        if known and colours and all(x.looks & COLOURS and not x.looks & colours for x in known):
            whose = next(iter(self.person(noun.owner)), None) if noun.owner else None
            if whose is None or any(x.owner in (whose, None) for x in known):
                raise Contradiction(
                    f"{known[0]} is {min(known[0].looks & COLOURS)}, not {min(colours)}"
                )
        if known:
            self.mark(max(known, key=lambda x: x.turn))

    # --- what must hold ---------------------------------------------------------------------------

    def together(self, one: Somebody, two: Somebody) -> None:
        """They must be in one place."""
        if one is two:
            raise Contradiction(
                f"{one.name} cannot do that with {'her' if one.female else 'him'}self"
            )
        if one.place and two.place and one.place != two.place:
            raise Contradiction(
                f"{one.name} is {PLACES[one.place].at} the {one.place}, "
                f"{two.name} is {PLACES[two.place].at} the {two.place}"
            )
        one.place = one.place or two.place
        two.place = two.place or one.place

    def must_hold(self, who: Somebody, item: Item) -> None:
        """Somebody must have the thing in hand."""
        if item.gone:
            raise Contradiction(f"{item} is gone")
        if item.holder is not None and item.holder is not who:
            raise Contradiction(f"{item.holder.name} has {item}, not {who.name}")
        if item.holder is None and item.place and who.place and item.place != who.place:
            raise Contradiction(f"{item} lies {PLACES[item.place].at} the {item.place}")

    def near(self, who: Somebody, item: Item) -> None:
        """The thing must be where somebody is."""
        if item.gone:
            raise Contradiction(f"{item} is gone")
        where = item.holder.place if item.holder else item.place
        if where and who.place and where != who.place:
            raise Contradiction(f"{item} is {PLACES[where].at} the {where}")


_LOOKS = frozenset(look for thing in THINGS.values() for look in thing.looks)
_FIRM = COLOURS | METALS
