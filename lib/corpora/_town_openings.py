"""How a story begins: who, where, what they own, what day it is; and small touches."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_phrases import act, full, part, tells
from lib.corpora._town_teller import Clause, Teller, a
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import PLACES, TRAITS, WEATHERS
from lib.corpora._town_world import Event


@tells("hero")
def hero(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    way = t.chance.random()
    adjective = a(who.trait)
    kind = who.kind
    lived = "lived"

    def begin() -> str:
        t.mention(who)
        named = t.pick(("named", "called"))
        t.subject = who
        if way < 0.25:
            return f"{who.name} was {adjective} {kind} who {lived} {t.at(e.place)}{family}{also}"
        if way < 0.45:
            once = t.pick(("once there was", "there once was", "once upon a time there was",
                           "there was once"))  # fmt: skip
            return f"{once} {adjective} {kind} {named} {who.name}"
        if way < 0.65:
            once = t.pick(("", "once, ", "long ago, ", "not so long ago, "))
            return (
                f"{once}{adjective} {kind} {named} {who.name} {lived} {t.at(e.place)}{family}{also}"
            )
        if way < 0.93:
            if near:
                return f"{near}there lived {adjective} {kind} {named} {who.name}"
            return f"{t.at(e.place)} lived {adjective} {kind} {named} {who.name}{who_also}"
        return f"everyone in town knew {who.name}, the {who.trait} {kind} {t.at(e.place)}{who_also}"

    family = f" {t.pick(_FAMILY[who.group])}" if t.maybe(0.3) else ""
    habit = t.pick(TRAITS[who.trait])
    near = t.pick(
        ("", "in a town by the sea, ", "in a small town, ", "at the edge of a little town, ")
    )
    home = 0.25 <= way < 0.45 or (0.65 <= way < 0.93 and near)
    joined = not home and t.maybe(0.65)
    also = f" and {habit}" if joined else ""
    who_also = f", who {habit}" if joined else ""
    clauses = [full(e, begin)]
    if home:
        house = "home was"
        if t.maybe(0.25):
            joined = True
            clauses.append(
                part(
                    e, lambda: f"{t.poss(who)} {house} {t.at(e.place)}, and {t.again(who)} {habit}"
                )
            )
        elif t.maybe(0.8):
            joined = True
            clauses.append(
                part(e, lambda: f"{t.sub(who)} lived {t.at(e.place)}{family} and {habit}")
            )
        else:
            clauses.append(part(e, lambda: f"{t.sub(who)} lived {t.at(e.place)}{family}"))
    if not joined and t.maybe(0.7):
        known = t.pick(("", "all the neighbours knew that ", "it was no secret that ", "people said that ",
                        "everybody in town knew that ")
                       if way < 0.93 else ("",))  # fmt: skip
        clauses.append(part(e, lambda: f"{known}{t.sub(who)} {habit}"))
    return clauses


_NIGHTS = {"sunny": ("warm", "clear", "moonlit"), "windy": ("windy", "stormy"), "rainy": ("rainy", "wet"),
           "snowy": ("snowy", "wintry"), "foggy": ("foggy", "misty"), "cold": ("cold", "frosty")}  # fmt: skip


def flavour(t: Teller, e: Event, clauses: list[Clause]) -> None:
    """What may stand before or after: a manner, the weather."""
    first, last = clauses[0], clauses[-1]
    plain = not (first.link or first.tail or e.extra or t.theme in ("race", "blame"))
    if first.verb and plain and e.kind in _FRONTS and t.maybe(0.3):
        low = e.kind == "go" and t.mood in ("sad", "sorry", "worried", "afraid", "cross", "lonely")
        first.front = t.pick(_LOW if low else _FRONTS[e.kind])
    dark = t.theme == "night"
    open_ = last.verb and last.role in ("act", "move") and not last.tail
    if open_ and e.kind in _IN_WEATHER and not dark and t.maybe(0.35):
        if (t.here and not PLACES[t.here].indoors) or (e.kind == "go" and e.note != "home"):
            last.tail = f" {t.pick(_AIR[t.weather])}"


_LOW = ("with a heavy heart, ", "without a word, ", "with a sigh, ", "with slow steps, ")
_FRONTS = {
    "go": ("full of hope, ", "without a word, ", "in high spirits, ", "with a light heart, ",
           "without another thought, "),
    "search": ("first ", "at first ", "carefully, ", "one more time, ", "with great patience, "),
    "find": ("after a long search, ", "at long last, ", "all of a sudden, ", "by good luck, "),
    "take": ("with great care, ", "quickly, ", "with a cry of joy, ", "with a happy sigh, "),
    "ask": ("shyly, ", "politely, ", "with a beating heart, ", "with a bow, "),
    "give": ("with a smile, ", "without delay, ", "gladly, ", "with a friendly nod, "),
    "lend": ("with a smile, ", "without delay, ", "gladly, ", "with a friendly nod, "),
    "return": ("with many thanks, ", "with a smile, ", "as promised, "),
    "mend": ("patiently, ", "with steady hands, ", "bit by bit, "),
    "work": ("without delay, ", "with a will, "),
    "trade": ("with a smile, ", "after a short talk, ", "without regret, "),
    "unlock": ("with a beating heart, ", "with great care, ", "at last, "),
    "sleep": ("tired but happy, ", "with a yawn, "),
    "thank": ("with shining eyes, ", "from the heart, "),
    "free": ("bit by bit, ", "with all possible strength, "),
}  # fmt: skip
_IN_WEATHER = ("go", "search", "find", "work", "use", "rest")
_AIR = {
    "sunny": ("in the sunshine", "under the blue sky", "in the warm sun", "in the bright light"),
    "windy": ("in the wind", "against the wind", "in the fresh breeze", "in spite of the wind"),
    "rainy": ("in the rain", "in spite of the rain", "between the puddles", "under a grey sky"),
    "snowy": (
        "in the snow",
        "through the falling snow",
        "in spite of the snow",
        "in the white silence",
    ),
    "foggy": ("in the fog", "through the mist", "in spite of the fog", "in the grey light"),
    "cold": ("in the cold air", "in spite of the frost", "in the icy wind", "under a pale sun"),
}


def day(t: Teller, e: Event) -> list[Clause]:
    """The day on which the story begins, after all that was so before."""
    weather, night = WEATHERS[e.note], e.extra == "night"
    mornings = _NIGHTS[e.note] if night else weather.mornings
    when = "night" if night else t.pick(("morning", "day", "morning", "afternoon"))
    if t.maybe(0.6):
        words = f"one {t.pick(mornings)} {when}, "
        if t.maybe(0.2):
            words = f"then, on {a(t.pick(mornings))} {when}, "
        return [Clause((e.index,), text=lambda: words, link="open", scene=True)]
    if t.maybe(0.4) or night:
        more = "" if night or t.maybe(0.5) else f", and {t.pick(weather.states[1:])}"
        return [full(e, lambda: f"it was {a(t.pick(mornings))} {when}{more}")]
    if t.maybe(0.7):
        words = f"one {when}, when {t.pick(weather.states)}, "
        return [Clause((e.index,), text=lambda: words, link="open", scene=True)]
    return [
        part(e, lambda: f"{t.pick(('one', 'that'))} {when} {t.pick(weather.states)}", role="scene")
    ]


_FAMILY = {
    "child": ("with a large family", "with a grandmother and three hens", "with two older brothers",
              "with a kind uncle", "with four sisters", "with an aunt who sang all day"),
    "grown": ("all alone", "with a lazy cat", "with a large family", "with a parrot", "with five children",
              "with an old dog"),
    "animal": ("all alone", "with a large family", "with six brothers and sisters", "in a cosy nest"
               , "with an old uncle"),
}  # fmt: skip


@tells("has")
def has(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    if thing.group == "food":
        got = t.pick(
            ("had", "had packed", "had bought", "had baked" if thing.noun in BAKED else "had")
        )
        extra = t.pick((f"for {t.pick(_MEALTIME)}", f"and looked forward to {t.pick(_MEALTIME)}",
                        f"in {a(t.pick(_HOLDERS))}"))  # fmt: skip
        if got in ("had bought", "had baked"):
            extra = f"for {t.pick(_MEALTIME)}"
        return [part(e, lambda: f"{t.sub(who)} {got} {t.a_thing(thing)} {extra}")]
    origin = t.pick((*_ORIGINS, *_ORIGINS, "", ""))
    if thing.look == "new" and "better days" in origin:
        origin = ""
    verb = t.pick(("have", "have", "own"))
    main = part(e, lambda: f"{t.sub(who)} {v(verb, 'past')} {t.a_thing(thing)}{origin}")
    if t.maybe(0.55):
        habit = t.pick(_HABITS[thing.group])

        words = habit.format("them" if thing.plural else "it")
        return [main, act(e, lambda f: words, link="more", role="state")]
    return [main]


_ORIGINS = tuple(
    f" {words}" for words in (
        "from the market", "from a faraway town", "from the fair", "from an old aunt",
        "that had once belonged to a queen", "that was the finest in town", "that had seen better days",
        "that had cost a lot of money", "that everybody admired", "that nobody else had",
        "that had travelled around the world", "that had come in a big parcel",
    )
) + tuple(
    f", a present from {giver}" for giver in (
        "an uncle", "a kind sailor", "an old neighbour", "the miller", "a friend across the sea",
        "an aunt in the city", "the old teacher", "a travelling fiddler",
    )
)  # fmt: skip
_HABITS = {
    "toy": ("played with {} every day", "showed {} to everybody", "never went anywhere without {}",
            "loved {} more than anything", "even took {} to bed"),
    "tool": ("used {} every day", "cleaned {} every week", "was very proud of {}", "needed {} for everything"),
    "wear": ("wore {} every day", "even wore {} in bed", "brushed {} every evening", "was very proud of {}"),
    "treasure": ("polished {} every evening", "loved {} more than anything", "showed {} to everybody",
                 "looked at {} every morning"),
    "paper": ("looked at {} every evening", "knew every line of {}", "never went anywhere without {}"),
    "box": ("used {} every day", "was very proud of {}"),
}  # fmt: skip
BAKED = ("cake", "pie", "tart", "bun", "biscuit", "pancake", "loaf", "sandwich")
_HOLDERS = (
    "bag",
    "brown bag",
    "little basket",
    "clean cloth",
    "bundle",
    "deep pocket",
    "paper bag",
)
_MEALTIME = ("lunch", "supper", "a late breakfast", "an early lunch", "a quiet supper", "a picnic")


@tells("come", "lost", "buy")
def silent(t: Teller, e: Event) -> list[Clause]:
    """What happens unseen is not told."""
    return []


@tells("time")
def time(t: Teller, e: Event) -> list[Clause]:
    note = e.note
    if note == "night":
        words = ("night came", "the moon rose over the roofs", "it grew dark", "the stars came out",
                 "darkness fell over the town")  # fmt: skip
        return [part(e, lambda: t.pick(words), scene=True)]
    soon = ("the next morning, ", "early the next day, ", "at sunrise the next day, ")
    return [Clause((e.index,), text=lambda: t.pick(soon), link="open", scene=True)]
