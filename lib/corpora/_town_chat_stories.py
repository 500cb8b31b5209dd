"""Instructions to write: to begin a story, to say what happens, to repeat, to tell again."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from itertools import pairwise

from lib.corpora._town_chat_base import (
    NUMBERS,
    Draw,
    Instruction,
    Who,
    a_thing,
    at,
    user,
    ways,
)
from lib.corpora._town_chat_passages import LIKED
from lib.corpora._town_chat_tasks import Begins, Copies, Happens, Repeats
from lib.corpora._town_lexicon import plural_of
from lib.corpora._town_state import COLOURS
from lib.corpora._town_teller import a, capital
from lib.corpora._town_words import KINDS, PLACES, THINGS, TRAITS, WEATHERS

# --- to begin a story -----------------------------------------------------------------------------

_BEGIN = ways(
    """
    Begin a story about {}.; Start a story about {}.; Please begin a story about {}.;
    Can you begin a story about {}?; Tell me the beginning of a story about {}.;
    How does a story about {} begin?; I would like to hear the beginning of a story about {}.;
    Tell me the first words of a story about {}.
    """,
    """
    Will you start a story about {}?; Let me hear the beginning of a story about {}.;
    Please tell me the first words of a story about {}.
    """,
)


def begin(draw: Draw) -> Instruction:
    """ "Begin a story about a gentle sparrow called Cora who lives in the bakery." """
    who = draw.somebody()
    way = draw.random()
    named = way < 0.75
    trait = who.trait if draw.maybe(0.7) else ""
    home = who.home if draw.maybe(0.6) else ""
    kind = f"{trait} {who.kind}" if trait else who.kind
    lives = f" who lives {at(home)}" if home else ""
    called = draw.pick(("called", "named")) if named else ""
    about = f"{a(kind)} {called} {who.name}{lives}" if named else f"{a(kind)}{lives}"
    if named and way < 0.15:
        about = f"{who.name}, {a(kind)}{lives}"
    task = Begins(who.kind, who.name if named else "", trait, home)
    text = begin_request(draw, about)
    return draw.instruction("begin", [user(text)], opening(draw, who, trait, home), task)


def begin_request(draw: Draw, about: str) -> str:
    """ "Begin a story about ...": `about` is of whom."""
    return draw.ask(_BEGIN).format(about)


def opening(draw: Draw, who: Who, trait: str, home: str) -> str:
    """One or two sentences with which a story about somebody begins."""
    pick, maybe = draw.pick, draw.maybe
    what = a(f"{trait} {who.kind}" if trait else who.kind)
    called = f"{what} {pick(('called', 'named'))} {who.name}"
    habit = f" and {pick(TRAITS[trait])}" if trait and maybe(0.4) else ""
    once = pick(("once there was", "once upon a time there was", "there once was"))
    way = draw.random()
    more = ""
    if not home:
        first = f"{once} {called}" if way < 0.9 else f"{who.name} was {what}"
        more = capital(f"{who.she} {habit[5:]}.") if habit else ""
    elif way < 0.1:
        first = f"{who.name} was {what} who lived {at(home)}{habit}"
    elif way < 0.55:
        first = f"{pick(('once, ', 'long ago, '))}{called} lived {at(home)}{habit}"
    else:
        first = f"{once} {called}"
        more = capital(f"{who.she} lived {at(home)}{habit}.")
    if not more and maybe(0.5):
        more = capital(f"{who.she} had {a_thing(*draw.thing_of(who))}.")
    return f"{capital(first)}. {more}".strip()


# --- to write a sentence --------------------------------------------------------------------------

_WRITE = ways(
    """
    Write one sentence in which {}.; Write a sentence in which {}.; Please write one sentence in which {}.;
    Tell me in one sentence that {}.; Can you write a sentence in which {}?; I need a sentence in which {}.;
    Say in one sentence that {}.
    """,
    """
    Please say in one sentence that {}.; Make a sentence in which {}.; Give me one sentence in which {}.
    """,
)
_DEEDS = {
    "gives": ("gave", ("give", "hand", "present", "bring")),
    "lends": ("lent", ("lend",)),
    "shows": ("showed", ("show",)),
    "finds": ("found", ("find",)),
    "hides": ("hid", ("hide", "put")),
    "eats": ("ate", ("eat",)),
    "mends": ("mended", ("mend",)),
}


def write(draw: Draw) -> Instruction:
    """ "Write one sentence in which Felix gives the lantern to Tim." """
    who = draw.somebody()
    deed = draw.pick(tuple(_DEEDS))
    did, verbs = _DEEDS[deed]
    noun = draw.with_(who.name, "foods" if deed == "eats" else "things")
    the = f"the {noun}"
    whom = place = behind = ""
    if deed in ("gives", "lends", "shows"):
        whom = draw.somebody(who).name
        behind = f" to {whom}"
    elif deed in ("finds", "hides"):
        place = draw.with_(who.name, "places")
        behind = f" {at(place)}"
    text = draw.ask(_WRITE).format(f"{who.name} {deed} {the}{behind}")
    weather = WEATHERS[draw.pick(tuple(WEATHERS))]
    day = "day" if draw.maybe(0.5) else f"{draw.pick(weather.mornings)} morning"
    answer = f"One {day}, {who.name} {did} {the}{behind}."
    task = Happens(verbs, who.name, noun, whom, place)
    return draw.instruction("write", [user(text)], answer, task)


# --- to repeat, and to tell again -----------------------------------------------------------------

WORDS = tuple(n for n in (*KINDS, *PLACES, *THINGS))
REPEAT = ways(
    """
    Say the word {w} {n}.; Say {w} {n}.; Please say the word {w} {n}.; Write the word {w} {n}.;
    Can you say {w} {n}?; Say the word {w} {n}, please.; Please say {w} {n}.
    """,
    "Write {w} {n}.; Please write the word {w} {n}.; Can you write the word {w} {n}?",
)
TIMES = {2: "twice", 3: "three times", 4: "four times"}
_ECHO = ways(
    "Say after me: {}; Say this again: {}; Please say this: {}; Write this down: {}; Say: {}",
    "Please say after me: {}; Write: {}; Please write this down: {}",
)


def repeat(draw: Draw) -> Instruction:
    """ "Say the word lantern three times." """
    if draw.maybe(0.4):
        who = draw.somebody()
        line = told(draw.pick((told_lines(draw, who)[:1], told_lines(draw, who)[1:2])), who)
        return draw.instruction("repeat", [user(draw.ask(_ECHO).format(line))], line, Copies(line))
    while True:
        word, number = draw.pick(WORDS), draw.number(2, 4)
        if draw.fits(word, NUMBERS[number]):
            break
    text = draw.ask(REPEAT).format(w=word, n=TIMES[number])
    words = (word,) * number
    return draw.instruction("repeat", [user(text)], in_a_row(words), Repeats(words))


def in_a_row(words: tuple[str, ...]) -> str:
    """Words as an answer says them one after the other."""
    return f"Here you are: {', '.join(words)}."


_RETELL = ways(
    """
    Tell this again about {}: {}; Tell this about {}: {}; Now tell the same about {}: {};
    Please tell this again, but about {}: {}; Write this again about {}: {};
    Let this be about {}: {}
    """,
    "Please tell the same about {}: {}; Tell this again, but now about {}: {}; Make this about {}: {}",
)


def retell(draw: Draw) -> Instruction:
    """ "Tell this again about a girl called Mia: Otto was a kind boy. He lived at the mill." """
    old, new = draw.somebody(), draw.somebody()
    while new.name[0] == old.name[0] or new.kind == old.kind:
        new = draw.somebody()
    lines = told_lines(draw, old)
    text = draw.ask(_RETELL).format(
        f"{a(new.kind)} {draw.pick(('called', 'named'))} {new.name}", told(lines, old)
    )
    answer = told(lines, new)
    return draw.instruction("retell", [user(text)], answer, Copies(answer))


def told(lines: list[str], who: Who) -> str:
    """Lines about somebody, as a text."""
    text = " ".join(lines)
    return text.format(
        name=who.name, kind=who.kind, a_kind=a(who.kind), she=who.she, her=who.her, him=who.him,
        She=who.she.capitalize(), Her=who.her.capitalize(),
    )  # fmt: skip


def told_lines(draw: Draw, who: Who) -> list[str]:
    """Two or three sentences about somebody, with places to fill in."""
    pick, trait = draw.pick, a(who.trait)
    noun, look = draw.thing_of(who)
    look = look if look in COLOURS else ""
    first = pick((
        f"Once there was {trait} {{kind}} called {{name}}.",
        f"Once, {trait} {{kind}} called {{name}} lived {at(who.home)}.",
        f"Long ago, {{a_kind}} called {{name}} lived {at(who.home)}.",
        f"There once was {{a_kind}} called {{name}} who lived {at(who.home)}.",
        "Once there was {a_kind} called {name}.",
    ))  # fmt: skip
    friend = draw.somebody(who).name
    more = [
        f"{{She}} had {a_thing(noun, look)}.",
        f"{{She}} liked to eat {plural_of(pick(LIKED))}.",
        f"{{Her}} friend {friend} gave {{him}} {a_thing(noun)}.",
        f"One day, {{she}} went to the {draw.with_(who.name, 'places', (who.home,))}.",
        f"{{She}} liked to visit {{her}} friend {friend}.",
    ]
    if who.home not in first:
        more.append(f"{{She}} lived {at(who.home)}.")
    lines = [first, more.pop(int(draw.random() * len(more)))]
    if draw.maybe(0.4):
        lines.append(pick([line for line in more if noun not in line and friend not in line]))
    return lines


_BACKWARDS = ways(
    """
    Say it backwards: {}.; Say this backwards: {}.; Backwards, please: {}.; Write this backwards: {}.;
    Say these words backwards: {}.; Please say this backwards: {}.
    """,
    "Please write this backwards: {}.; Say the words backwards: {}.; Can you say this backwards: {}?",
)


_PLAIN = (*KINDS, *PLACES)


def backwards(draw: Draw) -> Instruction:
    """ "Say it backwards: fox, lantern, mill." """
    number = draw.number(3, 5)
    while True:
        words: list[str] = []
        while len(words) < number:
            word = draw.pick(_PLAIN)
            if word not in words:
                words.append(word)
        if any(draw.is_new(one, two) for one, two in pairwise(words)) == draw.held_out:
            break
    text = draw.ask(_BACKWARDS).format(", ".join(words))
    words.reverse()
    return draw.instruction(
        "reversal", [user(text)], f"Backwards: {', '.join(words)}.", Repeats(tuple(words))
    )
