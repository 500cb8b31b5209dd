"""Questions, answers and facts about a story, from what really happened; and answers from its text.

`questions_about` and `facts_about` know the simulator's events. `answer` knows nothing but the
text: it reads the story as the checker does and looks the answer up in what it understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lib.corpora._town_checker import Following, follow
from lib.corpora._town_lexicon import NAMES
from lib.corpora._town_plots import Plot
from lib.corpora._town_state import COLOURS, Item, Somebody
from lib.corpora._town_teller import Teller, a
from lib.corpora._town_words import KINDS, PLACES
from lib.corpora._town_world import Thing

_HOLDS = ("give", "lend", "return", "trade", "take", "make", "win", "see_with", "has")


def at(place: str) -> str:
    """ "at the mill"."""
    return f"{PLACES[place].at} the {place}"


def _is(thing: Thing) -> str:
    return "are" if thing.plural else "is"


def questions_about(plot: Plot, teller: Teller) -> list[tuple[str, str]]:
    """Questions that the story answers, each with its answer, in the order of the story."""
    text = " ".join(sentence.text for sentence in teller.sentences)
    told = {person for person in plot.people if re.search(rf"\b{person.name}\b", text)}
    resting = re.search(r" (bed|fire|window|doorstep|awake)\b", teller.sentences[-1].text)
    end = () if resting else tuple(_places(plot))
    return [
        (question, reply)
        for question, reply in (*_of_events(plot), *_of_the_end(plot), *end, *_of_people(plot))
        if all(p in told for p in plot.people if re.search(rf"\b{p.name}\b", f"{question} {reply}"))
    ]


def _single(plot: Plot, thing: Thing) -> bool:
    """The noun means this thing alone."""
    return sum(other.noun == thing.noun for other in plot.things) == 1


def _of_events(plot: Plot) -> Iterator[tuple[str, str]]:
    given: set[tuple[str, str]] = set()
    pairs = [(e.who, e.whom) for e in plot.events if e.kind in ("give", "lend", "return", "trade")]
    for event in plot.events:
        who, whom, thing = event.who, event.whom, event.thing
        if event.kind in ("give", "lend") and who and whom and thing and _single(plot, thing):
            verb = "give" if event.kind == "give" else "lend"
            once = pairs.count((who, whom)) == 1
            if (thing.noun, whom.name) not in given:
                done = {"give": "gave", "lend": "lent"}[verb]
                yield f"Who {done} the {thing.noun} to {whom.name}?", who.name
                if once:
                    yield f"What did {who.name} {verb} to {whom.name}?", f"the {thing.noun}"
            given.add((thing.noun, whom.name))
        if (
            event.kind == "find"
            and who
            and thing
            and event.extra != "found"
            and _single(plot, thing)
        ):
            yield f"Where did {who.name} find the {thing.noun}?", event.note
        if event.kind == "win" and who and thing:
            yield "Who won the race?", who.name
            yield f"What did {who.name} win?", f"the {thing.noun}"
        if event.kind == "feel" and who and event.cause >= 0 and event.note in _SAD:
            cause = plot.events[event.cause]
            if cause.thing and cause.kind in ("miss", "break") and _single(plot, cause.thing):
                how = "gone" if cause.kind == "miss" else "broken"
                be = "were" if cause.thing.plural else "was"
                yield (
                    f"Why was {who.name} {event.note}?",
                    f"because the {cause.thing.noun} {be} {how}",
                )


_SAD = ("sad", "worried", "cross")


def _of_the_end(plot: Plot) -> Iterator[tuple[str, str]]:
    for thing in plot.things:
        holder = plot.holder.get(thing)
        moved = any(e.kind in _HOLDS and thing in (e.thing, e.other) for e in plot.events)
        used_up = thing in plot.gone or any(
            e.kind in ("share_out", "warm") and e.thing is thing for e in plot.events
        )
        if holder and moved and not used_up and _single(plot, thing):
            yield f"Who has the {thing.noun} at the end?", holder.name


def _places(plot: Plot) -> Iterator[tuple[str, str]]:
    went = {p: e.place for e in plot.events if e.kind == "go" for p in (e.who, e.whom) if p}
    for person, place in went.items():
        if plot.place.get(person) == place and plot.theme not in ("race", "night"):
            yield f"Where is {person.name} at the end?", at(place)


def _of_people(plot: Plot) -> Iterator[tuple[str, str]]:
    hero = plot.hero
    yield f"Where does {hero.name} live?", at(hero.home)
    for person in plot.people:
        if person.group != "child" and not any(e.kind == "hear_of" for e in plot.events):
            yield f"What is {person.name}?", a(person.kind)
    for event in plot.events:
        thing = event.thing
        if (
            event.kind in ("has", "owner")
            and thing
            and thing.look in COLOURS
            and _single(plot, thing)
        ):
            yield f"What colour {_is(thing)} the {thing.noun}?", thing.look


def facts_about(plot: Plot, teller: Teller) -> list[str]:
    """True sentences about the end of the story."""
    facts = []
    for question, reply in questions_about(plot, teller):
        facts.append(_statement(question, reply))
    return [fact for fact in dict.fromkeys(facts) if fact]


def _statement(question: str, reply: str) -> str:
    """A question and its answer as one sentence."""
    words = question.rstrip("?").split()
    if question.startswith("Who has the "):
        return f"{reply} has {' '.join(words[2:4])}."
    if question.startswith("Where is "):
        return f"{words[2]} is {reply}."
    if question.startswith("Where does "):
        return f"{words[2]} lives {reply}."
    if question.startswith("What is "):
        return f"{words[2]} is {reply}."
    if question.startswith("What colour"):
        return f"The {words[-1]} {words[2]} {reply}."
    if question.startswith("Who won"):
        return f"{reply} won the race."
    if question.startswith(("Who gave", "Who lent")):
        return f"{reply} {' '.join(words[1:])}."
    if question.startswith("Where did "):
        return f"{words[2]} found {' '.join(words[4:])} {reply}."
    if question.startswith("Why was "):
        return f"{words[2]} was {words[3]} {reply}."
    return ""


# --- answers from the text ------------------------------------------------------------------------


def answer(text: str, question: str) -> str | None:
    """Answer a question about a story from the story's text alone.

    Args:
        text: the story.
        question: of the sorts that `read("town", part="questions")` shows.

    Returns:
        A few words ("Mia", "at the mill", "because the kite was gone"); None if the question is
        of no known sort, or the story does not say.

    >>> answer("Mia was a girl. Otto the miller had a saw. Otto gave the saw to Mia.",
    ...        "Who has the saw at the end?")
    'Mia'
    """
    story = follow(text)
    for pattern, look in _LOOK_UP:
        found = re.fullmatch(pattern, question.strip())
        if found:
            return look(story, *found.groups())
    return None


def _items(story: Following, noun: str) -> list[Item]:
    return [item for item in story.state.items if noun in (item.noun, f"{item.noun}s")]


def _somebody(story: Following, name: str) -> Somebody | None:
    return story.state.people.get(name)


def _holder(story: Following, noun: str) -> str | None:
    holders = [item.holder.name for item in _items(story, noun) if item.holder and not item.gone]
    return holders[-1] if holders else None


def _place(story: Following, name: str) -> str | None:
    who = _somebody(story, name)
    return at(who.place) if who and who.place else None


def _home(story: Following, name: str) -> str | None:
    who = _somebody(story, name)
    return at(who.home) if who and who.home else None


def _kind(story: Following, name: str) -> str | None:
    who = _somebody(story, name)
    return a(who.kind) if who and who.kind in KINDS else None


def _colour(story: Following, noun: str) -> str | None:
    colours = [look for item in _items(story, noun) for look in sorted(item.looks & COLOURS)]
    return colours[0] if colours else None


_GIVING = ("give", "lend", "hand", "return", "bring", "trade")


def _giver(story: Following, noun: str, name: str) -> str | None:
    for event in story.happened:
        if event.verb in _GIVING and event.item in _items(story, noun):
            if event.whom and event.who and event.whom.name == name:
                return event.who.name
    return None


def _given(story: Following, giver: str, name: str) -> str | None:
    for event in story.happened:
        if event.verb in _GIVING and event.who and event.whom and event.item:
            if event.who.name == giver and event.whom.name == name:
                return f"the {event.item.noun}"
    return None


def _found(story: Following, name: str, noun: str) -> str | None:
    spots = [item.spot for item in _items(story, noun) if item.spot]
    if spots:
        return spots[-1]
    places = [e.place for e in story.happened if e.verb == "find" and e.item in _items(story, noun)]
    return at(places[-1]) if places and places[-1] else None


def _winner(story: Following) -> str | None:
    return story.state.winner.name if story.state.winner else None


def _won(story: Following, name: str) -> str | None:
    for event in story.happened:
        if event.verb == "win" and event.who and event.who.name == name and event.item:
            return f"the {event.item.noun}"
    return None


def _why(story: Following, name: str, mood: str) -> str | None:
    for event in story.happened:
        if event.verb in ("miss", "break") and event.item:
            how = "gone" if event.verb == "miss" else "broken"
            return f"because the {event.item.noun} {'were' if event.item.plural else 'was'} {how}"
    return None


_NAME = f"({'|'.join(sorted(NAMES))})"
_LOOK_UP = (
    (r"Who has the (\w+)(?: at the end| now)?\?", _holder),
    (rf"Where is {_NAME}(?: at the end| now)?\?", _place),
    (rf"Where does {_NAME} live\?", _home),
    (rf"What is {_NAME}\?", _kind),
    (r"What colour (?:is|are) the (\w+)\?", _colour),
    (rf"Who (?:gave|lent) the (\w+) to {_NAME}\?", _giver),
    (rf"What did {_NAME} (?:give|lend) to {_NAME}\?", _given),
    (rf"Where did {_NAME} find the (\w+)\?", _found),
    (r"Who won the race\?", _winner),
    (rf"What did {_NAME} win\?", _won),
    (rf"Why was {_NAME} (\w+)\?", _why),
)
