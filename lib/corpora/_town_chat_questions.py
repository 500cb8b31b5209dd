"""Questions about passages, in words of training and in new ones."""

# ruff: noqa: E501 (a phrase reads best on one line)
from __future__ import annotations

from lib.corpora._town_chat_base import Draw, Ways, at, ways
from lib.corpora._town_chat_passages import Fact, Passage
from lib.corpora._town_state import COLOURS
from lib.corpora._town_teller import a
from lib.corpora._town_words import PLACES, THINGS

FRAMES = ("Tell me {}.", "Do you know {}?", "Can you tell me {}?")
_COLOUR = (
    "What colour {is} the {noun}?; What colour {was} the {noun}?",
    "what colour the {noun} {was}",
)
_ASKED: dict[tuple[str, str], tuple[str, str]] = {
    ("home", "what"): ("Where does {n} live?; Where did {n} live?", "where {n} lives"),
    ("home", "who"): ("Who lives {p}?; Who lived {p}?", "who lived {p}"),
    ("kind", "what"): ("What is {n}?; What was {n}?", "what {n} was"),
    ("kind", "who"): ("Who is {k}?; Who was {k}?", "who was {k}"),
    ("has", "what"): ("What did {n} have?; What does {n} have?", "what {n} had"),
    ("has", "who"): ("Who had the {noun}?; Who has the {noun}?", "who had the {noun}"),
    ("has", "look"): _COLOUR,
    ("colour", "look"): _COLOUR,
    ("gave", "who"): ("Who gave the {noun} to {m}?; Who gave {m} the {noun}?", "who gave the {noun} to {m}"),
    ("gave", "what"): ("What did {n} give to {m}?; What did {n} give {m}?", "what {n} gave to {m}"),
    ("gave", "whom"): ("To whom did {n} give the {noun}?; Who got the {noun}?", "who got the {noun}"),
    ("gave", "holder"): ("Who has the {noun} now?; Who has the {noun} at the end?", "who has the {noun} now"),
    ("found", "place"): ("Where did {n} find the {noun}?; Where was the {noun}?", "where {n} found the {noun}"),
    ("found", "who"): ("Who found the {noun}?; Who found the {noun} {q}?", "who found the {noun}"),
    ("found", "what"): ("What did {n} find?; What did {n} find {q}?", "what {n} found"),
    ("likes", "what"): ("What did {n} like to eat?; What does {n} like to eat?", "what {n} likes to eat"),
    ("likes", "who"): ("Who liked {noun}?; Who liked to eat {noun}?", "who liked to eat {noun}"),
    ("went", "what"): ("Where did {n} go?; To what place did {n} go?", "where {n} went"),
    ("went", "who"): ("Who went to the {noun}?; Who made a trip to the {noun}?", "who went to the {noun}"),
    ("felt", "what"): ("How did {n} feel?; How was {n}?", "how {n} felt"),
    ("felt", "who"): ("Who was {noun}?; Who felt {noun}?", "who was {noun}"),
}  # fmt: skip
"""For each fact and each part of it, how to ask for that part, and the same as half a sentence."""


def _ways(number: int, asks: str, half: str) -> Ways:
    """Each half sentence is held out with one of its frames: all are known, both together new."""
    framed = [frame.format(half) for frame in FRAMES]
    unseen = framed.pop(number % len(framed))
    return ways(f"{asks}; {'; '.join(framed)}", unseen)


QUESTIONS = {key: _ways(number, *asked) for number, (key, asked) in enumerate(_ASKED.items())}


def question(draw: Draw, fact: Fact, part: str) -> str:
    """How to ask for a part of a fact."""
    text = draw.ask(QUESTIONS[fact.sort, part])
    thing = THINGS.get(fact.what)
    many = thing is not None and thing.plural
    return text.format(
        n=fact.who.name, noun=fact.what, k=a(fact.what) if fact.what else "",
        m=fact.whom.name if fact.whom else "", p=at(fact.what) if fact.what in PLACES else "",
        q=at(fact.place) if fact.place else "",
        **{"is": "are" if many else "is", "was": "were" if many else "was"},
    )  # fmt: skip


def asked(draw: Draw, passage: Passage) -> tuple[Fact, str]:
    """A fact that the passage tells, and which part of it to ask for."""
    facts = passage.facts
    options = []
    for fact in facts:
        for sort, part in _BY_SORT[fact.sort]:
            if part == "look" and fact.look not in COLOURS:
                continue
            if part == "who" and sum(f.sort == sort and f.what == fact.what for f in facts) > 1:
                continue
            options.append((fact, part))
    return draw.pick(options)


_BY_SORT: dict[str, list[tuple[str, str]]] = {}
for _key in QUESTIONS:
    _BY_SORT.setdefault(_key[0], []).append(_key)
