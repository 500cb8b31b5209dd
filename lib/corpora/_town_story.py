"""A story of the town: what happened, and how it is told."""

from __future__ import annotations

from lib.corpora import (  # each enters what it can tell
    _town_adventures,
    _town_endings,
    _town_hands,
    _town_moods,
    _town_news,
    _town_quarrels,
    _town_speech,
    _town_wants,
    _town_ways,
)
from lib.corpora._town_openings import day, flavour
from lib.corpora._town_phrases import PHRASES
from lib.corpora._town_plots import Plot
from lib.corpora._town_teller import Clause, Teller
from lib.corpora._town_themes import happen


def story(plot: Plot) -> Teller:
    """Tell what happened."""
    teller = Teller(plot.chance, plot.people, events=plot.events, theme=plot.theme)
    clauses: list[Clause] = []
    began = False
    for event in plot.events:
        if not began and event.kind not in ("hero", "has", "lost", "come"):
            clauses += day(teller, plot.events[0])
            began = True
        if event.kind in ("hero", "turns"):
            teller.weather = event.note
        elif event.kind in ("want_use", "wish", "plan"):
            teller.want = f"{event.note} {event.extra}"
        if event.kind in ("hero", "go") and plot.hero in (event.who, event.whom):
            teller.here = event.place
        if event.kind == "feel" and event.who is plot.hero:
            teller.mood = event.note
        elif event.kind in ("break", "quarrel", "miss", "blame", "refuse", "lose_way"):
            teller.mood = "sad"
        elif event.kind in (
            "give",
            "lend",
            "return",
            "find",
            "trade",
            "relent",
            "thank",
            "forgive",
        ):
            teller.mood = ""
        more = PHRASES[event.kind](teller, event)
        if more:
            flavour(teller, event, more)
        clauses += more
    teller.tell(clauses)
    return teller


def text_of(teller: Teller) -> str:
    """The sentences as paragraphs."""
    text = ""
    for number, sentence in enumerate(teller.sentences):
        text += "" if not number else "\n" if number in teller.breaks else " "
        text += sentence.text
    return text


def tell(*seed: int | str) -> tuple[Plot, Teller]:
    """A world in which a story happened, and its telling."""
    plot = happen(*seed)
    return plot, story(plot)


VOICES = (
    _town_adventures, _town_endings, _town_hands, _town_moods, _town_news, _town_quarrels,
    _town_speech, _town_wants, _town_ways,
)  # fmt: skip
"""The modules that say something of events: importing them entered it in `PHRASES`."""
