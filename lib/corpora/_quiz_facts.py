"""What a reason may say of a story of the town: small facts, their words, and whether they hold."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import cache
from typing import NamedTuple

from lib.corpora._town_lexicon import NAMES
from lib.corpora._town_plots import Plot
from lib.corpora._town_questions import at
from lib.corpora._town_state import COLOURS
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import KINDS, MOODS, PLACES, THINGS
from lib.corpora._town_world import Event


class Fact(NamedTuple):
    """Something that may be so in a story: `sort` says what the words are. See `SAYINGS`."""

    sort: str
    words: tuple[str, ...]


class Claim(NamedTuple):
    """A fact, said to be so or not to be so."""

    fact: Fact
    holds: bool = True


SAYINGS: dict[str, tuple[str, str]] = {
    "has": ("{name} has the {noun} at the end", "{name} does not have the {noun} at the end"),
    "give": ("{name} gave the {noun} to {whom}", "{name} did not give the {noun} to {whom}"),
    "lend": ("{name} lent the {noun} to {whom}", "{name} did not lend the {noun} to {whom}"),
    "return": (
        "{name} gave the {noun} back to {whom}",
        "{name} did not give the {noun} back to {whom}",
    ),
    "find": ("{name} found the {noun} {spot}", "{name} did not find the {noun} {spot}"),
    "look": ("{name} looked {spot}", ""),
    "win": ("{name} won the race", "{name} did not win the race"),
    "live": ("{name} lives {place}", "{name} does not live {place}"),
    "end": ("{name} is {place} at the end", "{name} is not {place} at the end"),
    "was": ("{name} was {place}", ""),
    "kind": ("{name} is {kind}", "{name} is not {kind}"),
    "colour": ("the {noun} {is_} {look}", "the {noun} {is_} not {look}"),
    "gone": ("the {noun} {was_} gone", "the {noun} {was_} not gone"),
    "broken": ("the {noun} {was_} broken", "the {noun} {was_} not broken"),
    "felt": ("{name} was {mood}", ""),
    "told": ("{word} {is_} in the story", "{word} {is_} not in the story"),
}
"""How each sort of fact is said, and how it is denied, if it can be."""

_WORDS = re.compile(r"\{(\w+)\}")
_VERBS = ("is_", "was_")  # they follow the noun, and are no part of the fact
JOINTS = (", and ", ", but ", ", so ")
"""What may stand between two claims of a reason."""


@cache
def is_plural(noun: str) -> bool:
    """Whether a thing takes "are": "the boots are"."""
    thing = THINGS.get(noun.removeprefix("the "))
    return thing is not None and thing.plural


def said(claim: Claim) -> str:
    """A claim in words, in the middle of a sentence: "the pebble is not red"."""
    pattern = SAYINGS[claim.fact.sort][0 if claim.holds else 1]
    names = [name for name in _WORDS.findall(pattern) if name not in _VERBS]
    many = is_plural(claim.fact.words[0])
    verbs = {"is_": "are" if many else "is", "was_": "were" if many else "was"}
    return pattern.format(**dict(zip(names, claim.fact.words)), **verbs)


def reason_of(*parts: Claim | str) -> str:
    """Claims and what stands between them as one sentence."""
    return capital("".join(p if isinstance(p, str) else said(p) for p in parts)) + "."


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


@cache
def _patterns() -> list[tuple[str, bool, re.Pattern[str]]]:
    """How each claim is read."""
    place = _any(at(place) for place in PLACES)
    parts = {
        "name": _any(NAMES), "whom": _any(NAMES), "noun": r"\w+", "place": place,
        "spot": r"(?!for )[a-z]+(?: [a-z]+)*", "kind": _any(a(kind) for kind in KINDS),
        "look": _any(COLOURS), "mood": _any(MOODS), "word": r"(?:the )?\w+",
        "is_": "(?:is|are)", "was_": "(?:was|were)",
    }  # fmt: skip

    def group(found: re.Match[str]) -> str:
        return parts[found[1]] if found[1] in _VERBS else f"({parts[found[1]]})"

    return [
        (sort, holds, re.compile(_WORDS.sub(group, pattern)))
        for sort, both in SAYINGS.items()
        for holds, pattern in zip((True, False), both)
        if pattern
    ]


def read_claim(text: str) -> Claim | None:
    """A claim from its words; None if they are none.

    >>> read_claim("the pebble is not red")
    Claim(fact=Fact(sort='colour', words=('pebble', 'red')), holds=False)
    """
    text = text[:1].lower() + text[1:] if text.startswith("The ") else text
    for sort, holds, pattern in _patterns():
        found = pattern.fullmatch(text)
        if found:
            return Claim(Fact(sort, found.groups()), holds)
    return None


def read_reason(text: str) -> tuple[list[Claim], str]:
    """The claims of a reason, and the first words that are none (empty if all are)."""
    claims: list[Claim] = []
    for sentence in filter(None, (part.strip() for part in re.split(r"[.!]", text))):
        for words in re.split("|".join(JOINTS), sentence):
            claim = read_claim(words.strip())
            if claim is None:
                return claims, words.strip()
            claims.append(claim)
    return claims, ""


# --- what is so -----------------------------------------------------------------------------------

_TOPIC = {"has": 1, "live": 0, "end": 0, "kind": 0, "colour": 0}
"""Where the word stands that has one such fact at most: a pebble has one holder."""


def facts_of(plot: Plot) -> frozenset[Fact]:
    """All that is so in a story, of the sorts that a reason may speak of."""
    facts: set[tuple[str, ...]] = set()
    for person in plot.people:
        facts.add(("kind", person.name, a(person.kind)))
        if person in plot.place:
            facts |= {(sort, person.name, at(plot.place[person])) for sort in ("end", "was")}
    facts.add(("live", plot.hero.name, at(plot.hero.home)))
    for thing, holder in plot.holder.items():
        if thing not in plot.gone:
            facts.add(("has", holder.name, thing.noun))
    for thing in plot.things:
        if thing.look in COLOURS:
            facts.add(("colour", thing.noun, thing.look))
    for event in plot.events:
        facts |= _of_event(event)
    return frozenset(Fact(sort, words) for sort, *rest in facts for words in [tuple(rest)])


def _of_event(event: Event) -> set[tuple[str, ...]]:
    """What an event makes so, for good."""
    who, whom, thing, kind = event.who, event.whom, event.thing, event.kind
    if kind in ("go", "hero", "come") and who:
        return {("was", one.name, at(event.place)) for one in (who, whom) if one}
    if kind in ("give", "lend", "return") and who and whom and thing:
        return {(kind, who.name, thing.noun, whom.name)}
    if kind == "trade" and who and whom and thing and event.other:
        return {
            ("give", who.name, thing.noun, whom.name),
            ("give", whom.name, event.other.noun, who.name),
        }
    if kind == "find" and who and thing and event.note:
        return {("find", who.name, thing.noun, event.note), ("look", who.name, event.note)}
    if kind == "search" and who and event.note:
        return {("look", who.name, event.note)}
    if kind in ("miss", "break") and thing:
        return {("gone" if kind == "miss" else "broken", thing.noun)}
    if kind == "feel" and who:
        return {("felt", who.name, event.note)}
    return {("win", who.name)} if kind == "win" and who else set()


def is_true(claim: Claim, facts: Collection[Fact], story: str) -> bool:
    """Whether a claim holds in a story, of which these are the facts.

    What has one answer at most is denied truly only where that answer is known and another one.
    """
    fact = claim.fact
    if fact.sort == "told":
        word = fact.words[0].removeprefix("the ")
        return bool(re.search(rf"\b{word}\b", story)) == claim.holds
    if claim.holds or fact in facts:
        return claim.holds and fact in facts
    topic = _TOPIC.get(fact.sort)
    if topic is None:
        return True
    return any(f.sort == fact.sort and f.words[topic] == fact.words[topic] for f in facts)
