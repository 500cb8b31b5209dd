"""What the checker makes of people who move, and of things that change hands."""

from __future__ import annotations

from dataclasses import dataclass

from lib.corpora._town_clauses import Clause
from lib.corpora._town_lexicon import plural_of
from lib.corpora._town_state import Contradiction, Item, Somebody, State
from lib.corpora._town_words import PLACES, THINGS


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened, as the checker understood it."""

    verb: str
    who: Somebody | None = None
    item: Item | None = None
    whom: Somebody | None = None
    place: str = ""
    sentence: int = 0


class Moves:
    """Lets people move and things change hands, or says why that cannot be."""

    def __init__(self, state: State, happened: list[Happening]) -> None:
        """
        Args:
            state: what is so; changed in place.
            happened: what happened is added to it.
        """
        self.state, self.happened = state, happened
        self.back = self.sudden = False  # "back" or "suddenly" stands in what is read
        self.speaker: Somebody | None = None  # who spoke last
        self.spoke = -9  # in which sentence
        self.favours: list[tuple[Somebody, Somebody | None, int]] = []  # who helped whom, and when

    def note(self, verb: str, who: Somebody | None, item: Item | None = None,
             whom: Somebody | None = None, place: str = "") -> None:  # fmt: skip
        self.happened.append(Happening(verb, who, item, whom, place, self.state.now))

    def at(self, one: Somebody, place: str) -> None:
        """Somebody is at a place, without having gone there."""
        if one.place and one.place != place:
            raise Contradiction(
                f"{one.name} is {PLACES[one.place].at} the {one.place}, "
                f"not {PLACES[place].at} the {place}"
            )
        one.place = place

    def home(self, one: Somebody, clause: Clause) -> None:
        """Where somebody lives: one place only."""
        place = next((n.head for _, n in clause.preps if n.head in PLACES), "")
        if place:
            if one.home and one.home != place:
                raise Contradiction(f"{one.name} lives {PLACES[one.home].at} the {one.home}")
            one.home = place
            one.place = one.place or place

    def go(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal:
            return
        state, place = self.state, self.goal(clause)
        travellers = list(who)
        if clause.verb in ("lead", "follow", "take", "carry"):
            travellers += [p for noun in clause.objects for p in state.person(noun)]
        nouns = (*clause.objects, *(n for _, n in clause.preps))
        if not place and (
            {"home", "for home"} & set(clause.adverbs) or any(n.head == "home" for n in nouns)
        ):
            for one in travellers:
                one.place = one.home
                self.note("go", one, place=one.home)
            return
        if not place:
            past = {"by", "past", "along", "around", "round"} & {
                *clause.adverbs,
                *(p for p, _ in clause.preps),
            }
            new = len(who) == 1 and not who[0].place
            if (
                new and ((past and clause.verb in ("come", "pass", "fly")) or clause.verb == "land")
            ) or (len(who) == 1 and any(inner.verb == "visit" for _, inner in clause.inner)):
                self.comes(who[0])
            return
        companions = [
            p for prep, noun in clause.preps if prep == "with" for p in state.person(noun)
        ]
        for one in dict.fromkeys([*travellers, *companions]):
            if one.place == place and not self.back and one not in companions:
                raise Contradiction(f"{one.name} is {PLACES[place].at} the {place} already")
        if (
            len(travellers) > 1
            and len({t.place for t in travellers if t.place}) > 1
            and clause.verb != "reach"
        ):
            raise Contradiction(
                f"{travellers[0].name} and {travellers[1].name} are not in one place"
            )
        for one in dict.fromkeys([*travellers, *companions]):
            one.place = place
            self.note("go", one, place=place)

    def comes(self, one: Somebody) -> None:
        """Somebody comes to where the story is."""
        others = [w for w in self.state.people.values() if w is not one]
        others.sort(key=lambda w: -w.seen)
        if others:
            one.place = others[0].place

    def goal(self, clause: Clause) -> str:
        """Where a way leads."""
        if "on the way" in clause.adverbs or any(noun.head == "way" for _, noun in clause.preps):
            return ""
        for prep, noun in clause.preps:
            if noun.head in PLACES and prep in _TOWARD:
                return noun.head
        for noun in clause.objects:
            if noun.head in PLACES and clause.verb in ("reach", "visit", "climb", "enter", "find"):
                return noun.head
        return ""

    def give(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if len(who) != 1:
            return
        giver = who[0]
        nouns = list(clause.objects)
        receiver = next((p for noun in nouns for p in state.person(noun)), None)
        if receiver is None:
            receiver = next(
                (p for prep, n in clause.preps if prep == "to" for p in state.person(n)), None
            )
        thing = next((n for n in nouns if n.sort != "name" and not state.means_person(n)), None)
        item = state.item(thing, not unreal, lambda x: x.holder is giver) if thing else None
        if item is None or unreal:
            return
        state.must_hold(giver, item)
        if clause.verb in ("offer", "throw", "show"):
            item.holder = giver
            self.note(clause.verb, giver, item, receiver)
            return
        if receiver is None:
            receiver = state.partner if state.partner is not giver else state.subject
        if receiver is None:
            return
        if receiver is giver:
            raise Contradiction(
                f"{giver.name} cannot give {item} to {'her' if giver.female else 'him'}self"
            )
        if item.shared:
            raise Contradiction(f"{item} is shared out already")
        item.holder, item.place = receiver, ""
        self.favours.append((giver, receiver, state.now))
        if clause.verb == "give" and not self.back:
            item.owner = receiver
        self.note(
            "return" if self.back or clause.verb == "return" else clause.verb, giver, item, receiver
        )

    def get(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if len(who) != 1 or not clause.objects:
            return
        taker = who[0]
        item = state.item(clause.objects[0], not unreal, lambda x: x.holder is not taker)
        if item is None or unreal:
            return
        if clause.perfect:
            item.holder = item.holder or taker
            return
        source = next(
            (p for prep, n in clause.preps if prep == "from" for p in state.person(n)), None
        )
        deal = "in return" in clause.adverbs or clause.verb in (
            "receive",
            "get",
            "borrow",
            "accept",
            "steal",
            "snatch",
            "collect",
        )
        if item.gone:
            raise Contradiction(f"{item} is gone")
        if item.holder is not None and item.holder is not taker:
            if source is None and not deal:
                raise Contradiction(f"{item.holder.name} has {item}")
            if source is not None and source is not item.holder:
                raise Contradiction(f"{item.holder.name} has {item}, not {source.name}")
            state.together(taker, item.holder)
        elif clause.verb != "keep":
            state.near(taker, item)
        item.holder, item.place = taker, ""
        self.note("take", taker, item, source)

    def find(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if not clause.objects or not who:
            return
        finder, noun = who[0], clause.objects[0]
        if unreal and not clause.negated:
            return
        item = state.item(noun, not unreal, lambda x: x.holder is None)
        if clause.negated and item is not None:
            self.note("miss", finder, item)
            item.holder, item.place = None, ""
            return
        if item is None:
            return
        if item.holder is not None:
            raise Contradiction(f"{item.holder.name} has {item}")
        place = next(
            (n.head for p, n in clause.preps if n.head in PLACES and p in _INSIDE), finder.place
        )
        if finder.place and place != finder.place:
            raise Contradiction(f"{finder.name} is {PLACES[finder.place].at} the {finder.place}")
        if item.place and place and item.place != place:
            raise Contradiction(f"{item} lies {PLACES[item.place].at} the {item.place}")
        if item.gone:
            raise Contradiction(f"{item} is gone")
        item.place = place
        self.spot(item, clause)
        self.note("find", finder, item, place=place)

    def see(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or clause.perfect or len(who) != 1:
            return
        for noun in clause.objects:
            for other in state.person(noun):
                for prep, thing in clause.preps:
                    if prep == "with" and (item := state.item(thing)):
                        if item.holder not in (None, other):
                            raise Contradiction(f"{item} is not with {other.name}")
                        item.holder, item.place = other, ""

    def put(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or len(who) != 1 or not clause.objects or clause.verb == "forget":
            return
        holder = who[0]
        item = state.item(clause.objects[0], True, lambda x: x.holder is holder)
        if item is None:
            return
        if clause.perfect:
            return
        state.must_hold(holder, item)
        if clause.verb in ("put", "lay", "hide", "hang", "place", "tuck", "store", "leave"):
            if any(n.head in ("lock", "pocket", "hand", "head", "back") for _, n in clause.preps):
                item.holder = holder
                return
        item.holder = None
        item.place = next((n.head for p, n in clause.preps if n.head in PLACES), holder.place)
        if clause.verb == "lose":
            item.place = ""
        if clause.verb == "drop":
            item.holder = holder
        self.spot(item, clause)
        self.note("put" if clause.verb != "lose" else "lose", holder, item, place=item.place)

    def have(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if len(who) != 1 or not clause.objects:
            return
        if clause.objects[0].det == "no":  # "had no hammer"
            clause.negated = unreal = True
        holder = who[0]
        item = state.item(clause.objects[0], not unreal, lambda x: x.holder is holder)
        if item is None:
            return
        if clause.negated and clause.verb == "have" and not clause.inner:
            if item.holder is holder and clause.objects[0].sort == "thing":
                raise Contradiction(f"{holder.name} has {item}")
            return
        if unreal or clause.perfect:
            return
        if item.gone:
            raise Contradiction(f"{item} is gone")
        if item.holder is not None and item.holder is not holder:
            raise Contradiction(f"{item.holder.name} has {item}, not {holder.name}")
        state.near(holder, item)
        item.holder, item.place = holder, ""
        item.owner = item.owner or holder
        self.note("have", holder, item)

    def trade(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or len(who) != 1 or not clause.objects:
            return
        one = who[0]
        mine = state.item(clause.objects[0], True, lambda x: x.holder is one)
        wanted = next((n for p, n in clause.preps if p == "for"), None)
        theirs = state.item(wanted, True, lambda x: x.holder is not one) if wanted else None
        if mine is not None:
            state.must_hold(one, mine)
        other = theirs.holder if theirs is not None else state.partner
        if theirs is not None and theirs.holder is one:
            raise Contradiction(f"{one.name} has {theirs} already")
        if other is not None and other is not one:
            state.together(one, other)
        if mine is not None and other is not one:
            mine.holder, mine.owner, mine.place = other, other, ""
        if theirs is not None:
            theirs.holder = theirs.owner = one
            self.note("trade", one, theirs, other)

    def spot(self, item: Item, clause: Clause) -> None:
        for prep, noun in clause.preps:
            if prep in _SPOT_PREPS and noun.head not in PLACES:
                words = " ".join(w for w in (prep, noun.det, *noun.looks, noun.head) if w)
                many = noun.plural and not (noun.head in THINGS and THINGS[noun.head].plural)
                item.spot = words[: -len(noun.head)] + plural_of(noun.head) if many else words

    def tool(self, clause: Clause, one: Somebody) -> None:
        """ "with the hammer": it must be at hand."""
        for prep, noun in clause.preps:
            if prep == "with" and (item := self.state.item(noun)):
                self.state.must_hold(one, item)


_TOWARD = {"to", "into", "onto", "toward", "towards", "for"}


_INSIDE = {"at", "in", "on", "by"}


_SPOT_PREPS = {"under", "behind", "beside", "between", "among", "in", "on", "inside", "near"}
