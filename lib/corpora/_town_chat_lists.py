"""Lists: things of a sort, so many of them, and an exact check of any list."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from dataclasses import dataclass

from lib.corpora._town_chat_base import NO_SENTENCE, NUMBERS, Draw, Instruction, a_thing, user, ways
from lib.corpora._town_lexicon import SINGULAR, TAGS
from lib.corpora._town_lists import word_list
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import BOYS, FOODS, GIRLS, KINDS, PLACES, THINGS

_COLOURS = ("red", "blue", "green", "yellow", "brown", "white", "black", "purple", "orange", "pink")


def _things(group: str) -> tuple[str, ...]:
    return tuple(noun for noun, thing in THINGS.items() if thing.group == group)


def _kinds(group: str) -> tuple[str, ...]:
    return tuple(noun for noun, kind in KINDS.items() if kind.group == group)


SORTS: dict[str, tuple[str, ...]] = {
    "animals": _kinds("animal"),
    "things to eat": FOODS,
    "toys": _things("toy"),
    "tools": _things("tool"),
    "things to wear": _things("wear"),
    "places": tuple(PLACES),
    "colours": _COLOURS,
    "girls": GIRLS,
    "boys": BOYS,
    "people who work": _kinds("grown"),
}
"""What can be listed, and examples of it."""

WELL_KNOWN = {
    "animals": word_list("bear cat cow dog duck fox goat hen horse mouse owl pig rabbit sheep"),
    "things to eat": word_list("apple bun cake carrot cheese egg nut onion pear pie plum potato tart"),
    "toys": word_list("ball balloon doll drum flute hoop kite mask puppet sled trumpet whistle"),
    "tools": word_list("axe broom bucket hammer ladder lamp net rake rope saw shovel spade"),
    "things to wear": word_list("apron belt boots cap cloak coat gloves hat jacket scarf shawl socks"),
    "places": word_list("barn bridge farm forest garden harbour inn library mill park school station"),
    "colours": word_list("black blue brown green orange pink purple red white yellow"),
    "girls": word_list("Anna Bella Clara Emma Flora Greta Ida Lucy Mia Nora Polly Rosa Sara Tilly"),
    "boys": word_list("Adam Ben Carl Emil Felix George Hugo Jack Leo Max Noah Otto Sam Theo Tom"),
    "people who work": word_list("baker cook doctor farmer gardener miller nurse painter sailor shepherd"
                                 " tailor teacher weaver"),
}  # fmt: skip
"""What one thinks of first, in the order of the alphabet."""

_MORE = {
    "animals": word_list("""
        bird gull lark swallow pigeon heron rooster chicken bat bee wasp fly moth beetle spider snail
        worm ant ladybird butterfly dragonfly crab tadpole woodpecker parrot wolf cricket pet
        """),
    "things to eat": word_list("""
        bread butter jam honey soup meat bean pea nut berry strawberry pear hazelnut milk gravy fruit
        orange salt sugar mushroom
        """),
    "toys": word_list("swing seesaw toy rope"),
    "tools": word_list("tool scissors anvil nail brush pencil knife wheel"),
    "things to wear": word_list("shirt shoe sock boot glove slipper mitten costume crown ring necklace"
                                " brooch mask clothes glasses"),
    "places": word_list("""
        town city village street road church castle shop house home kitchen hall shed tower palace
        island sea shore hut farmhouse dam fountain path lane bank mountain wood
        """),
    "colours": word_list("grey golden silver"),
    "girls": [],
    "boys": [],
    "people who work": word_list("king queen piper runner"),
}  # fmt: skip
_ADMITTED = {sort: {*nouns, *_MORE[sort]} for sort, nouns in SORTS.items()}


BARE = ("girls", "boys", "colours")


@dataclass(frozen=True)
class Lists:
    """The answer lists so many different ones of a sort, none of which was named before."""

    sort: str
    number: int
    before: tuple[str, ...] = ()

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        if answer[-1] not in ".!" or not answer[0].isupper():
            return NO_SENTENCE
        found, reason = self.items(answer)
        if reason:
            return reason
        twice = next((noun for n, noun in enumerate(found) if noun in found[:n]), "")
        if twice:
            return f"{twice!r} stands twice"
        again = next((noun for noun in found if noun in self.before), "")
        if again:
            return f"{again!r} was named before"
        if len(found) != self.number:
            return f"expected {NUMBERS[self.number]}, got {len(found)}"
        return ""

    def items(self, answer: str) -> tuple[tuple[str, ...], str]:
        """All that is listed, and what is wrong with it."""
        text = re.sub(r"^[A-Z][a-z ]{,40}: ", "", answer[:-1])
        found: list[str] = []
        for item in re.split(r",? and |, ", text):
            noun, reason = self.read(item)
            if reason:
                return (), reason
            found.append(noun)
        return tuple(found), ""

    def read(self, item: str) -> tuple[str, str]:
        """One item: its noun, and what is wrong with it."""
        words = item.split()
        if self.sort in ("girls", "boys"):
            right = item in _ADMITTED[self.sort]
            return item, "" if right else f"{item!r} is not a name of one of the {self.sort}"
        words[:1] = [word.lower() for word in words[:1]]
        article = words.pop(0) if words and words[0] in ("a", "an", "the", "some") else ""
        if words[:2] == ["pair", "of"]:
            words = words[2:]
        elif article in ("a", "an") and words:
            if words[-1] in THINGS and THINGS[words[-1]].plural:
                return item, f"it should be 'a pair of {words[-1]}'"
            if f"{article} {words[0]}" != a(words[0]):
                return item, f"it should be {a(words[0])!r}"
        *looks, last = words or [""]
        noun = last if last in _ADMITTED[self.sort] else SINGULAR.get(last, last)
        if noun not in _ADMITTED[self.sort] or any("adj" not in TAGS.get(w, ()) for w in looks):
            return noun, f"{item!r} is none of the {self.sort}"
        return noun, ""


@dataclass(frozen=True)
class Pairs:
    """The answer names one of each of two sorts, in this order or the other."""

    sorts: tuple[str, str]

    def problem(self, answer: str) -> str:
        """Why the answer is wrong."""
        one, two = self.sorts
        if answer[-1] not in ".!" or not answer[0].isupper():
            return NO_SENTENCE
        items = re.split(r",? and |, ", answer[:-1])
        if len(items) != 2:
            return f"expected two, got {len(items)}"
        reasons = []
        for sorts in ((one, two), (two, one)):
            reasons.append("")
            for sort, item in zip(sorts, items):
                reasons[-1] = reasons[-1] or Lists(sort, 1).read(item)[1]
        return "" if "" in reasons else reasons[0]


# --- to list --------------------------------------------------------------------------------------

_LIST = ways(
    """
    Name {}.; List {}.; Please name {}.; Can you name {}?; Tell me {}.; Which {} do you know?;
    Think of {}.; Name me {}, please.
    """,
    "Please list {}.; Give me {}.; Can you list {}?",
)
_CALLED = {
    "girls": ("names of girls", "girls of the town"),
    "boys": ("names of boys", "boys of the town"),
    "places": ("places", "places in the town"),
    "tools": ("tools", "things to work with"),
    "toys": ("toys", "things to play with"),
    "people who work": ("people who work", "people who work in the town"),
}
_PAIR = ways(
    "Name {} and {}.; Please name {} and {}.; Tell me {} and {}.; Can you name {} and {}?; Give me {} and {}.",
    "Name me {} and {}.; Please give me {} and {}.",
)
_ONE = {
    "animals": "an animal",
    "things to eat": "something to eat",
    "toys": "a toy",
    "tools": "a tool",
    "things to wear": "something to wear",
    "places": "a place",
    "colours": "a colour",
}


def listing(draw: Draw) -> Instruction:
    """ "Name three animals." or "Name an animal and a toy." """
    if draw.maybe(0.5):
        return _one_of_each(draw)
    return of_a_sort(draw)


def of_a_sort(draw: Draw) -> Instruction:
    """ "Name three animals." The held-out split asks in new words alone: there are few of these."""
    sort, number = draw.pick(tuple(SORTS)), draw.number(2, 3)
    called = draw.pick(_CALLED.get(sort, (sort,)))
    asks = draw.ask(_LIST) if not draw.held_out else draw.ask_anew(_LIST)
    text = asks.format(f"{NUMBERS[number]} {called}")
    items = some_of(draw, sort, number)
    return draw.instruction("list", [user(text)], as_list(sort, items), Lists(sort, number))


def _one_of_each(draw: Draw) -> Instruction:
    """ "Name an animal and a toy." """
    while True:
        one, two = draw.pick(tuple(_ONE)), draw.pick(tuple(_ONE))
        if one != two and draw.fits(_ONE[one], _ONE[two]):
            break
    text = draw.ask(_PAIR).format(_ONE[one], _ONE[two])
    named = [a_name(sort, some_of(draw, sort, 1)[0]) for sort in (one, two)]
    return draw.instruction("list", [user(text)], capital(joined(named)) + ".", Pairs((one, two)))


def some_of(draw: Draw, sort: str, number: int, after: str = "") -> list[str]:
    """So many different ones of a sort, in the order of the alphabet, as one keeps count of them."""
    options = [item for item in WELL_KNOWN[sort] if item > after]
    items: list[str] = []
    while len(items) < number:
        item = draw.pick(options)
        if item not in items:
            items.append(item)
    return sorted(items)


def as_list(sort: str, items: list[str]) -> str:
    """ "A fox, a hen and a goat." """
    return capital(joined([a_name(sort, item) for item in items])) + "."


def a_name(sort: str, item: str) -> str:
    """ "a fox"; but names and colours have no article."""
    return item if sort in BARE else a_thing(item)


def joined(words: list[str]) -> str:
    """ "a fox, a hen and a goat"."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]
