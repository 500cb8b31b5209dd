"""What is said of feelings, of the weather, and of what one does with a thing."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

import re
from collections.abc import Callable

from lib.corpora._town_phrases import act, part, tells
from lib.corpora._town_teller import Clause, Teller
from lib.corpora._town_verbs import phrase as v
from lib.corpora._town_words import MOODS, PLACES, WEATHERS
from lib.corpora._town_world import Event


@tells("feel")
def feel(t: Teller, e: Event) -> list[Clause]:
    who = e.who
    assert who
    mood = t.pick([mood for mood in MOODS[e.note] if mood != "eager"])
    if e.cause >= 0 and t.events[e.cause].kind in ("turns", "refuse", "keep_food"):
        mood = t.pick(("sad", "unhappy", "downcast")) if e.note == "sad" else mood
    more = t.pick(("", "", "very ", "really ")) if mood not in _STRONG else ""
    way = t.chance.random()
    link = "react" if e.cause == e.index - 1 else ""
    about = why_so(t, e)
    if way < 0.5 or e.note not in _SHOWS:
        verb = t.pick(("was", "was", "felt"))
        if e.whom:
            about = lambda: t.pick(("", " and looked at the food"))  # noqa: E731
        return [part(e, lambda: f"{t.sub(who)} {verb} {more}{mood}{about()}", link)]
    show = t.pick(_SHOWS[e.note])
    if way < 0.7 or "relief" in show:
        return [act(e, lambda f: v(show, f), link=link)]
    if way < 0.85:
        return [
            part(
                e,
                lambda: f"{t.sub(who)} {v(show, 'past')} because {t.again(who)} was so {mood}",
            )
        ]
    return [
        part(e, lambda: f"{t.sub(who)} was so {mood} that {t.again(who)} {v(show, 'past')}", link)
    ]


def why_so(t: Teller, e: Event) -> Callable[[], str]:
    """What a feeling is about, from the event that caused it."""
    cause = t.events[e.cause] if e.cause >= 0 else e
    thing, who = cause.thing, e.who
    assert who
    if t.maybe(0.3):
        return lambda: ""
    if cause.kind == "miss" and thing:
        return lambda: f" without {t.thing(thing, who)}"
    if cause.kind in ("refuse", "keep_food", "blame"):
        words = t.pick(
            (" at this answer", " about this", " and did not know what to say", " to hear that")
        )
        return lambda: words
    if cause.kind == "break" and thing:
        return lambda: f" about the broken {thing.noun}"
    if (
        cause.kind in ("give", "take", "return", "thank")
        and thing
        and e.note in ("glad", "relieved")
        and (cause.kind in ("take", "thank") or cause.whom is who)
    ):
        if e.note == "relieved" or t.maybe(0.5):
            hold = t.pick(("hold", "have", "see"))
            return lambda: f" to {hold} {t.thing(thing)} again" if thing.owner is who and (
                cause.kind != "give") else f" about {t.thing(thing)}"  # fmt: skip
        return lambda: f" about {t.thing(thing, it=False)}"
    if cause.kind == "turns":
        words = t.pick((" about the weather", f" because of the {_SKY[cause.note]}"))
        return lambda: words
    if cause.kind == "lose_way":
        words = t.pick((" so far from home", " in this strange place", " all alone"))
        return lambda: words
    if cause.kind == "wake":
        words = t.pick((" in the dark", " and listened", " under the blanket"))
        return lambda: words
    return lambda: ""


_STRONG = ("starving", "overjoyed", "furious", "delighted", "exhausted", "astonished", "amazed", "heartbroken",
           "miserable", "joyful", "startled", "guilty")  # fmt: skip
_SKY = {
    "rainy": "rain",
    "foggy": "fog",
    "cold": "cold",
    "snowy": "snow",
    "windy": "wind",
    "sunny": "sun",
}


_SHOWS = {
    "glad": ("jump for joy", "laugh out loud", "smile from ear to ear", "clap with joy",
             "dance in a circle"),
    "sad": ("begin to cry", "sigh deeply", "hang {} head", "sob softly", "shed a tear"),
    "worried": ("sigh", "frown", "pace up and down"),
    "afraid": ("tremble", "shiver all over", "hold {} breath"),
    "cross": ("stamp on the ground", "frown", "turn away", "shout with anger"),
    "sorry": ("look at the ground", "blush", "sigh deeply", "blink back tears"),
    "relieved": ("take a deep breath", "smile again", "laugh with relief"),
    "proud": ("smile from ear to ear", "stand very tall", "hum a happy tune"),
    "excited": ("jump up and down", "clap with joy", "gasp with joy"),
    "surprised": ("gasp", "stare with wide eyes"),
}  # fmt: skip
_SHOWS = {mood: tuple(w for w in ways if "{}" not in w) for mood, ways in _SHOWS.items()}


@tells("turns")
def turns(t: Teller, e: Event) -> list[Clause]:
    weather = WEATHERS[e.note]
    start = t.pick(("suddenly ", "just then ", "but then ", "all at once "))
    if e.extra == "clears":
        start = t.pick(("after an hour ", "at last ", "later ", "in the end "))
    return [part(e, lambda: f"{start}{t.pick(weather.begins)}", scene=e.extra == "clears")]


@tells("wait")
def wait(t: Teller, e: Event) -> list[Clause]:
    who, whom = e.who, e.whom
    assert who and whom
    under = {"tree": "a tree", "arch": "an old arch", "roof": "a little roof", "cart": "a cart"}[
        e.note
    ]
    verb = t.pick(("waited", "hid", "sat down", "stood close together"))
    return [part(e, lambda: f"{t.pair(who, whom)} {verb} under {under}")]


@tells("use")
def use(t: Teller, e: Event) -> list[Clause]:
    who, thing, whom = e.who, e.thing, e.whom
    assert who and thing
    rest = here(e.extra)
    long = ("", "", "", " all afternoon", " with great joy", " for hours")
    how = t.pick(long) if e.note in _LASTING else ""
    if e.note == "use":
        how = t.pick(("", "", " with great care", " without any trouble"))
    if whom:
        main = part(
            e, lambda: f"{t.pair(who, whom)} {v(e.note, 'past')} {rest.format(t.thing(thing))}{how}"
        )
    else:
        main = act(e, lambda f: f"{v(e.note, f)} {rest.format(t.thing(thing))}{how}")
    if not t.maybe(0.75):
        return [main]
    result = e.result
    if thing.plural and result.startswith("it "):
        result = result.replace("it ", "they ", 1)
    way = t.chance.random()
    if way < 0.5:
        return [main, part(e, lambda: result, link="result", role="scene")]
    return [main, part(e, lambda: result, role="state")]


_LASTING = ("fly", "play", "kick", "ride", "roll", "read", "draw", "beat")


def here(words: str) -> str:
    """The use without its place, for somebody who is there."""
    for place in PLACES:
        short = re.sub(rf" (at|by|in|on|to) the (\w+ )?{place}$", "", words)
        if short != words:
            return short
    return words


@tells("owner")
def owner(t: Teller, e: Event) -> list[Clause]:
    who, thing = e.who, e.thing
    assert who and thing
    way = t.chance.random() * (0.7 if e.index < 3 else 1)
    hero_ = t.people[0]
    knew = "heard" if t.theme == "quarrel" else "knew"
    way = max(way, 0.4) if t.theme == "quarrel" else way
    if way < 0.4:
        return [part(e, lambda: f"{t.sub(who)} {t.at(e.place)} had {t.a_thing(thing)}")]
    if way < 0.7:
        return [
            part(
                e,
                lambda: (
                    f"{t.sub(hero_)} {knew} that {t.named_as(who)} {t.at(e.place)} had {t.a_thing(thing)}"
                ),
            )
        ]
    at_home = who.home == e.place
    if way < 0.85 and (at_home or who.group == "grown"):
        return [
            part(
                e,
                lambda: (
                    f"{t.at(e.place)} {v('live', 'past') if at_home else 'worked'} {t.named_as(who)}, who had {t.a_thing(thing)}"
                ),
            )
        ]
    return [part(e, lambda: f"{t.named_as(who)}, who was {t.at(e.place)}, had {t.a_thing(thing)}")]
