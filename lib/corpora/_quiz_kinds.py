"""Every kind of question of the quiz: what it asks, the options, and a reason for each."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lib.corpora._quiz_facts import Claim, Fact, facts_of, reason_of
from lib.corpora._town_plots import Plot
from lib.corpora._town_questions import at, questions_about
from lib.corpora._town_state import COLOURS
from lib.corpora._town_teller import Teller, a
from lib.corpora._town_words import BOYS, GIRLS, KINDS, PLACES, THINGS
from lib.corpora._town_world import Chance

N_OPTIONS = 4
_COLOURS = tuple(sorted(COLOURS - {"grey"}))
_SPOTS = tuple(dict.fromkeys(spot for place in PLACES.values() for spot in place.spots))
_NOT_CHILDREN = tuple(kind for kind in KINDS if KINDS[kind].group != "child")


class Asked(NamedTuple):
    """A question before its options are in order.

    Attributes:
        question: the question.
        right: the right answer.
        inside: wrong answers that occur in the story.
        outside: where more of them come from.
        proof: the facts that make the right answer right.
        why: the reason for an option.
    """

    question: str
    right: str
    inside: Sequence[str]
    outside: Sequence[str]
    proof: tuple[Fact, ...]
    why: Callable[[str], str]


@dataclass(slots=True)
class Tale:
    """A story, and what questions can be made of."""

    plot: Plot
    text: str
    asked: dict[str, str]  # question to answer, as in `read("town", part="questions")`
    facts: frozenset[Fact]
    names: list[str]  # who is told of
    words: frozenset[str]

    def about(self, pattern: str) -> list[tuple[tuple[str, ...], str]]:
        """The questions of one form: what stands in its gaps, and the answer."""
        found = [(re.fullmatch(pattern, q), answer) for q, answer in self.asked.items()]
        return [(match.groups(), answer) for match, answer in found if match]

    def of_sort(self, sort: str) -> list[tuple[str, ...]]:
        """The words of all facts of a sort, in a fixed order."""
        return sorted(fact.words for fact in self.facts if fact.sort == sort)

    def tells_of(self, word: str) -> bool:
        """Whether a word stands in the story."""
        return word in self.words

    def kind_of(self, name: str) -> str | None:
        """ "a fox", if one may ask for it."""
        return self.asked.get(f"What is {name}?")

    @property
    def kinds(self) -> dict[str, str]:
        """Who is what, of those that one may ask for."""
        return {name: kind for name in self.names if (kind := self.kind_of(name))}

    @property
    def nouns(self) -> list[str]:
        """The things told of."""
        nouns = dict.fromkeys(thing.noun for thing in self.plot.things)
        return [noun for noun in nouns if self.tells_of(noun)]

    @property
    def places(self) -> list[str]:
        """The places told of, "at the mill"."""
        return [at(place) for place in PLACES if self.tells_of(place)]

    def moved_last(self, noun: str) -> Fact | None:
        """How a thing came to whom it came last, if somebody handed it over."""
        last = None
        for event in self.plot.events:
            who, whom, thing = event.who, event.whom, event.thing
            if thing and thing.noun == noun and event.kind in _KEEPS:
                last = None
            if event.kind in ("give", "lend", "return") and who and whom and thing:
                if thing.noun == noun:
                    last = Fact(event.kind, (who.name, noun, whom.name))
        return last


_KEEPS = ("take", "make", "find", "win", "trade")


def tale_of(plot: Plot, teller: Teller, text: str) -> Tale:
    """What there is to ask about a story."""
    words = frozenset(re.findall(r"\w+", text))
    names = [person.name for person in plot.people if person.name in words]
    return Tale(plot, text, dict(questions_about(plot, teller)), facts_of(plot), names, words)


def _fact(sort: str, *words: str) -> Fact:
    return Fact(sort, words)


def _not(sort: str, *words: str) -> Claim:
    return Claim(Fact(sort, words), False)


def _others(tale: Tale, *without: str) -> list[str]:
    return [name for name in tale.names if name not in without]


_NAMES = (*GIRLS, *BOYS)
_NOUNS = tuple(f"the {noun}" for noun in THINGS)
_PLACES = tuple(at(place) for place in PLACES)
_KIND_WORDS = tuple(a(kind) for kind in _NOT_CHILDREN)


def _stranger(tale: Tale, name: str, otherwise: Claim) -> str:
    """That somebody is not in the story, or if they are, something else."""
    return reason_of(otherwise if name in tale.names else _not("told", name))


# --- one fact -------------------------------------------------------------------------------------


def _holder(tale: Tale) -> list[Asked]:
    made = []
    for (noun,), name in tale.about(r"Who has the (\w+) at the end\?"):
        has = _fact("has", name, noun)

        def why(option: str, noun: str = noun, name: str = name, has: Fact = has) -> str:
            if option == name:
                return _has_because(tale, name, noun)
            handed = tale.moved_last(noun)
            if handed and handed.words[0] == option:
                return reason_of(Claim(handed), ", so ", _not("has", option, noun))
            return _stranger(tale, option, _not("has", option, noun))

        made.append(Asked(f"Who has the {noun} at the end?", name, _others(tale, name), _NAMES,
                          (has,), why))  # fmt: skip
    return made


def _has_because(tale: Tale, name: str, noun: str) -> str:
    has, handed = Claim(_fact("has", name, noun)), tale.moved_last(noun)
    if handed and handed.words[2] == name:
        return reason_of(Claim(handed), ", so ", has)
    return reason_of(has)


def _giver(tale: Tale) -> list[Asked]:
    made = []
    for (did, noun, whom), name in tale.about(r"Who (gave|lent) the (\w+) to (\w+)\?"):
        sort = "give" if did == "gave" else "lend"
        fact = _fact(sort, name, noun, whom)

        def why(option: str, fact: Fact = fact) -> str:
            if option == fact.words[0]:
                return reason_of(Claim(fact))
            return _stranger(tale, option, _not(fact.sort, option, *fact.words[1:]))

        made.append(Asked(f"Who {did} the {noun} to {whom}?", name, _others(tale, name, whom),
                          tuple(n for n in _NAMES if n != whom), (fact,), why))  # fmt: skip
    return made


def _given(tale: Tale) -> list[Asked]:
    made = []
    for (name, sort, whom), thing in tale.about(r"What did (\w+) (give|lend) to (\w+)\?"):
        fact = _fact(sort, name, thing.removeprefix("the "), whom)
        inside = [f"the {noun}" for noun in tale.nouns if f"the {noun}" != thing]

        def why(option: str, fact: Fact = fact) -> str:
            noun = option.removeprefix("the ")
            if noun == fact.words[1]:
                return reason_of(Claim(fact))
            if not tale.tells_of(noun):
                return reason_of(_not("told", option))
            return reason_of(_not(fact.sort, fact.words[0], noun, fact.words[2]))

        made.append(Asked(f"What did {name} {sort} to {whom}?", thing, inside, _NOUNS, (fact,),
                          why))  # fmt: skip
    return made


def _found(tale: Tale) -> list[Asked]:
    made = []
    for (name, noun), spot in tale.about(r"Where did (\w+) find the (\w+)\?"):
        fact = _fact("find", name, noun, spot)
        looked = [words[1] for words in tale.of_sort("look") if words[0] == name]
        inside = [other for other in dict.fromkeys(looked) if other != spot]

        def why(option: str, fact: Fact = fact, looked: Sequence[str] = tuple(inside)) -> str:
            name, noun, spot = fact.words
            if option == spot:
                return reason_of(Claim(fact))
            if option in looked:
                return reason_of(Claim(_fact("look", name, option)), ", but ", Claim(fact))
            return reason_of(_not("find", name, noun, option))

        made.append(Asked(f"Where did {name} find the {noun}?", spot, inside, _SPOTS, (fact,),
                          why))  # fmt: skip
    return made


def _winner(tale: Tale) -> list[Asked]:
    def why(option: str) -> str:
        won = Claim(_fact("win", option), option == name)
        return reason_of(won) if option == name else _stranger(tale, option, won)

    for _, name in tale.about(r"Who won the race\?"):
        return [Asked("Who won the race?", name, _others(tale, name), _NAMES,
                      (_fact("win", name),), why)]  # fmt: skip
    return []


_BECAUSE = re.compile(r"because the (\w+) (?:was|were) (gone|broken)")


def _because(noun: str, how: str) -> str:
    return f"because the {noun} {'were' if _many(noun) else 'was'} {how}"


def _many(noun: str) -> bool:
    return noun in THINGS and THINGS[noun].plural


def _why(tale: Tale) -> list[Asked]:
    made = []
    so = {(sort, words[0]) for sort in ("gone", "broken") for words in tale.of_sort(sort)}
    for (name, mood), cause in tale.about(r"Why was (\w+) (\w+)\?"):
        found = _BECAUSE.fullmatch(cause)
        if not found or len(so) != 1:
            continue
        noun, how = found.groups()
        proof = (_fact(how, noun), _fact("felt", name, mood))
        other = "broken" if how == "gone" else "gone"
        nouns = [one for one in tale.nouns if one != noun]
        inside = [_because(noun, other), *(_because(one, how) for one in nouns)]

        def why(option: str, cause: str = cause, proof: tuple[Fact, ...] = proof) -> str:
            found = _BECAUSE.fullmatch(option)
            assert found
            if option == cause:
                return reason_of(Claim(proof[0]), ", so ", Claim(proof[1]))
            if not tale.tells_of(found[1]):
                return reason_of(_not("told", f"the {found[1]}"))
            return reason_of(_not(found[2], found[1]))

        outside = tuple(_because(one, how) for one in THINGS if one not in tale.nouns)
        made.append(Asked(f"Why was {name} {mood}?", cause, inside, outside, proof, why))
    return made


def _end(tale: Tale) -> list[Asked]:
    made = []
    for (name,), place in tale.about(r"Where is (\w+) at the end\?"):
        fact = _fact("end", name, place)
        inside = [other for other in tale.places if other != place]

        def why(option: str, fact: Fact = fact) -> str:
            return _place_why(tale, fact, option)

        made.append(Asked(f"Where is {name} at the end?", place, inside, _PLACES, (fact,), why))
    return made


def _home(tale: Tale) -> list[Asked]:
    made = []
    for (name,), place in tale.about(r"Where does (\w+) live\?"):
        fact = _fact("live", name, place)
        inside = [other for other in tale.places if other != place]

        def why(option: str, fact: Fact = fact) -> str:
            return _place_why(tale, fact, option)

        made.append(Asked(f"Where does {name} live?", place, inside, _PLACES, (fact,), why))
    return made


def _place_why(tale: Tale, fact: Fact, option: str) -> str:
    """A reason for a place, where this is where somebody lives or is at the end."""
    name, place = fact.words
    if option == place:
        return reason_of(Claim(fact))
    for sort in ("live", "was"):
        other = _fact(sort, name, option)
        if other in tale.facts and sort != fact.sort:
            return reason_of(Claim(other), ", but ", Claim(fact))
    if not tale.tells_of(option.split()[-1]):
        return reason_of(_not("told", f"the {option.split()[-1]}"))
    return reason_of(_not(fact.sort, name, option))


def _kind(tale: Tale) -> list[Asked]:
    made = []
    kinds = tale.kinds
    for name, kind in kinds.items():
        fact = _fact("kind", name, kind)
        inside = [other for other in kinds.values() if other != kind]

        def why(option: str, fact: Fact = fact) -> str:
            if option == fact.words[1]:
                return reason_of(Claim(fact))
            whose = [one for one, other in kinds.items() if other == option]
            if whose:
                return reason_of(Claim(_fact("kind", whose[0], option)), ", and ", Claim(fact))
            return reason_of(_not("kind", fact.words[0], option))

        made.append(Asked(f"What is {name}?", kind, inside, _KIND_WORDS, (fact,), why))
    return made


def _colour(tale: Tale) -> list[Asked]:
    made = []
    looks = tale.of_sort("colour")
    for (verb, noun), look in tale.about(r"What colour (is|are) the (\w+)\?"):
        fact = _fact("colour", noun, look)
        inside = [other for other in _COLOURS if other != look and tale.tells_of(other)]

        def why(option: str, fact: Fact = fact) -> str:
            if option == fact.words[1]:
                return reason_of(Claim(fact))
            whose = [words for words in looks if words[1] == option]
            if whose and whose[0][0] != fact.words[0] and tale.tells_of(whose[0][0]):
                return reason_of(Claim(_fact("colour", *whose[0])), ", and ", Claim(fact))
            return reason_of(_not("colour", fact.words[0], option))

        made.append(Asked(f"What colour {verb} the {noun}?", look, inside, _COLOURS, (fact,), why))
    return made


# --- two facts ------------------------------------------------------------------------------------


class Somebody(NamedTuple):
    """Somebody who is not called by name: "the one who has the pebble at the end"."""

    words: str
    name: str
    fact: Fact


def _the_one_who(tale: Tale) -> list[Somebody]:
    found = []
    for (noun,), name in tale.about(r"Who has the (\w+) at the end\?"):
        words = f"the one who has the {noun} at the end"
        found.append(Somebody(words, name, _fact("has", name, noun)))
    for (did, noun, whom), name in tale.about(r"Who (gave|lent) the (\w+) to (\w+)\?"):
        sort = "give" if did == "gave" else "lend"
        words = f"the one who {did} the {noun} to {whom}"
        found.append(Somebody(words, name, _fact(sort, name, noun, whom)))
    for _, name in tale.about(r"Who won the race\?"):
        found.append(Somebody("the one who won the race", name, _fact("win", name)))
    return found


def _denied(one: Somebody, name: str) -> Claim:
    """That it is not this one: "Cora does not have the pebble at the end"."""
    return Claim(Fact(one.fact.sort, (name, *one.fact.words[1:])), False)


def _kind_of_one(tale: Tale) -> list[Asked]:
    kinds = tale.kinds
    made = []
    for one in _the_one_who(tale):
        if one.name not in kinds:
            continue
        kind = kinds[one.name]
        fact = _fact("kind", one.name, kind)

        def why(option: str, one: Somebody = one, fact: Fact = fact) -> str:
            if option == fact.words[1]:
                return reason_of(Claim(one.fact), ", and ", Claim(fact))
            whose = [name for name, other in kinds.items() if other == option]
            if whose and whose[0] not in one.fact.words:
                other = Claim(_fact("kind", whose[0], option))
                return reason_of(other, ", but ", _denied(one, whose[0]))
            return reason_of(Claim(one.fact), ", and ", _not("kind", one.name, option))

        inside = [other for other in kinds.values() if other != kind]
        made.append(Asked(f"What is {one.words}?", kind, inside, _KIND_WORDS, (one.fact, fact),
                          why))  # fmt: skip
    return made


def _place_of_one(tale: Tale) -> list[Asked]:
    made = []
    for one in _the_one_who(tale):
        place = tale.asked.get(f"Where is {one.name} at the end?")
        if place is None:
            continue
        fact = _fact("end", one.name, place)

        def why(option: str, one: Somebody = one, fact: Fact = fact) -> str:
            so = Claim(fact) if option == fact.words[1] else _not("end", one.name, option)
            return reason_of(Claim(one.fact), ", and ", so)

        words = one.words.removesuffix(" at the end")
        inside = [other for other in tale.places if other != place]
        made.append(Asked(f"Where is {words} at the end?", place, inside, _PLACES,
                          (one.fact, fact), why))  # fmt: skip
    return made


def _colour_of_gift(tale: Tale) -> list[Asked]:
    made = []
    for (name, sort, whom), thing in tale.about(r"What did (\w+) (give|lend) to (\w+)\?"):
        noun = thing.removeprefix("the ")
        verb = "are" if _many(noun) else "is"
        look = tale.asked.get(f"What colour {verb} the {noun}?")
        if look is None:
            continue
        handed, fact = _fact(sort, name, noun, whom), _fact("colour", noun, look)

        def why(option: str, handed: Fact = handed, fact: Fact = fact) -> str:
            so = Claim(fact) if option == fact.words[1] else _not("colour", fact.words[0], option)
            return reason_of(Claim(handed), ", and ", so)

        did = "gave" if sort == "give" else "lent"
        inside = [other for other in _COLOURS if other != look and tale.tells_of(other)]
        made.append(Asked(f"What colour was the thing that {name} {did} to {whom}?", look, inside,
                          _COLOURS, (handed, fact), why))  # fmt: skip
    return made


# --- which of these is true -----------------------------------------------------------------------

Maker = Callable[[Tale], list[Asked]]
_SIMPLE: dict[str, Maker] = {
    "holder": _holder, "giver": _giver, "given": _given, "end": _end, "home": _home, "kind": _kind,
    "colour": _colour,
}  # fmt: skip


def true_of(tale: Tale, chance: Chance) -> Asked | None:
    """One statement of four is true, each about another matter. None if there are too few."""
    matters = [asked for make in _SIMPLE.values() for asked in make(tale)]
    if len(matters) < N_OPTIONS:
        return None
    order = [matters.pop(int(chance.random() * len(matters))) for _ in range(N_OPTIONS)]
    right = _statement(order[0].proof[0])
    whys: dict[str, str] = {right: order[0].why(order[0].right)}
    for asked in order[1:]:
        altered = _altered(asked, wrong_options(asked, chance, 1)[0])
        if altered in tale.facts:
            return None
        whys[_statement(altered)] = reason_of(Claim(asked.proof[0]))
    if len(whys) < N_OPTIONS:
        return None
    wrong = [words for words in whys if words != right]
    return Asked("Which of these is true?", right, wrong, (), order[0].proof, whys.__getitem__)


def _statement(fact: Fact) -> str:
    return reason_of(Claim(fact)).removesuffix(".")


def _altered(asked: Asked, value: str) -> Fact:
    """The fact of a question with a wrong answer in the place of the right one."""
    fact = asked.proof[0]
    right, value = asked.right.removeprefix("the "), value.removeprefix("the ")
    return Fact(fact.sort, tuple(value if word == right else word for word in fact.words))


def wrong_options(asked: Asked, chance: Chance, n: int = N_OPTIONS - 1) -> list[str]:
    """So many wrong answers: those of the story first, in a random order."""
    inside = [option for option in dict.fromkeys(asked.inside) if option != asked.right]
    wrong: list[str] = []
    while inside and len(wrong) < n:
        wrong.append(inside.pop(int(chance.random() * len(inside))))
    while len(wrong) < n:
        option = chance.pick(asked.outside)
        if option not in wrong and option != asked.right:
            wrong.append(option)
    return wrong


ONE_FACT: dict[str, Maker] = {**_SIMPLE, "found": _found, "winner": _winner, "why": _why}
TWO_FACTS: dict[str, Maker] = {
    "kind_of_one": _kind_of_one, "place_of_one": _place_of_one, "colour_of_gift": _colour_of_gift,
}  # fmt: skip
