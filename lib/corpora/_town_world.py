"""The town as a simulation: people, things, events, and what each event needs and changes.

A `World` holds what is so; an `Event` is one small thing that happens. `World.problem` says why an
event cannot happen now, `World.do` lets it happen and keeps it, with its cause. Everything that is
told, asked or scored rests on this list of events.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Chance:
    """Random choices that are the same on every Python: they rest on `random()` alone."""

    def __init__(self, *seed: int | str) -> None:
        digest = hashlib.sha256(repr(seed).encode()).digest()
        self.random = Random(int.from_bytes(digest[:8], "big")).random

    def pick(self, items: Sequence[T]) -> T:
        """One of the items, each as likely."""
        return items[int(self.random() * len(items))]

    def maybe(self, share: float) -> bool:
        """True with this probability."""
        return self.random() < share


class FewChances(Chance):
    """Chances of a smaller world: of everything that could be, only a part ever is."""

    def pick(self, items: Sequence[T]) -> T:
        """One of the few of these items that there are."""
        return super().pick(_few(tuple(items)))


@lru_cache(maxsize=4096)
def _few(items: tuple[T, ...]) -> tuple[T, ...]:
    """A fifth of the distinct items, evenly spread, but five at least; each as often as before."""
    distinct = list(dict.fromkeys(items))
    n = max(5, -(-len(distinct) // 5))
    if n >= len(distinct):
        return items
    kept = {distinct[i * len(distinct) // n] for i in range(n)}
    return tuple(item for item in items if item in kept)


@dataclass(eq=False, slots=True)
class Person:
    """A person or an animal."""

    name: str
    kind: str
    group: str  # child, grown or animal
    female: bool
    trait: str
    home: str
    skills: tuple[str, ...]
    bond: tuple[Person, str] | None = None  # (somebody, "friend"): this is somebody's friend


@dataclass(eq=False, slots=True)
class Thing:
    """A thing that changes hands."""

    noun: str
    look: str
    group: str
    plural: bool
    owner: Person | None = None


@dataclass(eq=False, slots=True)
class Event:
    """One thing that happens: who did what with which thing, to whom, where, and why."""

    kind: str
    who: Person | None = None
    thing: Thing | None = None
    whom: Person | None = None
    place: str = ""
    note: str = ""
    other: Thing | None = None
    extra: str = ""
    result: str = ""
    cause: int = -1  # the number of the event that led to it; -1 for none
    index: int = 0


class Moment(NamedTuple):
    """What is so right after an event. Who is in no table is nowhere in particular."""

    weather: str
    daytime: str
    place: dict[Person, str]
    holder: dict[Thing, Person]
    lies: dict[Thing, str]
    locked: dict[Thing | str, bool]
    broken: frozenset[Thing]
    gone: frozenset[Thing]
    asleep: frozenset[Person]


MOVES_THING = ("give", "lend", "return", "share")


@dataclass(slots=True)
class World:
    """What is so, and the events that made it so."""

    chance: Chance
    weather: str = "sunny"
    daytime: str = "morning"
    people: list[Person] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    place: dict[Person, str] = field(default_factory=dict)
    holder: dict[Thing, Person] = field(default_factory=dict)
    lies: dict[Thing, str] = field(default_factory=dict)  # the place where a thing lies
    locked: dict[Thing | str, bool] = field(default_factory=dict)
    broken: set[Thing] = field(default_factory=set)
    gone: set[Thing] = field(default_factory=set)  # eaten
    asleep: set[Person] = field(default_factory=set)
    moments: list[Moment] | None = None  # after every event, if somebody wants to know

    def problem(self, event: Event) -> str:
        """Why this cannot happen now; empty if it can."""
        who, thing, whom, kind = event.who, event.thing, event.whom, event.kind
        if who in self.asleep and kind not in (
            "wake",
            "found_asleep",
            "feel",
            "win",
            "passed",
            "end",
        ):
            return f"{who.name} is asleep" if who else ""
        if who is not None and whom is not None and kind not in FROM_AFAR:
            if self.place.get(who) != self.place.get(whom):
                return f"{who.name} and {whom.name} are not in one place"
        if thing in self.gone and kind not in ("thank", "end"):
            return f"the {thing.noun} is gone" if thing else ""
        if kind in NEEDS_HOLDING and thing and who and self.holder.get(thing) is not who:
            return f"{who.name} does not have the {thing.noun}"
        if kind == "trade" and event.other and self.holder.get(event.other) is not whom:
            return f"{whom.name if whom else 'nobody'} does not have the {event.other.noun}"
        if kind == "go" and who and self.place.get(who) == event.place:
            return f"{who.name} is there already"
        if kind in ("find", "take") and thing and who:
            if self.lies.get(thing) != self.place.get(who):
                return f"the {thing.noun} does not lie where {who.name} is"
        if kind in ("ask", "find", "want") and thing and self.holder.get(thing) is who:
            return f"{who.name if who else ''} has the {thing.noun} already"
        if kind == "mend" and thing not in self.broken:
            return "it is not broken"
        if kind == "break" and thing in self.broken:
            return "it is broken already"
        if kind == "unlock" and not self.locked.get(thing or event.place):
            return "it is not locked"
        return ""

    def do(self, kind: str, who: Person | None = None, **rest: object) -> Event:
        """Let it happen. A plot that asks for the impossible is a mistake: ValueError."""
        event = Event(kind, who, index=len(self.events))
        for name, value in rest.items():
            setattr(event, name, value)
        trouble = self.problem(event)
        if trouble:
            raise ValueError(f"{kind}: {trouble}; plots must check first")
        self._change(event)
        self.events.append(event)
        if self.moments is not None:
            self.moments.append(self.moment())
        return event

    def moment(self) -> Moment:
        """What is so now."""
        return Moment(
            self.weather, self.daytime, dict(self.place), dict(self.holder), dict(self.lies),
            dict(self.locked), frozenset(self.broken), frozenset(self.gone), frozenset(self.asleep),
        )  # fmt: skip

    def _change(self, event: Event) -> None:
        who, thing, whom, kind = event.who, event.thing, event.whom, event.kind
        if kind in ("go", "hero", "come") and who:
            self.place[who] = event.place
            if whom and kind == "go":
                self.place[whom] = event.place
        elif kind in MOVES_THING and thing and whom:
            self.holder[thing] = whom
            if kind == "give":
                thing.owner = whom
        elif kind in ("take", "make", "buy", "borrowed") and thing and who:
            self.holder[thing] = who
            self.lies.pop(thing, None)
        elif kind in ("put", "drop", "hide", "lost") and thing:
            self.holder.pop(thing, None)
            self.lies[thing] = event.place
        elif kind == "trade" and thing and event.other and who and whom:
            self.holder[thing], self.holder[event.other] = whom, who
            thing.owner, event.other.owner = whom, who
        elif kind in ("eat", "share_out") and thing:
            self.gone.add(thing)
            self.holder.pop(thing, None)
        elif kind == "break" and thing:
            self.broken.add(thing)
        elif kind == "mend" and thing:
            self.broken.discard(thing)
        elif kind == "unlock":
            self.locked[thing or event.place] = False
        elif kind == "turns":
            self.weather = event.note
        elif kind == "time":
            self.daytime = event.note
        elif kind == "sleep" and who:
            self.asleep.add(who)
        elif kind == "wake" and who:
            self.asleep.discard(who)
        elif kind in ("win", "tie", "leave_behind") and who:
            self.place[who] = event.place
            if kind == "win" and thing:
                self.holder[thing] = who
            if kind == "tie" and whom:
                self.place[whom] = event.place

    def pick(self, items: Iterable[T]) -> T:
        """One of the items, by chance."""
        return self.chance.pick(tuple(items))


FROM_AFAR = ("want_gift", "lead", "win", "bond", "blame", "owes", "plan", "miss", "end", "deliver",
             "passed", "turn_back")  # fmt: skip
NEEDS_HOLDING = (
    "give",
    "lend",
    "return",
    "trade",
    "put",
    "drop",
    "hide",
    "eat",
    "share_out",
    "use",
)
