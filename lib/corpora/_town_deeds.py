"""What the checker makes of eating, breaking, mending, sleeping, wanting and the rest."""

from __future__ import annotations

from collections.abc import Callable

from lib.corpora._town_clauses import Clause
from lib.corpora._town_moves import Moves
from lib.corpora._town_state import Contradiction, Item, Somebody
from lib.corpora._town_words import PLACES, THINGS


class Deeds(Moves):
    """Lets happen what people do with things and with themselves."""

    def eat(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or not clause.objects:
            return
        item = state.item(clause.objects[0])
        if item is None:
            return
        eatable = THINGS.get(item.noun, THINGS["apple"]).group == "food" or clause.verb in (
            "chew",
            "lick",
        )
        if not eatable and who:
            raise Contradiction(f"nobody can eat {item}")
        if item.gone:
            raise Contradiction(f"{item} is gone")
        if len(who) == 1:
            if not item.shared:
                state.must_hold(who[0], item)
            self.note("eat", who[0], item)
        item.gone = True

    def share(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or len(who) != 1 or not clause.objects:
            return
        item = state.item(clause.objects[0], True, lambda x: x.holder is who[0])
        if item is None:
            return
        state.must_hold(who[0], item)
        item.shared, item.holder = True, who[0]
        other = next(
            (p for prep, n in clause.preps if prep == "with" for p in state.person(n)), None
        )
        self.note("share", who[0], item, other)

    def breaks(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or not clause.objects or not who:
            return
        item = self.state.item(clause.objects[0])
        if item is None:
            return
        self.state.near(who[0], item)
        if THINGS.get(item.noun) and THINGS[item.noun].group == "food":
            item.shared = True
            self.note("share", who[0], item)
            return
        self.breaks_now(item)

    def breaks_now(self, item: Item) -> None:
        if item.broken:
            raise Contradiction(f"{item} is broken already")
        if item.gone:
            raise Contradiction(f"{item} is gone")
        item.broken = True
        self.note("break", item.holder, item)

    def mend(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        state = self.state
        if unreal or not clause.objects or not who:
            return
        item = state.item(clause.objects[0], True, lambda x: x.broken)
        self.tool(clause, who[0])
        if item is None:
            return
        state.near(who[0], item)
        if not item.broken and item.holder is not None and "told" not in item.looks:
            raise Contradiction(f"{item} is not broken")
        item.broken = False
        self.note("mend", who[0], item)

    def make(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1 or not clause.objects:
            return
        noun = clause.objects[0]
        if noun.det in ("a", "an") or noun.plural:
            item = self.state.item(noun)
            if item is not None and item.holder is None:
                item.holder = item.owner = who[0]
                self.note("make", who[0], item)
                for prep, other in clause.preps:
                    if prep == "for" and self.state.person(other):
                        item.holder, item.owner = None, self.state.person(other)[0]
        elif clause.verb in ("cut", "tear"):
            if (item := self.state.item(noun, False)) is not None:
                self.state.near(who[0], item)
                item.shared = True

    def unlock(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1:
            return
        self.tool(clause, who[0])
        for noun in clause.objects:
            item = self.state.item(noun)
            if item is not None:
                self.state.near(who[0], item)
                item.locked = False
                self.note("unlock", who[0], item)

    def opens(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or not clause.objects:
            return
        item = self.state.item(clause.objects[0])
        if len(who) == 1:
            self.tool(clause, who[0])
        if item is not None and item.locked:
            raise Contradiction(f"{item} is locked")

    def sleep(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        for one in who:
            if not unreal and clause.form == "past":
                one.asleep = "well" not in clause.adverbs

    def wake(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        woken = [p for noun in clause.objects for p in self.state.person(noun)] or list(who)
        for one in woken:
            one.asleep = False

    def wins(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1 or clause.form == "ing":
            return
        if self.state.winner not in (None, who[0]):
            raise Contradiction(f"{self.state.winner.name} has won already")
        self.state.winner = who[0]
        for noun in clause.objects:
            item = self.state.item(noun)
            if item is not None:
                item.holder = item.owner = who[0]
                self.note("win", who[0], item)

    def wants(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        """Nobody wants what they have in hand."""
        if clause.negated or len(who) != 1 or clause.verb not in ("want", "need", "wish"):
            return
        for noun in clause.objects:
            item = (
                self.state.item(noun, False)
                if noun.sort == "thing" and noun.det in ("a", "an")
                else None
            )
            if item is not None and item.holder is who[0] and not item.broken:
                raise Contradiction(f"{who[0].name} has {item} already")

    def asks(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        """ "asked Otto for the saw": Otto has it, and the one who asks has not."""
        state = self.state
        if unreal or len(who) != 1:
            return
        for kind, inner in clause.inner:
            for noun in (
                inner.objects if kind == "to" and inner.verb in ("have", "borrow", "use") else ()
            ):
                item = (
                    state.item(noun, False) if noun.det == "the" or noun.sort == "pronoun" else None
                )
                if item is not None and item.holder is who[0] and not clause.objects:
                    raise Contradiction(f"{who[0].name} has {item} already")
        asked = next((p for noun in clause.objects for p in state.person(noun)), None)
        for prep, noun in clause.preps:
            item = (
                state.item(noun, False)
                if prep == "for" and noun.sort == "thing" and noun.det == "the"
                else None
            )
            if item is not None:
                if item.holder is who[0]:
                    raise Contradiction(f"{who[0].name} has {item} already")
                if asked is not None and item.holder not in (None, asked):
                    raise Contradiction(
                        f"{item.holder.name if item.holder else ''} has {item}, not {asked.name}"
                    )

    def seeks(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if len(who) != 1 or unreal:
            return
        for prep, noun in clause.preps:
            item = self.state.item(noun, False) if prep == "for" else None
            if item is not None and item.holder is who[0]:
                item.holder, item.place = None, ""

    def lives(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if clause.verb not in ("live", "work") or unreal:
            return
        for one in who:
            if clause.verb == "live":
                self.home(one, clause)
            elif place := next((n.head for p, n in clause.preps if n.head in PLACES), ""):
                one.place = one.place or place

    def uses(self, clause: Clause, who: tuple[Somebody, ...], unreal: bool) -> None:
        if unreal or len(who) != 1 or not clause.objects:
            return
        item = self.state.item(clause.objects[0], True, lambda x: x.holder is who[0])
        if item is not None and clause.objects[0].det in ("a", "an") and item.holder is None:
            item.holder = who[0]
        if item is not None:
            self.state.near(who[0], item)
            if item.holder is not None and item.holder is not who[0] and clause.verb == "use":
                raise Contradiction(f"{item.holder.name} has {item}")


Handler = Callable[[Deeds, Clause, "tuple[Somebody, ...]", bool], None]
HANDLERS: dict[str, Handler] = {
    "go": Deeds.go,
    "reach": Deeds.go,
    "set": Deeds.go,
    "arrive": Deeds.go,
    "give": Deeds.give,
    "get": Deeds.get,
    "pick": Deeds.get,
    "find": Deeds.find,
    "see": Deeds.see,
    "put": Deeds.put,
    "have": Deeds.have,
    "trade": Deeds.trade,
    "eat": Deeds.eat,
    "share": Deeds.share,
    "break": Deeds.breaks,
    "mend": Deeds.mend,
    "make": Deeds.make,
    "unlock": Deeds.unlock,
    "open": Deeds.opens,
    "sleep": Deeds.sleep,
    "wake": Deeds.wake,
    "win": Deeds.wins,
    "want": Deeds.wants,
    "ask": Deeds.asks,
    "seek": Deeds.seeks,
    "act": Deeds.lives,
    "use": Deeds.uses,
    "free": Deeds.unlock,
}
"""What a verb of each class does."""
